//! Every code has a bad file, and every bad file its golden report. `UPDATE_GOLDEN=1` rewrites
//! the reports; read the difference before keeping it.

use std::collections::BTreeSet;
use std::env;
use std::fs;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::{parse_text, spec_files, specs};
use crate::{Code, SpecDiagnostic};

/// Codes whose files would be too long to keep; they are tested in `reports`.
const WITHOUT_FILE: [Code; 2] = [Code::TooLarge, Code::TooMany];

/// Texts the bad files hold where secrets do not belong.
const CANARY: &str = "canary";

fn render(diagnostics: &[SpecDiagnostic]) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    let mut out = String::new();
    for finding in diagnostics {
        handler.render_report(&mut out, finding).expect("render");
        out.push('\n');
    }
    // Trailing blanks depend on nothing a reader sees, and editors strip them.
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

#[test]
fn every_bad_file_gives_its_golden_report() {
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (stem, text) in spec_files("bad") {
        let parsed = parse_text(&text);
        let report = render(&parsed.diagnostics);
        assert!(
            !report.contains(CANARY),
            "{stem}: the report shows a secret:\n{report}"
        );
        let golden = specs("bad").join(format!("{stem}.txt"));
        if update {
            fs::write(&golden, &report).expect("write golden report");
        } else if fs::read_to_string(&golden).unwrap_or_default() != report {
            wrong.push(format!("--- {stem}: now\n{report}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "reports differ from their files:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_bad_file_has_the_finding_it_is_named_after_and_no_other() {
    for (stem, text) in spec_files("bad") {
        if stem.starts_with('_') {
            continue;
        }
        let parsed = parse_text(&text);
        let found: BTreeSet<&str> = parsed
            .diagnostics
            .iter()
            .map(|finding| finding.code.as_str())
            .collect();
        assert_eq!(
            found,
            BTreeSet::from([format!("spec::{stem}").as_str()]),
            "{stem}"
        );
        let errors = parsed.diagnostics.iter().any(SpecDiagnostic::is_error);
        assert_eq!(
            parsed.spec.is_none(),
            errors,
            "{stem}: a spec exactly when there is no error"
        );
    }
}

#[test]
fn every_code_has_a_bad_file() {
    let files: BTreeSet<String> = spec_files("bad")
        .into_iter()
        .map(|(stem, _)| stem)
        .filter(|stem| !stem.starts_with('_'))
        .map(|stem| format!("spec::{stem}"))
        .collect();
    let codes: BTreeSet<String> = Code::ALL
        .iter()
        .filter(|code| !WITHOUT_FILE.contains(code))
        .map(|code| code.as_str().to_owned())
        .collect();
    assert_eq!(files, codes);
}

#[test]
fn every_finding_says_what_why_and_what_to_do() {
    for (stem, text) in spec_files("bad") {
        for finding in parse_text(&text).diagnostics {
            assert!(!finding.message.is_empty(), "{stem}");
            assert!(finding.why.ends_with('.'), "{stem}: why: {}", finding.why);
            assert!(
                finding.remedy.ends_with(['.', '?', '`']),
                "{stem}: {}",
                finding.remedy
            );
            let rootless = finding.message.starts_with("the table `[");
            assert!(
                rootless || finding.span().is_some(),
                "{stem}: {} has no place",
                finding.message
            );
        }
    }
}
