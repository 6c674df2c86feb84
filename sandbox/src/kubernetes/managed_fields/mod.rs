//! Who set which field: sets of field paths, and the ownership that server-side apply keeps.

mod codec;
mod managers;
mod walk;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub(crate) use managers::{Change, Managers};
use walk::{compare, field_set, merge, remove};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A key of a map.
    Field(String),
    /// An item of a list map: its keys as JSON with sorted names.
    Key(String),
    /// An item of a set, as JSON.
    Value(String),
}

impl fmt::Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(out, ".{name}"),
            Element::Value(value) => write!(out, "[={value}]"),
            Element::Key(keys) => {
                let parsed: Value = serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<String> = parsed
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                write!(out, "[{}]", pairs.join(","))
            }
        }
    }
}

/// A set of paths, as a tree. Nodes that are neither members nor lead to one are never kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    nodes: BTreeMap<Element, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl FieldSet {
    /// Whether no path is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a path.
    pub(crate) fn insert(&mut self, path: &[Element]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.nodes.entry(first.clone()).or_default();
            if rest.is_empty() {
                node.member = true;
            } else {
                node.below.insert(rest);
            }
        }
    }

    /// Whether the path itself or anything below it is in the set.
    pub(crate) fn touches(&self, path: &[Element]) -> bool {
        match path.split_first() {
            None => !self.is_empty(),
            Some((first, rest)) => self.nodes.get(first).is_some_and(|node| {
                if rest.is_empty() {
                    !node.is_empty()
                } else {
                    node.below.touches(rest)
                }
            }),
        }
    }

    /// Paths in either set.
    pub(crate) fn union(&self, other: &FieldSet) -> FieldSet {
        let mut nodes = self.nodes.clone();
        for (element, theirs) in &other.nodes {
            let ours = nodes.entry(element.clone()).or_default();
            ours.member |= theirs.member;
            ours.below = ours.below.union(&theirs.below);
        }
        FieldSet { nodes }
    }

    /// Paths in both sets.
    pub(crate) fn intersection(&self, other: &FieldSet) -> FieldSet {
        self.zip(other, |ours, theirs| ours && theirs, FieldSet::intersection)
    }

    /// Paths in this set that are not in the other.
    pub(crate) fn difference(&self, other: &FieldSet) -> FieldSet {
        self.zip(other, |ours, theirs| ours && !theirs, FieldSet::difference)
    }

    /// Paths in this set of which neither they nor a parent is in the other.
    pub(crate) fn without_subtrees(&self, other: &FieldSet) -> FieldSet {
        let nodes = self.nodes.iter().filter_map(|(element, ours)| {
            let kept = match other.nodes.get(element) {
                Some(theirs) if theirs.member => return None,
                Some(theirs) => Node {
                    member: ours.member,
                    below: ours.below.without_subtrees(&theirs.below),
                },
                None => ours.clone(),
            };
            (!kept.is_empty()).then(|| (element.clone(), kept))
        });
        FieldSet {
            nodes: nodes.collect(),
        }
    }

    fn zip(
        &self,
        other: &FieldSet,
        member: impl Fn(bool, bool) -> bool,
        below: impl Fn(&FieldSet, &FieldSet) -> FieldSet,
    ) -> FieldSet {
        let nothing = Node::default();
        let nodes = self.nodes.iter().filter_map(|(element, ours)| {
            let theirs = other.nodes.get(element).unwrap_or(&nothing);
            let kept = Node {
                member: member(ours.member, theirs.member),
                below: below(&ours.below, &theirs.below),
            };
            (!kept.is_empty()).then(|| (element.clone(), kept))
        });
        FieldSet {
            nodes: nodes.collect(),
        }
    }

    /// Every path in the set, parents before children.
    pub(crate) fn paths(&self) -> Vec<Vec<Element>> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<Element>, out: &mut Vec<Vec<Element>>) {
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            if node.member {
                out.push(prefix.clone());
            }
            node.below.collect(prefix, out);
            prefix.pop();
        }
    }

    /// Takes out what lies at or below one of the paths of map keys.
    pub(crate) fn strip(&self, paths: &[&[&str]]) -> FieldSet {
        let mut stripped = FieldSet::default();
        for path in paths {
            let path: Vec<Element> = path
                .iter()
                .map(|&key| Element::Field(key.to_owned()))
                .collect();
            stripped.insert(&path);
        }
        self.without_subtrees(&stripped)
    }

    /// The set without one map key itself; what lies below it stays.
    pub(crate) fn disown(mut self, key: &str) -> FieldSet {
        let element = Element::Field(key.to_owned());
        if let Some(node) = self.nodes.get_mut(&element) {
            node.member = false;
            if node.is_empty() {
                self.nodes.remove(&element);
            }
        }
        self
    }

    /// Keeps only what lies below one map key.
    pub(crate) fn only(&self, key: &str) -> FieldSet {
        let nodes = self
            .nodes
            .iter()
            .filter(|(e, _)| **e == Element::Field(key.to_owned()));
        FieldSet {
            nodes: nodes.map(|(e, n)| (e.clone(), n.clone())).collect(),
        }
    }

    /// The set plus every declared field on the way to a member: dropping the last field of a
    /// struct drops the struct.
    pub(crate) fn with_declared_parents(&self, schema: super::schema::Schema<'_>) -> FieldSet {
        use super::schema::Child;
        let nodes = self.nodes.iter().map(|(element, node)| {
            let (declared, below) = match element {
                Element::Field(name) => match schema.child(name) {
                    Child::Declared(below) => (true, below),
                    other => (false, other.schema()),
                },
                Element::Key(_) | Element::Value(_) => (false, schema.items()),
            };
            let member = node.member || declared;
            (
                element.clone(),
                Node {
                    member,
                    below: node.below.with_declared_parents(below),
                },
            )
        });
        FieldSet {
            nodes: nodes.collect(),
        }
    }
}

/// A path the way conflicts name it: `.spec.template.spec.containers[name="web"].image`.
pub(crate) fn path_text(path: &[Element]) -> String {
    path.iter().map(Element::to_string).collect()
}
