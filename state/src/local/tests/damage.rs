//! Torn, truncated, flipped, missing: noticed, repaired or refused, never silently emptied.

use super::{Place, append_all, warnings};
use crate::code;
use crate::local::repair;
use crate::testing::{run, succeeded};
use kplan_model::{Journal as _, Snapshot, Timestamp};
use std::fs;

/// A place whose journal holds a few batches, and the states after 0, 1, … of them.
fn small() -> (Place, Vec<Snapshot>) {
    let place = Place::new();
    let mut writer = place.writer();
    writer.append(&[succeeded("base", "0")]).unwrap();
    writer.checkpoint().unwrap();
    let mut states = vec![writer.snapshot().clone()];
    for batch in run(&["a", "b"]) {
        writer.append(&batch).unwrap();
        states.push(writer.snapshot().clone());
    }
    (place, states)
}

#[test]
fn a_journal_cut_anywhere_gives_a_state_that_was_and_says_so() {
    let (place, states) = small();
    let whole = place.bytes("journal");
    place.mark_at(0);
    let mut seen = 0;
    for length in 0..=whole.len() {
        place.put("journal", &whole[..length]);
        let (state, notices) = place.read_once().unwrap();
        let state = state.unwrap();
        let found = states.iter().rposition(|known| *known == state);
        let found = found.unwrap_or_else(|| panic!("cut at {length}: not a state that was"));
        assert!(found >= seen, "cut at {length}");
        seen = found;
        let at_a_boundary = crate::local::frame::scan(&whole[..length], 0).1
            == crate::local::frame::Tail::Clean
            && length > 0;
        assert_eq!(notices.is_empty(), at_a_boundary, "cut at {length}");
        assert!(warnings(&notices).iter().all(|code| *code == code::TORN));
    }
    assert_eq!(seen, states.len() - 1);
}

#[test]
fn with_the_mark_every_cut_is_refused_by_everybody_and_nothing_is_written() {
    let (place, states) = small();
    let whole = place.bytes("journal");
    for length in 0..whole.len() {
        place.put("journal", &whole[..length]);
        let refused = place.read_once().unwrap_err();
        assert_eq!(refused.code, code::DAMAGED, "cut at {length}");
        assert!(refused.message.contains("was acknowledged"), "{refused}");
    }
    let (frames, _) = crate::local::frame::scan(&whole, 0);
    for length in [0, 5, frames[2].end, whole.len() - 1] {
        place.put("journal", &whole[..length]);
        let before = place.everything();
        assert_eq!(place.try_writer().err().unwrap().code, code::DAMAGED);
        assert!(place.everything() == before, "cut at {length}");
    }
    let notices = repair(&place.path, "demo", None, &Place::options()).unwrap();
    assert!(warnings(&notices).contains(&code::DAMAGED), "{notices:?}");
    let (state, notices) = place.read().unwrap();
    assert!(states.contains(&state.unwrap()));
    assert!(notices.is_empty(), "{notices:?}");
    assert!(place.writer().take_notices().is_empty());
}

#[test]
fn a_writer_cuts_a_torn_tail_keeps_a_copy_and_goes_on() {
    let (place, states) = small();
    let whole = place.bytes("journal");
    place.tear();
    let torn = place.bytes("journal");
    for cut in [whole.len() + 1, torn.len()] {
        let (place, _) = small();
        let whole = place.bytes("journal");
        place.put("journal", &[&whole, &torn[whole.len()..cut]].concat());
        let torn = place.bytes("journal");
        let expected = place.state();
        assert_eq!(expected.resources, states[states.len() - 1].resources);
        let mut writer = place.writer();
        assert_eq!(writer.snapshot(), &expected);
        let notices = writer.take_notices();
        assert!(
            notices.iter().any(|notice| notice.code == code::TORN),
            "{notices:?}"
        );
        writer.append(&[succeeded("after", "9")]).unwrap();
        let live = writer.snapshot().clone();
        drop(writer);
        let (state, notices) = place.read().unwrap();
        assert_eq!(state.unwrap(), live);
        assert!(notices.is_empty());
        let kept = fs::read_dir(place.file("damaged")).unwrap();
        let kept = kept.map(|entry| fs::read(entry.unwrap().path()).unwrap_or_default());
        assert!(kept.into_iter().any(|bytes| bytes == torn));
    }
}

#[test]
fn with_the_mark_a_flipped_bit_in_the_journal_is_refused_wherever_it_is() {
    let (place, _) = small();
    let whole = place.bytes("journal");
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 1 << (index % 8);
        place.put("journal", &bytes);
        let refused = place.read_once().unwrap_err();
        assert_eq!(refused.code, code::DAMAGED, "byte {index}");
        assert!(refused.message.contains("bytes "), "{refused}");
    }
}

#[test]
fn without_it_a_flipped_bit_in_the_journal_is_refused_or_a_torn_tail() {
    let (place, states) = small();
    let whole = place.bytes("journal");
    place.mark_at(0);
    let (frames, _) = crate::local::frame::scan(&whole, 0);
    let last = frames[frames.len() - 2].end;
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 1 << (index % 8);
        place.put("journal", &bytes);
        match place.read_once() {
            Ok((state, notices)) => {
                assert!(index >= last, "byte {index} went unnoticed");
                assert_eq!(state.unwrap(), states[states.len() - 2]);
                assert_eq!(warnings(&notices), [code::TORN]);
            }
            Err(refused) => {
                assert_eq!(refused.code, code::DAMAGED, "byte {index}");
                assert!(refused.message.contains("bytes "), "{refused}");
                assert!(refused.help.unwrap().contains("repair"));
            }
        }
    }
}

#[test]
fn a_writer_refuses_damage_and_writes_nothing() {
    let (place, _) = small();
    let mut bytes = place.bytes("journal");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    place.put("journal", &bytes);
    let before = place.everything();
    assert_eq!(place.try_writer().err().unwrap().code, code::DAMAGED);
    assert_eq!(place.everything(), before);
}

#[test]
fn repair_leaves_out_what_cannot_be_read_and_says_so() {
    let (place, states) = small();
    let whole = place.bytes("journal");
    let (frames, _) = crate::local::frame::scan(&whole, 0);
    for broken in 0..frames.len() - 1 {
        let mut bytes = whole.clone();
        bytes[frames[broken].start] ^= 1;
        place.put("journal", &bytes);
        for identity in [None, Some(&place.identity)] {
            place.put("journal", &bytes);
            let notices = repair(&place.path, "demo", identity, &Place::options()).unwrap();
            assert!(warnings(&notices).contains(&code::DAMAGED), "{notices:?}");
            let (state, notices) = place.read().unwrap();
            let state = state.unwrap();
            assert!(notices.is_empty());
            assert_eq!(state.outputs, states.last().unwrap().outputs);
            if broken == 0 {
                assert_eq!(&state, states.last().unwrap());
            }
        }
        let copies: Vec<_> = fs::read_dir(place.file("damaged")).unwrap().collect();
        assert!(!copies.is_empty());
        let mut writer = place.writer();
        writer.append(&[succeeded("after", "9")]).unwrap();
        drop(writer);
        assert!(place.state().resources.len() > 1);
        restore_small(&place, &whole, &states[0]);
    }
}

/// Makes the place as [`small`] left it.
fn restore_small(place: &Place, journal: &[u8], base: &Snapshot) {
    let older = fs::read_dir(place.file("damaged")).unwrap();
    let mut copies: Vec<_> = older
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("snapshot-")
        })
        .collect();
    copies.sort();
    let first = copies
        .iter()
        .find(|path| {
            place.put("snapshot", &fs::read(path).unwrap());
            place.put("journal", &journal[..0]);
            place.mark_at(0);
            place.state() == *base
        })
        .cloned();
    assert!(first.is_some(), "the first copy was kept");
    place.put("journal", journal);
}

/// The files, without the writer's store: looking into it writes to it.
fn but_the_store(place: &Place) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = place.everything();
    files.retain(|path, _| !path.starts_with(place.file("store")));
    files
}

#[test]
fn nothing_to_repair_is_said_and_nothing_is_done() {
    let place = Place::full();
    let before = but_the_store(&place);
    let notices = repair(&place.path, "demo", None, &Place::options()).unwrap();
    assert!(warnings(&notices).is_empty());
    assert!(but_the_store(&place) == before);
    let nowhere = Place::new();
    let refused = repair(&nowhere.path, "demo", None, &Place::options()).unwrap_err();
    assert_eq!(refused.code, code::MISSING);
    assert!(!nowhere.path.exists());
}

#[test]
fn a_damaged_snapshot_is_rebuilt_from_its_predecessor() {
    let place = Place::full();
    let expected = place.state();
    let whole = place.bytes("snapshot");
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("flipped", {
            let mut bytes = whole.clone();
            bytes[200] ^= 4;
            bytes
        }),
    ] {
        place.put("snapshot", &bytes);
        let (state, notices) = place.read().unwrap();
        assert_eq!(state.unwrap(), expected, "{what}");
        assert_eq!(warnings(&notices), [code::RECOVERED], "{what}");
    }
    fs::remove_file(place.file("snapshot")).unwrap();
    assert_eq!(place.state(), expected, "missing");

    let mut writer = place.writer();
    assert_eq!(writer.snapshot(), &expected);
    writer.append(&[succeeded("after", "9")]).unwrap();
    let live = writer.snapshot().clone();
    writer.close("kplan apply", Timestamp(0)).unwrap();
    let (state, notices) = place.read().unwrap();
    assert_eq!(state.unwrap(), live);
    assert!(notices.is_empty());
    place.put("snapshot", b"");
    assert_eq!(place.state(), live, "the new predecessor is good too");
}

#[test]
fn the_very_first_snapshot_has_a_predecessor_too() {
    let place = Place::new();
    let mut writer = place.writer();
    append_all(&mut writer, &run(&["a"])).unwrap();
    let live = writer.snapshot().clone();
    drop(writer);
    place.put("snapshot", b"kplan snap");
    assert_eq!(place.state(), live);
}

#[test]
fn both_snapshots_damaged_is_an_error_that_names_both() {
    let place = Place::full();
    place.put("snapshot", b"x\n");
    place.put("snapshot.1", b"y\n");
    let refused = place.read().unwrap_err();
    assert_eq!(refused.code, code::DAMAGED);
    assert!(refused.message.contains("snapshot.1"), "{refused}");
    assert!(refused.help.unwrap().contains("history"));
    assert!(place.try_writer().is_err());
}

#[test]
fn missing_files_are_never_taken_for_an_empty_state() {
    for missing in [
        vec!["journal"],
        vec!["snapshot", "journal"],
        vec!["snapshot", "snapshot.1"],
        vec!["snapshot", "snapshot.1", "journal"],
        vec!["snapshot", "snapshot.1", "journal", "journal.1"],
    ] {
        let place = Place::full();
        for name in &missing {
            fs::remove_file(place.file(name)).unwrap();
        }
        let before = place.everything();
        assert_eq!(place.read().unwrap_err().code, code::DAMAGED, "{missing:?}");
        assert_eq!(
            place.try_writer().err().unwrap().code,
            code::DAMAGED,
            "{missing:?}"
        );
        let only_open = crate::WriteOptions {
            create: false,
            ..Place::options()
        };
        let refused =
            crate::LocalWriter::open(&place.path, "demo", &place.identity, &only_open).err();
        assert_eq!(refused.unwrap().code, code::DAMAGED, "{missing:?}");
        assert_eq!(place.everything(), before);
    }
}

#[test]
fn repair_accepts_a_missing_journal_and_says_what_that_means() {
    let place = Place::full();
    fs::remove_file(place.file("journal")).unwrap();
    let notices = repair(&place.path, "demo", None, &Place::options()).unwrap();
    assert!(warnings(&notices).contains(&code::DAMAGED));
    assert_eq!(place.state().resources.len(), 4);
    assert!(place.try_writer().is_ok());
}

#[test]
fn a_journal_record_that_is_missing_or_out_of_order_is_damage() {
    let (place, _) = small();
    let whole = place.bytes("journal");
    let (frames, _) = crate::local::frame::scan(&whole, 0);
    let without_second = [&whole[..frames[1].end], &whole[frames[2].end..]].concat();
    place.put("journal", &without_second);
    let refused = place.read().unwrap_err();
    assert_eq!(refused.code, code::DAMAGED);
    assert!(refused.message.contains("out of order"), "{refused}");
    let without_first = [&whole[..frames[0].end], &whole[frames[1].end..]].concat();
    place.put("journal", &without_first);
    assert_eq!(place.read().unwrap_err().code, code::DAMAGED);
}
