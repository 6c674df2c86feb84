//! What the objects say: the newest checkpoint, and the log replayed over it. Used by readers and
//! writers alike; takes no lock and writes nothing.

use super::keys;
use super::objects::Objects;
use super::record::{BodyWire, CheckpointWire, LogWire, Unread, damaged};
use crate::error::{code, error, error_help};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::local::Holder;
use crate::notice::Notice;
use crate::wire::Unreadable;
use crate::wire::batch::{Onto, Unapplied};
use crate::wire::snapshot::Head;
use kplan_model::{Snapshot, StoreError};
use std::thread;
use std::time::Duration;

/// How often a reader looks again when what it saw does not fit together: somebody may be tidying
/// up between its list and its reads. A second look nearly always suffices.
const LOOKS: u32 = 5;
/// Objects asked for at once.
const AT_ONCE: usize = 64;

/// How to load.
pub(super) struct Loading<'a> {
    pub(super) objects: &'a Objects,
    pub(super) cluster: &'a str,
    /// Without one, secrets stay sealed.
    pub(super) identity: Option<&'a Identity>,
    /// Leave out what is damaged or missing instead of refusing (repair).
    pub(super) skip_damage: bool,
    /// The first pause between two looks.
    pub(super) pause: Duration,
}

/// A state as its objects give it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Head,
    pub(super) keyring: Option<Keyring>,
    pub(super) snapshot: Snapshot,
    /// The newest log object.
    pub(super) number: u64,
    /// The newest checkpoint that is good.
    pub(super) checkpoint: u64,
    /// The highest lock whose fence the log has.
    pub(super) lock: u64,
    /// Whose that is, where the fence is newer than the checkpoint.
    pub(super) holder: Option<Holder>,
    pub(super) fences: Vec<u64>,
    pub(super) swept: u64,
    pub(super) moved_to: Option<String>,
    /// The newest format of what it was read from: a kplan that does not know it is refused.
    pub(super) format: u32,
    /// Whether anything had to be left out.
    pub(super) incomplete: bool,
    pub(super) notices: Vec<Notice>,
}

/// What one look found.
enum Found {
    Nothing,
    State(Box<State>),
    /// It does not fit together. Worth another look before believing it.
    Gap(StoreError),
}

impl Loading<'_> {
    /// The state; `None` when there is none. Looks again, a bounded number of times, when somebody
    /// may be tidying up.
    pub(super) fn settled(&self) -> Result<Option<State>, StoreError> {
        let mut pause = self.pause;
        for _ in 1..LOOKS {
            match self.look()? {
                Found::Nothing => return Ok(None),
                Found::State(state) => return Ok(Some(*state)),
                Found::Gap(_) => thread::sleep(pause),
            }
            pause *= 2;
        }
        match self.look()? {
            Found::Nothing => Ok(None),
            Found::State(state) => Ok(Some(*state)),
            Found::Gap(error) => Err(error),
        }
    }

    fn look(&self) -> Result<Found, StoreError> {
        let listed = self.objects.list(keys::SNAPSHOTS, None)?;
        let mut checkpoints: Vec<u64> = listed
            .objects
            .iter()
            .filter_map(|object| keys::number(&object.key, keys::SNAPSHOTS))
            .collect();
        checkpoints.sort_unstable_by(|a, b| b.cmp(a));
        if checkpoints.is_empty() {
            let log = self.objects.list(keys::LOG, None)?;
            return Ok(match log.objects.first() {
                None => Found::Nothing,
                Some(record) => Found::Gap(damaged(
                    &self.objects.at(keys::SNAPSHOTS),
                    &format!("there is no checkpoint, and there is {}", record.key),
                )),
            });
        }
        let mut broken: Option<StoreError> = None;
        for number in checkpoints {
            let key = keys::snapshot(number);
            let Some(bytes) = self.objects.get(&key)? else {
                let gone = damaged(&self.objects.at(&key), "it is gone");
                return Ok(Found::Gap(broken.unwrap_or(gone)));
            };
            match CheckpointWire::parse(&bytes) {
                Ok(wire) => {
                    let mut state = self.open(number, wire)?;
                    if let Some(cause) = broken {
                        state.notices.push(recovered(&cause, number));
                    }
                    return self.replay(state);
                }
                Err(newer @ Unread::Newer(_)) => return Err(newer.at(&self.objects.at(&key))),
                Err(what) => drop(broken.get_or_insert(what.at(&self.objects.at(&key)))),
            }
        }
        Err(broken.unwrap_or_else(|| damaged(&self.objects.name(), "no checkpoint can be read")))
    }

    fn open(&self, number: u64, wire: CheckpointWire) -> Result<State, StoreError> {
        let at = || self.objects.at(&keys::snapshot(number));
        let CheckpointWire {
            lock,
            fences,
            swept,
            moved_to,
            state,
        } = wire;
        let (head, format) = (state.head(), state.format);
        if head.cluster != self.cluster {
            return Err(error_help(
                code::OTHER_CLUSTER,
                format!(
                    "{} is of the cluster `{}`, and the file says `{}`",
                    at(),
                    head.cluster,
                    self.cluster
                ),
                "give the file its name back, or another prefix in `[state] backend`",
            ));
        }
        let keyring = head.unwrap_key(self.identity)?;
        let snapshot = state
            .read(keyring.as_ref())
            .map_err(|Unreadable(what)| damaged(&at(), &what))?;
        Ok(State {
            head,
            keyring,
            snapshot,
            number,
            checkpoint: number,
            lock,
            holder: None,
            fences,
            swept,
            moved_to,
            format,
            incomplete: false,
            notices: Vec::new(),
        })
    }

    /// Applies what the log has behind the checkpoint.
    fn replay(&self, mut state: State) -> Result<Found, StoreError> {
        let after = keys::log(state.checkpoint);
        let listed = self.objects.list(keys::LOG, Some(&after))?;
        let numbers: Vec<u64> = listed
            .objects
            .iter()
            .filter_map(|object| keys::number(&object.key, keys::LOG))
            .filter(|number| *number > state.checkpoint)
            .collect();
        for chunk in numbers.chunks(AT_ONCE) {
            let wanted: Vec<String> = chunk.iter().map(|number| keys::log(*number)).collect();
            let found = self.objects.get_all(&wanted)?;
            for (number, bytes) in chunk.iter().zip(found) {
                if let Some(gap) = self.next(&mut state, *number, bytes)? {
                    return Ok(Found::Gap(gap));
                }
            }
        }
        Ok(Found::State(Box::new(state)))
    }

    /// Applies one object. Gives what does not fit, where another look may show that it does.
    fn next(
        &self,
        state: &mut State,
        number: u64,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<StoreError>, StoreError> {
        let at = self.objects.at(&keys::log(number));
        let missing = number != state.number + 1;
        if missing && !self.skip_damage {
            let first = self.objects.at(&keys::log(state.number + 1));
            return Ok(Some(damaged(
                &first,
                "it is missing, and later ones are there",
            )));
        }
        if missing {
            state.leave_out(&damaged(&at, "records before it are missing"));
        }
        let applied = match bytes {
            None => Err(damaged(&at, "it is gone")),
            Some(bytes) => self.apply(state, number, &at, &bytes),
        };
        match applied {
            Ok(()) => {}
            Err(error) if error.code != code::DAMAGED => return Err(error),
            Err(error) if self.skip_damage => state.leave_out(&error),
            Err(error) => return Ok(Some(error)),
        }
        state.number = number;
        Ok(None)
    }

    fn apply(
        &self,
        state: &mut State,
        number: u64,
        at: &str,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let (format, record) = LogWire::parse_with_format(bytes).map_err(|unread| unread.at(at))?;
        if record.lineage != state.head.lineage || record.cluster != state.head.cluster {
            return Err(error_help(
                code::OTHER_LINEAGE,
                format!(
                    "{at} belongs to another state: its lineage is {}, the checkpoint's is {}",
                    record.lineage, state.head.lineage
                ),
                "objects of two states were mixed: put back those that belong together; nothing \
                 was changed",
            ));
        }
        if record.number != number {
            let what = format!("it says that it is record {}", record.number);
            return Err(damaged(at, &what));
        }
        state.format = state.format.max(format);
        match record.body {
            BodyWire::Fence { holder } => {
                state.fences.push(number);
                if record.lock > state.lock {
                    state.lock = record.lock;
                    state.holder = Some(holder);
                }
            }
            BodyWire::Moved { to } => state.moved_to = Some(to),
            BodyWire::Batch(batch) => {
                // What is put in the place of everything is what a move back does.
                if batch.replaced_by.is_some() {
                    state.moved_to = None;
                }
                let onto = Onto {
                    head: &mut state.head,
                    keyring: &mut state.keyring,
                    snapshot: &mut state.snapshot,
                    identity: self.identity,
                };
                batch.apply(onto).map_err(|why| match why {
                    Unapplied::Unreadable(what) => damaged(at, &what),
                    Unapplied::Refused(error) => error,
                })?;
            }
        }
        Ok(())
    }
}

impl State {
    fn leave_out(&mut self, cause: &StoreError) {
        self.incomplete = true;
        self.notices.push(
            Notice::warning(code::DAMAGED, format!("{cause}; it was left out"))
                .help("what it recorded is not known: compare a plan before you apply"),
        );
    }
}

fn recovered(cause: &StoreError, number: u64) -> Notice {
    Notice::warning(
        code::RECOVERED,
        format!("{cause}; the state was rebuilt from checkpoint {number} and the log"),
    )
    .help("nothing is lost. The next apply writes a good checkpoint")
}

/// There is no state where one is needed.
pub(super) fn missing(objects: &Objects) -> StoreError {
    error_help(
        code::MISSING,
        format!("there is no state in {}", objects.name()),
        "`kplan apply` makes it",
    )
}

/// A state is written with an identity.
pub(super) fn no_identity() -> StoreError {
    error(
        code::NO_IDENTITY,
        "a state is written with an identity, and there is none",
    )
}
