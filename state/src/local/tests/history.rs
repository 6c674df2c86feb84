//! The history: one immutable entry for every run that changed something, apart from the store.

use super::{Place, append_all};
use crate::testing::{address, run, succeeded};
use crate::wire::FORMAT;
use crate::{HISTORY_KEPT, code};
use kplan_model::{Journal as _, Timestamp};
use std::fs;

fn one_run(place: &Place, name: &str, at: i64) -> u64 {
    let mut writer = place.writer();
    append_all(&mut writer, &run(&[name])).unwrap();
    let serial = writer.snapshot().serial;
    writer.close("kplan apply", Timestamp(at)).unwrap();
    serial
}

#[test]
fn every_run_that_changed_something_leaves_an_entry() {
    let place = Place::new();
    assert!(place.reader().history().unwrap().is_empty());
    let first = one_run(&place, "a", 5);
    let second = one_run(&place, "b", 6);
    place.writer().close("kplan apply", Timestamp(7)).unwrap();
    let entries = place.reader().history().unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|e| (e.serial, e.at.0, e.command.as_str()))
        .collect();
    assert_eq!(
        seen,
        [(first, 5, "kplan apply"), (second, 6, "kplan apply")]
    );
    assert_ne!(entries[0].digest, entries[1].digest);

    let old = place.reader().at(first).unwrap();
    assert_eq!(old.serial, first);
    assert!(old.resources.contains_key(&address("a")));
    assert!(!old.resources.contains_key(&address("b")));
    assert_eq!(place.reader().at(second).unwrap(), place.state());
    assert_eq!(place.reader().at(99).unwrap_err().code, code::MISSING);
}

#[test]
fn an_entry_of_a_newer_kplan_is_not_called_damaged() {
    let place = Place::new();
    let serial = one_run(&place, "a", 5);
    let path = place.path.join("history").join(format!("{serial}.json"));
    let newer = FORMAT + 1;
    fs::write(
        &path,
        format!("{{\"format\":{newer},\"words\":\"unknown\"}}"),
    )
    .unwrap();
    for refused in [
        place.reader().at(serial).unwrap_err(),
        place.reader().history().unwrap_err(),
        place.reader().verify().unwrap().problems.remove(0),
    ] {
        assert_eq!(refused.code, code::NEWER_FORMAT, "{refused}");
    }
}

#[test]
fn an_old_state_can_be_put_back() {
    let place = Place::new();
    let first = one_run(&place, "a", 5);
    let second = one_run(&place, "b", 6);
    let old = place.reader().at(first).unwrap();
    let mut writer = place.writer();
    writer.replace(old.clone()).unwrap();
    writer.close("kplan state restore", Timestamp(7)).unwrap();
    let now = place.state();
    assert_eq!((now.serial, now.resources), (second + 1, old.resources));
    assert_eq!(place.reader().history().unwrap().len(), 3);
}

#[test]
fn it_survives_the_store_and_notices_changes() {
    let place = Place::new();
    let serial = one_run(&place, "a", 5);
    fs::remove_dir_all(place.file("store")).unwrap();
    drop(place.writer());
    assert_eq!(place.reader().history().unwrap().len(), 1);
    let name = format!("history/{serial}.json");
    let text = String::from_utf8(place.bytes(&name)).unwrap();
    place.put(&name, text.replace("id-a", "id-x").as_bytes());
    assert_eq!(place.reader().at(serial).unwrap_err().code, code::DAMAGED);
}

#[test]
fn the_last_hundred_stay() {
    let place = Place::new();
    let first = one_run(&place, "a", 5);
    let dir = place.file("history");
    let text = fs::read_to_string(dir.join(format!("{first}.json"))).unwrap();
    for serial in 1..=HISTORY_KEPT as u64 {
        let older = text.replace(
            &format!("\"serial\":{first}"),
            &format!("\"serial\":{serial}"),
        );
        fs::write(dir.join(format!("{serial}.json")), older).unwrap();
    }
    let mut writer = place.writer();
    for _ in 0..HISTORY_KEPT {
        writer.append(&[succeeded("b", "1")]).unwrap();
    }
    let newest = writer.snapshot().serial;
    writer.close("kplan apply", Timestamp(6)).unwrap();
    let names = fs::read_dir(&dir).unwrap().count();
    assert_eq!(names, HISTORY_KEPT);
    assert!(dir.join(format!("{newest}.json")).exists());
    assert!(!dir.join("1.json").exists());
}
