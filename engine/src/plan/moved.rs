//! Renames: a delete and a create of one kind that people would call the same thing.

use super::make::Inputs;
use crate::attrs;
use crate::compare::canonical;
use crate::diff::{Change, NodeDiff};
use crate::error::Refusal;
use kplan_model::{Address, Kind, KindInfo, PlanMode, Value};
use std::collections::BTreeMap;

type Identity<'a> = (&'a Kind, Vec<Value>);

/// Refuses to destroy and make anew what looks renamed, unless its destruction was allowed by
/// name. Never decides silently.
pub(super) fn check(inputs: &Inputs<'_, '_>, chosen: &[bool], refused: &mut Vec<Refusal>) {
    if inputs.options.mode != PlanMode::Apply {
        return;
    }
    let mut going: BTreeMap<Identity<'_>, &Address> = BTreeMap::new();
    for (node, info) in nodes(inputs, chosen) {
        if matches!(node.change, Change::Delete { .. })
            && !inputs.options.allow_destroy.contains(node.address)
            && let Some(identity) = identity(node, info)
        {
            going.entry(identity).or_insert(node.address);
        }
    }
    for (node, info) in nodes(inputs, chosen) {
        let is_new = matches!(node.change, Change::Create { .. });
        let Some(identity) = identity(node, info).filter(|_| is_new) else {
            continue;
        };
        // Each old resource is one new one's at most.
        if let Some(old) = going.remove(&identity) {
            refused.push(refusal(inputs, old, node, info));
        }
    }
}

fn nodes<'a>(
    inputs: &Inputs<'a, '_>,
    chosen: &'a [bool],
) -> impl Iterator<Item = (&'a NodeDiff<'a>, &'static KindInfo)> {
    let kinds = inputs.kinds;
    inputs
        .diff
        .nodes
        .iter()
        .zip(chosen)
        .filter(|(_, chosen)| **chosen)
        .filter_map(|(node, _)| Some((node, *kinds.get(node.address.kind())?)))
        .filter(|(_, info)| !info.identity.is_empty())
}

/// The values of the identity fields: of the living resource, or else as asked for. `None`
/// where one is not known.
fn identity<'a>(node: &NodeDiff<'a>, info: &KindInfo) -> Option<Identity<'a>> {
    let values = info.identity.iter().map(|name| {
        let value = match node.record.as_deref() {
            Some(record) => {
                attrs::set(&record.attrs, name).or_else(|| attrs::set(&record.args, name))
            }
            None => attrs::set(&node.args, name),
        };
        let how = info.field(name)?.compare;
        value
            .filter(|value| value.is_known())
            .map(|value| canonical(how, value))
    });
    Some((node.address.kind(), values.collect::<Option<Vec<_>>>()?))
}

fn refusal(inputs: &Inputs<'_, '_>, old: &Address, new: &NodeDiff<'_>, info: &KindInfo) -> Refusal {
    let origin = new
        .declared
        .map(|at| inputs.declarations.resources[at].origin)
        .unwrap_or_default();
    Refusal {
        code: "plan::looks_moved",
        address: new.address.clone(),
        field: None,
        origin,
        message: format!(
            "it agrees with {old}, which is no longer in the file, on {}: this looks like a rename, \
             and would be a destruction",
            info.identity.join(", ")
        ),
        help: format!(
            "if it is a rename, say so: [[moved]] from = \"{old}\", to = \"{}\"; if the old one is \
             to be destroyed, allow it by name: --allow-destroy {old}",
            new.address
        ),
    }
}
