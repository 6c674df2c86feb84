//! Upstream's own manifests, as they are released: every one is read without losing a field, and
//! what kplan changes in them is what it means to change.
//!
//! They are looked for in the folder `KPLAN_TEST_UPSTREAM` names, laid out like a mirror.

use crate::definitions::{definitions, fits_its_definition};
use crate::known::survives;
use crate::rig::root_application;
use base64::Engine as _;
use kplan_model::{Input, Secret};
use kplan_providers::artifacts::{
    ArtifactSource, Fetcher, FetcherConfig, Lock, Mirror, VersionSet, pinned,
};
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::bundle::Bundle;
use kplan_providers::kubernetes::csi::{DEFAULT_CLASS, SNAPSHOT_CLASS};
use kplan_providers::kubernetes::{
    Applied, Argocd, ArgocdApplication, ArgocdApplicationArgs, ArgocdArgs, ArgocdIngress,
    BundleKind, Ccm, CcmArgs, Csi, CsiArgs, RestoreArgs, UpgradeController, UpgradeControllerArgs,
    Velero, VeleroArgs, VeleroSource, VeleroSourceArgs, k3s_upgrade, manifest, velero,
    velero_restore,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

pub(crate) struct Upstream {
    pub(crate) source: Fetcher,
    set: VersionSet,
    _cache: TempDir,
}

pub(crate) fn upstream() -> Option<Upstream> {
    let Some(folder) = std::env::var_os("KPLAN_TEST_UPSTREAM") else {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
        return None;
    };
    let cache = TempDir::new().unwrap();
    let config = FetcherConfig {
        cache: cache.path().to_owned(),
        mirror: Some(Mirror::Folder(folder.into())),
        direct: None,
    };
    Some(Upstream {
        source: Fetcher::new(config).unwrap(),
        set: VersionSet::embedded().unwrap(),
        _cache: cache,
    })
}

impl Upstream {
    pub(crate) fn artifacts(
        &self,
        component: &str,
    ) -> Vec<kplan_providers::artifacts::ArtifactRef> {
        let version = self.set.default_version(component).unwrap();
        self.set
            .resolve(&Lock::default(), component, version)
            .unwrap()
    }
}

pub(crate) fn access() -> Input<Access> {
    Input::Unknown
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = objects
        .iter()
        .filter(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    let first = found.next().unwrap_or_else(|| panic!("no {kind} {name}"));
    assert!(found.next().is_none(), "{kind} {name} twice");
    first
}

fn env(container: &Value) -> BTreeMap<String, Value> {
    let entries = container["env"].as_array().unwrap();
    let all: BTreeMap<String, Value> = entries
        .iter()
        .map(|e| (e["name"].as_str().unwrap().to_owned(), e.clone()))
        .collect();
    assert_eq!(all.len(), entries.len(), "a variable twice");
    all
}

fn bundle(objects: Vec<Value>) -> Bundle {
    Bundle::new("demo-3f9a1c2e", &"argocd.main".parse().unwrap(), objects).unwrap()
}

#[tokio::test]
async fn every_manifest_is_read_whole() {
    let Some(upstream) = upstream() else { return };
    let mut count = 0;
    for component in [
        "argo-cd",
        "csi-digitalocean",
        "digitalocean-ccm",
        "system-upgrade-controller",
        "velero",
    ] {
        for artifact in upstream.artifacts(component) {
            assert!(
                artifact.sha256.is_some(),
                "{} is not pinned",
                artifact.path()
            );
            let bytes = upstream.source.bytes(&artifact).await.unwrap();
            let objects = manifest::parse(&artifact.path(), &bytes).unwrap();
            count += objects.len();
            // Through JSON and back nothing is lost: the YAML reader reads the same again.
            for object in &objects {
                let yaml = serde_norway::to_string(object).unwrap();
                let again = manifest::parse("again", yaml.as_bytes()).unwrap();
                assert_eq!(&again[0], object, "{}", artifact.path());
            }
            // YAML 1.1 reads octal numbers and yes/no where 1.2 does not: none may stand there.
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let ambiguous = text.lines().find(|line| {
                let value = line.split_once(": ").map_or("", |(_, value)| value.trim());
                matches!(value, "yes" | "no" | "on" | "off" | "y" | "n")
                    || (value.len() > 1
                        && value.starts_with('0')
                        && value.bytes().all(|b| b.is_ascii_digit()))
            });
            assert_eq!(ambiguous, None, "{}", artifact.path());
        }
    }
    assert!(count > 150, "{count}");
}

pub(crate) fn ccm_args(upstream: &Upstream) -> CcmArgs {
    CcmArgs {
        access: access(),
        objects: Applied,
        artifacts: pinned(upstream.artifacts("digitalocean-ccm")).0,
        sources: Some(pinned(upstream.artifacts("digitalocean-ccm")).1),
        region: "fra1".to_owned(),
        vpc_id: "vpc-uuid".to_owned().into(),
        cluster_id: "demo-3f9a1c2e".to_owned(),
        load_balancer_type: "REGIONAL".to_owned(),
        api_url: None,
    }
}

#[tokio::test]
async fn the_cloud_controller_knows_its_vpc() {
    let Some(upstream) = upstream() else { return };
    let args = ccm_args(&upstream);
    let objects = Ccm::objects(&args, &upstream.source).await.unwrap();
    let deployment = find(
        &objects,
        "Deployment",
        "digitalocean-cloud-controller-manager",
    );
    let pod = &deployment["spec"]["template"]["spec"];
    // Before nodes are initialized nothing else resolves names or has a network.
    assert_eq!(
        (&pod["hostNetwork"], &pod["dnsPolicy"]),
        (&json!(true), &json!("Default"))
    );
    let tolerated = pod["tolerations"].as_array().unwrap();
    assert!(
        tolerated
            .iter()
            .any(|t| t["key"] == "node.cloudprovider.kubernetes.io/uninitialized")
    );
    let env_of = env(&pod["containers"][0]);
    for (name, value) in [
        ("REGION", "fra1"),
        ("DO_CLUSTER_VPC_ID", "vpc-uuid"),
        ("DO_CLUSTER_ID", "demo-3f9a1c2e"),
        ("DEFAULT_LB_TYPE", "REGIONAL"),
    ] {
        assert_eq!(env_of[name]["value"], value, "{name}");
    }
    assert_eq!(
        env_of["DO_ACCESS_TOKEN"]["valueFrom"]["secretKeyRef"]["key"],
        "access-token"
    );
    assert!(!env_of.contains_key("DO_OVERRIDE_URL"));
    let other = CcmArgs {
        api_url: Some("http://127.0.0.1:1".to_owned()),
        ..args
    };
    let objects = Ccm::objects(&other, &upstream.source).await.unwrap();
    let deployment = find(
        &objects,
        "Deployment",
        "digitalocean-cloud-controller-manager",
    );
    let env_of = env(&deployment["spec"]["template"]["spec"]["containers"][0]);
    assert_eq!(env_of["DO_OVERRIDE_URL"]["value"], "http://127.0.0.1:1");
}

pub(crate) fn csi_args(upstream: &Upstream, default_class: Option<&str>) -> CsiArgs {
    CsiArgs {
        access: access(),
        objects: Applied,
        artifacts: pinned(upstream.artifacts("csi-digitalocean")).0,
        sources: Some(pinned(upstream.artifacts("csi-digitalocean")).1),
        tag: "kplan:demo-3f9a1c2e".to_owned().into(),
        default_class: default_class.map(str::to_owned),
        api_url: None,
    }
}

fn default_classes(objects: &[Value]) -> Vec<&str> {
    objects
        .iter()
        .filter(|object| object["kind"] == "StorageClass")
        .filter(|object| {
            object["metadata"]["annotations"]
                .get(DEFAULT_CLASS)
                .is_some()
        })
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn exactly_one_storage_class_is_the_default() {
    let Some(upstream) = upstream() else { return };
    for (wanted, found) in [
        (Some("do-block-storage"), vec!["do-block-storage"]),
        (
            Some("do-block-storage-xfs-retain"),
            vec!["do-block-storage-xfs-retain"],
        ),
        (None, vec![]),
    ] {
        let objects = Csi::objects(&csi_args(&upstream, wanted), &upstream.source)
            .await
            .unwrap();
        assert_eq!(default_classes(&objects), found);
    }
    let unknown = csi_args(&upstream, Some("local-path"));
    assert!(Csi::objects(&unknown, &upstream.source).await.is_err());
}

/// Velero looks for a class of the volumes' driver with this label.
#[tokio::test]
async fn velero_finds_the_class_for_snapshots() {
    let Some(upstream) = upstream() else { return };
    let args = csi_args(&upstream, Some("do-block-storage"));
    let objects = Csi::objects(&args, &upstream.source).await.unwrap();
    let labelled: Vec<&Value> = objects
        .iter()
        .filter(|object| object["metadata"]["labels"].get(SNAPSHOT_CLASS).is_some())
        .collect();
    assert_eq!(labelled.len(), 1);
    assert_eq!(labelled[0]["kind"], "VolumeSnapshotClass");
    assert_eq!(labelled[0]["driver"], "dobs.csi.digitalocean.com");
    assert_eq!(labelled[0]["metadata"]["labels"][SNAPSHOT_CLASS], "true");
    let definition = definitions(&objects)["VolumeSnapshotClass"];
    fits_its_definition(labelled[0], definition);
}

#[tokio::test]
async fn the_volume_driver_reaches_the_metadata_service_and_tags_its_volumes() {
    let Some(upstream) = upstream() else { return };
    let args = csi_args(&upstream, Some("do-block-storage"));
    let objects = Csi::objects(&args, &upstream.source).await.unwrap();
    let controller = find(&objects, "StatefulSet", "csi-do-controller");
    let pod = &controller["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["hostNetwork"], &pod["dnsPolicy"]),
        (&json!(true), &json!("ClusterFirstWithHostNet"))
    );
    // Two containers of the host's network must not want one port.
    let ports: Vec<&Value> = pod["containers"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c.get("ports"))
        .collect();
    assert_eq!(ports, Vec::<&Value>::new());
    for (kind, name) in [
        ("StatefulSet", "csi-do-controller"),
        ("DaemonSet", "csi-do-node"),
    ] {
        let containers = find(&objects, kind, name)["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap();
        let tagged: Vec<&Value> = containers
            .iter()
            .filter(|c| {
                c["args"]
                    .as_array()
                    .is_some_and(|a| a.contains(&json!("--do-tag=kplan:demo-3f9a1c2e")))
            })
            .map(|c| &c["name"])
            .collect();
        assert_eq!(tagged, ["csi-do-plugin"], "{name}");
        let plugin = containers
            .iter()
            .find(|c| c["name"] == "csi-do-plugin")
            .unwrap();
        assert_eq!(
            env(plugin)["DIGITALOCEAN_API_URL"]["value"],
            "https://api.digitalocean.com/"
        );
    }
}

pub(crate) fn argocd_args(upstream: &Upstream, file: &str, password: Option<&str>) -> ArgocdArgs {
    let mut artifacts = upstream.artifacts("argo-cd");
    artifacts.retain(|artifact| artifact.file == file);
    let (artifacts, sources) = pinned(artifacts);
    ArgocdArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        admin_password: password.map(|text| Secret::new(text).into()),
        ingress: None,
    }
}

/// The administrator's password is known from the start, as the hash Argo CD itself would write, and
/// the same one every time.
#[tokio::test]
async fn argo_cds_administrator_has_the_password_that_kplan_made() {
    let Some(upstream) = upstream() else { return };
    let decoded = |objects: &[Value], key: &str| {
        let text = find(objects, "Secret", "argocd-secret")["data"][key].as_str();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text?);
        Some(String::from_utf8(bytes.unwrap()).unwrap())
    };
    let made = |password| argocd_args(&upstream, "install.yaml", password);
    let mut hashes = BTreeSet::new();
    for password in ["one", "one", "another"] {
        let objects = Argocd::objects(&made(Some(password)), &upstream.source)
            .await
            .unwrap();
        let hash = decoded(&objects, "admin.password").unwrap();
        assert!(hash.starts_with("$2a$10$"), "{hash}");
        assert!(bcrypt::verify(password, &hash).unwrap());
        assert!(!bcrypt::verify("other", &hash).unwrap());
        assert_eq!(
            decoded(&objects, "admin.passwordMtime").unwrap(),
            "1970-01-01T00:00:00Z"
        );
        hashes.insert(hash);
    }
    assert_eq!(hashes.len(), 2);
    let objects = Argocd::objects(&made(None), &upstream.source)
        .await
        .unwrap();
    assert_eq!(decoded(&objects, "admin.password"), None);
}

#[tokio::test]
async fn argo_cds_web_interface_is_served_by_a_name() {
    let Some(upstream) = upstream() else { return };
    for (class, issuer) in [(None, None), (Some("traefik"), Some("letsencrypt"))] {
        let args = ArgocdArgs {
            ingress: Some(ArgocdIngress {
                host: "argocd.example.com".to_owned(),
                class: class.map(str::to_owned),
                cluster_issuer: issuer.map(str::to_owned),
            }),
            ..argocd_args(&upstream, "install.yaml", None)
        };
        let objects = Argocd::objects(&args, &upstream.source).await.unwrap();
        let settings = find(&objects, "ConfigMap", "argocd-cm");
        assert_eq!(settings["data"]["url"], "https://argocd.example.com");
        let parameters = find(&objects, "ConfigMap", "argocd-cmd-params-cm");
        assert_eq!(parameters["data"]["server.insecure"], "true");
        let ingress = find(&objects, "Ingress", "argocd-server");
        survives(ingress);
        assert_eq!(ingress["spec"]["ingressClassName"].as_str(), class);
        let tls = &ingress["spec"]["tls"][0];
        assert_eq!(tls["secretName"].is_null(), issuer.is_none());
        // What it names is there.
        let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
        let service = find(&objects, "Service", backend["name"].as_str().unwrap());
        let ports = service["spec"]["ports"].as_array().unwrap();
        assert!(
            ports
                .iter()
                .any(|port| port["name"] == backend["port"]["name"])
        );
    }
}

#[tokio::test]
async fn argo_cd_is_whole_in_its_namespace_and_knows_the_health_of_applications() {
    let Some(upstream) = upstream() else { return };
    for file in ["install.yaml", "ha-install.yaml"] {
        let args = argocd_args(&upstream, file, Some("4dm1n"));
        let objects = Argocd::objects(&args, &upstream.source).await.unwrap();
        let key = "resource.customizations.health.argoproj.io_Application";
        let health = find(&objects, "ConfigMap", "argocd-cm")["data"][key]
            .as_str()
            .unwrap();
        assert!(health.ends_with("return hs\n"), "{health}");
        let wide: BTreeSet<&str> = objects
            .iter()
            .filter(|object| object["metadata"].get("namespace").is_none())
            .map(|object| object["kind"].as_str().unwrap())
            .collect();
        let expected = [
            "ClusterRole",
            "ClusterRoleBinding",
            "CustomResourceDefinition",
            "Namespace",
        ];
        assert_eq!(wide, BTreeSet::from(expected), "{file}");
        assert!(bundle(objects).inventory().len() > 59, "{file}");
    }
}

pub(crate) fn velero_args(upstream: &Upstream) -> VeleroArgs {
    VeleroArgs {
        access: access(),
        objects: Applied,
        artifacts: pinned(upstream.artifacts("velero")).0,
        sources: Some(pinned(upstream.artifacts("velero")).1),
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
        schedules: vec![velero::Schedule {
            name: "nightly".to_owned(),
            cron: "0 2 * * *".to_owned(),
            ttl: "720h0m0s".to_owned(),
            namespaces: vec!["shop".to_owned()],
            excluded_namespaces: vec![],
            paused: false,
        }],
    }
}

/// The bucket of another cluster.
pub(crate) fn source_args() -> VeleroSourceArgs {
    VeleroSourceArgs {
        access: access(),
        objects: Applied,
        bucket: "first-backup".to_owned(),
        prefix: Some("first".to_owned()),
        region: "fra1".to_owned(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned(),
        access_key: "key".to_owned().into(),
        secret_key: Secret::new("secret").into(),
    }
}

#[tokio::test]
async fn veleros_own_objects_fit_its_definitions() {
    let Some(upstream) = upstream() else { return };
    let objects = Velero::objects(&velero_args(&upstream), &upstream.source)
        .await
        .unwrap();
    let definitions = definitions(&objects);
    assert_eq!(definitions.len(), 13);
    for kind in ["BackupStorageLocation", "Schedule"] {
        let object = objects
            .iter()
            .find(|object| object["kind"] == kind)
            .unwrap();
        fits_its_definition(object, definitions[kind]);
    }
    let location = objects
        .iter()
        .find(|object| object["kind"] == "BackupStorageLocation")
        .unwrap();
    assert_eq!(location["spec"]["config"]["checksumAlgorithm"], "");
    let source = VeleroSource::objects(&source_args(), &upstream.source).await;
    let source = source.unwrap();
    fits_its_definition(&source[1], definitions["BackupStorageLocation"]);
}

#[tokio::test]
async fn a_restore_fits_veleros_definition() {
    let Some(upstream) = upstream() else { return };
    let installed = Velero::objects(&velero_args(&upstream), &upstream.source).await;
    let args = RestoreArgs {
        access: access(),
        backup: "nightly-20261129020000".to_owned().into(),
        excluded_namespaces: vec!["scratch".to_owned()],
        accept_partial: false,
        location: None,
        name: None,
    };
    let restore = velero_restore::restore(&args).unwrap();
    fits_its_definition(&restore, definitions(&installed.unwrap())["Restore"]);
}

pub(crate) fn controller_args(upstream: &Upstream) -> UpgradeControllerArgs {
    let (artifacts, sources) = pinned(upstream.artifacts("system-upgrade-controller"));
    UpgradeControllerArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        version: "v0.20.1".to_owned(),
        kubectl: "v1.35.6".to_owned(),
    }
}

#[tokio::test]
async fn upgrades_fit_their_definition_and_use_what_fits_the_cluster() {
    let Some(upstream) = upstream() else { return };
    let args = controller_args(&upstream);
    let objects = UpgradeController::objects(&args, &upstream.source).await;
    let objects = objects.unwrap();
    let deployment = find(&objects, "Deployment", "system-upgrade-controller");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["image"],
        "rancher/system-upgrade-controller:v0.20.1"
    );
    let settings = &find(&objects, "ConfigMap", "default-controller-env")["data"];
    assert_eq!(
        settings["SYSTEM_UPGRADE_JOB_KUBECTL_IMAGE"],
        "rancher/kubectl:v1.35.6"
    );
    let bindings = objects.iter().filter(|one| one["subjects"].is_array());
    for binding in bindings.clone() {
        assert_eq!(
            binding["subjects"][0]["namespace"], "system-upgrade",
            "{binding}"
        );
    }
    assert_eq!(bindings.count(), 3);
    for kind in ["Role", "RoleBinding"] {
        let all = objects.iter().filter(|one| one["kind"] == kind);
        let places: Vec<&Value> = all.map(|one| &one["metadata"]["namespace"]).collect();
        assert_eq!(places, [&json!("system-upgrade")], "{kind}");
    }
    let account = find(&objects, "ServiceAccount", "system-upgrade");
    let definition = definitions(&objects)["Plan"];
    for drain in [false, true] {
        for plan in k3s_upgrade::plans("v1.35.6+k3s1", drain) {
            fits_its_definition(&plan, definition);
            assert_eq!(
                plan["spec"]["serviceAccountName"],
                account["metadata"]["name"]
            );
            assert_eq!(
                plan["metadata"]["namespace"],
                account["metadata"]["namespace"]
            );
        }
    }
}

#[tokio::test]
async fn the_root_application_fits_argo_cds_definition() {
    let Some(upstream) = upstream() else { return };
    let args = argocd_args(&upstream, "install.yaml", Some("4dm1n"));
    let installed = Argocd::objects(&args, &upstream.source).await.unwrap();
    let definition = definitions(&installed)["Application"];
    for recurse in [false, true] {
        let args = ArgocdApplicationArgs {
            recurse,
            ..root_application(access())
        };
        let objects = ArgocdApplication::objects(&args, &upstream.source).await;
        for object in objects.unwrap() {
            fits_its_definition(&object, definition);
        }
    }
}

#[tokio::test]
async fn a_secret_is_in_the_cluster_and_nowhere_else() {
    let Some(upstream) = upstream() else { return };
    let objects = Velero::objects(&velero_args(&upstream), &upstream.source)
        .await
        .unwrap();
    let (secrets, others): (Vec<&Value>, Vec<&Value>) = objects
        .iter()
        .partition(|object| object["kind"] == "Secret");
    let data = |name: &str, key: &str| {
        let secret = secrets
            .iter()
            .find(|secret| secret["metadata"]["name"] == name);
        let text = secret.unwrap()["data"][key].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let ini = data("cloud-credentials", "cloud");
    assert!(ini.ends_with("aws_secret_access_key=s3cret\n"));
    // The name and key Velero itself reads the password by.
    let password = data("velero-repo-credentials", "repository-password");
    assert_eq!(password, "kopia-pass");
    assert_eq!(secrets.len(), 2);
    let hidden = |object: &Value| {
        let text = object.to_string();
        !text.contains("s3cret") && !text.contains("kopia-pass")
    };
    assert!(others.iter().all(|object| hidden(object)));
    let inventory = bundle(objects).inventory().join("\n");
    let other = VeleroArgs {
        secret_key: Secret::new("another").into(),
        ..velero_args(&upstream)
    };
    let objects = Velero::objects(&other, &upstream.source).await.unwrap();
    assert_eq!(
        bundle(objects).inventory().join("\n"),
        inventory,
        "an inventory says nothing of a secret"
    );
}
