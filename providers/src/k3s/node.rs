//! `k3s_node`: the K3s on one droplet. Creating it writes the node's signed bundle, for which the
//! droplet polls; it is ready when the node reports that K3s runs. When its droplet is interrupted
//! later, it is ready again when the cluster says so.

use super::boot::{self, ADDRESS_VALID, BootArgs};
use super::bundle::{self, Header};
use super::config;
use super::etcd_restore::{self, EtcdRestore};
use super::pki::{Chains, ServerKeys, exposed};
use super::report::{self, MAX_REPORT, Phase};
use super::storage::{BootStorage, Listed, Place};
use crate::artifacts::{ArtifactRef, ArtifactSource};
use crate::http::{Now, parse_timestamp};
use crate::kubernetes::Kubernetes;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kplan_model::{
    Change, Compare, CreateFailed, Disruption, ErrorKind, Field, FieldSet, Found, FoundOrNot,
    Input, Kind, KindInfo, Known, ObjectCodec, Otherwise, Permit, ProviderError, Readiness,
    RemoteId, ReplaceOrder, Resource, Secret, Timestamp, Typical, Wanted,
};
use std::collections::BTreeMap;
use std::sync::Arc;

mod drain;
mod etcd;
mod labels;
mod life;
mod living;
#[cfg(test)]
pub(crate) mod tests;

pub use drain::{Drain, Uncordon};
pub use etcd::LeaveEtcd;
pub use life::NodeApi;
pub(super) use life::{is_passing, permitted, provider_id};
pub(super) use living::give;

/// How many reports are read at once.
const PARALLEL_READS: usize = 8;
/// Minutes after which a droplet that reported nothing is suspicious. It boots in about one;
/// packages of the distribution may take some more.
const SILENT: i64 = 5;
/// How long before its end an address is not relied on any more by what is planned now: asking for
/// consent and whatever comes before the bundle take minutes.
const NEARLY: i64 = 5 * 60_000;
/// How much of a failed node's log an error shows.
const LOG_LINES: usize = 20;

kplan_model::object! {
    /// Where K3s keeps its data.
    pub struct Datastore {
        /// `sqlite`, `etcd`, `postgres` or `mysql`; the rest is for the last two.
        pub kind: String,
        /// The database's private host.
        pub host: Option<Input<String>>,
        /// Its port.
        pub port: Option<Input<u16>>,
        /// The user K3s connects as.
        pub user: Option<Input<String>>,
        /// The user's password.
        pub password: Option<Input<Secret>>,
        /// The database.
        pub database: Option<Input<String>>,
        /// The authority that signed the database's certificate, PEM.
        pub ca: Option<Input<String>>,
    }
}

kplan_model::object! {
    /// What is asked for.
    pub struct NodeArgs {
        /// Identity, role, and where the bundle goes.
        pub boot: BootArgs,
        /// The droplet.
        pub droplet_id: Input<String>,
        /// When the droplet was created, RFC 3339: its addresses are valid for an hour from then.
        pub droplet_created_at: Option<Input<String>>,
        /// The droplet's address in the VPC.
        pub private_ip: Input<String>,
        /// The droplet's public address.
        pub public_ip: Option<Input<String>>,
        /// Servers only: the authorities.
        pub certificates: Option<Input<Chains>>,
        /// Servers only: their keys.
        pub server_keys: Option<Input<ServerKeys>>,
        /// The digest every token pins.
        pub token_hash: Input<String>,
        /// Servers only: the secret of the server token.
        pub server_token: Option<Input<Secret>>,
        /// Servers only, while the server token is exchanged: the one before.
        pub server_token_before: Option<Input<Secret>>,
        /// Servers only: since when the server token is what it is, in milliseconds since 1970.
        /// `None` where it is the one the cluster was made with.
        pub server_token_after: Option<i64>,
        /// The secret of the agent token.
        pub agent_token: Input<Secret>,
        /// The key that signs bundles.
        pub bundle_key: Input<Secret>,
        /// Servers only: where K3s keeps its data.
        pub datastore: Option<Datastore>,
        /// The first etcd server of the cluster's life.
        pub init: bool,
        /// The private address of a living server to join.
        pub join: Option<Input<String>>,
        /// Servers with embedded etcd: whether the cluster was begun and has other servers, so that
        /// this one joins one of those that answer, and never begins a cluster.
        pub begun: Option<bool>,
        /// Servers with embedded etcd: whether K3s copies its snapshots where a Secret of the cluster
        /// says. `None` is no.
        pub etcd_snapshots: Option<bool>,
        /// The first etcd server of a cluster that is restored: the snapshot it begins from.
        pub restore: Option<EtcdRestore>,
        /// Names and addresses the API's certificate carries besides the node's own.
        pub tls_sans: Vec<Input<String>>,
        /// Components of K3s that are not deployed.
        pub disable: Vec<String>,
        /// The node's labels that are kplan's.
        pub labels: BTreeMap<String, String>,
        /// The node's taints that are kplan's, `key=value:Effect`.
        pub taints: Vec<String>,
        /// K3s's version, such as `v1.35.6+k3s1`.
        pub version: String,
        /// K3s's binary.
        pub binary: ArtifactRef,
        /// The cluster's API, to see whether the node is back after its droplet was interrupted.
        pub api: Option<NodeApi>,
        /// The leaf certificates of its K3s are made anew where they are older than this, in
        /// milliseconds since 1970. `None` leaves them to K3s, which renews them in time when it is
        /// started.
        pub certificates_after: Option<i64>,
    }
}

kplan_model::object! {
    /// What is known of it.
    pub struct NodeAttrs {
        /// The node's name.
        pub name: String,
        /// The droplet.
        pub droplet_id: String,
        /// The droplet's address in the VPC, for others to join.
        pub private_ip: String,
        /// What the node reported last; `none` before its first report.
        pub phase: String,
        /// What it said.
        pub message: Option<String>,
        /// The end of its log, until K3s runs.
        pub log: Option<String>,
        /// When the last report was written, in milliseconds since 1970.
        pub reported_at: Option<i64>,
        /// Why it does not count as working although K3s runs: its droplet was interrupted, and the
        /// cluster has not seen it since.
        pub away: Option<String>,
        /// While it is away: its last sign of life that does not count, in milliseconds since 1970.
        pub heartbeat: Option<i64>,
        /// Servers whose data moves or moved to another datastore: where it was seen last.
        pub datastore: Option<Datastore>,
        /// While K3s was not seen started with what it was told last: the mark of that.
        pub told: Option<String>,
        /// Where it was told other names for its certificate: those in effect by what was seen.
        pub tls_sans: Option<Vec<String>>,
        /// Where it was told another agent token: the one in effect.
        pub agent_token: Option<Secret>,
        /// Where it was told another server token: since when the one in effect is, in milliseconds
        /// since 1970.
        pub server_token_after: Option<i64>,
        /// Where its certificates were made anew: since when, in milliseconds since 1970.
        pub certificates_after: Option<i64>,
        /// What the cluster shows of the labels it was given last; nothing before the first look.
        pub labels: Option<BTreeMap<String, String>>,
        /// What the cluster shows of the taints it was given last, `key=value:Effect`.
        pub taints: Option<Vec<String>>,
    }
}

const AT_START: &str = "K3s reads it when the node first starts, and changing it on a living node \
                        is not supported yet: replace the node's droplet (--replace)";
const KEYS: &str = "the keys of a living cluster are not exchanged by an apply";
const DATA: &str = "the data of a living cluster moves by an apply from SQLite to etcd alone, on the \
                    same server, and not back";

static FIELDS: &[Field] = &[
    Field::ignored(
        "boot",
        "Identity and role of the node, and where its bundle goes.",
    )
    .reaches(),
    Field::replace("droplet_id", "The droplet it runs on.").runs_on(),
    Field::ignored("droplet_created_at", "When the droplet was created."),
    Field::replace("private_ip", "The droplet's address in the VPC."),
    Field::new(
        "public_ip",
        Change::Refuse(AT_START),
        "The droplet's public address.",
    ),
    Field::new(
        "certificates",
        Change::Refuse(KEYS),
        "The authorities; servers only.",
    ),
    Field::new(
        "server_keys",
        Change::Refuse(KEYS),
        "Their keys; servers only.",
    )
    .secret(),
    Field::new(
        "token_hash",
        Change::Refuse(KEYS),
        "The digest of the root every token pins.",
    ),
    Field::ignored("server_token", "The secret servers join with.").secret(),
    Field::ignored(
        "server_token_before",
        "The secret servers joined with before, while it is exchanged.",
    )
    .secret(),
    Field::restarts(
        "server_token_after",
        "Since when the server token is what it is, in milliseconds since 1970.",
    ),
    Field::restarts("agent_token", "The secret agents join with.").secret(),
    Field::restarts(
        "certificates_after",
        "Its certificates are made anew where they are older, in milliseconds since 1970.",
    ),
    Field::ignored("bundle_key", "Signs the bundle.").secret(),
    Field::new(
        "datastore",
        Change::InParts {
            parts: &["password"],
            disruption: Disruption::Restart,
            otherwise: &Change::OneWay {
                from: "sqlite",
                to: "etcd",
                otherwise: Otherwise::Refuse(DATA),
            },
        },
        "Where K3s keeps its data; servers only.",
    ),
    Field::ignored(
        "init",
        "Whether it is the first etcd server of the cluster's life.",
    ),
    Field::ignored("join", "The private address of the server it joins."),
    Field::ignored("begun", "Whether the cluster was begun by other servers."),
    Field::ignored(
        "etcd_snapshots",
        "Whether K3s copies snapshots of etcd into the bucket; read when the node first starts.",
    ),
    Field::ignored(
        "restore",
        "The snapshot of etcd it begins from; read when the node first starts.",
    ),
    Field::restarts("tls_sans", "Names and addresses in the API's certificate.").by(Compare::Set),
    Field::new(
        "disable",
        Change::Refuse(AT_START),
        "Components of K3s that are not deployed.",
    )
    .by(Compare::Set),
    Field::in_place(
        "labels",
        "The node's labels that are kplan's; those of others stay.",
    ),
    Field::in_place(
        "taints",
        "The node's taints that are kplan's; those of others stay.",
    )
    .by(Compare::Set),
    Field::ignored(
        "version",
        "The version of K3s it starts with; `k3s_upgrade` changes that of living nodes.",
    ),
    Field::ignored("binary", "Where K3s's binary comes from, and its digest."),
    Field::ignored("api", "Where to ask whether the node is back.").reaches(),
    Field::computed("name", "The node's name."),
    Field::computed("phase", "What the node reported last."),
    Field::computed("message", "What it said."),
    Field::computed("log", "The end of its boot log, until K3s runs."),
    Field::computed(
        "reported_at",
        "When it reported last, in milliseconds since 1970.",
    ),
    Field::computed(
        "told",
        "The mark of what K3s was told and was not seen started with yet.",
    ),
    Field::computed("away", "Why it does not count as working at the moment."),
    Field::computed(
        "heartbeat",
        "Its last sign of life that does not count, in milliseconds since 1970.",
    ),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("k3s_node"),
    terraform: "kplan_k3s_node",
    doc: "K3s on one droplet, installed from a signed bundle.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["droplet_id"],
    holds: None,
    // A droplet boots in about 40 s and K3s starts in about 30 s after a download of 70 MB.
    typical: Typical {
        create: 60,
        update: 1,
        delete: 2,
    },
    max_parallel: 32,
    alike: &[],
    import: None,
    operations: &[drain::DRAIN, etcd::LEAVE],
};

/// The kind.
pub struct K3sNode {
    storage: Arc<dyn BootStorage>,
    artifacts: Arc<dyn ArtifactSource>,
    kubernetes: Kubernetes,
    now: Now,
}

impl K3sNode {
    /// With a way to the boot bucket, to artifacts, to clusters, and a clock.
    pub fn new(
        storage: Arc<dyn BootStorage>,
        artifacts: Arc<dyn ArtifactSource>,
        kubernetes: Kubernetes,
        now: Now,
    ) -> Self {
        Self {
            storage,
            artifacts,
            kubernetes,
            now,
        }
    }

    fn droplet_created(args: &NodeArgs) -> Result<Option<Timestamp>, ProviderError> {
        let Some(created) = &args.droplet_created_at else {
            return Ok(None);
        };
        Ok(parse_timestamp(created.known()?))
    }

    /// When the addresses in the droplet's `user_data` stop working.
    fn expires(args: &NodeArgs) -> Result<Option<Timestamp>, ProviderError> {
        let valid = i64::try_from(ADDRESS_VALID.as_millis()).unwrap_or(i64::MAX);
        let created = Self::droplet_created(args)?;
        Ok(created.map(|at| Timestamp(at.0.saturating_add(valid))))
    }

    /// What to say of a node that should have reported by now.
    fn silence(&self, args: &NodeArgs) -> Result<Option<String>, ProviderError> {
        let Some(created) = Self::droplet_created(args)? else {
            return Ok(None);
        };
        let age = (self.now)().since(created) / 60_000;
        if age < SILENT {
            return Ok(None);
        }
        Ok(Some(format!(
            "the droplet was made {age} minutes ago and has reported nothing: cloud-init does not \
             run on it, or it cannot reach {}; its console in the control panel shows which",
            args.boot.endpoint.known()?
        )))
    }

    fn is_over(&self, args: &NodeArgs) -> Result<bool, ProviderError> {
        self.is_over_in(0, args)
    }

    /// Whether the addresses will have stopped working so many milliseconds from now.
    fn is_over_in(&self, millis: i64, args: &NodeArgs) -> Result<bool, ProviderError> {
        let then = Timestamp((self.now)().0.saturating_add(millis));
        Ok(Self::expires(args)?.is_some_and(|end| then >= end))
    }

    /// The attributes of a node by its last report, for which one list of its bucket is enough.
    async fn look(
        &self,
        args: &NodeArgs,
        place: &Place,
        listed: &[Listed],
    ) -> Result<NodeAttrs, ProviderError> {
        let mut attrs = blank(args)?;
        let bundle_key = args.boot.bundle_key()?;
        let report_key = boot::report_key(&bundle_key);
        let find = |key: &str| listed.iter().find(|one| one.key == key);
        if let Some(seen) = find(&report_key) {
            let bytes = self.storage.get(place, &report_key, MAX_REPORT).await?;
            let read = bytes.and_then(|bytes| report::read(&bytes, &args.boot.node));
            // Names are used again: a report from before the droplet is an earlier droplet's. A
            // failure from before the bundle is about an earlier bundle. But K3s that started
            // once runs, and its droplet never reports again.
            let before = |moment: Option<Timestamp>| moment.is_some() && seen.modified < moment;
            let stranger = before(Self::droplet_created(args)?);
            let superseded = before(find(&bundle_key).and_then(|bundle| bundle.modified));
            if let Some(report) = read
                && !stranger
                && !(superseded && report.phase == Phase::Failed)
            {
                report.phase.as_str().clone_into(&mut attrs.phase);
                attrs.message = Some(report.message).filter(|text| !text.is_empty());
                attrs.log = Some(report.log)
                    .filter(|text| !text.is_empty() && report.phase != Phase::Started);
                attrs.reported_at = seen.modified.map(|at| at.0);
            }
        }
        let waits = matches!(attrs.phase.as_str(), "none" | "waiting-for-bundle");
        if waits && self.is_over(args)? {
            "failed".clone_into(&mut attrs.phase);
            attrs.message = Some(EXPIRED.to_owned());
        } else if attrs.phase == "none" {
            attrs.message = self.silence(args)?;
        }
        Ok(attrs)
    }

    /// The bundle of a node, by a list of its bucket that holds it if there is one.
    async fn find_in(
        &self,
        place: &Place,
        listed: &[Listed],
        args: &NodeArgs,
    ) -> FoundOrNot<NodeAttrs> {
        let key = args.boot.bundle_key()?;
        let Some(bundle) = listed.iter().find(|one| one.key == key) else {
            return Ok(Vec::new());
        };
        let bytes = self.storage.get(place, &key, bundle::MAX_BUNDLE).await?;
        let droplet = bytes.as_deref().and_then(bundle::droplet_of);
        // Names are used again: any other is an earlier droplet's of that name, whatever the time.
        if droplet.as_ref() != Some(args.droplet_id.known()?) {
            return Ok(Vec::new());
        }
        Ok(vec![Found {
            id: id(args)?,
            created_at: bundle.modified,
            attrs: self.look(args, place, listed).await?,
            role: kplan_model::FoundAs::Asked,
        }])
    }

    async fn look_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, NodeAttrs>, ProviderError> {
        let mut found = BTreeMap::new();
        let mut away = Vec::new();
        let mut labelled = Vec::new();
        let mut waiting: BTreeMap<Place, Vec<(RemoteId, NodeArgs)>> = BTreeMap::new();
        for one in known {
            let attrs = NodeAttrs::from_object(&one.attrs)?;
            let args = NodeArgs::from_object(&one.args)?;
            if attrs.away.is_some() {
                away.push((one.id.clone(), args.clone(), attrs.clone()));
            }
            // K3s runs; from here on the droplet says whether the node exists, and the cluster
            // whether it is well. The reports are gone after a day.
            if attrs.phase == Phase::Started.as_str() {
                found.insert(one.id.clone(), attrs);
                if !(args.labels.is_empty() && args.taints.is_empty()) {
                    labelled.push((one.id.clone(), args));
                }
                continue;
            }
            waiting
                .entry(args.boot.place()?)
                .or_default()
                .push((one.id.clone(), args));
        }
        for (place, nodes) in waiting {
            let listed = self.storage.list(&place, boot::PREFIX).await?;
            let (place, listed) = (&place, listed.as_slice());
            let seen: Vec<(RemoteId, NodeAttrs)> = stream::iter(nodes)
                .map(|(id, args)| async move {
                    Ok::<_, ProviderError>((id, self.look(&args, place, listed).await?))
                })
                .buffer_unordered(PARALLEL_READS)
                .try_collect()
                .await?;
            found.extend(seen);
        }
        self.look_for_life(away, &mut found).await?;
        self.look_at_labels(labelled, &mut found).await;
        Ok(found)
    }
}

const EXPIRED: &str = "the addresses in its user_data were valid for an hour, and it did not fetch \
                       its bundle in that time, so it never will; the next apply replaces its \
                       droplet";
const OVER: &str = "the addresses in its user_data, by which it fetches what makes it a node, are \
                    valid for an hour, which is over or nearly so";
const BOOTED: &str = "K3s runs on it, and a droplet looks for what makes it a node only until then";

fn blank(args: &NodeArgs) -> Result<NodeAttrs, ProviderError> {
    Ok(NodeAttrs {
        name: args.boot.node.clone(),
        droplet_id: args.droplet_id.known()?.clone(),
        private_ip: args.private_ip.known()?.clone(),
        phase: "none".to_owned(),
        message: None,
        log: None,
        reported_at: None,
        away: None,
        heartbeat: None,
        datastore: None,
        told: None,
        tls_sans: None,
        agent_token: None,
        // One that is made while the token is exchanged may join with the old one, at a server that
        // takes no other yet: it has to be seen started with the new one.
        server_token_after: match (&args.server_token_before, args.server_token_after) {
            (Some(_), Some(_)) if args.restore.is_none() => Some(0),
            _ => None,
        },
        certificates_after: None,
        labels: None,
        taints: None,
    })
}

fn id(args: &NodeArgs) -> Result<RemoteId, ProviderError> {
    let boot = &args.boot;
    Ok(RemoteId::new(format!(
        "{}/{}/{}",
        boot.cluster,
        boot.node,
        args.droplet_id.known()?
    )))
}

impl Resource for K3sNode {
    type Args = NodeArgs;
    type Attrs = NodeAttrs;

    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;
    const FINDS_ALL: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<NodeAttrs>, ProviderError> {
        let mut found = self.look_all(std::slice::from_ref(known)).await?;
        Ok(found.remove(&known.id))
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, NodeAttrs>, ProviderError> {
        self.look_all(known).await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, NodeArgs>,
    ) -> Result<Vec<Found<NodeAttrs>>, ProviderError> {
        let (args, place) = (wanted.args, wanted.args.boot.place()?);
        let listed = self.storage.list(&place, &args.boot.bundle_key()?).await?;
        self.find_in(&place, &listed, args).await
    }

    /// By one list for each boot bucket, of which a cluster has one.
    async fn find_all(&self, wanted: &[Wanted<'_, NodeArgs>]) -> Vec<FoundOrNot<NodeAttrs>> {
        let mut lists: BTreeMap<Place, Result<Vec<Listed>, ProviderError>> = BTreeMap::new();
        let mut found = Vec::with_capacity(wanted.len());
        for one in wanted {
            let place = match one.args.boot.place() {
                Ok(place) => place,
                Err(error) => {
                    found.push(Err(error));
                    continue;
                }
            };
            if !lists.contains_key(&place) {
                let listed = self.storage.list(&place, boot::PREFIX).await;
                lists.insert(place.clone(), listed);
            }
            found.push(match lists.get(&place) {
                Some(Ok(listed)) => self.find_in(&place, listed, one.args).await,
                Some(Err(error)) => Err(error.clone()),
                None => Ok(Vec::new()),
            });
        }
        found
    }

    async fn create(
        &self,
        wanted: Wanted<'_, NodeArgs>,
        permit: &Permit,
    ) -> Result<Found<NodeAttrs>, CreateFailed<NodeAttrs>> {
        let args = wanted.args;
        if self.is_over(args)? {
            let error = ProviderError::new(
                ErrorKind::Failed,
                format!(
                    "the droplet {} no longer waits for its bundle: {EXPIRED}",
                    args.boot.node
                ),
            );
            return Err(error.into());
        }
        let digest = match &args.binary.sha256 {
            Some(digest) => digest.clone(),
            None => self.artifacts.digest(&args.binary).await?,
        };
        let header = Header {
            cluster: args.boot.cluster.clone(),
            node: args.boot.node.clone(),
            droplet_id: args
                .droplet_id
                .known()
                .map_err(ProviderError::from)?
                .clone(),
            role: args.boot.role.clone(),
        };
        let key = args.bundle_key.known().map_err(ProviderError::from)?;
        life::forget_predecessor(&self.kubernetes, args, permit).await?;
        let joining = etcd::joining(&self.kubernetes, args).await?;
        let mut files = config::files(&joining, &digest)?;
        etcd_restore::add(&mut files, &joining, self.storage.as_ref()).await?;
        let bytes = bundle::pack(&header, &files, exposed(key)?)?;
        let (place, name) = (args.boot.place()?, args.boot.bundle_key()?);
        self.storage
            .put(&place, &name, Bytes::from(bytes), permit)
            .await?;
        Ok(Found {
            id: id(args)?,
            created_at: Some((self.now)()),
            attrs: blank(args)?,
            role: kplan_model::FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        known: &Known,
        args: &NodeArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<NodeAttrs, ProviderError> {
        let before = NodeArgs::from_object(&known.args)?;
        let mut attrs = NodeAttrs::from_object(&known.attrs)?;
        if changed.any(&["labels", "taints"]) {
            attrs = self.label(attrs, (&before, args), permit).await?;
        }
        // Last, because the API is away soon after.
        let labels = changed.contains("labels");
        if changed.any(&living::AT_START) || (labels && attrs.told.is_some()) {
            let change = (&before, args);
            attrs = living::begin(&self.kubernetes, attrs, change, changed, permit).await?;
        } else if labels {
            living::note_labels(&self.kubernetes, &attrs, args, permit).await?;
        }
        Ok(attrs)
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let args = NodeArgs::from_object(&known.args)?;
        let (place, name) = (args.boot.place()?, args.boot.bundle_key()?);
        // The report stays: a droplet whose K3s runs never makes another. It holds no secret and
        // the bucket's lifecycle removes it after a day.
        self.storage.remove(&place, &name, permit).await
    }

    fn too_late(&self, args: &NodeArgs, attrs: Option<&NodeAttrs>) -> Option<String> {
        if attrs.is_some_and(|attrs| attrs.phase == Phase::Started.as_str()) {
            return Some(BOOTED.to_owned());
        }
        // A droplet that is not known yet is made with this one.
        let over = self.is_over_in(NEARLY, args).unwrap_or(false);
        over.then(|| OVER.to_owned())
    }

    fn interrupted(&self, attrs: NodeAttrs) -> NodeAttrs {
        life::interrupted(attrs)
    }

    fn is_interrupted(&self, attrs: &NodeAttrs) -> bool {
        attrs.away.is_some()
    }

    fn readiness(&self, attrs: &NodeAttrs) -> Readiness {
        let message = attrs.message.as_deref().unwrap_or("no message");
        match attrs.phase.as_str() {
            "started" => attrs
                .away
                .clone()
                .map_or(Readiness::Ready, Readiness::Waiting),
            "failed" => {
                let mut text = format!("{}: {message}", attrs.name);
                if let Some(log) = &attrs.log {
                    let lines: Vec<&str> = log.lines().collect();
                    text.push_str("\nthe end of its log:\n");
                    text.push_str(&lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
                }
                Readiness::Failed(text)
            }
            "none" => {
                let boots = || "the droplet boots".to_owned();
                Readiness::Waiting(attrs.message.clone().unwrap_or_else(boots))
            }
            _ => Readiness::Waiting(message.to_owned()),
        }
    }
}
