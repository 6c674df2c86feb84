//! What every store keeps, as one function that runs on each of them.

use crate::MemoryStore;
use crate::testing::{address, run, started, succeeded};
use kplan_model::{Journal, JournalEntry, Snapshot, Snapshots};

/// What the suite needs of a store.
pub(crate) trait Store: Journal + Snapshots {}
impl<S: Journal + Snapshots> Store for S {}

/// Runs the suite. `open` opens the store again after it was dropped; `read` reads it as another
/// process would, also while it is open.
pub(crate) fn keeps_the_contract(open: &dyn Fn() -> Box<dyn Store>, read: &dyn Fn() -> Snapshot) {
    let mut store = open();
    let mut expected = store.load().unwrap();
    assert_eq!((expected.serial, expected.resources.len()), (0, 0));
    assert_eq!(read(), expected, "a new state is there for everybody");

    store.append(&[]).unwrap();
    assert_eq!(
        store.load().unwrap(),
        expected,
        "nothing appended, nothing changed"
    );

    for batch in run(&["a", "b"]) {
        append(&mut *store, &mut expected, &batch);
        assert_eq!(
            read(),
            expected,
            "what was acknowledged is seen by everybody"
        );
    }
    drop(store);
    assert_eq!(
        read(),
        expected,
        "a store that was only dropped keeps everything"
    );

    let mut store = open();
    assert_eq!(store.load().unwrap(), expected);
    let before = expected.serial;
    append(
        &mut *store,
        &mut expected,
        &[started("c"), succeeded("c", "1"), succeeded("c", "2")],
    );
    assert_eq!(expected.serial, before + 3, "the serial counts changes");
    assert_eq!(expected.deposed.len(), 1, "the replaced half is remembered");
    append(&mut *store, &mut expected, &[started("d")]);
    drop(store);

    let state = open().load().unwrap();
    assert_eq!(state, expected);
    assert!(
        state.in_doubt.contains_key(&address("d")),
        "a doubt survives"
    );
    assert_eq!(
        (state.lineage, state.owner),
        (expected.lineage, expected.owner)
    );
}

fn append(store: &mut dyn Store, expected: &mut Snapshot, batch: &[JournalEntry]) {
    store.append(batch).unwrap();
    for entry in batch {
        expected.apply(entry);
    }
    assert_eq!(store.load().unwrap(), *expected);
}

#[test]
fn the_memory_store_keeps_it() {
    let store = MemoryStore::new("demo").unwrap();
    keeps_the_contract(&|| Box::new(store.clone()), &|| store.load().unwrap());
    assert!(!store.entries().is_empty());
}

#[test]
fn the_memory_store_fails_when_told_to() {
    let mut store = MemoryStore::new("demo").unwrap();
    store.fail_after(1);
    store.append(&[succeeded("a", "1")]).unwrap();
    assert!(store.append(&[succeeded("b", "1")]).is_err());
    assert_eq!(store.load().unwrap().resources.len(), 1);
    store.recover();
    store.append(&[succeeded("b", "1")]).unwrap();
    assert_eq!(store.load().unwrap().resources.len(), 2);
}
