//! Names, first lines and lengths of source files.

use super::workspace::{files, none, rust_files, text};

/// No file is longer than this, in lines.
const LONGEST: usize = 800;
/// Ninety-five of a hundred files are no longer than this.
const USUAL: usize = 500;

/// Endings of file names that say when something was written, not what it is.
const NAMELESS: &[&str] = &[
    "_ext", "_extra", "_more", "_misc", "_new", "_old", "_rest", "_tmp",
];

/// Names that end in a number and mean it.
const NUMBERED: &[&str] = &[
    "ed25519", "ipv4", "ipv6", "k8s", "oauth2", "s3", "sha256", "x509",
];

#[test]
fn every_file_says_what_it_is_for() {
    let problems: Vec<_> = rust_files("")
        .filter(|path| {
            let text = text(path).unwrap_or_default();
            let first = text.lines().next().unwrap_or_default();
            first
                .strip_prefix("//!")
                .is_none_or(|purpose| purpose.trim().len() < 10)
        })
        .map(str::to_owned)
        .collect();
    none(
        "Begin the file with `//!` and one sentence on what it is for:",
        &problems,
    );
}

#[test]
fn no_file_is_too_long() {
    let mut lengths: Vec<(usize, &str)> = rust_files("")
        .map(|path| (text(path).unwrap_or_default().lines().count(), path))
        .collect();
    lengths.sort_unstable();
    let line = |(length, path): &(usize, &str)| format!("{path}: {length} lines");
    let problems: Vec<_> = lengths
        .iter()
        .filter(|(n, _)| *n > LONGEST)
        .map(line)
        .collect();
    none(
        &format!("Split by concept: at most {LONGEST} lines."),
        &problems,
    );

    let long: Vec<_> = lengths
        .iter()
        .filter(|(n, _)| *n > USUAL)
        .map(line)
        .collect();
    if long.len() * 20 > lengths.len() {
        none(
            &format!("More than 5 % of the files have over {USUAL} lines; split some:"),
            &long,
        );
    }
}

#[test]
fn no_file_is_a_second_helping_of_another() {
    let stems: Vec<(&str, &str)> = rust_files("").filter_map(folder_and_stem).collect();
    let mut problems = Vec::new();
    for (folder, stem) in &stems {
        let plain = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        let base = plain.trim_end_matches('_');
        let sibling = |(f, s): &&(&str, &str)| {
            let other = s
                .trim_end_matches(|c: char| c.is_ascii_digit())
                .trim_end_matches('_');
            f == folder && s != stem && other == base
        };
        let numbered = plain != *stem
            && !NUMBERED.contains(stem)
            && (plain.ends_with('_')
                || stems.iter().any(|other| sibling(&other))
                || files()
                    .iter()
                    .any(|path| path.starts_with(&format!("{folder}/{base}/"))));
        // A rule's file is named after what it finds: an old image is no old file.
        let is_rule = folder.ends_with("/rules");
        if numbered || !is_rule && NAMELESS.iter().any(|ending| stem.ends_with(ending)) {
            problems.push(format!("{folder}/{stem}.rs"));
        }
    }
    none("Name the file after the concept it holds:", &problems);
}

fn folder_and_stem(path: &'static str) -> Option<(&'static str, &'static str)> {
    path.strip_suffix(".rs")?.rsplit_once('/')
}
