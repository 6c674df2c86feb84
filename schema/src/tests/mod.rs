//! Tests of the whole crate, over the files in the workspace's `tests/specs`.

mod fuzz;
mod golden;
mod good;
mod reports;

#[path = "../../../tests/corpus/mutate.rs"]
mod mutate;

use std::fs;
use std::path::PathBuf;

use crate::{Parsed, Source, parse};

fn specs(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/specs")
        .join(folder)
}

/// Name (without `.toml`) and text of every file of the folder, sorted.
fn spec_files(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(specs(folder)).expect("specs folder") {
        let path = entry.expect("entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let stem = path
                .file_stem()
                .expect("stem")
                .to_string_lossy()
                .into_owned();
            files.push((stem, fs::read_to_string(&path).expect("readable file")));
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no files in {folder}");
    files
}

fn good(name: &str) -> String {
    fs::read_to_string(specs("good").join(format!("{name}.toml"))).expect("good file")
}

fn parse_text(text: &str) -> Parsed {
    parse(&Source::new("cluster.toml", text))
}

/// Codes of the findings, in order.
fn codes(text: &str) -> Vec<&'static str> {
    parse_text(text)
        .diagnostics
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}
