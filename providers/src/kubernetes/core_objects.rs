//! Every object of Kubernetes's own kinds that kplan writes here, against Kubernetes's own types, and
//! what the Secrets among them hold. Those that the nodes and the cluster are made with are beside
//! them, in `k3s`.

use super::known::survives;
use super::object::Object;
use super::*;
use crate::artifacts::{ArtifactRef, ArtifactSource};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kplan_model::{BoxFuture, Input, ProviderError, Secret};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Nothing is fetched: what is asked about here is kplan's own.
struct Nowhere;

impl ArtifactSource for Nowhere {
    fn bytes<'a>(&'a self, _: &'a ArtifactRef) -> BoxFuture<'a, Result<Bytes, ProviderError>> {
        panic!("nothing of upstream's is asked for");
    }

    fn digest<'a>(&'a self, _: &'a ArtifactRef) -> BoxFuture<'a, Result<String, ProviderError>> {
        panic!("nothing of upstream's is asked for");
    }
}

async fn objects<K: BundleKind>(args: &K::Args) -> Vec<Value> {
    K::objects(args, &Nowhere).await.unwrap()
}

fn velero_args() -> VeleroArgs {
    VeleroArgs {
        access: Input::Unknown,
        objects: Applied,
        artifacts: vec![],
        sources: None,
        version: "v1.17.2".to_owned(),
        bucket: "acme-demo-backup".to_owned().into(),
        prefix: Some("demo".to_owned()),
        region: "fra1".to_owned(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned().into(),
        access_key: "DO00".to_owned().into(),
        secret_key: Secret::new("s3cret").into(),
        restoring: None,
        repository_password: Some(Secret::new("kopia-pass").into()),
        volumes: true,
        schedules: vec![],
    }
}

/// What a Secret of the cluster holds, as whoever reads it sees it.
fn held(secret: &Value) -> BTreeMap<&str, String> {
    let data = secret["data"].as_object().unwrap().iter();
    data.map(|(key, value)| {
        let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
        (key.as_str(), String::from_utf8(bytes).unwrap())
    })
    .collect()
}

async fn repository(change: impl FnOnce(&mut ArgocdRepositoryArgs)) -> Value {
    let mut args = ArgocdRepositoryArgs {
        access: Input::Unknown,
        objects: Applied,
        url: "https://github.com/acme/infra.git".to_owned(),
        username: None,
        token: None,
        ssh_key: None,
        github_app: None,
    };
    change(&mut args);
    let mut found = objects::<ArgocdRepository>(&args).await;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn app(enterprise: Option<&str>) -> GithubApp {
    GithubApp {
        app_id: "1".to_owned(),
        installation_id: "2".to_owned(),
        private_key: Secret::new("pem").into(),
        enterprise_url: enterprise.map(str::to_owned),
    }
}

/// The keys of Argo CD's operator manual ("Declarative Setup", repositories), and none besides: a key
/// it does not know is ignored in silence, and a credential of a second form would be taken first.
#[tokio::test]
async fn argo_cd_finds_each_form_of_credentials_under_its_own_keys() {
    let url = "https://github.com/acme/infra.git";
    let token = |args: &mut ArgocdRepositoryArgs| args.token = Some(Secret::new("ghp").into());
    let enterprise = "https://github.example.com/api/v3";
    let all = [
        (repository(|_| {}).await, vec![]),
        (
            repository(token).await,
            vec![("username", "git"), ("password", "ghp")],
        ),
        (
            repository(|args| {
                token(args);
                args.username = Some("ci".to_owned());
            })
            .await,
            vec![("username", "ci"), ("password", "ghp")],
        ),
        (
            repository(|args| args.ssh_key = Some(Secret::new("key").into())).await,
            vec![("sshPrivateKey", "key")],
        ),
        (
            repository(|args| args.github_app = Some(app(None))).await,
            vec![
                ("githubAppID", "1"),
                ("githubAppInstallationID", "2"),
                ("githubAppPrivateKey", "pem"),
            ],
        ),
        (
            repository(|args| args.github_app = Some(app(Some(enterprise)))).await,
            vec![
                ("githubAppID", "1"),
                ("githubAppInstallationID", "2"),
                ("githubAppPrivateKey", "pem"),
                ("githubAppEnterpriseBaseUrl", enterprise),
            ],
        ),
    ];
    for (secret, credentials) in all {
        let wanted = credentials
            .into_iter()
            .chain([("type", "git"), ("url", url)])
            .map(|(key, value)| (key, value.to_owned()));
        assert_eq!(held(&secret), wanted.collect());
        assert_eq!(secret["metadata"]["namespace"], "argocd");
        assert_eq!(
            secret["metadata"]["labels"],
            json!({ "argocd.argoproj.io/secret-type": "repository" })
        );
        assert!(secret.get("stringData").is_none());
        survives(&secret);
    }
}

#[tokio::test]
async fn a_repository_with_two_forms_of_credentials_is_refused() {
    let args = ArgocdRepositoryArgs {
        access: Input::Unknown,
        objects: Applied,
        url: "https://github.com/acme/infra.git".to_owned(),
        username: None,
        token: Some(Secret::new("ghp").into()),
        ssh_key: None,
        github_app: Some(app(None)),
    };
    let refused = ArgocdRepository::objects(&args, &Nowhere)
        .await
        .unwrap_err();
    assert!(refused.message.contains("several credentials"), "{refused}");
}

/// What Velero and its own Secrets are made of.
async fn veleros() -> Vec<Value> {
    let mut all = objects::<Velero>(&velero_args()).await;
    all.retain(|object| {
        !object["apiVersion"]
            .as_str()
            .unwrap()
            .starts_with("velero.io/")
    });
    assert_eq!(all.len(), 7);
    let secrets = VeleroSecretArgs {
        access: Input::Unknown,
        objects: Applied,
        access_key: "DO00".to_owned().into(),
        secret_key: Secret::new("s3cret").into(),
        repository_password: Some(Secret::new("kopia-pass").into()),
    };
    let secrets = objects::<VeleroSecret>(&secrets).await;
    let names: Vec<&Value> = secrets.iter().map(|one| &one["metadata"]["name"]).collect();
    assert_eq!(
        names,
        ["velero", "cloud-credentials", "velero-repo-credentials"]
    );
    all.extend(secrets);
    let source = VeleroSourceArgs {
        access: Input::Unknown,
        objects: Applied,
        bucket: "first-backup".to_owned(),
        prefix: None,
        region: "fra1".to_owned(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned(),
        access_key: "key".to_owned().into(),
        secret_key: Secret::new("secret").into(),
    };
    let mut source = objects::<VeleroSource>(&source).await;
    source.retain(|object| object["kind"] == "Secret");
    assert_eq!(source.len(), 1);
    let ini = "[default]\naws_access_key_id=key\naws_secret_access_key=secret\n";
    assert_eq!(
        held(&source[0]),
        BTreeMap::from([("cloud", ini.to_owned())])
    );
    all.extend(source);
    for copy in [false, true] {
        let args = RestoreArgs {
            access: Input::Unknown,
            backup: "nightly".to_owned().into(),
            excluded_namespaces: vec![],
            accept_partial: false,
            location: copy.then(|| "first".to_owned()),
            name: None,
        };
        all.push(velero_restore::modifiers(&args));
    }
    all
}

#[tokio::test]
async fn every_core_object_is_known_to_kubernetes_field_by_field() {
    let mut all = veleros().await;
    let secret = CloudSecretArgs {
        access: Input::Unknown,
        objects: Applied,
        token: Secret::new("dop_v1").into(),
    };
    all.extend(objects::<CloudSecret>(&secret).await);
    let snapshots = EtcdSnapshotsArgs {
        access: Input::Unknown,
        objects: Applied,
        bucket: "acme-demo-backup".to_owned().into(),
        folder: "plugins/k3s/demo".to_owned(),
        region: "fra1".to_owned(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned().into(),
        access_key: "DO00".to_owned().into(),
        secret_key: Secret::new("s3cret").into(),
    };
    let secret = objects::<EtcdSnapshots>(&snapshots).await;
    let host = "fra1.digitaloceanspaces.com";
    assert_eq!(held(&secret[0])["etcd-s3-endpoint"], host);
    all.extend(secret);
    let key = SealingSecretArgs {
        access: Input::Unknown,
        objects: Applied,
        certificate: "certificate".to_owned().into(),
        private_key: Secret::new("key").into(),
    };
    let key = objects::<SealingSecret>(&key).await;
    let wanted = [("tls.crt", "certificate"), ("tls.key", "key")];
    let wanted = wanted.map(|(name, text)| (name, text.to_owned()));
    assert_eq!(held(&key[0]), BTreeMap::from(wanted));
    all.extend(key);
    all.push(metadata_probe::job("0a1b2c3d", 0, "demo-server-0"));
    all.push(session::eviction(&Object::new(
        "v1",
        "Pod",
        Some("shop"),
        "web-0",
    )));
    all.push(namespace::object("shop"));
    for object in &all {
        survives(object);
    }
    // What does not stand in the types is noticed.
    let mut job = metadata_probe::job("0a1b2c3d", 0, "demo-server-0");
    job["spec"]["template"]["spec"]["hostNetwrok"] = json!(true);
    let panicked = std::panic::catch_unwind(|| survives(&job));
    assert!(panicked.is_err());
}
