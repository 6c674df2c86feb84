//! A state that moves between a folder and a bucket, and back; repair.

use super::Place;
use crate::code;
use crate::identity::Identity;
use crate::local::WriteOptions;
use crate::location::Location;
use crate::migrate::{Migrated, Migration};
use crate::notice::Notice;
use crate::shared::SharedWriter;
use crate::shared::bucket::{Bucket, Connection, Fault};
use crate::shared::repair::repair_in;
use crate::shared::writer::Surroundings;
use crate::testing::{run, succeeded};
use crate::wire::OLDEST;
use crate::wire::framed::{framed, unframed};
use kplan_model::{Journal as _, Snapshot, StoreError, Timestamp};
use std::path::Path;
use std::sync::Arc;

struct Both {
    _dir: tempfile::TempDir,
    folder: Location,
    bucket: Bucket,
    identity: Identity,
}

impl Both {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let dir = dir.unwrap();
        Self {
            folder: Location::Folder(dir.path().join("demo")),
            _dir: dir,
            bucket: Bucket::default(),
            identity: Identity::generate(),
        }
    }

    fn shared(&self) -> Location {
        Location::Shared(self.bucket.connect())
    }

    fn work(&self, at: &Location, name: &str) -> Result<Snapshot, StoreError> {
        let options = WriteOptions::new("kplan apply");
        let mut writer = at.writer("demo", &self.identity, &options)?;
        for batch in run(&[name]) {
            writer.append(&batch).unwrap();
        }
        let live = writer.snapshot().clone();
        writer.close("kplan apply", Timestamp(0))?;
        Ok(live)
    }

    fn state(&self, at: &Location) -> Result<Option<Snapshot>, StoreError> {
        Ok(at.reader("demo", Some(&self.identity)).read()?.snapshot)
    }

    fn migrate(&self, from: &Location, to: &Location) -> Result<Migrated, StoreError> {
        self.migrate_and_tell(from, to, &|_| ())
    }

    fn migrate_and_tell(
        &self,
        from: &Location,
        to: &Location,
        told: &dyn Fn(Vec<Notice>),
    ) -> Result<Migrated, StoreError> {
        Migration {
            cluster: "demo",
            identity: &self.identity,
            options: &WriteOptions::new("kplan state migrate"),
            at: Timestamp(0),
            held: &|_| (),
            told,
        }
        .run((from, &from.name()), (to, &to.name()))
    }
}

#[test]
fn a_state_moves_there_and_back_with_its_history_and_each_old_place_says_where_it_went() {
    let both = Both::new();
    let (folder, shared) = (both.folder.clone(), both.shared());
    let live = both.work(&folder, "a").unwrap();
    let moved = both.migrate(&folder, &shared).unwrap();
    assert_eq!((moved.serial, moved.history), (live.serial, 1));
    assert_eq!(both.state(&shared).unwrap(), Some(live.clone()));
    for refused in [
        both.state(&folder).unwrap_err(),
        both.work(&folder, "b").unwrap_err(),
    ] {
        assert_eq!(refused.code, code::MOVED);
        assert!(refused.message.contains("s3://bucket/demo"), "{refused}");
    }
    let live = both.work(&shared, "b").unwrap();
    let moved = both.migrate(&shared, &folder).unwrap();
    assert_eq!((moved.serial, moved.history), (live.serial, 2));
    assert_eq!(both.state(&folder).unwrap(), Some(live));
    assert_eq!(both.state(&shared).unwrap_err().code, code::MOVED);
    assert_eq!(both.work(&shared, "c").unwrap_err().code, code::MOVED);
    let live = both.work(&folder, "c").unwrap();
    both.migrate(&folder, &shared).unwrap();
    assert_eq!(both.state(&shared).unwrap(), Some(live));
    let verified = shared
        .reader("demo", Some(&both.identity))
        .verify()
        .unwrap();
    assert_eq!((verified.history, verified.problems), (3, vec![]));
}

/// Makes a bucket one that a kplan of the oldest format left: its objects say so.
fn age(bucket: &Bucket) {
    let old = |kind: &str, bytes: &[u8], change: fn(&mut serde_json::Value)| {
        let (_, body) = unframed(kind, bytes).unwrap();
        let mut body: serde_json::Value = serde_json::from_slice(body).unwrap();
        change(&mut body);
        framed(kind, OLDEST, &serde_json::to_vec(&body).unwrap())
    };
    for (key, bytes) in bucket.everything() {
        let older = match key.split('/').next() {
            Some("snapshot") => old("checkpoint", &bytes, |body| {
                body["state"]["format"] = OLDEST.into();
            }),
            Some("state") => old("record", &bytes, |_| ()),
            Some("lock") if key.matches('/').count() == 1 => old("lock", &bytes, |_| ()),
            _ => continue,
        };
        bucket.put(&key, &older);
    }
}

fn said(writer: &mut crate::Writer) -> Vec<&'static str> {
    let notices = writer.take_notices();
    notices.iter().map(|notice| notice.code).collect()
}

#[test]
fn whoever_carries_a_shared_state_over_is_told_once() {
    let both = Both::new();
    let shared = both.shared();
    let live = both.work(&shared, "a").unwrap();
    age(&both.bucket);
    assert_eq!(both.state(&shared).unwrap(), Some(live));
    let options = WriteOptions::new("kplan apply");
    let open = || shared.writer("demo", &both.identity, &options).unwrap();
    let mut writer = open();
    assert_eq!(said(&mut writer), [code::MIGRATED]);
    // What stays behind when its command is declined, or killed, is not of the old format any more.
    drop(writer);
    assert!(said(&mut open()).is_empty());
    age(&both.bucket);
    let repaired = shared.repair("demo", Some(&both.identity), &options);
    let repaired = repaired.unwrap();
    assert_eq!(repaired[0].code, code::MIGRATED);
}

#[test]
fn a_move_carries_over_and_says_so_and_a_state_that_is_away_is_left_as_it_is() {
    let both = Both::new();
    let (folder, shared) = (both.folder.clone(), both.shared());
    both.work(&shared, "a").unwrap();
    age(&both.bucket);
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |notices: Vec<Notice>| {
        told.borrow_mut()
            .extend(notices.iter().map(|notice| notice.code));
    };
    // Another state is in the way: the move fails, and what it found is told all the same.
    let other = Both::new();
    other.work(&other.folder, "z").unwrap();
    let failed = both.migrate_and_tell(&shared, &other.folder, &tell);
    assert!(failed.is_err());
    assert_eq!(told.take(), [code::MIGRATED]);
    age(&both.bucket);
    both.migrate_and_tell(&shared, &folder, &tell).unwrap();
    assert_eq!(told.take()[0], code::MIGRATED);
    age(&both.bucket);
    let before = both.bucket.everything();
    assert_eq!(both.work(&shared, "b").unwrap_err().code, code::MOVED);
    let repair = |place: &Location| {
        let options = WriteOptions::new("kplan state repair");
        let refused = place.repair("demo", Some(&both.identity), &options);
        refused.unwrap_err().code
    };
    assert_eq!(repair(&shared), code::MOVED);
    assert_eq!(both.bucket.everything(), before);
    both.migrate(&folder, &shared).unwrap();
    assert_eq!(repair(&folder), code::MOVED);
}

#[test]
fn doing_it_again_changes_nothing_and_two_ways_are_refused() {
    let both = Both::new();
    let (folder, shared) = (both.folder.clone(), both.shared());
    both.work(&folder, "a").unwrap();
    let first = both.migrate(&folder, &shared).unwrap();
    let again = both.migrate(&folder, &shared).unwrap();
    let counted = |moved: &Migrated| (moved.serial, moved.resources, moved.history);
    assert_eq!(counted(&again), counted(&first));
    // Another folder's state of the same name.
    let other = Both::new();
    other.work(&other.folder, "z").unwrap();
    let refused = Migration {
        cluster: "demo",
        identity: &both.identity,
        options: &WriteOptions::new("kplan state migrate"),
        at: Timestamp(0),
        held: &|_| (),
        told: &|_| (),
    };
    let refused = refused.run((&other.folder, "local"), (&shared, "s3://bucket"));
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, code::WRONG_KEY);
    let nothing = Both::new();
    let refused = nothing.migrate(&nothing.folder, &nothing.shared());
    assert_eq!(refused.unwrap_err().code, code::MISSING);
}

#[test]
fn a_move_that_ends_at_any_call_is_finished_by_the_next() {
    let made = || {
        let both = Both::new();
        both.work(&both.folder.clone(), "a").unwrap();
        let live = both.work(&both.folder.clone(), "b").unwrap();
        (both, live)
    };
    let (both, _) = made();
    let whole = both.bucket.connect();
    both.migrate(&both.folder, &Location::Shared(Arc::clone(&whole) as _))
        .unwrap();
    let calls = whole.calls();
    assert!(calls > 15, "{calls}");
    for at in 0..calls {
        let (both, live) = made();
        let faulty: Arc<Connection> = both.bucket.faulty(at, Fault::LostThenOutage);
        let cut = both.migrate(&both.folder, &Location::Shared(faulty));
        both.bucket.advance(crate::LeaseTimes::STANDARD.takeover);
        let again = both.migrate(&both.folder, &both.shared());
        let again = again.unwrap_or_else(|error| panic!("call {at}: {error} after {cut:?}"));
        assert_eq!(again.history, 2, "call {at}");
        assert_eq!(both.state(&both.shared()).unwrap(), Some(live), "call {at}");
        assert_eq!(both.state(&both.folder).unwrap_err().code, code::MOVED);
    }
}

#[test]
fn repair_leaves_out_what_is_missing_and_says_so() {
    let place = Place::full();
    let surroundings = Surroundings {
        checkpoint_every: 100,
        ..place.surroundings()
    };
    let (store, options) = (place.bucket.connect(), WriteOptions::new("kplan apply"));
    let writer = SharedWriter::open_in(surroundings, store, "demo", &place.identity, &options);
    let mut writer = writer.unwrap();
    for name in ["x", "y"] {
        writer.append(&[succeeded(name, "1")]).unwrap();
    }
    drop(writer);
    let keys = place.bucket.keys();
    let log: Vec<&String> = keys
        .iter()
        .filter(|key| key.starts_with("state/"))
        .collect();
    let (x, options) = (log[log.len() - 2], WriteOptions::new("kplan state repair"));
    let repair = || {
        let store = place.bucket.connect();
        repair_in(
            place.surroundings(),
            store,
            "demo",
            Some(&place.identity),
            &options,
        )
    };
    let damaged = x.clone();
    place.bucket.put(&damaged, b"nonsense");
    assert_eq!(place.read().unwrap_err().code, code::DAMAGED);
    let said = repair().unwrap();
    assert!(
        said.iter().any(|notice| notice.message.contains(&damaged)),
        "{said:?}"
    );
    let state = place.read().unwrap().unwrap();
    let has = |name| state.resources.contains_key(&crate::testing::address(name));
    assert_eq!((has("x"), has("y")), (false, true));
    assert_eq!(repair().unwrap().len(), 1, "nothing left to repair");
}
