//! Signals: what stops a run, and what releases a shared lock before a run has begun.

use crate::exit::Exit;
use kplan_engine::Cancel;
use kplan_state::Claim;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Once: stop politely. Twice: give up calls in flight. SIGINT, SIGTERM and SIGHUP alike.
pub fn listen(cancel: &Cancel) {
    let cancel = cancel.clone();
    on_signals(move || cancel.press());
}

/// Releases a shared lock when a signal ends the command.
pub fn release_on(claim: Option<Claim>) {
    Waiting::default().release_on(claim);
}

/// A command that holds the lock, and plans, or waits for somebody's consent.
#[derive(Clone, Default)]
pub struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// From now on a signal releases the lock and ends the process. A local lock goes with the
    /// process by itself; others would have to wait until a shared one is too old.
    pub fn release_on(&self, claim: Option<Claim>) {
        let Some(claim) = claim else { return };
        let over = Arc::clone(&self.0);
        on_signals(move || {
            if !over.load(Ordering::SeqCst) {
                claim.release();
                end();
            }
        });
    }

    /// The run begins: it listens itself.
    pub fn over(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[expect(
    clippy::exit,
    reason = "the command may wait for a line of standard input, which nothing else can interrupt; \
              nothing was begun, and the lock is released"
)]
fn end() {
    std::process::exit(i32::from(Exit::Interrupted.code()));
}

fn on_signals(told: impl Fn() + Clone + Send + 'static) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            let Ok(mut stream) = signal(kind) else {
                continue;
            };
            let told = told.clone();
            // Lives as long as the process: a second signal counts, too.
            drop(tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    told();
                }
            }));
        }
    }
    #[cfg(not(unix))]
    drop(told);
}
