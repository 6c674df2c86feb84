//! What a look proposes, as text, as blocks of the file and for machines.

use super::{Confidence, Found, Proposal};
use serde_json::{Value, json};
use std::fmt::Write as _;

impl Confidence {
    const fn word(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
        }
    }
}

/// How sure a proposal is, why, and in what it differs; a line for each.
pub fn reasons(proposal: &Proposal) -> Vec<String> {
    let word = proposal.confidence.word();
    let mut lines = vec![format!("{word}: agrees on {}", proposal.because)];
    if !proposal.differs.is_empty() {
        lines.push(format!("differs in {}", proposal.differs.join(", ")));
    }
    lines
}

/// The blocks to write into the file.
pub fn blocks(found: &Found) -> String {
    let mut out = String::new();
    for (address, proposal) in &found.proposals {
        for line in reasons(proposal) {
            let _ = writeln!(out, "# {line}");
        }
        let _ = writeln!(
            out,
            "[[import]]\nto = \"{address}\"\nid = \"{}\"\n",
            proposal.id
        );
    }
    out
}

/// Everything, for people: the blocks, and as comments what is not among them.
pub fn text(found: &Found) -> String {
    let mut out = blocks(found);
    for (address, several) in &found.ambiguous {
        let _ = writeln!(
            out,
            "# {address}: several could be it, and which one is for you to say:"
        );
        for one in several {
            let _ = writeln!(out, "#   {}", one.text);
        }
    }
    for address in &found.nothing {
        let _ = writeln!(
            out,
            "# {address}: {}; `kplan apply` would make it",
            if found.is_part {
                "nothing that was looked at fits"
            } else {
                "nothing fits"
            }
        );
    }
    for why in &found.unread {
        let _ = writeln!(out, "# not looked at: {why}");
    }
    if !found.others.is_empty() {
        let all: Vec<String> = found
            .others
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let _ = writeln!(out, "# in the account besides: {}", all.join(", "));
    }
    out
}

/// Everything, for machines.
pub fn document(found: &Found) -> Value {
    let proposals = found.proposals.iter().map(|(address, it)| {
        json!({
            "to": address.to_string(),
            "id": it.id,
            "confidence": it.confidence.word(),
            "agrees_on": it.because,
            "differs_in": it.differs,
        })
    });
    let ambiguous = found.ambiguous.iter();
    let ambiguous = ambiguous.map(|(address, all)| {
        let all: Vec<&str> = all.iter().map(|one| one.text.as_str()).collect();
        json!({ "to": address.to_string(), "candidates": all })
    });
    let nothing = found.nothing.iter().map(ToString::to_string);
    json!({
        "format_version": "1.0",
        "proposals": proposals.collect::<Vec<_>>(),
        "ambiguous": ambiguous.collect::<Vec<_>>(),
        "nothing_fits": nothing.collect::<Vec<_>>(),
        "besides": found.others,
        "not_looked_at": found.unread,
    })
}
