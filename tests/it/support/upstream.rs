//! The definitions of custom resources as upstream releases them.

use serde::Deserialize as _;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// All of them; `None`, and says so, where they are not at hand.
pub(crate) fn released_definitions() -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("KPLAN_TEST_UPSTREAM") else {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
        return None;
    };
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(folder)];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                definitions_in(&path, &mut found);
            }
        }
    }
    assert!(found.len() > 20, "only {} definitions", found.len());
    Some(found)
}

fn definitions_in(path: &Path, into: &mut Vec<Value>) {
    let name = path.to_string_lossy();
    // Argo CD's manifest for several nodes defines the same once more.
    let is_other = name.ends_with("ha-install.yaml") || !name.ends_with(".yaml");
    let text = std::fs::read_to_string(path).expect("a file");
    if is_other || !text.contains("kind: CustomResourceDefinition") {
        return;
    }
    // The other documents of a manifest take time to read, and are not asked for.
    for part in text.split("\n---") {
        if part.contains("kind: CustomResourceDefinition") {
            for document in serde_norway::Deserializer::from_str(part) {
                into.push(Value::deserialize(document).expect("YAML"));
            }
        }
    }
}
