//! Guards: what may not be destroyed.

use super::draft::Drafts;
use super::make::Inputs;
use super::relations::Relations;
use crate::diff::Change;
use crate::error::Refusal;
use kplan_model::{Action, Address, Origin, PlanMode};
use std::collections::BTreeSet;

pub(super) fn check(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    drafts: &Drafts,
    refused: &mut Vec<Refusal>,
) {
    let guarded: BTreeSet<&Address> = inputs
        .declarations
        .resources
        .iter()
        .filter(|declaration| declaration.meta.protect)
        .map(|declaration| &declaration.address)
        .collect();
    for draft in drafts
        .all
        .iter()
        .filter(|draft| draft.action == Action::Delete)
    {
        let allowed = inputs.options.allow_destroy.contains(&draft.address);
        let meta = draft.before.as_ref().map(|record| &record.meta);
        let is_imported = meta.is_some_and(|meta| meta.imported);
        if meta.is_some_and(|meta| meta.protect) || guarded.contains(&draft.address) {
            refused.push(protected(&draft.address, draft.origin));
        } else if is_imported {
            if !allowed {
                refused.push(imported(&draft.address, draft.origin));
            }
        } else if let Some(lost) = &draft.loses
            && inputs.options.mode == PlanMode::Apply
            && !allowed
        {
            refused.push(holds(&draft.address, draft.origin, lost));
        }
    }
    kept_inside(inputs, relations, drafts, refused);
}

fn protected(address: &Address, origin: Origin) -> Refusal {
    Refusal {
        code: "plan::protected",
        address: address.clone(),
        field: None,
        origin,
        message: "it is protected and would be destroyed".to_owned(),
        help: "set `protect = false`, apply that, then try again; removing its block from the \
               file does not lift the protection"
            .to_owned(),
    }
}

/// What was there before kplan is nobody's to lose by accident, whatever it holds.
fn imported(address: &Address, origin: Origin) -> Refusal {
    Refusal {
        code: "plan::imported",
        address: address.clone(),
        field: None,
        origin,
        message: "it was there before kplan, is protected, and would be destroyed".to_owned(),
        help: format!(
            "to leave it in the account, say [[removed]] from = \"{address}\", keep = true; to have it \
             destroyed, allow it by name: --allow-destroy {address}; to let kplan treat it as its own, \
             set `protect = false` and apply"
        ),
    }
}

fn holds(address: &Address, origin: Origin, lost: &str) -> Refusal {
    Refusal {
        code: "plan::would_lose",
        address: address.clone(),
        field: None,
        origin,
        message: format!("destroying it loses {lost} for ever"),
        help: format!("if that is wanted, allow it by name: --allow-destroy {address}"),
    }
}

/// What is kept must not stand in a container that goes.
fn kept_inside(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    drafts: &Drafts,
    refused: &mut Vec<Refusal>,
) {
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let destroyed = |step: usize| drafts.all[step].action == Action::Delete;
        let goes = relations.old_inside[at]
            .is_some_and(|outer| drafts.unmake[outer].is_some_and(destroyed));
        let is_forgotten =
            node.change == Change::Forget && inputs.options.mode == PlanMode::Destroy;
        if (node.change == Change::Kept || is_forgotten) && goes {
            refused.push(Refusal {
                code: "plan::kept_inside",
                address: node.address.clone(),
                field: None,
                origin: Origin::State,
                message: "it is marked to be kept, but lives inside something that is destroyed"
                    .to_owned(),
                help: "keep its container, too, or destroy both".to_owned(),
            });
        }
    }
}
