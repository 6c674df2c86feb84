//! Objects that were changed or removed by somebody else: noticed, never taken for an empty state.

use super::Place;
use crate::code;
use crate::testing::succeeded;
use kplan_model::{Journal as _, Timestamp};

/// A place whose log goes on behind its newest checkpoint.
fn place() -> Place {
    let place = Place::full();
    let mut writer = place.writer();
    writer.append(&[succeeded("x", "1")]).unwrap();
    drop(writer);
    place
}

fn newest(place: &Place, prefix: &str) -> String {
    let keys = place.bucket.keys();
    let of_it = keys.iter().filter(|key| key.starts_with(prefix));
    of_it.max().unwrap().clone()
}

#[test]
fn a_damaged_checkpoint_is_rebuilt_from_its_predecessor() {
    let place = place();
    let whole = place.read().unwrap();
    let key = newest(&place, "snapshot/");
    place
        .bucket
        .put(&key, b"kplan checkpoint format=1 nonsense");
    let read = place.reader().read().unwrap();
    assert_eq!(read.snapshot, whole);
    assert!(
        read.notices
            .iter()
            .any(|notice| notice.code == code::RECOVERED)
    );
    let mut writer = place.writer();
    assert_eq!(Some(writer.snapshot().clone()), whole);
    writer.append(&[succeeded("y", "1")]).unwrap();
    writer.close("apply", Timestamp(0)).unwrap();
    assert!(place.reader().read().unwrap().notices.is_empty());
}

#[test]
fn any_object_that_is_missing_or_changed_is_noticed() {
    let whole = place().read().unwrap().unwrap();
    let template = place();
    for key in template.bucket.keys() {
        if key.starts_with("lock/") || key.starts_with("history/") {
            continue;
        }
        for change in ["gone", "cut", "flipped", "empty"] {
            let place = place();
            let bytes = place.bucket.everything()[&key].clone();
            match change {
                "gone" => place.bucket.remove(&key),
                "cut" => place.bucket.put(&key, &bytes[..bytes.len() / 2]),
                "flipped" => {
                    let mut bytes = bytes;
                    let at = bytes.len() * 2 / 3;
                    bytes[at] ^= 1;
                    place.bucket.put(&key, &bytes);
                }
                _ => place.bucket.put(&key, b""),
            }
            match place.read() {
                // It was needless, or has a predecessor; the last of the log has no successor that
                // would show that it is missing.
                Ok(Some(state)) => assert!(
                    state.serial == whole.serial
                        || (change == "gone" && state.serial + 1 == whole.serial),
                    "{key} {change}"
                ),
                Ok(None) => panic!("{key} {change}: taken for an empty state"),
                Err(error) => assert_eq!(error.code, code::DAMAGED, "{key} {change}: {error}"),
            }
        }
    }
}

#[test]
fn a_log_without_any_checkpoint_is_no_empty_state() {
    let place = place();
    for key in place.bucket.keys() {
        if key.starts_with("snapshot/") {
            place.bucket.remove(&key);
        }
    }
    assert_eq!(place.read().unwrap_err().code, code::DAMAGED);
    let refused = place.open(place.bucket.connect(), "apply").err().unwrap();
    assert_eq!(refused.code, code::DAMAGED);
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let place = place();
    let key = newest(&place, "snapshot/");
    let newer = crate::wire::framed::framed("checkpoint", crate::FORMAT + 1, b"{}");
    place.bucket.put(&key, &newer);
    assert_eq!(place.read().unwrap_err().code, code::NEWER_FORMAT);
}
