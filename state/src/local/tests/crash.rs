//! The writer dies, or its disk fails, at every single operation of a run. Afterwards everything
//! acknowledged is there, at most the batch in flight besides, and the next run goes on.

use super::{Place, fixture};
use crate::code;
use crate::local::LocalWriter;
use crate::local::faulty::{Fault, FaultyDisk};
use crate::testing::{run, succeeded};
use crate::wire::{FORMAT, OLDEST};
use crate::{LocalReader, WriteOptions};
use kplan_model::{Journal as _, JournalEntry, JournalError, Snapshot, StoreError, Timestamp};
use std::io::ErrorKind;
use std::sync::Arc;

fn batches() -> Vec<Vec<JournalEntry>> {
    run(&["a", "b"])
}

fn options() -> WriteOptions {
    WriteOptions {
        // A checkpoint after about every second batch.
        checkpoint_bytes: 1_500,
        lineage: Some("00112233445566778899aabbccddeeff".to_owned()),
        ..Place::options()
    }
}

/// The states after 0, 1, … appends.
fn states() -> Vec<Snapshot> {
    let lineage = options().lineage.unwrap();
    let mut snapshot = Snapshot::empty(lineage.clone(), crate::owner("demo", &lineage).unwrap());
    let mut states = vec![snapshot.clone()];
    for batch in batches() {
        for entry in &batch {
            snapshot.apply(entry);
        }
        states.push(snapshot.clone());
    }
    states
}

/// One run. Gives how many appends were acknowledged, and the first error.
fn attempt(place: &Place, disk: &FaultyDisk) -> (Option<usize>, Option<StoreError>) {
    let mut writer = match place.writer_on(Arc::new(disk.clone()), &options()) {
        Ok(writer) => writer,
        Err(error) => return (None, Some(error)),
    };
    for (acknowledged, batch) in batches().iter().enumerate() {
        if let Err(error) = writer.append(batch) {
            assert_poisoned(&mut writer, batch);
            return (Some(acknowledged), Some(store(error)));
        }
    }
    let error = writer.close("kplan apply", Timestamp(0)).err();
    (Some(batches().len()), error)
}

fn store(error: JournalError) -> StoreError {
    match error {
        JournalError::Store(error) => error,
        JournalError::Illegal { .. } => panic!("{error}"),
    }
}

/// After one failed append, none succeeds.
fn assert_poisoned(writer: &mut LocalWriter, batch: &[JournalEntry]) {
    let again = store(writer.append(batch).unwrap_err());
    assert_eq!(again.code, code::POISONED);
    assert_eq!(writer.checkpoint().unwrap_err().code, code::POISONED);
}

fn check(place: &Place, acknowledged: Option<usize>, what: &str) {
    let states = states();
    let (state, _) = place
        .read()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    match (&state, acknowledged) {
        // Creation was cut off: nothing was promised.
        (None, None) => {}
        (None, Some(_)) => panic!("{what}: the state is gone"),
        (Some(state), acknowledged) => {
            // That of the last acknowledged batch, or with the batch in flight.
            let promised = acknowledged.unwrap_or(0);
            let allowed = states.iter().skip(promised).take(2);
            assert!(
                allowed.into_iter().any(|known| known == state),
                "{what}: not the state after {promised} batches"
            );
        }
    }
    if let Some(state) = &state {
        // Whatever the moment, a snapshot that is damaged besides can be rebuilt.
        let whole = place.bytes("snapshot");
        place.put("snapshot", b"damaged");
        let (rebuilt, notices) = place
            .read()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(rebuilt.as_ref(), Some(state), "{what}");
        assert!(notices.iter().any(|notice| notice.code == code::RECOVERED));
        place.put("snapshot", &whole);
    }
    let mut writer = place
        .writer_on(Arc::new(FaultyDisk::default()), &options())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(
        writer.snapshot(),
        state.as_ref().unwrap_or(&states[0]),
        "{what}"
    );
    writer.append(&[succeeded("later", "9")]).unwrap();
    let live = writer.snapshot().clone();
    writer.close("kplan apply", Timestamp(0)).unwrap();
    let (state, notices) = place.read().unwrap();
    assert_eq!(state.unwrap(), live, "{what}");
    assert!(notices.is_empty(), "{what}: {notices:?}");
}

fn operations() -> usize {
    let disk = FaultyDisk::default();
    assert_eq!(attempt(&Place::new(), &disk), (Some(batches().len()), None));
    disk.operations()
}

#[test]
fn dying_at_any_operation_of_a_run_loses_nothing_acknowledged() {
    let operations = operations();
    assert!(operations > 40, "the run makes checkpoints: {operations}");
    for at in 0..operations {
        for fault in [Fault::DieBefore, Fault::DieHalfway, Fault::DieAfter] {
            let place = Place::new();
            let (acknowledged, _) = attempt(&place, &FaultyDisk::at(at, fault));
            check(
                &place,
                acknowledged,
                &format!("{fault:?} at operation {at}"),
            );
        }
    }
}

#[test]
fn a_disk_that_is_full_or_broken_once_loses_nothing_acknowledged() {
    for at in 0..operations() {
        for fault in [
            Fault::Error(ErrorKind::StorageFull),
            Fault::HalfError(ErrorKind::StorageFull),
            Fault::Error(ErrorKind::Other),
        ] {
            let place = Place::new();
            let (acknowledged, error) = attempt(&place, &FaultyDisk::at(at, fault));
            let what = format!("{fault:?} at operation {at}");
            if let Some(error) = error {
                let full = matches!(fault, Fault::Error(kind) | Fault::HalfError(kind)
                    if kind == ErrorKind::StorageFull);
                let expected = if full { code::FULL } else { code::IO };
                assert!(
                    [expected, code::POISONED].contains(&error.code),
                    "{what}: {error}"
                );
            }
            check(&place, acknowledged, &what);
        }
    }
}

#[test]
fn dying_while_recovering_from_damage_loses_nothing() {
    let damaged = || {
        let place = Place::full();
        let expected = place.state();
        place.put("snapshot", b"not a snapshot");
        (place, expected)
    };
    let disk = FaultyDisk::default();
    drop(
        damaged()
            .0
            .writer_on(Arc::new(disk.clone()), &options())
            .unwrap(),
    );
    let operations = disk.operations();
    assert!(operations > 10);
    for at in 0..operations {
        for fault in [Fault::DieBefore, Fault::DieHalfway, Fault::DieAfter] {
            let (place, expected) = damaged();
            let disk = Arc::new(FaultyDisk::at(at, fault));
            drop(place.writer_on(disk, &options()));
            assert_eq!(place.state(), expected, "{fault:?} at {at}");
            assert_eq!(place.writer().snapshot(), &expected, "{fault:?} at {at}");
            let (_, notices) = place.read().unwrap();
            assert!(notices.is_empty(), "{notices:?}");
        }
    }
}

/// The writer dies, or its disk fails, while a state of an older format becomes one of the newest.
#[test]
fn dying_while_carrying_a_state_over_loses_nothing() {
    for format in OLDEST..FORMAT {
        let open = |place: &Place, disk: FaultyDisk| {
            let disk = Arc::new(disk);
            LocalWriter::open_on(disk, &place.path, "demo", &fixture::identity(), &options())
        };
        let read = |place: &Place| {
            let reader = LocalReader::open(&place.path, "demo", Some(&fixture::identity()));
            reader.read().unwrap().snapshot.unwrap()
        };
        let expected = read(&fixture::copied(format));
        let disk = FaultyDisk::default();
        drop(open(&fixture::copied(format), disk.clone()).unwrap());
        let operations = disk.operations();
        assert!(operations > 10, "it is written anew: {operations}");
        for at in 0..operations {
            for fault in [
                Fault::DieBefore,
                Fault::DieHalfway,
                Fault::DieAfter,
                Fault::Error(ErrorKind::StorageFull),
                Fault::HalfError(ErrorKind::StorageFull),
            ] {
                let what = format!("{fault:?} at {at}, from format {format}");
                let place = fixture::copied(format);
                drop(open(&place, FaultyDisk::at(at, fault)));
                assert_eq!(read(&place), expected, "{what}");
                let mut writer = open(&place, FaultyDisk::default()).unwrap();
                assert_eq!(writer.snapshot(), &expected, "{what}");
                writer.append(&[succeeded("later", "9")]).unwrap();
                let live = writer.snapshot().clone();
                drop(writer);
                assert_eq!(read(&place), live, "{what}");
            }
        }
    }
}

#[test]
fn dying_while_cutting_a_torn_tail_loses_nothing() {
    let torn = || {
        let place = Place::full();
        place.tear();
        let expected = place.state();
        (place, expected)
    };
    let disk = FaultyDisk::default();
    drop(
        torn()
            .0
            .writer_on(Arc::new(disk.clone()), &options())
            .unwrap(),
    );
    for at in 0..disk.operations() {
        for fault in [Fault::DieBefore, Fault::DieHalfway, Fault::DieAfter] {
            let (place, expected) = torn();
            drop(place.writer_on(Arc::new(FaultyDisk::at(at, fault)), &options()));
            assert_eq!(place.state(), expected, "{fault:?} at {at}");
            assert_eq!(place.writer().snapshot(), &expected, "{fault:?} at {at}");
        }
    }
}
