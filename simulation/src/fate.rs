//! What becomes of changing operations where the state is, whether that is a disk or a bucket:
//! counted over all lives, and some of them go wrong.

use crate::net::Net;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What befalls one changing operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteMishap {
    /// There is no room on the disk, until the process is started again, and half of a write is
    /// there; the bucket is busy, once.
    Full,
    /// The operation is done and answered with an error, once.
    Fails,
    /// The process dies before it.
    DieBefore,
    /// The process dies in the middle of it.
    DieHalfway,
    /// The process dies directly after it.
    DieAfter,
}

/// How much of an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing.
    None,
    /// Half of it; of what cannot be done by halves, nothing or all.
    Half,
    /// All of it.
    All,
}

/// Why an operation is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The process is dead.
    Dead,
    /// It went wrong.
    Failed,
    /// There is no room.
    Full,
}

#[derive(Default)]
struct Counted {
    operations: u64,
    mishaps: BTreeMap<u64, WriteMishap>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Fate {
    counted: Arc<Mutex<Counted>>,
    net: Net,
}

impl Fate {
    /// The operations of these numbers go wrong.
    pub fn new(net: Net, mishaps: BTreeMap<u64, WriteMishap>) -> Self {
        let counted = Counted {
            operations: 0,
            mishaps,
        };
        Self {
            counted: Arc::new(Mutex::new(counted)),
            net,
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        self.net.is_dead()
    }

    /// Nothing goes wrong from here on.
    pub fn heal(&self) {
        self.counted().mishaps.clear();
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.counted().operations
    }

    /// What becomes of the next operation.
    pub fn next(&self) -> (Extent, Option<Why>) {
        if self.is_dead() {
            return (Extent::None, Some(Why::Dead));
        }
        let mishap = {
            let mut counted = self.counted();
            let number = counted.operations;
            counted.operations += 1;
            counted.mishaps.get(&number).copied()
        };
        let dies = |extent| {
            self.net.die();
            (extent, Some(Why::Dead))
        };
        match mishap {
            None => (Extent::All, None),
            Some(WriteMishap::Full) => (Extent::Half, Some(Why::Full)),
            Some(WriteMishap::Fails) => (Extent::All, Some(Why::Failed)),
            Some(WriteMishap::DieBefore) => dies(Extent::None),
            Some(WriteMishap::DieHalfway) => dies(Extent::Half),
            Some(WriteMishap::DieAfter) => dies(Extent::All),
        }
    }
}
