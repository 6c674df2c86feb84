//! The shared store keeps the contract, and what is around it: history, documents, recipients,
//! tidying up, unfit stores.

use super::Place;
use crate::code;
use crate::identity::Identity;
use crate::shared::bucket::Bucket;
use crate::testing::{CANARY, run, succeeded};
use kplan_model::{Journal as _, Timestamp};

#[test]
fn it_keeps_the_contract() {
    let place = Place::new();
    crate::contract::keeps_the_contract(&|| Box::new(place.writer()), &|| {
        place.read().unwrap().unwrap()
    });
    for (key, bytes) in place.bucket.everything() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(CANARY), "{key} holds a secret");
    }
}

#[test]
fn reading_writes_nothing_and_tells_an_empty_bucket_from_a_state() {
    let place = Place::new();
    assert_eq!(place.read().unwrap(), None);
    assert!(place.reader().history().unwrap().is_empty());
    assert_eq!(place.reader().verify().unwrap_err().code, code::MISSING);
    assert!(place.bucket.keys().is_empty());
    let place = Place::full();
    let before = place.bucket.everything();
    assert!(place.read().unwrap().is_some());
    assert_eq!(place.reader().history().unwrap().len(), 3);
    assert!(place.reader().verify().unwrap().problems.is_empty());
    drop(place.reader().document().unwrap());
    assert_eq!(place.bucket.everything(), before);
}

#[test]
fn the_history_gives_every_run_back() {
    let place = Place::full();
    let entries = place.reader().history().unwrap();
    for entry in &entries {
        assert_eq!(
            place.reader().at(entry.serial).unwrap().serial,
            entry.serial
        );
    }
    let newest = entries.last().unwrap().serial;
    assert_eq!(
        place.reader().at(newest).unwrap(),
        place.read().unwrap().unwrap()
    );
    let missing = place.reader().at(newest + 1).unwrap_err();
    assert_eq!(missing.code, code::MISSING);
}

#[test]
fn what_two_checkpoints_made_needless_goes_and_fences_stay() {
    let place = Place::new();
    for turn in 0..20 {
        let mut writer = place.writer();
        for batch in run(&["a", "b"]) {
            writer.append(&batch).unwrap();
        }
        drop(writer.close("kplan apply", Timestamp(turn)).unwrap());
    }
    let keys = place.bucket.keys();
    let count = |prefix: &str| keys.iter().filter(|key| key.starts_with(prefix)).count();
    assert_eq!(count("snapshot/"), 2, "{keys:#?}");
    assert_eq!(count("history/"), 20);
    assert_eq!(count("probe/"), 0);
    // 20 fences, and what came after the older checkpoint.
    assert!((20..=26).contains(&count("state/")), "{}", count("state/"));
    assert!(count("lock/") <= 6, "{}", count("lock/"));
    assert!(place.reader().verify().unwrap().problems.is_empty());
}

#[test]
fn a_run_that_changes_nothing_leaves_neither_history_nor_serial() {
    let place = Place::full();
    let (before, history) = (place.read().unwrap(), place.reader().history().unwrap());
    for _ in 0..10 {
        place.writer().close("kplan apply", Timestamp(0)).unwrap();
    }
    assert_eq!(place.read().unwrap(), before);
    assert_eq!(place.reader().history().unwrap(), history);
}

#[test]
fn a_removed_recipient_finds_no_copy_under_the_old_key() {
    let place = Place::full();
    let other = Identity::generate();
    let theirs = other.recipients().remove(0);
    let mut writer = place.writer();
    writer.add_recipient(&theirs).unwrap();
    let after = crate::shared::SharedReader::open_with(
        std::time::Duration::ZERO,
        place.bucket.connect(),
        "demo",
        Some(&other),
    );
    assert_eq!(
        after.read().unwrap().snapshot.as_ref(),
        Some(writer.snapshot())
    );
    writer.append(&[succeeded("x", "1")]).unwrap();
    let own = place.identity.recipients();
    writer.remove_recipient(&theirs, &own).unwrap();
    let live = writer.snapshot().clone();
    writer
        .close("kplan state recipients", Timestamp(0))
        .unwrap();
    assert_eq!(after.read().unwrap_err().code, code::WRONG_KEY);
    assert_eq!(place.read().unwrap(), Some(live));
    let left = place.bucket.everything();
    let mut readable = left
        .iter()
        .filter(|(key, _)| key.starts_with("snapshot/") || key.starts_with("state/"))
        .filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&theirs));
    assert_eq!(readable.next(), None);
}

#[test]
fn a_store_that_ignores_the_condition_is_refused_before_anything_is_made() {
    let place = Place {
        bucket: Bucket::ignoring_conditions(),
        identity: Identity::generate(),
    };
    let refused = place.open(place.bucket.connect(), "apply").err().unwrap();
    assert_eq!(refused.code, code::STORE_UNFIT, "{refused}");
    assert!(refused.message.contains("If-None-Match"), "{refused}");
    assert!(place.bucket.keys().is_empty(), "{:?}", place.bucket.keys());
}

#[test]
fn another_cluster_and_another_identity_are_refused_before_the_lock() {
    let place = Place::full();
    let before = place.bucket.everything();
    let options = Place::options("apply");
    let open = |cluster, identity: &Identity| {
        let store = place.bucket.connect();
        let surroundings = place.surroundings();
        super::SharedWriter::open_in(surroundings, store, cluster, identity, &options).err()
    };
    let refused = open("other", &place.identity).unwrap();
    assert_eq!(refused.code, code::OTHER_CLUSTER);
    let refused = open("demo", &Identity::generate()).unwrap();
    assert_eq!(refused.code, code::WRONG_KEY);
    assert_eq!(place.bucket.everything(), before);
}
