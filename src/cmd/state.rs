//! `kplan state …`: looks into the state. All but `repair` and what [`surgery`] does take no lock
//! and work on a read-only folder.

use crate::cli::{Global, StateCommand};
use crate::cmd::session::notices;
use crate::cmd::{migrate, surgery};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::load;
use crate::render::{Terminal, json, value};
use crate::wire::StatePlace;
use kplan_model::{Address, AddressError, Object, Recorded, Snapshot, Status, Text};
use kplan_state::{HistoryEntry, Reader};
use serde_json::json;
use std::fmt::Write as _;

/// The state as recorded, for commands that only read.
pub struct View {
    /// What is on record.
    pub snapshot: Snapshot,
    reader: Reader,
}

/// Reads it; an error that says so when there is none.
pub fn view(global: &Global, terminal: &mut Terminal) -> Result<View, Failure> {
    let (place, embedded) = StatePlace::to_read(global, &load::identify(&global.file)?)?;
    if embedded && !global.sandbox {
        terminal.note("(this is the state of the embedded cloud; there is no other here)");
    }
    let identity = place.identity()?;
    let reader = place.reader(identity.as_ref());
    let found = reader.read()?;
    notices(terminal, &found.notices);
    let Some(snapshot) = found.snapshot else {
        return Err(nothing(&place));
    };
    Ok(View { snapshot, reader })
}

/// There is nothing to look into.
pub fn no_state(place: &StatePlace) -> Problem {
    let message = format!("there is no state of {} yet", place.cluster);
    Problem::error("state::none", message).help("run `kplan apply` first")
}

/// The same, where it may be somewhere else.
pub fn nothing(place: &StatePlace) -> Failure {
    match place.exists() {
        Err(elsewhere) => elsewhere,
        Ok(_) => no_state(place).into(),
    }
}

/// An address somebody typed.
pub fn address(text: &str) -> Result<Address, Failure> {
    text.parse()
        .map_err(|error: AddressError| Problem::error("cli::address", error.to_string()).into())
}

/// Runs it.
pub fn run(global: &Global, command: &StateCommand, terminal: &mut Terminal) -> CommandResult {
    match command {
        StateCommand::List => list(&view(global, terminal)?.snapshot, global, terminal),
        StateCommand::Show { address, at } => {
            let view = view(global, terminal)?;
            let then = at.map(|serial| view.reader.at(serial)).transpose()?;
            let record = find(then.as_ref().unwrap_or(&view.snapshot), address)?;
            show(record, global, terminal);
        }
        StateCommand::History => {
            history(&view(global, terminal)?.reader.history()?, global, terminal);
        }
        StateCommand::Verify => return verify(global, terminal),
        StateCommand::Pull => {
            let document = view(global, terminal)?.reader.document()?;
            terminal.line(&document.to_json()?);
        }
        // A damaged state is what `repair` is for: it cannot be looked into first.
        StateCommand::Repair => return repair(global, terminal),
        StateCommand::Restore {
            serial,
            auto_approve,
            lock,
        } => return surgery::restore(global, *serial, *auto_approve, lock, terminal),
        StateCommand::Mv { from, to, lock } => {
            return surgery::rename(global, (from, to), lock, terminal);
        }
        StateCommand::Rm { addresses, lock } => {
            return surgery::forget(global, addresses, lock, terminal);
        }
        StateCommand::Push {
            document,
            force,
            lock,
        } => {
            return surgery::push(global, document, *force, lock, terminal);
        }
        StateCommand::Migrate { from, lock } => {
            return migrate::run(global, from.as_deref(), lock, terminal);
        }
        StateCommand::Recipients(command) => {
            return surgery::recipients(global, command, terminal);
        }
    }
    Ok(Exit::Ok)
}

/// Reads everything; exit 1 where something is not whole.
fn verify(global: &Global, terminal: &mut Terminal) -> CommandResult {
    let checked = view(global, terminal)?.reader.verify()?;
    if global.json {
        let problems: Vec<_> = checked
            .problems
            .iter()
            .map(|problem| json!({ "code": problem.code, "message": problem.message }))
            .collect();
        let document = json!({
            "format_version": "1.0",
            "serial": checked.serial,
            "resources": checked.resources,
            "in_doubt": checked.in_doubt,
            "history": checked.history,
            "secrets_opened": checked.opened,
            "problems": problems,
        });
        terminal.line(&document.to_string());
        return Ok(if checked.problems.is_empty() {
            Exit::Ok
        } else {
            Exit::Error
        });
    }
    let secrets = if checked.opened {
        "every secret opens"
    } else {
        "secrets were not opened: no identity"
    };
    terminal.line(&format!(
        "Serial {}: resources {}, steps in doubt {}, entries in the history {}; {secrets}.",
        checked.serial, checked.resources, checked.in_doubt, checked.history
    ));
    if checked.problems.is_empty() {
        return Ok(Exit::Ok);
    }
    let failures = checked.problems.into_iter().map(Failure::from);
    let problems = failures.flat_map(|failure| failure.problems).collect();
    Err(Failure::all(Exit::Error, problems))
}

fn show(record: &Recorded, global: &Global, terminal: &mut Terminal) {
    if global.json {
        let mut document = json::record(record, &crate::wire::kinds());
        if let Some(map) = document.as_object_mut() {
            map.insert("format_version".to_owned(), json!("1.0"));
        }
        terminal.line(&document.to_string());
    } else {
        terminal.out(&block(record));
    }
}

fn history(entries: &[HistoryEntry], global: &Global, terminal: &mut Terminal) {
    let when = |entry: &HistoryEntry| {
        jiff::Timestamp::from_millisecond(entry.at.0)
            .map_or_else(|_| entry.at.0.to_string(), |at| format!("{at:.0}"))
    };
    if global.json {
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "serial": entry.serial,
                    "at": when(entry),
                    "command": entry.command,
                    "digest": entry.digest,
                })
            })
            .collect();
        let document = json!({ "format_version": "1.0", "entries": entries });
        terminal.line(&document.to_string());
        return;
    }
    for entry in entries {
        let serial = entry.serial;
        terminal.line(&format!("{serial:>6}  {}  {}", when(entry), entry.command));
    }
}

fn repair(global: &Global, terminal: &mut Terminal) -> CommandResult {
    let (place, _) = StatePlace::to_read(global, &load::identify(&global.file)?)?;
    let identity = place.identity()?;
    let options = place.options("kplan state repair", "0s")?;
    let said = place.repair(identity.as_ref(), &options)?;
    if global.json {
        let notices: Vec<_> = said
            .iter()
            .map(|notice| json!({ "code": notice.code, "message": notice.message }))
            .collect();
        let document = json!({ "format_version": "1.0", "notices": notices });
        terminal.line(&document.to_string());
    } else {
        notices(terminal, &said);
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
    let address = address(text)?;
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
    let status = match record.status {
        Status::Ready => "",
        Status::Unfinished => " (not ready yet)",
        Status::Tainted => " (tainted)",
    };
    let begun: Vec<&str> = record.operations.iter().map(String::as_str).collect();
    let begun = match begun.as_slice() {
        [] => String::new(),
        names => format!(" (begun: {})", names.join(", ")),
    };
    let _ = writeln!(out, "# {}:{status}{begun}", record.address);
    let mut all = record.args.clone();
    all.extend(record.attrs.clone());
    let values: Object = all
        .into_iter()
        .filter(|(_, item)| !item.is_null())
        .collect();
    let width = values.keys().map(Text::len).max().unwrap_or(0).max(2);
    let id = value::quote(record.id.as_str());
    let _ = writeln!(out, "    {:width$} = {id}", "id");
    for (name, item) in &values {
        let _ = writeln!(out, "    {name:width$} = {}", value::show(item, 4));
    }
    out
}
