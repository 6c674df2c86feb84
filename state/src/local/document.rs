//! A whole state as one JSON document (`state pull`, `state push`), and the check of everything in
//! a folder (`state verify`).

use super::history::{self};
use super::load::State;
use super::reader::{LocalReader, missing};
use crate::error::{code, damaged, error, error_help};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::local::WriteOptions;
use crate::seed::Seed;
use crate::wire::snapshot::SnapshotWire;
use crate::wire::{Unreadable, WrongFormat, check};
use kplan_model::{Snapshot, StoreError};
use serde::{Deserialize, Serialize};

/// The version of the document around the state.
const DOCUMENT_VERSION: &str = "1.0";

/// A state as one document. Secrets are sealed in it as they are in the folder: only the state's
/// recipients can read them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    format_version: String,
    state: SnapshotWire,
}

/// What `format` a document says before the rest of it is believed.
#[derive(Deserialize)]
struct Peek {
    state: PeekState,
}

#[derive(Deserialize)]
struct PeekState {
    format: u32,
}

impl Document {
    /// Reads one.
    ///
    /// # Errors
    /// `state::newer_format` for one that a newer kplan wrote, `state::damaged` for anything else
    /// that is none.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let broken = |cause: serde_json::Error| {
            error_help(
                code::DAMAGED,
                format!("this is no document of a state: {cause}"),
                "give what `kplan state pull` printed, unchanged",
            )
        };
        let peek: Peek = serde_json::from_str(text).map_err(broken)?;
        match check(peek.state.format) {
            Ok(()) => {}
            Err(WrongFormat::Newer(format)) => {
                return Err(error_help(
                    code::NEWER_FORMAT,
                    format!("a newer kplan wrote this document (format {format})"),
                    "use that kplan",
                ));
            }
            Err(WrongFormat::Never(format)) => {
                return Err(error_help(
                    code::DAMAGED,
                    format!("this is no document of a state: there never was a format {format}"),
                    "give what `kplan state pull` printed, unchanged",
                ));
            }
        }
        serde_json::from_str(text).map_err(broken)
    }

    pub(crate) fn of(state: SnapshotWire) -> Self {
        Self {
            format_version: DOCUMENT_VERSION.to_owned(),
            state,
        }
    }

    /// As JSON, one line.
    ///
    /// # Errors
    /// `state::unstorable`, which does not happen to a document that was read.
    pub fn to_json(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|cause| error(code::UNSTORABLE, cause.to_string()))
    }

    /// The serial of the state in it.
    pub fn serial(&self) -> u64 {
        self.state.serial
    }

    /// Who can read the state in it, `age1…`.
    pub fn recipients(&self) -> &[String] {
        &self.state.key.recipients
    }

    /// The lineage of the state in it.
    pub fn lineage(&self) -> &str {
        &self.state.lineage
    }

    /// Whether it may take the place of a state: one of another never, an older one only when
    /// forced.
    ///
    /// # Errors
    /// `state::other_lineage`, `state::older`.
    pub fn fits(&self, now: &Snapshot, force: bool) -> Result<(), StoreError> {
        let SnapshotWire {
            lineage,
            cluster,
            serial,
            ..
        } = &self.state;
        if *lineage != now.lineage || *cluster != now.owner.cluster {
            return Err(error_help(
                code::OTHER_LINEAGE,
                format!("the document is of another state: cluster {cluster}, lineage {lineage}"),
                "what one state knows is not true of another; nothing was changed",
            ));
        }
        if *serial < now.serial && !force {
            return Err(error_help(
                code::OLDER,
                format!(
                    "the document is older than the state: serial {serial}, and the state has {}",
                    now.serial
                ),
                "what was applied since would be forgotten; --force does it all the same",
            ));
        }
        Ok(())
    }

    /// Lets a state that is made with these options begin as this one: under its serial and its data
    /// key, readable for the same recipients. Gives the state.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn begin(
        self,
        identity: &Identity,
        options: &mut WriteOptions,
    ) -> Result<Snapshot, StoreError> {
        let key = self.state.key.clone();
        let snapshot = self.open(identity)?;
        options.seed = Some(Seed {
            snapshot: snapshot.clone(),
            key,
        });
        Ok(snapshot)
    }

    /// The state in it.
    ///
    /// # Errors
    /// `state::wrong_key` when it is encrypted to others, `state::damaged` when a secret does not
    /// open or an address is there twice.
    pub fn open(self, identity: &Identity) -> Result<Snapshot, StoreError> {
        let keys = Keyring::unwrap(&self.state.lineage, &self.state.key, identity)?;
        self.state.read(Some(&keys)).map_err(|Unreadable(what)| {
            error(code::DAMAGED, format!("the document is damaged: {what}"))
        })
    }
}

/// What a check of a folder found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The state's serial.
    pub serial: u64,
    /// Resources on record, deposed ones included.
    pub resources: usize,
    /// Steps of which nobody knows the outcome.
    pub in_doubt: usize,
    /// Entries of the history that are whole.
    pub history: usize,
    /// Whether every secret was opened; without an identity it can only be looked at from outside.
    pub opened: bool,
    /// What is not whole, in the history. The state itself is: otherwise there is no report.
    pub problems: Vec<StoreError>,
}

impl Verified {
    /// A report about a state that is whole, before its history is looked at.
    pub(crate) fn of(snapshot: &Snapshot, opened: bool) -> Self {
        Self {
            serial: snapshot.serial,
            resources: snapshot.resources.len() + snapshot.deposed.len(),
            in_doubt: snapshot.in_doubt.len(),
            history: 0,
            opened,
            problems: Vec::new(),
        }
    }
}

impl LocalReader {
    /// The state as a document. Needs no identity.
    ///
    /// # Errors
    /// Those of [`LocalReader::read`], and `state::missing` where there is no state.
    pub fn document(&self) -> Result<Document, StoreError> {
        let state = self.whole()?;
        let keys = state.keyring.as_ref();
        let wire = SnapshotWire::out(keys, &state.head.key, state.batch, &state.snapshot)?;
        Ok(Document::of(wire))
    }

    /// Reads everything in the folder: snapshot, journal and each entry of the history with its
    /// digest, and opens every secret where there is an identity.
    ///
    /// # Errors
    /// Those of [`LocalReader::read`], and `state::missing` where there is no state.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let state = self.whole()?;
        let mut verified = Verified::of(&state.snapshot, state.keyring.is_some());
        for serial in history::serials(self.disk(), self.layout())? {
            match self.entry(&state, serial) {
                Ok(_) => verified.history += 1,
                Err(problem) => verified.problems.push(problem),
            }
        }
        Ok(verified)
    }

    pub(super) fn whole(&self) -> Result<State, StoreError> {
        self.settled()?.ok_or_else(|| missing(self.layout()))
    }

    /// An entry of the history, opened with the key it was written under.
    pub(super) fn entry(&self, state: &State, serial: u64) -> Result<Snapshot, StoreError> {
        let wire = history::at(self.disk(), self.layout(), &state.head.lineage, serial)?;
        let keys = match self.identity() {
            Some(identity) if wire.key != state.head.key => {
                Some(Keyring::unwrap(&wire.lineage, &wire.key, identity)?)
            }
            _ => state.keyring.clone(),
        };
        wire.read(keys.as_ref()).map_err(|Unreadable(what)| {
            damaged(
                &self.layout().history().join(format!("{serial}.json")),
                what,
            )
        })
    }
}
