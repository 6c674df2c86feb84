//! `argocd`: Argo CD itself.

use super::bundle::Target;
use super::ccm::upstream;
use super::cloud_secret::data;
use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::manifest::{find, in_namespace, set_data};
use super::object::{Object, Type};
use super::suspend::SUSPEND;
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use crate::k3s::pki::exposed;
use kplan_model::{
    ErrorKind, Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Secret, Typical,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The namespace; the upstream bindings name it, so no other works.
pub const NAMESPACE: &str = "argocd";

/// The finalizer, alone or with `/background` and the like behind it, that makes Argo CD remove
/// what an Application deployed before the Application goes (Argo CD's documentation, "App
/// Deletion").
const CASCADES: &str = "resources-finalizer.argocd.argoproj.io";
/// Where Argo CD keeps its administrator's password, and keys of its own.
const SECRET: &str = "argocd-secret";
/// What Argo CD hashes with itself.
const COST: u32 = 10;
/// How many Applications a message names.
const NAMES: usize = 5;

/// The finalizers of an object.
pub(super) fn finalizers(value: &Value) -> Vec<String> {
    let list = value
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Whether the finalizer makes Argo CD remove what an Application deployed.
pub(super) fn cascades(finalizer: &str) -> bool {
    finalizer.split('/').next() == Some(CASCADES)
}

/// The type of an Application.
pub(super) fn application() -> Type {
    Type::new("argoproj.io/v1alpha1", "Application")
}

/// Changes with what Argo CD's server reads at its start.
const PARAMETERS: &str = "kplan.dev/parameters";

/// Without it an Application among an Application's resources has no health, and sync waves
/// between Applications wait for nothing. Argo CD's documentation describes the check.
const APPLICATION_HEALTH: &str = "\
hs = { status = \"Progressing\", message = \"\" }
if obj.status ~= nil and obj.status.health ~= nil then
  hs.status = obj.status.health.status
  hs.message = obj.status.health.message or \"\"
end
return hs
";

kplan_model::object! {
    /// The web interface behind an ingress controller.
    pub struct ArgocdIngress {
        /// Its DNS name.
        pub host: String,
        /// The ingress class; the cluster's default one where there is none.
        pub class: Option<String>,
        /// cert-manager's issuer; the controller's own certificate where there is none.
        pub cluster_issuer: Option<String>,
    }
}

kplan_model::object! {
    /// What is asked for.
    pub struct ArgocdArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The upstream manifest: `install.yaml`, or `ha-install.yaml` for three nodes and more.
        pub artifacts: Vec<ArtifactPin>,
        /// Where they come from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// What `admin` logs in with. `None` is what kplans before 29 November 2026 recorded: Argo
        /// CD makes one of its own.
        pub admin_password: Option<Input<Secret>>,
        /// The web interface behind an ingress controller; inside the cluster only where there is
        /// none.
        pub ingress: Option<ArgocdIngress>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "artifacts",
        "The upstream manifest, with its version and digest.",
    ),
    SOURCES,
    Field::in_place(
        "admin_password",
        "What `admin` logs in with, at first: whoever changes it in Argo CD is left alone.",
    )
    .secret(),
    Field::in_place("ingress", "The web interface behind an ingress controller."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("argocd"),
    terraform: "kplan_argocd",
    doc: "Argo CD in its own namespace. Destroying it removes every Application, not what they \
          deployed; it is refused while an Application would take that with it.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // Pulls three images of about 600 MB in all and starts seven workloads.
    typical: Typical {
        create: 120,
        update: 90,
        delete: 30,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[SUSPEND],
};

/// The kind.
pub struct Argocd;

impl BundleKind for Argocd {
    type Args = ArgocdArgs;

    const INFO: &'static KindInfo = &INFO;

    fn access(args: &ArgocdArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &ArgocdArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, args.sources.as_ref(), artifacts).await?;
        in_namespace(&mut objects, NAMESPACE);
        let settings = find(&mut objects, "ConfigMap", "argocd-cm")?;
        let health = "resource.customizations.health.argoproj.io_Application";
        set_data(settings, health, APPLICATION_HEALTH);
        if let Some(password) = &args.admin_password {
            admin_password(&mut objects, exposed(password.known()?)?)?;
        }
        if let Some(ingress) = &args.ingress {
            serve(&mut objects, ingress)?;
        }
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": NAMESPACE },
        }));
        Ok(objects)
    }

    /// Argo CD writes a password that was changed in it, and keys of its own, into this Secret. A
    /// new one of ours is not kept from it, and a conflict where they changed the one before; where
    /// kplan never knew any, theirs counts.
    fn is_left_to_others(before: &ArgocdArgs, now: &ArgocdArgs, object: &Object) -> bool {
        let is_new = before.admin_password.is_some() && before.admin_password != now.admin_password;
        object.is_secret() && object.name == SECRET && !is_new
    }

    /// The definitions take every Application with them. One that is to remove what it deployed
    /// would do so now, or hang for ever once Argo CD is gone: neither was asked for.
    async fn before_delete(to: &Target<'_>, _args: &ArgocdArgs) -> Result<(), ProviderError> {
        let listed = to.session.list(&application(), "").await?;
        let mut names = Vec::new();
        for value in listed.iter() {
            if finalizers(value).iter().any(|one| cascades(one)) {
                let object = Object::of(value)?;
                let namespace = object.namespace.as_deref().unwrap_or(NAMESPACE);
                names.push(format!("{namespace}/{}", object.name));
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        let more = if names.len() > NAMES { ", …" } else { "" };
        let count = names.len();
        names.truncate(NAMES);
        Err(ProviderError::new(
            ErrorKind::Invalid,
            format!(
                "{count} Applications would take what they deployed with them: {}{more}",
                names.join(", ")
            ),
        )
        .help(
            "delete those Applications, if what they deployed is to go; to keep it, take the \
             finalizer resources-finalizer.argocd.argoproj.io off them; then apply again",
        ))
    }
}

/// Serves the web interface by a name. TLS ends at the ingress controller, so the server has to speak
/// plainly behind it: else each would send the browser to the other for ever.
fn serve(objects: &mut Vec<Value>, ingress: &ArgocdIngress) -> Result<(), ProviderError> {
    let settings = find(objects, "ConfigMap", "argocd-cm")?;
    set_data(settings, "url", format!("https://{}", ingress.host));
    let parameters = find(objects, "ConfigMap", "argocd-cmd-params-cm")?;
    set_data(parameters, "server.insecure", "true");
    // Parameters are read when a pod starts.
    let server = find(objects, "Deployment", "argocd-server")?;
    server["spec"]["template"]["metadata"]["annotations"][PARAMETERS] = json!("insecure");
    let rule = json!({
        "host": ingress.host,
        "http": { "paths": [{
            "path": "/",
            "pathType": "Prefix",
            "backend": { "service": { "name": "argocd-server", "port": { "name": "http" } } },
        }] },
    });
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": "argocd-server", "namespace": NAMESPACE },
        "spec": { "rules": [rule], "tls": [{ "hosts": [ingress.host] }] },
    });
    if let Some(class) = &ingress.class {
        object["spec"]["ingressClassName"] = json!(class);
    }
    if let Some(issuer) = &ingress.cluster_issuer {
        object["metadata"]["annotations"] = json!({ "cert-manager.io/cluster-issuer": issuer });
        object["spec"]["tls"][0]["secretName"] = json!("argocd-server-tls");
    }
    objects.push(object);
    Ok(())
}

/// Puts the password's hash where Argo CD looks for it; finding one there, it makes none of its own
/// (`argocd-initial-admin-secret`).
fn admin_password(objects: &mut [Value], password: &str) -> Result<(), ProviderError> {
    // The same hash every time, so that a plan sees no change: a salt has to differ between
    // passwords, and this one does.
    let digest = Sha256::digest(["argocd admin ", password].concat());
    let mut salt = [0; 16];
    salt.copy_from_slice(&digest[..16]);
    let hash = bcrypt::hash_with_salt(password, COST, salt).map_err(|error| {
        let message = format!("the administrator's password cannot be hashed: {error}");
        ProviderError::new(ErrorKind::Bug, message)
    })?;
    let secret = find(objects, "Secret", SECRET)?;
    let hash = hash.format_for_version(bcrypt::Version::TwoA);
    set_data(secret, "admin.password", data(&hash));
    // Sessions from before it end; there were none.
    set_data(secret, "admin.passwordMtime", data("1970-01-01T00:00:00Z"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k3s::testing::permit;
    use crate::kubernetes::testing::{Asked, Fake, status};
    use crate::kubernetes::{ArgocdApplication, ArgocdApplicationArgs};
    use std::sync::{Arc, Mutex};

    const ROOT: &str = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/root";

    /// An API with one Application.
    fn api(finalizers: &[&str]) -> (Fake, Arc<Mutex<Value>>) {
        let root = Arc::new(Mutex::new(json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": "root", "namespace": NAMESPACE, "resourceVersion": "41",
                "finalizers": finalizers,
            },
        })));
        let stored = Arc::clone(&root);
        let fake = Fake::new(move |asked: &Asked| {
            let mut stored = stored.lock().unwrap();
            let path = asked.path.split('?').next().unwrap_or_default();
            match (asked.method.as_str(), path) {
                ("GET", "/apis/argoproj.io/v1alpha1") => Some((
                    200,
                    json!({ "kind": "APIResourceList", "resources": [{
                        "name": "applications", "kind": "Application", "namespaced": true, "verbs": [],
                    }] }),
                )),
                ("GET", ROOT) => Some((200, stored.clone())),
                ("GET", "/apis/argoproj.io/v1alpha1/applications") => {
                    Some((200, json!({ "items": [*stored], "metadata": {} })))
                }
                ("PATCH", ROOT) => {
                    let metadata = &asked.body["metadata"];
                    assert_eq!(metadata["resourceVersion"], "41");
                    stored["metadata"]["finalizers"] = metadata["finalizers"].clone();
                    Some((200, stored.clone()))
                }
                _ => status(404, "NotFound", "not here"),
            }
        });
        (fake, root)
    }

    fn application_args() -> ArgocdApplicationArgs {
        ArgocdApplicationArgs {
            access: Input::Unknown,
            objects: Applied,
            name: "root".to_owned(),
            repo: "https://github.com/acme/infra.git".to_owned(),
            path: "apps".to_owned(),
            revision: "HEAD".to_owned(),
            namespace: NAMESPACE.to_owned(),
            recurse: false,
            prune: true,
            self_heal: true,
            waited_for: None,
        }
    }

    struct Nothing;

    impl ArtifactSource for Nothing {
        fn bytes<'a>(
            &'a self,
            _: &'a crate::artifacts::ArtifactRef,
        ) -> kplan_model::BoxFuture<'a, Result<bytes::Bytes, ProviderError>> {
            unreachable!("an Application needs no artifact")
        }

        fn digest<'a>(
            &'a self,
            _: &'a crate::artifacts::ArtifactRef,
        ) -> kplan_model::BoxFuture<'a, Result<String, ProviderError>> {
            unreachable!("an Application needs no artifact")
        }
    }

    #[tokio::test]
    async fn what_the_root_application_deployed_stays_when_it_goes() {
        let objects = ArgocdApplication::objects(&application_args(), &Nothing).await;
        assert_eq!(finalizers(&objects.unwrap()[0]), Vec::<String>::new());
        // One that has the finalizer all the same loses it first, and keeps everybody else's.
        let cascade = "resources-finalizer.argocd.argoproj.io/background";
        for (before, left, patches) in [
            (
                vec![CASCADES, "example.org/mine"],
                vec!["example.org/mine"],
                1,
            ),
            (vec![cascade], vec![], 1),
            (vec!["example.org/mine"], vec!["example.org/mine"], 0),
        ] {
            let (fake, root) = api(&before);
            let (kubernetes, session) = (fake.kubernetes(), fake.session());
            let permit = permit("argocd_application.root");
            let to = Target {
                kubernetes: &kubernetes,
                session: &session,
                permit: &permit,
            };
            ArgocdApplication::before_delete(&to, &application_args())
                .await
                .unwrap();
            assert_eq!(finalizers(&root.lock().unwrap()), left);
            let asked = fake.asked();
            let patched = asked.iter().filter(|call| call.starts_with("PATCH"));
            assert_eq!(patched.count(), patches, "{asked:?}");
        }
    }

    #[tokio::test]
    async fn argo_cd_stays_while_an_application_would_take_what_it_deployed() {
        let args = ArgocdArgs {
            access: Input::Unknown,
            objects: Applied,
            artifacts: Vec::new(),
            sources: None,
            admin_password: None,
            ingress: None,
        };
        for (finalizers, refused) in [(vec![CASCADES], true), (vec!["example.org/mine"], false)] {
            let (fake, _) = api(&finalizers);
            let (kubernetes, session) = (fake.kubernetes(), fake.session());
            let permit = permit("argocd.main");
            let to = Target {
                kubernetes: &kubernetes,
                session: &session,
                permit: &permit,
            };
            let outcome = Argocd::before_delete(&to, &args).await;
            assert_eq!(outcome.is_err(), refused, "{outcome:?}");
            if let Err(error) = outcome {
                assert_eq!(error.kind, ErrorKind::Invalid);
                assert!(error.message.contains("argocd/root"), "{error}");
                assert!(error.help.unwrap().contains("finalizer"));
            }
        }
    }
}
