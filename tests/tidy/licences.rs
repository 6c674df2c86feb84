//! Licences and sources of everything that is linked in.

use std::collections::BTreeMap;

use super::workspace::{none, packages, string, text};

/// Licences whose terms we can keep by naming them: permissive ones, and MPL-2.0, which asks
/// for nothing as long as its files are not changed.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Where cargo's packages come from; a mirror configured on a machine does not change this.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_licence_is_one_we_can_keep() {
    let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let expression = string(&package, "license");
        let problem = match acceptable(expression) {
            Ok(true) => continue,
            Ok(false) => format!("`{expression}` is not allowed"),
            Err(why) => format!("`{expression}` is no licence expression ({why})"),
        };
        problems
            .entry(problem)
            .or_default()
            .push(string(&package, "name").to_owned());
    }
    let lines: Vec<_> = problems
        .iter()
        .map(|(problem, names)| format!("{problem}: {}", names.join(", ")))
        .collect();
    none(
        "Replace the dependency, or add the licence to ALLOWED after reading it:",
        &lines,
    );
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let lock = text("Cargo.lock").unwrap();
    let mut problems = Vec::new();
    let mut name = "";
    let mut seen = 0;
    for line in lock.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value;
        } else if let Some(source) = line.strip_prefix("source = ") {
            seen += 1;
            if source.trim_matches('"') != CRATES_IO {
                problems.push(format!("{name} from {source}"));
            }
        } else if line == "[[patch.unused]]" {
            problems.push("an unused patch".to_owned());
        }
    }
    assert!(
        seen > 0,
        "Cargo.lock names no source: has its format changed?"
    );
    none(
        "Only crates.io and this workspace; publish it or do without:",
        &problems,
    );
}

/// Whether one way of reading a licence expression leads to allowed licences only: either side
/// of an `OR` (or of the old `/`) will do, both sides of an `AND` must.
fn acceptable(expression: &str) -> Result<bool, String> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut tokens: Vec<&str> = spaced.split_whitespace().rev().collect();
    let answer = any(&mut tokens)?;
    match tokens.last() {
        None => Ok(answer),
        Some(token) => Err(format!("`{token}` was not expected")),
    }
}

/// `a OR b`; the tokens are in reverse, so that the next one is the last.
fn any(tokens: &mut Vec<&str>) -> Result<bool, String> {
    let mut answer = all(tokens)?;
    while tokens.pop_if(|token| *token == "OR").is_some() {
        answer |= all(tokens)?;
    }
    Ok(answer)
}

/// `a AND b`, which binds closer than `OR`.
fn all(tokens: &mut Vec<&str>) -> Result<bool, String> {
    let mut answer = one(tokens)?;
    while tokens.pop_if(|token| *token == "AND").is_some() {
        answer &= one(tokens)?;
    }
    Ok(answer)
}

/// A licence, with its exception if it has one, or an expression in parentheses.
fn one(tokens: &mut Vec<&str>) -> Result<bool, String> {
    match tokens.pop() {
        None => Err("it ends too early".into()),
        Some("(") => {
            let answer = any(tokens)?;
            match tokens.pop() {
                Some(")") => Ok(answer),
                _ => Err("`)` is missing".into()),
            }
        }
        Some(token @ (")" | "OR" | "AND" | "WITH")) => Err(format!("`{token}` was not expected")),
        Some(licence) if tokens.pop_if(|token| *token == "WITH").is_some() => {
            let exception = tokens.pop().ok_or("`WITH` what?")?;
            Ok(ALLOWED.contains(&format!("{licence} WITH {exception}").as_str()))
        }
        Some(licence) => Ok(ALLOWED.contains(&licence)),
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    let cases = [
        ("MIT", Some(true)),
        ("GPL-3.0-only", Some(false)),
        ("MIT OR GPL-3.0-only", Some(true)),
        ("GPL-3.0-only/MIT", Some(true)),
        ("MIT AND GPL-3.0-only", Some(false)),
        ("MIT OR GPL-3.0-only AND GPL-2.0-only", Some(true)),
        ("(MIT OR GPL-3.0-only) AND GPL-2.0-only", Some(false)),
        ("ISC AND (Apache-2.0 OR GPL-2.0-only) AND MIT", Some(true)),
        ("Apache-2.0 WITH LLVM-exception", Some(true)),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Some(false)),
        ("", None),
        ("MIT OR", None),
        ("(MIT", None),
        ("MIT)", None),
        ("MIT MIT", None),
        ("MIT WITH", None),
    ];
    for (expression, expected) in cases {
        assert_eq!(acceptable(expression).ok(), expected, "`{expression}`");
    }
}
