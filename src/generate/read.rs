//! What was found, as the file speaks of it.

use kplan_model::Value;
use kplan_model::codec::ObjectCodec;
use kplan_providers::digitalocean::{Discovered, DropletAttrs};

/// What of a droplet stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Its number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its region's slug.
    pub region: String,
    /// Its size's slug.
    pub size: String,
    /// The slug of the image it was made of, or its number; unknown where it is gone.
    pub image: Option<String>,
    /// Its VPC.
    pub vpc: Option<String>,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// DigitalOcean's agent.
    pub monitoring: bool,
    /// DigitalOcean's backups.
    pub backups: bool,
    /// A public IPv6 address.
    pub ipv6: bool,
    /// Whether it runs.
    pub on: bool,
}

/// What all droplets of a pool have in common.
pub(super) type Traits<'a> = (
    [&'a str; 2],
    Option<&'a str>,
    Option<&'a str>,
    &'a [String],
    [bool; 4],
);

impl Machine {
    /// A droplet; nothing where it was read in another shape.
    pub(super) fn of(one: &Discovered) -> Option<Self> {
        let attrs: DropletAttrs = typed(one)?;
        let image = match one.attrs.get("image") {
            Some(Value::Str(image)) => Some(image.as_str().to_owned()),
            _ => None,
        };
        let mut tags = attrs.tags;
        tags.sort();
        Some(Self {
            id: one.id.clone(),
            name: attrs.name,
            region: attrs.region,
            size: attrs.size,
            image,
            vpc: attrs.vpc_uuid,
            tags,
            monitoring: attrs.monitoring,
            backups: attrs.backups,
            ipv6: attrs.ipv6,
            on: attrs.power == "on",
        })
    }

    /// What another droplet of its pool has to have, too.
    pub(super) fn traits(&self) -> Traits<'_> {
        (
            [&self.region, &self.size],
            self.image.as_deref(),
            self.vpc.as_deref(),
            &self.tags,
            [self.monitoring, self.backups, self.ipv6, self.on],
        )
    }
}

/// Its attributes in their own type.
pub(super) fn typed<T: ObjectCodec>(one: &Discovered) -> Option<T> {
    T::from_object(&one.attrs).ok()
}
