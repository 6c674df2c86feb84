//! `Plan`: what will be done, leaving no choices; and `Permit`, without which nothing is mutated.

use crate::address::Address;
use crate::declaration::Meta;
use crate::kind::{Disruption, FieldSet, KindInfo};
use crate::object::Object;
use crate::observation::RemoteId;
use crate::operation::Operated;
use crate::origin::Origin;
use crate::owner::Owner;
use crate::snapshot::Recorded;
use crate::time::Timestamp;
use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A step's number within its plan.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Makes it.
    Create,
    /// Changes it on the living resource.
    Update,
    /// Destroys it.
    Delete,
    /// Takes it out of the state; the remote side is not touched.
    Forget,
    /// Writes new relations or guards into the state; the remote side is not touched.
    Record,
    /// Does an operation of its kind, or undoes one.
    Operate,
}

/// Why a step is in the plan. Terraform's `action_reason` where it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// In the file, not on record.
    Declared,
    /// Its arguments differ.
    Changed,
    /// A field cannot be changed on the living resource; the fields.
    CannotUpdate(Vec<String>),
    /// It failed when it was made, or was only half made.
    Tainted,
    /// An earlier run was cut off before it was ready: nothing is called, it is waited for.
    Unfinished,
    /// An earlier run was cut off before it was ready, and it has failed since, for this reason.
    Failed(String),
    /// What it runs on is interrupted by this plan: besides what changes of it itself, it is
    /// waited for until it was seen working again.
    ParentDisrupted(Address),
    /// What it runs on is about to be powered off: of an operation that prepares it for that.
    PoweredOff(Address),
    /// `--replace`.
    Requested,
    /// Its container is replaced or gone.
    ContainerReplaced(Address),
    /// It would not take what is to be made inside it any more, for this reason.
    TooLate(Address, String),
    /// An earlier run began this operation on it, which cannot be undone: it is of no use any more.
    Spent(&'static str),
    /// It was on record and is gone from the remote side.
    Vanished,
    /// The old half of a replacement that was interrupted after its new half was made.
    Deposed,
    /// No longer in the file.
    NotInConfiguration,
    /// Somebody else manages it from now on, for this reason; it is forgotten.
    Released(String),
    /// Its index is beyond the count.
    CountIndex,
    /// `destroy`.
    DestroyRequested,
    /// An earlier run prepared it for its destruction, and it stays.
    Kept,
}

/// One field that changes.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// What it is.
    pub before: Value,
    /// What it will be; `Ref` or `Unknown` is known after apply.
    pub after: Value,
    /// Whether it forces replacement.
    pub forces_replacement: bool,
    /// What the change interrupts.
    pub disruption: Disruption,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its number: its index in [`Plan::steps`].
    pub id: StepId,
    /// The resource.
    pub address: Address,
    /// What is done.
    pub action: Action,
    /// The record as it is; `None` for a create that replaces nothing.
    pub before: Option<Recorded>,
    /// The arguments it will have, with references for what is known only after apply; `None`
    /// for a delete.
    pub args: Option<Object>,
    /// The guards and relations it will be recorded with.
    pub meta: Meta,
    /// The dependencies it will be recorded with.
    pub depends_on: Vec<Address>,
    /// The fields that change (all of them for an update, those that force it for a replacement).
    pub changes: Vec<FieldChange>,
    /// Why.
    pub reason: Reason,
    /// Steps that must have succeeded before.
    pub requires: BTreeSet<StepId>,
    /// The other half of a replacement.
    pub pair: Option<StepId>,
    /// It disappears with this container: nothing is called, the record goes.
    pub goes_with: Option<Address>,
    /// What is lost for ever, in words, such as `the data on it`.
    pub loses: Option<String>,
    /// Which operation it does, where it does one.
    pub operation: Option<Operated>,
    /// Where the file asks for it.
    pub origin: Origin,
}

impl Step {
    /// The names of the changed fields.
    pub fn changed(&self) -> FieldSet {
        self.changes
            .iter()
            .map(|change| change.field.clone())
            .collect()
    }

    /// Whether it calls nothing and only waits until the resource is ready.
    pub fn only_waits(&self) -> bool {
        let waits = match self.reason {
            Reason::Unfinished => true,
            Reason::ParentDisrupted(_) => self.changes.is_empty(),
            _ => false,
        };
        self.action == Action::Update && waits
    }

    /// Whether it interrupts what is running: it is destroyed, made in the place of another, or
    /// changed in a way that does.
    pub fn interrupts(&self) -> bool {
        match self.action {
            Action::Delete => true,
            Action::Create => self.pair.is_some(),
            Action::Update => self
                .changes
                .iter()
                .any(|change| change.disruption != Disruption::None),
            Action::Forget | Action::Record | Action::Operate => false,
        }
    }

    /// How many seconds it is expected to take, by its kind's table.
    pub fn typical(&self, info: &KindInfo) -> u32 {
        match self.action {
            _ if self.goes_with.is_some() => 0,
            Action::Create => info.typical.create,
            // Readiness is most of what a create takes.
            Action::Update if self.only_waits() => info.typical.create,
            Action::Update => info.typical.update,
            Action::Delete => info.typical.delete,
            Action::Forget | Action::Record => 0,
            // What it waits for is not up to it; pods are given 30 s to end.
            Action::Operate => 30,
        }
    }

    /// The remote id it acts on, where there is one.
    pub fn remote(&self) -> Option<&RemoteId> {
        self.before.as_ref().map(|record| &record.id)
    }
}

/// A difference between the record and reality that nobody asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The resource.
    pub address: Address,
    /// The fields that differ: recorded value, real value. Empty when it vanished.
    pub fields: Vec<(String, Value, Value)>,
    /// Whether it is gone altogether.
    pub vanished: bool,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanMode {
    /// Make reality as the file says.
    Apply,
    /// Destroy everything on record.
    Destroy,
    /// Only write what was seen into the state.
    RefreshOnly,
}

/// The state a plan was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The state's lineage.
    pub lineage: String,
    /// Its serial.
    pub serial: u64,
}

/// What will be done. An immutable value: apply executes it, fills references, and re-derives
/// nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whose resources.
    pub owner: Owner,
    /// What for.
    pub mode: PlanMode,
    /// From which state.
    pub base: Base,
    /// The steps; a step's number is its index. Every requirement has a smaller number.
    pub steps: Vec<Step>,
    /// Resources on record under another address, from the old to the new one. The state this plan
    /// is made from has them at the new one already.
    pub moved: Vec<(Address, Address)>,
    /// Resources that exist and come on record. They stand in the state this plan is made from.
    pub imported: Vec<(Address, RemoteId)>,
    /// Records to be brought up to date with what was seen, before the first step.
    pub refreshed: Vec<Recorded>,
    /// Records of what is gone from the remote side, to be dropped before the first step.
    pub vanished: Vec<Address>,
    /// Differences nobody asked for.
    pub drift: Vec<Drift>,
    /// The results, with references.
    pub outputs: Object,
}

impl Plan {
    /// The step of that number.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(usize::try_from(id.0).ok()?)
    }

    /// Whether anything on the remote side or any output would change.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The plan with some of its steps only, for which nothing else has to be done first.
    ///
    /// # Errors
    /// A step that stays, and one that it needs and that does not.
    pub fn only(&self, stays: &BTreeSet<StepId>) -> Result<Self, (StepId, StepId)> {
        let mut numbers: BTreeMap<StepId, StepId> = BTreeMap::new();
        let mut steps = Vec::new();
        for step in self.steps.iter().filter(|step| stays.contains(&step.id)) {
            let needed = step.requires.iter().chain(&step.pair);
            if let Some(left) = needed.copied().find(|id| !stays.contains(id)) {
                return Err((step.id, left));
            }
            let number = StepId(u32::try_from(steps.len()).unwrap_or(u32::MAX));
            numbers.insert(step.id, number);
            steps.push(step.clone());
        }
        let number = |old: &StepId| numbers.get(old).copied().unwrap_or(*old);
        for step in &mut steps {
            step.requires = step.requires.iter().map(number).collect();
            step.pair = step.pair.as_ref().map(number);
            step.id = number(&step.id);
        }
        Ok(Self {
            steps,
            ..self.clone()
        })
    }

    /// Makes the plan executable. The only way to an [`ApprovedPlan`]; call it after the linter
    /// found nothing and somebody agreed.
    pub fn approve(self, approval: Approval) -> ApprovedPlan {
        ApprovedPlan {
            plan: self,
            approval,
        }
    }
}

/// Who agreed to a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// How: `prompt`, `--auto-approve`, `plan file`.
    pub how: String,
    /// When.
    pub at: Timestamp,
}

/// A plan somebody agreed to.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovedPlan {
    plan: Plan,
    approval: Approval,
}

impl ApprovedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who agreed.
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The permit for one of its steps.
    pub fn permit(&self, step: StepId) -> Option<Permit> {
        self.plan.step(step).map(|step| Permit {
            step: step.id,
            address: step.address.clone(),
        })
    }
}

/// The right to change one resource. Only an [`ApprovedPlan`] makes one, so code that plans or
/// observes cannot mutate: it has nothing to show.
#[derive(Debug)]
pub struct Permit {
    step: StepId,
    address: Address,
}

impl Permit {
    /// The step it is for.
    pub fn step(&self) -> StepId {
        self.step
    }

    /// The resource it is for.
    pub fn address(&self) -> &Address {
        &self.address
    }
}
