//! What is refused, with its code, and that nothing is written then.

use super::Place;
use crate::local::files::{SnapshotFile, parse_snapshot, snapshot_bytes};
use crate::testing::{run, succeeded};
use crate::{Identity, LocalReader, LocalWriter, WriteOptions, code};
use kplan_model::{Journal as _, Timestamp};
use std::time::Duration;

fn edit_snapshot(place: &Place, edit: impl FnOnce(&mut crate::wire::snapshot::SnapshotWire)) {
    let bytes = place.bytes("snapshot");
    let Ok(SnapshotFile::Good(mut wire)) = parse_snapshot(&place.file("snapshot"), &bytes[..])
    else {
        panic!("not good");
    };
    edit(&mut wire);
    place.put("snapshot", &snapshot_bytes(&wire).unwrap());
}

/// Reader and writer both refuse with this code, and no file changes.
fn assert_refused(place: &Place, cluster: &str, identity: &Identity, code: &str) {
    let before = place.everything();
    let reader = LocalReader::open(&place.path, cluster, Some(identity));
    let refused = reader.read().unwrap_err();
    assert_eq!(refused.code, code, "{refused}");
    assert!(refused.help.is_some());
    let refused = LocalWriter::open(&place.path, cluster, identity, &Place::options()).err();
    assert_eq!(refused.unwrap().code, code);
    assert_eq!(place.everything(), before);
}

#[test]
fn a_wrong_key() {
    let place = Place::full();
    assert_refused(&place, "demo", &Identity::generate(), code::WRONG_KEY);
}

#[test]
fn another_cluster() {
    let place = Place::full();
    assert_refused(&place, "other", &place.identity, code::OTHER_CLUSTER);
    let repaired = crate::repair(&place.path, "other", None, &Place::options());
    assert_eq!(repaired.unwrap_err().code, code::OTHER_CLUSTER);
}

#[test]
fn a_newer_format() {
    let place = Place::full();
    edit_snapshot(&place, |wire| wire.format = crate::FORMAT + 1);
    assert_refused(&place, "demo", &place.identity, code::NEWER_FORMAT);
}

#[test]
fn the_journal_of_another_state() {
    let (place, other) = (Place::full(), Place::full());
    place.put("journal", &other.bytes("journal"));
    assert_refused(&place, "demo", &place.identity, code::OTHER_LINEAGE);
}

#[test]
fn a_snapshot_older_than_its_journal() {
    let place = Place::full();
    let old = place.bytes("snapshot.1");
    place.put("snapshot", &old);
    assert_refused(&place, "demo", &place.identity, code::DAMAGED);
}

#[test]
fn a_secret_that_was_moved_to_another_place() {
    let place = Place::full();
    let text = String::from_utf8(place.bytes("snapshot")).unwrap();
    let body: serde_json::Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let token = |index: usize| {
        let token = &body["resources"][index]["args"]["key"]["$secret"];
        token.as_str().unwrap().to_owned()
    };
    let moved = body.to_string().replace(&token(0), &token(1));
    let wire: crate::wire::snapshot::SnapshotWire = serde_json::from_str(&moved).unwrap();
    place.put("snapshot", &snapshot_bytes(&wire).unwrap());
    assert_refused(&place, "demo", &place.identity, code::DAMAGED);
    // Without the identity nobody can tell, and nobody can use it either.
    assert!(LocalReader::open(&place.path, "demo", None).read().is_ok());
}

#[test]
fn opening_what_is_not_there_without_creating_it() {
    let place = Place::new();
    let options = WriteOptions {
        create: false,
        ..Place::options()
    };
    let refused = LocalWriter::open(&place.path, "demo", &place.identity, &options).err();
    assert_eq!(refused.unwrap().code, code::MISSING);
    assert!(!place.path.exists());
}

#[test]
fn a_second_writer_is_told_who_the_first_is() {
    let place = Place::full();
    let first = place.writer();
    let options = WriteOptions {
        lock_timeout: Duration::from_millis(5),
        ..WriteOptions::new("kplan destroy")
    };
    let refused = LocalWriter::open(&place.path, "demo", &place.identity, &options).err();
    let refused = refused.unwrap();
    assert_eq!(refused.code, code::LOCKED);
    assert!(refused.message.contains("`kplan apply`"), "{refused}");
    assert!(refused.message.contains(&std::process::id().to_string()));
    assert_eq!(place.reader().holder().unwrap().command, "kplan apply");
    // Readers do not care.
    assert!(place.read().is_ok());
    drop(first);
    let second = LocalWriter::open(&place.path, "demo", &place.identity, &options).unwrap();
    second.close("kplan destroy", Timestamp(0)).unwrap();
    assert_eq!(place.reader().holder(), None);
}

#[test]
fn a_value_that_could_not_be_read_back_stops_the_append_and_harms_nothing() {
    let place = Place::full();
    let mut writer = place.writer();
    let before = writer.snapshot().clone();
    let mut bad = succeeded("x", "1");
    let kplan_model::JournalEvent::Succeeded { address, .. } = &mut bad.event else {
        unreachable!()
    };
    *address = kplan_model::Address::new(kplan_model::Kind::new("vpc"), "no name");
    let refused = writer
        .append(&[run(&["y"])[1][0].clone(), bad])
        .unwrap_err();
    assert!(refused.to_string().contains("no name"), "{refused}");
    assert_eq!(writer.snapshot(), &before);
    writer.append(&[succeeded("x", "1")]).unwrap();
    let live = writer.snapshot().clone();
    drop(writer);
    assert_eq!(place.state(), live);
}
