//! `velero`: backups of the cluster into a bucket.

use super::ccm::upstream;
use super::cloud_secret::data;
use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::object::Object;
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use crate::k3s::pki::exposed;
use kplan_model::{
    Change, Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Secret, Typical,
};
use serde_json::{Value, json};

/// Velero's namespace.
pub const NAMESPACE: &str = "velero";
/// The AWS plugin that belongs to Velero 1.17. Not 1.14: it damages backups on storage that is not
/// AWS's (velero-io/velero issues 9804 and 9951).
pub const PLUGIN_VERSION: &str = "v1.13.2";
/// The Secret with the key of the cluster's own bucket.
pub(super) const CREDENTIALS: &str = "cloud-credentials";
/// The name is Velero's own; it looks nowhere else.
const REPOSITORY_CREDENTIALS: &str = "velero-repo-credentials";

kplan_model::object! {
    /// A backup that is made again and again.
    pub struct Schedule {
        /// Its name.
        pub name: String,
        /// When, as five cron fields.
        pub cron: String,
        /// How long each backup is kept, such as `720h0m0s`.
        pub ttl: String,
        /// The namespaces in it; all when there are none.
        pub namespaces: Vec<String>,
        /// The namespaces left out of it.
        pub excluded_namespaces: Vec<String>,
        /// Whether it makes no backups for now.
        pub paused: bool,
    }
}

kplan_model::object! {
    /// What is asked for.
    pub struct VeleroArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The upstream definitions.
        pub artifacts: Vec<ArtifactPin>,
        /// Where they come from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// Velero's version; the images follow it.
        pub version: String,
        /// The bucket.
        pub bucket: Input<String>,
        /// The folder in it.
        pub prefix: Option<String>,
        /// The bucket's region.
        pub region: String,
        /// The storage's address.
        pub endpoint: Input<String>,
        /// The id of the bucket's key.
        pub access_key: Input<String>,
        /// The key.
        pub secret_key: Input<Secret>,
        /// Encrypts what is in volumes, in the bucket. `None` is what kplans before 29 November
        /// 2026 recorded: Velero's own, which everybody knows.
        pub repository_password: Option<Input<Secret>>,
        /// Whether what is in volumes is copied into the bucket too.
        pub volumes: bool,
        /// The backups.
        pub schedules: Vec<Schedule>,
        /// While the cluster is being restored nothing is written to the bucket or deleted from it,
        /// and no backup is made. `None` is no.
        pub restoring: Option<bool>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "artifacts",
        "The upstream definitions, with their version and digests.",
    ),
    SOURCES,
    Field::in_place("version", "Velero's version."),
    Field::in_place("bucket", "The bucket backups go to."),
    Field::in_place("prefix", "The folder in the bucket."),
    Field::in_place("region", "The bucket's region."),
    Field::in_place("endpoint", "The storage's address."),
    Field::in_place("access_key", "The id of the bucket's key."),
    Field::in_place("secret_key", "The bucket's key.").secret(),
    Field::new(
        "repository_password",
        Change::Refuse(
            "what volumes hold is in the bucket under the old password, and Velero could read neither \
             that nor add to it; bring the old one back with `kplan state restore` where one \
             was on record, or give it with `[backup] repository_password`. Beginning anew means to take `[backup]` out of the file and to put it \
             back with another bucket, which destroys a bucket that kplan made, backups included",
        ),
        "Encrypts what is in volumes, in the bucket.",
    )
    .secret(),
    Field::in_place("volumes", "Whether what is in volumes is backed up too."),
    Field::in_place("schedules", "The backups that are made again and again."),
    Field::in_place(
        "restoring",
        "Whether the bucket is only read and no backup is made, until the cluster is restored.",
    ),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("velero"),
    terraform: "kplan_velero",
    doc: "Velero, its backup location and its schedules.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // Pulls two images, then checks the location once a minute.
    typical: Typical {
        create: 70,
        update: 40,
        delete: 15,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct Velero;

impl BundleKind for Velero {
    type Args = VeleroArgs;

    const INFO: &'static KindInfo = &INFO;

    fn access(args: &VeleroArgs) -> &Input<Access> {
        &args.access
    }

    /// Velero's server makes a password that everybody knows where it finds none (its repository's
    /// `EnsureCommonRepositoryKey`); nothing is encrypted with that before volumes are backed up.
    fn is_standin(object: &Object) -> bool {
        object.name == REPOSITORY_CREDENTIALS && object.of.kind == "Secret"
    }

    async fn objects(
        args: &VeleroArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, args.sources.as_ref(), artifacts).await?;
        objects.extend(identity());
        objects.push(credentials(
            CREDENTIALS,
            &args.access_key,
            &args.secret_key,
        )?);
        if let (true, Some(password)) = (args.volumes, &args.repository_password) {
            objects.push(repository_password(password)?);
        }
        objects.push(server(args));
        if args.volumes {
            objects.push(node_agent(args));
        }
        objects.push(location(args)?);
        objects.extend(args.schedules.iter().map(|schedule| backup(schedule, args)));
        Ok(objects)
    }
}

/// Its namespace. The node agent needs more than a usual pod may have.
pub(super) fn namespace() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {
                "pod-security.kubernetes.io/enforce": "privileged",
                "pod-security.kubernetes.io/audit": "privileged",
                "pod-security.kubernetes.io/warn": "privileged",
            },
        },
    })
}

/// Namespace, account, and the binding that lets it back up everything.
fn identity() -> [Value; 3] {
    [
        namespace(),
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": "velero", "namespace": NAMESPACE },
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": "velero" },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{ "kind": "ServiceAccount", "name": "velero", "namespace": NAMESPACE }],
        }),
    ]
}

/// The key of a bucket, as Velero reads it.
pub(super) fn credentials(
    name: &str,
    access_key: &Input<String>,
    secret_key: &Input<Secret>,
) -> Result<Value, ProviderError> {
    let ini = format!(
        "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
        access_key.known()?,
        exposed(secret_key.known()?)?
    );
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "type": "Opaque",
        "data": { "cloud": data(&ini) },
    }))
}

/// What Kopia encrypts with. Velero makes a Secret of this name itself where there is none, with a
/// password that everybody knows, before its first backup of a volume.
pub(super) fn repository_password(password: &Input<Secret>) -> Result<Value, ProviderError> {
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": REPOSITORY_CREDENTIALS, "namespace": NAMESPACE },
        "type": "Opaque",
        "data": { "repository-password": data(exposed(password.known()?)?) },
    }))
}

/// The pod both workloads share: plugins, scratch space and credentials.
fn environment() -> Value {
    json!([
        { "name": "VELERO_NAMESPACE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
        { "name": "VELERO_SCRATCH_DIR", "value": "/scratch" },
        { "name": "LD_LIBRARY_PATH", "value": "/plugins" },
        { "name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud" },
    ])
}

fn server(args: &VeleroArgs) -> Value {
    let labels = json!({ "component": "velero", "deploy": "velero" });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "velero", "namespace": NAMESPACE, "labels": { "component": "velero" } },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "deploy": "velero" } },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "serviceAccountName": "velero",
                    "restartPolicy": "Always",
                    "initContainers": [{
                        "name": "velero-plugin-for-aws",
                        "image": format!("velero/velero-plugin-for-aws:{PLUGIN_VERSION}"),
                        "imagePullPolicy": "IfNotPresent",
                        "volumeMounts": [{ "name": "plugins", "mountPath": "/target" }],
                    }],
                    "containers": [{
                        "name": "velero",
                        "image": format!("velero/velero:{}", args.version),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/velero"],
                        // A schedule does not fire the moment it is made. The server's own flag:
                        // the field of a schedule is one that Velero takes back once it has acted.
                        "args": [
                            "server",
                            "--features=EnableCSI",
                            "--schedule-skip-immediately=true",
                            "--uploader-type=kopia",
                        ],
                        "env": environment(),
                        "ports": [{ "name": "metrics", "containerPort": 8085, "protocol": "TCP" }],
                        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
                        "volumeMounts": [
                            { "name": "plugins", "mountPath": "/plugins" },
                            { "name": "scratch", "mountPath": "/scratch" },
                            { "name": CREDENTIALS, "mountPath": "/credentials" },
                        ],
                    }],
                    "volumes": [
                        { "name": "plugins", "emptyDir": {} },
                        { "name": "scratch", "emptyDir": {} },
                        { "name": CREDENTIALS, "secret": { "secretName": CREDENTIALS } },
                    ],
                },
            },
        },
    })
}

/// Copies volumes into the bucket, on the node they are mounted on.
fn node_agent(args: &VeleroArgs) -> Value {
    let mut env = environment();
    if let Some(env) = env.as_array_mut() {
        env.push(json!({ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }));
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "node-agent", "namespace": NAMESPACE, "labels": { "component": "velero" } },
        "spec": {
            "selector": { "matchLabels": { "name": "node-agent" } },
            "template": {
                "metadata": {
                    "labels": { "component": "velero", "name": "node-agent", "role": "node-agent" },
                },
                "spec": {
                    "serviceAccountName": "velero",
                    "securityContext": { "runAsUser": 0 },
                    "containers": [{
                        "name": "node-agent",
                        "image": format!("velero/velero:{}", args.version),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/velero"],
                        "args": ["node-agent", "server", "--features=EnableCSI"],
                        "env": env,
                        "securityContext": { "privileged": true },
                        "resources": { "requests": { "cpu": "50m", "memory": "64Mi" } },
                        "volumeMounts": [
                            { "name": "host-pods", "mountPath": "/host_pods", "mountPropagation": "HostToContainer" },
                            { "name": "host-plugins", "mountPath": "/var/lib/kubelet/plugins", "mountPropagation": "HostToContainer" },
                            { "name": "scratch", "mountPath": "/scratch" },
                            { "name": CREDENTIALS, "mountPath": "/credentials" },
                        ],
                    }],
                    "volumes": [
                        { "name": "host-pods", "hostPath": { "path": "/var/lib/kubelet/pods" } },
                        { "name": "host-plugins", "hostPath": { "path": "/var/lib/kubelet/plugins" } },
                        { "name": "scratch", "emptyDir": {} },
                        { "name": CREDENTIALS, "secret": { "secretName": CREDENTIALS } },
                    ],
                },
            },
        },
    })
}

fn is_restoring(args: &VeleroArgs) -> bool {
    args.restoring == Some(true)
}

fn location(args: &VeleroArgs) -> Result<Value, ProviderError> {
    let place = Place {
        bucket: args.bucket.known()?,
        prefix: args.prefix.as_deref(),
        region: &args.region,
        endpoint: args.endpoint.known()?,
    };
    let mut location = storage_location("default", &place, CREDENTIALS, is_restoring(args));
    location["spec"]["default"] = Value::from(true);
    Ok(location)
}

/// A folder of a bucket.
pub(super) struct Place<'a> {
    pub(super) bucket: &'a str,
    pub(super) prefix: Option<&'a str>,
    pub(super) region: &'a str,
    pub(super) endpoint: &'a str,
}

/// A place for backups, with the Secret that holds its key.
pub(super) fn storage_location(
    name: &str,
    place: &Place<'_>,
    credentials: &str,
    read_only: bool,
) -> Value {
    let mut storage = json!({ "bucket": place.bucket });
    if let Some(prefix) = place.prefix {
        storage["prefix"] = Value::from(prefix);
    }
    json!({
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "provider": "aws",
            "accessMode": if read_only { "ReadOnly" } else { "ReadWrite" },
            "objectStorage": storage,
            "credential": { "name": credentials, "key": "cloud" },
            "config": {
                "region": place.region,
                "s3Url": place.endpoint,
                "s3ForcePathStyle": "true",
                // The plugin's own default, CRC32, is refused by storage that is not AWS's.
                "checksumAlgorithm": "",
            },
        },
    })
}

fn backup(schedule: &Schedule, args: &VeleroArgs) -> Value {
    let mut template = json!({
        "ttl": schedule.ttl,
        "storageLocation": "default",
        "snapshotMoveData": args.volumes,
    });
    if !schedule.namespaces.is_empty() {
        template["includedNamespaces"] = Value::from(schedule.namespaces.clone());
    }
    if !schedule.excluded_namespaces.is_empty() {
        template["excludedNamespaces"] = Value::from(schedule.excluded_namespaces.clone());
    }
    json!({
        "apiVersion": "velero.io/v1",
        "kind": "Schedule",
        "metadata": { "name": schedule.name, "namespace": NAMESPACE },
        "spec": {
            "paused": schedule.paused || is_restoring(args),
            "schedule": schedule.cron,
            "template": template,
        },
    })
}
