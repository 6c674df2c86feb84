//! `kplan completions SHELL`.

use crate::cli::Cli;
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::render::Terminal;
use clap::CommandFactory as _;

/// Runs it.
pub fn run(shell: clap_complete::Shell, terminal: &mut Terminal) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kplan", &mut script);
    terminal.out(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
