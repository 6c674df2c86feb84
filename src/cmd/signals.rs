//! Signals: what stops a run, and what releases a shared lock where there is none.

use crate::exit::Exit;
use kplan_engine::Cancel;
use kplan_state::Claim;

/// Once: stop politely. Twice: give up calls in flight. SIGINT, SIGTERM and SIGHUP alike.
pub fn listen(cancel: &Cancel) {
    let cancel = cancel.clone();
    on_signals(move || cancel.press());
}

/// Releases a shared lock when a signal ends a command that holds it and is no run: it changes the
/// record and may wait for somebody's consent. A local lock goes with the process by itself; others
/// would have to wait until a shared one is too old.
pub fn release_on(claim: Option<Claim>) {
    let Some(claim) = claim else { return };
    on_signals(move || {
        claim.release();
        end();
    });
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
