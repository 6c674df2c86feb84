//! The list of rules, the folder and the codes agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::RULES;
use crate::code::Code;

#[test]
fn every_file_of_the_folder_is_a_registered_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules");
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("rules folder") {
        let name = entry
            .expect("entry")
            .file_name()
            .into_string()
            .expect("name");
        let stem = name
            .strip_suffix(".rs")
            .expect("only Rust files")
            .to_owned();
        if stem != "mod" && stem != "tests" {
            files.insert(stem);
        }
    }
    let registered: BTreeSet<String> = RULES.iter().map(|rule| rule.name.to_owned()).collect();
    assert_eq!(files, registered);
    assert_eq!(RULES.len(), registered.len(), "a rule is listed twice");
}

#[test]
fn every_rule_has_the_code_of_its_name() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for rule in RULES {
        assert!(
            codes.contains(format!("spec::{}", rule.name).as_str()),
            "{}",
            rule.name
        );
        assert!(rule.summary.ends_with('.'), "{}", rule.name);
    }
}
