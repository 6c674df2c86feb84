//! Opening the writer's store, comparing it with snapshot and journal, and making it agree.

use super::aside;
use super::disk::Disk;
use super::files::Layout;
use super::history;
use super::load::State;
use super::store::{Rows, Stamp, Store, Verdict, rows};
use crate::error::{code, damaged, io_error};
use crate::notice::Notice;
use kplan_model::StoreError;

/// What the store is held against.
struct Truth<'a> {
    disk: &'a dyn Disk,
    layout: &'a Layout,
    stamp: &'a Stamp,
    rows: &'a Rows,
}

impl Truth<'_> {
    /// Opens the store and makes it say what snapshot and journal say. `None` when it cannot be
    /// used at all, which a run survives.
    ///
    /// # Errors
    /// `state::damaged` when the store knows records that snapshot and journal have lost.
    fn open_store(&self, notices: &mut Vec<Notice>) -> Result<Option<Store>, StoreError> {
        let path = self.layout.store();
        let why = match Store::open(&path) {
            Ok(store) => match store.check(self.stamp, self.rows) {
                Verdict::Agrees => return Ok(Some(store)),
                Verdict::Empty | Verdict::Older => return Ok(self.fill(store, notices)),
                Verdict::Behind { batch } => {
                    notices.push(behind(batch, self.stamp.batch));
                    return Ok(self.fill(store, notices));
                }
                Verdict::Ahead(why) => return Err(damaged(&self.layout.0, why)),
                Verdict::Disagrees(why) => why,
            },
            Err(why) => why,
        };
        Ok(self.make_anew(&why, notices))
    }

    fn make_anew(&self, why: &str, notices: &mut Vec<Notice>) -> Option<Store> {
        match aside::move_store(self.disk, self.layout) {
            Ok(kept) => notices.push(
                Notice::warning(
                    code::STORE_REBUILT,
                    format!("the store could not be used: {why}; it was rebuilt"),
                )
                .help(format!("the old one is kept as {}", kept.display())),
            ),
            Err(cause) => {
                notices.push(store_failed(&format!("{why}; {cause}")));
                return None;
            }
        }
        match Store::open(&self.layout.store()) {
            Ok(store) => self.fill(store, notices),
            Err(why) => {
                notices.push(store_failed(&why));
                None
            }
        }
    }

    fn fill(&self, store: Store, notices: &mut Vec<Notice>) -> Option<Store> {
        let entries = || history::list(self.disk, self.layout, &self.stamp.lineage);
        let filled = store.rewrite(self.stamp, self.rows).and_then(|()| {
            let entries = entries().map_err(|cause| cause.message)?;
            entries.iter().try_for_each(|entry| store.index(entry))?;
            store.flush()
        });
        match filled {
            Ok(()) => Some(store),
            Err(why) => {
                notices.push(store_failed(&why));
                None
            }
        }
    }
}

/// The store of this state, held against what was loaded. Before anything is written.
pub(crate) fn consult(
    disk: &dyn Disk,
    layout: &Layout,
    state: &mut State,
) -> Result<Option<Store>, StoreError> {
    if !disk.holds_store() {
        return Ok(None);
    }
    let stamp = Stamp::new(&state.head.key, state.batch, &state.snapshot);
    let rows = rows(state.keyring.as_ref(), &state.snapshot)?;
    let truth = Truth {
        disk,
        layout,
        stamp: &stamp,
        rows: &rows,
    };
    truth.open_store(&mut state.notices)
}

/// For a repair: a store that knows records which are lost gives way, and what it knew is said.
pub(crate) fn put_aside_if_ahead(
    disk: &dyn Disk,
    layout: &Layout,
    state: &State,
) -> Result<Option<Notice>, StoreError> {
    let names = disk
        .list(&layout.0)
        .map_err(|cause| io_error("list", &layout.0, &cause))?;
    if !names.iter().any(|name| name == "store") {
        return Ok(None);
    }
    let stamp = Stamp::new(&state.head.key, state.batch, &state.snapshot);
    let verdict = Store::open(&layout.store()).map(|store| store.check(&stamp, &Rows::new()));
    let Ok(Verdict::Ahead(why)) = verdict else {
        return Ok(None);
    };
    let kept = aside::move_store(disk, layout)?;
    let notice = Notice::warning(code::DAMAGED, why);
    Ok(Some(notice.help(format!(
        "what they recorded is not known: run `kplan plan` and compare before you apply. The \
         store is kept as {}",
        kept.display()
    ))))
}

fn behind(from: u64, to: u64) -> Notice {
    Notice::info(
        code::STORE_REBUILT,
        format!(
            "the last run was cut off; the store was brought from record {from} to {to} by the \
             journal"
        ),
    )
}

/// The store gave up.
pub(crate) fn store_failed(why: &str) -> Notice {
    Notice::warning(
        code::DEGRADED,
        format!("the store does not work ({why}); the run goes on without it"),
    )
    .help("nothing is lost: snapshot and journal hold everything")
}
