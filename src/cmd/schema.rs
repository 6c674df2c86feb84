//! `kplan schema`: the JSON Schemas of `cluster.toml`, for editors, and of what kplan prints, for
//! whoever reads that.

use crate::cli::SchemaArgs;
use crate::error::{CommandResult, Problem};
use crate::exit::Exit;
use crate::render::Terminal;

/// The document of `plan --format json`.
const PLAN: &str = include_str!("../render/schemas/plan.json");

/// The lines of `apply --json`.
const EVENTS: &str = include_str!("../render/schemas/events.json");

/// Runs it.
pub fn run(args: &SchemaArgs, terminal: &mut Terminal) -> CommandResult {
    let schema = match (args.plan, args.events) {
        (true, _) => parsed(PLAN)?,
        (_, true) => parsed(EVENTS)?,
        _ => kplan_schema::json_schema(),
    };
    terminal.line(&format!("{schema:#}"));
    Ok(Exit::Ok)
}

fn parsed(schema: &str) -> Result<serde_json::Value, Problem> {
    serde_json::from_str(schema)
        .map_err(|error| Problem::error("schema::broken", format!("the schema: {error}")))
}
