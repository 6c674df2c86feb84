//! A plan in a file: what was read and agreed to, to be carried out later and elsewhere.
//!
//! The file holds no value that is secret, and nothing in it is executed: `apply` makes the plan
//! anew and does it only where it is the one in the file. So a file can neither be too old nor
//! be made up; the worst that one can do is to be refused.
//! ([ADR 0011](../../docs/adr/0011-a-plan-file-is-compared-not-executed.md))

mod compare;
mod frame;
mod pin;

pub use compare::{Moved, Unrelated, compare};
pub use frame::{Sealed, read, write};
pub use pin::{Pinned, pinned, seen};

use crate::cmd::review::Shown;
use crate::git::Commit;
use kplan_engine::PlanOptions;
use kplan_model::{Address, Plan, PlanMode, Timestamp};
use kplan_providers::k3s::pki::secret::sha256_hex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format of what is written. A file of another is refused by name.
pub const FORMAT: u32 = 1;

/// What was asked of the planner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Apply, destroy, or only refresh.
    pub mode: PlanMode,
    /// `--target`.
    pub targets: BTreeSet<Address>,
    /// `--replace`.
    pub replace: BTreeSet<Address>,
    /// `--allow-destroy`.
    pub allow_destroy: BTreeSet<Address>,
    /// `--skip-operation`.
    pub skip_operations: BTreeSet<String>,
    /// `--delete-backups`.
    pub delete_backups: bool,
    /// `--skip-preflight`.
    pub skip_preflight: Vec<String>,
    /// `--refresh`.
    pub refresh: bool,
    /// `--orphans keep`; nothing where it was not said.
    pub keep_orphans: Option<bool>,
    /// `--final-backup`; nothing where it was not said.
    #[serde(default)]
    pub final_backup: Option<bool>,
}

impl Asked {
    /// From the planner's options.
    pub fn of(options: &PlanOptions, keep_orphans: Option<bool>) -> Self {
        Self {
            mode: options.mode,
            targets: options.targets.clone(),
            replace: options.replace.clone(),
            allow_destroy: options.allow_destroy.clone(),
            skip_operations: options.skip_operations.clone(),
            delete_backups: options.delete_kept,
            skip_preflight: Vec::new(),
            refresh: options.refresh,
            keep_orphans,
            final_backup: None,
        }
    }

    /// The planner's options.
    pub fn options(&self) -> PlanOptions {
        PlanOptions {
            targets: self.targets.clone(),
            replace: self.replace.clone(),
            allow_destroy: self.allow_destroy.clone(),
            skip_operations: self.skip_operations.clone(),
            delete_kept: self.delete_backups,
            refresh: self.refresh,
            ..PlanOptions::new(self.mode)
        }
    }
}

/// What the plan was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// The kplan that made it.
    pub kplan: String,
    /// The cloud: the API's address, or `sandbox`.
    pub cloud: String,
    /// The cluster's name.
    pub cluster: String,
    /// The state's lineage. Where there is no state yet, the one it will begin with.
    pub lineage: String,
    /// The state's serial; nothing where there is none yet.
    pub serial: Option<u64>,
    /// SHA-256 of the cluster's file.
    pub spec: String,
    /// SHA-256 of `kplan.lock`; nothing where there is none.
    pub lock: Option<String>,
    /// SHA-256 of the files beside it that it names.
    pub beside: BTreeMap<String, String>,
    /// The commit of the checkout, where it is one.
    pub commit: Option<String>,
    /// Whether the checkout differed from its commit.
    pub uncommitted: bool,
    /// Fingerprints of the secrets the file names, by their sources.
    pub secrets: BTreeMap<String, String>,
}

impl Pins {
    /// Where the checkout is.
    pub fn at(&mut self, commit: Option<Commit>) {
        self.uncommitted = commit.as_ref().is_some_and(|commit| commit.changed);
        self.commit = commit.map(|commit| commit.id);
    }
}

/// A plan in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// [`FORMAT`].
    pub format: u32,
    /// When it was made.
    pub at: Timestamp,
    /// What it was made of.
    pub pins: Pins,
    /// What was asked for.
    pub asked: Asked,
    /// Where there is no state yet: whose identity (`age1…`) its fingerprints and its seal are made
    /// with. Else they are made with the state's own keys.
    pub identity: Option<String>,
    /// Its steps.
    pub steps: Vec<Pinned>,
    /// Fingerprints of what a plan that only refreshes would write: by resource and field.
    pub seen: BTreeMap<String, BTreeMap<String, String>>,
    /// What comes on record or gets another address before the first step.
    pub relocated: BTreeSet<String>,
    /// How it reads.
    pub shown: Shown,
}

/// What comes on record or gets another address, as one text each.
pub fn relocated(plan: &Plan) -> BTreeSet<String> {
    let imported = plan.imported.iter();
    let imported = imported.map(|(to, id)| format!("{to} is imported with the id {id}"));
    let moved = plan.moved.iter();
    let moved = moved.map(|(from, to)| format!("{from} becomes {to}"));
    imported.chain(moved).collect()
}

/// SHA-256, as `sha256:` and 64 digits.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}
