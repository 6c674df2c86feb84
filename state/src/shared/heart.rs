//! The thread that gives signs of life while a run holds the lock.

use super::lease::Lease;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// After a sign of life that failed, the next is tried after this part of the usual time.
const SOONER: u32 = 4;

/// Beats until it is dropped, or the claim is lost.
pub(super) struct Heart(Arc<Stop>);

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    /// Waits; whether it is time to stop.
    fn after(&self, pause: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .told
            .wait_timeout_while(stopped, pause, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Heart {
    /// Starts it. Where the system gives no thread there is no sign of life, and the claim lapses:
    /// the run stops, and nothing is unsafe.
    pub(super) fn start(lease: Arc<Lease>) -> Self {
        let stop = Arc::new(Stop::default());
        let told = Arc::clone(&stop);
        let beating = thread::Builder::new().name("kplan-lease".to_owned());
        // Not joined: it may be waiting for the store, and nothing waits for it.
        drop(beating.spawn(move || {
            let every = lease.beat_every();
            let mut pause = every;
            while !told.after(pause) {
                pause = match lease.beat() {
                    Ok(true) => every,
                    Ok(false) => return,
                    Err(_) => every / SOONER,
                };
            }
        }));
        Self(stop)
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        *self
            .0
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.0.told.notify_all();
    }
}
