//! `reserved_ip`: a public address that outlives droplets.
//!
//! DigitalOcean gives it neither a name nor a tag nor a creation time, so a create whose answer
//! was lost can only be looked for by region and droplet: those that lead to the droplet asked for
//! (a few seconds after they were made), those of the region whose assignment failed, or, where
//! none is asked for, those of the region that lead nowhere. One that is on its way says nothing
//! of where it goes: as long as there is such a one, a look has no answer.

use super::DigitalOcean;
use super::action::{Action, actions_of};
use super::remote::{Remote, Slug, number, path_of, text};
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, FoundAs, Input, Kind, KindInfo, Known, Permit,
    ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

object! {
    /// What is asked of a reserved address.
    pub struct ReservedIpArgs {
        /// The region's slug.
        pub region: String,
        /// The droplet it leads to.
        pub droplet_id: Option<Input<String>>,
    }
}

object! {
    /// What is seen of a reserved address.
    pub struct ReservedIpAttrs {
        /// The region's slug.
        pub region: String,
        /// The droplet it leads to.
        pub droplet_id: Option<String>,
        /// The address.
        pub ip_address: String,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// Whether it is on its way to a droplet, or away from one.
        pub locked: Option<bool>,
    }
}

/// The kind `reserved_ip`.
pub struct ReservedIp(pub DigitalOcean);

static FIELDS: [Field; 5] = [
    Field::replace("region", "The region's slug."),
    Field::in_place("droplet_id", "The droplet it leads to."),
    Field::computed("ip_address", "The address."),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed(
        "locked",
        "Whether it is on its way to a droplet, or away from one.",
    ),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("reserved_ip"),
    terraform: "digitalocean_reserved_ip",
    doc: "A public address that outlives droplets.",
    fields: &FIELDS,
    replace: ReplaceOrder::CreateFirst,
    identity: &["region"],
    holds: Some("the address, which nobody can get back"),
    // Estimates.
    typical: Typical {
        create: 10,
        update: 10,
        delete: 2,
    },
    max_parallel: 4,
    alike: &[],
    import: Some("the address"),
    operations: &[],
};

#[derive(Debug, Deserialize)]
struct Assigned {
    id: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ReservedIpRemote {
    ip: String,
    region: Option<Slug>,
    droplet: Option<Assigned>,
    locked: Option<bool>,
}

impl ReservedIpRemote {
    fn droplet(&self) -> Option<String> {
        Some(self.droplet.as_ref()?.id?.to_string())
    }

    /// Whether an assignment is going on that nothing shows the droplet of.
    fn is_on_its_way(&self) -> bool {
        self.droplet.is_none() && self.locked == Some(true)
    }

    /// Why it cannot be said now whether an address leads to a droplet.
    fn unclear(&self) -> ProviderError {
        ProviderError::new(
            ErrorKind::Busy,
            format!(
                "the reserved address {} is being assigned, and DigitalOcean does not show to \
                 which droplet before that is done",
                self.ip
            ),
        )
        .help("it takes seconds, seldom minutes: run it again then")
    }
}

/// What DigitalOcean calls the action that leads an address to a droplet.
const ASSIGN: &str = "assign_ip";
/// The droplet of an address that leads to none, although one was asked for.
const NOWHERE: &str = "";

impl Remote for ReservedIpRemote {
    type Attrs = ReservedIpAttrs;
    const PATH: &'static str = "/v2/reserved_ips";
    const ONE: &'static str = "reserved_ip";
    const MANY: &'static str = "reserved_ips";
    const ID: &'static str = "ip";

    fn id(&self) -> String {
        self.ip.clone()
    }

    fn attrs(&self, known: Option<&Known>) -> ReservedIpAttrs {
        let asked = known.is_some_and(
            |known| matches!(known.args.get("droplet_id"), Some(value) if !value.is_null()),
        );
        // An address that was to lead somewhere and does not is not one that nobody asks about.
        let nowhere = (asked && self.locked == Some(false)).then(|| NOWHERE.to_owned());
        ReservedIpAttrs {
            region: Slug::text(self.region.as_ref()),
            droplet_id: self.droplet().or(nowhere),
            ip_address: self.ip.clone(),
            urn: format!("do:floatingip:{}", self.ip),
            locked: self.locked,
        }
    }
}

impl ReservedIp {
    /// What an address without a droplet may be: what is left of a create whose assignment failed,
    /// if that assignment is all that ever happened to it; else it is somebody's spare one.
    async fn unassigned(
        &self,
        ip: &ReservedIpRemote,
    ) -> Result<Found<ReservedIpAttrs>, ProviderError> {
        // This list comes whole, says DigitalOcean's document.
        let actions = actions_of(&path_of::<ReservedIpRemote>(&ip.ip)).whole();
        let actions: Vec<Action> = self.0.http.list(&actions).await?;
        let mut found = ip.found();
        found.role = FoundAs::Bystander;
        if let [only] = actions.as_slice()
            && only.failed_to(ASSIGN)
        {
            found.role = FoundAs::Remains;
            found.created_at = only.started();
            found.attrs.droplet_id = Some(NOWHERE.to_owned());
        }
        Ok(found)
    }
}

impl Resource for ReservedIp {
    type Args = ReservedIpArgs;
    type Attrs = ReservedIpAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<ReservedIpAttrs>, ProviderError> {
        self.0.read::<ReservedIpRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, ReservedIpAttrs>, ProviderError> {
        self.0
            .read_all::<ReservedIpRemote>(known, &ReservedIpRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, ReservedIpArgs>,
    ) -> Result<Vec<Found<ReservedIpAttrs>>, ProviderError> {
        let droplet = text(wanted.args.droplet_id.as_ref())?;
        let region = &wanted.args.region;
        let all: Vec<ReservedIpRemote> = self.0.http.list(&ReservedIpRemote::list()).await?;
        let here = all
            .iter()
            .filter(|ip| Slug::text(ip.region.as_ref()) == *region);
        let leads = |ip: &&ReservedIpRemote| ip.droplet() == droplet;
        let mut found: Vec<_> = here.clone().filter(leads).map(Remote::found).collect();
        if droplet.is_none() || !found.is_empty() {
            return Ok(found);
        }
        if let Some(ip) = here.clone().find(|ip| ip.is_on_its_way()) {
            return Err(ip.unclear());
        }
        for ip in here.filter(|ip| ip.droplet().is_none()) {
            found.push(self.unassigned(ip).await?);
        }
        Ok(found)
    }

    async fn create(
        &self,
        wanted: Wanted<'_, ReservedIpArgs>,
        permit: &Permit,
    ) -> Result<Found<ReservedIpAttrs>, CreateFailed<ReservedIpAttrs>> {
        let droplet = text(wanted.args.droplet_id.as_ref()).map_err(ProviderError::from)?;
        let body = match &droplet {
            Some(id) => json!({ "droplet_id": number(id)? }),
            None => json!({ "region": wanted.args.region }),
        };
        let ip: ReservedIpRemote = self.0.make(permit, &body).await?;
        let mut found = ip.found();
        // The answer comes before the assignment is done, and may come before it is begun.
        found.attrs.locked = Some(droplet.is_some());
        Ok(found)
    }

    async fn update(
        &self,
        known: &Known,
        args: &ReservedIpArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<ReservedIpAttrs, ProviderError> {
        let wanted = text(args.droplet_id.as_ref())?;
        let ip: ReservedIpRemote = self.0.reread(known).await?;
        if ip.droplet() != wanted {
            let path = format!("{}/actions", path_of::<ReservedIpRemote>(known.id.as_str()));
            let body = match &wanted {
                Some(id) => json!({ "type": "assign", "droplet_id": number(id)? }),
                None => json!({ "type": "unassign" }),
            };
            self.0.act(permit, &path, &body).await?;
        }
        let ip: ReservedIpRemote = self.0.reread(known).await?;
        Ok(ip.attrs(Some(known)))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.destroy::<ReservedIpRemote>(known, permit).await
    }

    fn readiness(&self, attrs: &ReservedIpAttrs) -> Readiness {
        if attrs.locked == Some(true) {
            Readiness::Waiting("it is being assigned".into())
        } else if attrs.droplet_id.as_deref() == Some(NOWHERE) {
            let why = "its assignment failed: it leads to no droplet";
            Readiness::Failed(why.to_owned())
        } else {
            Readiness::Ready
        }
    }
}
