//! `kplan state list|show`: looks into the state; takes no lock, works on a read-only folder.

use crate::cli::{Global, StateCommand};
use crate::cmd::session::notices;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::load;
use crate::render::{Terminal, json, value};
use crate::wire::StatePlace;
use kplan_model::{Address, Recorded, Snapshot, Status};
use kplan_state::{Keyring, LocalReader};
use serde_json::json;
use std::fmt::Write as _;

/// The state as recorded, for commands that only read.
pub struct View {
    /// What is on record.
    pub snapshot: Snapshot,
    /// The keys, where an identity is at hand.
    pub keyring: Option<Keyring>,
}

/// Reads it; an error that says so when there is none.
pub fn view(global: &Global, terminal: &mut Terminal) -> Result<View, Failure> {
    let loaded = load::file(&global.file)?;
    let (place, embedded) = StatePlace::to_read(global, &loaded);
    if embedded && !global.sandbox {
        terminal.note("(this is the state of the embedded cloud; there is no other here)");
    }
    let identity = place.identity()?;
    let found = LocalReader::open(&place.dir, &place.cluster, identity.as_ref()).read()?;
    notices(terminal, &found.notices);
    let snapshot = found.snapshot.ok_or_else(|| {
        let message = format!("there is no state of {} yet", place.cluster);
        Problem::error("state::none", message).help("run `kplan apply` first")
    })?;
    Ok(View {
        snapshot,
        keyring: found.keyring,
    })
}

/// Runs it.
pub fn run(global: &Global, command: &StateCommand, terminal: &mut Terminal) -> CommandResult {
    let view = view(global, terminal)?;
    match command {
        StateCommand::List => list(&view.snapshot, global, terminal),
        StateCommand::Show { address } => {
            let record = find(&view.snapshot, address)?;
            if global.json {
                let kinds = crate::wire::kinds();
                terminal.line(&json::record(record, &kinds).to_string());
            } else {
                terminal.out(&block(record));
            }
        }
    }
    Ok(Exit::Ok)
}

fn list(snapshot: &Snapshot, global: &Global, terminal: &mut Terminal) {
    if global.json {
        let addresses: Vec<String> = snapshot.resources.keys().map(ToString::to_string).collect();
        let document = json!({ "format_version": "1.0", "addresses": addresses });
        terminal.line(&document.to_string());
        return;
    }
    for address in snapshot.resources.keys() {
        terminal.line(&address.to_string());
    }
}

fn find<'a>(snapshot: &'a Snapshot, text: &str) -> Result<&'a Recorded, Failure> {
    let address: Address = text.parse().map_err(|error: kplan_model::AddressError| {
        Problem::error("cli::address", error.to_string())
    })?;
    snapshot.resources.get(&address).ok_or_else(|| {
        Problem::error(
            "state::unknown_address",
            format!("{address} is not on record"),
        )
        .help("`kplan state list` shows what is")
        .into()
    })
}

/// One record as text.
pub fn block(record: &Recorded) -> String {
    let mut out = String::new();
    let tainted = if record.status == Status::Tainted {
        " (tainted)"
    } else {
        ""
    };
    let _ = writeln!(out, "# {}:{tainted}", record.address);
    let mut values = record.args.clone();
    values.extend(record.attrs.clone());
    values.retain(|_, value| !value.is_null());
    let width = values.keys().map(String::len).max().unwrap_or(0).max(2);
    let id = value::quote(record.id.as_str());
    let _ = writeln!(out, "    {:width$} = {id}", "id");
    for (name, item) in &values {
        let _ = writeln!(out, "    {name:width$} = {}", value::show(item, 4));
    }
    out
}
