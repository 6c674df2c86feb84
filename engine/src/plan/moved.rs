//! Renames: a delete and a create of one kind that people would call the same thing.

use super::make::Inputs;
use crate::attrs;
use crate::compare::canonical;
use crate::diff::{Change, NodeDiff};
use crate::error::Refusal;
use kplan_model::{Address, Kind, KindInfo, PlanMode, Reason, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What makes two the same: the fields that were compared, and their values.
type Sameness<'a> = (&'a Kind, &'static [&'static str], Vec<Value>);

/// One that goes and one that comes, and could be the same.
struct Pair<'a> {
    old: &'a Address,
    new: &'a NodeDiff<'a>,
    fields: &'static [&'static str],
}

/// Refuses to destroy and make anew what looks renamed, unless its destruction was allowed by
/// name. Never decides silently.
pub(super) fn check(inputs: &Inputs<'_, '_>, chosen: &[bool], refused: &mut Vec<Refusal>) {
    if inputs.options.mode != PlanMode::Apply {
        return;
    }
    let mut pairs = Vec::new();
    let mut told: BTreeSet<&Address> = BTreeSet::new();
    // What is the same by its identity comes first: what is only alike may be another.
    let ways: [fn(&KindInfo) -> &'static [&'static str]; 2] =
        [|info| info.identity, |info| info.alike];
    for fields in ways {
        for pair in matched(inputs, chosen, fields, &told) {
            told.extend([pair.old, pair.new.address]);
            pairs.push(pair);
        }
    }
    refused.extend(refusals(inputs, pairs));
}

/// Each old resource is one new one's at most, in the order of their addresses.
fn matched<'a>(
    inputs: &Inputs<'a, '_>,
    chosen: &'a [bool],
    fields: fn(&KindInfo) -> &'static [&'static str],
    told: &BTreeSet<&Address>,
) -> Vec<Pair<'a>> {
    let mut going: BTreeMap<Sameness<'a>, Vec<&'a Address>> = BTreeMap::new();
    for (node, info) in nodes(inputs, chosen).filter(|(node, _)| !told.contains(node.address)) {
        if matches!(node.change, Change::Delete { .. })
            && !inputs.options.allow_destroy.contains(node.address)
            && let Some(same) = sameness(node, info, fields(info))
        {
            going.entry(same).or_default().push(node.address);
        }
    }
    for all in going.values_mut() {
        all.reverse();
    }
    let mut pairs = Vec::new();
    for (node, info) in nodes(inputs, chosen).filter(|(node, _)| !told.contains(node.address)) {
        let is_new = matches!(
            node.change,
            Change::Create {
                reason: Reason::Declared
            }
        );
        let same = sameness(node, info, fields(info)).filter(|_| is_new);
        let old = same.and_then(|same| going.get_mut(&same)?.pop());
        if let Some(old) = old {
            pairs.push(Pair {
                old,
                new: node,
                fields: fields(info),
            });
        }
    }
    pairs
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
}

/// The values of those fields: of the living resource, or else as asked for. `None` where one is
/// not known, or nothing is to be compared.
fn sameness<'a>(
    node: &NodeDiff<'a>,
    info: &KindInfo,
    fields: &'static [&'static str],
) -> Option<Sameness<'a>> {
    if fields.is_empty() {
        return None;
    }
    let values = fields.iter().map(|name| {
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
    Some((
        node.address.kind(),
        fields,
        values.collect::<Option<Vec<_>>>()?,
    ))
}

/// One for each pair; but all of one name that get another one and keep their numbers are one.
fn refusals(inputs: &Inputs<'_, '_>, pairs: Vec<Pair<'_>>) -> Vec<Refusal> {
    let mut whole: BTreeMap<(&Kind, &str, &str), Vec<Pair<'_>>> = BTreeMap::new();
    let mut refused = Vec::new();
    for pair in pairs {
        let (old, new) = (pair.old, pair.new.address);
        if old.index().is_some() && old.index() == new.index() {
            let key = (old.kind(), old.name(), new.name());
            whole.entry(key).or_default().push(pair);
        } else {
            refused.push(refusal(inputs, &pair, (old, new)));
        }
    }
    for ((kind, from, to), pairs) in whole {
        let old = Address::new(kind.clone(), from);
        let new = Address::new(kind.clone(), to);
        // A block without a number takes all of that name: none may stay where it is.
        let stays = inputs.diff.nodes.iter().any(|node| {
            (node.address.kind(), node.address.name()) == (kind, from)
                && !pairs.iter().any(|pair| pair.old == node.address)
        });
        match &pairs[..] {
            [first, ..] if !stays => refused.push(refusal(inputs, first, (&old, &new))),
            _ => {
                let each = pairs.iter();
                refused.extend(each.map(|it| refusal(inputs, it, (it.old, it.new.address))));
            }
        }
    }
    refused.sort_by(|a, b| a.address.cmp(&b.address));
    refused
}

fn refusal(inputs: &Inputs<'_, '_>, pair: &Pair<'_>, (old, new): (&Address, &Address)) -> Refusal {
    let origin = pair
        .new
        .declared
        .map(|at| inputs.declarations.resources[at].origin)
        .unwrap_or_default();
    Refusal {
        code: "plan::looks_moved",
        address: new.clone(),
        field: None,
        origin,
        message: format!(
            "it agrees with {old}, which is no longer in the file, on {}: this looks like a rename, \
             and would be a destruction",
            pair.fields.join(", ")
        ),
        help: format!(
            "if it is a rename, say so: [[moved]] from = \"{old}\", to = \"{new}\"; if the old one is \
             to be destroyed, say that: [[removed]] from = \"{old}\", or --allow-destroy {}",
            pair.old
        ),
    }
}
