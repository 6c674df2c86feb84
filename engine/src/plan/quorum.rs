//! Guards: what must stay ready.

use super::draft::Drafts;
use super::groups::Rollout;
use super::report::Together;
use crate::error::Refusal;
use std::collections::BTreeMap;

/// Members ready now and those repaired before, less those that go and as many of the others as
/// may be down at the same time: `min_ready` must be left even at the worst moment. What takes no
/// ready member down is never refused.
pub(super) fn check(
    rollouts: &BTreeMap<&str, Rollout<'_>>,
    drafts: &Drafts,
    refused: &mut Vec<Refusal>,
) {
    for (name, rollout) in rollouts {
        let Some(step) = rollout.culprit().filter(|_| is_short(rollout)) else {
            continue;
        };
        let needed = rollout.group.min_ready;
        let culprit = &drafts.all[step];
        let counted = format!(
            "group `{name}` would have only {} of its members ready, and needs {needed}",
            left(rollout)
        );
        let (message, help) = match rollout.together.first() {
            Some((step, other)) => (
                format!(
                    "{counted}: they cannot be changed one after the other, as they hang \
                     together: {} is made only after {} is changed, and that would have to wait \
                     for it",
                    drafts.all[*other].address, drafts.all[*step].address
                ),
                "leave the change out of the file, nothing was changed: members that stand in \
                 one thing that is replaced cannot outlive it, and members that are joined to \
                 each other would first have to be taken out of the group one by one, which \
                 kplan does not do yet; what is changed in place still is, one after the other"
                    .to_owned(),
            ),
            None if rollout.ready() <= usize::try_from(needed).unwrap_or(usize::MAX) => (
                format!("{counted}: only {} are ready now", rollout.ready()),
                "leave the change out until the others are ready (`kplan plan` shows what they \
                 wait for), or add members first"
                    .to_owned(),
            ),
            None => (
                counted,
                "give up fewer of them at once, or add members first; where the file allows no \
                 number in between, the group does not shrink that far"
                    .to_owned(),
            ),
        };
        refused.push(Refusal {
            code: "plan::quorum",
            address: culprit.address.clone(),
            field: None,
            origin: culprit.origin,
            message,
            help,
        });
    }
}

fn left(rollout: &Rollout<'_>) -> usize {
    (rollout.ready() + rollout.repaired()).saturating_sub(rollout.down())
}

/// Whether too few would be left. A group that is gone from the file needs none.
fn is_short(rollout: &Rollout<'_>) -> bool {
    let needed = usize::try_from(rollout.group.min_ready).unwrap_or(usize::MAX);
    rollout.declared && rollout.down() > 0 && left(rollout) < needed
}

/// The members that do not wait for their turn, for the report.
pub(super) fn together(rollouts: &BTreeMap<&str, Rollout<'_>>, drafts: &Drafts) -> Vec<Together> {
    let mut found = Vec::new();
    for (name, rollout) in rollouts {
        found.extend(rollout.together.iter().map(|(step, other)| Together {
            group: (*name).to_owned(),
            max_parallel: rollout.group.max_parallel.max(1),
            address: drafts.all[*step].address.clone(),
            needed_by: drafts.all[*other].address.clone(),
        }));
    }
    found
}
