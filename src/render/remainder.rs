//! What is left of a cluster in the account after a destroy, in words and for machines.

use crate::price::Staying;
use kplan_providers::digitalocean::{Remnant, Seen};
use serde_json::{Value as Json, json};

/// What the end of a destroy showed.
pub struct Remainder {
    /// What was seen.
    pub seen: Seen,
    /// What stays by design, with its ids.
    pub kept: Vec<String>,
    /// The same without what is on record, with its price.
    pub staying: Vec<Staying>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

impl Remainder {
    /// Whether the account was listed to the end and shows nothing that should not be there. A list that
    /// the token may not read proves nothing.
    pub fn is_proven(&self) -> bool {
        self.seen.left.is_empty() && self.unread.is_empty() && self.seen.unlisted.is_empty()
    }
}

/// One of them: `droplet web-1 (123)`.
pub fn name(one: &Remnant) -> String {
    format!("{} {} ({})", one.what, one.name, one.id)
}

/// The same with what tells that it is the cluster's.
pub fn named(one: &Remnant) -> String {
    format!("{}, which {}", name(one), one.why)
}

/// What the token has no right to list.
pub fn unlisted(found: &Remainder) -> Option<String> {
    let lists: Vec<String> = found
        .seen
        .unlisted
        .iter()
        .map(|it| format!("{it}s"))
        .collect();
    let all = lists.join(", ");
    (!lists.is_empty()).then(|| {
        format!(
            "the token may not list these, so of them only what was on record was looked for: {all}"
        )
    })
}

/// The whole in a sentence.
pub fn sentence(cluster: &str, found: &Remainder) -> String {
    if !found.seen.left.is_empty() {
        let left: Vec<String> = found.seen.left.iter().map(name).collect();
        return format!("Still in the account of {cluster}: {}.", left.join(", "));
    }
    if !found.is_proven() {
        let mut why = found.unread.clone();
        why.extend(unlisted(found));
        return format!(
            "Whether anything of {cluster} is left in the account is not known: {}.",
            why.join("; ")
        );
    }
    if found.kept.is_empty() {
        format!("Nothing of {cluster} is left in the account.")
    } else {
        format!(
            "Nothing of {cluster} is left in the account but: {}.",
            found.kept.join(", ")
        )
    }
}

/// The same for machines.
pub fn document(cluster: &str, found: &Remainder) -> Json {
    let all = |remnants: &[Remnant]| -> Vec<Json> {
        let each = remnants.iter();
        let each = each
            .map(|one| json!({ "what": one.what, "id": one.id, "name": one.name, "why": one.why }));
        each.collect()
    };
    json!({
        "type": "remainder",
        "cluster": cluster,
        "proven": found.is_proven(),
        "left": all(&found.seen.left),
        "others": all(&found.seen.others),
        "alike": all(&found.seen.alike),
        "kept": found.kept,
        "unread": found.unread,
        "unlisted": found.seen.unlisted,
    })
}
