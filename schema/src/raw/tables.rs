//! Every table of `cluster.toml`. The comments of the keys become the descriptions in the JSON
//! Schema and the reference documentation.

use super::balancers::RawLoadBalancers;
use super::blocks::{
    RawDomain, RawDomainRecord, RawDroplet, RawFirewall, RawFreeBucket, RawFreeDatabase,
    RawFreeVpc, RawReservedIp, RawSshKey, RawVolume,
};
use super::leaf::{Leaf, Map, Opt, Req};
use super::reader::raw_table;
use super::secret::Sensitive;
use crate::value::{
    DEFAULT_ARGOCD_VERSION, DEFAULT_K3S_VERSION, DEFAULT_VELERO_VERSION, Datastore, Delivery,
    Environment, REGIONS, SPACES_REGIONS, TESTED_K3S_VERSIONS,
};

raw_table! {
    /// One GitOps Kubernetes cluster on DigitalOcean, and what stands beside it; or, without
    /// `[servers]`, that alone. Only `[cluster]` is required.
    #[schemars(title = "cluster.toml")]
    RawFile {
        /// Who the cluster is and where it runs.
        cluster: Req<RawCluster>,
        /// The DigitalOcean project its resources are filed under. Without it they stay in the
        /// account's default project.
        project: Opt<RawProject>,
        /// Its private network and who may reach it.
        network: Opt<RawNetwork>,
        /// The control plane's droplets. Without the table kplan runs no cluster, and makes nothing
        /// that the file does not name.
        servers: Opt<RawServers>,
        /// Pools of worker droplets.
        agents: Opt<Vec<Leaf<RawAgentPool>>>,
        /// K3s's version and datastore.
        k3s: Opt<RawK3s>,
        /// Load balancers: `api`, in front of the servers, and others by their labels. (Those of
        /// Kubernetes services are made by the cluster.)
        load_balancer: Opt<RawLoadBalancers>,
        /// A stable address of the Kubernetes API besides a load balancer's.
        endpoint: Opt<RawEndpoint>,
        /// Argo CD and the repository it follows. Without it no Argo CD is installed.
        gitops: Opt<RawGitops>,
        /// Velero, its bucket and its schedules. Without it there are no backups.
        backup: Opt<RawBackup>,
        /// Persistent volumes.
        storage: Opt<RawStorage>,
        /// The credentials of the controllers inside the cluster.
        cloud_controller: Opt<RawCloudController>,
        /// Components K3s brings along, and Sealed Secrets.
        addons: Opt<RawAddons>,
        /// Manifests or Helm charts of your own.
        addon: Opt<Vec<Leaf<RawAddon>>>,
        /// SSH public keys to register with DigitalOcean and put on every droplet.
        ssh_key: Opt<Vec<Leaf<RawSshKey>>>,
        /// Private networks.
        vpc: Opt<Vec<Leaf<RawFreeVpc>>>,
        /// Droplets that are no nodes.
        droplet: Opt<Vec<Leaf<RawDroplet>>>,
        /// Block storage volumes.
        volume: Opt<Vec<Leaf<RawVolume>>>,
        /// Firewalls of droplets.
        firewall: Opt<Vec<Leaf<RawFirewall>>>,
        /// Managed databases.
        database: Opt<Vec<Leaf<RawFreeDatabase>>>,
        /// Buckets of Spaces.
        bucket: Opt<Vec<Leaf<RawFreeBucket>>>,
        /// Public addresses that outlive droplets.
        reserved_ip: Opt<Vec<Leaf<RawReservedIp>>>,
        /// Domains whose records DigitalOcean serves.
        domain: Opt<Vec<Leaf<RawDomain>>>,
        /// DNS records in domains that DigitalOcean serves.
        domain_record: Opt<Vec<Leaf<RawDomainRecord>>>,
        /// Resources that exist already and become kplan's.
        import: Opt<Vec<Leaf<RawImport>>>,
        /// Resources whose address changed.
        moved: Opt<Vec<Leaf<RawMoved>>>,
        /// Resources that are no longer in the file on purpose.
        removed: Opt<Vec<Leaf<RawRemoved>>>,
        /// What is no drift.
        drift: Opt<RawDrift>,
        /// Bring the cluster back from a backup. Not yet supported.
        restore: Opt<RawRestore>,
        /// Where kplan keeps what it knows about the cluster.
        state: Opt<RawState>,
        /// Where upstream manifests and binaries come from instead of their own addresses.
        mirror: Opt<RawMirror>,
    }
}

raw_table! {
    /// `[cluster]`: who the cluster is and where it runs.
    RawCluster {
        /// DNS label; prefix of every remote name and part of the owner tag. It cannot be changed
        /// later: another name is another cluster.
        name: Req<String>,
        /// DigitalOcean region of everything but, perhaps, the backup bucket.
        #[schemars(extend("enum" = REGIONS))]
        region: Req<String>,
        /// While true, `destroy` is refused.
        #[schemars(extend("default" = false))]
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[project]`: the DigitalOcean project the cluster's resources are filed under.
    RawProject {
        /// Unique in the account, at most 175 characters. Default: the cluster's name.
        name: Opt<String>,
        /// What the project is for.
        #[schemars(extend("enum" = Environment::WORDS, "default" = "Development"))]
        environment: Opt<String>,
        /// At most 255 characters.
        #[schemars(extend("default" = ""))]
        description: Opt<String>,
        /// At most 255 characters; DigitalOcean offers a list, but takes any text.
        #[schemars(extend("default" = "Service or API"))]
        purpose: Opt<String>,
    }
}

raw_table! {
    /// `[network]`: the private network and who may reach it.
    RawNetwork {
        /// The cluster's own VPC.
        vpc: Opt<RawVpc>,
        /// Networks (IPv4 or IPv6, CIDR) that may reach the Kubernetes API on port 6443. Absent:
        /// the whole internet, with a warning. An empty list is refused.
        api_allow: Opt<Vec<Leaf<String>>>,
        /// Networks that may reach SSH. Empty or absent: there is no SSH rule at all; kplan never
        /// needs one.
        ssh_allow: Opt<Vec<Leaf<String>>>,
    }
}

raw_table! {
    /// `[network] vpc`: the cluster's own private network.
    RawVpc {
        /// Default: the cluster's name.
        name: Opt<String>,
        /// Private IPv4 network from /16 to /28 that overlaps neither 10.42.0.0/16 (pods) nor
        /// 10.43.0.0/16 (services). A VPC keeps its range: another one replaces the VPC and
        /// everything in it. Default: DigitalOcean chooses a free /20.
        ip_range: Opt<String>,
    }
}

raw_table! {
    /// `[servers]`: the control plane's droplets.
    RawServers {
        /// Number of servers. etcd needs an odd number; SQLite exactly one.
        #[schemars(extend("default" = 1, "minimum" = 1))]
        count: Opt<i64>,
        /// Droplet size, such as `s-2vcpu-4gb`.
        size: Req<String>,
        /// Droplet image; cloud-init and systemd are required.
        #[schemars(extend("default" = "ubuntu-24-04-x64"))]
        image: Opt<String>,
        /// Kubernetes node labels.
        labels: Opt<Map<String>>,
        /// Kubernetes node taints, such as `dedicated=control:NoSchedule`.
        taints: Opt<Vec<Leaf<String>>>,
        /// Whether workloads may run on servers. False adds the control-plane taint and needs
        /// agents.
        #[schemars(extend("default" = true))]
        schedulable: Opt<bool>,
        /// DigitalOcean's own weekly droplet backups, at its surcharge.
        #[schemars(extend("default" = false))]
        backups: Opt<bool>,
        /// DigitalOcean's monitoring agent; free. Changing it replaces the droplet.
        #[schemars(extend("default" = true))]
        monitoring: Opt<bool>,
        /// Tags of the droplets besides kplan's own; only with `[k3s] managed = false`.
        tags: Opt<Vec<Leaf<String>>>,
        /// A public IPv6 address; only with `[k3s] managed = false`. It can be switched on, not off.
        ipv6: Opt<bool>,
    }
}

raw_table! {
    /// `[[agents]]`: a pool of equal worker droplets.
    RawAgentPool {
        /// DNS label, unique; part of addresses (`droplet.<name>[0]`) and droplet names.
        name: Req<String>,
        /// Number of droplets in the pool.
        #[schemars(extend("default" = 1, "minimum" = 1))]
        count: Opt<i64>,
        /// Droplet size, such as `s-2vcpu-4gb`.
        size: Req<String>,
        /// Droplet image. Default: the servers'.
        image: Opt<String>,
        /// Kubernetes node labels.
        labels: Opt<Map<String>>,
        /// Kubernetes node taints, such as `dedicated=database:NoSchedule`.
        taints: Opt<Vec<Leaf<String>>>,
        /// DigitalOcean's own weekly droplet backups, at its surcharge.
        #[schemars(extend("default" = false))]
        backups: Opt<bool>,
        /// DigitalOcean's monitoring agent; free. Changing it replaces the droplet.
        #[schemars(extend("default" = true))]
        monitoring: Opt<bool>,
        /// Tags of the droplets besides kplan's own; only with `[k3s] managed = false`.
        tags: Opt<Vec<Leaf<String>>>,
        /// A public IPv6 address; only with `[k3s] managed = false`. It can be switched on, not off.
        ipv6: Opt<bool>,
    }
}

raw_table! {
    /// `[k3s]`: version and datastore.
    RawK3s {
        /// False: K3s on these droplets is somebody else's. kplan then manages the droplets and
        /// nothing on them.
        #[schemars(extend("default" = true))]
        managed: Opt<bool>,
        /// K3s release, one of those kplan is tested with.
        #[schemars(extend("enum" = TESTED_K3S_VERSIONS, "default" = DEFAULT_K3S_VERSION))]
        version: Opt<String>,
        /// What holds the cluster's state. Default: `sqlite` for one server, `etcd` for several.
        #[schemars(extend("enum" = Datastore::WORDS))]
        datastore: Opt<String>,
        /// The managed database; required for, and only for, `postgres` and `mysql`.
        database: Opt<RawDatabase>,
    }
}

raw_table! {
    /// `[k3s.database]`: the managed database that holds the cluster's state.
    RawDatabase {
        /// Name of the database cluster. Default: `<cluster>-datastore`.
        name: Opt<String>,
        /// Engine version. Default: `16` for PostgreSQL, `8` for MySQL.
        version: Opt<String>,
        /// Plan, such as `db-s-1vcpu-2gb`; at least 2 GiB for several servers.
        size: Req<String>,
        /// Number of database nodes; more than one adds standbys.
        #[schemars(extend("default" = 1, "minimum" = 1, "maximum" = 3))]
        nodes: Opt<i64>,
        /// The user K3s signs in as; kplan makes it.
        #[schemars(extend("default" = "k3s"))]
        user: Opt<String>,
        /// The database K3s writes to; kplan makes it.
        #[schemars(extend("default" = "k3s"))]
        database: Opt<String>,
    }
}

raw_table! {
    /// `[load_balancer.api]`: TCP 6443 in front of the servers.
    RawApiLoadBalancer {
        /// Default: `<cluster>-api`.
        name: Opt<String>,
        /// Number of load balancer nodes; it can be changed once an hour.
        #[schemars(extend("default" = 1, "minimum" = 1, "maximum" = 100))]
        size_unit: Opt<i64>,
    }
}

raw_table! {
    /// `[endpoint]`: a stable address of the Kubernetes API besides a load balancer's.
    RawEndpoint {
        /// DNS name of the API; it goes into the API's certificate and the kubeconfig. You point
        /// it at the servers or the load balancer, unless `domain` is given.
        hostname: Opt<String>,
        /// The domain of `hostname`, which has to exist at DigitalOcean: kplan makes the record
        /// that leads to the load balancer, the reserved IP or the only server.
        domain: Opt<String>,
        /// Give the only server a reserved IP, which outlives the droplet.
        #[schemars(extend("default" = false))]
        reserved_ip: Opt<bool>,
    }
}

raw_table! {
    /// `[gitops]`: Argo CD and the repository it follows.
    RawGitops {
        /// HTTPS or SSH address of the repository, without credentials in it.
        repo: Req<String>,
        /// Folder in the repository that holds the root application's manifests.
        #[schemars(extend("default" = "."))]
        path: Opt<String>,
        /// Branch, tag or commit.
        #[schemars(extend("default" = "HEAD"))]
        revision: Opt<String>,
        /// Who brings storage, backups and add-ons into the cluster: kplan (`apply`), or Argo CD
        /// from this repository (`git`), where `kplan render gitops` writes them.
        #[schemars(extend("enum" = Delivery::WORDS, "default" = "apply"))]
        delivery: Opt<String>,
        /// Argo CD release.
        #[schemars(extend("default" = DEFAULT_ARGOCD_VERSION))]
        version: Opt<String>,
        /// Argo CD's highly available manifests; they need at least three nodes.
        #[schemars(extend("default" = false))]
        ha: Opt<bool>,
        /// How to read a private repository; leave it out for a public one.
        credentials: Opt<Sensitive<RawCredentials>>,
        /// The web interface behind an ingress controller of the cluster's. Default: inside the
        /// cluster only.
        ingress: Opt<RawIngress>,
    }
}

raw_table! {
    /// `[gitops] ingress`: Argo CD's web interface behind an ingress controller.
    RawIngress {
        /// DNS name; it becomes Argo CD's own address.
        host: Req<String>,
        /// Ingress class. Default: the cluster's default class.
        class: Opt<String>,
        /// The issuer of cert-manager's, for the whole cluster, that the certificate comes from. Default: the controller's
        /// own certificate.
        cluster_issuer: Opt<String>,
    }
}

raw_table! {
    /// `[gitops] credentials`: exactly one of these.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    RawCredentials {
        /// Access token, for repositories read over HTTPS.
        token: Opt<Sensitive<RawSecretSource>>,
        /// Private deploy key, for repositories read over SSH.
        ssh_key: Opt<Sensitive<RawSecretSource>>,
        /// GitHub App, for repositories read over HTTPS.
        github_app: Opt<Sensitive<RawGithubApp>>,
    }
}

raw_table! {
    /// A GitHub App's installation.
    RawGithubApp {
        /// The app's id.
        #[schemars(extend("minimum" = 1))]
        id: Req<i64>,
        /// Id of its installation in the organisation.
        #[schemars(extend("minimum" = 1))]
        installation_id: Req<i64>,
        /// The app's private key (PEM).
        private_key: Req<Sensitive<RawSecretSource>>,
    }
}

raw_table! {
    /// Where a secret comes from: exactly one of these. The file never holds the secret itself.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    RawSecretSource {
        /// Name of an environment variable.
        env: Opt<String>,
        /// A file's content, without a final line break; `~/` is the home folder.
        file: Opt<String>,
        /// What a program prints, without a final line break. It is started directly, never by a
        /// shell.
        command: Opt<Vec<Leaf<String>>>,
    }
}

raw_table! {
    /// `[backup]`: Velero, its bucket and its schedules.
    RawBackup {
        /// Spaces bucket that kplan makes; names are global, and a deleted one stays taken for
        /// weeks. Either this or `store`.
        bucket: Opt<String>,
        /// A bucket that exists already, in any S3-compatible store:
        /// `s3://bucket[/prefix]?region=…&endpoint=…`. Needs `credentials`.
        store: Opt<String>,
        /// The key for `store`.
        credentials: Opt<Sensitive<RawStoreCredentials>>,
        /// The password of what volumes hold, for a bucket that has such backups already. Default:
        /// kplan makes one.
        repository_password: Opt<Sensitive<RawSecretSource>>,
        /// Region of `bucket`; it has to have Spaces. Default: the cluster's.
        #[schemars(extend("enum" = SPACES_REGIONS))]
        region: Opt<String>,
        /// Velero release.
        #[schemars(extend("default" = DEFAULT_VELERO_VERSION))]
        version: Opt<String>,
        /// Keep overwritten and deleted objects for `noncurrent_days`.
        #[schemars(extend("default" = true))]
        versioning: Opt<bool>,
        /// Days until such objects are deleted for good.
        #[schemars(extend("default" = 7, "minimum" = 1, "maximum" = 3650))]
        noncurrent_days: Opt<i64>,
        /// When to back up what, and for how long to keep it.
        schedules: Opt<Vec<Leaf<RawSchedule>>>,
    }
}

raw_table! {
    /// `[backup] credentials`: the key of an existing bucket.
    RawStoreCredentials {
        /// The key's id, which is no secret.
        access_key: Req<String>,
        /// The key.
        secret_key: Req<Sensitive<RawSecretSource>>,
    }
}

raw_table! {
    /// One of `[backup] schedules`.
    RawSchedule {
        /// DNS label, unique; name of the Velero schedule.
        name: Req<String>,
        /// Minute, hour, day of month, month, day of week, in UTC; or `@daily` and the like.
        cron: Req<String>,
        /// How long each backup is kept: a whole number with `m`, `h`, `d` or `w`.
        #[schemars(extend("default" = "30d"))]
        keep: Opt<String>,
        /// Only these namespaces. Default: all.
        include_namespaces: Opt<Vec<Leaf<String>>>,
        /// All but these namespaces.
        exclude_namespaces: Opt<Vec<Leaf<String>>>,
        /// Whether the schedule is suspended.
        #[schemars(extend("default" = false))]
        paused: Opt<bool>,
    }
}

raw_table! {
    /// `[storage]`: persistent volumes.
    RawStorage {
        /// Install DigitalOcean's CSI driver, so that claims become block storage volumes.
        #[schemars(extend("default" = true))]
        csi: Opt<bool>,
    }
}

raw_table! {
    /// `[cloud_controller]`: the credentials of the controllers inside the cluster.
    RawCloudController {
        /// DigitalOcean token with only the scopes the cloud controller and the CSI driver need.
        /// Without it your own token goes into the cluster, with a warning.
        token: Opt<Sensitive<RawSecretSource>>,
    }
}

raw_table! {
    /// `[addons]`: components K3s brings along, and Sealed Secrets.
    RawAddons {
        /// The Traefik ingress controller.
        #[schemars(extend("default" = false))]
        traefik: Opt<bool>,
        /// metrics-server, for `kubectl top` and autoscaling.
        #[schemars(extend("default" = true))]
        metrics_server: Opt<bool>,
        /// The `local-path` storage class on the nodes' own disks. Default: true when
        /// `[storage] csi` is false.
        local_storage: Opt<bool>,
        /// Bitnami's Sealed Secrets, with a key that kplan keeps: secrets in Git that only this
        /// cluster can read, and can still read after a restore.
        #[schemars(extend("default" = false))]
        sealed_secrets: Opt<bool>,
    }
}

raw_table! {
    /// `[[addon]]`: a pinned manifest or Helm chart of your own. Exactly one of `manifest` and `helm`.
    RawAddon {
        /// DNS label, unique; part of the address, and the name of a chart's release.
        name: Req<String>,
        /// Namespace to install into; it is made where it is not there. Default: `default` for what
        /// a manifest puts nowhere itself, the add-on's name for a chart.
        namespace: Opt<String>,
        /// Names of add-ons this one comes after; `argocd` for Argo CD.
        after: Opt<Vec<Leaf<String>>>,
        /// A manifest.
        manifest: Opt<RawAddonManifest>,
        /// A Helm chart.
        helm: Opt<RawAddonHelm>,
    }
}

raw_table! {
    /// `[[addon]] manifest`: exactly one of `url` and `file`.
    #[schemars(extend("minProperties" = 1))]
    RawAddonManifest {
        /// HTTPS address of the manifest.
        url: Opt<String>,
        /// SHA-256 of what is behind `url`, in hexadecimal digits. Without it, `kplan lock` records
        /// it.
        sha256: Opt<String>,
        /// A manifest in this folder or below it.
        file: Opt<String>,
    }
}

raw_table! {
    /// `[[addon]] helm`: `repo`, `chart` and `version`, or `url`.
    RawAddonHelm {
        /// HTTPS address of the chart repository.
        repo: Opt<String>,
        /// Name of the chart.
        chart: Opt<String>,
        /// Version of the chart; no range.
        version: Opt<String>,
        /// HTTPS address of the chart's archive (`….tgz`), for charts that are in no repository.
        url: Opt<String>,
        /// SHA-256 of the chart's archive, in hexadecimal digits. Without it, `kplan lock` records
        /// it.
        sha256: Opt<String>,
        /// File with values, in this folder or below it.
        values: Opt<String>,
    }
}

raw_table! {
    /// `[[import]]`: a resource that exists already and becomes kplan's: the next apply puts it on
    /// record, and changes only what differs. After that the block can be taken out.
    RawImport {
        /// Its address in this file, such as `droplet.web`.
        to: Req<String>,
        /// Its id at DigitalOcean: a droplet's number, a VPC's UUID; `kplan import --discover`
        /// prints it.
        id: Req<String>,
    }
}

raw_table! {
    /// `[[moved]]`: a resource whose address changed. It stays as it is; only the record changes.
    /// After an apply the block can be taken out.
    RawMoved {
        /// Old address; without a number all of that name, such as `droplet.workers`.
        from: Req<String>,
        /// New address.
        to: Req<String>,
    }
}

raw_table! {
    /// `[[removed]]`: a resource that is no longer in the file on purpose.
    RawRemoved {
        /// Its address; without a number all of that name.
        from: Req<String>,
        /// `true`: it stays as it is, and kplan forgets it. `false`: it is destroyed, with what is
        /// lost with it.
        #[schemars(extend("default" = false))]
        keep: Opt<bool>,
    }
}

raw_table! {
    /// `[drift]`: what is no drift.
    RawDrift {
        /// `ADDRESS: FIELD`, either of which may be `*`: what somebody else changes on purpose,
        /// such as `droplet.web: tags`. `plan` and `apply` leave it as it is, too.
        ignore: Opt<Vec<Leaf<String>>>,
    }
}

raw_table! {
    /// `[restore]`: bring the cluster back from a backup. Not yet supported.
    RawRestore {
        /// Name of the backup, or `latest`.
        from: Req<String>,
        /// Only these namespaces.
        include_namespaces: Opt<Vec<Leaf<String>>>,
        /// All but these namespaces.
        exclude_namespaces: Opt<Vec<Leaf<String>>>,
    }
}

raw_table! {
    /// `[state]`: where kplan keeps what it knows about the cluster.
    RawState {
        /// `local`, a folder `.kplan/<cluster>` beside the file; or a bucket that several machines
        /// share, `s3://bucket[/prefix][?region=…&endpoint=…]`: of DigitalOcean Spaces, or of any
        /// store that speaks S3 and keeps conditional writes.
        #[schemars(extend("pattern" = "^(local|s3://.+)$", "default" = "local"))]
        backend: Opt<String>,
    }
}

raw_table! {
    /// `[mirror]`: exactly one place upstream manifests and binaries come from instead of their
    /// own addresses. Digests are checked as ever.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    RawMirror {
        /// Base address, `https://…`.
        url: Opt<String>,
        /// Folder, relative to `cluster.toml` unless absolute.
        folder: Opt<String>,
    }
}
