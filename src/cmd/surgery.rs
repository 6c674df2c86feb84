//! `kplan state mv|rm|restore|push|recipients`: changes what is on record, and nothing else. Each
//! is one durable step under the lock, and leaves an entry in the history.

use crate::cli::{Global, RecipientsCommand, WaitArgs};
use crate::cmd::execution::consent_now;
use crate::cmd::session::notices;
use crate::cmd::signals;
use crate::cmd::state::{address, no_state, nothing};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::load;
use crate::render::Terminal;
use crate::wire::{StatePlace, SystemClock, no_identity};
use kplan_engine::clock::Clock as _;
use kplan_model::{Address, Snapshot};
use kplan_state::{Document, Identity, Writer};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// A state that is about to be changed by hand.
struct Surgery {
    place: StatePlace,
    identity: Identity,
    writer: Writer,
    command: String,
}

impl Surgery {
    fn open(
        global: &Global,
        command: &str,
        lock: &WaitArgs,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        let place = StatePlace::of(global, &load::identify(&global.file)?)?;
        if !place.exists()? {
            let help = "for the state of the embedded cloud, add --sandbox";
            return Err(no_state(&place).help(help).into());
        }
        let identity = place.identity()?.ok_or_else(no_identity)?;
        let command = format!("kplan state {command}");
        let mut options = place.options(&command, &lock.lock_timeout)?;
        options.create = false;
        let mut writer = place.writer(&identity, &options)?;
        signals::release_on(writer.claim());
        notices(terminal, &writer.take_notices());
        Ok(Self {
            place,
            identity,
            writer,
            command,
        })
    }

    fn put(&mut self, next: Snapshot) -> Result<(), Failure> {
        self.writer.replace(next).map_err(Failure::from)
    }

    /// Ends it: history, lock, and what was done, as a document or as lines.
    fn done(
        self,
        global: &Global,
        mut document: Value,
        lines: &[String],
        terminal: &mut Terminal,
    ) -> CommandResult {
        let serial = self.writer.snapshot().serial;
        let said = self.writer.close(&self.command, SystemClock.now())?;
        notices(terminal, &said);
        if global.json {
            document["format_version"] = json!("1.0");
            document["serial"] = json!(serial);
            terminal.line(&document.to_string());
        } else {
            for line in lines {
                terminal.line(line);
            }
        }
        Ok(Exit::Ok)
    }
}

/// `state mv`.
pub fn rename(
    global: &Global,
    (from, to): (&str, &str),
    lock: &WaitArgs,
    terminal: &mut Terminal,
) -> CommandResult {
    let (from, to) = (address(from)?, address(to)?);
    let mut surgery = Surgery::open(global, "mv", lock, terminal)?;
    let next = kplan_state::rename(surgery.writer.snapshot().clone(), &from, &to)?;
    surgery.put(next)?;
    let document = json!({ "from": from.to_string(), "to": to.to_string() });
    let line = format!("Moved {from} to {to}. Nothing was changed but the record.");
    surgery.done(global, document, &[line], terminal)
}

/// `state rm`.
pub fn forget(
    global: &Global,
    addresses: &[String],
    lock: &WaitArgs,
    terminal: &mut Terminal,
) -> CommandResult {
    let addresses: Vec<Address> = addresses
        .iter()
        .map(|text| address(text))
        .collect::<Result<_, _>>()?;
    let mut surgery = Surgery::open(global, "rm", lock, terminal)?;
    let before = surgery.writer.snapshot().clone();
    let next = kplan_state::forget(before.clone(), &addresses)?;
    surgery.put(next)?;
    let gone = before
        .resources
        .values()
        .chain(&before.deposed)
        .filter(|record| addresses.contains(&record.address));
    let (mut forgotten, mut lines) = (Vec::new(), Vec::new());
    for record in gone {
        let (address, id) = (record.address.to_string(), record.id.as_str());
        lines.push(format!(
            "Forgot {address} (id {id}). It exists as before; kplan manages it no more."
        ));
        forgotten.push(json!({ "address": address, "id": id }));
    }
    surgery.done(global, json!({ "forgotten": forgotten }), &lines, terminal)
}

/// `state restore`.
pub fn restore(
    global: &Global,
    serial: u64,
    auto_approve: bool,
    lock: &WaitArgs,
    terminal: &mut Terminal,
) -> CommandResult {
    let mut surgery = Surgery::open(global, "restore", lock, terminal)?;
    let place = &surgery.place;
    let then = place.reader(Some(&surgery.identity)).at(serial)?;
    let now = surgery.writer.snapshot();
    kplan_state::settled(now)?;
    let then = kplan_state::put_back(then, now);
    let change = Change::between(now, &then);
    if !global.json {
        change.show(terminal);
    }
    if !auto_approve {
        if global.json {
            let problem = Problem::error("cli::no_consent", "--json cannot ask for consent");
            return Err(problem.help("add --auto-approve").into());
        }
        let question = format!(
            "Put the state back to what it was at serial {serial}?\n  Only the record changes. \
             The next plan compares it with what exists.\n  Only `yes` will be accepted."
        );
        if !consent_now(terminal, &question, "yes") {
            terminal.line("Restore cancelled.");
            return Ok(Exit::Error);
        }
    }
    surgery.put(then)?;
    let document = json!({ "restored": serial, "forgotten": change.lost, "back": change.back });
    let line = format!("The state is what it was at serial {serial}. Run `kplan plan` next.");
    surgery.done(global, document, &[line], terminal)
}

/// What another state knows and does not know.
struct Change {
    lost: Vec<String>,
    back: Vec<String>,
}

impl Change {
    fn between(now: &Snapshot, then: &Snapshot) -> Self {
        let ids = |snapshot: &Snapshot| -> BTreeSet<String> {
            let all = snapshot.resources.values().chain(&snapshot.deposed);
            all.map(|record| format!("{} (id {})", record.address, record.id.as_str()))
                .collect()
        };
        let (now, then) = (ids(now), ids(then));
        Self {
            lost: now.difference(&then).cloned().collect(),
            back: then.difference(&now).cloned().collect(),
        }
    }

    fn show(&self, terminal: &mut Terminal) {
        for item in &self.back {
            terminal.line(&format!("  + {item}: on record again"));
        }
        for item in &self.lost {
            terminal.line(&format!(
                "  - {item}: not on record any more; if it exists, kplan will not find it"
            ));
        }
        if self.back.is_empty() && self.lost.is_empty() {
            terminal.line("  The same resources are on record in both.");
        }
    }
}

/// `state push`.
pub fn push(
    global: &Global,
    file: &Path,
    force: bool,
    lock: &WaitArgs,
    terminal: &mut Terminal,
) -> CommandResult {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        Failure::from(Problem::error("cli::file", message))
    })?;
    let document = Document::parse(&text)?;
    let mut surgery = Surgery::open(global, "push", lock, terminal)?;
    let now = surgery.writer.snapshot();
    document.fits(now, force)?;
    kplan_state::settled(now)?;
    let older = document.serial() < now.serial;
    let mut next = document.open(&surgery.identity)?;
    if older {
        next = kplan_state::put_back(next, now);
    }
    let change = Change::between(now, &next);
    if !global.json {
        change.show(terminal);
    }
    surgery.put(next)?;
    let document = json!({ "forgotten": change.lost, "back": change.back });
    let line = "The state is that of the document. Run `kplan plan` next.".to_owned();
    surgery.done(global, document, &[line], terminal)
}

/// `state recipients`.
pub fn recipients(
    global: &Global,
    command: &RecipientsCommand,
    terminal: &mut Terminal,
) -> CommandResult {
    match command {
        RecipientsCommand::List => list(global, terminal),
        RecipientsCommand::Add { recipient, lock } => {
            let mut surgery = Surgery::open(global, "recipients add", lock, terminal)?;
            surgery.writer.add_recipient(recipient)?;
            let line = format!("{recipient} can read this state, every secret in it included.");
            told(surgery, global, line, terminal)
        }
        RecipientsCommand::Remove { recipient, lock } => {
            let mut surgery = Surgery::open(global, "recipients remove", lock, terminal)?;
            let own = surgery.identity.recipients();
            surgery.writer.remove_recipient(recipient, &own)?;
            let line = format!(
                "{recipient} cannot read this state from now on; every secret was sealed under a \
                 new key. What they have read they know: the history until now stays readable for \
                 them, and secrets that matter should be made anew where they come from."
            );
            told(surgery, global, line, terminal)
        }
    }
}

fn told(surgery: Surgery, global: &Global, line: String, terminal: &mut Terminal) -> CommandResult {
    let document = json!({ "recipients": surgery.writer.recipients() });
    surgery.done(global, document, &[line], terminal)
}

fn list(global: &Global, terminal: &mut Terminal) -> CommandResult {
    let (place, _) = StatePlace::to_read(global, &load::identify(&global.file)?)?;
    let identity = place.identity()?;
    let found = place.reader(None).read()?;
    if found.snapshot.is_none() {
        return Err(nothing(&place));
    }
    if global.json {
        let document = json!({ "format_version": "1.0", "recipients": found.recipients });
        terminal.line(&document.to_string());
        return Ok(Exit::Ok);
    }
    let own = identity
        .map(|identity| identity.recipients())
        .unwrap_or_default();
    for recipient in &found.recipients {
        let mine = if own.contains(recipient) {
            "  (you)"
        } else {
            ""
        };
        terminal.line(&format!("{recipient}{mine}"));
    }
    Ok(Exit::Ok)
}
