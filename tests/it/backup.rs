//! What is told of backups that are damaged, or that are not made any more.

use crate::restore::{BUCKET, Life};
use crate::support::Folder;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use kplan_model::ObjectStore as _;
use serde_json::json;
use std::io::{Read as _, Write as _};

const VERIFY: &[&str] = &["backup", "verify", "drill", "--sandbox"];

/// The list of what is in a backup, one object short.
fn without_its_first(list: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    let read = GzDecoder::new(list).read_to_string(&mut text);
    read.expect("a list");
    let mut kinds: serde_json::Value = serde_json::from_str(&text).expect("a list");
    let names = kinds["v1/ConfigMap"].as_array_mut().expect("some");
    names.remove(0);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(kinds.to_string().as_bytes())
        .expect("packed");
    packed.finish().expect("packed")
}

/// What is put in the place of a file; `None` where it goes.
type Damage<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

#[test]
fn a_backup_that_is_not_whole_is_told_with_what_is_wrong() {
    let life = Life::of(Folder::example("single-node"));
    life.work_and_back_up();
    let whole = life.kplan(VERIFY).ok();
    assert!(whole.out.contains("drill is whole"), "{}", whole.out);
    let objects = life.keys.objects(BUCKET, "backups/drill/");
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        bytes
    };
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let cases: [(&str, Damage<'_>, &str); 5] = [
        (
            "drill.tar.gz",
            &|bytes| Some(flipped(bytes)),
            "drill.tar.gz",
        ),
        ("drill.tar.gz", &|_| None, "drill.tar.gz is not there"),
        ("drill-resource-list.json.gz", &|_| None, "is not there"),
        (
            "drill-resource-list.json.gz",
            &|bytes| Some(without_its_first(bytes)),
            "its archive holds",
        ),
        (
            "drill-volumeinfo.json.gz",
            &|bytes| Some(cut(bytes)),
            "drill-volumeinfo.json.gz",
        ),
    ];
    for (file, damage, said) in cases {
        let bytes = objects.get(file).expect("an answer").expect(file);
        let damaged = damage(&bytes);
        objects.delete(&[file.to_owned()]).expect("it goes");
        if let Some(damaged) = damaged {
            objects.put_new(file, &damaged).expect("it is put");
        }
        let told = life.kplan(VERIFY).expect_code(1);
        let all = format!("{}{}", told.out, told.err);
        assert!(all.contains(said), "{said}:\n{all}");
        assert!(!all.contains("is whole"), "{all}");
        objects.delete(&[file.to_owned()]).expect("it goes");
        objects.put_new(file, &bytes).expect("it is put back");
    }
    life.kplan(VERIFY).ok();
}

#[test]
fn a_plan_says_that_no_backup_succeeds_any_more() {
    let life = Life::of(Folder::example("single-node"));
    let quiet = life.kplan(&["plan", "--sandbox"]).ok();
    assert!(!quiet.out.contains("overdue"), "{}", quiet.out);
    let objects = life.keys.objects(BUCKET, "backups/");
    for day in 1..=3 {
        let name = format!("nightly-2026110{day}020000");
        let failed = json!({
            "apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": { "name": name, "labels": { "velero.io/schedule-name": "nightly" } },
            "spec": {}, "status": { "phase": "Failed" },
        });
        let put = objects.put_new(
            &format!("{name}/velero-backup.json"),
            failed.to_string().as_bytes(),
        );
        put.expect("it is put");
    }
    let plan = life.kplan(&["plan", "--sandbox"]).ok();
    assert!(plan.out.contains("No changes."), "{}", plan.out);
    let told =
        "Note: backups by the schedule nightly are overdue: none of its newest ones is whole";
    assert!(plan.out.contains(told), "{}", plan.out);
}
