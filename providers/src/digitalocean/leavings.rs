//! What the cluster's own controllers made in the account: volumes of claims, snapshots of these, and
//! load balancers of Services. kplan makes none of it; `destroy` finds it, shows it and destroys it.
//!
//! Which are this cluster's is told by its marks, before anybody agrees and again before each goes.

use super::marks::Marks;
use super::remote::{Remote, Slug, filled, path_of};
use super::{DigitalOcean, Volume};
use crate::http::List;
use crate::kubernetes::Remarks;
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, ObjectCodec as _,
    Permit, ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
        /// By what it is judged once more before it goes: people have read the plan meanwhile.
        pub marks: Option<LeftMarks>,
    }
}

object! {
    /// How the cluster's own are told from others' at the moment they are destroyed.
    pub struct LeftMarks {
        /// The owner's tag.
        pub tag: String,
        /// The cluster's own VPC.
        pub vpc_id: Option<String>,
        /// The cluster's droplets, also those that are gone by then.
        pub droplets: Vec<String>,
        /// Ids of what is on record as kplan's own.
        pub ours: Vec<String>,
        /// What the cluster used and did not make.
        pub foreign: Vec<String>,
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
    Field::ignored(
        "marks",
        "By what it is told from others' once more before it goes.",
    ),
    Field::computed("ip", "Its public address."),
    Field::computed("created_at", "When it was created."),
];

pub(super) const fn info(
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

    /// Whether what is seen of one is still the cluster's, and nobody else's droplet holds it.
    #[doc(hidden)]
    fn is_still_ours(marks: &Marks, shown: &Self::Shown) -> bool;

    /// Destroys one, as it was just seen.
    #[doc(hidden)]
    fn destroy(
        cloud: &DigitalOcean,
        shown: &Self::Shown,
        permit: &Permit,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send;
}

/// A form in which DigitalOcean shows something.
#[doc(hidden)]
#[expect(private_bounds, reason = "nobody else implements it")]
pub trait Shown: Remote<Attrs = LeftAttrs> + Send + Sync + 'static {
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
    pub(super) id: String,
    pub(super) name: String,
    pub(super) size_gigabytes: u32,
    pub(super) region: Option<Slug>,
    pub(super) description: Option<String>,
    pub(super) droplet_ids: Option<Vec<u64>>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) created_at: Option<String>,
}

#[doc(hidden)]
#[derive(Debug, Deserialize)]
pub struct LeftSnapshot {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) min_disk_size: u32,
    pub(super) size_gigabytes: Option<serde_json::Number>,
    pub(super) regions: Option<Vec<String>>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) created_at: Option<String>,
}

#[doc(hidden)]
#[derive(Debug, Deserialize)]
pub struct LeftBalancer {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ip: Option<String>,
    pub(super) region: Option<Slug>,
    pub(super) vpc_uuid: Option<String>,
    pub(super) droplet_ids: Option<Vec<u64>>,
    /// A tag of droplets that it sends to.
    pub(super) tag: Option<String>,
    /// The cloud controller gives `k8s:<cluster>`. The document has no such field; where an answer has
    /// it, it counts.
    pub(super) tags: Option<Vec<String>>,
    pub(super) size_unit: Option<u32>,
    pub(super) created_at: Option<String>,
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

/// Deletes one by its id.
async fn delete<R: Remote>(
    cloud: &DigitalOcean,
    shown: &R,
    permit: &Permit,
) -> Result<(), ProviderError> {
    cloud
        .http()
        .delete(permit, &path_of::<R>(&shown.id()))
        .await
}

impl Sort for Volumes {
    type Shown = LeftVolume;
    const INFO: &'static KindInfo = &VOLUME;

    fn is_still_ours(marks: &Marks, shown: &LeftVolume) -> bool {
        marks.volume(shown)
    }

    /// Detaches it first from the droplet it was seen on, which is the cluster's. Who attaches it to
    /// another one in that moment keeps it: DigitalOcean deletes no volume that is attached.
    async fn destroy(
        cloud: &DigitalOcean,
        shown: &LeftVolume,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        let region = Slug::text(shown.region.as_ref());
        let volume = Volume(cloud.clone());
        for droplet in shown.droplet_ids.iter().flatten() {
            let now = Some(droplet.to_string());
            volume.attach(permit, &shown.id, &region, now, None).await?;
        }
        delete(cloud, shown, permit).await
    }
}

impl Sort for Snapshots {
    type Shown = LeftSnapshot;
    const INFO: &'static KindInfo = &SNAPSHOT;

    fn is_still_ours(marks: &Marks, shown: &LeftSnapshot) -> bool {
        marks.snapshot(shown)
    }

    async fn destroy(
        cloud: &DigitalOcean,
        shown: &LeftSnapshot,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        delete(cloud, shown, permit).await
    }
}

impl Sort for Balancers {
    type Shown = LeftBalancer;
    const INFO: &'static KindInfo = &BALANCER;

    fn is_still_ours(marks: &Marks, shown: &LeftBalancer) -> bool {
        marks.inside(shown) && marks.may_be_ours(shown)
    }

    async fn destroy(
        cloud: &DigitalOcean,
        shown: &LeftBalancer,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        delete(cloud, shown, permit).await
    }
}

/// A kind of which the cluster makes some, and kplan none.
pub struct Left<S> {
    cloud: DigitalOcean,
    remarks: Remarks,
    /// Ids of what became somebody else's after the plan was made, and is let be.
    spared: Mutex<BTreeSet<String>>,
    sort: PhantomData<fn() -> S>,
}

impl<S> Left<S> {
    /// The kind over a connection; what is let be is kept as a remark for the end.
    pub fn new(cloud: DigitalOcean, remarks: Remarks) -> Self {
        Self {
            cloud,
            remarks,
            spared: Mutex::default(),
            sort: PhantomData,
        }
    }

    fn spared(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.spared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts as done, with a remark: it is not the cluster's any more.
    fn spare(&self, known: &Known) {
        self.spared().insert(known.id.to_string());
        self.remarks.keep(format!(
            "{} ({}) was left as it is: it has the cluster's marks no more (its tag, its name, its \
             network), or a droplet that is not the cluster's holds it",
            known.address, known.id
        ));
    }
}

pub(super) fn not_ours(address: &kplan_model::Address) -> ProviderError {
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

    /// Judged once more, by what is seen now: between the plan and this moment somebody may have taken
    /// it over, and a delete by id alone would take it from them.
    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let path = path_of::<S::Shown>(known.id.as_str());
        let shown: Option<S::Shown> = self.cloud.one(&path, S::Shown::ONE).await?;
        let Some(shown) = shown else {
            return Ok(());
        };
        let args = LeftArgs::from_object(&known.args)?;
        if !S::is_still_ours(&args.marks.map(Marks::from).unwrap_or_default(), &shown) {
            self.spare(known);
            return Ok(());
        }
        S::destroy(&self.cloud, &shown, permit).await
    }

    fn going(&self, attrs: &LeftAttrs) -> Readiness {
        if self.spared().contains(&attrs.id) {
            return Readiness::Ready;
        }
        Readiness::Waiting("it is still there".to_owned())
    }
}
