//! `kplan validate`: everything that is wrong with the file, without looking at anything else.

use crate::cli::Global;
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::load;
use crate::render::{Terminal, problem};
use serde_json::json;

/// Runs it. It resolves no secret: it never runs a command and never reads a file the spec names.
pub fn run(global: &Global, terminal: &mut Terminal) -> CommandResult {
    let loaded = load::file(&global.file)?;
    if global.json {
        let warnings: Vec<_> = loaded.warnings.iter().map(problem::document).collect();
        let document = json!({ "format_version": "1.0", "valid": true, "diagnostics": warnings });
        terminal.line(&document.to_string());
        return Ok(Exit::Ok);
    }
    problem::print(terminal, &loaded.warnings, false);
    terminal.line(&format!("{} is valid.", global.file.display()));
    Ok(Exit::Ok)
}
