//! The linter's count of groups: no more members down at once than may be, and enough left.

use super::Lint;
use kplan_model::{Action, Disruption, Group, Reason, Status, Step};
use std::collections::{BTreeMap, BTreeSet};

/// A unit's name within its group.
type Unit<'a> = (&'a str, Option<u32>);

fn unit(step: &Step) -> Unit<'_> {
    (step.address.name(), step.address.index())
}

impl<'a> Lint<'a> {
    /// No group has more members changing at once than it may, or fewer left than it needs. A
    /// member is changing until what runs on it was waited for.
    pub(super) fn groups(&mut self) {
        let mut groups: BTreeMap<&str, GroupSteps<'a>> = BTreeMap::new();
        for step in &self.plan.steps {
            if let Some(group) = &step.meta.group {
                let entry = groups
                    .entry(&group.name)
                    .or_insert_with(|| GroupSteps::new(group));
                if is_interrupting(step) {
                    entry.units.entry(unit(step)).or_default().push(step);
                }
                if step.only_waits() && step.reason == Reason::Unfinished {
                    entry.waits.push(step);
                }
                if step.args.is_some() {
                    entry.group = group;
                    entry.grows = true;
                }
            }
        }
        for step in &self.plan.steps {
            if let Reason::ParentDisrupted(parent) = &step.reason
                && let Some(parent) = self.make.get(parent)
                && let Some(group) = &parent.meta.group
                && let Some(entry) = groups.get_mut(group.name.as_str())
            {
                entry.units.entry(unit(parent)).or_default().push(step);
            }
        }
        let found: Vec<_> = groups
            .values()
            .filter_map(|steps| steps.check(self))
            .collect();
        for (step, message) in found {
            self.report("lint::group", step, message);
        }
    }
}

struct GroupSteps<'a> {
    group: &'a Group,
    units: BTreeMap<Unit<'a>, Vec<&'a Step>>,
    /// Waits for members that an earlier run left unfinished.
    waits: Vec<&'a Step>,
    /// Whether something of it is left or made.
    grows: bool,
}

impl<'a> GroupSteps<'a> {
    fn new(group: &'a Group) -> Self {
        Self {
            group,
            units: BTreeMap::new(),
            waits: Vec::new(),
            grows: false,
        }
    }

    fn check(&self, lint: &Lint<'a>) -> Option<(&'a Step, String)> {
        let width = usize::try_from(self.group.max_parallel.max(1)).unwrap_or(1);
        let mut units: Vec<&Vec<&Step>> = self.units.values().collect();
        units.sort_by_key(|steps| steps.iter().map(|step| step.id).min());
        // Chains of width `width`: each unit waits for one that began before it. Those that do
        // not are down at the same time, which is fine only as long as enough are left.
        let waits = |place: usize| {
            units[..place].iter().any(|earlier| {
                earlier.iter().all(|end| {
                    units[place]
                        .iter()
                        .all(|step| lint.comes_after(step.id, end.id))
                })
            })
        };
        // Nor is any touched before those that are down already are back.
        let patient = |place: usize| {
            let waits = self.waits.iter();
            waits.copied().all(|first| {
                units[place]
                    .iter()
                    .all(|step| lint.comes_after(step.id, first.id))
            })
        };
        let alone = |place: usize| place < width || waits(place);
        let forced = (0..units.len())
            .filter(|place| !alone(*place) || !patient(*place))
            .count();
        self.floor(lint, width + forced)
    }

    /// Ready members on record, less those that go for good, less those down at once.
    fn floor(&self, lint: &Lint<'a>, width: usize) -> Option<(&'a Step, String)> {
        let mut ready: BTreeSet<Unit<'_>> = BTreeSet::new();
        let mut down: BTreeSet<Unit<'_>> = BTreeSet::new();
        let mut stays = self.grows;
        for record in lint.snapshot.resources.values() {
            let ours = record
                .meta
                .group
                .as_ref()
                .is_some_and(|group| group.name == self.group.name);
            let unit = (record.address.name(), record.address.index());
            if ours && lint.living(&record.address).is_some() {
                stays |= !lint.unmake.contains_key(&record.address);
                match record.status {
                    Status::Ready => drop(ready.insert(unit)),
                    Status::Unfinished if !lint.is_touched(&record.address) => {
                        down.insert(unit);
                    }
                    _ => {}
                }
            }
        }
        ready.retain(|unit| !down.contains(unit));
        let gone = |steps: &&Vec<&Step>| steps.iter().all(|step| step.args.is_none());
        let touched = || self.units.iter().filter(|(unit, _)| ready.contains(*unit));
        let deleted = touched().filter(|(_, steps)| gone(steps)).count();
        let turns = touched().filter(|(_, steps)| !gone(steps)).count();
        let left = ready.len().saturating_sub(deleted + turns.min(width));
        let short = usize::try_from(self.group.min_ready).is_ok_and(|needed| left < needed);
        let (_, steps) = touched().next().filter(|_| stays && short)?;
        let step = steps.first()?;
        let name = &self.group.name;
        Some((
            *step,
            format!("only {left} members of group `{name}` would be ready"),
        ))
    }
}

/// Whether a step takes a member down: it is destroyed (unless its new half is there already),
/// made anew, or changed with an interruption.
fn is_interrupting(step: &Step) -> bool {
    match step.action {
        Action::Delete => !step.pair.is_some_and(|pair| step.requires.contains(&pair)),
        Action::Create => step.pair.is_some_and(|pair| step.requires.contains(&pair)),
        Action::Update => step
            .changes
            .iter()
            .any(|change| change.disruption != Disruption::None),
        Action::Forget | Action::Record => false,
    }
}
