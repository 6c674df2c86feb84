//! Why there is no plan, in terms a front end can show with a code and a span.

use crate::graph::GraphError;
use crate::plan::Finding;
use kplan_model::{Address, Drift, Origin};
use std::fmt;

/// Something a guard or a rule of the kind does not allow. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable code, such as `plan::protected`.
    pub code: &'static str,
    /// The resource.
    pub address: Address,
    /// The field, where one is to blame.
    pub field: Option<String>,
    /// Where the file says it.
    pub origin: Origin,
    /// What is refused and why it matters.
    pub message: String,
    /// What the reader can do.
    pub help: String,
}

impl Refusal {
    /// The code of what is told beside refusals: a change that nobody made in the file.
    pub const DRIFT: &str = "plan::drift";

    /// What was seen to have changed outside, as context for refusals: who edited nothing must
    /// not be told to put the old value back without hearing what is gone.
    pub(crate) fn of_drift(drift: &Drift) -> Self {
        let fields: Vec<&str> = drift
            .fields
            .iter()
            .map(|(name, _, _)| name.as_str())
            .collect();
        let message = if drift.vanished {
            "is gone from the cloud; nobody took it out of the file".to_owned()
        } else {
            format!("was changed outside of kplan: {}", fields.join(", "))
        };
        Self {
            code: Self::DRIFT,
            address: drift.address.clone(),
            field: None,
            origin: Origin::State,
            message,
            help: "what is refused may follow from this, not from an edit of the file".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.message)
    }
}

/// Why there is no plan. Every variant carries all that was found, not the first of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The declarations do not make a graph.
    #[error("{}", lines(.0))]
    Graph(Vec<GraphError>),
    /// Guards refuse it.
    #[error("{}", lines(.0))]
    Refused(Vec<Refusal>),
    /// The planner made a plan its own linter refuses: a bug in kplan.
    #[error("the plan is not safe to execute; this is a bug in kplan:\n{}", lines(.0))]
    Unsound(Vec<Finding>),
}

fn lines<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
