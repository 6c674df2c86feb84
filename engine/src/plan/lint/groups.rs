//! The linter's count of groups: no more members down at once than may be, and enough left.

use super::Lint;
use crate::plan::ready::{Members, Unit, unit_of};
use kplan_model::{Action, Address, Disruption, Group, Kind, Reason, Status, Step};
use std::collections::BTreeMap;

fn unit(step: &Step) -> Unit<'_> {
    unit_of(&step.address)
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
                // What is drained, or is not any more, votes all the same.
                let still = [Action::Record, Action::Forget, Action::Operate];
                if !still.contains(&step.action) {
                    entry.all.entry(unit(step)).or_default().push(step);
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
    /// By unit: the steps that take it down, and the waits until it is back.
    units: BTreeMap<Unit<'a>, Vec<&'a Step>>,
    /// By unit: every step that does something.
    all: BTreeMap<Unit<'a>, Vec<&'a Step>>,
    /// Whether something of it is left or made.
    grows: bool,
}

impl<'a> GroupSteps<'a> {
    fn new(group: &'a Group) -> Self {
        Self {
            group,
            units: BTreeMap::new(),
            all: BTreeMap::new(),
            grows: false,
        }
    }

    fn check(&self, lint: &Lint<'a>) -> Option<(&'a Step, String)> {
        let mut members = Members::default();
        let mut stays = self.grows;
        for record in lint.snapshot.resources.values() {
            let group = record.meta.group.as_ref();
            let ours = group.is_some_and(|group| group.name == self.group.name);
            if ours && lint.living(&record.address).is_some() {
                stays |= !lint.unmake.contains_key(&record.address);
                let info = lint.kinds.get(record.address.kind());
                let status = info.map_or(record.status, |info| info.standing(record));
                members.add(&record.address, status);
            }
        }
        let touched = self.units.iter();
        let touched: BTreeMap<Unit<'a>, &Vec<&Step>> = touched
            .filter(|(unit, _)| members.is_ready(**unit))
            .map(|(unit, steps)| (*unit, steps))
            .collect();
        let gone = |steps: &&&Vec<&Step>| steps.iter().all(|step| step.args.is_none());
        let deleted = touched.values().filter(gone).count();
        let width = usize::try_from(self.group.max_parallel.max(1)).unwrap_or(1);
        let turns = (touched.len() - deleted).min(width + forced(lint, &touched, width));
        let ready = members.ready() + self.repaired(lint, &members, &touched);
        let left = ready.saturating_sub(deleted + turns);
        let short = usize::try_from(self.group.min_ready).is_ok_and(|needed| left < needed);
        let step = touched
            .values()
            .next()
            .filter(|_| stays && short)?
            .first()?;
        let name = &self.group.name;
        Some((
            *step,
            format!("only {left} members of group `{name}` would be ready"),
        ))
    }

    /// Units that are not ready now and are whole before any ready one is touched.
    fn repaired(
        &self,
        lint: &Lint<'a>,
        members: &Members<'a>,
        touched: &BTreeMap<Unit<'a>, &Vec<&'a Step>>,
    ) -> usize {
        let later: Vec<&Step> = touched
            .values()
            .flat_map(|steps| steps.iter().copied())
            .collect();
        let repaired = |unit: &Unit<'a>, steps: &Vec<&Step>| {
            let whole = members.kinds(unit.0).all(|kind| {
                let address = address(kind, *unit);
                let made = lint.make.get(&address);
                let made = made.is_some_and(|step| step.action != Action::Record);
                let stays = !lint.unmake.contains_key(&address);
                let ready = lint
                    .living(&address)
                    .is_some_and(|it| it.status == Status::Ready);
                made || ready && stays
            });
            let before = |step: &&Step| later.iter().all(|it| lint.comes_after(it.id, step.id));
            !members.is_ready(*unit) && whole && steps.iter().all(before)
        };
        self.all
            .iter()
            .filter(|(unit, steps)| repaired(unit, steps))
            .count()
    }
}

fn address(kind: &Kind, (name, index): Unit<'_>) -> Address {
    match index {
        Some(index) => Address::indexed(kind.clone(), name, index),
        None => Address::new(kind.clone(), name),
    }
}

/// How many of the units are down together with others beyond `width`: chains of that width, in
/// which each unit waits for one that began before it.
fn forced<'a>(
    lint: &Lint<'a>,
    touched: &BTreeMap<Unit<'a>, &Vec<&'a Step>>,
    width: usize,
) -> usize {
    let mut units: Vec<&Vec<&Step>> = touched.values().copied().collect();
    units.sort_by_key(|steps| steps.iter().map(|step| step.id).min());
    let follows = |unit: &Vec<&Step>, earlier: &Vec<&Step>| {
        let ends = earlier.iter();
        let mut ends = ends.flat_map(|end| unit.iter().map(|step| (step.id, end.id)));
        ends.all(|(step, end)| lint.comes_after(step, end))
    };
    let waits = |place: &usize| units[..*place].iter().any(|it| follows(units[*place], it));
    (width..units.len()).filter(|place| !waits(place)).count()
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
        // What is drained still votes, and its delete waits its turn.
        Action::Forget | Action::Record | Action::Operate => false,
    }
}
