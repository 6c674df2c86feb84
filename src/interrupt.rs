//! Interrupts: SIGINT, SIGTERM and SIGHUP, from the first moment of a command to its last.
//!
//! Until a run begins nothing is changed, so the first signal ends the command wherever it waits:
//! for the cloud, for the lock, at a prompt. From then on the engine decides: once it stops
//! politely, twice it gives up the calls in flight.

use crate::cmd::signals::listen;
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use kplan_engine::Cancel;

/// Hears signals as long as the process lives.
pub struct Interrupts {
    cancel: Cancel,
}

impl Interrupts {
    /// Begins to listen. Must be called inside the runtime.
    pub fn listen() -> Self {
        let cancel = Cancel::new();
        listen(&cancel);
        Self { cancel }
    }

    /// The button that signals press, for the engine.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Does what changes nothing, until the first interrupt.
    pub async fn unless<T>(
        &self,
        what: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.until("interrupted before anything was changed", what)
            .await
    }

    /// [`Self::unless`] in a command that changed something before.
    pub async fn unless_again<T>(
        &self,
        what: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let said = "interrupted while the next plan was made; all that was done is recorded";
        self.until(said, what).await
    }

    /// Does something until the first interrupt, which then says this.
    pub async fn until<T>(
        &self,
        said: &str,
        what: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancel.pressed() => Err(interrupted(said)),
            result = what => result,
        }
    }
}

fn interrupted(said: &str) -> Failure {
    Failure::with(
        Exit::Interrupted,
        Problem::error("cli::interrupted", said).help("run it again when it suits you"),
    )
}

/// Does what blocks a thread (a prompt, a lock) where an interrupt can end the wait for it. The
/// thread is left behind then, and ends with the process.
pub async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(what)
        .await
        .map_err(|_| Problem::error("cli::runtime", "a part of kplan broke off").into())
}
