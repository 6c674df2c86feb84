//! The validated cluster description: what `compose` turns into resource declarations.
//!
//! Every leaf is a [`Spanned`] value, so that anything downstream can point into the file. Defaults
//! are filled in (their span is `None`), names are final, and no rule is left to be checked.

mod blocks;
mod relocation;

pub use blocks::*;
pub use relocation::{Import, Move, Removal};

use std::collections::BTreeMap;

use crate::span::{Span, Spanned};
use crate::value::{
    AccessKey, ArgoCdVersion, ArtifactUrl, BlockRef, BucketName, ChartName, ChartRepository,
    ChartVersion, Cidr, CronSchedule, DatabaseSize, DatabaseVersion, Datastore, Delivery, DnsLabel,
    Domain, DriftRule, Environment, Hostname, ImageSlug, K3sVersion, LabelValue, LocalFile,
    RecordName, RegionSlug, RepoPath, RepoUrl, ResourceName, Retention, S3Place, SecretSource,
    Sha256, SizeSlug, SqlName, StateBackend, Tag, Taint, VeleroVersion,
};

/// Kubernetes node labels: key to value.
pub type Labels = BTreeMap<String, Spanned<LabelValue>>;

/// A whole `cluster.toml`, valid and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[project]`
    pub project: Option<Project>,
    /// `[network]`; always present, since a cluster of kplan's always gets its own VPC.
    pub network: Network,
    /// `[servers]`; a count of 0 where the file has none.
    pub servers: Servers,
    /// `[[agents]]`, in the order of the file; names are unique.
    pub agents: Vec<AgentPool>,
    /// `[k3s]`; always present.
    pub k3s: K3s,
    /// `[load_balancer.api]`
    pub api_load_balancer: Option<ApiLoadBalancer>,
    /// `[endpoint]`
    pub endpoint: Option<Endpoint>,
    /// `[gitops]`
    pub gitops: Option<Gitops>,
    /// `[backup]`
    pub backup: Option<Backup>,
    /// `[storage]`; always present.
    pub storage: Storage,
    /// `[cloud_controller]`; always present.
    pub cloud_controller: CloudController,
    /// `[addons]`; always present.
    pub addons: Addons,
    /// `[[addon]]`, in the order of the file; names are unique, and `after` names others of them.
    pub own_addons: Vec<Addon>,
    /// `[[ssh_key]]`
    pub ssh_keys: Vec<SshKey>,
    /// `[[vpc]]`
    pub vpcs: Vec<FreeVpc>,
    /// `[[droplet]]`
    pub droplets: Vec<FreeDroplet>,
    /// `[[volume]]`
    pub volumes: Vec<FreeVolume>,
    /// `[[firewall]]`
    pub firewalls: Vec<FreeFirewall>,
    /// `[[load_balancer]]`, and `[load_balancer.…]` but for `api`.
    pub load_balancers: Vec<FreeLoadBalancer>,
    /// `[[database]]`
    pub databases: Vec<FreeDatabase>,
    /// `[[bucket]]`
    pub buckets: Vec<FreeBucket>,
    /// `[[reserved_ip]]`
    pub reserved_ips: Vec<FreeReservedIp>,
    /// `[[domain]]`
    pub domains: Vec<FreeDomain>,
    /// `[[domain_record]]`
    pub domain_records: Vec<DomainRecord>,
    /// `[[import]]`
    pub imports: Vec<Import>,
    /// `[[moved]]`, in the order of the file.
    pub moves: Vec<Move>,
    /// `[[removed]]`
    pub removals: Vec<Removal>,
    /// `[drift] ignore`
    pub ignored_drift: Vec<Spanned<DriftRule>>,
    /// `[mirror]`
    pub mirror: Option<Mirror>,
    /// `[state] backend`; default `local`. A bucket of Spaces has its region here.
    pub state: Spanned<StateBackend>,
}

/// `[cluster]`: who the cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Prefix of every remote name.
    pub name: Spanned<DnsLabel>,
    /// Region of everything but, perhaps, the backup bucket.
    pub region: Spanned<RegionSlug>,
    /// `destroy` is refused while true; default false.
    pub protect: Spanned<bool>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[project]`: the DigitalOcean project the resources are filed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Unique in the account; at most 175 characters; default the cluster's name.
    pub name: Spanned<String>,
    /// Default `Development`.
    pub environment: Spanned<Environment>,
    /// At most 255 characters; default empty.
    pub description: Spanned<String>,
    /// At most 255 characters; default `Service or API`.
    pub purpose: Spanned<String>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The cluster's own VPC.
    pub vpc: Vpc,
    /// Who may reach port 6443. `None` means nobody said: open to the world, with a warning.
    /// Never an empty list.
    pub api_allow: Option<Spanned<Vec<Spanned<Cidr>>>>,
    /// Who may reach port 22; empty (the default) means no SSH rule at all.
    pub ssh_allow: Spanned<Vec<Spanned<Cidr>>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[network] vpc`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// Default: the cluster's name.
    pub name: Spanned<ResourceName>,
    /// IPv4, private, /16 to /28. `None` lets DigitalOcean choose a free /20.
    pub ip_range: Option<Spanned<Cidr>>,
    /// The table.
    pub span: Option<Span>,
}

/// `[servers]`: the control plane's droplets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// At least 1; default 1; 0 where the file has no `[servers]`.
    pub count: Spanned<u32>,
    /// Droplet size.
    pub size: Spanned<SizeSlug>,
    /// Default `ubuntu-24-04-x64`.
    pub image: Spanned<ImageSlug>,
    /// Node labels; default none.
    pub labels: Labels,
    /// Node taints; default none.
    pub taints: Vec<Spanned<Taint>>,
    /// Whether workloads may run on servers; default true. False adds the control-plane taint.
    pub schedulable: Spanned<bool>,
    /// DigitalOcean's own droplet backups; default false.
    pub backups: Spanned<bool>,
    /// DigitalOcean's monitoring agent; default true.
    pub monitoring: Spanned<bool>,
    /// What only droplets whose K3s is somebody else's have.
    pub unmanaged: Unmanaged,
    /// The table's header.
    pub span: Option<Span>,
}

/// What the file says of a pool's droplets where K3s on them is none of kplan's business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unmanaged {
    /// Tags besides kplan's own.
    pub tags: Vec<Spanned<Tag>>,
    /// Where the tags are.
    pub tags_span: Option<Span>,
    /// A public IPv6 address; `None` where the file does not say.
    pub ipv6: Option<Spanned<bool>>,
}

/// One `[[agents]]`: a pool of equal worker droplets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPool {
    /// Unique, and not `servers`.
    pub name: Spanned<DnsLabel>,
    /// At least 1; default 1.
    pub count: Spanned<u32>,
    /// Droplet size.
    pub size: Spanned<SizeSlug>,
    /// Default: the servers' image.
    pub image: Spanned<ImageSlug>,
    /// Node labels; default none.
    pub labels: Labels,
    /// Node taints; default none.
    pub taints: Vec<Spanned<Taint>>,
    /// DigitalOcean's own droplet backups; default false.
    pub backups: Spanned<bool>,
    /// DigitalOcean's monitoring agent; default true.
    pub monitoring: Spanned<bool>,
    /// What only droplets whose K3s is somebody else's have.
    pub unmanaged: Unmanaged,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[k3s]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct K3s {
    /// Whether kplan installed K3s on the nodes and runs it; default true.
    pub managed: Spanned<bool>,
    /// Default: kplan's tested default version.
    pub version: Spanned<K3sVersion>,
    /// Default: SQLite for one server, embedded etcd for several.
    pub datastore: Spanned<Datastore>,
    /// Present exactly when the datastore is `postgres` or `mysql`.
    pub database: Option<Database>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[k3s.database]`: the managed database that holds the cluster's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Name of the database cluster; default `<cluster>-datastore`.
    pub name: Spanned<ResourceName>,
    /// Engine version; default 16 for PostgreSQL and 8 for `MySQL`.
    pub version: Spanned<DatabaseVersion>,
    /// Plan.
    pub size: Spanned<DatabaseSize>,
    /// 1 to 3; default 1.
    pub nodes: Spanned<u32>,
    /// K3s's own user; default `k3s`.
    pub user: Spanned<SqlName>,
    /// K3s's own database, whose `public` schema that user may create tables in; default `k3s`.
    pub database: Spanned<SqlName>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[load_balancer.api]`: TCP 6443 pass-through in front of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiLoadBalancer {
    /// Default `<cluster>-api`.
    pub name: Spanned<ResourceName>,
    /// Number of load balancer nodes, 1 to 200; default 1.
    pub size_unit: Spanned<u32>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[endpoint]`: a stable address of the API besides a load balancer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name of the API: the user points it at the servers or the load balancer himself,
    /// unless its domain is given.
    pub hostname: Option<Spanned<Hostname>>,
    /// The domain at DigitalOcean that `hostname` is in, where kplan makes the record.
    pub domain: Option<Spanned<Domain>>,
    /// Whether the (only) server gets a reserved IP; default false.
    pub reserved_ip: Spanned<bool>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[gitops]`: Argo CD and the repository it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gitops {
    /// HTTPS or SSH address, without credentials in it.
    pub repo: Spanned<RepoUrl>,
    /// Folder in the repository; default `.`.
    pub path: Spanned<RepoPath>,
    /// Branch, tag or commit; default `HEAD`.
    pub revision: Spanned<String>,
    /// Who brings storage, backups and add-ons; default kplan.
    pub delivery: Spanned<Delivery>,
    /// Argo CD's version.
    pub version: Spanned<ArgoCdVersion>,
    /// Argo CD's highly available manifests; default false; needs three nodes.
    pub ha: Spanned<bool>,
    /// How to read a private repository; `None` for a public one.
    pub credentials: Option<Spanned<GitCredentials>>,
    /// The web interface behind an ingress controller; `None` for none.
    pub ingress: Option<Ingress>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[gitops] ingress`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// Where Argo CD is to be found.
    pub host: Spanned<Hostname>,
    /// The ingress class; `None` for the cluster's default one.
    pub class: Option<Spanned<DnsLabel>>,
    /// cert-manager's issuer; `None` for the controller's own certificate.
    pub cluster_issuer: Option<Spanned<DnsLabel>>,
}

/// `[gitops] credentials`, tagged by its one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitCredentials {
    /// `token = {…}`: a personal or project access token, sent over HTTPS.
    Token(Spanned<SecretSource>),
    /// `ssh_key = {…}`: a private deploy key.
    SshKey(Spanned<SecretSource>),
    /// `github_app = {…}`
    GithubApp {
        /// The app's id.
        id: Spanned<u64>,
        /// Id of its installation in the organisation.
        installation_id: Spanned<u64>,
        /// The app's private key (PEM).
        private_key: Spanned<SecretSource>,
    },
}

/// `[backup]`: Velero and its bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where backups go.
    pub store: BackupStore,
    /// The password of what volumes hold; `None` for one that kplan makes.
    pub repository_password: Option<Spanned<SecretSource>>,
    /// Velero's version.
    pub version: Spanned<VeleroVersion>,
    /// Backup schedules; names are unique.
    pub schedules: Vec<Schedule>,
    /// The table's header.
    pub span: Option<Span>,
}

/// Where backups go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupStore {
    /// A Spaces bucket that kplan makes.
    Own {
        /// Its name, which is global.
        bucket: Spanned<BucketName>,
        /// A region that has Spaces; default the cluster's.
        region: Spanned<RegionSlug>,
        /// Keep overwritten and deleted objects for a while; default true.
        versioning: Spanned<bool>,
        /// Days after which such noncurrent objects expire, 1 to 3650; default 7.
        noncurrent_days: Spanned<u32>,
    },
    /// A bucket that is there already, in any S3-compatible store.
    Existing {
        /// Where it is.
        place: Spanned<S3Place>,
        /// The id of its key.
        access_key: Spanned<AccessKey>,
        /// Its key.
        secret_key: Spanned<SecretSource>,
    },
}

/// One of `[backup] schedules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Name of the Velero schedule.
    pub name: Spanned<DnsLabel>,
    /// When, in UTC.
    pub cron: Spanned<CronSchedule>,
    /// How long each backup lives; default 30 days.
    pub keep: Spanned<Retention>,
    /// Only these namespaces; empty (the default) means all.
    pub include_namespaces: Vec<Spanned<DnsLabel>>,
    /// All but these; default none.
    pub exclude_namespaces: Vec<Spanned<DnsLabel>>,
    /// Whether the schedule is suspended; default false.
    pub paused: Spanned<bool>,
    /// The table.
    pub span: Option<Span>,
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Whether DigitalOcean's CSI driver is installed; default true.
    pub csi: Spanned<bool>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[cloud_controller]`: the token the cluster's own controllers use (CCM and CSI).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudController {
    /// `None`: the operator's own token goes into the cluster, with a warning.
    pub token: Option<Spanned<SecretSource>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// `[addons]`: components K3s brings along, and Sealed Secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addons {
    /// The Traefik ingress controller; default false.
    pub traefik: Spanned<bool>,
    /// metrics-server (`kubectl top`, autoscaling); default true.
    pub metrics_server: Spanned<bool>,
    /// The `local-path` storage class on the nodes' own disks; default: true when CSI is off.
    pub local_storage: Spanned<bool>,
    /// Sealed Secrets with a key of kplan's; default false.
    pub sealed_secrets: Spanned<bool>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[addon]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    /// Part of the address, and the name of a chart's release.
    pub name: Spanned<DnsLabel>,
    /// The namespace; `None` leaves it to the default of a manifest or a chart.
    pub namespace: Option<Spanned<DnsLabel>>,
    /// The add-ons it comes after, and [`AFTER_ARGOCD`].
    pub after: Vec<Spanned<DnsLabel>>,
    /// What it is.
    pub source: AddonSource,
    /// The table's header.
    pub span: Option<Span>,
}

/// What an add-on is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddonSource {
    /// A manifest behind an address.
    Manifest {
        /// Where it is.
        url: Spanned<ArtifactUrl>,
        /// Its digest; `None` leaves it to the lock.
        sha256: Option<Spanned<Sha256>>,
    },
    /// A manifest beside the file.
    File(Spanned<LocalFile>),
    /// A Helm chart.
    Helm {
        /// Where it is.
        chart: Chart,
        /// Its digest; `None` leaves it to the lock.
        sha256: Option<Spanned<Sha256>>,
        /// A file with values beside the file.
        values: Option<Spanned<LocalFile>>,
    },
}

/// Where a Helm chart is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chart {
    /// In a repository, whose index says where the archive is.
    Repository {
        /// The repository.
        repo: Spanned<ChartRepository>,
        /// The chart's name in it.
        name: Spanned<ChartName>,
        /// Its version.
        version: Spanned<ChartVersion>,
    },
    /// An archive behind an address.
    Archive(Spanned<ArtifactUrl>),
}

/// `[mirror]`: where artifacts come from instead of their upstream addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// `url = "https://…"`: base address without a trailing slash.
    Url(Spanned<String>),
    /// `folder = "…"`: relative to the file's folder unless absolute.
    Folder(Spanned<String>),
}

/// A node pool as compose sees it: the servers, or one agent pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool<'a> {
    /// `[servers]`
    Servers(&'a Servers),
    /// One `[[agents]]`
    Agents(&'a AgentPool),
}

impl<'a> Pool<'a> {
    /// `servers`, or the agent pool's name.
    pub fn name(self) -> &'a str {
        match self {
            Self::Servers(_) => SERVERS_POOL,
            Self::Agents(pool) => pool.name.as_str(),
        }
    }

    /// Number of nodes.
    pub fn count(self) -> &'a Spanned<u32> {
        match self {
            Self::Servers(servers) => &servers.count,
            Self::Agents(pool) => &pool.count,
        }
    }

    /// Droplet size.
    pub fn size(self) -> &'a Spanned<SizeSlug> {
        match self {
            Self::Servers(servers) => &servers.size,
            Self::Agents(pool) => &pool.size,
        }
    }

    /// Droplet image.
    pub fn image(self) -> &'a Spanned<ImageSlug> {
        match self {
            Self::Servers(servers) => &servers.image,
            Self::Agents(pool) => &pool.image,
        }
    }

    /// Node labels.
    pub fn labels(self) -> &'a Labels {
        match self {
            Self::Servers(servers) => &servers.labels,
            Self::Agents(pool) => &pool.labels,
        }
    }

    /// Node taints as written; `schedulable = false` is not among them.
    pub fn taints(self) -> &'a [Spanned<Taint>] {
        match self {
            Self::Servers(servers) => &servers.taints,
            Self::Agents(pool) => &pool.taints,
        }
    }

    /// DigitalOcean's own droplet backups.
    pub fn backups(self) -> &'a Spanned<bool> {
        match self {
            Self::Servers(servers) => &servers.backups,
            Self::Agents(pool) => &pool.backups,
        }
    }

    /// DigitalOcean's monitoring agent.
    pub fn monitoring(self) -> &'a Spanned<bool> {
        match self {
            Self::Servers(servers) => &servers.monitoring,
            Self::Agents(pool) => &pool.monitoring,
        }
    }

    /// What only droplets whose K3s is somebody else's have.
    pub fn unmanaged(self) -> &'a Unmanaged {
        match self {
            Self::Servers(servers) => &servers.unmanaged,
            Self::Agents(pool) => &pool.unmanaged,
        }
    }

    /// The table's header.
    pub fn span(self) -> Option<Span> {
        match self {
            Self::Servers(servers) => servers.span,
            Self::Agents(pool) => pool.span,
        }
    }
}

/// What an add-on names in `after` to come after Argo CD; no add-on may take it.
pub const AFTER_ARGOCD: &str = "argocd";

/// Name of the servers' pool in addresses and droplet names; no agent pool may take it.
pub const SERVERS_POOL: &str = "servers";

/// Name of the cluster's own VPC in addresses, and of what a block calls it.
pub const OWN_VPC: &str = "main";

/// Name of the API's load balancer in addresses, and of what a firewall's rule calls it.
pub const API_LOAD_BALANCER: &str = "api";

/// Name of the API's record in addresses; no `[[domain_record]]` may take it as its label.
pub const API_RECORD: &str = "api";

/// Pod network of every cluster: K3s's default.
pub const POD_CIDR: &str = "10.42.0.0/16";

/// Service network of every cluster: K3s's default.
pub const SERVICE_CIDR: &str = "10.43.0.0/16";

impl Spec {
    /// Name of the cluster.
    pub fn name(&self) -> &str {
        self.cluster.name.as_str()
    }

    /// Region of the cluster.
    pub fn region(&self) -> &str {
        self.cluster.region.as_str()
    }

    /// Whether kplan runs a K3s cluster on droplets of this file. Where not, it makes nothing that
    /// the file does not name.
    pub fn runs_k3s(&self) -> bool {
        self.has_servers() && self.k3s.managed.value
    }

    /// Whether the file has `[servers]`.
    pub fn has_servers(&self) -> bool {
        self.servers.count.value > 0
    }

    /// Whether there is a VPC of the cluster's own: one with a cluster of kplan's, else where the
    /// file asks for it.
    pub fn has_own_vpc(&self) -> bool {
        self.runs_k3s() || self.network.vpc.span.is_some()
    }

    /// The ranges of all VPCs that have one.
    pub fn vpc_ranges(&self) -> impl Iterator<Item = &Spanned<Cidr>> {
        let own = self.network.vpc.ip_range.iter();
        own.chain(self.vpcs.iter().filter_map(|vpc| vpc.ip_range.as_ref()))
    }

    /// Whether something in that region that names no VPC, or the own one, stands in the cluster's
    /// own.
    pub fn is_in_own_vpc(&self, region: &RegionSlug, vpc: Option<&Spanned<BlockRef>>) -> bool {
        let named = match vpc.map(|vpc| &vpc.value) {
            None => *region == self.cluster.region.value,
            Some(BlockRef::Label(label)) => label == OWN_VPC,
            Some(BlockRef::Id(_)) => false,
        };
        named && self.has_own_vpc()
    }

    /// Number of control-plane nodes.
    pub fn server_count(&self) -> u32 {
        self.servers.count.value
    }

    /// Number of worker nodes over all pools.
    pub fn agent_count(&self) -> u32 {
        self.agents
            .iter()
            .fold(0, |sum, pool| sum.saturating_add(pool.count.value))
    }

    /// Number of all nodes.
    pub fn node_count(&self) -> u32 {
        self.server_count().saturating_add(self.agent_count())
    }

    /// What holds the cluster's state.
    pub fn datastore(&self) -> Datastore {
        self.k3s.datastore.value
    }

    /// The servers where there are any, then every agent pool in the order of the file.
    pub fn pools(&self) -> impl Iterator<Item = Pool<'_>> {
        let servers = self.has_servers().then_some(Pool::Servers(&self.servers));
        servers
            .into_iter()
            .chain(self.agents.iter().map(Pool::Agents))
    }

    /// Name of one node: droplet, host and Kubernetes node alike. `index` counts from 0, as in
    /// addresses (`droplet.servers[0]`).
    pub fn node_name(&self, pool: &str, index: u32) -> String {
        format!("{}-{pool}-{index}", self.name())
    }

    /// Who may reach the Kubernetes API, as DigitalOcean's firewalls take it: what the file says,
    /// or the whole of IPv4 and IPv6.
    pub fn api_sources(&self) -> Vec<String> {
        match &self.network.api_allow {
            Some(list) => list.iter().map(ToString::to_string).collect(),
            None => vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        }
    }

    /// Packaged K3s components to switch off, in K3s's own names, sorted. `ServiceLB` always is:
    /// DigitalOcean's cloud controller makes the load balancers.
    pub fn k3s_disable(&self) -> Vec<&'static str> {
        let mut disable = Vec::new();
        if !self.addons.local_storage.value {
            disable.push("local-storage");
        }
        if !self.addons.metrics_server.value {
            disable.push("metrics-server");
        }
        disable.push("servicelb");
        if !self.addons.traefik.value {
            disable.push("traefik");
        }
        disable
    }

    /// Names and addresses the API's certificate must hold that are known before anything exists.
    pub fn api_hostname(&self) -> Option<&Spanned<Hostname>> {
        self.endpoint
            .as_ref()
            .and_then(|endpoint| endpoint.hostname.as_ref())
    }

    /// The API's name within the domain in which kplan makes a record for it.
    pub fn api_record(&self) -> Option<(&Spanned<Domain>, RecordName)> {
        let domain = self.endpoint.as_ref()?.domain.as_ref()?;
        let name = RecordName::within(self.api_hostname()?, domain)?;
        Some((domain, name))
    }

    /// Whether Argo CD brings storage, backups and add-ons, from Git.
    pub fn is_delivered_by_git(&self) -> bool {
        let delivery = self.gitops.as_ref().map(|gitops| gitops.delivery.value);
        delivery == Some(Delivery::Git)
    }

    /// Whether the only server gets a reserved IP.
    pub fn has_reserved_ip(&self) -> bool {
        self.endpoint
            .as_ref()
            .is_some_and(|endpoint| endpoint.reserved_ip.value)
    }

    /// Every file beside this one that it names, with the key that names it.
    pub fn local_files(&self) -> Vec<(&'static str, &Spanned<LocalFile>)> {
        let named = self
            .own_addons
            .iter()
            .filter_map(|addon| match &addon.source {
                AddonSource::File(file) => Some(("addon.manifest.file", file)),
                AddonSource::Helm { values, .. } => Some(("addon.helm.values", values.as_ref()?)),
                AddonSource::Manifest { .. } => None,
            });
        named.collect()
    }

    /// Every secret source of the file, with the path of its key, in the order of the file's
    /// documentation. Whoever may not run commands or read files asks here first.
    pub fn secret_sources(&self) -> Vec<(&'static str, &Spanned<SecretSource>)> {
        let mut sources = Vec::new();
        match self
            .gitops
            .as_ref()
            .and_then(|g| g.credentials.as_ref())
            .map(|c| &c.value)
        {
            Some(GitCredentials::Token(source)) => {
                sources.push(("gitops.credentials.token", source));
            }
            Some(GitCredentials::SshKey(source)) => {
                sources.push(("gitops.credentials.ssh_key", source));
            }
            Some(GitCredentials::GithubApp { private_key, .. }) => {
                sources.push(("gitops.credentials.github_app.private_key", private_key));
            }
            None => {}
        }
        if let Some(token) = &self.cloud_controller.token {
            sources.push(("cloud_controller.token", token));
        }
        if let Some(BackupStore::Existing { secret_key, .. }) =
            self.backup.as_ref().map(|backup| &backup.store)
        {
            sources.push(("backup.credentials.secret_key", secret_key));
        }
        let backup = self.backup.as_ref();
        if let Some(password) = backup.and_then(|backup| backup.repository_password.as_ref()) {
            sources.push(("backup.repository_password", password));
        }
        let keys = self
            .buckets
            .iter()
            .filter_map(|bucket| bucket.credentials.as_ref());
        sources.extend(keys.map(|keys| ("bucket.credentials.secret_key", &keys.secret_key)));
        sources
    }
}
