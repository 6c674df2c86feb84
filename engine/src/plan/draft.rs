//! Steps before they have numbers.

use super::make::Inputs;
use super::relations::{Relations, changes, goes};
use crate::diff::{Change, NodeDiff, stands_in_deposed};
use crate::graph;
use kplan_model::{Action, Address, FieldChange, Meta, Object, Operated, Origin, Reason, Recorded};
use std::collections::BTreeSet;

/// A step without a number. Requirements name drafts.
pub(super) struct Draft {
    pub(super) address: Address,
    pub(super) action: Action,
    pub(super) before: Option<Recorded>,
    pub(super) args: Option<Object>,
    pub(super) meta: Meta,
    pub(super) depends_on: Vec<Address>,
    pub(super) changes: Vec<FieldChange>,
    pub(super) reason: Reason,
    pub(super) requires: BTreeSet<usize>,
    /// The other side of `requires`.
    pub(super) required_by: Vec<usize>,
    pub(super) pair: Option<usize>,
    pub(super) goes_with: Option<Address>,
    pub(super) loses: Option<String>,
    pub(super) operation: Option<Operated>,
    pub(super) origin: Origin,
}

impl Draft {
    /// A step that does an operation on what is on record, or undoes one.
    pub(super) fn operate(record: &Recorded, operated: Operated, reason: Reason) -> Self {
        Self {
            operation: Some(operated),
            ..Self::on_record(record, Action::Operate, reason)
        }
    }

    /// A step about what is on record alone, whatever the file says.
    fn on_record(record: &Recorded, action: Action, reason: Reason) -> Self {
        Self {
            address: record.address.clone(),
            action,
            before: Some(record.clone()),
            args: None,
            meta: record.meta.clone(),
            depends_on: record.depends_on.clone(),
            changes: Vec::new(),
            reason,
            requires: BTreeSet::new(),
            required_by: Vec::new(),
            pair: None,
            goes_with: None,
            loses: None,
            operation: None,
            origin: Origin::State,
        }
    }
}

/// The drafts and where to find each node's.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) all: Vec<Draft>,
    /// By position: the step that makes, changes or records it.
    pub(super) make: Vec<Option<usize>>,
    /// By position: the step that destroys or forgets the living resource.
    pub(super) unmake: Vec<Option<usize>>,
    /// Steps that destroy deposed resources.
    pub(super) deposed: Vec<usize>,
}

impl Drafts {
    /// Every chosen change as one or two drafts, and every deposed record as one. No
    /// requirements yet.
    pub(super) fn of(inputs: &Inputs<'_, '_>, relations: &Relations, chosen: &[bool]) -> Self {
        let nodes = &inputs.diff.nodes;
        let mut drafts = Self {
            make: vec![None; nodes.len()],
            unmake: vec![None; nodes.len()],
            ..Self::default()
        };
        for (at, node) in nodes.iter().enumerate() {
            if !chosen[at] || !changes(node) {
                continue;
            }
            let going =
                relations.old_inside[at].filter(|outer| chosen[*outer] && goes(&nodes[*outer]));
            let record = node.record.as_deref();
            let container = match record.filter(|it| stands_in_deposed(inputs.snapshot, it)) {
                Some(record) => deposed_container(inputs, record),
                None => going.map(|outer| nodes[outer].address.clone()),
            };
            drafts.add(inputs, at, node, container);
        }
        drafts.add_deposed(inputs);
        drafts
    }

    fn add(
        &mut self,
        inputs: &Inputs<'_, '_>,
        at: usize,
        node: &NodeDiff<'_>,
        container: Option<Address>,
    ) {
        let plain = |action, reason: &Reason| draft(inputs, node, action, reason.clone());
        match &node.change {
            Change::None | Change::Kept | Change::Blocked { .. } => {}
            Change::Create { reason } => {
                self.make[at] = Some(self.push(plain(Action::Create, reason)));
            }
            Change::Update { changes, reason } => {
                let mut step = plain(Action::Update, reason);
                step.changes.clone_from(changes);
                self.make[at] = Some(self.push(step));
            }
            Change::Await { reason } => {
                self.make[at] = Some(self.push(plain(Action::Update, reason)));
            }
            Change::Record => {
                self.make[at] = Some(self.push(plain(Action::Record, &Reason::Changed)));
            }
            Change::Forget => {
                let why = inputs.declarations.forgotten.get(node.address);
                let why = why.cloned().unwrap_or_default();
                let step = plain(Action::Forget, &Reason::Released(why));
                self.unmake[at] = Some(self.push(step));
            }
            Change::Delete { reason } => {
                let mut step = plain(Action::Delete, reason);
                step.goes_with = container;
                self.unmake[at] = Some(self.push(step));
            }
            Change::Replace { changes, reason } => {
                let mut old = plain(Action::Delete, reason);
                let mut new = plain(Action::Create, reason);
                old.goes_with = container;
                old.changes.clone_from(changes);
                new.changes.clone_from(changes);
                let (old, new) = (self.push(old), self.push(new));
                self.all[old].pair = Some(new);
                self.all[new].pair = Some(old);
                self.unmake[at] = Some(old);
                self.make[at] = Some(new);
            }
        }
    }

    pub(super) fn push(&mut self, draft: Draft) -> usize {
        self.all.push(draft);
        self.all.len() - 1
    }

    /// Old halves that an interrupted run left behind. They go in every mode that destroys or
    /// makes things; with targets, only those of a target.
    fn add_deposed(&mut self, inputs: &Inputs<'_, '_>) {
        let options = inputs.options;
        if options.mode == kplan_model::PlanMode::RefreshOnly {
            return;
        }
        for record in &inputs.snapshot.deposed {
            if !takes_deposed(inputs, &record.address) {
                continue;
            }
            let step = Draft {
                goes_with: self.container_of(inputs, record),
                ..Draft::on_record(record, Action::Delete, Reason::Deposed)
            };
            let at = self.push(step);
            self.deposed.push(at);
        }
    }

    /// The container of a deposed record, where that goes in this plan.
    fn container_of(&self, inputs: &Inputs<'_, '_>, record: &Recorded) -> Option<Address> {
        if let Some(container) = deposed_container(inputs, record) {
            return Some(container);
        }
        let inside = record.meta.inside.as_ref()?;
        let going = self.unmake[inputs.graph.position(inside)?]?;
        (self.all[going].action == Action::Delete).then(|| inside.clone())
    }

    /// Whether a step calls nothing and only waits.
    pub(super) fn only_waits(&self, step: usize) -> bool {
        let draft = &self.all[step];
        draft.action == Action::Update
            && draft.changes.is_empty()
            && matches!(
                draft.reason,
                Reason::Unfinished | Reason::ParentDisrupted(_)
            )
    }

    /// `step` needs `first` to have succeeded.
    pub(super) fn require(&mut self, step: usize, first: usize) {
        if self.all[step].requires.insert(first) {
            self.all[first].required_by.push(step);
        }
    }

    /// Like [`Drafts::require`], unless `first` needs `step` already, directly or not.
    /// `after_step` is [`Drafts::dependents_of`] of `step`, which requirements *of* `step` do
    /// not change. Whether `step` waits for `first` now.
    pub(super) fn require_softly(
        &mut self,
        step: usize,
        first: usize,
        after_step: &BTreeSet<usize>,
    ) -> bool {
        let possible = step != first && !after_step.contains(&first);
        if possible {
            self.require(step, first);
        }
        possible
    }

    /// The drafts that those in `starts` require, directly or not.
    pub(super) fn requirements_of(&self, starts: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut queue: Vec<usize> = starts.iter().copied().collect();
        while let Some(at) = queue.pop() {
            for first in &self.all[at].requires {
                if found.insert(*first) {
                    queue.push(*first);
                }
            }
        }
        found
    }

    /// The drafts that directly or not require `start`.
    pub(super) fn dependents_of(&self, start: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut queue = vec![start];
        while let Some(at) = queue.pop() {
            for next in &self.all[at].required_by {
                if found.insert(*next) {
                    queue.push(*next);
                }
            }
        }
        found
    }
}

/// Whether the plan destroys what is deposed at an address.
fn takes_deposed(inputs: &Inputs<'_, '_>, address: &Address) -> bool {
    let targets = &inputs.options.targets;
    targets.is_empty() || targets.contains(address)
}

/// The container whose old half a living resource stands in, where the plan destroys that.
fn deposed_container(inputs: &Inputs<'_, '_>, record: &Recorded) -> Option<Address> {
    let container = record.meta.inside.clone()?;
    let goes = stands_in_deposed(inputs.snapshot, record) && takes_deposed(inputs, &container);
    goes.then_some(container)
}

fn draft(inputs: &Inputs<'_, '_>, node: &NodeDiff<'_>, action: Action, reason: Reason) -> Draft {
    let declaration = node.declared.map(|at| &inputs.declarations.resources[at]);
    let record = node.record.as_deref();
    let makes = matches!(action, Action::Create | Action::Update | Action::Record);
    let (meta, depends_on, args) = match (declaration, record) {
        (Some(declaration), _) if makes => {
            let mut meta = declaration.meta.clone();
            meta.after.sort();
            meta.after.dedup();
            if action == Action::Create && meta.imported {
                // What takes the place of what was there before is kplan's own.
                meta.imported = false;
            }
            (
                meta,
                graph::depends_on(declaration),
                Some(node.args.clone()),
            )
        }
        (_, Some(record)) => (record.meta.clone(), record.depends_on.clone(), None),
        _ => (Meta::default(), Vec::new(), None),
    };
    let holds = inputs
        .kinds
        .get(node.address.kind())
        .and_then(|info| info.holds);
    Draft {
        address: node.address.clone(),
        action,
        before: record.cloned(),
        args,
        meta,
        depends_on,
        changes: Vec::new(),
        reason,
        requires: BTreeSet::new(),
        required_by: Vec::new(),
        pair: None,
        goes_with: None,
        loses: holds
            .filter(|_| action == Action::Delete)
            .map(str::to_owned),
        operation: None,
        origin: declaration.map_or(Origin::State, |declaration| declaration.origin),
    }
}
