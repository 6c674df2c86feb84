//! What the files say: the snapshot, and the journal replayed over it. Used by readers and
//! writers alike; takes no lock and writes nothing.

use super::disk::Disk;
use super::files::{JournalFile, Layout, SnapshotFile, open, parse_journal, parse_snapshot, read};
use super::frame::Tail;
use super::mark::{self, Mark};
use crate::error::{code, damaged, error_help};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::notice::Notice;
use crate::wire::batch::{BatchWire, Onto, Unapplied};
use crate::wire::snapshot::{Head, SnapshotWire};
use crate::wire::{FORMAT, Unreadable};
use kplan_model::{Snapshot, StoreError};
use std::path::{Path, PathBuf};

/// No state lives so long: a thousand records a second for a hundred million years. Behind it a
/// count would wrap.
const MOST_RECORDS: u64 = u64::MAX / 4;

/// How to load.
pub(crate) struct Loading<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) layout: &'a Layout,
    pub(crate) cluster: &'a str,
    /// Without one, secrets stay sealed.
    pub(crate) identity: Option<&'a Identity>,
    /// Leave damaged records out instead of refusing (repair).
    pub(crate) skip_damage: bool,
}

/// The journal, as a writer must know it to go on with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JournalEnd {
    /// It ends with the newest batch: append there.
    Whole,
    /// The same behind these bytes; what follows them is no record.
    Torn { keep: usize },
    /// It is whole, or nearly so, in an older format: a new snapshot and a new journal are due, so
    /// that an older kplan is refused by name instead of stumbling over words it does not know.
    Older,
    /// It cannot be continued: a new snapshot and a new journal are due.
    Unfit,
}

/// A state as its files give it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) head: Head,
    pub(crate) keyring: Option<Keyring>,
    pub(crate) snapshot: Snapshot,
    /// The newest batch.
    pub(crate) batch: u64,
    /// The newest batch the file `snapshot` holds; `None` when that file is not good.
    pub(crate) checkpointed: Option<u64>,
    pub(crate) journal: JournalEnd,
    /// The newest format of what it was read from: a kplan that does not know it is refused.
    pub(crate) format: u32,
    pub(crate) journal_length: usize,
    /// The first byte of the journal that is no whole record, where there is one.
    pub(crate) torn_at: Option<usize>,
    pub(crate) notices: Vec<Notice>,
}

/// What loading found.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is no state; a creation that was cut off left at most empty files.
    Nothing,
    State(Box<State>),
    /// The files do not fit together: either a writer is exchanging them at this moment, or
    /// something is lost. Worth another look before believing the error.
    Gap(StoreError),
}

impl Loading<'_> {
    /// Refuses what will be refused anyway (a newer format, another cluster, a wrong identity)
    /// without reading everything; damage is not its business. Says whether anything is there.
    pub(crate) fn peek(&self) -> Result<bool, StoreError> {
        let path = self.layout.snapshot();
        if let Some(file) = open(self.disk, &path)? {
            if let SnapshotFile::Good(wire) = parse_snapshot(&path, file)? {
                let head = wire.head();
                self.refuse_other_cluster(&head)?;
                head.unwrap_key(self.identity)?;
            }
            return Ok(true);
        }
        Ok(self.there(&self.layout.journal())? || self.there(&self.layout.old_snapshot())?)
    }

    /// Reads everything.
    pub(crate) fn load(&self) -> Result<Found, StoreError> {
        let layout = self.layout;
        // In this order: a writer moves the mark last, so what it says is in what is read after
        // it. It replaces the snapshot before the journal, so a reader that is overtaken sees a
        // gap (and looks again), never a state that did not exist.
        let mark = mark::load(self.disk, layout)?;
        let snapshot = open(self.disk, &layout.snapshot())?;
        let journal = read(self.disk, &layout.journal())?;
        let journal = journal
            .map(|bytes| parse_journal(&layout.journal(), &bytes, self.skip_damage))
            .transpose()?;
        let broken = match snapshot {
            Some(file) => match parse_snapshot(&layout.snapshot(), file)? {
                SnapshotFile::Good(wire) => {
                    return self.held_against(&mark, self.by_snapshot(*wire, journal)?);
                }
                SnapshotFile::Damaged(what) => what,
            },
            None => {
                if self.nothing_yet(&mark, journal.as_ref())? {
                    return Ok(Found::Nothing);
                }
                "it is missing".to_owned()
            }
        };
        self.held_against(&mark, self.by_predecessor(&broken, journal)?)
    }

    /// Compares what was found with the mark of the last acknowledged batch.
    fn held_against(&self, mark: &Mark, found: Found) -> Result<Found, StoreError> {
        let Found::State(mut state) = found else {
            return Ok(found);
        };
        match mark.batch_of(&state.head.lineage) {
            Some(acknowledged) if acknowledged > state.batch => {
                let lost = records_lost(self.layout, &state, acknowledged);
                if !self.skip_damage {
                    return Err(lost);
                }
                state
                    .notices
                    .push(Notice::warning(code::DAMAGED, lost.message).help(
                        "what they recorded is not known: run `kplan plan` and compare before \
                         you apply",
                    ));
                state.journal = JournalEnd::Unfit;
            }
            Some(_) => {}
            // A power loss takes back what the mark says, never the mark itself: a state that lost
            // both its mark and the end of its journal was damaged.
            None if state.torn_at.is_some() && !self.skip_damage => {
                let end = "its end is no whole record, and the mark that would tell whether it was \
                           acknowledged cannot be read";
                return Err(damaged(&self.layout.journal(), end));
            }
            None => state.notices.push(unmarked(self.layout, mark)),
        }
        Ok(Found::State(state))
    }

    /// Whether this folder never held a state. Only what a creation writes before the snapshot
    /// may be there; anything else means that a state was here, and that is never taken for an
    /// empty one.
    fn nothing_yet(&self, mark: &Mark, journal: Option<&JournalFile>) -> Result<bool, StoreError> {
        if !matches!(mark, Mark::Missing | Mark::At { batch: 0, .. }) {
            return Ok(false);
        }
        let empty = |journal: &JournalFile| {
            journal.tail == Tail::Clean
                && journal.batches.is_empty()
                && journal.head.as_ref().is_none_or(|head| head.after == 0)
        };
        if !journal.is_none_or(empty) {
            return Ok(false);
        }
        let layout = self.layout;
        let there = |path: PathBuf| self.there(&path);
        if there(layout.old_journal())? || there(layout.history())? || there(layout.store())? {
            return Ok(false);
        }
        let Some(file) = open(self.disk, &layout.old_snapshot())? else {
            return Ok(true);
        };
        Ok(matches!(
            parse_snapshot(&layout.old_snapshot(), file)?,
            SnapshotFile::Good(wire) if wire.batch == 0
        ))
    }

    fn there(&self, path: &Path) -> Result<bool, StoreError> {
        let dir = path.parent().unwrap_or(path);
        let names = self
            .disk
            .list(dir)
            .map_err(|cause| crate::error::io_error("list", dir, &cause))?;
        Ok(path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| names.iter().any(|found| found == name)))
    }

    /// The usual way: snapshot, then journal.
    fn by_snapshot(
        &self,
        wire: SnapshotWire,
        journal: Option<JournalFile>,
    ) -> Result<Found, StoreError> {
        let path = self.layout.snapshot();
        let mut state = self.open(&path, wire)?;
        state.checkpointed = Some(state.batch);
        let Some(journal) = journal else {
            if self.skip_damage {
                state.notices.push(missing_journal(state.batch));
                return Ok(Found::State(Box::new(state)));
            }
            return Ok(Found::Gap(damaged(
                &self.layout.journal(),
                format!(
                    "it is missing; what was done after serial {} stood in it",
                    state.snapshot.serial
                ),
            )));
        };
        let begins = journal.head.as_ref().map(|head| head.after);
        if self.skip_damage && begins.is_some_and(|after| after > state.batch) {
            return self.by_older_snapshot(state, journal);
        }
        self.finish(state, journal)
    }

    /// For a repair: a snapshot that ends before its journal begins, such as a predecessor that
    /// was put in its place. The journal before may lie between them.
    fn by_older_snapshot(
        &self,
        mut state: State,
        journal: JournalFile,
    ) -> Result<Found, StoreError> {
        let old = self.layout.old_journal();
        if let Some(bytes) = read(self.disk, &old)? {
            let file = parse_journal(&old, &bytes, true)?;
            self.replay(&mut state, &old, file)?;
        }
        let what = "the snapshot ends before its journal begins";
        state.notices.push(Notice::warning(
            code::RECOVERED,
            format!("{}: {what}", self.layout.snapshot().display()),
        ));
        let mut found = self.finish(state, journal)?;
        if let Found::State(state) = &mut found {
            state.journal = JournalEnd::Unfit;
        }
        Ok(found)
    }

    /// The way back: the predecessor, its journal, the journal.
    fn by_predecessor(
        &self,
        broken: &str,
        journal: Option<JournalFile>,
    ) -> Result<Found, StoreError> {
        let path = self.layout.old_snapshot();
        let refuse = |also: &str| {
            damaged(
                &self.layout.snapshot(),
                format!("{broken}; its predecessor {} {also}", path.display()),
            )
        };
        let Some(file) = open(self.disk, &path)? else {
            return Ok(Found::Gap(refuse("is missing")));
        };
        let wire = match parse_snapshot(&path, file)? {
            SnapshotFile::Good(wire) => *wire,
            SnapshotFile::Damaged(also) => {
                return Ok(Found::Gap(refuse(&format!("is damaged too: {also}"))));
            }
        };
        let mut state = self.open(&path, wire)?;
        let old = self.layout.old_journal();
        if let Some(bytes) = read(self.disk, &old)? {
            let file = parse_journal(&old, &bytes, self.skip_damage)?;
            // Its end does not matter: if something of it is missing, the journal shows a gap.
            if let Some(gap) = self.replay(&mut state, &old, file)? {
                return Ok(Found::Gap(gap));
            }
        }
        let Some(journal) = journal else {
            return Ok(Found::Gap(refuse(
                "cannot be brought up to date: the journal is missing",
            )));
        };
        let notice = Notice::warning(
            code::RECOVERED,
            format!(
                "{} is damaged ({broken}); the state was rebuilt from {} and the journals",
                self.layout.snapshot().display(),
                path.display()
            ),
        );
        state.notices.push(
            notice.help(
                "nothing is lost; look after this disk. The next apply writes a good snapshot",
            ),
        );
        let mut found = self.finish(state, journal)?;
        if let Found::State(state) = &mut found {
            state.journal = JournalEnd::Unfit;
        }
        Ok(found)
    }

    fn open(&self, path: &Path, wire: SnapshotWire) -> Result<State, StoreError> {
        let head = wire.head();
        self.refuse_other_cluster(&head)?;
        let keyring = head.unwrap_key(self.identity)?;
        let (batch, format) = (wire.batch, wire.format);
        let snapshot = wire
            .read(keyring.as_ref())
            .map_err(|Unreadable(what)| damaged(path, what))?;
        if batch.max(snapshot.serial) > MOST_RECORDS {
            return Err(damaged(path, "it counts more records than there can be"));
        }
        Ok(State {
            head,
            keyring,
            snapshot,
            batch,
            checkpointed: None,
            journal: JournalEnd::Unfit,
            format,
            journal_length: 0,
            torn_at: None,
            notices: Vec::new(),
        })
    }

    fn refuse_other_cluster(&self, head: &Head) -> Result<(), StoreError> {
        if head.cluster == self.cluster {
            return Ok(());
        }
        Err(error_help(
            code::OTHER_CLUSTER,
            format!(
                "{} holds the state of the cluster `{}`, and the file says `{}`",
                self.layout.0.display(),
                head.cluster,
                self.cluster
            ),
            "a cluster cannot be renamed by renaming its file: give the file its name back, or \
             destroy the old cluster first",
        ))
    }

    /// Applies the batches that are newer than the state; gives the gap where there is one.
    fn replay(
        &self,
        state: &mut State,
        path: &Path,
        journal: JournalFile,
    ) -> Result<Option<StoreError>, StoreError> {
        if let Tail::Damaged { at, resume } = journal.tail {
            return Err(damaged(
                path,
                format!("bytes {at} to {resume} are not what was written, and good records follow"),
            ));
        }
        if let Some(head) = &journal.head {
            state.format = state.format.max(head.format);
            if head.lineage != state.head.lineage || head.cluster != state.head.cluster {
                return Err(other_lineage(path, &head.lineage, &state.head.lineage));
            }
            if head.after > state.batch && !self.skip_damage {
                return Ok(Some(gap(path, head.after, state.batch)));
            }
        }
        for (from, to) in &journal.skipped {
            state.notices.push(left_out(path, *from, *to));
        }
        let mut last = journal.head.as_ref().map(|head| head.after);
        let mut holes = false;
        for (at, batch) in journal.batches {
            if last.is_some_and(|last| last.checked_add(1) != Some(batch.batch))
                && !self.skip_damage
            {
                return Err(damaged(
                    path,
                    format!("byte {at}: record {} is out of order", batch.batch),
                ));
            }
            last = Some(batch.batch);
            if batch.batch > state.batch.saturating_add(1) {
                state
                    .notices
                    .push(missing_records(path, state.batch, batch.batch));
                holes = true;
            }
            self.apply(state, path, at, batch)?;
        }
        state.journal_length = journal.length;
        state.torn_at =
            (journal.tail != Tail::Clean || journal.head.is_none()).then_some(journal.good);
        state.journal = match state.torn_at {
            _ if holes || last != Some(state.batch) || !journal.skipped.is_empty() => {
                JournalEnd::Unfit
            }
            _ if journal
                .head
                .as_ref()
                .is_some_and(|head| head.format < FORMAT) =>
            {
                JournalEnd::Older
            }
            None => JournalEnd::Whole,
            Some(keep) => JournalEnd::Torn { keep },
        };
        Ok(None)
    }

    fn apply(
        &self,
        state: &mut State,
        path: &Path,
        at: usize,
        batch: BatchWire,
    ) -> Result<(), StoreError> {
        if batch.batch <= state.batch {
            return Ok(());
        }
        let number = batch.batch;
        if number > MOST_RECORDS {
            let what = format!("byte {at}: record {number} cannot be");
            return Err(damaged(path, what));
        }
        let onto = Onto {
            head: &mut state.head,
            keyring: &mut state.keyring,
            snapshot: &mut state.snapshot,
            identity: self.identity,
        };
        batch.apply(onto).map_err(|why| match why {
            Unapplied::Unreadable(what) => damaged(path, format!("byte {at}: {what}")),
            Unapplied::Refused(error) => error,
        })?;
        state.batch = number;
        Ok(())
    }

    /// Replays the newest journal and gives the state.
    fn finish(&self, mut state: State, journal: JournalFile) -> Result<Found, StoreError> {
        let path = self.layout.journal();
        if let Some(gap) = self.replay(&mut state, &path, journal)? {
            return Ok(Found::Gap(gap));
        }
        if let Some(at) = state.torn_at {
            state.notices.push(torn(&path, at, state.journal_length));
        }
        Ok(Found::State(Box::new(state)))
    }
}

fn other_lineage(path: &Path, theirs: &str, ours: &str) -> StoreError {
    error_help(
        code::OTHER_LINEAGE,
        format!(
            "{} belongs to another state: its lineage is {theirs}, the snapshot's is {ours}",
            path.display()
        ),
        "files of two states were mixed: put back the files that belong together; nothing was \
         changed",
    )
}

fn gap(path: &Path, after: u64, have: u64) -> StoreError {
    damaged(
        path,
        format!("it begins after record {after}, but the snapshot ends with record {have}"),
    )
}

/// Records were acknowledged once, and no file holds them.
fn records_lost(layout: &Layout, state: &State, acknowledged: u64) -> StoreError {
    let what = match state.torn_at {
        Some(at) => format!(
            "bytes {at} to {} are not what was written",
            state.journal_length
        ),
        None => "its end is missing".to_owned(),
    };
    damaged(
        &layout.journal(),
        format!(
            "{what}: it ends with record {}, and record {acknowledged} was acknowledged",
            state.batch
        ),
    )
}

fn unmarked(layout: &Layout, mark: &Mark) -> Notice {
    let what = match mark {
        Mark::Missing => "is missing",
        Mark::Unreadable => "cannot be read",
        Mark::At { .. } => "is that of another state",
    };
    Notice::warning(
        code::UNMARKED,
        format!("{} {what}", layout.mark().display()),
    )
    .help(
        "it says which record was the last; without it nobody can tell whether the journal's end \
         is whole. The next apply makes it anew; compare its plan first",
    )
}

fn torn(path: &Path, good: usize, length: usize) -> Notice {
    let what = if length == 0 {
        "is empty".to_owned()
    } else {
        format!(
            "ends with {} bytes that are no whole record (from byte {good} on); they were left out",
            length - good
        )
    };
    Notice::warning(code::TORN, format!("{} {what}", path.display())).help(
        "a write that was cut off by a crash leaves this behind; it was never acknowledged. If \
         nothing crashed, look after this disk, and compare a plan before you apply",
    )
}

fn left_out(path: &Path, from: usize, to: usize) -> Notice {
    Notice::warning(
        code::DAMAGED,
        format!("{}: bytes {from} to {to} were left out", path.display()),
    )
    .help("what they recorded is not known: run `kplan plan` and compare before you apply")
}

fn missing_records(path: &Path, have: u64, next: u64) -> Notice {
    Notice::warning(
        code::DAMAGED,
        format!(
            "{}: records {} to {} are missing",
            path.display(),
            have + 1,
            next - 1
        ),
    )
    .help("what they recorded is not known: run `kplan plan` and compare before you apply")
}

fn missing_journal(batch: u64) -> Notice {
    Notice::warning(
        code::DAMAGED,
        format!("the journal is missing; the state is that of the snapshot (record {batch})"),
    )
    .help("what was done after it is not known: run `kplan plan` and compare before you apply")
}
