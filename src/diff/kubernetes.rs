//! What of a Kubernetes object is secret, and what names it.

use super::node::{Node, SENSITIVE};
use kplan_model::Secret;
use std::collections::BTreeMap;

/// Where `kubectl apply` keeps the whole object, its data too.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Takes the data of a Secret out of sight. Whether there was any.
pub(super) fn mask(map: &mut BTreeMap<String, Node>) -> bool {
    if map.get("kind").and_then(Node::as_text) != Some("Secret") {
        return false;
    }
    let mut found = false;
    for name in ["data", "stringData"] {
        if let Some(data) = map.get_mut(name) {
            found = true;
            hide(data);
        }
    }
    if let Some(Node::Map(metadata)) = map.get_mut("metadata")
        && let Some(Node::Map(annotations)) = metadata.get_mut("annotations")
        && let Some(whole) = annotations.get_mut(LAST_APPLIED)
    {
        hide(whole);
    }
    found
}

fn hide(node: &mut Node) {
    match node {
        Node::Map(map) => map.values_mut().for_each(hide),
        Node::List(items) | Node::Set(_, items) => items.iter_mut().for_each(hide),
        Node::Text(text, _) | Node::Told(text) => {
            *node = Node::Secret(Secret::new(text.as_str()));
        }
        Node::Null | Node::Secret(_) | Node::Unknown(_) => {}
    }
}

/// Whether a text seems to hold a Secret with its data, also where it is no YAML or JSON: such a
/// text is not shown as it is.
pub(super) fn holds_secret(text: &str) -> bool {
    if !text.contains("Secret") || !(text.contains("data") || text.contains("stringData")) {
        return false;
    }
    text.lines().any(|line| {
        let solid: String = line
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\'))
            .collect();
        solid.match_indices("kind:Secret").any(|(at, found)| {
            let rest = solid.get(at + found.len()..).unwrap_or_default();
            !rest.starts_with(|c: char| c.is_alphanumeric())
        })
    })
}

/// What is said instead of such a text.
pub(super) fn withheld() -> String {
    format!("{SENSITIVE} (changed): it holds a Secret and cannot be compared by path")
}

/// What an object is known by: kind, namespace and name.
pub(super) fn identity(node: &Node) -> Option<String> {
    let Node::Map(map) = node else { return None };
    let Some(Node::Map(metadata)) = map.get("metadata") else {
        return None;
    };
    let kind = map.get("kind")?.as_text()?;
    let name = metadata.get("name")?.as_text()?;
    Some(match metadata.get("namespace").and_then(Node::as_text) {
        Some(namespace) => format!("{kind}/{namespace}/{name}"),
        None => format!("{kind}/{name}"),
    })
}
