//! Why the declarations do not make a graph.

use super::EdgeReason;
use kplan_model::{Address, Origin};
use std::fmt;

/// One step around a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleEdge {
    /// The resource.
    pub from: Address,
    /// What it needs.
    pub to: Address,
    /// Why.
    pub reason: EdgeReason,
    /// Where the file says so.
    pub origin: Origin,
}

/// Why the declarations do not make a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphError {
    /// No provider knows the kind.
    UnknownKind {
        /// The resource.
        address: Address,
        /// Where it is declared.
        origin: Origin,
    },
    /// An argument that the kind's table does not have.
    UnknownField {
        /// The resource.
        address: Address,
        /// The argument.
        field: String,
        /// Where it is given.
        origin: Origin,
    },
    /// Two declarations of one address.
    Duplicate {
        /// The address.
        address: Address,
        /// Where it is declared first.
        first: Origin,
        /// Where it is declared again.
        second: Origin,
    },
    /// A reference to, or a relation with, something that is not declared.
    UnknownTarget {
        /// The resource that refers; `None` for an output.
        address: Option<Address>,
        /// The field that refers; `None` for `inside` and `after`.
        field: Option<String>,
        /// What it refers to.
        target: Address,
        /// Where.
        origin: Origin,
    },
    /// A reference to an attribute that the target's kind does not have.
    UnknownAttribute {
        /// The resource that refers; `None` for an output.
        address: Option<Address>,
        /// The field that refers.
        field: String,
        /// The resource referred to.
        target: Address,
        /// The attribute asked for.
        attribute: String,
        /// The fields there are.
        known: Vec<&'static str>,
        /// Where.
        origin: Origin,
    },
    /// Resources that need each other in a circle.
    Cycle {
        /// The shortest circle found, starting at its smallest address.
        edges: Vec<CycleEdge>,
    },
}

impl GraphError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind { .. } => "graph::unknown_kind",
            Self::UnknownField { .. } => "graph::unknown_field",
            Self::Duplicate { .. } => "graph::duplicate",
            Self::UnknownTarget { .. } => "graph::unknown_target",
            Self::UnknownAttribute { .. } => "graph::unknown_attribute",
            Self::Cycle { .. } => "graph::cycle",
        }
    }

    /// Where the file says it.
    pub fn origin(&self) -> Origin {
        match self {
            Self::UnknownKind { origin, .. }
            | Self::UnknownField { origin, .. }
            | Self::UnknownTarget { origin, .. }
            | Self::UnknownAttribute { origin, .. } => *origin,
            Self::Duplicate { second, .. } => *second,
            Self::Cycle { edges } => edges.first().map(|edge| edge.origin).unwrap_or_default(),
        }
    }

    /// What the reader can do.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownKind { .. } => {
                "this state was written by a kplan that knows more kinds; use that version"
                    .to_owned()
            }
            Self::UnknownField { .. } => "this is a bug in kplan; please report it".to_owned(),
            Self::Duplicate { .. } => "rename one of the two".to_owned(),
            Self::UnknownTarget { target, .. } => {
                format!("declare {target}, or remove what refers to it")
            }
            Self::UnknownAttribute { known, .. } => {
                format!("it has `id` and {}", known.join(", "))
            }
            Self::Cycle { .. } => "remove one of these relations".to_owned(),
        }
    }
}

fn who(address: Option<&Address>) -> String {
    address.map_or_else(|| "an output".to_owned(), ToString::to_string)
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind { address, .. } => {
                write!(f, "no provider knows the kind of {address}")
            }
            Self::UnknownField { address, field, .. } => {
                write!(
                    f,
                    "{address} is given `{field}`, which its kind does not have"
                )
            }
            Self::Duplicate { address, .. } => write!(f, "{address} is declared twice"),
            Self::UnknownTarget {
                address,
                field: Some(field),
                target,
                ..
            } => write!(
                f,
                "`{field}` of {} refers to {target}, which is not declared",
                who(address.as_ref())
            ),
            Self::UnknownTarget {
                address, target, ..
            } => write!(
                f,
                "{} comes after or lives inside {target}, which is not declared",
                who(address.as_ref())
            ),
            Self::UnknownAttribute {
                address,
                field,
                target,
                attribute,
                ..
            } => write!(
                f,
                "`{field}` of {} refers to `{attribute}` of {target}, which it does not have",
                who(address.as_ref())
            ),
            Self::Cycle { edges } => {
                f.write_str("resources need each other in a circle, so none can be made first: ")?;
                for (place, edge) in edges.iter().enumerate() {
                    let lead = if place == 0 { "" } else { ", " };
                    write!(f, "{lead}{} needs {} ({})", edge.from, edge.to, edge.reason)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for GraphError {}

impl fmt::Display for EdgeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference { field, attribute } => write!(f, "`{field}` uses its `{attribute}`"),
            Self::Inside => f.write_str("lives inside it"),
            Self::After => f.write_str("declared to come after it"),
            Self::Recorded => f.write_str("depended on it when last applied"),
        }
    }
}
