//! `kplan schema`: the JSON Schema of `cluster.toml`, for editors.

use crate::error::CommandResult;
use crate::exit::Exit;
use crate::render::Terminal;

/// Runs it.
pub fn run(terminal: &mut Terminal) -> CommandResult {
    terminal.line(&format!("{:#}", kplan_schema::json_schema()));
    Ok(Exit::Ok)
}
