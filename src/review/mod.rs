//! A plan as its readers see it, whatever it is printed as: in words, with the lines that differ,
//! secrets masked. Built once from a plan; text, Markdown and plan files are made from it.

mod body;
mod drift;
mod entry;
#[cfg(test)]
pub(crate) mod testing;
mod words;

pub use body::{Attribute, Becomes, columns};
pub use drift::{Drifted, Tri};
pub use entry::{Entry, Risk, Sign, is_head, is_visible};
pub use words::preparation;

use crate::compose::leavings::{is_last_look, is_preparation};
use crate::diff::Line;
use kplan_model::{Action, Declarations, Kind, KindInfo, Plan, PlanMode, Snapshot};
use kplan_providers::k3s::pki::secret::sha256_hex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The tables of all kinds.
pub type Kinds = BTreeMap<Kind, &'static KindInfo>;

/// How many resources a plan adds, changes and destroys. A replacement counts once in `add` and
/// once in `destroy`, as in Terraform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Creates.
    pub add: usize,
    /// Updates.
    pub change: usize,
    /// Deletes.
    pub destroy: usize,
    /// Guards that come or go.
    pub guards: usize,
    /// Operations that surround changes.
    pub operations: usize,
    /// Resources that exist and come on record.
    pub import: usize,
    /// Resources that get another address.
    pub moved: usize,
}

impl Counts {
    /// Counts the steps of a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut counts = Self {
            import: plan.imported.len(),
            moved: plan.moved.len(),
            ..Self::default()
        };
        for step in &plan.steps {
            match step.action {
                Action::Create => counts.add += 1,
                // Waiting changes nothing.
                Action::Update if step.only_waits() => {}
                Action::Delete if is_last_look(&step.address) => {}
                Action::Delete if is_preparation(&step.address) => counts.operations += 1,
                Action::Update => counts.change += 1,
                Action::Delete => counts.destroy += 1,
                Action::Record if is_visible(step) => counts.guards += 1,
                Action::Operate => counts.operations += 1,
                Action::Forget | Action::Record => {}
            }
        }
        counts
    }

    /// `3 to add, 1 to change, 2 to destroy`, and what else there is.
    pub fn sentence(&self) -> String {
        let Self {
            add,
            change,
            destroy,
            ..
        } = self;
        let mut out = String::new();
        if self.import > 0 {
            let _ = write!(out, "{} to import, ", self.import);
        }
        let _ = write!(
            out,
            "{add} to add, {change} to change, {destroy} to destroy"
        );
        match self.moved {
            0 => {}
            1 => out.push_str("; 1 address changes"),
            more => {
                let _ = write!(out, "; {more} addresses change");
            }
        }
        if self.guards > 0 {
            let _ = write!(out, "; {} guards change", self.guards);
        }
        match self.operations {
            0 => {}
            1 => out.push_str("; 1 operation"),
            more => {
                let _ = write!(out, "; {more} operations");
            }
        }
        out
    }
}

/// The Kubernetes server's own dry run of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// The resource.
    pub address: String,
    /// The object, such as `Deployment argocd/argocd-server`; nothing where nobody answered.
    pub object: Option<String>,
    /// What would differ, each line as many columns to the right as its indent says.
    pub lines: Vec<Line>,
    /// Why nobody knows, and what is shown of it is an estimate.
    pub error: Option<String>,
}

/// A plan as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The cluster's name.
    pub cluster: String,
    /// What the plan is for.
    pub mode: PlanMode,
    /// Lines about where it would happen: account, version set.
    pub header: Vec<String>,
    /// How many.
    pub counts: Counts,
    /// Differences that nobody asked for.
    pub drift: Vec<Drifted>,
    /// What would be done, in the order of the steps.
    pub entries: Vec<Entry>,
    /// What else a reader has to know.
    pub notes: Vec<String>,
    /// What the Kubernetes server said.
    pub dry_runs: Vec<DryRun>,
    /// Whether something could not be read: the plan is not the whole truth.
    pub partial: bool,
    /// The commit of the file's folder, where it is in a Git repository.
    pub commit: Option<String>,
}

impl Review {
    /// What the plan itself says; header, notes, dry runs and commit are the caller's to add.
    pub fn of(
        plan: &Plan,
        snapshot: &Snapshot,
        declarations: &Declarations,
        kinds: &Kinds,
    ) -> Self {
        Self {
            cluster: plan.owner.cluster.clone(),
            mode: plan.mode,
            header: Vec::new(),
            counts: Counts::of(plan),
            drift: drift::of(plan, snapshot, declarations, kinds),
            entries: entry::all(plan, kinds),
            notes: Vec::new(),
            dry_runs: Vec::new(),
            partial: false,
            commit: None,
        }
    }

    /// Whether anything would be done that a reader has to see.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, the most dangerous first, and otherwise in the order of the steps.
    pub fn by_risk(&self) -> Vec<&Entry> {
        let mut sorted: Vec<&Entry> = self.entries.iter().collect();
        sorted.sort_by_key(|entry| entry.risk);
        sorted
    }

    /// A digest of what would be done, such as `sha256:1f0c9a…`: equal for two plans that would do
    /// the same. It is about what is shown, so about no secret.
    ///
    /// # Errors
    /// Those of serializing, which a value of this type does not have.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        let said = serde_json::to_vec(&(&self.cluster, self.mode, &self.entries, &self.drift))?;
        Ok(format!("sha256:{}", sha256_hex(&said)))
    }
}

/// What is said where nothing would be done.
pub fn nothing(review: &Review) -> &'static str {
    match review.mode {
        _ if review.partial => {
            "Nothing to change among what could be read. The notes say what could not be looked at."
        }
        PlanMode::Apply => "No changes. Your infrastructure matches the configuration.",
        PlanMode::Destroy => "No changes. No objects need to be destroyed.",
        PlanMode::RefreshOnly if review.drift.is_empty() => {
            "No changes. Your infrastructure still matches the configuration."
        }
        PlanMode::RefreshOnly => "Apply only writes what was seen into the state.",
    }
}
