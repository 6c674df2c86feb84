//! Words that must not be in the tree: paths of one machine, unfinished work, switched-off tests.

use super::workspace::{files, is_rust, none, text};

/// A path of a machine some work was done on; put together so that it is not found here.
const MACHINE_PATH: &str = concat!("/", "work", "/");
/// Marks of unfinished work, likewise.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
/// What switches a test off, likewise.
const SWITCHED_OFF: &str = concat!("#[", "ignore");
/// How a test begins to say that it cannot run, likewise.
const SKIPPED: &str = concat!("\"skipped:", " needs");

/// Every line of every text file for which `is_bad` answers true, as `path:line: text`.
fn lines(is_bad: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in files() {
        for (index, line) in text(path).unwrap_or_default().lines().enumerate() {
            if is_bad(path, line) {
                found.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    found
}

/// Whether `word` stands in `line` with nothing before it that it could be a part of.
fn begins(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | '$'))
    })
}

#[test]
fn no_path_of_one_machine() {
    let problems = lines(|_, line| begins(line, MACHINE_PATH));
    none(
        "Use a path from the repository, a variable or a temporary folder:",
        &problems,
    );
}

#[test]
fn unfinished_work_has_an_issue() {
    let problems = lines(|_, line| {
        let number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        let tracked = line.split('#').skip(1).any(number);
        let marked = UNFINISHED.iter().any(|word| begins(line, word));
        marked && !(tracked || line.contains("://"))
    });
    none(
        "Finish it, or name its issue on the same line (`#12`):",
        &problems,
    );
}

#[test]
fn no_test_is_switched_off() {
    let problems = lines(|path, line| is_rust(path) && line.trim_start().starts_with(SWITCHED_OFF));
    none(
        "Mend the test or delete it; one that needs a tool prints `skipped: needs X`:",
        &problems,
    );
}

/// The one place that says it, and fails where everything has to be there. Benchmarks are no tests.
#[test]
fn what_is_skipped_is_skipped_by_the_one_function() {
    let problems = lines(|path, line| {
        let own = path == "conformance/src/skipped.rs" || path.starts_with("benches/");
        is_rust(path) && !own && line.contains(SKIPPED)
    });
    none("Call `kplan_conformance::skipped`:", &problems);
}

#[test]
fn words_are_found_where_they_begin() {
    assert!(begins("see /a/b", "/a/"));
    assert!(begins("\"/a/b\"", "/a/"));
    assert!(!begins("https://example.com/a/b", "/a/"));
    assert!(!begins("x/a/b", "/a/"));
}
