//! What the living resources depended on when they were last applied, without circles.
//!
//! Each apply leaves records without a circle. But records are written one by one: an edit that
//! turns dependencies round and is cut off leaves some of the old file and some of the new one.

use super::{Edge, EdgeReason, Node};
use kplan_model::{Address, Snapshot};
use petgraph::algo::{is_cyclic_directed, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

/// The relation, and what was left out of it.
#[derive(Debug, Default)]
pub(super) struct Relation {
    /// By position: what it depended on, and why.
    needs: BTreeMap<usize, BTreeMap<usize, EdgeReason>>,
    /// The edges that would close a circle, in address order.
    pub(super) dropped: Vec<(Address, Address)>,
}

impl Relation {
    /// The relation over the nodes of `declared`, which holds the declared edges.
    pub(super) fn of(
        declared: &DiGraph<Node, Edge>,
        index: &BTreeMap<Address, NodeIndex>,
        snapshot: &Snapshot,
    ) -> Self {
        let mut relation = Self::default();
        for (address, at) in index {
            let Some(record) = snapshot.resources.get(address) else {
                continue;
            };
            let inside = record.meta.inside.iter().map(|to| (to, EdgeReason::Inside));
            let others = record.depends_on.iter();
            let others = others.map(|to| (to, EdgeReason::Recorded));
            for (to, reason) in inside.chain(others) {
                if let Some(to) = index.get(to).filter(|to| *to != at) {
                    let needs = relation.needs.entry(at.index()).or_default();
                    needs.entry(to.index()).or_insert(reason);
                }
            }
        }
        relation.break_circles(declared);
        relation
    }

    /// Positions of what the one at `position` depended on, ascending.
    pub(super) fn needs(&self, position: usize) -> impl Iterator<Item = usize> {
        let needs = self.needs.get(&position).into_iter();
        needs.flat_map(|needs| needs.keys().copied())
    }

    /// Every edge.
    pub(super) fn edges(&self) -> impl Iterator<Item = (usize, usize, EdgeReason)> {
        self.needs.iter().flat_map(|(at, needs)| {
            let edges = needs.iter();
            edges.map(|(to, reason)| (*at, *to, reason.clone()))
        })
    }

    /// Leaves out what closes a circle. What the file still says stays, then what lives inside
    /// what, then the rest by address. Each edge left out does close a circle; each is looked at
    /// once, within its knot alone.
    fn break_circles(&mut self, declared: &DiGraph<Node, Edge>) {
        let edges = || self.edges().map(|(at, to, _)| (index(at), index(to)));
        let mut whole: DiGraph<(), ()> = DiGraph::with_capacity(declared.node_count(), 0);
        for _ in 0..declared.node_count() {
            whole.add_node(());
        }
        whole.extend_with_edges(edges());
        if !is_cyclic_directed(&whole) {
            return;
        }
        for knot in tarjan_scc(&whole) {
            let knot: BTreeSet<usize> = knot.into_iter().map(NodeIndex::index).collect();
            if knot.len() > 1 {
                self.untie(&knot, declared);
            }
        }
        self.dropped.sort();
    }

    fn untie(&mut self, knot: &BTreeSet<usize>, declared: &DiGraph<Node, Edge>) {
        let mut candidates: Vec<(u8, usize, usize)> = Vec::new();
        for at in knot {
            for (to, reason) in self.needs.get(at).into_iter().flatten() {
                let rank = if declared.contains_edge(index(*at), index(*to)) {
                    0
                } else if *reason == EdgeReason::Inside {
                    1
                } else {
                    2
                };
                if knot.contains(to) {
                    candidates.push((rank, *at, *to));
                }
            }
        }
        candidates.sort_unstable();
        let mut kept: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (_, at, to) in candidates {
            if reaches(&kept, to, at) {
                if let Some(needs) = self.needs.get_mut(&at) {
                    needs.remove(&to);
                }
                let address = |at: usize| declared[index(at)].address.clone();
                self.dropped.push((address(at), address(to)));
            } else {
                kept.entry(at).or_default().push(to);
            }
        }
    }
}

fn index(at: usize) -> NodeIndex {
    NodeIndex::new(at)
}

/// Whether `goal` can be reached from `start`.
fn reaches(edges: &BTreeMap<usize, Vec<usize>>, start: usize, goal: usize) -> bool {
    let mut seen = BTreeSet::from([start]);
    let mut queue = vec![start];
    while let Some(at) = queue.pop() {
        if at == goal {
            return true;
        }
        let next = edges.get(&at).into_iter().flatten();
        queue.extend(next.filter(|to| seen.insert(**to)));
    }
    false
}
