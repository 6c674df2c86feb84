//! `Clock`: the one place the engine learns what time it is, given by the caller.

use kplan_model::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}
