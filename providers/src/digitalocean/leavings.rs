//! What the cluster's own controllers made in the account: volumes of claims, snapshots of these, and
//! load balancers of Services. kplan makes none of it; `destroy` finds it, shows it and destroys it.
//!
//! Found is only what provably is this cluster's. Volumes and snapshots carry the owner's tag and the
//! driver's marks. A load balancer stands in the cluster's own VPC, sends to no droplet but the
//! cluster's, and is named as the cloud controller manager names them, or by a Service of the cluster.

use super::remote::{Remote, Slug, filled};
use super::{DigitalOcean, LoadBalancer, Member, Volume};
use crate::http::{List, encode, parse_timestamp};
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, ObjectCodec as _,
    Permit, ProviderError, RemoteId, ReplaceOrder, Resource, Timestamp, Typical, Wanted, object,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

/// What DigitalOcean's volume driver says of every volume it makes.
const DESCRIPTION: &str = "Created by DigitalOcean CSI driver";

object! {
    /// What a plan shows of one of them.
    pub struct LeftArgs {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// The slug of its region.
        pub region: Option<String>,
        /// Its size in GiB, where it has one.
        pub size: Option<u32>,
        /// How many GB of it are stored, where it is a snapshot: DigitalOcean bills these.
        pub stored: Option<String>,
        /// How many nodes it has, where it is a load balancer.
        pub size_unit: Option<u32>,
        /// What of the cluster it was made for, where the cluster's API told: `claim shop/data`.
        pub made_for: Option<String>,
    }
}

object! {
    /// What DigitalOcean shows of one of them.
    pub struct LeftAttrs {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// The slug of its region.
        pub region: Option<String>,
        /// Its size in GiB, where it has one.
        pub size: Option<u32>,
        /// How many GB of it are stored, where it is a snapshot: DigitalOcean bills these.
        pub stored: Option<String>,
        /// How many nodes it has, where it is a load balancer.
        pub size_unit: Option<u32>,
        /// Its address, where it has one.
        pub ip: Option<String>,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

static FIELDS: &[Field] = &[
    Field::ignored("id", "Its id at DigitalOcean."),
    Field::ignored("name", "Its name."),
    Field::ignored("region", "The slug of its region."),
    Field::ignored("size", "Its size in GiB."),
    Field::ignored("stored", "How many GB of it are stored, which are billed."),
    Field::ignored("size_unit", "How many nodes it has."),
    Field::ignored(
        "made_for",
        "What of the cluster it was made for, where the cluster's API told.",
    ),
    Field::computed("ip", "Its public address."),
    Field::computed("created_at", "When it was created."),
];

const fn info(
    (kind, terraform): (&'static str, &'static str),
    doc: &'static str,
    (fields, holds): (&'static [Field], Option<&'static str>),
) -> KindInfo {
    KindInfo {
        kind: Kind::new(kind),
        terraform,
        doc,
        fields,
        replace: ReplaceOrder::DeleteFirst,
        identity: &[],
        holds,
        // Estimates; none is ever created.
        typical: Typical {
            create: 1,
            update: 1,
            delete: 5,
        },
        max_parallel: 8,
        alike: &[],
        import: None,
        operations: &[],
    }
}

static VOLUME: KindInfo = info(
    ("cluster_volume", "digitalocean_volume"),
    "A volume that the cluster's driver made for a claim. Only `destroy` knows of it.",
    (FIELDS, Some("the data on it")),
);

static SNAPSHOT: KindInfo = info(
    ("cluster_snapshot", "digitalocean_volume_snapshot"),
    "A snapshot that the cluster's driver took of a volume. Only `destroy` knows of it.",
    (FIELDS, Some("the data in it")),
);

static BALANCER: KindInfo = info(
    ("cluster_load_balancer", "digitalocean_loadbalancer"),
    "A load balancer that the cluster's cloud controller made for a Service. Only `destroy` knows of it.",
    (FIELDS, None),
);

/// One sort of what is left.
pub trait Sort: Send + Sync + 'static {
    /// How DigitalOcean shows it.
    #[doc(hidden)]
    type Shown: Shown;
    /// Its kind.
    const INFO: &'static KindInfo;

    /// Destroys one.
    #[doc(hidden)]
    fn destroy(
        cloud: &DigitalOcean,
        known: &Known,
        permit: &Permit,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send;
}

/// A form in which DigitalOcean shows something.
#[doc(hidden)]
#[expect(private_bounds, reason = "nobody else implements it")]
pub trait Shown: Remote<Attrs = LeftAttrs> + Sync + 'static {
    /// The list it stands in.
    fn all() -> List;
}

/// Volumes of claims.
pub struct Volumes;
/// Snapshots of volumes.
pub struct Snapshots;
/// Load balancers of Services.
pub struct Balancers;

#[doc(hidden)]
#[derive(Debug, Deserialize)]
pub struct LeftVolume {
    id: String,
    name: String,
    size_gigabytes: u32,
    region: Option<Slug>,
    description: Option<String>,
    droplet_ids: Option<Vec<u64>>,
    tags: Option<Vec<String>>,
    created_at: Option<String>,
}

#[doc(hidden)]
#[derive(Debug, Deserialize)]
pub struct LeftSnapshot {
    id: String,
    name: String,
    min_disk_size: u32,
    size_gigabytes: Option<serde_json::Number>,
    regions: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    created_at: Option<String>,
}

#[doc(hidden)]
#[derive(Debug, Deserialize)]
pub struct LeftBalancer {
    id: String,
    name: String,
    ip: Option<String>,
    region: Option<Slug>,
    vpc_uuid: Option<String>,
    droplet_ids: Option<Vec<u64>>,
    size_unit: Option<u32>,
    created_at: Option<String>,
}

macro_rules! shown {
    ($form:ident, $path:literal, $one:literal, $many:literal, $list:expr, $attrs:expr) => {
        impl Remote for $form {
            type Attrs = LeftAttrs;
            const PATH: &'static str = $path;
            const ONE: &'static str = $one;
            const MANY: &'static str = $many;

            fn id(&self) -> String {
                self.id.clone()
            }

            fn created_at(&self) -> Option<&str> {
                self.created_at.as_deref()
            }

            fn attrs(&self, _known: Option<&Known>) -> LeftAttrs {
                let attrs: fn(&$form) -> LeftAttrs = $attrs;
                attrs(self)
            }
        }

        impl Shown for $form {
            fn all() -> List {
                $list
            }
        }
    };
}

shown!(
    LeftVolume,
    "/v2/volumes",
    "volume",
    "volumes",
    LeftVolume::list(),
    |volume| LeftAttrs {
        id: volume.id.clone(),
        name: volume.name.clone(),
        region: filled(Some(Slug::text(volume.region.as_ref()))),
        size: Some(volume.size_gigabytes),
        stored: None,
        size_unit: None,
        ip: None,
        created_at: volume.created_at.clone(),
    }
);

shown!(
    LeftSnapshot,
    "/v2/snapshots",
    "snapshot",
    "snapshots",
    LeftSnapshot::list().with("resource_type", "volume"),
    |snapshot| LeftAttrs {
        id: snapshot.id.clone(),
        name: snapshot.name.clone(),
        region: snapshot.regions.iter().flatten().next().cloned(),
        size: Some(snapshot.min_disk_size),
        stored: snapshot.size_gigabytes.as_ref().map(ToString::to_string),
        size_unit: None,
        ip: None,
        created_at: snapshot.created_at.clone(),
    }
);

shown!(
    LeftBalancer,
    "/v2/load_balancers",
    "load_balancer",
    "load_balancers",
    LeftBalancer::list(),
    |balancer| LeftAttrs {
        id: balancer.id.clone(),
        name: balancer.name.clone(),
        region: filled(Some(Slug::text(balancer.region.as_ref()))),
        size: None,
        stored: None,
        // One that has no such field has one node: it is of the time before there were more.
        size_unit: Some(balancer.size_unit.unwrap_or(1)),
        ip: filled(balancer.ip.clone()),
        created_at: balancer.created_at.clone(),
    }
);

impl Sort for Volumes {
    type Shown = LeftVolume;
    const INFO: &'static KindInfo = &VOLUME;

    /// Detaches it first, where its droplet is still there.
    async fn destroy(
        cloud: &DigitalOcean,
        known: &Known,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        Resource::delete(&Volume(cloud.clone()), known, permit).await
    }
}

impl Sort for Snapshots {
    type Shown = LeftSnapshot;
    const INFO: &'static KindInfo = &SNAPSHOT;

    async fn destroy(
        cloud: &DigitalOcean,
        known: &Known,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        let path = format!("{}/{}", LeftSnapshot::PATH, encode(known.id.as_str()));
        cloud.http().delete(permit, &path).await
    }
}

impl Sort for Balancers {
    type Shown = LeftBalancer;
    const INFO: &'static KindInfo = &BALANCER;

    async fn destroy(
        cloud: &DigitalOcean,
        known: &Known,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        Resource::delete(&LoadBalancer(cloud.clone()), known, permit).await
    }
}

/// A kind of which the cluster makes some, and kplan none.
pub struct Left<S> {
    cloud: DigitalOcean,
    sort: PhantomData<fn() -> S>,
}

impl<S> Left<S> {
    /// The kind over a connection.
    pub fn new(cloud: DigitalOcean) -> Self {
        Self {
            cloud,
            sort: PhantomData,
        }
    }
}

fn not_ours(address: &kplan_model::Address) -> ProviderError {
    let message = format!("{address} is the cluster's to make and to change, not kplan's");
    ProviderError::new(ErrorKind::Bug, message)
}

impl<S: Sort> Resource for Left<S> {
    type Args = LeftArgs;
    type Attrs = LeftAttrs;
    const INFO: &'static KindInfo = S::INFO;

    async fn read(&self, known: &Known) -> Result<Option<LeftAttrs>, ProviderError> {
        self.cloud.read::<S::Shown>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, LeftAttrs>, ProviderError> {
        self.cloud
            .read_all::<S::Shown>(known, &S::Shown::all())
            .await
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, LeftArgs>,
    ) -> Result<Vec<Found<LeftAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, LeftArgs>,
        _permit: &Permit,
    ) -> Result<Found<LeftAttrs>, CreateFailed<LeftAttrs>> {
        Err(not_ours(wanted.address).into())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &LeftArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<LeftAttrs, ProviderError> {
        Err(not_ours(&known.address))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        S::destroy(&self.cloud, known, permit).await
    }
}

/// How this cluster's are told from all others.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// The owner's tag.
    pub tag: String,
    /// The cluster's own VPC.
    pub vpc: Option<String>,
    /// Its droplets.
    pub droplets: BTreeSet<String>,
    /// Ids of what is on record as kplan's own.
    pub ours: BTreeSet<String>,
    /// By id: what of the cluster something was made for, as the cluster's API tells.
    pub told: BTreeMap<String, String>,
    /// Ids of what the cluster uses and did not make, as its API tells.
    pub foreign: BTreeSet<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// Its kind.
    pub kind: Kind,
    /// Whether it holds data.
    pub holds_data: bool,
    /// What it was made for, where that is known.
    pub args: LeftArgs,
    /// What is seen of it.
    pub attrs: LeftAttrs,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// What is this cluster's.
    pub found: Vec<Leaving>,
    /// Load balancers in the cluster's VPC of which nothing proves that the cluster made them.
    pub strangers: Vec<Member>,
}

impl Look {
    /// Names of the strangers, with their ids.
    pub fn strangers(&self) -> String {
        let all = self.strangers.iter();
        let all: Vec<String> = all.map(|it| format!("{} ({})", it.name, it.id)).collect();
        all.join(", ")
    }
}

impl Marks {
    fn tagged(&self, tags: Option<&Vec<String>>) -> bool {
        let same = |tag: &String| tag.eq_ignore_ascii_case(&self.tag);
        tags.is_some_and(|tags| tags.iter().any(same))
    }

    fn leaving<S: Sort>(&self, found: &S::Shown) -> Leaving {
        let attrs = found.attrs(None);
        Leaving {
            kind: S::INFO.kind.clone(),
            holds_data: S::INFO.holds.is_some(),
            args: LeftArgs {
                id: attrs.id.clone(),
                name: attrs.name.clone(),
                region: attrs.region.clone(),
                size: attrs.size,
                stored: attrs.stored.clone(),
                size_unit: attrs.size_unit,
                made_for: self.told.get(&attrs.id).cloned(),
            },
            created_at: found.created_at().and_then(parse_timestamp),
            attrs,
        }
    }

    fn volume(&self, volume: &LeftVolume) -> bool {
        let made = volume.description.as_deref() == Some(DESCRIPTION);
        let named = is_called("pvc-", &volume.name);
        // The driver tags what it attaches, also what another cluster made.
        let tags = volume.tags.as_ref();
        let shared = tags.into_iter().flatten().any(|tag| self.is_others(tag));
        let mut users = volume.droplet_ids.iter().flatten();
        let elsewhere = users.any(|id| !self.droplets.contains(&id.to_string()));
        let theirs = shared || elsewhere || self.is_foreign(&volume.id);
        made && named && self.tagged(tags) && !theirs
    }

    /// Whether a tag says that another cluster has to do with something.
    fn is_others(&self, tag: &str) -> bool {
        let tag = tag.to_ascii_lowercase();
        let owner = tag.starts_with("kplan:") && !tag.eq_ignore_ascii_case(&self.tag);
        owner || tag == "k8s" || tag.starts_with("k8s:")
    }

    /// Whether it is kplan's own, or the cluster only uses it.
    fn is_foreign(&self, id: &str) -> bool {
        self.ours.contains(id) || self.foreign.contains(id)
    }

    fn snapshot(&self, snapshot: &LeftSnapshot) -> bool {
        let tags = snapshot.tags.as_ref();
        let shared = tags.into_iter().flatten().any(|tag| self.is_others(tag));
        let named = is_called("snapshot-", &snapshot.name);
        named && self.tagged(tags) && !shared && !self.is_foreign(&snapshot.id)
    }

    /// Whether it stands in the cluster's VPC beside what kplan made there.
    fn inside(&self, balancer: &LeftBalancer) -> bool {
        let inside = self.vpc.is_some() && balancer.vpc_uuid == self.vpc;
        inside && !self.ours.contains(&balancer.id)
    }

    fn proven(&self, balancer: &LeftBalancer) -> bool {
        let mut targets = balancer.droplet_ids.iter().flatten();
        let only_ours = targets.all(|id| self.droplets.contains(&id.to_string()));
        let named = is_a_services_name(&balancer.name) || self.told.contains_key(&balancer.id);
        only_ours && named && !self.foreign.contains(&balancer.id)
    }
}

/// Whether a name is this and a uid, as the driver gives them.
pub(super) fn is_called(before: &str, name: &str) -> bool {
    let uid = name.strip_prefix(before).unwrap_or_default();
    let parts: Vec<usize> = uid.split('-').map(str::len).collect();
    let plain = |c: char| c.is_ascii_hexdigit() || c == '-';
    parts == [8, 4, 4, 4, 12] && uid.chars().all(plain)
}

/// The name Kubernetes gives to the load balancer of a Service: `a` and its uid, 32 characters.
pub(super) fn is_a_services_name(name: &str) -> bool {
    let uid = name.strip_prefix('a').unwrap_or_default();
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    uid.len() == 31 && uid.chars().all(hexadecimal)
}

/// Looks for what the cluster made, by three lists.
///
/// # Errors
/// Those of DigitalOcean.
pub async fn leavings(cloud: &DigitalOcean, marks: &Marks) -> Result<Look, ProviderError> {
    let volumes: Vec<LeftVolume> = cloud.http().list(&LeftVolume::all()).await?;
    let snapshots: Vec<LeftSnapshot> = cloud.http().list(&LeftSnapshot::all()).await?;
    let mut balancers: Vec<LeftBalancer> = cloud.http().list(&LeftBalancer::all()).await?;
    balancers.retain(|balancer| marks.inside(balancer));
    let (proven, others): (Vec<_>, Vec<_>) = balancers
        .iter()
        .partition(|balancer| marks.proven(balancer));
    let volumes = volumes.iter().filter(|volume| marks.volume(volume));
    let snapshots = snapshots.iter().filter(|snapshot| marks.snapshot(snapshot));
    let mut found: Vec<Leaving> = volumes.map(|it| marks.leaving::<Volumes>(it)).collect();
    found.extend(snapshots.map(|it| marks.leaving::<Snapshots>(it)));
    found.extend(proven.into_iter().map(|it| marks.leaving::<Balancers>(it)));
    let strangers = others.into_iter().map(|it| Member {
        what: "load balancer".to_owned(),
        name: it.name.clone(),
        id: it.id.clone(),
    });
    Ok(Look {
        found,
        strangers: strangers.collect(),
    })
}

object! {
    /// How the last look tells this cluster's.
    pub struct LastLookArgs {
        /// The owner's tag.
        pub tag: String,
        /// The cluster's own VPC.
        pub vpc_id: Option<String>,
        /// Whether what holds data stays.
        pub keeps_data: bool,
        /// The cluster's droplets. They are gone by then, and a list may lag behind and still show a
        /// volume on one.
        pub droplets: Option<Vec<String>>,
        /// Load balancers that kplan made itself.
        pub ours: Vec<String>,
        /// What the cluster used and did not make.
        pub foreign: Vec<String>,
        /// The last backup that was agreed to; `None` is none.
        pub final_backup: Option<String>,
    }
}

static LAST_LOOK_FIELDS: &[Field] = &[
    Field::ignored("tag", "The owner's tag."),
    Field::ignored("vpc_id", "The cluster's own VPC."),
    Field::ignored(
        "keeps_data",
        "Whether volumes and snapshots stay (`--orphans keep`).",
    ),
    Field::ignored("droplets", "The cluster's droplets."),
    Field::ignored("ours", "Load balancers that kplan made itself."),
    Field::ignored("foreign", "What the cluster used and did not make."),
    Field::ignored("final_backup", "The last backup that was agreed to."),
];

static LAST_LOOK: KindInfo = info(
    ("cluster_leavings", "kplan_cluster_leavings"),
    "The last look of `destroy`: whether anything is left that the cluster made, before the tag and \
     the VPC go by which it is found.",
    (LAST_LOOK_FIELDS, None),
);

/// The last look.
pub struct LastLook(pub DigitalOcean);

impl Resource for LastLook {
    type Args = LastLookArgs;
    type Attrs = LastLookArgs;
    const INFO: &'static KindInfo = &LAST_LOOK;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<LastLookArgs>, ProviderError> {
        Ok(Some(LastLookArgs::from_object(&known.args)?))
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, LastLookArgs>,
    ) -> Result<Vec<Found<LastLookArgs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, LastLookArgs>,
        _permit: &Permit,
    ) -> Result<Found<LastLookArgs>, CreateFailed<LastLookArgs>> {
        Err(not_ours(wanted.address).into())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &LastLookArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<LastLookArgs, ProviderError> {
        Err(not_ours(&known.address))
    }

    /// Refuses to be over while data is left that nobody was shown. A load balancer that came meanwhile
    /// goes, as every other: it holds nothing.
    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let args = LastLookArgs::from_object(&known.args)?;
        let marks = Marks {
            tag: args.tag,
            vpc: args.vpc_id,
            droplets: args.droplets.into_iter().flatten().collect(),
            ours: args.ours.into_iter().collect(),
            foreign: args.foreign.into_iter().collect(),
            ..Marks::default()
        };
        let look = leavings(&self.0, &marks).await?;
        for late in look.found.iter().filter(|one| !one.holds_data) {
            let path = format!("{}/{}", LeftBalancer::PATH, encode(&late.attrs.id));
            self.0.http().delete(permit, &path).await?;
        }
        let left = look
            .found
            .iter()
            .filter(|one| one.holds_data && !args.keeps_data);
        let left = left.map(|one| format!("{} {} ({})", one.kind, one.attrs.name, one.attrs.id));
        let left: Vec<String> = left.collect();
        if !left.is_empty() {
            let message = format!(
                "the cluster made these after the plan was shown: {}",
                left.join(", ")
            );
            let error = ProviderError::new(ErrorKind::Failed, message);
            return Err(error.help("run destroy again: it shows them and destroys them"));
        }
        if !look.strangers.is_empty() {
            let message = format!(
                "these load balancers stand in the cluster's VPC, and nothing proves that the \
                 cluster made them: {}",
                look.strangers()
            );
            let error = ProviderError::new(ErrorKind::Failed, message);
            return Err(error.help(
                "the VPC cannot go while they are there: delete them or have them deleted, then run \
                 destroy again",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks {
            tag: "kplan:demo-3f9a1c2e".to_owned(),
            vpc: Some("vpc".to_owned()),
            droplets: BTreeSet::from(["7".to_owned()]),
            ours: BTreeSet::from(["ours".to_owned()]),
            told: BTreeMap::from([("told".to_owned(), "Service shop/web".to_owned())]),
            foreign: BTreeSet::from(["foreign".to_owned()]),
        }
    }

    #[test]
    fn a_volume_needs_the_tag_and_the_drivers_marks() {
        const NAME: &str = "pvc-0b1c2d3e-0000-4000-8000-0123456789ab";
        let volume = |id: &str, name: &str, description: &str, tag: &str| LeftVolume {
            id: id.to_owned(),
            name: name.to_owned(),
            size_gigabytes: 1,
            region: None,
            description: Some(description.to_owned()),
            droplet_ids: Some(vec![7]),
            tags: Some(vec![tag.to_owned(), "backup".to_owned()]),
            created_at: None,
        };
        let tag = &marks().tag;
        let own = || volume("a", NAME, DESCRIPTION, tag);
        let tagged = |other: &str| LeftVolume {
            tags: Some(vec![tag.to_owned(), other.to_owned()]),
            ..own()
        };
        assert!(marks().volume(&own()));
        for other in [
            volume("ours", NAME, DESCRIPTION, tag),
            volume("foreign", NAME, DESCRIPTION, tag),
            volume("a", "data", DESCRIPTION, tag),
            volume("a", "pvc-before-the-upgrade", DESCRIPTION, tag),
            volume("a", NAME, "mine", tag),
            volume("a", NAME, DESCRIPTION, "kplan:demo-00000000"),
            // Another cluster made it, and this one attached it.
            tagged("kplan:other-3f9a1c2e"),
            tagged("k8s:0b1c2d3e"),
            // Somebody copies what it holds.
            LeftVolume {
                droplet_ids: Some(vec![8]),
                ..own()
            },
        ] {
            assert!(!marks().volume(&other), "{other:?}");
        }
    }

    #[test]
    fn a_load_balancer_needs_the_vpc_the_droplets_and_a_name() {
        let name = format!("a{}", "0".repeat(31));
        let balancer = |id: &str, name: &str, vpc: &str, droplets: &[u64]| LeftBalancer {
            id: id.to_owned(),
            name: name.to_owned(),
            ip: None,
            region: None,
            vpc_uuid: Some(vpc.to_owned()),
            droplet_ids: Some(droplets.to_vec()),
            size_unit: Some(1),
            created_at: None,
        };
        let made = |it: &LeftBalancer| marks().inside(it) && marks().proven(it);
        assert!(made(&balancer("a", &name, "vpc", &[7])));
        assert!(made(&balancer("a", &name, "vpc", &[])));
        assert!(made(&balancer("told", "front", "vpc", &[7])));
        for other in [
            balancer("ours", &name, "vpc", &[7]),
            balancer("foreign", &name, "vpc", &[7]),
            balancer("a", "front", "vpc", &[7]),
            balancer("a", &name, "other", &[7]),
            balancer("told", "front", "other", &[7]),
            balancer("a", &name, "vpc", &[7, 8]),
            balancer("a", &name[..31], "vpc", &[7]),
        ] {
            assert!(!made(&other), "{other:?}");
        }
    }
}
