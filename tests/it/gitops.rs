//! `[gitops] delivery = "git"`: kplan keeps the secrets and Argo CD, the rest comes from Git.

use crate::definitions::{definitions, fits_its_definition};
use crate::support::bucket::SpacesAccess;
use crate::support::cluster::Cluster;
use crate::support::upstream::released_definitions;
use crate::support::{Folder, Run, repository};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The example, with everything that can come from Git.
fn file(delivery: &str) -> String {
    let path = repository().join("examples/single-node/cluster.toml");
    let text = std::fs::read_to_string(path).expect("the example");
    let text = text.replacen(
        "[gitops]",
        &format!("[gitops]\ndelivery = \"{delivery}\""),
        1,
    );
    format!(
        "{text}\n[addons]\nsealed_secrets = true\n\n[[addon]]\nname = \"settings\"\nnamespace = \
         \"apps\"\nmanifest = {{ file = \"settings.yaml\" }}\n\n[[addon]]\nname = \
         \"cert-manager\"\nafter = [\"settings\"]\nhelm = {{ repo = \"https://charts.jetstack.io\", chart \
         = \"cert-manager\", version = \"v1.18.2\", values = \"values.yaml\" }}\n\n[mirror]\nfolder = \
         \"mirror\"\n"
    )
}

fn folder(delivery: &str) -> Folder {
    let folder = Folder::with(&file(delivery));
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";
    std::fs::write(folder.path().join("settings.yaml"), settings).expect("a file");
    std::fs::write(folder.path().join("values.yaml"), "crds: {enabled: true}\n").expect("a file");
    let mirror = folder.path().join("mirror/addon-cert-manager/v1.18.2");
    std::fs::create_dir_all(&mirror).expect("a folder");
    let inside = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-the-chart}\n";
    let chart = super::addons::chart("v1.18.2", &[("templates/a.yaml", inside)]);
    std::fs::write(mirror.join("cert-manager-v1.18.2.tgz"), chart).expect("a chart");
    folder
}

/// What was written, by path below the checkout.
fn written(checkout: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::new();
    let mut open = vec![checkout.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a file");
            let documents = serde_norway::Deserializer::from_str(&text);
            let objects = documents.map(|one| Value::deserialize(one).expect("YAML"));
            let name = path.strip_prefix(checkout).expect("below it");
            let objects = objects.filter(|object| !object.is_null()).collect();
            found.insert(name.to_string_lossy().into_owned(), objects);
        }
    }
    found
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect()
}

/// Nothing secret, Applications in their waves, charts by their repositories.
fn assert_is_in_order(tree: &BTreeMap<String, Vec<Value>>) {
    for (name, objects) in tree {
        assert!(!kinds(objects).contains(&"Secret"), "{name}");
    }
    let waves: Vec<(&str, &str)> = tree
        .values()
        .flatten()
        .filter(|object| object["kind"] == "Application")
        .map(|object| {
            let wave = &object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"];
            (
                object["metadata"]["name"].as_str().expect("a name"),
                wave.as_str().expect("a wave"),
            )
        })
        .collect();
    assert_eq!(
        waves,
        [
            ("addon-cert-manager", "4"),
            ("addon-settings", "3"),
            ("sealed-secrets", "1"),
            ("storage", "0"),
            ("velero", "2"),
        ]
    );
    let chart = &tree["clusters/single/addon-cert-manager/objects.yaml"][0];
    assert_eq!(chart["kind"], "HelmChart");
    assert_eq!(chart["spec"]["valuesContent"], "crds: {enabled: true}\n");
    let location = tree["clusters/single/velero/objects.yaml"]
        .iter()
        .find(|object| object["kind"] == "BackupStorageLocation")
        .expect("a location");
    assert_eq!(location["spec"]["accessMode"], "ReadWrite");
}

/// What Argo CD and the others would refuse, or drop in silence, is not in the tree.
fn assert_fits_the_definitions(tree: &BTreeMap<String, Vec<Value>>) {
    let Some(released) = released_definitions() else {
        return;
    };
    let definitions = definitions(&released);
    let mut seen = BTreeSet::new();
    for object in tree.values().flatten() {
        let kind = object["kind"].as_str().expect("a kind");
        if let Some(definition) = definitions.get(kind) {
            fits_its_definition(object, definition);
            seen.insert(kind);
        }
    }
    let wanted = [
        "Application",
        "BackupStorageLocation",
        "HelmChart",
        "Schedule",
        "VolumeSnapshotClass",
    ];
    assert_eq!(seen, BTreeSet::from(wanted));
}

#[test]
fn what_comes_from_git_is_written_into_a_checkout_and_secrets_stay() {
    let folder = folder("git");
    let checkout = folder.path().join("infra");
    std::fs::create_dir(&checkout).expect("a folder");
    let render = ["render", "gitops", "infra", "--sandbox"];
    let early = folder.kplan(&render).expect_code(1);
    assert!(early.err.contains("apply first"), "{}", early.err);
    folder.apply().ok();
    folder.assert_no_changes();
    let cluster = Cluster::of(&folder, "single");
    assert!(cluster.get("v1 Secret velero/cloud-credentials").is_some());
    assert!(
        cluster
            .get("v1 Secret velero/velero-repo-credentials")
            .is_some()
    );
    assert!(
        cluster
            .get("v1 Secret kube-system/sealed-secrets-key-kplan")
            .is_some()
    );
    assert!(cluster.get("apps/v1 Deployment velero/velero").is_none());
    assert!(cluster.get("v1 ConfigMap apps/settings").is_none());

    let first = folder.kplan(&render).ok();
    assert!(first.out.contains("Commit and push"), "{}", first.out);
    let tree = written(&checkout);
    let names: Vec<&str> = tree.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "clusters/single/addon-cert-manager.yaml",
            "clusters/single/addon-cert-manager/objects.yaml",
            "clusters/single/addon-settings.yaml",
            "clusters/single/addon-settings/objects.yaml",
            "clusters/single/sealed-secrets.yaml",
            "clusters/single/sealed-secrets/objects.yaml",
            "clusters/single/storage.yaml",
            "clusters/single/storage/objects.yaml",
            "clusters/single/velero.yaml",
            "clusters/single/velero/objects.yaml",
        ]
    );
    assert_is_in_order(&tree);
    assert_fits_the_definitions(&tree);

    // Again, it is as it should be; what leaves the file leaves the tree, and nothing else does.
    folder.kplan(&[&render[..], &["--check"]].concat()).ok();
    std::fs::write(checkout.join("clusters/single/mine.yaml"), "# mine\n").expect("a file");
    folder.write(&file("git").replace("sealed_secrets = true", "sealed_secrets = false"));
    let check = folder
        .kplan(&[&render[..], &["--check"]].concat())
        .expect_code(2);
    assert!(
        check
            .out
            .contains("would remove clusters/single/sealed-secrets.yaml"),
        "{}",
        check.out
    );
    folder.kplan(&render).ok();
    assert!(
        !checkout
            .join("clusters/single/sealed-secrets.yaml")
            .exists()
    );
    assert!(checkout.join("clusters/single/mine.yaml").exists());
    std::fs::write(checkout.join("clusters/single/storage.yaml"), "# mine\n").expect("a file");
    let refused = folder.kplan(&render).expect_code(6);
    assert!(
        refused.err.contains("not written by kplan"),
        "{}",
        refused.err
    );
}

#[test]
fn a_living_cluster_is_handed_to_git_and_back_without_losing_anything() {
    let folder = folder("apply");
    folder.apply().ok();
    folder.write(&file("git"));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    for address in [
        "csi.main",
        "velero.main",
        "sealed_secrets.main",
        "helm_release.cert-manager",
    ] {
        let told =
            format!("{address} will no longer be managed by kplan, but will not be destroyed");
        assert!(plan.out.contains(&told), "{address}: {}", plan.out);
    }
    assert!(plan.out.contains("0 to destroy"), "{}", plan.out);
    folder.apply().ok();
    folder.assert_no_changes();
    let cluster = Cluster::of(&folder, "single");
    for object in [
        "apps/v1 Deployment velero/velero",
        "apps/v1 DaemonSet kube-system/csi-do-node",
        "v1 Secret kube-system/sealed-secrets-key-kplan",
        "v1 ConfigMap apps/settings",
        "helm.cattle.io/v1 HelmChart kube-system/cert-manager",
        "v1 ConfigMap cert-manager/from-the-chart",
    ] {
        assert!(cluster.get(object).is_some(), "{object}");
    }
    folder.write(&file("apply"));
    folder.apply().ok();
    folder.assert_no_changes();
    assert!(cluster.get("v1 Secret velero/cloud-credentials").is_some());
    assert!(
        cluster
            .get("v1 Secret kube-system/sealed-secrets-key-kplan")
            .is_some()
    );
}

/// What Argo CD does with the tree: definitions first.
fn sync(cluster: &Cluster, checkout: &Path) {
    let tree = written(checkout);
    let objects = || {
        let files = tree
            .iter()
            .filter(|(name, _)| name.ends_with("/objects.yaml"));
        files.flat_map(|(_, objects)| objects)
    };
    let definition = |object: &&Value| object["kind"] == "CustomResourceDefinition";
    let namespace = |object: &&Value| object["kind"] == "Namespace";
    for object in objects().filter(definition) {
        cluster.apply(object);
        let name = object["metadata"]["name"].as_str().expect("a name");
        let what = format!("apiextensions.k8s.io/v1 CustomResourceDefinition {name}");
        cluster.until(&what, "/status/conditions/1/status", "True");
    }
    objects()
        .filter(namespace)
        .for_each(|object| cluster.apply(object));
    let rest = |object: &&Value| !definition(object) && !namespace(object);
    objects()
        .filter(rest)
        .for_each(|object| cluster.apply(object));
}

#[test]
fn a_cluster_whose_backups_come_from_git_is_restored_and_handed_back() {
    let folder = Folder::with(&{
        let path = repository().join("examples/single-node/cluster.toml");
        let text = std::fs::read_to_string(path).expect("the example");
        text.replacen("[gitops]", "[gitops]\ndelivery = \"git\"", 1)
    });
    folder.apply().ok();
    let checkout = folder.path().join("infra");
    std::fs::create_dir(&checkout).expect("a folder");
    folder
        .kplan(&["render", "gitops", "infra", "--sandbox"])
        .ok();
    let cluster = Cluster::of(&folder, "single");
    sync(&cluster, &checkout);
    let location = "velero.io/v1 BackupStorageLocation velero/default";
    cluster.until(location, "/status/phase", "Available");
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "namespace": "default" }, "data": { "colour": "green" },
    }));
    cluster.apply(&json!({
        "apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": { "name": "drill", "namespace": "velero" },
        "spec": { "storageLocation": "default", "ttl": "720h0m0s" },
    }));
    cluster.until(
        "velero.io/v1 Backup velero/drill",
        "/status/phase",
        "Completed",
    );
    let keys = SpacesAccess::of(&folder);
    folder.lose_everything();
    let mut restore = folder.command(&["restore", "--sandbox", "--auto-approve"]);
    restore
        .env("SPACES_ACCESS_KEY_ID", &keys.access_key)
        .env("SPACES_SECRET_ACCESS_KEY", &keys.secret_key);
    let run = Run::of(restore).ok();
    let at = |what: &str| {
        run.out
            .find(what)
            .unwrap_or_else(|| panic!("no {what}: {}", run.out))
    };
    assert!(at("velero_restore.main: Creation complete") < at("argocd_application.root: Creating"));
    let cluster = Cluster::of(&folder, "single");
    let settings = cluster
        .get("v1 ConfigMap default/settings")
        .expect("settings");
    assert_eq!(settings["data"]["colour"], "green");
    folder.assert_no_changes();
    let snapshot = folder.snapshot("single");
    let known = |text: &str| {
        snapshot
            .resources
            .contains_key(&text.parse().expect("an address"))
    };
    assert!(known("velero_secret.main") && !known("velero.main") && !known("csi.main"));
    // Velero itself runs on, as Argo CD finds it.
    assert!(cluster.get("apps/v1 Deployment velero/velero").is_some());
}

/// What Argo CD does when an Application takes objects over.
fn take_over<'a>(cluster: &Cluster, application: &str, objects: impl Iterator<Item = &'a str>) {
    cluster.apply(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": { "name": application, "namespace": "argocd" },
        "spec": {
            "project": "default",
            "source": { "repoURL": "https://github.com/acme/infra.git", "path": "argo" },
            "destination": { "server": "https://kubernetes.default.svc", "namespace": "default" },
        },
    }));
    for object in objects {
        let id = format!("{application}:{object}");
        let mark = json!({ "argocd.argoproj.io/tracking-id": id });
        cluster.merge(object, &json!({ "metadata": { "annotations": mark } }));
    }
}

/// What is on record of a part, but for its secrets.
fn inventory(folder: &Folder, address: &str) -> Vec<String> {
    let snapshot = folder.snapshot("single");
    let record = &snapshot.resources[&address.parse().expect("an address")];
    let Some(kplan_model::Value::List(lines)) = record.attrs.get("inventory") else {
        panic!("{address} has no inventory");
    };
    // Version, kind and name; digests follow.
    let object = |line: &str| line.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let lines = lines.iter().filter_map(|line| match line {
        kplan_model::Value::Str(line) => Some(object(line)),
        _ => None,
    });
    lines
        .filter(|line| !line.starts_with("v1 Secret"))
        .collect()
}

/// The example with an add-on of its own, and backups at that hour.
fn with_addon(hour: u32, addon: bool) -> String {
    let path = repository().join("examples/single-node/cluster.toml");
    let text = std::fs::read_to_string(path).expect("the example");
    let text = text.replace("0 2 * * *", &format!("0 {hour} * * *"));
    let own = "\n[[addon]]\nname = \"own\"\nmanifest = { file = \"own.yaml\" }\n";
    if addon { format!("{text}{own}") } else { text }
}

#[test]
fn what_argo_cd_manages_itself_is_left_to_it_until_it_does_no_more() {
    let folder = Folder::with(&with_addon(2, true));
    let own = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {a: b}\n";
    std::fs::write(folder.path().join("own.yaml"), own).expect("a file");
    folder.apply().ok();
    let cluster = Cluster::of(&folder, "single");
    // One object of many is left alone, and the others are kplan's as before.
    take_over(
        &cluster,
        "rbac",
        std::iter::once("v1 ConfigMap argocd/argocd-rbac-cm"),
    );
    let service = "v1 Service argocd/argocd-server";
    cluster.delete(service);
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    let told = "argocd.main is managed by the Application rbac of Argo CD";
    assert!(plan.out.contains(told), "{}", plan.out);
    folder.apply().ok();
    assert!(cluster.get(service).is_some());
    // Most of a part: what is missing of it is so because the Application does not have it.
    let velero = inventory(&folder, "velero.main");
    take_over(&cluster, "backups", velero.iter().map(String::as_str));
    take_over(&cluster, "own", std::iter::once("v1 ConfigMap default/own"));
    let agent = "apps/v1 DaemonSet velero/node-agent";
    cluster.delete(agent);
    folder.apply().ok();
    folder.assert_no_changes();
    assert!(cluster.get(agent).is_none());
    // A change of the file reaches no object of theirs; secrets are kplan's all the same. What leaves
    // the file stays in the cluster.
    folder.write(&with_addon(3, false));
    cluster.delete("v1 Secret velero/cloud-credentials");
    folder.apply().ok();
    let schedule = "velero.io/v1 Schedule velero/nightly";
    let hour = |cluster: &Cluster| cluster.get(schedule).expect("it")["spec"]["schedule"].clone();
    assert_eq!(hour(&cluster), "0 2 * * *");
    assert!(cluster.get("v1 Secret velero/cloud-credentials").is_some());
    assert!(cluster.get("v1 ConfigMap default/own").is_some());
    folder.assert_no_changes();
    // The marks alone say nothing once the Application is gone, nor does what it made of the rest.
    cluster.merge(schedule, &json!({ "spec": { "schedule": "5 5 * * *" } }));
    cluster.delete("argoproj.io/v1alpha1 Application argocd/backups");
    folder.apply().ok();
    assert!(cluster.get(agent).is_some());
    assert_eq!(hour(&cluster), "0 3 * * *");
    folder.assert_no_changes();
}

#[test]
fn the_environments_of_the_example_are_files_that_kplan_takes() {
    for environment in ["staging", "production"] {
        let path = format!("examples/environments/{environment}/cluster.toml");
        let text = std::fs::read_to_string(repository().join(path)).expect("the example");
        Folder::with(&text).kplan(&["validate"]).ok();
    }
}

/// Argo CD of three servers, highly available, behind a name of its own, with a key for a private
/// repository.
#[test]
fn argocd_is_highly_available_behind_its_name_and_reads_a_private_repository() {
    let folder = Folder::example("ha-etcd");
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file");
    let at = text.find("[gitops]").expect("Argo CD");
    let end = text[at..].find("\n\n").map_or(text.len(), |end| at + end);
    let private = "[gitops]\nrepo = \"git@github.com:acme/clusters.git\"\npath = \"ha\"\nha = true\n\
                   ingress = { host = \"argocd.example.com\", class = \"nginx\" }\n\
                   credentials = { ssh_key = { file = \"deploy.key\" } }";
    let text = format!("{}{private}{}", &text[..at], &text[end..]);
    folder.write(&text);
    // Nodes with taints do not count: three of its Redis servers need three that take any pod.
    let few = folder.kplan(&["validate"]).expect_code(1);
    assert!(few.err.contains("there is room on 2"), "{}", few.err);
    folder.write(&text.replace("schedulable = false\n", ""));
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nYWJj\n-----END OPENSSH PRIVATE KEY-----\n";
    std::fs::write(folder.path().join("deploy.key"), key).expect("a key");
    folder.apply();
    let cluster = Cluster::of(&folder, "ha");
    let redis = cluster.get("apps/v1 StatefulSet argocd/argocd-redis-ha-server");
    let redis = redis.expect("a Redis that is highly available");
    assert_eq!(redis["status"]["readyReplicas"], 3, "{redis:#}");
    let ingress = cluster.get("networking.k8s.io/v1 Ingress argocd/argocd-server");
    let rule = &ingress.expect("an ingress")["spec"]["rules"][0];
    assert_eq!(rule["host"], "argocd.example.com");
    folder.assert_no_changes();
}
