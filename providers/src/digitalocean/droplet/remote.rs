//! A droplet as DigitalOcean shows it.

use super::DropletAttrs;
use super::change::ON;
use crate::digitalocean::action::{ERRORED, actions_of};
use crate::digitalocean::remote::{Remote, Slug, filled, path_of};
use crate::digitalocean::{DigitalOcean, owner_tag};
use crate::http::parse_timestamp;
use futures_util::{StreamExt as _, stream};
use kplan_model::{Known, RemoteId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A droplet is made in less than a minute. One that is `new` for longer is asked about: each such
/// question is a request of its own.
const SUSPICIOUS: Duration = Duration::from_mins(2);
/// How many droplets are asked about at once.
const PARALLEL_LOOKS: usize = 8;

#[derive(Debug, Default, Deserialize)]
struct Network {
    ip_address: Option<String>,
    #[serde(rename = "type")]
    side: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Networks {
    v4: Vec<Network>,
    v6: Vec<Network>,
}

impl Networks {
    fn address(networks: &[Network], side: &str) -> Option<String> {
        let network = networks
            .iter()
            .find(|network| network.side.as_deref() == Some(side))?;
        filled(network.ip_address.clone())
    }
}

#[derive(Debug, Default, Deserialize)]
struct Size {
    price_monthly: Option<serde_json::Number>,
}

/// A droplet as DigitalOcean shows it.
#[derive(Debug, Deserialize)]
pub(in crate::digitalocean) struct DropletRemote {
    id: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) size_slug: String,
    /// Whether something is being done to it, so that it takes no action.
    #[serde(default)]
    pub(super) locked: bool,
    region: Option<Slug>,
    vpc_uuid: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    networks: Networks,
    size: Option<Size>,
    vcpus: Option<u32>,
    memory: Option<u32>,
    disk: Option<u32>,
    created_at: Option<String>,
}

impl DropletRemote {
    /// Whether nobody is making it although it is not made: DigitalOcean keeps a droplet whose
    /// creation failed as `new`. Only its actions tell for certain.
    fn is_stuck(&self, cloud: &DigitalOcean) -> bool {
        let created = self.created_at.as_deref().and_then(parse_timestamp);
        let old = created.is_some_and(|created| cloud.http.is_past(created, SUSPICIOUS));
        self.status == "new" && !self.locked && old
    }

    /// Whether its power is off. A new droplet is being powered on.
    pub(super) fn is_off(&self) -> bool {
        !matches!(self.status.as_str(), "new" | "active")
    }

    pub(super) fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|has| has == feature)
    }

    /// Its tags; the owner's only where it is asked for.
    pub(super) fn tags(&self, asked: &[String]) -> Vec<String> {
        owner_tag::seen(&self.tags, asked).0
    }
}

/// What the engine sees of droplets. Where the list leaves it open whether one is still being made,
/// its actions are asked; where they cannot be read, it is what the list says.
pub(super) async fn seen(
    cloud: &DigitalOcean,
    droplets: Vec<(&Known, DropletRemote)>,
) -> BTreeMap<RemoteId, DropletAttrs> {
    let mut seen = BTreeMap::new();
    let mut stuck = Vec::new();
    for (known, droplet) in droplets {
        if droplet.is_stuck(cloud) {
            stuck.push(known.id.clone());
        }
        seen.insert(known.id.clone(), droplet.attrs(Some(known)));
    }
    let looks = stream::iter(stuck).map(|id| async move {
        let actions = actions_of(&path_of::<DropletRemote>(id.as_str()));
        let failed = cloud.has_failed(&actions, "create").await;
        (id, failed.unwrap_or(false))
    });
    let looks: Vec<(RemoteId, bool)> = looks.buffer_unordered(PARALLEL_LOOKS).collect().await;
    for (id, _) in looks.into_iter().filter(|(_, failed)| *failed) {
        if let Some(attrs) = seen.get_mut(&id) {
            ERRORED.clone_into(&mut attrs.status);
        }
    }
    seen
}

impl Remote for DropletRemote {
    type Attrs = DropletAttrs;
    const PATH: &'static str = "/v2/droplets";
    const ONE: &'static str = "droplet";
    const MANY: &'static str = "droplets";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, known: Option<&Known>) -> DropletAttrs {
        let (tags, owner_tag) = owner_tag::seen(&self.tags, &owner_tag::asked(known));
        let price = self
            .size
            .as_ref()
            .and_then(|size| size.price_monthly.as_ref());
        DropletAttrs {
            name: self.name.clone(),
            region: Slug::text(self.region.as_ref()),
            size: self.size_slug.clone(),
            vpc_uuid: filled(self.vpc_uuid.clone()),
            tags,
            monitoring: self.has("monitoring"),
            backups: self.has("backups"),
            ipv6: self.has("ipv6") || !self.networks.v6.is_empty(),
            owner_tag,
            ipv4_address: Networks::address(&self.networks.v4, "public"),
            ipv4_address_private: Networks::address(&self.networks.v4, "private"),
            ipv6_address: Networks::address(&self.networks.v6, "public"),
            status: self.status.clone(),
            power: if self.is_off() { "off" } else { ON }.to_owned(),
            urn: format!("do:droplet:{}", self.id),
            vcpus: self.vcpus,
            memory: self.memory,
            disk: self.disk,
            price_monthly: price.map(|price| {
                let text = price.to_string();
                text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
            }),
            created_at: self.created_at.clone(),
        }
    }
}
