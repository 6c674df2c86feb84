//! The shortest circle of each knot of resources that need each other.

use super::{CycleEdge, Edge, GraphError, Node};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A knot is searched from this many of its members only, so that a huge one cannot take
/// quadratic time; the circle reported is then the shortest through one of these.
const STARTS: usize = 64;

/// One error per knot (strongly connected component), ordered by address.
pub(super) fn shortest(graph: &DiGraph<Node, Edge>) -> Vec<GraphError> {
    let mut knots: Vec<BTreeSet<NodeIndex>> = tarjan_scc(graph)
        .into_iter()
        .map(|knot| knot.into_iter().collect::<BTreeSet<_>>())
        .filter(|knot| knot.len() > 1 || knot.iter().any(|at| graph.contains_edge(*at, *at)))
        .collect();
    knots.sort();
    knots
        .iter()
        .filter_map(|knot| {
            knot.iter()
                .take(STARTS)
                .filter_map(|start| circle(graph, knot, *start))
                .min_by_key(Vec::len)
        })
        .map(|path| GraphError::Cycle {
            edges: describe(graph, &path),
        })
        .collect()
}

/// The shortest way from `start` back to itself inside the knot, by breadth-first search.
fn circle(
    graph: &DiGraph<Node, Edge>,
    knot: &BTreeSet<NodeIndex>,
    start: NodeIndex,
) -> Option<Vec<NodeIndex>> {
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = graph.neighbors(at).collect();
        next.sort();
        for to in next.into_iter().filter(|to| knot.contains(to)) {
            if to == start {
                let mut path = vec![at];
                while let Some(before) = path.last().and_then(|last| came_from.get(last)) {
                    path.push(*before);
                }
                path.reverse();
                return Some(path);
            }
            came_from.entry(to).or_insert_with(|| {
                queue.push_back(to);
                at
            });
        }
    }
    None
}

fn describe(graph: &DiGraph<Node, Edge>, path: &[NodeIndex]) -> Vec<CycleEdge> {
    let next = path.iter().cycle().skip(1);
    path.iter()
        .zip(next)
        .filter_map(|(from, to)| {
            let edge = graph.edges_connecting(*from, *to).next()?;
            Some(CycleEdge {
                from: graph[edge.source()].address.clone(),
                to: graph[edge.target()].address.clone(),
                reason: edge.weight().reason.clone(),
                origin: edge.weight().origin,
            })
        })
        .collect()
}
