//! What was appended is what is read: live, replayed, after checkpoints, by others, without the
//! identity; and no secret is in any file.

use super::{Place, append_all, warnings};
use crate::local::{LocalReader, LocalWriter, WriteOptions};
use crate::testing::{CANARY, any_entry, run, sample, started, succeeded};
use crate::{Identity, contract};
use kplan_model::{Journal as _, Snapshot, Snapshots as _, Timestamp, Value};
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn holds_canary(bytes: &[u8]) -> bool {
    bytes
        .windows(CANARY.len())
        .any(|window| window == CANARY.as_bytes())
}

fn assert_no_secret(place: &Place) {
    for (path, bytes) in place.everything() {
        assert!(!holds_canary(&bytes), "{} holds a secret", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_replayed_is_what_was_live(
        batches in prop::collection::vec(prop::collection::vec(any_entry(), 1..4), 1..8),
        checkpoint_after in 0..8_usize,
        close in any::<bool>(),
    ) {
        let place = Place::new();
        let mut writer = place.writer();
        for (number, batch) in batches.iter().enumerate() {
            writer.append(batch).unwrap();
            if number == checkpoint_after {
                writer.checkpoint().unwrap();
            }
            prop_assert_eq!(&place.state(), writer.snapshot());
        }
        let live = writer.snapshot().clone();
        if close {
            let notices = writer.close("kplan apply", Timestamp(1)).unwrap();
            prop_assert_eq!(warnings(&notices), Vec::<&str>::new());
        } else {
            drop(writer);
        }
        prop_assert_eq!(&place.state(), &live);
        let mut again = place.writer();
        prop_assert_eq!(again.snapshot(), &live);
        prop_assert_eq!(warnings(&again.take_notices()), Vec::<&str>::new());
        drop(again);
        assert_no_secret(&place);
    }
}

#[test]
fn keeps_the_contract() {
    let place = Place::new();
    contract::keeps_the_contract(&|| Box::new(place.writer()), &|| place.state());
}

#[test]
fn a_full_place_has_every_file_and_no_secret_in_any() {
    let place = Place::full();
    for name in ["snapshot", "snapshot.1", "journal", "journal.1", "lock"] {
        assert!(place.file(name).is_file(), "{name}");
    }
    assert!(place.file("store").is_dir() && place.file("history").is_dir());
    assert_no_secret(&place);
    // The search itself works: what is not secret is found, in the store's own files too.
    let in_store = place.everything().into_iter().any(|(path, bytes)| {
        path.starts_with(place.file("store")) && bytes.windows(4).any(|window| window == b"id-a")
    });
    assert!(in_store);
    assert!(holds_canary(format!("x{CANARY}y").as_bytes()));
    let text = String::from_utf8(place.bytes("snapshot")).unwrap();
    assert!(text.contains("kp1:") && text.contains("vpc.a"));
}

#[test]
fn a_state_replayed_from_the_journal_is_the_same_bytes_as_one_from_the_snapshot() {
    let place = Place::full();
    let before = place.state();
    place.writer().checkpoint().unwrap();
    let first = place.bytes("snapshot");
    assert_eq!(place.state(), before);
    let mut writer = place.writer();
    writer.append(&run(&[])[0]).unwrap();
    writer.checkpoint().unwrap();
    drop(writer);
    let body = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text[text.find("\"resources\"").unwrap()..].to_owned()
    };
    assert_eq!(body(&first), body(&place.bytes("snapshot")));
}

#[test]
fn without_the_identity_everything_but_secrets_is_read() {
    let place = Place::full();
    let loaded = LocalReader::open(&place.path, "demo", None).read().unwrap();
    let sealed = loaded.snapshot.unwrap();
    let open = place.state();
    assert_eq!(sealed.serial, open.serial);
    assert!(loaded.keyring.is_none());
    let Value::Secret(secret) = &sealed.resources[&crate::testing::address("a")].args["key"] else {
        panic!("not a secret");
    };
    assert!(secret.expose().is_none() && secret.sealed_token().unwrap().starts_with("kp1:"));
    let with = place.reader().read().unwrap();
    assert_eq!(with.recipients, place.identity.recipients());
    let keys = with.keyring.unwrap();
    assert_eq!(keys.fingerprint(secret), None);
}

#[test]
fn a_reader_creates_nothing_and_reads_what_cannot_be_written() {
    let nowhere = Place::new();
    assert_eq!(nowhere.read().unwrap().0, None);
    assert!(!nowhere.path.exists());
    assert_eq!(
        nowhere.reader().load().unwrap_err().code,
        crate::code::MISSING
    );

    let place = Place::full();
    let before = place.everything();
    let set = |mode: u32| {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            for path in before.keys() {
                let mode = std::fs::Permissions::from_mode(mode & 0o666);
                std::fs::set_permissions(path, mode).unwrap();
            }
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&place.path, mode).unwrap();
        }
    };
    set(0o555);
    let read = place.read();
    let history = place.reader().history();
    set(0o755);
    assert!(read.unwrap().0.is_some());
    assert_eq!(history.unwrap().len(), 2);
    assert_eq!(place.everything(), before);
}

#[test]
fn a_reader_beside_a_writer_sees_only_states_that_were() {
    let place = Place::new();
    let options = WriteOptions {
        checkpoint_bytes: 3_000,
        ..Place::options()
    };
    let mut writer = LocalWriter::open(&place.path, "demo", &place.identity, &options).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut last, mut looks) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                let state = place.state();
                assert!(state.serial >= last, "{} after {last}", state.serial);
                last = state.serial;
                looks += 1;
            }
            looks
        });
        for _ in 0..40 {
            append_all(&mut writer, &run(&["a", "b"])).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reading.join().unwrap() > 0);
    });
    assert_eq!(&place.state(), writer.snapshot());
}

#[test]
fn a_checkpoint_in_the_middle_of_a_run_loses_nothing_and_keeps_the_journal_short() {
    let place = Place::new();
    let options = WriteOptions {
        checkpoint_bytes: 2_000,
        ..Place::options()
    };
    let mut writer = LocalWriter::open(&place.path, "demo", &place.identity, &options).unwrap();
    for _ in 0..20 {
        writer.append(&[started("a")]).unwrap();
        writer.append(&[succeeded("a", "id")]).unwrap();
        assert!(place.bytes("journal").len() < 4_000);
    }
    assert_eq!(writer.take_notices().len(), 1, "only that it was created");
    let live = writer.snapshot().clone();
    drop(writer);
    assert_eq!(place.state(), live);
}

#[test]
fn state_surgery_is_one_durable_step() {
    let place = Place::full();
    let mut writer = place.writer();
    let (lineage, serial) = (writer.snapshot().lineage.clone(), writer.snapshot().serial);
    let mut next = writer.snapshot().clone();
    next.resources.clear();
    writer.replace(next).unwrap();
    let live = writer.snapshot().clone();
    assert_eq!((live.serial, live.resources.len()), (serial + 1, 0));
    drop(writer);
    assert_eq!(place.state(), live);
    let mut writer = place.writer();
    assert_eq!(warnings(&writer.take_notices()), Vec::<&str>::new());
    writer.append(&[succeeded("z", "1")]).unwrap();
    let foreign = sample();
    assert_ne!(foreign.lineage, lineage);
    let refused = writer.replace(foreign).unwrap_err();
    assert_eq!(refused.code, crate::code::OTHER_LINEAGE);
    writer.close("kplan state rm", Timestamp(0)).unwrap();
    assert_eq!(place.state().resources.len(), 1);
}

#[test]
fn a_second_recipient_reads_everything_from_then_on() {
    let place = Place::full();
    let other = Identity::generate();
    let mut writer = place.writer();
    let serial = writer.snapshot().serial;
    writer.add_recipient(&other.recipients()[0]).unwrap();
    writer.add_recipient(&other.recipients()[0]).unwrap();
    assert_eq!(writer.recipients().len(), 2);
    assert!(writer.add_recipient("age1nonsense").is_err());
    writer.close("kplan state", Timestamp(0)).unwrap();
    let theirs = LocalReader::open(&place.path, "demo", Some(&other));
    let (ours, theirs) = (place.state(), theirs.load().unwrap());
    assert_eq!(ours, theirs);
    assert_eq!(ours.serial, serial, "plans made before stay good");
}

#[test]
fn the_lineage_a_plan_was_made_with_becomes_the_states() {
    let place = Place::new();
    let lineage = crate::new_lineage().unwrap();
    let options = WriteOptions {
        lineage: Some(lineage.clone()),
        ..Place::options()
    };
    let writer = LocalWriter::open(&place.path, "demo", &place.identity, &options).unwrap();
    assert_eq!(
        writer.snapshot(),
        &Snapshot::empty(lineage.clone(), crate::owner("demo", &lineage).unwrap(),)
    );
}
