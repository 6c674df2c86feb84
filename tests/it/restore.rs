//! A cluster that comes back from its bucket: the state from a signed kit, what ran in it from a
//! backup.

use crate::support::bucket::SpacesAccess;
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, cut_off};
use kplan::kit::{Name, frame};
use kplan_model::ObjectStore as _;
use kplan_providers::local::{Made as _, RandomPasswordArgs, Signing};
use kplan_providers::recovery::Signer;
use serde_json::{Value, json};
use std::process::Command;

pub(crate) const BUCKET: &str = "acme-single-backup";
pub(crate) const KITS: &str = "plugins/kplan/single/";
pub(crate) const RESTORE: &[&str] = &["restore", "--sandbox", "--auto-approve"];

/// The example, applied, and a key to its bucket that does not come out of its state.
pub(crate) struct Life {
    pub(crate) folder: Folder,
    pub(crate) keys: SpacesAccess,
}

impl Life {
    fn begin() -> Self {
        Self::of(Folder::example("single-node"))
    }

    /// The cluster of a folder, applied.
    pub(crate) fn of(folder: Folder) -> Self {
        folder.apply().ok();
        let keys = SpacesAccess::of(&folder);
        Self { folder, keys }
    }

    pub(crate) fn kplan(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments))
    }

    /// `kplan` with these arguments and the key, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.folder.command(arguments);
        command
            .env("SPACES_ACCESS_KEY_ID", &self.keys.access_key)
            .env("SPACES_SECRET_ACCESS_KEY", &self.keys.secret_key);
        command
    }

    pub(crate) fn lose_the_state(&self) {
        let state = self.folder.path().join(".kplan/.sandbox/state");
        std::fs::remove_dir_all(state).expect("the state was there");
    }

    /// A namespace with something of everything, and a backup of it.
    pub(crate) fn work_and_back_up(&self) {
        let cluster = Cluster::of(&self.folder, "single");
        for object in shop() {
            cluster.apply(&object);
        }
        cluster.until(CLAIM, "/status/phase", "Bound");
        cluster.apply(&json!({
            "apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": { "name": "drill", "namespace": "velero" },
            "spec": { "storageLocation": "default", "snapshotMoveData": true, "ttl": "720h0m0s" },
        }));
        cluster.until(
            "velero.io/v1 Backup velero/drill",
            "/status/phase",
            "Completed",
        );
    }

    pub(crate) fn kits(&self) -> Vec<String> {
        let kits = self.keys.objects(BUCKET, KITS);
        let listing = kits.list("", None).expect("a list");
        listing.objects.into_iter().map(|kit| kit.key).collect()
    }
}

pub(crate) const CLAIM: &str = "v1 PersistentVolumeClaim shop/data";

/// The load balancer that the shop's Service had in a cluster of another time.
const BEFORE: &str = "3e1a5d3c-0000-4000-8000-000000000000";

fn shop() -> [Value; 5] {
    let pod = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": {
            "containers": [{
                "name": "web", "image": "nginx:1.29",
                "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
            }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
        },
    });
    [
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "settings", "namespace": "shop" }, "data": { "colour": "green" },
        }),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "data", "namespace": "shop" },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "do-block-storage",
                "resources": { "requests": { "storage": "5Gi" } },
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": {
                "replicas": 1, "selector": { "matchLabels": { "app": "web" } }, "template": pod,
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "namespace": "shop",
                "annotations": { "kubernetes.digitalocean.com/load-balancer-id": BEFORE },
            },
            "spec": {
                "type": "LoadBalancer", "selector": { "app": "web" },
                "ports": [{ "port": 80, "protocol": "TCP" }],
            },
        }),
    ]
}

/// Everything of the shop is there, its volume holds what it held, and backups go on.
fn assert_back(folder: &Folder, content: &Value) {
    let cluster = Cluster::of(folder, "single");
    let settings = cluster.get("v1 ConfigMap shop/settings").expect("settings");
    assert_eq!(settings["data"]["colour"], "green");
    assert!(cluster.get("apps/v1 Deployment shop/web").is_some());
    let claim = cluster.until(CLAIM, "/status/phase", "Bound");
    assert_eq!(&content_of(&cluster, &claim), content);
    // The first cluster's load balancer is not taken over: this one has made its own.
    let service = "v1 Service shop/web";
    let service = cluster.until(service, "/status/loadBalancer/ingress/0/ipMode", "VIP");
    let id = &service["metadata"]["annotations"]["kubernetes.digitalocean.com/load-balancer-id"];
    assert_ne!(id, BEFORE);
    let balancers = folder.inspect()["resources"]["load_balancers"].clone();
    let mut balancers = balancers.as_array().expect("load balancers").iter();
    assert!(balancers.any(|one| &one["id"] == id), "{id}");
    let location = cluster.get("velero.io/v1 BackupStorageLocation velero/default");
    assert_eq!(
        location.expect("a location")["spec"]["accessMode"],
        "ReadWrite"
    );
    let schedule = cluster.get("velero.io/v1 Schedule velero/nightly");
    assert_eq!(schedule.expect("a schedule")["spec"]["paused"], false);
}

/// What a claim's volume holds, as the embedded cloud tells.
pub(crate) fn content_of(cluster: &Cluster, claim: &Value) -> Value {
    let volume = claim["spec"]["volumeName"].as_str().expect("a volume");
    let volume = cluster.get(&format!("v1 PersistentVolume {volume}"));
    let volume = volume.expect("a volume");
    let content = &volume["metadata"]["annotations"]["sandbox.kplan.dev/content"];
    assert!(content.is_string(), "{volume:#}");
    content.clone()
}

pub(crate) fn stranger() -> Signer {
    let purpose = "somebody else's".to_owned();
    let made =
        Signing::make(&RandomPasswordArgs { purpose }, kplan_model::Timestamp(0)).expect("a key");
    Signer {
        private_key: made.private_key,
        public_key: made.public_key,
    }
}

#[test]
fn a_lost_state_comes_back_from_its_kit_and_nothing_else_changes() {
    let life = Life::begin();
    let before = life.folder.inspect();
    life.lose_the_state();
    // Without it a second cluster of that name is refused, and the way out is named.
    let refused = life.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(refused.err.contains("kplan restore"), "{}", refused.err);
    let back = life.kplan(RESTORE).ok();
    assert!(back.out.contains("only its state was lost"), "{}", back.out);
    assert!(back.out.contains("The state is back"), "{}", back.out);
    assert_eq!(life.folder.inspect()["resources"], before["resources"]);
    life.folder.assert_no_changes();
    let again = life.kplan(RESTORE).expect_code(6);
    assert!(again.err.contains("restore::not_lost"), "{}", again.err);
}

#[test]
fn a_kit_of_somebody_elses_is_refused_unless_it_is_named_by_its_digest() {
    let life = Life::begin();
    let kits = life.keys.objects(BUCKET, KITS);
    let newest = life.kits().pop().expect("a kit");
    let ours = kits.get(&newest).expect("an answer").expect("a kit");
    let taken = frame::open(&ours, "ours").expect("a whole kit");
    let header = &taken.header;
    let state = (header.lineage.as_str(), header.serial + 1);
    // The same contents, which only need public keys to be made, under another signature; one of
    // ours under a newer name; and something that is no kit.
    let later = header.at + 3_600_000;
    let forged = frame::seal("single", state, later, taken.contents(), &stranger()).expect("a kit");
    let name = Name::of(&frame::open(&forged, "forged").expect("a kit")).to_string();
    kits.put_new(&name, &forged).expect("it is put");
    let replayed = Name {
        at: later + 1000,
        ..Name::of(&taken)
    }
    .to_string();
    kits.put_new(&replayed, &ours).expect("it is put");
    kits.put_new("zzz.kit", b"junk").expect("it is put");
    life.lose_the_state();
    for (kit, code) in [
        (&name, "kit::not_trusted"),
        (&"zzz.kit".to_owned(), "kit::damaged"),
    ] {
        let asked: Vec<&str> = [RESTORE, &["--kit", kit]].concat();
        let refused = life.kplan(&asked);
        assert!(refused.err.contains(code), "{}", refused.err);
    }
    assert!(
        !life
            .folder
            .path()
            .join(".kplan/.sandbox/state/single")
            .exists()
    );
    let mut named = RESTORE.to_vec();
    named.extend(["--kit", &newest]);
    let wrong: Vec<&str> = [named.as_slice(), &["--trust-kit", "00"]].concat();
    life.kplan(&wrong).expect_code(6);
    // One byte of the contents.
    let mut damaged = ours.clone();
    *damaged.last_mut().expect("a byte") ^= 1;
    std::fs::write(life.folder.path().join("damaged.kit"), damaged).expect("a file");
    let damaged: Vec<&str> = [RESTORE, &["--kit", "damaged.kit"]].concat();
    let refused = life.kplan(&damaged).expect_code(1);
    assert!(refused.err.contains("kit::damaged"), "{}", refused.err);
    // The lock is gone, too: nobody says whose kits are good.
    let lock = life.folder.path().join(".kplan/.sandbox/kplan.lock");
    std::fs::remove_file(lock).expect("the lock was there");
    let refused = life.kplan(&named).expect_code(6);
    assert!(refused.err.contains(&taken.digest), "{}", refused.err);
    let trusted: Vec<&str> = [named.as_slice(), &["--trust-kit", &taken.digest]].concat();
    life.kplan(&trusted).ok();
    life.folder.assert_no_changes();
    // Without a name the newest of ours is taken, and what was left aside is told.
    life.folder.apply().ok();
    life.lose_the_state();
    let lock = life.folder.path().join(".kplan/.sandbox/kplan.lock");
    let text = format!(
        "format = 1\n[kit_keys]\nsingle = \"{}\"\n",
        taken.header.public_key
    );
    std::fs::write(lock, text).expect("a lock");
    let taken = life.kplan(RESTORE).ok();
    for left in [&name, &replayed] {
        assert!(!taken.out.contains(left), "{}", taken.out);
        assert!(taken.err.contains(left), "{}", taken.err);
    }
    life.folder.assert_no_changes();
}

#[test]
fn after_a_restore_the_next_kit_is_newer_and_nothing_is_written_before_consent() {
    let life = Life::begin();
    let serial = life.folder.snapshot("single").serial;
    life.lose_the_state();
    let refused = life.kplan(&["restore", "--sandbox"]).expect_code(1);
    assert!(
        refused.out.contains("Nothing was written"),
        "{}",
        refused.out
    );
    assert!(
        !life
            .folder
            .path()
            .join(".kplan/.sandbox/state/single")
            .exists()
    );
    life.kplan(RESTORE).ok();
    assert_eq!(life.folder.snapshot("single").serial, serial);
    let text = std::fs::read_to_string(life.folder.path().join("cluster.toml")).expect("the file");
    life.folder.write(&text.replace("\"30d\"", "\"31d\""));
    life.folder.apply().ok();
    life.lose_the_state();
    let back = life.kplan(RESTORE).ok();
    let newest = life.kits().pop().expect("a kit");
    assert!(back.out.contains(&newest), "{}", back.out);
    life.folder.assert_no_changes();
}

#[test]
fn a_kit_from_before_the_cluster_is_not_gone_by() {
    let life = Life::begin();
    let droplets = life.folder.count("droplets");
    let kits = life.kits();
    life.lose_the_state();
    // The one from before the first droplet.
    let old: Vec<&str> = [RESTORE, &["--kit", &kits[0]]].concat();
    let refused = life.kplan(&old).expect_code(6);
    assert!(refused.err.contains("kit::stale"), "{}", refused.err);
    assert!(refused.err.contains("single-servers-0"), "{}", refused.err);
    assert_eq!(life.folder.count("droplets"), droplets);
}

#[test]
fn a_backup_that_is_not_the_whole_cluster_has_to_be_agreed_to() {
    let life = Life::begin();
    life.work_and_back_up();
    let cluster = Cluster::of(&life.folder, "single");
    cluster.apply(&json!({
        "apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": { "name": "part", "namespace": "velero" },
        "spec": { "storageLocation": "default", "includedNamespaces": ["default"] },
    }));
    cluster.until(
        "velero.io/v1 Backup velero/part",
        "/status/phase",
        "Completed",
    );
    life.folder.lose_everything();
    let part: Vec<&str> = [RESTORE, &["--from", "part"]].concat();
    let refused = life.kplan(&part).expect_code(6);
    assert!(refused.err.contains("backup::partial"), "{}", refused.err);
    assert_eq!(life.folder.count("droplets"), 0);
    let run = life.kplan(RESTORE).ok();
    assert!(run.out.contains("from the backup drill"), "{}", run.out);
}

#[test]
fn a_kit_is_there_before_the_first_droplet_and_the_last_ten_stay() {
    let life = Life::begin();
    let plan = Folder::example("single-node");
    let graph = plan.kplan(&["graph", "--json"]).ok().json().to_string();
    assert!(graph.contains("recovery_kit.main"), "{graph}");
    assert_eq!(
        life.kits().len(),
        2,
        "one before the droplet, one after the apply"
    );
    let kits = life.keys.objects(BUCKET, KITS);
    for kit in life.kits() {
        let bytes = kits.get(&kit).expect("an answer").expect("a kit");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("BEGIN"), "{kit} has a key in plain text");
        assert!(!text.contains("fra1"), "{kit} has the file in plain text");
    }
    for round in 0..10 {
        let text = std::fs::read_to_string(life.folder.path().join("cluster.toml"));
        let text = text.expect("the file");
        let keep = format!("keep = \"{}d\"", 31 + round);
        let at = text.find("keep = \"").expect("a schedule");
        let end = at + text[at..].find('d').expect("days") + 2;
        life.folder
            .write(&format!("{}{keep}{}", &text[..at], &text[end..]));
        life.folder.apply().ok();
    }
    assert_eq!(life.kits().len(), 10);
}

#[test]
fn a_lost_cluster_comes_back_from_its_backup_before_argocd_fills_it() {
    let life = Life::begin();
    life.work_and_back_up();
    let cluster = Cluster::of(&life.folder, "single");
    let content = content_of(&cluster, &cluster.get(CLAIM).expect("a claim"));
    life.folder.lose_everything();
    // One answer is all it asks for.
    let command = life.command(&["restore", "--from", "latest", "--sandbox"]);
    let run = Run::answering(command, "yes\n").ok();
    let at = |what: &str| {
        let found = run.out.find(what);
        found.unwrap_or_else(|| panic!("no {what} in {}", run.out))
    };
    let restored = at("velero_restore.main: Creation complete");
    assert!(at("velero.main: Creation complete") < restored);
    assert!(restored < at("argocd.main: Creating"));
    assert!(restored < at("argocd_application.root: Creating"));
    assert!(at("argocd_application.root: Creation complete") < at("velero.main: Modifying"));
    assert!(at("objects restored, 1 claim bound.") < at("velero.main: Modifying"));
    assert_back(&life.folder, &content);
    life.folder.assert_no_changes();
}

#[test]
fn on_an_empty_machine_the_bucket_alone_brings_everything_back() {
    let life = Life::begin();
    life.work_and_back_up();
    let cluster = Cluster::of(&life.folder, "single");
    let content = content_of(&cluster, &cluster.get(CLAIM).expect("a claim"));
    let file = life.folder.path().join("cluster.toml");
    let before = std::fs::read_to_string(&file).expect("the file");
    life.folder.lose_everything();
    std::fs::remove_file(&file).expect("the file was there");
    let lock = life.folder.path().join(".kplan/.sandbox/kplan.lock");
    std::fs::remove_file(lock).expect("the lock was there");
    let lost = life.kplan(RESTORE).expect_code(1);
    assert!(lost.err.contains("--kit 's3://BUCKET"), "{}", lost.err);
    let bucket = format!("s3://{BUCKET}?region=fra1&endpoint={}", life.keys.endpoint);
    let named: Vec<&str> = [RESTORE, &["--from", "latest", "--kit", &bucket]].concat();
    // Nobody said yet that the kit is a good one.
    let refused = life.kplan(&named).expect_code(6);
    assert!(refused.err.contains("kit::not_trusted"), "{}", refused.err);
    assert!(!file.exists());
    let newest = life.kits().pop().expect("a kit");
    let kits = life.keys.objects(BUCKET, KITS);
    let kit = kits.get(&newest).expect("an answer").expect("a kit");
    let digest = frame::open(&kit, &newest).expect("a whole kit").digest;
    assert!(refused.err.contains(&digest), "{}", refused.err);
    let trusted: Vec<&str> = [&named[..], &["--trust-kit", &digest]].concat();
    let run = life.kplan(&trusted).ok();
    assert!(run.err.contains("Wrote"), "{}", run.err);
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), before);
    assert_back(&life.folder, &content);
    life.folder.assert_no_changes();
    let elsewhere: Vec<&str> = [RESTORE, &["--kit", "s3://no bucket"]].concat();
    let wrong = life.kplan(&elsewhere).expect_code(1);
    assert!(wrong.err.contains("kit::address"), "{}", wrong.err);
}

#[test]
fn a_restore_that_is_killed_is_carried_on_by_the_next_apply() {
    let life = Life::begin();
    life.work_and_back_up();
    let cluster = Cluster::of(&life.folder, "single");
    let content = content_of(&cluster, &cluster.get(CLAIM).expect("a claim"));
    life.folder.lose_everything();
    let command = life.command(&["restore", "--from", "drill", "--sandbox", "--auto-approve"]);
    cut_off(command, || life.folder.count("droplets") != 0);
    // Whoever comes next knows nothing of a restore, and restores all the same, to its end.
    let run = life.folder.apply().ok();
    assert!(run.out.contains("velero_restore.main"), "{}", run.out);
    assert_back(&life.folder, &content);
    life.folder.assert_no_changes();
}
