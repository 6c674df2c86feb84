//! kplan: plan and apply a GitOps Kubernetes cluster on DigitalOcean from one file.
//!
//! The command line and the composition root; everything else is in the library crates. See
//! `ARCHITECTURE.md`.

pub mod addons;
pub mod artifacts;
pub mod backup;
pub mod catalogue;
pub mod cli;
pub mod cmd;
pub mod compose;
pub mod copy;
pub mod diff;
pub mod discover;
pub mod doctor;
pub mod duration;
pub mod embedded;
pub mod error;
pub mod exit;
pub mod generate;
pub mod git;
pub mod gitops;
pub mod interrupt;
pub mod kit;
pub mod load;
pub mod planfile;
pub mod preflight;
pub mod price;
pub mod relocate;
pub mod render;
pub mod review;
pub mod whole;
pub mod wire;

use crate::cli::{Cli, Command, Global};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::render::Terminal;
use clap::Parser as _;
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// Parses the command line, runs the command, prints what went wrong, gives the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // One TLS provider for every client of the process, before any of them exists.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows where each belongs.
            drop(error.print());
            let exit = if error.use_stderr() {
                Exit::Error
            } else {
                Exit::Ok
            };
            return ExitCode::from(exit.code());
        }
    };
    let mut terminal = Terminal::detect(cli.global.colors());
    let json = cli.global.json;
    let exit = match run(cli, &mut terminal) {
        Ok(exit) => exit,
        Err(failure) => {
            render::problem::print(&mut terminal, &failure.problems, json);
            failure.exit
        }
    };
    ExitCode::from(exit.code())
}

fn run(cli: Cli, terminal: &mut Terminal) -> CommandResult {
    if let Some(folder) = &cli.global.chdir {
        std::env::set_current_dir(folder).map_err(|error| {
            let message = format!("cannot change to {}: {error}", folder.display());
            Failure::from(Problem::error("cli::chdir", message))
        })?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Problem::error("cli::runtime", format!("cannot start: {error}")))?;
    let result = dispatch(cli.command, &cli.global, &runtime, terminal);
    // What still blocks a thread after an interrupt (a prompt, a lock, a name being resolved) ends
    // with the process; dropping the runtime would wait for it.
    runtime.shutdown_background();
    result
}

fn dispatch(
    command: Command,
    global: &Global,
    runtime: &Runtime,
    terminal: &mut Terminal,
) -> CommandResult {
    match command {
        Command::Validate(_) => cmd::validate::run(global, terminal),
        Command::Schema(args) => cmd::schema::run(&args, terminal),
        Command::Completions { shell } => cmd::completions::run(global, shell, terminal),
        Command::Plan(args) => runtime.block_on(cmd::plan::run(global, &args, terminal)),
        Command::Apply(args) => runtime.block_on(cmd::apply::run(global, &args, terminal)),
        Command::Drift(args) => runtime.block_on(cmd::drift::run(global, &args, terminal)),
        Command::Import(args) => runtime.block_on(cmd::import::run(global, &args, terminal)),
        Command::Destroy(args) => runtime.block_on(cmd::destroy::run(global, &args, terminal)),
        Command::Restore(args) => runtime.block_on(cmd::restore::run(global, &args, terminal)),
        Command::Rotate(args) => runtime.block_on(cmd::rotate::run(global, &args, terminal)),
        Command::Backup(command) => runtime.block_on(cmd::backup::run(global, &command, terminal)),
        Command::Doctor(args) => runtime.block_on(cmd::doctor::run(global, &args, terminal)),
        Command::Show(args) => cmd::show::run(global, &args, terminal),
        Command::Comment(args) => runtime.block_on(cmd::comment::run(global, &args, terminal)),
        Command::Output(args) => cmd::output::run(global, &args, terminal),
        Command::Kubeconfig(args) => {
            runtime.block_on(cmd::kubeconfig::run(global, &args, terminal))
        }
        Command::State(command) => {
            // A runtime for the signals that release a shared lock.
            let _entered = runtime.enter();
            cmd::state::run(global, &command, terminal)
        }
        Command::Graph(args) => cmd::graph::run(global, &args, terminal),
        Command::Render(command) => runtime.block_on(cmd::render::run(global, &command, terminal)),
        Command::Lock(_) => runtime.block_on(cmd::lock::run(global, terminal)),
        Command::Sandbox(args) => runtime.block_on(cmd::sandbox::run(global, &args, terminal)),
    }
}
