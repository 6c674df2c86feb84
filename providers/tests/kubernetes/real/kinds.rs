//! Every kind that is made of objects in a cluster, made by a real server, seen as it was made, and
//! changed.

use super::Real;
use crate::rig::root_application;
use crate::upstream::{
    argocd_args, ccm_args, controller_args, csi_args, source_args, upstream, velero_args,
};
use bytes::Bytes;
use kplan_model::codec::ObjectCodec as _;
use kplan_model::{Input, Known, Object, Secret, Timestamp, Value};
use kplan_providers::artifacts::{ArtifactRef, pinned};
use kplan_providers::k3s::pki::authority::{Subject, sealing};
use kplan_providers::kubernetes::metadata_probe::{Seen, probe};
use kplan_providers::kubernetes::object::Object as Named;
use kplan_providers::kubernetes::{
    AddonManifestArgs, Applied, ArgocdArgs, ArgocdIngress, ArgocdRepositoryArgs, CcmArgs,
    CloudSecretArgs, CsiArgs, EtcdSnapshotsArgs, GithubApp, HelmReleaseArgs, RestoreArgs, Role,
    SealedSecretsArgs, SealingSecretArgs, UpgradeControllerArgs, VeleroArgs, VeleroSecretArgs,
    VeleroSourceArgs, manifest,
};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::time::Duration;

/// The component of a chart that a file names.
pub(super) const CHART: &str = "addon-app";
/// Upstream's is not among the manifests that were kept; the sandbox's own has the same objects.
pub(super) const SEALED_SECRETS: &str = "sealed-secrets";
/// Bytes of the largest archive that is taken.
const LARGEST: usize = 780_000;

/// The largest archive: the server has to take what kplan lets pass.
pub(super) fn chart() -> Bytes {
    let mut bytes = vec![0x5a; LARGEST];
    bytes[..3].copy_from_slice(&[0x1f, 0x8b, 8]);
    bytes.into()
}

pub(super) fn sealed_secrets() -> Bytes {
    let path = "../sandbox/src/mirror/manifests/sealed-secrets/controller.yaml";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read(path).unwrap().into()
}

fn artifact(component: &str, file: &str) -> ArtifactRef {
    ArtifactRef {
        component: component.to_owned(),
        version: "1.2.3".to_owned(),
        file: file.to_owned(),
        url: String::new(),
        sha256: None,
    }
}

fn secret(text: &str) -> Input<Secret> {
    Secret::new(text).into()
}

/// The definition of charts, which K3s brings along.
async fn charts_are_defined(real: &Real) {
    let folder = std::env::var_os("KPLAN_TEST_UPSTREAM").unwrap();
    let file = "helm-controller/v0.17.7/helm.cattle.io_helmcharts.yaml";
    let text = std::fs::read(Path::new(&folder).join(file)).unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for definition in manifest::parse(file, &text).unwrap() {
        real.others("POST", path, &definition).await;
    }
}

/// Made, seen as it was made; made again, nothing would change.
async fn made(real: &Real, address: &str, args: Object) -> Known {
    let known = real.hands.create(address, args).await;
    let known = known.unwrap_or_else(|error| panic!("{address}: {error}"));
    settled(real, &known).await;
    known
}

/// Seen as it was applied, and the server's dry run of every object finds nothing to change.
async fn settled(real: &Real, known: &Known) {
    let address = &known.address;
    let seen = real.hands.read(known).await;
    let seen = seen.unwrap_or_else(|| panic!("{address} is gone"));
    assert_eq!(seen["objects"], Value::str("applied"), "{address}");
    let mut blank = known.clone();
    blank.attrs.insert("inventory".to_owned(), Value::list([]));
    let differ = real.hands.preview(&blank, &known.args).await;
    assert_eq!(differ, [], "{address}");
}

/// Changed: a plan shows it, and after it nothing is left to change.
async fn changed(real: &Real, known: &mut Known, args: Object) {
    let address = &known.address;
    let differ = real.hands.preview(known, &args).await;
    assert_ne!(differ, [], "{address}");
    let attrs = real.hands.try_update(known, args.clone()).await;
    known.attrs = attrs.unwrap_or_else(|error| panic!("{address}: {error}"));
    known.args = args;
    settled(real, known).await;
}

/// Changed by hand: it is seen, with the field and its value, and put back.
async fn edited(real: &Real, known: &mut Known, of: &Named, patch: &Json, says: &str) {
    let address = &known.address;
    let merged = real.session.merge(&real.permit, of, patch).await;
    merged.unwrap_or_else(|error| panic!("{address}: {error}"));
    known.attrs = real.hands.says(known, |seen| seen.contains(says)).await;
    let attrs = real.hands.put_back(known).await;
    known.attrs = attrs.unwrap_or_else(|error| panic!("{address}: {error}"));
    settled(real, known).await;
}

/// All kinds, in an order in which none lacks what it names.
pub(super) async fn make(real: &Real) -> Vec<Known> {
    charts_are_defined(real).await;
    let mut all = cloud(real).await;
    all.extend(backups(real).await);
    all.extend(sealed(real).await);
    all.extend(addons(real).await);
    all.extend(argocd(real).await);
    all
}

async fn cloud(real: &Real) -> Vec<Known> {
    let upstream = upstream().unwrap();
    let access = || real.access();
    let token = |token: &str| {
        CloudSecretArgs {
            access: access(),
            objects: Applied,
            token: secret(token),
        }
        .to_object()
    };
    let mut cloud = made(real, "cloud_secret.main", token("dop_v1")).await;
    changed(real, &mut cloud, token("dop_v1_another")).await;
    let ccm = CcmArgs {
        access: access(),
        ..ccm_args(&upstream)
    };
    let csi = |class: &str| {
        CsiArgs {
            access: access(),
            ..csi_args(&upstream, Some(class))
        }
        .to_object()
    };
    let controller = UpgradeControllerArgs {
        access: access(),
        ..controller_args(&upstream)
    };
    let ccm = made(real, "ccm.main", ccm.to_object()).await;
    let mut driver = made(real, "csi.main", csi("do-block-storage")).await;
    changed(real, &mut driver, csi("do-block-storage-xfs-retain")).await;
    let at = "system_upgrade_controller.main";
    let controller = made(real, at, controller.to_object()).await;
    vec![cloud, ccm, driver, controller]
}

/// Velero with the secrets that were there before it, the bucket of another cluster, and snapshots
/// of etcd.
async fn backups(real: &Real) -> Vec<Known> {
    let upstream = upstream().unwrap();
    let access = || real.access();
    let before = VeleroSecretArgs {
        access: access(),
        objects: Applied,
        access_key: "DO00".to_owned().into(),
        secret_key: secret("s3cret"),
        repository_password: Some(secret("kopia-pass")),
    };
    made(real, "velero_secret.main", before.to_object()).await;
    let mut velero = VeleroArgs {
        access: access(),
        ..velero_args(&upstream)
    };
    let mut weekly = velero.schedules[0].clone();
    weekly.name = "weekly".to_owned();
    velero.schedules.push(weekly);
    let mut installed = made(real, "velero.main", velero.to_object()).await;
    velero.schedules.pop();
    velero.secret_key = secret("an0ther");
    changed(real, &mut installed, velero.to_object()).await;
    let schedule = ("velero.io/v1", "Schedule");
    for (name, is_there) in [("nightly", true), ("weekly", false)] {
        let seen = real.get(schedule, Some("velero"), name).await;
        assert_eq!(seen.is_some(), is_there, "{name}");
    }
    let source = |bucket: &str| {
        VeleroSourceArgs {
            access: access(),
            bucket: bucket.to_owned(),
            ..source_args()
        }
        .to_object()
    };
    let mut other = made(real, "velero_source.main", source("first-backup")).await;
    changed(real, &mut other, source("second-backup")).await;
    let snapshots = EtcdSnapshotsArgs {
        access: access(),
        objects: Applied,
        bucket: "acme-demo-backup".to_owned().into(),
        folder: "plugins/k3s/demo".to_owned(),
        region: "fra1".to_owned(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned().into(),
        access_key: "DO00".to_owned().into(),
        secret_key: secret("s3cret"),
    };
    let snapshots = made(real, "etcd_snapshots.main", snapshots.to_object()).await;
    vec![installed, other, snapshots]
}

/// The key of Sealed Secrets alone, as where Argo CD brings the rest; then all of it.
async fn sealed(real: &Real) -> Vec<Known> {
    let key = |name: &str| {
        sealing(Subject {
            name,
            groups: &[],
            now: Timestamp(jiff::Timestamp::now().as_millisecond()),
            valid: Duration::from_hours(24),
        })
        .unwrap()
    };
    let signed = key("sealed-secret");
    let before = SealingSecretArgs {
        access: real.access(),
        objects: Applied,
        certificate: signed.certificate.clone().into(),
        private_key: signed.key.clone().into(),
    };
    made(real, "sealing_secret.main", before.to_object()).await;
    let (artifacts, sources) = pinned(vec![artifact(SEALED_SECRETS, "controller.yaml")]);
    let mut args = SealedSecretsArgs {
        access: real.access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        certificate: signed.certificate.into(),
        private_key: signed.key.into(),
    };
    let mut known = made(real, "sealed_secrets.main", args.to_object()).await;
    let other = key("another");
    args.certificate = other.certificate.into();
    args.private_key = other.key.into();
    changed(real, &mut known, args.to_object()).await;
    vec![known]
}

async fn addons(real: &Real) -> Vec<Known> {
    let map = |colour: &str| {
        AddonManifestArgs {
            access: real.access(),
            objects: Applied,
            artifacts: Vec::new(),
            sources: None,
            content: Some(format!(
                "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {{colour: {colour}}}}}"
            )),
            namespace: Some("addons".to_owned()),
        }
        .to_object()
    };
    let mut manifest = made(real, "addon_manifest.a", map("green")).await;
    changed(real, &mut manifest, map("blue")).await;
    let object = Named::new("v1", "ConfigMap", Some("addons"), "a");
    let patch = json!({ "data": { "colour": "red", "theirs": "stays" } });
    let says = "1 changed by hand (v1 ConfigMap addons/a: data.colour is \"red\")";
    edited(real, &mut manifest, &object, &patch, says).await;
    let map = real.session.get(&object).await.unwrap().unwrap();
    assert_eq!(map["data"]["theirs"], "stays");
    // Of what kplan applied alone there is to be the same in the sandbox.
    let gone = json!({ "data": { "theirs": null } });
    let merged = real.session.merge(&real.permit, &object, &gone).await;
    merged.unwrap();
    let (artifacts, sources) = pinned(vec![artifact(CHART, "app-1.2.3.tgz")]);
    let chart = |values: &str| {
        HelmReleaseArgs {
            access: real.access(),
            objects: Applied,
            artifacts: artifacts.clone(),
            sources: Some(sources.clone()),
            name: "app".to_owned(),
            namespace: "apps".to_owned(),
            values: Some(values.to_owned()),
        }
        .to_object()
    };
    let mut release = made(real, "helm_release.app", chart("a: 1")).await;
    changed(real, &mut release, chart("a: 2")).await;
    vec![manifest, release]
}

async fn argocd(real: &Real) -> Vec<Known> {
    let upstream = upstream().unwrap();
    let mut args = ArgocdArgs {
        access: real.access(),
        ..argocd_args(&upstream, "install.yaml", Some("4dm1n"))
    };
    let mut installed = made(real, "argocd.main", args.to_object()).await;
    args.ingress = Some(ArgocdIngress {
        host: "argocd.example.com".to_owned(),
        class: Some("traefik".to_owned()),
        cluster_issuer: Some("letsencrypt".to_owned()),
    });
    changed(real, &mut installed, args.to_object()).await;
    let server = Named::new("apps/v1", "Deployment", Some("argocd"), "argocd-server");
    let patch = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "argocd-server", "image": "quay.io/argoproj/argocd:v0" },
    ] } } } });
    let says = "spec.template.spec.containers[name=argocd-server]";
    edited(real, &mut installed, &server, &patch, says).await;
    // Highly available, and as it was.
    let ha = argocd_args(&upstream, "ha-install.yaml", None);
    let several = ArgocdArgs {
        artifacts: ha.artifacts,
        sources: ha.sources,
        ..args.clone()
    };
    for args in [several, args] {
        changed(real, &mut installed, args.to_object()).await;
    }
    let repository = |token, ssh_key, github_app| {
        ArgocdRepositoryArgs {
            access: real.access(),
            objects: Applied,
            url: "https://github.com/acme/infra.git".to_owned(),
            username: None,
            token,
            ssh_key,
            github_app,
        }
        .to_object()
    };
    let app = GithubApp {
        app_id: "1".to_owned(),
        installation_id: "2".to_owned(),
        private_key: secret("pem"),
        enterprise_url: Some("https://github.example.com/api/v3".to_owned()),
    };
    let by_token = repository(Some(secret("token")), None, None);
    let mut known = made(real, "argocd_repository.main", by_token).await;
    for args in [
        repository(None, Some(secret("key")), None),
        repository(None, None, Some(app)),
    ] {
        changed(real, &mut known, args).await;
    }
    let mut root = root_application(real.access());
    let at = "argocd_application.root";
    let mut application = made(real, at, root.to_object()).await;
    root.recurse = true;
    changed(real, &mut application, root.to_object()).await;
    vec![installed, known, application]
}

/// Restores of the cluster's own backup and of another cluster's; Velero's part is played.
pub(super) async fn restored(real: &Real) {
    for (location, name) in [(None, None), (Some("source"), Some("kplan-copy"))] {
        let backup = format!("nightly-{}", location.unwrap_or("own"));
        let found = json!({
            "apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": {
                "name": backup, "namespace": "velero",
                "labels": { "velero.io/storage-location": location.unwrap_or("default") },
            },
            "spec": { "storageLocation": location.unwrap_or("default") },
            "status": { "phase": "Completed" },
        });
        let backups = "/apis/velero.io/v1/namespaces/velero/backups";
        real.others("POST", backups, &found).await;
        let args = RestoreArgs {
            access: real.access(),
            backup: backup.clone().into(),
            excluded_namespaces: vec!["scratch".to_owned()],
            accept_partial: false,
            location: location.map(str::to_owned),
            name: name.map(str::to_owned),
        }
        .to_object();
        let address = "velero_restore.main";
        let known = real.hands.create(address, args.clone()).await.unwrap();
        let own = format!("kplan-{backup}");
        let restore = name.unwrap_or(&own);
        let kind = ("velero.io/v1", "Restore");
        let once = real.get(kind, Some("velero"), restore).await.unwrap();
        real.hands.create_anyway(address, args).await;
        let again = real.get(kind, Some("velero"), restore).await.unwrap();
        assert_eq!(again, once);
        // What is left in part is noted before the restore goes.
        let partly = json!({ "status": { "phase": "PartiallyFailed", "errors": 1 } });
        let path = format!("/apis/velero.io/v1/namespaces/velero/restores/{restore}");
        real.others("PATCH", &path, &partly).await;
        real.hands.delete(&known).await.unwrap();
        assert_eq!(real.get(kind, Some("velero"), restore).await, None);
    }
}

/// The jobs of a look at the metadata service are taken, and gone after it. No pod runs here.
pub(super) async fn probed(real: &Real, nodes: &[String]) {
    let session = real.kubernetes.session(&real.access, Role::Admin).unwrap();
    let seen = probe(&real.kubernetes, &session, nodes, "1a2b").await;
    for (node, seen) in seen.unwrap() {
        assert!(matches!(seen, Seen::Unknown(_)), "{node}: {seen:?}");
    }
    let path = "/apis/batch/v1/namespaces/default/jobs";
    let left = real.others("GET", path, &serde_json::Value::Null).await;
    assert_eq!(left["items"], json!([]));
}
