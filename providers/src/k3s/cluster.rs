//! `k3s`: the cluster that the nodes form. Nothing of it is billed or has an id of its own; what
//! is made here is the binding that lets kplan's short-lived certificates in.

use super::access::{ADMINS, Access};
use super::boot::{self, object_key, report_key};
use super::pki::exposed;
use super::storage::{BootStorage, Place};
use crate::kubernetes::bundle::{Bundle, Target};
use crate::kubernetes::object::Type;
use crate::kubernetes::session::{Ownership, Session};
use crate::kubernetes::{Kubernetes, Role};
use kplan_model::{
    Address, Change, CreateFailed, ErrorKind, Field, FieldSet, Found, Input, Kind, KindInfo, Known,
    ObjectCodec, Permit, ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, Secret,
    Typical, Wanted,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Where K3s serves the API.
const PORT: u16 = 6443;
/// How often the API is asked whether it is there: about five minutes with the pauses below. A
/// load balancer sends nothing to a server before several of its health checks succeeded.
const LOOKS: u32 = 40;
/// The longest pause between two looks; the first is a half second.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

kplan_model::object! {
    /// Where the bundles of the nodes lie, to delete them once every node is up.
    pub struct Bundles {
        /// The owner id.
        pub cluster: String,
        /// The boot bucket.
        pub bucket: Input<String>,
        /// The storage's address.
        pub endpoint: Input<String>,
        /// Its region.
        pub region: Input<String>,
        /// The id of its key.
        pub access_key: Input<String>,
        /// The key.
        pub secret_key: Input<Secret>,
    }
}

kplan_model::object! {
    /// What is asked for.
    pub struct ClusterArgs {
        /// Where kplan calls the API: address of a load balancer, a reserved one or a droplet's,
        /// so that it need not wait until resolvers know a name; or a name, where there is nothing
        /// else in front of several servers.
        pub endpoint: Input<String>,
        /// The name by which kubeconfigs call the API, instead of `endpoint`.
        pub hostname: Option<String>,
        /// The names of the nodes that have to register.
        pub nodes: Vec<Input<String>>,
        /// The chain that signs the API's certificates, PEM.
        pub server_ca: Input<String>,
        /// The chain that signs client certificates, PEM.
        pub client_ca: Input<String>,
        /// Its key.
        pub client_ca_key: Input<Secret>,
        /// The nodes' bundles.
        pub bundles: Option<Bundles>,
    }
}

kplan_model::object! {
    /// What is known of it.
    pub struct ClusterAttrs {
        /// The API's address in kubeconfigs.
        pub server: String,
        /// How kplan calls it.
        pub access: Access,
        /// What the API says its version is.
        pub version: Option<String>,
        /// The expected nodes that have registered.
        pub nodes: Vec<String>,
        /// What it waits for.
        pub waiting: Option<String>,
    }
}

const KEYS: &str = "the keys of a living cluster are not exchanged by an apply";

static FIELDS: &[Field] = &[
    Field::in_place("endpoint", "Where kplan calls the API.")
        .reaches()
        .renews(&["access", "server"]),
    Field::in_place(
        "hostname",
        "The name by which kubeconfigs call the API, instead of `endpoint`.",
    )
    .renews(&["server"]),
    Field::in_place("nodes", "The names of the nodes that have to register.")
        .by(kplan_model::Compare::Set),
    Field::new(
        "server_ca",
        Change::Refuse(KEYS),
        "The chain that signs the API's certificates, PEM.",
    ),
    Field::new(
        "client_ca",
        Change::Refuse(KEYS),
        "The chain that signs client certificates, PEM.",
    ),
    Field::new("client_ca_key", Change::Refuse(KEYS), "Its key.").secret(),
    Field::ignored(
        "bundles",
        "Where the nodes' bundles lie until every node is up.",
    )
    .reaches(),
    Field::computed("server", "The API's address in kubeconfigs."),
    Field::computed(
        "access",
        "How the API is called: its address, whom to trust, who signs.",
    )
    .secret(),
    Field::computed("version", "What the API says its version is."),
    Field::computed("waiting", "What it waits for."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("k3s"),
    terraform: "kplan_k3s",
    doc: "The cluster that the K3s nodes form.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["client_ca"],
    holds: Some("everything in the cluster that is not in Git or in a backup"),
    // A load balancer takes five health checks of 10 s before it sends anything to a server.
    typical: Typical {
        create: 60,
        update: 5,
        delete: 1,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct Cluster {
    kubernetes: Kubernetes,
    storage: Arc<dyn BootStorage>,
}

impl Cluster {
    /// With connections to clusters and to the boot bucket.
    pub fn new(kubernetes: Kubernetes, storage: Arc<dyn BootStorage>) -> Self {
        Self {
            kubernetes,
            storage,
        }
    }

    async fn pause(&self, look: u32) {
        let pause = Duration::from_millis(500) * 2_u32.saturating_pow(look.min(8));
        self.kubernetes.pause(pause.min(LONGEST_PAUSE)).await;
    }

    /// Waits until the API answers `/ping`, which any server does, and then `/readyz`, which asks
    /// for a certificate.
    async fn answers(&self, session: &Session) -> Result<(), ProviderError> {
        let mut last = None;
        for look in 0..LOOKS {
            match ready(session).await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind == ErrorKind::Denied => return Err(untrusted(error)),
                Err(error) => last = Some(error),
            }
            self.pause(look).await;
        }
        let why = last.map_or_else(String::new, |error| error.message);
        Err(ProviderError::new(
            ErrorKind::Busy,
            format!("the cluster's API is not ready: {why}"),
        )
        .help(
            "look at the load balancer's health checks and at who may reach port 6443; applying \
             again carries on here",
        ))
    }

    /// Waits until the binding that was just applied lets the admins in.
    async fn lets_in(&self, session: &Session) -> Result<(), ProviderError> {
        let mut look = 0;
        loop {
            match session.list(&nodes_type(), "").await {
                Err(error) if error.kind == ErrorKind::Denied && look < LOOKS / 4 => {
                    self.pause(look).await;
                    look += 1;
                }
                other => return other.map(drop),
            }
        }
    }

    async fn make(
        &self,
        owner: &str,
        address: &Address,
        args: &ClusterArgs,
        permit: &Permit,
    ) -> Result<ClusterAttrs, ProviderError> {
        let access = access(args)?;
        let session = self.kubernetes.session(&access, Role::Bootstrap)?;
        self.answers(&session).await?;
        let to = Target {
            kubernetes: &self.kubernetes,
            session: &session,
            permit,
        };
        binding(owner, address)?
            .apply(&to, |_, _| true, Ownership::Take)
            .await?;
        let session = self.kubernetes.session(&access, Role::Admin)?;
        self.lets_in(&session).await?;
        if let Some(bundles) = &args.bundles {
            self.forget(bundles, &names(args)?, permit).await?;
        }
        self.look(args).await
    }

    /// Deletes the bundles and reports of nodes that are up.
    async fn forget(
        &self,
        bundles: &Bundles,
        nodes: &BTreeSet<String>,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        let secret_key = bundles.secret_key.known()?.clone();
        let secret = exposed(&secret_key)?.to_owned();
        let place = Place {
            endpoint: bundles.endpoint.known()?.clone(),
            region: bundles.region.known()?.clone(),
            bucket: bundles.bucket.known()?.clone(),
            access_key: bundles.access_key.known()?.clone(),
            secret_key,
        };
        let ours: BTreeSet<String> = nodes
            .iter()
            .map(|node| object_key(&bundles.cluster, node, &secret))
            .flat_map(|key| [report_key(&key), key])
            .collect();
        let listed = self.storage.list(&place, boot::PREFIX).await?;
        if listed.iter().all(|one| ours.contains(&one.key)) {
            self.storage
                .remove_prefix(&place, boot::PREFIX, permit)
                .await?;
            let left = self.storage.list(&place, boot::PREFIX).await?;
            return match left.iter().find(|one| ours.contains(&one.key)) {
                None => Ok(()),
                Some(one) => Err(ProviderError::new(
                    ErrorKind::Busy,
                    format!(
                        "{} is still in the boot bucket after it was deleted",
                        one.key
                    ),
                )),
            };
        }
        for one in listed.iter().filter(|one| ours.contains(&one.key)) {
            self.storage.remove(&place, &one.key, permit).await?;
        }
        Ok(())
    }

    async fn look(&self, args: &ClusterArgs) -> Result<ClusterAttrs, ProviderError> {
        let access = access(args)?;
        let session = self.kubernetes.session(&access, Role::Admin)?;
        let version = session.json("/version").await?["gitVersion"]
            .as_str()
            .map(str::to_owned);
        let listed = session.list(&nodes_type(), "").await?;
        let registered: BTreeSet<&str> = listed
            .iter()
            .filter_map(|node| node["metadata"]["name"].as_str())
            .collect();
        let (nodes, missing): (Vec<String>, Vec<String>) = names(args)?
            .into_iter()
            .partition(|name| registered.contains(name.as_str()));
        let waiting = (!missing.is_empty()).then(|| {
            format!(
                "{} of {} nodes have not registered: {}",
                missing.len(),
                args.nodes.len(),
                missing.join(", ")
            )
        });
        Ok(ClusterAttrs {
            server: match &args.hostname {
                Some(hostname) => server_at(hostname),
                None => access.server.clone(),
            },
            access,
            version,
            nodes,
            waiting,
        })
    }
}

fn nodes_type() -> Type {
    Type::new("v1", "Node")
}

async fn ready(session: &Session) -> Result<(), ProviderError> {
    let pong = session.text("/ping").await?;
    if pong.trim() != "pong" {
        return Err(ProviderError::new(
            ErrorKind::Transient,
            "something else than K3s answers at the API's address",
        ));
    }
    session.text("/readyz").await.map(drop)
}

fn untrusted(error: ProviderError) -> ProviderError {
    ProviderError {
        kind: ErrorKind::Failed,
        ..error
    }
    .help(
        "the API answers, but does not accept this cluster's client authority: another cluster is \
         at this address, or its servers were not made from this state",
    )
}

fn names(args: &ClusterArgs) -> Result<BTreeSet<String>, ProviderError> {
    args.nodes
        .iter()
        .map(|node| Ok(node.known()?.clone()))
        .collect()
}

/// The address of the API on a host.
fn server_at(host: &str) -> String {
    // An IPv6 address stands in brackets in an address.
    if host.contains(':') {
        format!("https://[{host}]:{PORT}")
    } else {
        format!("https://{host}:{PORT}")
    }
}

fn access(args: &ClusterArgs) -> Result<Access, ProviderError> {
    Ok(Access {
        server: server_at(args.endpoint.known()?),
        server_ca: args.server_ca.known()?.clone(),
        client_ca: args.client_ca.known()?.clone(),
        client_ca_key: args.client_ca_key.known()?.clone(),
    })
}

/// The group kplan's certificates name becomes administrator.
fn admins() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": ADMINS },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ADMINS }],
    })
}

fn binding(owner: &str, address: &Address) -> Result<Bundle, ProviderError> {
    Bundle::new(owner, address, vec![admins()])
}

fn owner(known: &Known) -> &str {
    known.id.as_str().split('/').next().unwrap_or_default()
}

impl Resource for Cluster {
    type Args = ClusterArgs;
    type Attrs = ClusterAttrs;

    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<ClusterAttrs>, ProviderError> {
        self.look(&ClusterArgs::from_object(&known.args)?)
            .await
            .map(Some)
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, ClusterAttrs>, ProviderError> {
        let mut found = BTreeMap::new();
        for one in known {
            let args = ClusterArgs::from_object(&one.args)?;
            found.insert(one.id.clone(), self.look(&args).await?);
        }
        Ok(found)
    }

    /// Nothing: a create makes nothing that could exist twice, so one that was cut off is simply
    /// made again.
    async fn find(
        &self,
        _wanted: Wanted<'_, ClusterArgs>,
    ) -> Result<Vec<Found<ClusterAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, ClusterArgs>,
        permit: &Permit,
    ) -> Result<Found<ClusterAttrs>, CreateFailed<ClusterAttrs>> {
        let owner = wanted.owner.id();
        let attrs = self
            .make(&owner, wanted.address, wanted.args, permit)
            .await?;
        let id = RemoteId::new(format!("{owner}/{}", wanted.address));
        Ok(Found {
            id,
            created_at: None,
            attrs,
            role: kplan_model::FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        known: &Known,
        args: &ClusterArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<ClusterAttrs, ProviderError> {
        self.make(owner(known), &known.address, args, permit).await
    }

    /// The cluster goes with its servers.
    async fn delete(&self, _known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        Ok(())
    }

    fn readiness(&self, attrs: &ClusterAttrs) -> Readiness {
        attrs
            .waiting
            .clone()
            .map_or(Readiness::Ready, Readiness::Waiting)
    }
}
