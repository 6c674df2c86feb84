//! Operations: asked whether anything is left to do, run, and asked again, until nothing is.

use super::dispatch::{After, Call, Dispatcher, Message, State};
use super::retry::Next;
use kplan_model::{
    Entry, ErrorKind, JournalEvent, Known, Operated, Operation, OperationEntry, OperationInfo,
    Permit, ProviderError, Readiness, Recorded,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a turn of an operation is waited for before the next: as `kubectl drain` does between
/// evictions that a budget refuses.
const TURN: Duration = Duration::from_secs(5);

impl Dispatcher<'_> {
    fn operated(&self, at: usize) -> Option<(&Recorded, Operated)> {
        Some((self.live(at)?, self.step(at).operation?))
    }

    /// What the journal says of it.
    fn operation_entry(&self, at: usize) -> Option<OperationEntry> {
        let (record, operated) = self.operated(at)?;
        Some(OperationEntry {
            step: self.step(at).id,
            address: record.address.clone(),
            id: record.id.clone(),
            operation: operated.info.name.to_owned(),
            undone: operated.undone,
        })
    }

    /// Writes down that the operation begins: from now on it is on record until it is undone.
    pub(super) fn log_operation(&mut self, at: usize) {
        self.slots[at].started = Some(self.run.clock.now());
        if let Some(entry) = self.operation_entry(at) {
            self.log(JournalEvent::OperationStarted(entry));
        }
    }

    /// One turn. Its beginning is durable.
    pub(super) fn operate(&mut self, at: usize, entry: &Entry, permit: Permit) {
        let Some((record, operated)) = self.operated(at) else {
            let error = ProviderError::new(ErrorKind::Bug, "its record is gone");
            return self.refused(at, error);
        };
        let Some(operation) = entry.operations.get(operated.name()).map(Arc::clone) else {
            let message = format!("nobody knows how to {} it", operated.name());
            return self.refused(at, ProviderError::new(ErrorKind::Bug, message));
        };
        let known = record.known();
        self.flights.push(Box::pin(async move {
            Message::Operated(at, turn(operation.as_ref(), &known, &permit).await)
        }));
    }

    pub(super) fn on_operated(&mut self, at: usize, result: Result<Readiness, ProviderError>) {
        self.release(at);
        match result {
            Ok(Readiness::Ready) => self.operation_succeeded(at),
            Ok(Readiness::Failed(why)) => {
                let error = ProviderError::new(ErrorKind::Failed, why);
                self.failed(at, error.help(self.what_stays(at)));
            }
            Ok(Readiness::Waiting(why)) if self.is_stopping() => {
                let why = format!("interrupted: {why}");
                self.give_up(at, ProviderError::new(ErrorKind::Transient, why));
            }
            Ok(Readiness::Waiting(why)) if self.elapsed(at) >= self.run.options.wait_limit => {
                let minutes = self.run.options.wait_limit.as_secs() / 60;
                let message = format!("it was not done after {minutes} minutes: {why}");
                let error = ProviderError::new(ErrorKind::Failed, message);
                self.failed(at, error.help(self.what_stays(at)));
            }
            Ok(Readiness::Waiting(why)) => self.next_turn(at, why),
            Err(error) => self.on_turn_failed(at, error),
        }
    }

    fn next_turn(&mut self, at: usize, waiting_for: String) {
        let interrupted = format!("interrupted: {waiting_for}");
        self.slots[at].last_error = Some(ProviderError::new(ErrorKind::Transient, interrupted));
        self.tell_progress(at, waiting_for);
        self.slots[at].state = State::Pausing(Call::Change);
        let turn = self.run.options.paced(TURN);
        self.at(Instant::now() + turn, Message::Woke(at));
    }

    fn on_turn_failed(&mut self, at: usize, error: ProviderError) {
        match self.try_again(at, Call::Change, error) {
            None => {}
            Some((Next::Again, error)) => self.give_up(at, error),
            Some((_, error)) => {
                let help = error.help.clone();
                let help = help.unwrap_or_else(|| self.what_stays(at));
                self.failed(at, error.help(help));
            }
        }
    }

    fn operation_succeeded(&mut self, at: usize) {
        if let Some(entry) = self.operation_entry(at) {
            self.log(JournalEvent::OperationSucceeded(entry));
            self.slots[at].state = State::Recording;
            self.then(After::Done(at));
        }
    }

    /// Ends an operation that is not done: it is on record that it was begun.
    pub(super) fn leave_operation(&mut self, at: usize, error: ProviderError) {
        self.left(at, None, error.help(self.what_stays(at)));
    }

    fn what_stays(&self, at: usize) -> String {
        match self.step(at).operation {
            Some(Operated {
                info:
                    OperationInfo {
                        name,
                        undo: Some(undo),
                        ..
                    },
                undone: false,
            }) => format!(
                "the next apply goes on with it, or undoes it ({}) where the file keeps {}; \
                 --skip-operation {name} leaves it out",
                undo.name,
                self.step(at).address,
            ),
            Some(operated) => format!(
                "the next apply goes on with it; --skip-operation {} leaves it out",
                operated.name()
            ),
            None => "the next apply goes on with it".to_owned(),
        }
    }
}

/// Asks, does what can be done, and asks again.
async fn turn(
    operation: &dyn Operation,
    known: &Known,
    permit: &Permit,
) -> Result<Readiness, ProviderError> {
    match operation.done(known).await? {
        Readiness::Waiting(_) => {
            operation.run(known, permit).await?;
            operation.done(known).await
        }
        settled => Ok(settled),
    }
}
