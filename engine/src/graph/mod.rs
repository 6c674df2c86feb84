//! The resource graph: what is declared and what is on record, and what each needs before it.
//! Nodes stand in address order, so that the same resources give the same graph in whatever
//! order the file names them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod cycle;
mod error;
mod recorded;
#[cfg(test)]
mod tests;

pub use error::{CycleEdge, GraphError};

use kplan_model::{
    Address, Declaration, Declarations, Kind, KindInfo, Origin, Snapshot, Text, Value,
};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// The tables of all registered kinds.
pub type Kinds = BTreeMap<Kind, &'static KindInfo>;

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its address.
    pub address: Address,
    /// Its place in [`Declarations::resources`], where the file asks for it.
    pub declared: Option<usize>,
    /// Whether it is on record.
    pub recorded: bool,
}

/// Why one resource needs another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeReason {
    /// A field refers to an attribute of it.
    Reference {
        /// The field.
        field: Text,
        /// The attribute.
        attribute: Text,
    },
    /// It lives inside it.
    Inside,
    /// It is declared to come after it.
    After,
    /// It depended on it when it was last applied.
    Recorded,
}

/// The graph. Edges lead from a resource to what it needs.
#[derive(Debug)]
pub struct Graph {
    inner: DiGraph<Node, Edge>,
    index: BTreeMap<Address, NodeIndex>,
    order: Vec<NodeIndex>,
    recorded: recorded::Relation,
}

#[derive(Clone, Debug)]
struct Edge {
    reason: EdgeReason,
    origin: Origin,
}

/// Builds the graph of everything declared and everything on record. All errors are collected.
/// Time and memory grow linearly with resources and references (times the logarithm of a map).
///
/// A circle among declarations is an error. A circle among records is not: an edit that turned
/// dependencies round and was cut off leaves one, and nothing could be planned or destroyed any
/// more. There the edges named by [`Graph::dropped`] are left out.
pub fn build(
    declarations: &Declarations,
    snapshot: &Snapshot,
    kinds: &Kinds,
) -> Result<Graph, Vec<GraphError>> {
    let mut errors = Vec::new();
    let (inner, index) = nodes(declarations, snapshot, kinds, &mut errors);
    let mut graph = Graph {
        inner,
        index,
        order: Vec::new(),
        recorded: recorded::Relation::default(),
    };
    for at in 0..graph.inner.node_count() {
        let at = NodeIndex::new(at);
        let Some(place) = graph.inner[at].declared else {
            continue;
        };
        let declaration = &declarations.resources[place];
        check_fields(declaration, kinds, &mut errors);
        for (target, edge) in graph.declared_edges(declaration, kinds, &mut errors) {
            graph.inner.add_edge(at, target, edge);
        }
    }
    graph.add_recorded(snapshot);
    for value in declarations.outputs.values() {
        value.for_each_ref(&mut |reference| {
            graph.target(
                reference,
                kinds,
                (None, "outputs", Origin::Default),
                &mut errors,
            );
        });
    }
    graph.order = graph.topological();
    if graph.order.len() < graph.inner.node_count() {
        errors.extend(cycle::shortest(&graph.inner));
    }
    if errors.is_empty() {
        Ok(graph)
    } else {
        Err(errors)
    }
}

fn nodes(
    declarations: &Declarations,
    snapshot: &Snapshot,
    kinds: &Kinds,
    errors: &mut Vec<GraphError>,
) -> (DiGraph<Node, Edge>, BTreeMap<Address, NodeIndex>) {
    let mut all: BTreeMap<&Address, (Option<usize>, bool)> = BTreeMap::new();
    for (place, declaration) in declarations.resources.iter().enumerate() {
        let entry = all.entry(&declaration.address).or_default();
        if let Some(first) = entry.0 {
            errors.push(GraphError::Duplicate {
                address: declaration.address.clone(),
                first: declarations.resources[first].origin,
                second: declaration.origin,
            });
        } else {
            entry.0 = Some(place);
        }
    }
    for address in snapshot.resources.keys() {
        all.entry(address).or_default().1 = true;
    }
    let mut inner = DiGraph::with_capacity(all.len(), 0);
    for (address, (declared, recorded)) in all {
        if !kinds.contains_key(address.kind()) {
            errors.push(GraphError::UnknownKind {
                address: address.clone(),
                origin: declared.map_or(Origin::State, |at| declarations.resources[at].origin),
            });
        }
        inner.add_node(Node {
            address: address.clone(),
            declared,
            recorded,
        });
    }
    // Made as a whole: its nodes are full then.
    let positions = inner.node_indices();
    let index = positions.map(|at| (inner[at].address.clone(), at));
    let index = index.collect();
    (inner, index)
}

/// Every argument must stand in the kind's table, or the differ would never look at it.
fn check_fields(declaration: &Declaration, kinds: &Kinds, errors: &mut Vec<GraphError>) {
    let Some(info) = kinds.get(declaration.address.kind()) else {
        return;
    };
    for name in declaration.args.keys() {
        if info.field(name).is_none() {
            errors.push(GraphError::UnknownField {
                address: declaration.address.clone(),
                field: name.to_string(),
                origin: origin_of(declaration, name),
            });
        }
    }
}

fn origin_of(declaration: &Declaration, field: &str) -> Origin {
    declaration
        .field_origins
        .get(field)
        .copied()
        .unwrap_or(declaration.origin)
}

fn refers(value: &Value) -> bool {
    match value {
        Value::Ref(_) => true,
        Value::List(items) => items.iter().any(refers),
        Value::Map(map) => map.values().any(refers),
        _ => false,
    }
}

impl Graph {
    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.inner.node_count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inner.node_count() == 0
    }

    /// The resources in address order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.inner.node_weights()
    }

    /// The resource of that address.
    pub fn node(&self, address: &Address) -> Option<&Node> {
        self.index.get(address).map(|at| &self.inner[*at])
    }

    /// The resources, each after everything it needs; among those that could stand next, the
    /// smallest address first.
    pub fn ordered(&self) -> impl Iterator<Item = &Node> {
        self.order.iter().map(|at| &self.inner[*at])
    }

    /// What the resource needs, in address order.
    pub fn dependencies(&self, address: &Address) -> Vec<&Address> {
        self.neighbours(address, Direction::Outgoing)
    }

    /// What needs the resource, in address order.
    pub fn dependents(&self, address: &Address) -> Vec<&Address> {
        self.neighbours(address, Direction::Incoming)
    }

    /// Every edge: the resource, what it needs, and why; in address order.
    pub fn edges(&self) -> impl Iterator<Item = (&Address, &Address, &EdgeReason)> {
        self.inner.edge_references().map(|edge| {
            (
                &self.inner[edge.source()].address,
                &self.inner[edge.target()].address,
                &edge.weight().reason,
            )
        })
    }

    /// The position of an address among [`Graph::nodes`].
    pub(crate) fn position(&self, address: &Address) -> Option<usize> {
        self.index.get(address).map(|at| at.index())
    }

    /// The node at a position.
    pub(crate) fn at(&self, position: usize) -> Option<&Node> {
        self.inner.node_weight(NodeIndex::new(position))
    }

    /// Positions in dependency order.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> {
        self.order.iter().map(|at| at.index())
    }

    /// Positions of what the node at `position` needs, ascending.
    pub(crate) fn needs(&self, position: usize) -> Vec<usize> {
        let mut found: Vec<usize> = self
            .inner
            .neighbors(NodeIndex::new(position))
            .map(NodeIndex::index)
            .collect();
        found.sort_unstable();
        found
    }

    /// Positions of what the living resource at `position` depended on when it was last applied,
    /// its container included; without what would close a circle.
    pub(crate) fn recorded_needs(&self, position: usize) -> impl Iterator<Item = usize> {
        self.recorded.needs(position)
    }

    /// Dependencies on record that are left out because they would close a circle: a resource and
    /// what it depended on when it was last applied. In address order.
    pub fn dropped(&self) -> &[(Address, Address)] {
        &self.recorded.dropped
    }

    fn neighbours(&self, address: &Address, direction: Direction) -> Vec<&Address> {
        let Some(at) = self.index.get(address) else {
            return Vec::new();
        };
        let mut found: Vec<&Address> = self
            .inner
            .neighbors_directed(*at, direction)
            .map(|other| &self.inner[other].address)
            .collect();
        found.sort();
        found
    }

    /// Kahn's algorithm; nodes that stand on a cycle are left out.
    fn topological(&self) -> Vec<NodeIndex> {
        let mut missing: Vec<usize> = self
            .inner
            .node_indices()
            .map(|at| self.inner.edges(at).count())
            .collect();
        let mut ready: BinaryHeap<Reverse<NodeIndex>> = self
            .inner
            .node_indices()
            .filter(|at| missing[at.index()] == 0)
            .map(Reverse)
            .collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(Reverse(at)) = ready.pop() {
            order.push(at);
            for dependent in self.inner.neighbors_directed(at, Direction::Incoming) {
                let left = &mut missing[dependent.index()];
                *left -= 1;
                if *left == 0 {
                    ready.push(Reverse(dependent));
                }
            }
        }
        order
    }

    /// One edge for each resource that `declaration` needs, for the first reason there is.
    fn declared_edges(
        &self,
        declaration: &Declaration,
        kinds: &Kinds,
        errors: &mut Vec<GraphError>,
    ) -> BTreeMap<NodeIndex, Edge> {
        let mut edges = BTreeMap::new();
        for (field, value) in declaration.args.iter().filter(|(_, value)| refers(value)) {
            let origin = origin_of(declaration, field);
            value.for_each_ref(&mut |reference| {
                let from = (Some(&declaration.address), field.as_str(), origin);
                if let Some(target) = self.target(reference, kinds, from, errors) {
                    let reason = EdgeReason::Reference {
                        field: field.clone(),
                        attribute: reference.attribute.clone(),
                    };
                    edges.entry(target).or_insert(Edge { reason, origin });
                }
            });
        }
        let origin = declaration.origin;
        let inside = declaration
            .meta
            .inside
            .iter()
            .map(|to| (to, EdgeReason::Inside));
        let after = declaration
            .meta
            .after
            .iter()
            .map(|to| (to, EdgeReason::After));
        for (to, reason) in inside.chain(after) {
            match self.index.get(to) {
                Some(target) if self.inner[*target].declared.is_some() => {
                    edges.entry(*target).or_insert(Edge { reason, origin });
                }
                _ => errors.push(GraphError::UnknownTarget {
                    address: Some(declaration.address.clone()),
                    field: None,
                    target: to.clone(),
                    origin,
                }),
            }
        }
        edges
    }

    /// The node a reference leads to, if it is declared and has that attribute.
    fn target(
        &self,
        reference: &kplan_model::Ref,
        kinds: &Kinds,
        (address, field, origin): (Option<&Address>, &str, Origin),
        errors: &mut Vec<GraphError>,
    ) -> Option<NodeIndex> {
        let target = self
            .index
            .get(&reference.address)
            .filter(|at| self.inner[**at].declared.is_some());
        let Some(target) = target else {
            errors.push(GraphError::UnknownTarget {
                address: address.cloned(),
                field: Some(field.to_owned()),
                target: reference.address.clone(),
                origin,
            });
            return None;
        };
        let first = reference.attribute.split('.').next().unwrap_or_default();
        let info = kinds.get(reference.address.kind())?;
        if first != "id" && info.field(first).is_none() {
            errors.push(GraphError::UnknownAttribute {
                address: address.cloned(),
                field: field.to_owned(),
                target: reference.address.clone(),
                attribute: reference.attribute.to_string(),
                known: info.fields.iter().map(|field| field.name).collect(),
                origin,
            });
            return None;
        }
        Some(*target)
    }

    /// What resources that are only on record depended on, as far as it still exists here. Such a
    /// circle runs through them alone: nothing declared needs what is not.
    fn add_recorded(&mut self, snapshot: &Snapshot) {
        self.recorded = recorded::Relation::of(&self.inner, &self.index, snapshot);
        for (at, to, reason) in self.recorded.edges() {
            let (at, to) = (NodeIndex::new(at), NodeIndex::new(to));
            if self.inner[at].declared.is_none() {
                let origin = Origin::State;
                self.inner.add_edge(at, to, Edge { reason, origin });
            }
        }
    }
}

/// The addresses a declaration depends on: its references, `after` and `inside`; sorted.
pub fn depends_on(declaration: &Declaration) -> Vec<Address> {
    let mut all: BTreeSet<&Address> = BTreeSet::new();
    for value in declaration.args.values() {
        value.for_each_ref(&mut |reference| {
            all.insert(&reference.address);
        });
    }
    all.extend(&declaration.meta.after);
    all.extend(&declaration.meta.inside);
    all.into_iter().cloned().collect()
}
