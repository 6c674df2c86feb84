//! Opening the writer's store, comparing it with snapshot and journal, and making it agree.

use super::aside;
use super::disk::Disk;
use super::files::Layout;
use super::history;
use super::store::{Rows, Stamp, Store, Verdict};
use crate::error::code;
use crate::notice::Notice;

/// What the store is held against.
pub(crate) struct Truth<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) layout: &'a Layout,
    pub(crate) stamp: &'a Stamp,
    pub(crate) rows: &'a Rows,
}

impl Truth<'_> {
    /// Opens the store and makes it say what snapshot and journal say. `None` when it cannot be
    /// used at all, which a run survives.
    pub(crate) fn open_store(&self, notices: &mut Vec<Notice>) -> Option<Store> {
        let path = self.layout.store();
        let why = match Store::open(&path) {
            Ok(store) => match store.check(self.stamp, self.rows) {
                Verdict::Agrees => return Some(store),
                Verdict::Empty => return self.fill(store, notices),
                Verdict::Behind { batch } => {
                    notices.push(behind(batch, self.stamp.batch));
                    return self.fill(store, notices);
                }
                Verdict::Disagrees(why) => why,
            },
            Err(why) => why,
        };
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
        match Store::open(&path) {
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
