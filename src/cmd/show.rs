//! `kplan show`: everything on record, or the plan in a file.

use crate::cli::{Global, ShowingArgs};
use crate::cmd::state::{block, view};
use crate::cmd::{plan, saved};
use crate::compose::leavings::{has_resources, resources};
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::render::{Terminal, json};
use serde_json::json;

/// Runs it.
pub fn run(global: &Global, args: &ShowingArgs, terminal: &mut Terminal) -> CommandResult {
    if let Some(path) = &args.plan {
        let form = plan::form(global, &args.show, terminal);
        return saved::show(global, path, form, terminal);
    }
    let view = view(global, terminal)?;
    if global.json {
        let kinds = crate::wire::kinds();
        let resources: Vec<_> = resources(&view.snapshot)
            .map(|record| json::record(record, &kinds))
            .collect();
        let document = json!({
            "format_version": "1.0",
            "kplan_version": env!("CARGO_PKG_VERSION"),
            "serial": view.snapshot.serial,
            "lineage": view.snapshot.lineage,
            "in_doubt": view.snapshot.in_doubt.keys().map(ToString::to_string).collect::<Vec<_>>(),
            "values": { "root_module": { "resources": resources } },
        });
        terminal.line(&document.to_string());
        return Ok(Exit::Ok);
    }
    for record in resources(&view.snapshot) {
        terminal.line(&block(record));
    }
    if !has_resources(&view.snapshot) {
        terminal.line("The state is empty. No resources are recorded.");
    }
    Ok(Exit::Ok)
}
