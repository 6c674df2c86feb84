//! `kplan completions SHELL`.

use crate::cli::{Cli, Global};
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::render::Terminal;
use clap::CommandFactory as _;
use serde_json::json;

/// Runs it.
pub fn run(global: &Global, shell: clap_complete::Shell, terminal: &mut Terminal) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kplan", &mut script);
    let script = String::from_utf8_lossy(&script);
    if global.json {
        let document = json!({
            "format_version": "1.0",
            "shell": shell.to_string(),
            "script": script,
        });
        terminal.line(&document.to_string());
    } else {
        terminal.out(&script);
    }
    Ok(Exit::Ok)
}
