//! A run dies, or its store does not answer, at every single call. Afterwards everything
//! acknowledged is there, at most the batch in flight besides, and the next run goes on.

use super::{LINEAGE, Place, append_all};
use crate::code;
use crate::shared::bucket::{Connection, Fault};
use crate::testing::{run, succeeded};
use kplan_model::{Journal as _, JournalEntry, JournalError, Snapshot, StoreError, Timestamp};
use std::sync::Arc;

fn batches() -> Vec<Vec<JournalEntry>> {
    run(&["a", "b", "c"])
}

/// The states after 0, 1, … appends to `before`.
fn states(before: Option<Snapshot>) -> Vec<Snapshot> {
    let mut snapshot =
        before.unwrap_or_else(|| Snapshot::empty(LINEAGE, crate::owner("demo", LINEAGE).unwrap()));
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
fn attempt(place: &Place, connection: &Arc<Connection>) -> (Option<usize>, Option<StoreError>) {
    let mut writer = match place.open(Arc::clone(connection), "apply") {
        Ok(writer) => writer,
        Err(error) => return (None, Some(error)),
    };
    for (acknowledged, batch) in batches().iter().enumerate() {
        if let Err(error) = writer.append(batch) {
            let again = store(writer.append(batch).unwrap_err());
            assert_eq!(again.code, code::POISONED);
            assert_eq!(writer.checkpoint().unwrap_err().code, code::POISONED);
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

fn check(place: &Place, before: Option<Snapshot>, acknowledged: Option<usize>, what: &str) {
    let there_before = before.is_some();
    let states = states(before);
    let state = place
        .read()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    match (&state, acknowledged) {
        (None, None) if !there_before => {}
        (None, _) => panic!("{what}: the state is gone"),
        (Some(state), acknowledged) => {
            let promised = acknowledged.unwrap_or(0);
            let mut allowed = states.iter().skip(promised).take(2);
            assert!(
                allowed.any(|known| known == state),
                "{what}: not the state after {promised} batches"
            );
        }
    }
    place.outlive();
    let mut writer = place.writer();
    assert_eq!(
        writer.snapshot(),
        state.as_ref().unwrap_or(&states[0]),
        "{what}"
    );
    writer.append(&[succeeded("later", "9")]).unwrap();
    let live = writer.snapshot().clone();
    let said = writer.close("kplan apply", Timestamp(0)).unwrap();
    assert!(
        said.iter().all(|one| one.code == code::CREATED),
        "{what}: {said:?}"
    );
    assert_eq!(place.read().unwrap(), Some(live), "{what}");
    assert!(place.reader().verify().unwrap().problems.is_empty());
}

/// Every call of a run in a place that `make` makes goes wrong in every way.
fn at_every_call(make: impl Fn() -> Place) {
    let place = make();
    let whole = place.bucket.connect();
    assert_eq!(attempt(&place, &whole), (Some(batches().len()), None));
    assert!(whole.calls() > 20, "{}", whole.calls());
    for at in 0..whole.calls() {
        for fault in Fault::ALL {
            let place = make();
            let before = place.read().unwrap();
            let (acknowledged, error) = attempt(&place, &place.bucket.faulty(at, fault));
            let what = format!("{fault:?} at call {at}");
            if matches!(fault, Fault::NotSent | Fault::Lost) {
                assert_eq!(
                    (acknowledged, error),
                    (Some(batches().len()), None),
                    "{what}"
                );
            } else if let Some(error) = error {
                assert_eq!(error.code, code::UNREACHABLE, "{what}: {error}");
            }
            check(&place, before, acknowledged, &what);
        }
    }
}

#[test]
fn a_first_run_may_end_at_any_call() {
    at_every_call(Place::new);
}

#[test]
fn a_later_run_may_end_at_any_call() {
    at_every_call(Place::full);
}

#[test]
fn a_run_that_ended_without_a_word_holds_the_lock_until_it_is_too_old() {
    let place = Place::full();
    let connection = place.bucket.connect();
    let mut dead = place.open(Arc::clone(&connection), "apply").unwrap();
    append_all(&mut dead, &batches()).unwrap();
    connection.cut();
    drop(dead);
    let refused = place.open(place.bucket.connect(), "apply").err().unwrap();
    assert_eq!(refused.code, code::LOCKED, "{refused}");
    place.outlive();
    drop(place.writer());
    drop(place.writer());
}
