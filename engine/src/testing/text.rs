//! Text forms, for goldens.

use crate::graph::Graph;
use kplan_model::{Action, Plan, Step};
use std::fmt::Write as _;

/// One line per edge: `vm.a -> net.main (…)`; resources without any stand alone.
pub fn graph_text(graph: &Graph) -> String {
    let mut text = String::new();
    for node in graph.nodes() {
        if graph.dependencies(&node.address).is_empty() {
            let _ = writeln!(text, "{}", node.address);
        }
    }
    for (from, to, reason) in graph.edges() {
        let _ = writeln!(text, "{from} -> {to} ({reason})");
    }
    text
}

/// One line per step: number, symbol, address, what it requires, what else is special.
pub fn plan_text(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let _ = writeln!(text, "{}", step_text(step));
    }
    for record in &plan.refreshed {
        let _ = writeln!(text, "refreshed {}", record.address);
    }
    for address in &plan.vanished {
        let _ = writeln!(text, "vanished {address}");
    }
    text
}

fn step_text(step: &Step) -> String {
    let symbol = match step.action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Delete => "-",
        Action::Forget => ".",
        Action::Record => "=",
        Action::Operate => "!",
    };
    let mut text = format!("{} {symbol} {}", step.id, step.address);
    if let Some(operated) = step.operation {
        let _ = write!(text, " {}", operated.name());
    }
    let fields: Vec<&str> = step
        .changes
        .iter()
        .map(|change| change.field.as_str())
        .collect();
    if !fields.is_empty() {
        let _ = write!(text, " {{{}}}", fields.join(", "));
    }
    if !step.requires.is_empty() {
        let firsts: Vec<String> = step.requires.iter().map(ToString::to_string).collect();
        let _ = write!(text, " after {}", firsts.join(" "));
    }
    if let Some(pair) = step.pair {
        let _ = write!(text, " pair {pair}");
    }
    if let Some(container) = &step.goes_with {
        let _ = write!(text, " goes with {container}");
    }
    text
}
