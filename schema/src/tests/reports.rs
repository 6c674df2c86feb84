//! How findings behave: all at once, none about what could not be read, no secret shown.

use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme};
use serde_json::Value;

use super::{codes, good, parse_text};
use crate::{MAX_DIAGNOSTICS, MAX_SOURCE_BYTES, SpecDiagnostic};

const BASE: &str = "[cluster]\nname = \"demo\"\nregion = \"fra1\"\n\
                    [network]\napi_allow = [\"203.0.113.0/24\"]\n\
                    [cloud_controller]\ntoken = { env = \"T\" }\n";

fn with(rest: &str) -> String {
    format!("{BASE}{rest}")
}

/// Everything a user could see of the findings: rendered and as JSON.
fn shown(diagnostics: &[SpecDiagnostic]) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    let mut out = String::new();
    for finding in diagnostics {
        handler.render_report(&mut out, finding).expect("render");
        write!(out, "{finding:?}").expect("debug");
        out.push_str(&serde_json::to_string(finding).expect("json"));
    }
    out
}

#[test]
fn the_base_of_these_tests_is_good() {
    assert_eq!(
        codes(&with("[servers]\nsize = \"s-2vcpu-4gb\"\n")),
        Vec::<&str>::new()
    );
}

/// What is said of one of the two places for backups is not skipped where the other one is used.
#[test]
fn a_bucket_of_ours_and_one_that_exists_are_not_mixed() {
    let backup = |lines: &str| {
        let schedule = "schedules = [{ name = \"nightly\", cron = \"0 2 * * *\" }]\n";
        codes(&with(&format!(
            "[servers]\nsize = \"s-2vcpu-4gb\"\n[backup]\n{schedule}{lines}"
        )))
    };
    let key = "credentials = { access_key = \"k\", secret_key = { env = \"S\" } }\n";
    let store = "store = \"s3://acme-backup\"\n";
    assert_eq!(backup(&format!("{store}{key}")), Vec::<&str>::new());
    assert_eq!(backup(store), ["spec::missing_key"]);
    assert_eq!(backup(""), ["spec::one_of"]);
    assert_eq!(
        backup(&format!("{store}{key}bucket = \"acme-x\"\n")),
        ["spec::one_of"]
    );
    assert_eq!(
        backup(&format!("{store}{key}versioning = true\n")),
        ["spec::one_of"]
    );
    assert_eq!(
        backup(&format!("bucket = \"acme-x\"\n{key}")),
        ["spec::one_of"]
    );
    let secret = "store = \"s3://key:hunter2@acme\"\n";
    assert_eq!(backup(&format!("{secret}{key}")), ["spec::secret_literal"]);
    for address in [
        "s3://AKID:abC/deF+hunter2@acme-backup",
        "https://AKID:ab/hunter2@store.example.com/acme",
    ] {
        for line in [
            format!("[backup]\nstore = \"{address}\"\n{key}"),
            format!("[state]\nbackend = \"{address}\"\n"),
        ] {
            let text = with(&format!("[servers]\nsize = \"s-2vcpu-4gb\"\n{line}"));
            let found = parse_text(&text).diagnostics;
            assert!(codes(&text).contains(&"spec::secret_literal"), "{line}");
            assert!(!shown(&found).contains("hunter2"), "{}", shown(&found));
        }
    }
    let nowhere = "store = \"s3://acme-backup?region=mars1\"\n";
    assert_eq!(backup(&format!("{nowhere}{key}")), ["spec::spaces_region"]);
}

#[test]
fn errors_of_all_passes_come_together() {
    let found = codes(&with(
        "[servers]\ncount = 2\nsize = \"big\"\ncolour = 1\n[k3s]\nversion = 5\n\
         [[agents]]\ncount = 0\nname = \"a\"\n",
    ));
    assert_eq!(
        found,
        [
            "spec::etcd_even_count",
            "spec::api_endpoint_missing",
            "spec::size_invalid",
            "spec::unknown_key",
            "spec::wrong_type",
            "spec::missing_key",
            "spec::out_of_range",
        ]
    );
}

#[test]
fn no_rule_judges_a_leaf_that_could_not_be_read() {
    // With one server (the stand-in) Argo CD would lack nodes, and SQLite would be the default.
    let text = with(
        "[servers]\ncount = \"3\"\nsize = \"s-2vcpu-4gb\"\n[k3s]\ndatastore = \"etdc\"\n\
         [load_balancer]\napi = 1\n\
         [gitops]\nrepo = \"https://github.com/a/b\"\nha = true\n",
    );
    assert_eq!(
        codes(&text),
        [
            "spec::wrong_type",
            "spec::unknown_value",
            "spec::wrong_type"
        ]
    );
    // An unreadable endpoint is still an endpoint, an unreadable database still a database.
    let text = with(
        "[servers]\ncount = 3\nsize = \"s-2vcpu-4gb\"\n[endpoint]\nhostname = 7\n\
         [k3s]\ndatastore = \"postgres\"\ndatabase = \"big\"\n",
    );
    assert_eq!(codes(&text), ["spec::wrong_type", "spec::wrong_type"]);
    // Neither are credentials, schedules and tables that stand there but could not be read.
    let text = with(
        "[servers]\nsize = \"s-2vcpu-4gb\"\n[k3s]\nversion = \"v1.36.2+k3s1\"\n\
         [gitops]\nrepo = \"git@github.com:a/b\"\nversion = \"v3.5.0\"\ncredentials = {}\n\
         [backup]\nbucket = \"abc\"\nschedules = [1]\n",
    );
    let text = format!("storage = 1\n{text}");
    assert_eq!(
        codes(&text),
        ["spec::wrong_type", "spec::one_of", "spec::wrong_type"]
    );
    let text = format!(
        "k3s = 1\n{}",
        with("[servers]\ncount = 4\nsize = \"s-2vcpu-4gb\"\n[load_balancer.api]\n")
    );
    assert_eq!(codes(&text), ["spec::wrong_type"]);
    // A missing table of servers is one finding, not one and its consequences.
    let text = with("[gitops]\nrepo = \"https://github.com/a/b\"\nha = true\n");
    assert_eq!(codes(&text), ["spec::needs_cluster"]);
}

#[test]
fn broken_toml_does_not_make_the_rest_of_the_file_missing() {
    let found = codes("[cluster]\nname = \"demo\nregion = \"fra1\"\n");
    assert!(
        found.iter().all(|code| *code == "spec::syntax"),
        "{found:?}"
    );
    let found = codes("[cluster\nname = 1\n[servers]\nsize = \"BIG\"\n");
    assert!(
        found.contains(&"spec::syntax") && !found.contains(&"spec::missing_key"),
        "{found:?}"
    );
}

#[test]
fn a_key_given_twice_is_reported_with_its_place() {
    let parsed = parse_text(&with(
        "[servers]\nsize = \"s-2vcpu-4gb\"\nsize = \"s-4vcpu-8gb\"\n",
    ));
    assert!(parsed.spec.is_none());
    let finding = &parsed.diagnostics[0];
    assert_eq!(finding.code.as_str(), "spec::syntax");
    assert_eq!(
        parsed
            .source
            .position(finding.span().expect("place").start)
            .line,
        10
    );
}

#[test]
fn a_suggestion_is_applicable_as_it_stands() {
    let text = with("[servers]\nsise = \"s-2vcpu-4gb\"\n");
    let parsed = parse_text(&text);
    let suggestion = parsed
        .diagnostics
        .iter()
        .find_map(|finding| finding.suggestion.clone())
        .expect("a suggestion for `sise`");
    let mut repaired = text.clone();
    repaired.replace_range(
        suggestion.span.start..suggestion.span.end,
        &suggestion.replacement,
    );
    assert_eq!(codes(&repaired), Vec::<&str>::new());
}

#[test]
fn json_carries_positions_for_people_and_programs() {
    let parsed = parse_text(&with("[servers]\nsize = \"s-2vcpu-4gb\"\nimage = \"Ü\"\n"));
    let json: Value = serde_json::to_value(&parsed.diagnostics[0]).expect("json");
    assert_eq!(json["code"], "spec::image_invalid");
    assert_eq!(json["severity"], "error");
    assert_eq!(json["file"], "cluster.toml");
    let label = &json["labels"][0];
    assert_eq!(
        (label["line"].as_u64(), label["column"].as_u64()),
        (Some(10), Some(9))
    );
    assert_eq!(
        (label["end_column"].as_u64(), label["length"].as_u64()),
        (Some(12), Some(4))
    );
}

#[test]
fn secrets_typed_in_wrong_places_are_never_shown() {
    for line in [
        "[cloud_controller]\ntoken = \"canary\"\n",
        "[cloud_controller]\ntoken = 31337\n",
        "[cloud_controller]\ntoken = [\"canary\", 31337]\n",
        "[cloud_controller]\ntokn = \"canary\"\n",
        "[cloud_controller]\ntoken = { env = \"canary with blanks\" }\n",
        "[cloud_controller]\ntoken = { env = 31337 }\n",
        "[cloud_controller]\ntoken = { value = \"canary\" }\n",
        "[cloud_controller]\ntoken = \"canary\nsize = 1\n",
        "[cloud_controller]\ntoken = \"\"\"canary\ncanary\n",
        "[gitops]\nrepo = \"https://me:canary@github.com/a/b\"\n",
        "[gitops]\nrepo = \"ssh://git:canary@github.com/a/b\"\n",
        "[gitops]\nrepo = \"https://github.com/a/b\"\ncredentials = \"canary\"\n",
        "[gitops]\nrepo = \"https://github.com/a/b\"\npassword = \"canary\"\n",
        "[gitops]\nrepo = \"https://github.com/a/b\"\ncredentials = { tken = \"canary\" }\n",
        "[gitops]\nrepo = \"https://github.com/a/b\"\ncredentials = { github_app = \"canary\" }\n",
        "[cluster]\nname = \"ghp_canary0123456789\"\n",
        "ghp_canary0123456789 = 1\n",
        "[x]\ny = \"-----BEGIN RSA PRIVATE KEY-----\\ncanary\\n-----END RSA PRIVATE KEY-----\"\n",
        "[gitops]\nrepo = \"https://me:canary@github.com/a/b\n",
        "[mirror]\nurl = \"https://me:canary@mirror.example.com\"\n",
    ] {
        let parsed = parse_text(line);
        assert!(parsed.spec.is_none(), "{line}");
        let shown = shown(&parsed.diagnostics);
        assert!(
            !shown.contains("canary") && !shown.contains("31337"),
            "{line}\n{shown}"
        );
        assert_eq!(
            parsed.source.text().len(),
            line.len(),
            "masking keeps offsets"
        );
    }
}

#[test]
fn the_number_of_findings_is_bounded() {
    let mut text = String::from("[servers]\n");
    for index in 0..5000 {
        writeln!(text, "key{index} = 1").expect("write");
    }
    let parsed = parse_text(&text);
    assert_eq!(parsed.diagnostics.len(), MAX_DIAGNOSTICS + 1);
    assert_eq!(
        parsed.diagnostics[MAX_DIAGNOSTICS].code.as_str(),
        "spec::too_many"
    );
}

#[test]
fn an_error_behind_a_hundred_warnings_still_counts() {
    let mut text = with("[servers]\nsize = \"s-2vcpu-4gb\"\n[k3s]\ndatastore = \"mysql\"\n");
    for index in 0..MAX_DIAGNOSTICS {
        writeln!(
            text,
            "[[agents]]\nname = \"a{index}\"\nsize = \"c-2\"\nimage = \"debian-10-x64\""
        )
        .expect("write");
    }
    text.push_str("[network.vpc]\nip_range = \"10.10.10.0/28\"\n");
    let parsed = parse_text(&text);
    assert!(parsed.spec.is_none());
    assert!(parsed.diagnostics.iter().any(SpecDiagnostic::is_error));
}

#[test]
fn a_file_too_large_is_not_read() {
    let text = format!("{}{}", good("minimal"), "#".repeat(MAX_SOURCE_BYTES));
    let parsed = parse_text(&text);
    assert!(parsed.spec.is_none());
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].code.as_str(), "spec::too_large");
}
