//! Replacements: which half comes first.
//!
//! Each kind says what it prefers. Two things override it:
//!
//! * What lives inside a container that goes follows the container.
//! * What must be destroyed before something that is destroyed first and made anew is destroyed
//!   first, too: keeping its old half until its new half is there might need the new half of
//!   the other, which waits for this old half to go: a circle. The same holds for a container
//!   whose contents must go early, as they go with it.

use super::containers::Containers;
use super::make::Inputs;
use super::relations::Relations;
use crate::diff::Change;
use kplan_model::ReplaceOrder;

/// The outcome, by position.
pub(super) struct Orders {
    /// The order of a chosen replacement.
    pub(super) replace: Vec<Option<ReplaceOrder>>,
    /// Whether the living resource must go before something that is destroyed first.
    pub(super) early: Vec<bool>,
}

/// Decides the order of every replacement. `going` tells by position whether the living resource
/// goes. Every node is visited at most twice.
pub(super) fn orders(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    containers: &Containers,
    going: &[bool],
) -> Orders {
    let nodes = &inputs.diff.nodes;
    let mut orders = Orders {
        replace: vec![None; nodes.len()],
        early: vec![false; nodes.len()],
    };
    let mut contents: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut queue = Vec::new();
    for at in (0..nodes.len()).filter(|at| going[*at]) {
        let outer = containers.outer(at);
        if let Some(outer) = outer {
            contents[outer].push(at);
        }
        if !matches!(nodes[at].change, Change::Replace { .. }) {
            // The contents of what goes for good are made anew elsewhere, later.
            queue.extend((outer.is_none()).then_some((at, Cause::Container)));
            continue;
        }
        let info = inputs.kinds.get(nodes[at].address.kind());
        let own = info.map_or(ReplaceOrder::DeleteFirst, |info| info.replace);
        let order = if outer.is_some() {
            ReplaceOrder::CreateFirst
        } else {
            own
        };
        orders.replace[at] = Some(order);
        if order == ReplaceOrder::DeleteFirst {
            queue.push((at, Cause::Itself));
        }
    }
    while let Some((at, cause)) = queue.pop() {
        let inside = contents[at]
            .iter()
            .filter(|inner| orders.replace[**inner] != Some(ReplaceOrder::DeleteFirst));
        let mut next: Vec<(usize, Cause)> =
            inside.map(|inner| (*inner, Cause::Container)).collect();
        if cause != Cause::Container || orders.replace[at].is_some() {
            let first = relations.old_needed_by[at]
                .iter()
                .copied()
                .filter(|dependent| {
                    let apart = containers.separate(at, *dependent)
                        || super::groups::peers(inputs, at, *dependent);
                    going[*dependent] && !apart
                });
            let early = first
                .chain(containers.outer(at))
                .filter(|first| !orders.early[*first]);
            next.extend(early.map(|first| (first, Cause::Early)));
        }
        for (node, cause) in next {
            if cause == Cause::Early {
                orders.early[node] = true;
            }
            if let Some(order) = &mut orders.replace[node] {
                *order = ReplaceOrder::DeleteFirst;
            }
            queue.push((node, cause));
        }
    }
    orders
}

/// Why a node's neighbours are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It is destroyed first.
    Itself,
    /// Its container is destroyed first, or for good.
    Container,
    /// It must go before something that is destroyed first.
    Early,
}
