//! What a run tells a front end while it goes on: plain data, in the order things happened.

use kplan_model::{Action, Address, Kind, Operated, PlanMode, ProviderError, RemoteId, StepId};
use std::time::Duration;

/// Which step of which resource an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRef {
    /// The step's number.
    pub step: StepId,
    /// The resource.
    pub address: Address,
    /// What is done.
    pub action: Action,
    /// Whether nothing is called and the resource is only waited for.
    pub only_waits: bool,
    /// Which operation is done, where one is.
    pub operation: Option<Operated>,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A run began.
    RunStarted {
        /// What for.
        mode: PlanMode,
        /// How many steps it has.
        steps: usize,
    },
    /// A step that an earlier run left in doubt is being cleared up.
    Recovering {
        /// The resource.
        address: Address,
        /// What was being done.
        action: Action,
    },
    /// It was cleared up.
    Recovered {
        /// The resource.
        address: Address,
        /// What was found, in words.
        outcome: String,
    },
    /// A step began.
    StepStarted {
        /// Which.
        at: StepRef,
        /// The remote id it acts on, where there is one.
        id: Option<RemoteId>,
    },
    /// A step goes on.
    StepProgress {
        /// Which.
        at: StepRef,
        /// Since it began.
        elapsed: Duration,
        /// What it waits for, such as `status is "new"`.
        waiting_for: String,
    },
    /// A call is put off: rate limit, busy resource, or a failure worth trying again after.
    PutOff {
        /// Which.
        at: StepRef,
        /// For how long.
        pause: Duration,
        /// Why.
        why: ProviderError,
    },
    /// A list that tells how what waits gets on was not answered; it is asked again.
    Unanswered {
        /// Of which kind.
        kind: Kind,
        /// How many wait for it.
        waiting: usize,
        /// How often it was asked in vain, since the last answer.
        attempts: u32,
        /// When it is given up.
        gives_up_in: Duration,
        /// Why.
        why: ProviderError,
    },
    /// A step is done and recorded.
    StepDone {
        /// Which.
        at: StepRef,
        /// Since it began.
        elapsed: Duration,
        /// The remote id, where something exists now.
        id: Option<RemoteId>,
    },
    /// A step failed; what exists is recorded.
    StepFailed {
        /// Which.
        at: StepRef,
        /// Since it began.
        elapsed: Duration,
        /// Why.
        error: ProviderError,
    },
    /// A step's outcome is not known; the next run clears it up.
    StepInDoubt {
        /// Which.
        at: StepRef,
        /// Why.
        error: ProviderError,
    },
    /// A step was stopped while it waited: what it made or changed is recorded, and the next run
    /// waits for it.
    StepUnfinished {
        /// Which.
        at: StepRef,
        /// How far it came.
        error: ProviderError,
    },
    /// An interrupt was noticed: nothing new starts.
    Stopping {
        /// Whether calls in flight are given up, too.
        hard: bool,
    },
    /// The run ended.
    RunFinished {
        /// Steps done.
        done: usize,
        /// Steps failed.
        failed: usize,
        /// Steps whose outcome is not known.
        in_doubt: usize,
        /// Steps stopped while they waited.
        unfinished: usize,
        /// Steps not started.
        not_started: usize,
        /// How long it took, in seconds.
        wall_seconds: f64,
        /// How long its longest chain of steps took, in seconds.
        critical_path_seconds: f64,
    },
}
