//! `kplan state migrate`: moves the state to where the file says it is.

use crate::cli::{Global, WaitArgs};
use crate::cmd::session::notices;
use crate::cmd::signals;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::load::{self, Identified};
use crate::render::Terminal;
use crate::wire::{StatePlace, SystemClock, no_identity};
use kplan_engine::clock::Clock as _;
use kplan_schema::value::StateBackend;
use kplan_state::Migration;
use serde_json::json;
use std::cell::RefCell;

/// Runs it.
pub fn run(
    global: &Global,
    from: Option<&str>,
    lock: &WaitArgs,
    terminal: &mut Terminal,
) -> CommandResult {
    let identified = load::identify(&global.file)?;
    let to = StatePlace::of(global, &identified)?;
    let from = match from {
        Some(text) => StatePlace::at(global, &identified, &backend(text)?)?,
        None => last(global, &identified, &to)?,
    };
    let ((source, old), (target, new)) = (from.named(), to.named());
    if old == new {
        let message = format!("the state is to be moved from {old} to the same place");
        return Err(Problem::error("state::same_place", message)
            .help("`[state] backend` says where to; --from says from where")
            .into());
    }
    let identity = to.identity()?.ok_or_else(no_identity)?;
    let options = to.options("kplan state migrate", &lock.lock_timeout)?;
    let told = RefCell::new(Vec::new());
    let migration = Migration {
        cluster: &to.cluster,
        identity: &identity,
        options: &options,
        at: SystemClock.now(),
        held: &|claim| signals::release_on(Some(claim)),
        told: &|notices| told.borrow_mut().extend(notices),
    };
    let done = migration.run((source, old), (target, new));
    notices(terminal, &told.take());
    let done = done?;
    to.bind()?;
    if global.json {
        let document = json!({
            "format_version": "1.0",
            "from": old,
            "to": new,
            "serial": done.serial,
            "resources": done.resources,
            "history": done.history,
        });
        terminal.line(&document.to_string());
    } else {
        terminal.line(&format!(
            "Moved the state of {} (serial {}, {} resources, {} entries of history) from {old} to \
             {new}.",
            to.cluster, done.serial, done.resources, done.history
        ));
        terminal.line("The old place keeps a copy, and says where the state went.");
    }
    Ok(Exit::Ok)
}

fn backend(text: &str) -> Result<StateBackend, Failure> {
    StateBackend::parse(text)
        .map_err(|what| Problem::error("cli::place", format!("--from: {what}")).into())
}

/// Where the state was last, by what this machine knows: in the folder, or where the folder says
/// that it went.
fn last(global: &Global, identified: &Identified, to: &StatePlace) -> Result<StatePlace, Failure> {
    let folder = to.in_folder()?;
    if to.is_shared() && folder.snapshot.is_some() {
        return StatePlace::at(global, identified, &StateBackend::Local);
    }
    match folder.moved_to {
        Some(place) if !to.is_shared() => StatePlace::at(global, identified, &backend(&place)?),
        _ => {
            let (_, place) = to.named();
            let message = format!(
                "nothing on this machine says where the state was before; it is to be moved to \
                 {place}"
            );
            Err(Problem::error("state::nothing_to_move", message)
                .help("name the old place: --from local, or --from \"s3://bucket/prefix?region=…\"")
                .into())
        }
    }
}
