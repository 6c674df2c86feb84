//! `kplan import --generate`: a file for what exists in an account and has no place in one yet. What
//! is written was read as a file before it is shown: a block that no file could have becomes a line
//! that says why.

mod block;
mod blocks;
mod draft;
mod k3s;
mod names;
mod outside;
mod read;
mod traffic;

pub use block::{Block, Key};
pub use draft::{Draft, Ground};

use crate::render::value::{printable, some};
use draft::Refused;
use kplan_providers::digitalocean::Discovered;
use kplan_schema::{Code, Source, Spec};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::ops::Range;

/// So many of what is left out are named of each reason.
const NAMED: usize = 5;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Generated {
    /// What is written.
    pub draft: Draft,
    /// The whole file as it would be then.
    pub spec: Spec,
}

/// Writes blocks for what is open, to stand behind `file`.
///
/// # Errors
/// What is wrong with a file that no block can be blamed for.
pub fn generate(
    ground: &Ground<'_>,
    all: &[Discovered],
    open: &[Discovered],
    file: &str,
) -> Result<Generated, String> {
    let mut refused = Refused::default();
    loop {
        let draft = draft::draft(ground, all, open, &refused);
        let (added, places) = body(ground, &draft);
        let whole = format!("{file}\n{added}");
        let parsed = kplan_schema::parse(&Source::new("cluster.toml", whole));
        if let Some(spec) = parsed.spec {
            return Ok(Generated { draft, spec });
        }
        let mut blamed = false;
        let errors = parsed.diagnostics.iter().filter(|it| it.is_error());
        // What refers to a block that goes is written with an id the next time.
        let (follow, cause): (Vec<_>, Vec<_>) =
            errors.partition(|it| it.code == Code::ReferenceUnknown);
        let findings = if cause.is_empty() { follow } else { cause };
        for finding in findings {
            let starts = finding.labels.iter().map(|label| label.span.start);
            let inside = starts.filter_map(|at| {
                let at = at.checked_sub(file.len() + 1)?;
                places.iter().position(|place| place.contains(&at))
            });
            // Of two that cannot stand beside each other the later one goes.
            if let Some(block) = inside.max().and_then(|at| draft.blocks.get(at)) {
                blamed |= blame(&mut refused, block, &finding.message);
            }
        }
        if !blamed {
            let mut errors = parsed.diagnostics.iter().filter(|it| it.is_error());
            let first = errors.next();
            return Err(first.map_or_else(String::new, |it| printable(&it.message)));
        }
    }
}

/// Notes that a block cannot stand; whether that was new.
fn blame(refused: &mut Refused, block: &Block, why: &str) -> bool {
    let why = printable(why);
    let alone = block.header.starts_with("[[") && !block.header.starts_with("[[agents]]");
    if alone || block.header.starts_with("[load_balancer.") {
        let before = refused.blocks.len();
        let keys = block.holds.iter().map(|(key, _)| key.clone());
        let reason = format!("no file takes it: {why}");
        refused.blocks.extend(keys.map(|key| (key, reason.clone())));
        return refused.blocks.len() > before;
    }
    refused.cluster.replace(why).is_none()
}

/// What is added to the file, and where each block is in it.
fn body(ground: &Ground<'_>, draft: &Draft) -> (String, Vec<Range<usize>>) {
    let mut out = String::new();
    if ground.is_new {
        let _ = writeln!(
            out,
            "[cluster]\nname   = \"{}\"\nregion = \"{}\"",
            draft.cluster, draft.region
        );
    }
    let mut places = Vec::new();
    for block in &draft.blocks {
        let start = out.len();
        let _ = write!(out, "\n{}", block.as_toml());
        places.push(start..out.len());
    }
    let imports = draft.blocks.iter().flat_map(|block| &block.holds);
    for (at, ((_, id), address)) in imports.enumerate() {
        if at == 0 {
            out.push_str("\n# Once they are applied, these blocks can go.\n");
        }
        out.push('\n');
        // A node's block does not say what it is called.
        if let Some(name) = draft.called.get(address) {
            let _ = writeln!(out, "# {}", printable(name));
        }
        let id = block::quoted(id);
        let _ = write!(out, "[[import]]\nto = \"{address}\"\nid = {id}\n");
    }
    (out, places)
}

/// All of it, for people and for a file.
pub fn text(ground: &Ground<'_>, draft: &Draft, unread: &[String]) -> String {
    let mut out = String::new();
    out.push_str(if ground.is_new {
        "# What the account has. `kplan plan` shows what would be taken over, and that nothing of it\n\
         # changes; `kplan apply` puts it on record. It is protected then, until its block says\n\
         # `protect = false`. The cluster's name is this file's for good: what kplan makes is called so.\n\n"
    } else {
        "# What the account has and the file has not, to be put at the end of the file.\n"
    });
    for note in &draft.notes {
        let _ = writeln!(out, "# {}", printable(note));
    }
    let (body, _) = body(ground, draft);
    out.push_str(&body);
    if draft.blocks.is_empty() {
        out.push_str("\n# There is nothing to be written.\n");
    }
    if !draft.left.is_empty() || !unread.is_empty() {
        out.push_str("\n# Left out:\n");
    }
    for (reason, what) in &draft.left {
        let line = format!("{}: {reason}", some(what, NAMED));
        let _ = writeln!(out, "#   {}", printable(&line));
    }
    for why in unread {
        let _ = writeln!(out, "#   not looked at: {}", printable(why));
    }
    out
}

/// All of it, for machines.
pub fn document(text: &str, draft: &Draft, unread: &[String]) -> Value {
    let holds = draft.blocks.iter().flat_map(|block| &block.holds);
    let imports = holds.map(|((_, id), address)| json!({ "to": address, "id": id }));
    let left = draft.left.iter();
    let left = left.map(|(reason, what)| json!({ "reason": reason, "resources": what }));
    json!({
        "format_version": "1.0",
        "file": text,
        "imports": imports.collect::<Vec<_>>(),
        "left_out": left.collect::<Vec<_>>(),
        "notes": draft.notes,
        "not_looked_at": unread,
    })
}
