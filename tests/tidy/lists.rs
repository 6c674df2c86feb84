//! What is written must also be registered: a kind or a rule nobody lists does nothing.

use super::workspace::{none, rust_files, text};

const REGISTRY: &str = "providers/src/registry.rs";
const RULES: &str = "schema/src/rules";

#[test]
fn every_resource_is_in_the_registry() {
    let registry = text(REGISTRY).map(without_comments).unwrap_or_default();
    let mut problems = Vec::new();
    for path in rust_files("providers/src").filter(|path| *path != REGISTRY && !is_test(path)) {
        let source = text(path).map(without_comments).unwrap_or_default();
        for name in implementors(&source, "impl Resource for ") {
            if !has_word(&registry, name) {
                problems.push(format!("{name} of {path}"));
            }
        }
    }
    none(&format!("Add a line to {REGISTRY} for"), &problems);
}

#[test]
fn every_rule_is_in_the_list() {
    let files: Vec<&str> = rust_files(RULES).filter(|path| !is_test(path)).collect();
    let list = format!("{RULES}/mod.rs");
    let rules: Vec<&str> = files.into_iter().filter(|path| **path != *list).collect();
    let source = text(&list)
        .or_else(|| text(&format!("{RULES}.rs")))
        .map(without_comments);
    // The list is written by a macro that also declares the modules.
    let listed = source.as_deref().and_then(|source| {
        let in_macro = source
            .split_once("\nrules! {")
            .and_then(|(_, rest)| rest.split_once('}'));
        in_macro
            .map(|(list, _)| list)
            .or_else(|| array(source, "RULES"))
    });
    if rules.is_empty() && listed.is_none() {
        return;
    }
    let listed = listed.expect("schema/src/rules/mod.rs must hold `const RULES: … = &[…];`");
    let stem = |path: &&str| {
        path.rsplit('/')
            .next()
            .unwrap_or_default()
            .replace(".rs", "")
    };
    let problems: Vec<String> = rules
        .iter()
        .filter(|path| !has_word(listed, &stem(path)))
        .map(|path| format!("{path}: `{}::…`", stem(path)))
        .collect();
    none(
        "Add the rule to RULES, or move what is no rule out of the folder:",
        &problems,
    );
}

/// The value of `const <name>: … = …;`.
fn array<'s>(source: &'s str, name: &str) -> Option<&'s str> {
    let (_, after) = source.split_once(&format!("const {name}:"))?;
    after
        .split_once("= ")?
        .1
        .split_once(';')
        .map(|(value, _)| value)
}

/// The types that follow `marker`.
fn implementors<'s>(source: &'s str, marker: &str) -> Vec<&'s str> {
    source
        .split(marker)
        .skip(1)
        .filter_map(|rest| rest.split(is_boundary).next())
        .collect()
}

fn has_word(source: &str, word: &str) -> bool {
    source.split(is_boundary).any(|found| found == word)
}

fn is_boundary(c: char) -> bool {
    !(c.is_alphanumeric() || c == '_')
}

fn without_comments(source: String) -> String {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

#[test]
fn lists_are_read_as_rust_writes_them() {
    let source = "impl Resource for Vpc {}\nimpl Resource for Tag{}";
    assert_eq!(implementors(source, "impl Resource for "), ["Vpc", "Tag"]);
    let rules = array("const RULES: &[Rule] = &[a::RULE, b_c::RULE];\nx", "RULES").unwrap();
    assert!(has_word(rules, "b_c") && has_word(rules, "a"));
    assert!(!has_word(rules, "b") && !has_word(rules, "x"));
}
