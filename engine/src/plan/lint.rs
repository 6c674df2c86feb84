//! The linter: checks a finished plan by its types alone, without trusting the planner. Run in
//! every planner test and before every apply.

mod groups;
mod halves;

use crate::diff::stands_in_deposed;
use crate::graph::Kinds;
use kplan_model::{
    Action, Address, Kind, Plan, PlanMode, Reason, Recorded, RemoteId, Snapshot, Status, Step,
    StepId, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable code, such as `lint::order`.
    pub code: &'static str,
    /// The step.
    pub step: StepId,
    /// Its resource.
    pub address: Address,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "step {} ({}): {} [{}]",
            self.step, self.address, self.message, self.code
        )
    }
}

/// Checks a plan against the state it was made from. Empty means sound.
pub fn lint(plan: &Plan, snapshot: &Snapshot, kinds: &Kinds) -> Vec<Finding> {
    let mut lint = Lint::new(plan, snapshot, kinds);
    for (place, step) in plan.steps.iter().enumerate() {
        lint.shape(place, step, kinds);
        lint.guards(step);
        lint.dependencies(step);
        lint.references(step);
        lint.deletes(step);
        lint.halves(step);
        lint.waits(step);
        lint.settles(step);
        lint.operations(step);
    }
    lint.one_at_a_time();
    if plan.mode == PlanMode::Apply {
        lint.groups();
    }
    lint.findings
}

struct Lint<'a> {
    plan: &'a Plan,
    snapshot: &'a Snapshot,
    kinds: &'a Kinds,
    vanished: BTreeSet<&'a Address>,
    /// The step that makes, changes or records a resource.
    make: BTreeMap<&'a Address, &'a Step>,
    /// The step that destroys the resource on record.
    unmake: BTreeMap<&'a Address, &'a Step>,
    /// The step that destroys a resource, on record or deposed.
    destroy: BTreeMap<(&'a Address, Option<&'a RemoteId>), &'a Step>,
    /// By remote id: what runs on it.
    running: BTreeMap<&'a str, Vec<&'a Address>>,
    findings: Vec<Finding>,
}

impl<'a> Lint<'a> {
    fn new(plan: &'a Plan, snapshot: &'a Snapshot, kinds: &'a Kinds) -> Self {
        let mut lint = Self {
            plan,
            snapshot,
            vanished: plan.vanished.iter().collect(),
            make: BTreeMap::new(),
            unmake: BTreeMap::new(),
            destroy: BTreeMap::new(),
            running: running(snapshot, kinds),
            kinds,
            findings: Vec::new(),
        };
        for step in &plan.steps {
            if step.action == Action::Delete {
                lint.destroy.insert((&step.address, step.remote()), step);
            }
            match step.action {
                Action::Create | Action::Update | Action::Record => {
                    lint.make.insert(&step.address, step);
                }
                Action::Operate => {}
                Action::Delete | Action::Forget => {
                    let current = snapshot.resources.get(&step.address);
                    if current.map(|record| &record.id) == step.remote() {
                        lint.unmake.insert(&step.address, step);
                    }
                }
            }
        }
        lint
    }

    fn report(&mut self, code: &'static str, step: &Step, message: impl Into<String>) {
        self.findings.push(Finding {
            code,
            step: step.id,
            address: step.address.clone(),
            message: message.into(),
        });
    }

    /// The resource on record, unless the plan drops it as vanished.
    fn living(&self, address: &Address) -> Option<&'a Recorded> {
        let record = self.snapshot.resources.get(address)?;
        (!self.vanished.contains(address)).then_some(record)
    }

    fn shape(&mut self, place: usize, step: &Step, kinds: &Kinds) {
        if usize::try_from(step.id.0) != Ok(place) {
            self.report("lint::number", step, "its number is not its place");
        }
        if step.requires.iter().any(|first| *first >= step.id) {
            self.report(
                "lint::order",
                step,
                "it requires a step that does not come before it",
            );
        }
        if !kinds.contains_key(step.address.kind()) {
            self.report("lint::kind", step, "no provider knows its kind");
        }
        let (needs_before, needs_args) = match step.action {
            Action::Create => (step.pair.is_some(), true),
            Action::Update | Action::Record => (true, true),
            Action::Delete | Action::Forget | Action::Operate => (true, false),
        };
        if needs_before && step.before.is_none() {
            self.report(
                "lint::before",
                step,
                "there is nothing on record for it to act on",
            );
        }
        if needs_args != step.args.is_some() {
            self.report("lint::args", step, "its arguments do not fit its action");
        }
        if step.action == Action::Create
            && step.pair.is_none()
            && self.living(&step.address).is_some()
        {
            self.report("lint::exists", step, "it is made although it is on record");
        }
    }

    fn guards(&mut self, step: &Step) {
        let guarded = step
            .before
            .as_ref()
            .is_some_and(|record| record.meta.protect);
        if step.action == Action::Delete && guarded {
            self.report(
                "lint::protected",
                step,
                "it is protected and would be destroyed",
            );
        }
    }

    fn dependencies(&mut self, step: &Step) {
        if step.args.is_none() {
            return;
        }
        let inside = step.meta.inside.iter();
        for need in step.depends_on.iter().chain(&step.meta.after).chain(inside) {
            match self.make.get(need) {
                // What only waits has what it needs, unless that is only now made.
                Some(first) if step.only_waits() && first.action != Action::Create => {}
                Some(first) if !step.requires.contains(&first.id) => {
                    let message = format!("it may run before {need}, which it depends on");
                    self.report("lint::dependency", step, message);
                }
                None if self.living(need).is_none() => {
                    let message =
                        format!("it depends on {need}, which neither is there nor is made");
                    self.report("lint::missing", step, message);
                }
                None if self.unmake.contains_key(need) => {
                    let message = format!("it depends on {need}, which is destroyed");
                    self.report("lint::missing", step, message);
                }
                None if self.is_unfinished(need) => {
                    let message =
                        format!("it depends on {need}, which is not ready, and nothing waits");
                    self.report("lint::unfinished", step, message);
                }
                _ => {}
            }
        }
    }

    fn is_unfinished(&self, address: &Address) -> bool {
        self.living(address)
            .is_some_and(|record| record.status == Status::Unfinished)
    }

    /// A step that only waits has something to wait for, and changes nothing.
    fn waits(&mut self, step: &Step) {
        let sound = match &step.reason {
            Reason::Unfinished => {
                let unfinished = step
                    .before
                    .as_ref()
                    .is_some_and(|record| record.status == Status::Unfinished);
                step.only_waits() && step.changes.is_empty() && unfinished
            }
            Reason::ParentDisrupted(parent) => {
                let comes_first =
                    |first: &&Step| first.interrupts() && step.requires.contains(&first.id);
                step.action == Action::Update && self.make.get(parent).is_some_and(comes_first)
            }
            _ => true,
        };
        if !sound {
            let message = "it is to wait only, but does more or has nothing to wait for";
            self.report("lint::unfinished", step, message);
        }
    }

    /// What runs on something that is interrupted is made anew or waited for.
    fn settles(&mut self, step: &Step) {
        let (true, Some(id)) = (step.interrupts() && step.args.is_some(), step.remote()) else {
            return;
        };
        let on_it = self.running.get(id.as_str()).cloned().unwrap_or_default();
        for address in on_it {
            let waited_for = self.make.get(address).is_some_and(|later| {
                let renewed = later.action == Action::Create;
                let waits = later.reason == Reason::ParentDisrupted(step.address.clone());
                (renewed || waits) && self.comes_after(later.id, step.id)
            });
            let gone = self.living(address).is_none() || self.unmake.contains_key(address);
            if !waited_for && !gone {
                let message = format!(
                    "it interrupts what {address} runs on, and nothing waits until that is back"
                );
                self.report("lint::settle", step, message);
            }
        }
    }

    /// An operation is one of the kind's table, and what it prepares follows it; an undone one is
    /// of a resource that stays.
    fn operations(&mut self, step: &Step) {
        let Some(operated) = &step.operation else {
            if step.action == Action::Operate {
                self.report("lint::operation", step, "it names no operation");
            }
            return;
        };
        let delete = self.destroy.get(&(&step.address, step.remote()));
        let sound = match delete {
            Some(delete) => !operated.undone && delete.requires.contains(&step.id),
            None => operated.undone || self.is_undone_later(step, operated),
        };
        if !sound || step.action != Action::Operate {
            let message = "it prepares a delete that does not follow, or undoes what is to be done";
            self.report("lint::operation", step, message);
        }
    }

    /// Whether the operation prepares the interruption of what its resource runs on, and is undone
    /// once that is over.
    fn is_undone_later(&self, step: &Step, operated: &kplan_model::Operated) -> bool {
        let prepares = |later: &&Step| {
            let on_it = later.remote().and_then(|id| self.running.get(id.as_str()));
            later.action == Action::Update
                && later.interrupts()
                && later.requires.contains(&step.id)
                && on_it.is_some_and(|on_it| on_it.contains(&&step.address))
        };
        let undoes = |later: &Step| {
            let same = later
                .operation
                .is_some_and(|other| other.undone && other.info.name == operated.info.name);
            same && later.address == step.address
        };
        let steps = &self.plan.steps;
        let first = steps.iter().find(prepares);
        let undo = steps.iter().find(|later| undoes(later));
        matches!((first, undo), (Some(first), Some(undo)) if self.comes_after(undo.id, first.id))
    }

    fn references(&mut self, step: &Step) {
        let Some(args) = &step.args else {
            return;
        };
        let mut targets = BTreeSet::new();
        for value in args.values() {
            value.for_each_ref(&mut |reference| {
                targets.insert(&reference.address);
            });
            if has_unknown(value) {
                self.report(
                    "lint::unknown",
                    step,
                    "an argument is unknown and nothing fills it",
                );
            }
        }
        for target in targets {
            if !step.depends_on.contains(target) {
                let message =
                    format!("it refers to {target} and is not recorded as depending on it");
                self.report("lint::reference", step, message);
            }
        }
    }

    /// No delete before the deletes of what depends on it; what goes with a container is
    /// exempt, and so are peers of one group that are replaced in turns.
    fn deletes(&mut self, step: &Step) {
        let Some(record) = step
            .before
            .as_ref()
            .filter(|_| step.action == Action::Delete)
        else {
            return;
        };
        if let Some(container) = &step.goes_with {
            let mut firsts = step
                .requires
                .iter()
                .filter_map(|first| self.plan.step(*first));
            // In the old half of a container it goes with that, not with the new one.
            let old_half = stands_in_deposed(self.snapshot, record);
            let is_old = |first: &Step| first.reason == Reason::Deposed;
            let destroys = |first: &Step| {
                first.action == Action::Delete
                    && first.address == *container
                    && (!old_half || is_old(first))
            };
            if !firsts.any(destroys) {
                let message = format!("it goes with {container}, which is not destroyed before");
                self.report("lint::goes_with", step, message);
            }
            return;
        }
        for need in &record.depends_on {
            let Some(later) = self.unmake.get(need).copied() else {
                continue;
            };
            let peers = group_name(step).is_some()
                && group_name(step) == group_name(later)
                && step.pair.is_some()
                && later.pair.is_some();
            let waits = later.id == step.id || later.requires.contains(&step.id);
            if !waits && !peers && !self.depended_on(need, &step.address) {
                let message = format!("{need}, which it depends on, may be destroyed before it");
                self.report("lint::delete", step, message);
            }
        }
    }

    /// Whether `start` depended on `goal` by the records, directly or not. When each of two
    /// depended on the other, either may go first.
    fn depended_on(&self, start: &Address, goal: &Address) -> bool {
        let mut queue = vec![start];
        let mut seen = BTreeSet::from([start]);
        while let Some(address) = queue.pop() {
            if address == goal {
                return true;
            }
            let record = self.snapshot.resources.get(address).into_iter();
            let needs =
                record.flat_map(|record| record.depends_on.iter().chain(&record.meta.inside));
            queue.extend(needs.filter(|need| seen.insert(*need)));
        }
        false
    }

    /// Steps of one address and steps on one remote id are ordered.
    fn one_at_a_time(&mut self) {
        let mut by_address: BTreeMap<&Address, Vec<StepId>> = BTreeMap::new();
        let mut by_remote: BTreeMap<(&Kind, &RemoteId), Vec<StepId>> = BTreeMap::new();
        for step in &self.plan.steps {
            by_address.entry(&step.address).or_default().push(step.id);
            if let Some(id) = step.remote() {
                by_remote
                    .entry((step.address.kind(), id))
                    .or_default()
                    .push(step.id);
            }
        }
        let all = by_address.into_values().chain(by_remote.into_values());
        let crowds: Vec<Vec<StepId>> = all.filter(|steps| steps.len() > 1).collect();
        for steps in crowds {
            for (first, second) in steps.iter().zip(steps.iter().skip(1)) {
                if !self.comes_after(*second, *first)
                    && let Some(step) = self.plan.step(*second)
                {
                    let message =
                        format!("it may run at the same time as step {first} on the same");
                    self.report("lint::concurrent", step, message);
                }
            }
        }
    }

    /// Whether `later` requires `first`, directly or not.
    fn comes_after(&self, later: StepId, first: StepId) -> bool {
        let mut queue = vec![later];
        let mut seen = BTreeSet::new();
        while let Some(step) = queue.pop().and_then(|id| self.plan.step(id)) {
            if step.requires.contains(&first) {
                return true;
            }
            let earlier = step.requires.iter().filter(|id| **id > first);
            queue.extend(earlier.filter(|id| seen.insert(**id)));
        }
        false
    }
}

/// What runs on what, by the remote id that the recorded arguments hold.
fn running<'a>(snapshot: &'a Snapshot, kinds: &Kinds) -> BTreeMap<&'a str, Vec<&'a Address>> {
    let mut found: BTreeMap<&str, Vec<&Address>> = BTreeMap::new();
    for record in snapshot.resources.values() {
        let info = kinds.get(record.address.kind());
        for field in info.into_iter().flat_map(|info| info.runs_on()) {
            if let Some(Value::Str(id)) = record.args.get(field.name) {
                found.entry(id).or_default().push(&record.address);
            }
        }
    }
    found
}

fn group_name(step: &Step) -> Option<&str> {
    let group = step
        .before
        .as_ref()
        .and_then(|record| record.meta.group.as_ref());
    group.map(|group| group.name.as_str())
}

fn has_unknown(value: &Value) -> bool {
    match value {
        Value::Unknown => true,
        Value::List(items) => items.iter().any(has_unknown),
        Value::Map(map) => map.values().any(has_unknown),
        _ => false,
    }
}
