//! Who may write: two starters, holders that are late, paused or gone.

use super::{Place, append_all};
use crate::code;
use crate::local::WriteOptions;
use crate::shared::{LeaseTimes, SharedWriter};
use crate::testing::{run, started, succeeded};
use kplan_model::{Journal as _, JournalError, StoreError, Timestamp};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

fn refused(error: JournalError) -> StoreError {
    match error {
        JournalError::Store(error) => error,
        JournalError::Illegal { .. } => panic!("{error}"),
    }
}

#[test]
fn the_second_is_told_who_the_first_is_and_gets_the_lock_when_the_first_is_done() {
    let place = Place::new();
    let first = place.open(place.bucket.connect(), "destroy").unwrap();
    place.bucket.advance(Duration::from_secs(12));
    let second = place.open(place.bucket.connect(), "apply").err().unwrap();
    assert_eq!(second.code, code::LOCKED);
    for part in ["`kplan destroy` of ", "last sign of life was 12 s ago"] {
        assert!(second.message.contains(part), "{second}");
    }
    first.close("destroy", Timestamp(0)).unwrap();
    place.open(place.bucket.connect(), "apply").unwrap();
}

#[test]
fn signs_of_life_keep_the_lock_and_their_absence_loses_it() {
    let place = Place::new();
    let times = LeaseTimes::STANDARD;
    let mut first = place.open(place.bucket.connect(), "apply").unwrap();
    for _ in 0..30 {
        place.bucket.advance(times.beat);
        assert!(first.beat());
    }
    let second = place.open(place.bucket.connect(), "apply").err().unwrap();
    assert_eq!(second.code, code::LOCKED);
    // It sleeps, and nobody takes over: others might have, so it stops changing things.
    place.bucket.advance(times.valid);
    let lapsed = refused(first.still_held().unwrap_err());
    assert_eq!(lapsed.code, code::LAPSED, "{lapsed}");
    assert!(!first.beat(), "a lapse is final");
    // What it knows it may still record: nobody was told otherwise.
    first.append(&[succeeded("a", "1")]).unwrap();
    place.bucket.advance(times.takeover);
    drop(place.writer());
}

#[test]
fn a_holder_that_wakes_up_late_is_fenced_and_told_by_whom() {
    let place = Place::full();
    let mut late = place.open(place.bucket.connect(), "apply").unwrap();
    late.append(&[started("x")]).unwrap();
    place.outlive();
    let mut next = place.open(place.bucket.connect(), "destroy").unwrap();
    assert!(
        next.snapshot()
            .in_doubt
            .contains_key(&crate::testing::address("x"))
    );
    next.append(&[succeeded("x", "1")]).unwrap();
    let asked = refused(late.still_held().unwrap_err());
    assert_eq!(asked.code, code::FENCED);
    let fenced = refused(late.append(&[succeeded("x", "2")]).unwrap_err());
    assert_eq!(fenced.code, code::FENCED);
    assert!(fenced.message.contains("`kplan destroy` of "), "{fenced}");
    let again = refused(late.append(&[succeeded("x", "2")]).unwrap_err());
    assert_eq!(again.code, code::POISONED);
    assert_eq!(
        late.close("apply", Timestamp(0)).unwrap_err().code,
        code::POISONED
    );
    let live = next.snapshot().clone();
    next.close("destroy", Timestamp(0)).unwrap();
    assert_eq!(place.read().unwrap(), Some(live));
}

#[test]
fn a_holder_is_fenced_however_much_later_it_wakes_up() {
    let place = Place::full();
    let mut late = place.open(place.bucket.connect(), "apply").unwrap();
    late.append(&[started("x")]).unwrap();
    for _ in 0..20 {
        place.outlive();
        let mut next = place.writer();
        append_all(&mut next, &run(&["y"])).unwrap();
        next.close("apply", Timestamp(0)).unwrap();
    }
    let before = place.read().unwrap();
    let fenced = refused(late.append(&[succeeded("x", "2")]).unwrap_err());
    assert_eq!(fenced.code, code::FENCED);
    drop(late);
    assert_eq!(place.read().unwrap(), before);
    drop(place.writer());
}

#[test]
fn what_a_slow_holder_writes_before_the_fence_counts() {
    let place = Place::full();
    let mut slow = place.open(place.bucket.connect(), "apply").unwrap();
    place.outlive();
    slow.append(&[succeeded("slow", "1")]).unwrap();
    let next = place.writer();
    assert!(
        next.snapshot()
            .resources
            .contains_key(&crate::testing::address("slow"))
    );
}

/// Many threads want the lock of one bucket at once; each that gets it counts a number up by
/// replacing the state. No two hold it at one time, so no count is lost.
#[test]
fn of_those_who_start_at_once_one_writes() {
    let place = Arc::new(Place::new());
    let together = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let (place, together) = (Arc::clone(&place), Arc::clone(&together));
            thread::spawn(move || {
                together.wait();
                let mut options = WriteOptions::new(format!("kplan {number}"));
                options.lock_timeout = Duration::from_mins(5);
                let mut writer = SharedWriter::open_in(
                    place.surroundings(),
                    place.bucket.connect(),
                    "demo",
                    &place.identity,
                    &options,
                )
                .unwrap();
                let before = writer.snapshot().resources.len();
                writer
                    .append(&[succeeded(&format!("n{number}"), "1")])
                    .unwrap();
                assert_eq!(writer.snapshot().resources.len(), before + 1);
                writer.close("apply", Timestamp(0)).unwrap();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(place.read().unwrap().unwrap().resources.len(), 8);
}

#[test]
fn a_run_that_was_late_with_its_lock_takes_another() {
    let place = Place::full();
    // Locks 1 and 2 are removed by now; who was about to take lock 1 all the while gets it, sees
    // the fences of later ones, and starts again.
    assert!(
        !place
            .bucket
            .keys()
            .iter()
            .any(|key| key.contains("lock/0000000000000001"))
    );
    place.bucket.remove("lock/0000000000000003");
    place.bucket.remove("lock/0000000000000003/released");
    for key in place.bucket.keys() {
        if key.starts_with("lock/") {
            place.bucket.remove(&key);
        }
    }
    let mut writer = place.writer();
    writer.append(&[succeeded("z", "1")]).unwrap();
    assert!(
        place
            .bucket
            .keys()
            .iter()
            .any(|key| key == "lock/0000000000000004")
    );
}

#[test]
fn a_told_end_releases_the_lock() {
    let place = Place::new();
    let writer = place.writer();
    let claim = writer.claim();
    claim.release();
    drop(place.writer());
    assert!(writer.still_held().is_err());
}
