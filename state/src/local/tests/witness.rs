//! The writer's store against snapshot and journal: behind, ahead, foreign, broken.

use super::{Place, append_all, warnings};
use crate::code;
use crate::local::store::Store;
use crate::notice::Severity;
use crate::testing::{run, succeeded};
use kplan_model::{Journal as _, Timestamp};
use std::fs;
use std::path::Path;

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn replace_store(place: &Place, with: &Path) {
    fs::remove_dir_all(place.file("store")).unwrap();
    copy_dir(with, &place.file("store"));
}

/// The writer opens with the right state, and a second one finds nothing to say.
fn assert_rebuilt(place: &Place, severity: Severity, what: &str) {
    let expected = place.state();
    let mut writer = place.writer();
    assert_eq!(writer.snapshot(), &expected, "{what}");
    let notices = writer.take_notices();
    let found = notices
        .iter()
        .find(|notice| notice.code == code::STORE_REBUILT);
    assert_eq!(
        found.map(|notice| notice.severity),
        Some(severity),
        "{what}: {notices:?}"
    );
    if severity == Severity::Warning {
        assert!(place.file("damaged/store-1").is_dir(), "{what}");
    }
    writer.append(&[succeeded("after", "9")]).unwrap();
    drop(writer);
    let mut again = place.writer();
    assert!(again.take_notices().is_empty(), "{what}");
}

#[test]
fn a_store_that_is_behind_is_brought_up_to_date() {
    let place = Place::full();
    let kept = tempfile::tempdir().unwrap();
    copy_dir(&place.file("store"), kept.path());
    let mut writer = place.writer();
    append_all(&mut writer, &run(&["g"])).unwrap();
    drop(writer);
    replace_store(&place, kept.path());
    assert_rebuilt(&place, Severity::Info, "behind");
}

/// Appends something of which the store alone tells in the end.
fn lose_an_append(place: &Place) {
    let journal = place.bytes("journal");
    let mut writer = place.writer();
    writer.append(&[succeeded("g", "1")]).unwrap();
    drop(writer);
    place.put("journal", &journal);
    place.mark_at(0);
}

#[test]
fn a_store_that_is_ahead_means_lost_records_until_a_repair() {
    let place = Place::full();
    lose_an_append(&place);
    let refused = place.try_writer().err().unwrap();
    assert_eq!(refused.code, code::DAMAGED);
    assert!(refused.message.contains("records were lost"), "{refused}");
    assert!(refused.help.unwrap().contains("repair"));
    let notices = crate::repair(&place.path, "demo", None, &Place::options()).unwrap();
    assert_eq!(warnings(&notices), [code::DAMAGED]);
    assert!(notices[0].help.as_ref().unwrap().contains("store-1"));
    assert!(warnings(&place.writer().take_notices()).is_empty());
}

/// The store of a kplan of an older format is heard before it is rewritten.
#[test]
fn a_store_of_an_older_format_is_a_witness_and_is_carried_over_quietly() {
    let place = Place::full();
    let older = || Store::open(&place.file("store")).unwrap().pretend_format(1);
    older();
    assert!(warnings(&place.writer().take_notices()).is_empty());
    assert!(!place.file("damaged").exists());
    lose_an_append(&place);
    older();
    let refused = place.try_writer().err().unwrap();
    assert!(refused.message.contains("records were lost"), "{refused}");
    let notices = crate::repair(&place.path, "demo", None, &Place::options()).unwrap();
    assert_eq!(warnings(&notices), [code::DAMAGED]);
}

#[test]
fn a_store_that_is_held_for_a_moment_longer_is_waited_for() {
    let place = Place::full();
    let held = Store::open(&place.file("store")).unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        drop(held);
    });
    let mut writer = place.writer();
    assert!(writer.take_notices().is_empty());
    assert!(!place.file("damaged").exists());
    holder.join().unwrap();
}

#[test]
fn the_store_of_another_state_is_moved_aside() {
    let (place, other) = (Place::full(), Place::full());
    replace_store(&place, &other.file("store"));
    assert_rebuilt(&place, Severity::Warning, "foreign");
}

#[test]
fn a_store_with_other_rows_is_moved_aside() {
    let place = Place::full();
    let journal = place.bytes("journal");
    let mark = place.bytes("mark");
    let kept = tempfile::tempdir().unwrap();
    copy_dir(&place.path, kept.path());
    let mut writer = place.writer();
    writer.append(&[succeeded("g", "1")]).unwrap();
    drop(writer);
    // The same batch with another content.
    fs::remove_dir_all(place.file("store")).unwrap();
    let store = kept.path().join("store");
    copy_dir(&store, &place.file("store"));
    let with_g = place.bytes("journal");
    place.put("journal", &journal);
    place.put("mark", &mark);
    let mut writer = place.writer();
    writer.append(&[succeeded("h", "1")]).unwrap();
    drop(writer);
    place.put("journal", &with_g);
    assert_rebuilt(&place, Severity::Warning, "other rows");
}

#[test]
fn a_store_that_is_gone_or_garbage_is_rebuilt() {
    let place = Place::full();
    let expected = place.state();
    fs::remove_dir_all(place.file("store")).unwrap();
    assert_eq!(place.writer().snapshot(), &expected);

    let place = Place::full();
    let db = place.file("store/db");
    let length = fs::read(&db).unwrap().len();
    fs::write(&db, vec![0xA5; length]).unwrap();
    assert_eq!(place.writer().snapshot(), &expected_of(&place), "garbage");

    let place = Place::full();
    fs::remove_dir_all(place.file("store")).unwrap();
    fs::write(place.file("store"), b"not a folder").unwrap();
    let mut writer = place.writer();
    assert!(!warnings(&writer.take_notices()).is_empty());
    writer.append(&[succeeded("g", "1")]).unwrap();
    writer.close("kplan apply", Timestamp(0)).unwrap();
}

fn expected_of(place: &Place) -> kplan_model::Snapshot {
    place.state()
}
