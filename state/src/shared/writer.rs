//! `SharedWriter`: the one run that changes a shared state.

use super::clock::{self, Clock};
use super::heart::Heart;
use super::keys;
use super::lease::{self, Lease, Wanted, fenced};
use super::load::{Loading, State, missing, no_identity};
use super::objects::{Created, FIRST_PAUSE, Objects};
use super::record::{BodyWire, CheckpointWire, LogWire};
use super::{probe, tidy};
use crate::error::{code, error_help};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::local::{WriteOptions, checkpoint_failed, poisoned};
use crate::location::moved;
use crate::notice::Notice;
use crate::seed::Seed;
use crate::wire::FORMAT;
use crate::wire::batch::BatchWire;
use crate::wire::event::EntryWire;
use crate::wire::snapshot::{Head, SnapshotWire};
use kplan_model::{
    Journal, JournalEntry, JournalError, ObjectStore, Snapshot, Snapshots, StoreError, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;

/// After this many log objects a checkpoint is made in the middle of a run: a reader fetches at
/// most about as many.
const CHECKPOINT_EVERY: u64 = 64;
/// How often a fence is tried while the holder before still writes. Each try that fails means that
/// it wrote one object more, which it may until the fence is there.
const FENCE_TRIES: u32 = 1000;
/// How often the lock is taken anew by a run that was late.
const STARTS: u32 = 10;

/// What a writer needs besides the options: tests have their own clock, no thread and no pauses.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) clock: Clock,
    /// Whether a thread gives signs of life.
    pub(crate) heart: bool,
    /// The first pause between two attempts of a call.
    pub(crate) pause: Duration,
    /// See [`CHECKPOINT_EVERY`].
    pub(crate) checkpoint_every: u64,
}

impl Surroundings {
    pub(crate) fn real() -> Self {
        Self {
            clock: clock::system(),
            heart: true,
            pause: FIRST_PAUSE,
            checkpoint_every: CHECKPOINT_EVERY,
        }
    }
}

/// Releases the lock of a run that is told to end before it can do so itself (a signal while it
/// waits for somebody's consent). Afterwards that run changes nothing more.
#[derive(Clone)]
pub struct Claim(Arc<Lease>);

impl Claim {
    /// Releases it, as far as the store answers.
    pub fn release(&self) {
        self.0.release();
    }
}

/// Writes a shared state. Holds its lock until it is dropped.
pub struct SharedWriter {
    pub(super) objects: Objects,
    pub(super) head: Head,
    pub(super) keyring: Keyring,
    pub(super) snapshot: Snapshot,
    /// The newest log object that is durable.
    pub(super) number: u64,
    /// The newest checkpoint.
    pub(super) checkpointed: u64,
    pub(super) fences: Vec<u64>,
    pub(super) swept: u64,
    pub(super) moved_to: Option<String>,
    checkpoint_every: u64,
    /// Whether this run appended anything.
    dirty: bool,
    poisoned: Option<StoreError>,
    notices: Vec<Notice>,
    lease: Arc<Lease>,
    _heart: Option<Heart>,
}

/// How a run's start went.
enum Start {
    Writer(Box<SharedWriter>),
    /// Somebody who took the lock later was faster: this run's number is worth nothing.
    Late,
}

impl SharedWriter {
    /// Opens the state of `cluster` below the root of `store`, making it when there is none and
    /// the options say so.
    ///
    /// # Errors
    /// Besides those of reading: `state::locked`, `state::missing`, `state::store_unfit`.
    pub fn open(
        store: Arc<dyn ObjectStore>,
        cluster: &str,
        identity: &Identity,
        options: &WriteOptions,
    ) -> Result<Self, StoreError> {
        Self::open_in(Surroundings::real(), store, cluster, identity, options)
    }

    pub(crate) fn open_in(
        surroundings: Surroundings,
        store: Arc<dyn ObjectStore>,
        cluster: &str,
        identity: &Identity,
        options: &WriteOptions,
    ) -> Result<Self, StoreError> {
        let objects = Objects::new(store, surroundings.pause);
        let opening = Opening {
            objects: &objects,
            surroundings: &surroundings,
            cluster,
            identity,
            options,
        };
        // What is refused for good is refused before the lock is touched.
        match opening.load()? {
            Some(state) => match state.moved_to {
                Some(to) if !options.even_moved => return Err(moved(&objects.name(), &to)),
                _ => {}
            },
            None if !options.create => return Err(missing(&objects)),
            None => probe::fit(&objects)?,
        }
        for _ in 0..STARTS {
            if let Start::Writer(writer) = opening.start()? {
                return Ok(*writer);
            }
        }
        Err(error_help(
            code::LOCKED,
            format!("others took over {} each time", objects.name()),
            "this machine is very slow, or many runs want the state at once: run it again",
        ))
    }

    /// The state with everything acknowledged so far.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The state's keys, for fingerprints.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whom the state is encrypted to, `age1…`.
    pub fn recipients(&self) -> &[String] {
        &self.head.key.recipients
    }

    /// What its caller should tell somebody, since the last time this was asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// What releases the lock when this run is told to end.
    pub fn claim(&self) -> Claim {
        Claim(Arc::clone(&self.lease))
    }

    #[cfg(test)]
    pub(crate) fn beat(&self) -> bool {
        self.lease.beat().unwrap()
    }

    /// Where the state went, when it was moved.
    pub fn moved_to(&self) -> Option<&str> {
        self.moved_to.as_deref()
    }

    pub(super) fn wire(&self) -> Result<SnapshotWire, StoreError> {
        SnapshotWire::out(
            Some(&self.keyring),
            &self.head.key,
            self.number,
            &self.snapshot,
        )
    }

    /// Puts a state in the place of this one, sealed by `keyring`, whose wrapped form is in `head`.
    pub(super) fn put_sealed_by(
        &mut self,
        keyring: Keyring,
        next: Snapshot,
        head: Head,
    ) -> Result<(), StoreError> {
        let number = self.number + 1;
        let wire = SnapshotWire::out(Some(&keyring), &head.key, number, &next)?;
        self.log(BodyWire::Batch(BatchWire {
            batch: number,
            entries: Vec::new(),
            replaced_by: Some(Box::new(wire)),
        }))?;
        self.snapshot = next;
        self.head = head;
        self.keyring = keyring;
        self.moved_to = None;
        self.checkpoint_if_due();
        Ok(())
    }

    /// Says that the state is at `to` from now on. Nothing can be written here afterwards but a
    /// state that is moved back.
    pub(crate) fn mark_moved(&mut self, to: &str) -> Result<(), StoreError> {
        self.log(BodyWire::Moved { to: to.to_owned() })?;
        self.moved_to = Some(to.to_owned());
        Ok(())
    }

    /// Makes one log object durable under the next number.
    fn log(&mut self, body: BodyWire) -> Result<(), StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(poisoned(cause));
        }
        let number = self.number + 1;
        let state = (self.head.lineage.as_str(), self.head.cluster.as_str());
        let bytes = LogWire::new(state, number, self.lease.number(), body)?.bytes()?;
        match self.objects.create(&keys::log(number), &bytes) {
            Ok(Created::New) => {}
            Ok(Created::Taken(theirs)) => return Err(self.poison(overtaken(&theirs))),
            // It may be there or not: the next run reads what is.
            Err(error) => return Err(self.poison(error)),
        }
        self.number = number;
        self.dirty = true;
        Ok(())
    }

    fn poison(&mut self, cause: StoreError) -> StoreError {
        self.poisoned = Some(cause.clone());
        cause
    }

    fn checkpoint_if_due(&mut self) {
        if self.number < self.checkpointed + self.checkpoint_every {
            return;
        }
        if let Err(why) = self.checkpoint() {
            self.notices.push(checkpoint_failed(&why));
        }
    }

    /// Writes a checkpoint. Not needed for safety: everything acknowledged is in the log. An error
    /// leaves the state as it was.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(poisoned(cause));
        }
        if self.number == self.checkpointed {
            return Ok(());
        }
        let wire = CheckpointWire {
            lock: self.lease.number(),
            fences: self.fences.clone(),
            swept: self.swept,
            moved_to: self.moved_to.clone(),
            state: self.wire()?,
        };
        // One that is there already is somebody's who read the same log: it says the same.
        self.objects
            .create(&keys::snapshot(self.number), &wire.bytes()?)?;
        self.checkpointed = self.number;
        Ok(())
    }

    /// Ends a run: makes a checkpoint, adds a history entry when something changed, removes what
    /// nobody needs any more, and releases the lock. What cannot be done here is a notice, not an
    /// error: nothing acknowledged depends on it. Dropping a writer without closing it is as safe.
    /// The only error is that an earlier write failed.
    pub fn close(mut self, command: &str, at: Timestamp) -> Result<Vec<Notice>, StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(poisoned(cause));
        }
        let many = self.number >= self.checkpointed + self.checkpoint_every;
        if (self.dirty || many)
            && let Err(why) = self.checkpoint()
        {
            self.notices.push(checkpoint_failed(&why));
        }
        if self.dirty {
            if let Err(why) = tidy::add_history(&self.objects, self.wire()?, command, at) {
                self.notices.push(
                    Notice::warning(
                        code::DEGRADED,
                        format!("this run left no entry in the history: {why}"),
                    )
                    .help("the state itself is written"),
                );
            }
            if let Err(why) = tidy::sweep(&mut self) {
                let what = format!("old objects could not be removed: {why}");
                let notice = Notice::info(code::DEGRADED, what);
                self.notices.push(notice.help("the next run tries again"));
            }
        }
        Ok(self.take_notices())
    }
}

impl Drop for SharedWriter {
    fn drop(&mut self) {
        // Also of a run that failed: others need not wait for it.
        self.lease.release();
    }
}

/// Why somebody else's object stands where this run was to write.
fn overtaken(theirs: &[u8]) -> StoreError {
    match LogWire::parse(theirs).map(|record| record.body) {
        Ok(BodyWire::Fence { holder }) => fenced(Some(&holder)),
        _ => fenced(None),
    }
}

impl Journal for SharedWriter {
    fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        let keys = Some(&self.keyring);
        let wires = entries
            .iter()
            .map(|entry| EntryWire::out(keys, entry))
            .collect::<Result<_, _>>()
            .map_err(JournalError::Store)?;
        let batch = BatchWire {
            batch: self.number + 1,
            entries: wires,
            replaced_by: None,
        };
        self.log(BodyWire::Batch(batch))
            .map_err(JournalError::Store)?;
        for entry in entries {
            self.snapshot.apply(entry);
        }
        self.checkpoint_if_due();
        Ok(())
    }

    fn still_held(&self) -> Result<(), JournalError> {
        if let Some(cause) = &self.poisoned {
            return Err(JournalError::Store(poisoned(cause)));
        }
        if self.lease.is_held() {
            return Ok(());
        }
        Err(JournalError::Store(self.lease.lost()))
    }
}

impl Snapshots for SharedWriter {
    fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.snapshot.clone())
    }
}

/// A run that wants to write.
struct Opening<'a> {
    objects: &'a Objects,
    surroundings: &'a Surroundings,
    cluster: &'a str,
    identity: &'a Identity,
    options: &'a WriteOptions,
}

impl Opening<'_> {
    fn load(&self) -> Result<Option<State>, StoreError> {
        let loading = Loading {
            objects: self.objects,
            cluster: self.cluster,
            identity: Some(self.identity),
            skip_damage: self.options.skip_damage,
            pause: self.surroundings.pause,
        };
        loading.settled()
    }

    /// Takes the lock and fences the log.
    fn start(&self) -> Result<Start, StoreError> {
        let wanted = Wanted {
            holder: &self.options.holder,
            times: self.options.lease,
            timeout: self.options.lock_timeout,
            clock: &self.surroundings.clock,
        };
        let lease = Arc::new(Lease::acquire(self.objects, &wanted)?);
        let heart = self
            .surroundings
            .heart
            .then(|| Heart::start(Arc::clone(&lease)));
        let started = self.fence(&lease, heart);
        if !matches!(started, Ok(Start::Writer(_))) {
            lease.release();
        }
        started
    }

    /// Writes the fence at the first number that is free: what an earlier holder still writes
    /// comes before it, and nothing of it comes after.
    fn fence(&self, lease: &Arc<Lease>, heart: Option<Heart>) -> Result<Start, StoreError> {
        let holder = &self.options.holder;
        for _ in 0..FENCE_TRIES {
            let (state, made) = match self.load()? {
                Some(state) => (state, false),
                None if !self.options.create => return Err(missing(self.objects)),
                None => match self.create()? {
                    Some(state) => (state, true),
                    None => continue,
                },
            };
            if state.lock >= lease.number() {
                return Ok(Start::Late);
            }
            let number = state.number + 1;
            let names = (state.head.lineage.as_str(), state.head.cluster.as_str());
            let body = BodyWire::Fence {
                holder: holder.clone(),
            };
            let record = LogWire::new(names, number, lease.number(), body)?;
            let key = keys::log(number);
            if self.objects.create(&key, &record.bytes()?)? != Created::New {
                continue;
            }
            // Where others have been at work meanwhile, and tidied up behind them, the number was
            // free although it had been used: then there are later ones.
            if !self.objects.list(keys::LOG, Some(&key))?.objects.is_empty() {
                return Ok(Start::Late);
            }
            return self.assemble(state, number, made, lease, heart);
        }
        Err(error_help(
            code::LOCKED,
            format!("an earlier run keeps writing to {}", self.objects.name()),
            "it gave no sign of life and is at work all the same: end it, then run this again",
        ))
    }

    fn assemble(
        &self,
        state: State,
        number: u64,
        made: bool,
        lease: &Arc<Lease>,
        heart: Option<Heart>,
    ) -> Result<Start, StoreError> {
        let keyring = state.keyring.ok_or_else(no_identity)?;
        let mut notices = state.notices;
        if made {
            notices.push(Notice::info(
                code::CREATED,
                format!("a new state was made in {}", self.objects.name()),
            ));
        }
        // The fence is of the newest format.
        if state.format < FORMAT {
            let history = "as it was after each run, it is in the history";
            notices.push(Notice::carried_over(history));
        }
        // Locks before the last one are of no use to anybody now that the fence is there.
        let seen = lease::look(self.objects)?;
        let old = keys::lock(lease.number().saturating_sub(1));
        let useless: Vec<String> = seen.earlier.into_iter().filter(|key| *key < old).collect();
        drop(self.objects.delete(&useless));
        let mut fences = state.fences;
        fences.push(number);
        Ok(Start::Writer(Box::new(SharedWriter {
            objects: self.objects.clone(),
            head: state.head,
            keyring,
            snapshot: state.snapshot,
            number,
            checkpointed: state.checkpoint,
            fences,
            swept: state.swept,
            moved_to: state.moved_to,
            checkpoint_every: self.surroundings.checkpoint_every,
            dirty: false,
            poisoned: None,
            notices,
            lease: Arc::clone(lease),
            _heart: heart,
        })))
    }

    /// Makes a new state; `None` when somebody else did at the same moment.
    fn create(&self) -> Result<Option<State>, StoreError> {
        let fresh = Seed::or_fresh(self.options, self.cluster, self.identity)?;
        let (wire, keyring, snapshot) = fresh.begun(self.identity)?;
        let head = wire.head();
        let checkpoint = CheckpointWire {
            lock: 0,
            fences: Vec::new(),
            swept: 0,
            moved_to: None,
            state: wire,
        };
        let made = self
            .objects
            .create(&keys::snapshot(0), &checkpoint.bytes()?)?;
        if made != Created::New {
            return Ok(None);
        }
        Ok(Some(State {
            head,
            keyring: Some(keyring),
            snapshot,
            number: 0,
            checkpoint: 0,
            lock: 0,
            holder: None,
            fences: Vec::new(),
            swept: 0,
            moved_to: None,
            format: FORMAT,
            incomplete: false,
            notices: Vec::new(),
        }))
    }
}
