//! A second cluster out of the first one's backup, which is only read.

use crate::addons::{certificate, seal, sealed};
use crate::backup_store::with_backup;
use crate::restore::{BUCKET, CLAIM, KITS, Life, content_of, stranger};
use crate::support::bucket::Shared;
use crate::support::cluster::{Cluster, access};
use crate::support::{Folder, Run, cut_off, repository};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan::kit::{Name, frame};
use kplan_model::{ObjectStore as _, Value as Item};
use kplan_providers::k3s::Access;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The example without the backups of its nights, which would change its bucket meanwhile, and with
/// names that exist once.
fn first() -> Folder {
    let file = repository().join("examples/single-node/cluster.toml");
    let file = std::fs::read_to_string(file).expect("the example");
    let file = file.replace("keep = \"30d\"", "keep = \"30d\", paused = true");
    assert!(file.contains("paused"), "{file}");
    let once = "[addons]\nsealed_secrets = true\n\n[[ssh_key]]\nname = \"me\"\npublic_key = \
                \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f \
                me@host\"\n";
    Folder::with(&format!("{file}\n{once}"))
}

const MAKE: &[&str] = &["restore", "--sandbox", "--auto-approve", "--name", "copy"];

/// `kplan` about the copy.
fn of_copy(life: &Life, arguments: &[&str]) -> Run {
    life.kplan(&[arguments, &["-f", "copy.toml", "--sandbox"]].concat())
}

fn destroy_copy(life: &Life) {
    let arguments = [
        "destroy",
        "--auto-approve",
        "--orphans",
        "delete",
        "--delete-backups",
        "--confirm",
    ];
    of_copy(life, &[&arguments[..], &["copy"]].concat()).ok();
}

/// Everything of the first cluster that somebody could see a change of.
#[derive(Debug, PartialEq)]
struct Whole {
    state: BTreeMap<String, Vec<u8>>,
    bucket: BTreeMap<String, Vec<u8>>,
}

fn files(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            into.insert(path.display().to_string(), bytes);
        }
    }
}

fn whole(life: &Life) -> Whole {
    let mut state = BTreeMap::new();
    let folder = life.folder.path();
    files(&folder.join(".kplan/.sandbox/state/single"), &mut state);
    let file = std::fs::read(folder.join("cluster.toml")).expect("the file");
    state.insert("cluster.toml".to_owned(), file);
    Whole {
        state,
        bucket: life.keys.all(BUCKET, ""),
    }
}

/// What exists in the cloud: kind, id and name.
fn cloud(life: &Life) -> BTreeSet<String> {
    let seen = life.folder.inspect();
    let kinds = seen["resources"].as_object().expect("resources");
    let all = kinds.iter().flat_map(|(kind, rows)| {
        let rows = rows.as_array().expect("rows");
        rows.iter().map(move |row| format!("{kind} {row}"))
    });
    all.collect()
}

/// The shop is in the copy, its volume holds what it held, and nothing of the first's bucket is left.
fn assert_copied(life: &Life, content: &Value) {
    let copy = Cluster::of(&life.folder, "copy");
    let settings = copy.get("v1 ConfigMap shop/settings").expect("settings");
    assert_eq!(settings["data"]["colour"], "green");
    assert!(copy.get("apps/v1 Deployment shop/web").is_some());
    let claim = copy.until(CLAIM, "/status/phase", "Bound");
    assert_eq!(&content_of(&copy, &claim), content);
    for gone in [
        "velero.io/v1 BackupStorageLocation velero/source",
        "velero.io/v1 Backup velero/drill",
        "v1 Secret velero/kplan-source-credentials",
    ] {
        assert!(copy.get(gone).is_none(), "{gone} is left");
    }
    let own = copy.get("velero.io/v1 BackupStorageLocation velero/default");
    let spec = &own.expect("a location")["spec"];
    assert_eq!(spec["accessMode"], "ReadWrite");
    assert_ne!(spec["objectStorage"]["bucket"], BUCKET);
    let snapshot = life.folder.snapshot("copy");
    for address in snapshot.resources.keys() {
        let name = address.to_string();
        let left = [
            "spaces_key.source",
            "velero_source.main",
            "restore_request.main",
        ];
        assert!(!left.contains(&name.as_str()), "{name} is left");
    }
    let seen = life.folder.inspect().to_string();
    assert!(!seen.contains("-source\""), "a key is left: {seen}");
}

#[test]
fn a_copy_in_another_region_is_made_and_destroyed_and_the_first_is_as_it_was() {
    let life = Life::of(first());
    let from_git = sealed(&seal(
        &certificate(&life.folder),
        "default/login",
        b"hunter2",
    ));
    life.work_and_back_up();
    let original = Cluster::of(&life.folder, "single");
    let content = content_of(&original, &original.get(CLAIM).expect("a claim"));
    let (before, there) = (whole(&life), cloud(&life));
    let run = life
        .kplan(&[MAKE, &["--region", "ams3", "--from", "drill"]].concat())
        .ok();
    for told in [
        "cluster.name is \"copy\"",
        "ssh_key left out",
        "project.name left out",
    ] {
        assert!(run.err.contains(told), "{told} is not in {}", run.err);
    }
    assert_copied(&life, &content);
    let copy = Cluster::of(&life.folder, "copy");
    copy.apply(&from_git);
    let opened = STANDARD.encode("hunter2");
    copy.until("v1 Secret default/login", "/data/password", &opened);
    let snapshot = life.folder.snapshot("copy");
    let droplet = "droplet.servers[0]".parse().expect("an address");
    let region = snapshot.resources[&droplet].args.get("region");
    assert_eq!(region.and_then(Item::as_str), Some("ams3"));
    // The first, its state, its bucket and what it has in the cloud.
    assert_eq!(whole(&life), before);
    let both = cloud(&life);
    assert!(there.is_subset(&both), "{:?}", there.difference(&both));
    life.folder.assert_no_changes();
    of_copy(&life, &["plan", "--detailed-exitcode"]).ok();
    assert_a_key_of_its_own(&life);
    // It is there now.
    let again = life.kplan(MAKE).expect_code(6);
    assert!(again.err.contains("copy::exists"), "{}", again.err);
    destroy_copy(&life);
    assert_eq!(whole(&life), before);
    let left: BTreeSet<String> = cloud(&life).difference(&there).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
    life.folder.assert_no_changes();
}

/// Whoever could open the first cluster cannot open the copy.
fn assert_a_key_of_its_own(life: &Life) {
    let (first, copy) = (access(&life.folder, "single"), access(&life.folder, "copy"));
    assert_ne!(first.client_ca, copy.client_ca);
    let stolen = Access {
        server: copy.server.clone(),
        server_ca: copy.server_ca.clone(),
        ..first
    };
    let why = Cluster::reached_at(&life.folder, &stolen).refusal("v1 Namespace default");
    assert!(
        Cluster::reached_at(&life.folder, &copy)
            .get("v1 Namespace default")
            .is_some()
    );
    assert!(!why.is_empty());
}

/// Whether the copy has that on record.
fn knows(life: &Life, address: &str) -> bool {
    of_copy(life, &["state", "list"]).out.contains(address)
}

#[test]
fn a_copy_of_a_lost_cluster_is_made_from_its_kit_and_carried_on_by_apply() {
    let life = Life::of(first());
    life.work_and_back_up();
    let original = Cluster::of(&life.folder, "single");
    let content = content_of(&original, &original.get(CLAIM).expect("a claim"));
    life.folder.lose_everything();
    let begun = life.keys.all(BUCKET, "");
    cut_off(life.command(MAKE), || life.folder.count("droplets") > 0);
    // Whoever comes next knows nothing of the first cluster, and has no key to its bucket.
    let apply = ["apply", "-f", "copy.toml", "--sandbox", "--auto-approve"];
    let run = life.folder.kplan(&apply).ok();
    assert!(run.out.contains("velero_restore.main"), "{}", run.out);
    assert_copied(&life, &content);
    assert_eq!(life.keys.all(BUCKET, ""), begun);
    of_copy(&life, &["plan", "--detailed-exitcode"]).ok();
    let first = life.folder.path().join(".kplan/.sandbox/state/single");
    assert!(!first.exists());
}

#[test]
fn a_copy_that_is_cut_off_is_carried_on_by_the_same_command_or_by_restore() {
    let life = Life::of(first());
    life.work_and_back_up();
    let original = Cluster::of(&life.folder, "single");
    let content = content_of(&original, &original.get(CLAIM).expect("a claim"));
    let before = whole(&life);
    cut_off(life.command(MAKE), || knows(&life, "spaces_key.operator"));
    cut_off(life.command(MAKE), || knows(&life, "velero_source.main"));
    // Behind the restore itself there is still what comes after it.
    cut_off(life.command(MAKE), || knows(&life, "velero_restore.main"));
    let restore = ["restore", "-f", "copy.toml", "--sandbox", "--auto-approve"];
    life.folder.kplan(&restore).ok();
    assert_copied(&life, &content);
    assert_eq!(whole(&life), before);
    of_copy(&life, &["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn a_copy_that_is_given_up_halfway_leaves_the_first_whole() {
    let life = Life::of(first());
    life.work_and_back_up();
    let (before, there) = (whole(&life), cloud(&life));
    cut_off(life.command(MAKE), || knows(&life, "velero_source.main"));
    assert!(cloud(&life).iter().any(|one| one.contains("-source\"")));
    destroy_copy(&life);
    let mut after = whole(&life);
    // What Velero wrote about the restore before it went stays.
    after
        .bucket
        .retain(|key, _| !key.starts_with("restores/kplan-copy-"));
    assert_eq!(after, before);
    assert_eq!(cloud(&life), there);
    life.folder.assert_no_changes();
}

#[test]
fn what_cannot_be_a_copy_is_refused_and_nothing_is_written() {
    let life = Life::of(first());
    let kits = life.keys.objects(BUCKET, KITS);
    let newest = life.kits().pop().expect("a kit");
    let ours = kits.get(&newest).expect("an answer").expect("a kit");
    let taken = frame::open(&ours, "ours").expect("a whole kit");
    let state = (taken.header.lineage.as_str(), taken.header.serial + 1);
    let later = taken.header.at + 3_600_000;
    let forged = frame::seal("single", state, later, taken.contents(), &stranger());
    let forged = forged.expect("a kit");
    let name = Name::of(&frame::open(&forged, "forged").expect("a kit")).to_string();
    kits.put_new(&name, &forged).expect("it is put");
    let begin = &["restore", "--sandbox", "--auto-approve"][..];
    for (asked, code) in [
        (vec!["--name", "copy", "--kit", &name], "kit::not_trusted"),
        (vec!["--name", "single"], "copy::name"),
        (vec!["--name", "../copy"], "copy::name"),
        (vec!["--name", "copy", "--region", "mars1"], "copy::region"),
        (vec!["--region", "ams3"], "restore::region"),
    ] {
        let refused = life.kplan(&[begin, &asked].concat());
        assert!(refused.err.contains(code), "{asked:?}: {}", refused.err);
        assert!(!life.folder.path().join("copy.toml").exists(), "{asked:?}");
    }
    // A file that is there is used as it is, and has to be about that copy.
    let path = life.folder.path().join("copy.toml");
    let text = std::fs::read_to_string(life.folder.path().join("cluster.toml")).expect("the file");
    let named = text.replace("name   = \"single\"", "name = \"copy\"");
    for (text, says) in [
        (text.clone(), "is about the cluster single"),
        (named.clone(), "which is single's bucket"),
    ] {
        std::fs::write(&path, text).expect("a file");
        let refused = life.kplan(MAKE).expect_code(6);
        assert!(refused.err.contains(says), "{}", refused.err);
    }
    let own = named.replace(BUCKET, "acme-copy-backup");
    std::fs::write(&path, own).expect("a file");
    let refused = life
        .kplan(&[MAKE, &["--region", "ams3"]].concat())
        .expect_code(6);
    assert!(
        refused.err.contains("says the region fra1"),
        "{}",
        refused.err
    );
    // There is no backup yet.
    let refused = life.kplan(MAKE).expect_code(1);
    assert!(refused.err.contains("backup::missing"), "{}", refused.err);
    assert!(
        !life
            .folder
            .path()
            .join(".kplan/.sandbox/state/copy")
            .exists()
    );
}

/// A bucket in any store is read with the key that the file names, from the copy's record.
#[test]
fn a_copy_of_a_cluster_with_a_bucket_that_was_there_has_one_of_its_own() {
    let shared = Shared::with(2000.0);
    let cron = "cron = \"0 2 * * *\"";
    let file = with_backup(&shared, "").replace(cron, &format!("{cron}, paused = true"));
    shared.first.write(&file);
    let kplan = |arguments: &[&str]| {
        let arguments = [arguments, &["--sandbox"]].concat();
        Run::of(shared.command(&shared.first, &arguments))
    };
    kplan(&["apply", "--auto-approve"]).ok();
    let first = Cluster::of(&shared.first, "demo");
    first.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "namespace": "default" }, "data": { "colour": "green" },
    }));
    first.apply(&json!({
        "apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": { "name": "drill", "namespace": "velero" },
        "spec": { "storageLocation": "default", "ttl": "720h0m0s" },
    }));
    let drill = "velero.io/v1 Backup velero/drill";
    first.until(drill, "/status/phase", "Completed");
    let before = shared.all("");
    let run = kplan(&["restore", "--auto-approve", "--name", "copy"]).ok();
    assert!(!run.out.contains("spaces_key.source"), "{}", run.out);
    let copy = Cluster::of(&shared.first, "copy");
    assert!(copy.get("v1 ConfigMap default/settings").is_some());
    assert!(copy.get(drill).is_none());
    assert_eq!(shared.all(""), before);
    for said in [&run.out, &run.err] {
        assert!(!said.contains(shared.secret_key()), "the key is shown");
    }
    kplan(&["plan", "-f", "copy.toml", "--detailed-exitcode"]).ok();
}

/// What `restore::region` tells people to do.
#[test]
fn a_destroyed_cluster_comes_back_in_another_region_by_an_edit() {
    let life = Life::of(first());
    life.work_and_back_up();
    let original = Cluster::of(&life.folder, "single");
    let content = content_of(&original, &original.get(CLAIM).expect("a claim"));
    let refused = life
        .kplan(&["restore", "--sandbox", "--auto-approve", "--region", "ams3"])
        .expect_code(6);
    assert!(refused.err.contains("To keep the name"), "{}", refused.err);
    life.folder.destroy("single").ok();
    let text = std::fs::read_to_string(life.folder.path().join("cluster.toml")).expect("the file");
    let moved = text.replace("region = \"fra1\"", "region = \"ams3\"");
    let moved = moved.replace("[backup]\n", "[backup]\nregion = \"fra1\"\n");
    life.folder.write(&moved);
    life.kplan(&["restore", "--sandbox", "--auto-approve"]).ok();
    let cluster = Cluster::of(&life.folder, "single");
    let claim = cluster.until(CLAIM, "/status/phase", "Bound");
    assert_eq!(content_of(&cluster, &claim), content);
    life.folder.assert_no_changes();
}
