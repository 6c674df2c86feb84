//! `argocd_repository`: a Git repository and how Argo CD signs in to it.

use super::argocd::NAMESPACE;
use super::cloud_secret::data;
use super::kind::{Applied, BundleKind, bundle_fields};
use crate::artifacts::ArtifactSource;
use crate::k3s::access::Access;
use crate::k3s::pki::exposed;
use crate::k3s::pki::secret::sha256_hex;
use kplan_model::{
    ErrorKind, Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Secret, Typical,
};
use serde_json::{Map, Value, json};

kplan_model::object! {
    /// A GitHub App's installation.
    pub struct GithubApp {
        /// The app's id.
        pub app_id: String,
        /// The installation's id.
        pub installation_id: String,
        /// The app's private key, PEM.
        pub private_key: Input<Secret>,
        /// The API of a GitHub Enterprise server.
        pub enterprise_url: Option<String>,
    }
}

kplan_model::object! {
    /// What is asked for. At most one of `token`, `ssh_key` and `github_app`; none for a public
    /// repository.
    pub struct ArgocdRepositoryArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The repository's address.
        pub url: String,
        /// The user a token belongs to; GitHub takes any.
        pub username: Option<String>,
        /// An access token.
        pub token: Option<Input<Secret>>,
        /// A private SSH key.
        pub ssh_key: Option<Input<Secret>>,
        /// A GitHub App.
        pub github_app: Option<GithubApp>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::replace("url", "The repository's address."),
    Field::in_place("username", "The user a token belongs to."),
    Field::in_place("token", "An access token.").secret(),
    Field::in_place("ssh_key", "A private SSH key.").secret(),
    Field::in_place("github_app", "A GitHub App's installation.").secret(),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("argocd_repository"),
    terraform: "kplan_argocd_repository",
    doc: "A Git repository Argo CD reads.",
    fields: FIELDS,
    replace: ReplaceOrder::CreateFirst,
    identity: &["url"],
    holds: None,
    // One request.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 4,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct ArgocdRepository;

fn put(data_of: &mut Map<String, Value>, name: &str, value: &str) {
    data_of.insert(name.to_owned(), data(value));
}

fn credentials(
    args: &ArgocdRepositoryArgs,
    to: &mut Map<String, Value>,
) -> Result<(), ProviderError> {
    match (&args.token, &args.ssh_key, &args.github_app) {
        (None, None, None) => {}
        (Some(token), None, None) => {
            // GitHub looks at the token alone, but an empty user is refused.
            put(to, "username", args.username.as_deref().unwrap_or("git"));
            put(to, "password", exposed(token.known()?)?);
        }
        (None, Some(key), None) => put(to, "sshPrivateKey", exposed(key.known()?)?),
        (None, None, Some(app)) => {
            put(to, "githubAppID", &app.app_id);
            put(to, "githubAppInstallationID", &app.installation_id);
            put(
                to,
                "githubAppPrivateKey",
                exposed(app.private_key.known()?)?,
            );
            if let Some(url) = &app.enterprise_url {
                put(to, "githubAppEnterpriseBaseUrl", url);
            }
        }
        _ => {
            return Err(ProviderError::new(
                ErrorKind::Bug,
                format!(
                    "the repository {} was declared with several credentials",
                    args.url
                ),
            ));
        }
    }
    Ok(())
}

impl BundleKind for ArgocdRepository {
    type Args = ArgocdRepositoryArgs;

    const INFO: &'static KindInfo = &INFO;
    const YIELDS: bool = false;

    fn access(args: &ArgocdRepositoryArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &ArgocdRepositoryArgs,
        _artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut data_of = Map::new();
        put(&mut data_of, "type", "git");
        put(&mut data_of, "url", &args.url);
        credentials(args, &mut data_of)?;
        // Named by its address, as one repository may be declared once only.
        let digest = sha256_hex(args.url.as_bytes());
        let name = format!("repo-{}", digest.get(..10).unwrap_or_default());
        Ok(vec![json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": { "argocd.argoproj.io/secret-type": "repository" },
            },
            "type": "Opaque",
            "data": data_of,
        })])
    }
}
