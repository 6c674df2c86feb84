//! The table of traps names tests and rules that exist.

use super::workspace::{files, is_rust, none, text};
use std::collections::BTreeSet;

/// The table.
const TRAPS: &str = "docs/internals/traps.md";
/// What a row may say about its trap.
const STANDINGS: [&str; 4] = ["handled", "refused", "partly", "open"];

fn rows() -> Vec<Vec<String>> {
    let table = text(TRAPS).unwrap_or_default();
    let lines = table.lines().filter(|line| line.starts_with("| "));
    let cells = |line: &str| {
        line.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    lines
        .map(cells)
        .filter(|row: &Vec<String>| row[0].parse::<u32>().is_ok())
        .collect()
}

/// The names between backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn there_are_twenty_six_rows_with_a_standing_and_a_witness() {
    let rows = rows();
    let numbers: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let expected: Vec<String> = (1..=26).map(|number: u32| number.to_string()).collect();
    assert_eq!(numbers, expected);
    let lacking = rows.iter().filter(|row| {
        let known = STANDINGS.contains(&row[2].as_str());
        !known || row.len() != 5 || names(&row[4]).next().is_none()
    });
    let problems: Vec<String> = lacking.map(|row| row.join(" | ")).collect();
    none(
        "Give it one of the four standings, what kplan does, and a test:",
        &problems,
    );
}

/// The names of the functions of one file that are tests.
fn tests(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in code.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
            continue;
        }
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        let Some(rest) = function else { continue };
        if let (true, Some((name, _))) = (marked, rest.split_once('(')) {
            found.push(name.to_owned());
        }
        marked = false;
    }
    found
}

#[test]
fn every_test_and_rule_that_is_named_exists() {
    let mut known = BTreeSet::new();
    for path in files().iter().filter(|path| is_rust(path)) {
        known.insert((*path).clone());
        if let Some(rule) = path.strip_prefix("schema/src/rules/") {
            known.insert(rule.trim_end_matches(".rs").to_owned());
        }
        known.extend(tests(&text(path).unwrap_or_default()));
    }
    let mut problems = Vec::new();
    for row in rows() {
        let lost = names(&row[4]).filter(|name| !known.contains(*name));
        problems.extend(lost.map(|name| format!("{}: {name}", row[0])));
    }
    none("Name what shows it now:", &problems);
}
