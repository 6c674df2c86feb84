//! `argocd_application`: the root Application, which brings everything else from Git.

use super::argocd::{NAMESPACE, application, cascades, finalizers};
use super::bundle::Target;
use super::kind::{Applied, BundleKind, bundle_fields};
use super::object::Object;
use super::wait::NOT_WAITED_FOR;
use crate::artifacts::ArtifactSource;
use crate::k3s::access::Access;
use kplan_model::{Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Typical};
use serde_json::{Value, json};

kplan_model::object! {
    /// What is asked for.
    pub struct ArgocdApplicationArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The Application's name.
        pub name: String,
        /// The repository's address.
        pub repo: String,
        /// The folder in it.
        pub path: String,
        /// Branch, tag or commit.
        pub revision: String,
        /// The namespace of what names none.
        pub namespace: String,
        /// Whether folders below `path` are read too.
        pub recurse: bool,
        /// Whether what leaves Git leaves the cluster.
        pub prune: bool,
        /// Whether what is changed in the cluster is changed back.
        pub self_heal: bool,
        /// Whether it has to be synced before it counts as ready; `None` is yes.
        pub waited_for: Option<bool>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::replace("name", "The Application's name."),
    Field::in_place("repo", "The repository's address."),
    Field::in_place("path", "The folder in the repository."),
    Field::in_place("revision", "Branch, tag or commit."),
    Field::in_place("namespace", "The namespace of what names none."),
    Field::in_place("recurse", "Whether folders below are read too."),
    Field::in_place("prune", "Whether what leaves Git leaves the cluster."),
    Field::in_place(
        "self_heal",
        "Whether what is changed in the cluster is changed back.",
    ),
    Field::in_place(
        "waited_for",
        "Whether it has to be synced before it counts as ready.",
    ),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("argocd_application"),
    terraform: "kplan_argocd_application",
    doc: "The root Application. Destroying it leaves what Argo CD deployed from it running.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name"],
    holds: None,
    // Reads the repository, then applies it; how much that is nobody knows.
    typical: Typical {
        create: 60,
        update: 30,
        delete: 60,
    },
    max_parallel: 4,
    alike: &[],
    import: None,
    operations: &[],
};

/// An Application of this cluster. Without Argo CD's finalizer what it brought stays when it goes: a
/// block taken out of a file, or an Application made anew, is no word about anybody's data.
pub fn application_of(name: &str, namespace: &str, source: &Value, automated: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "project": "default",
            "source": source,
            "destination": {
                "server": "https://kubernetes.default.svc",
                "namespace": namespace,
            },
            "syncPolicy": {
                "automated": automated,
                "syncOptions": ["CreateNamespace=true", "ServerSideApply=true"],
            },
        },
    })
}

/// The kind.
pub struct ArgocdApplication;

impl BundleKind for ArgocdApplication {
    type Args = ArgocdApplicationArgs;

    const INFO: &'static KindInfo = &INFO;
    const YIELDS: bool = false;

    fn access(args: &ArgocdApplicationArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &ArgocdApplicationArgs,
        _artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut source = json!({
            "repoURL": args.repo,
            "path": args.path,
            "targetRevision": args.revision,
        });
        if args.recurse {
            source["directory"] = json!({ "recurse": true });
        }
        let automated = json!({ "prune": args.prune, "selfHeal": args.self_heal });
        let mut application = application_of(&args.name, &args.namespace, &source, &automated);
        if args.waited_for == Some(false) {
            application["metadata"]["annotations"] = json!({ NOT_WAITED_FOR: "true" });
        }
        Ok(vec![application])
    }

    /// An earlier kplan gave it the finalizer, and anybody may have: Argo CD's own deletion
    /// without cascade begins with taking it off.
    async fn before_delete(
        to: &Target<'_>,
        args: &ArgocdApplicationArgs,
    ) -> Result<(), ProviderError> {
        let object = Object {
            of: application(),
            namespace: Some(NAMESPACE.to_owned()),
            name: args.name.clone(),
        };
        let Some(live) = to.session.get(&object).await? else {
            return Ok(());
        };
        let mut left = finalizers(&live);
        let before = left.len();
        left.retain(|finalizer| !cascades(finalizer));
        if left.len() == before {
            return Ok(());
        }
        // The version makes sure that nobody else's finalizer is lost.
        let patch = json!({ "metadata": {
            "finalizers": left,
            "resourceVersion": live.pointer("/metadata/resourceVersion"),
        } });
        to.session.merge(to.permit, &object, &patch).await
    }
}
