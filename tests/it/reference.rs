//! `docs/reference/{kinds,errors}.md` are made from the tables the program itself reads.
//! `UPDATE_GOLDEN=1` rewrites them; read the difference before keeping it.

use crate::support::repository;
use kplan_model::{Change, Compare, Disruption, Down, Field, KindInfo, Otherwise, ReplaceOrder};
use kplan_schema::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

const GENERATED: &str = "<!-- Made by tests/it/reference.rs; UPDATE_GOLDEN=1 makes it anew. -->\n";

const KINDS_INTRO: &str = "\
Every kind of resource kplan knows: its fields, and what a change of one means for what exists \
already. The differ, the plan's text and this page read one table, so they cannot disagree.

- *in place*: the living resource is changed. Where something is interrupted, that is said.
- *replaces*: only a new resource can have the value; the old one is destroyed.
- *refused*: the plan is refused, with the reason.
- *only at creation*: sent once, not compared afterwards.
- *reported*: the remote side says it; it cannot be asked for.

A field is compared as it stands, or as a *set* (order and repetition do not count), without \
regard to *case*, as *networks* (`10.0.0.1/24` is `10.0.0.0/24`) or as Kubernetes *quantities* \
(`1000m` is `1`). A *secret* field is shown as `(sensitive value)` and stored as ciphertext.

Seconds are what scheduling expects, mostly estimates; they are never a timeout.
";

const ERRORS_INTRO: &str = "\
Every code `kplan validate` can report about `cluster.toml`. Codes are stable: scripts may rely \
on them. An *error* stops the file from being used, a *warning* does not. All findings of a file \
are reported together, each with its place, the reason and the remedy.

[The other codes](error-codes.md), such as `state::locked` and `plan::would_lose`, have a page of \
their own; [exit codes](exit-codes.md) tell what a run came to.
";

#[test]
fn the_reference_of_kinds_is_up_to_date() {
    let kinds = kplan::wire::kinds();
    assert!(
        kinds.len() > 20,
        "the registry has only {} kinds",
        kinds.len()
    );
    let mut page = format!("# Kinds\n\n{GENERATED}\n{KINDS_INTRO}");
    for info in kinds.into_values() {
        kind(&mut page, info);
    }
    assert_up_to_date("kinds.md", &page);
}

#[test]
fn every_operation_of_a_table_can_be_done_and_undone() {
    let registry = kplan::wire::registry_of_nowhere();
    assert_eq!(registry.unmatched_operations(), []);
}

#[test]
fn the_reference_of_errors_is_up_to_date() {
    let summaries = summaries();
    let mut page = format!("# Error codes\n\n{GENERATED}\n{ERRORS_INTRO}\n");
    page.push_str("| Code | Severity | What it says |\n|---|---|---|\n");
    for &code in Code::ALL {
        let summary = summaries
            .get(code.as_str())
            .unwrap_or_else(|| panic!("schema/src/code.rs says nothing about {code}"));
        let severity = code.severity().as_str();
        line(
            &mut page,
            &format!("| `{code}` | {severity} | {} |", cell(summary)),
        );
    }
    assert_up_to_date("errors.md", &page);
}

/// The code that a piece of the source begins with; nothing where it begins with something else.
fn code(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (code, rest) = text.split_at(end);
    let (area, name) = code.split_once("::")?;
    // What is followed by a colon is a notice that has its code in its text.
    let ends = rest.starts_with('"') || code.ends_with(':');
    let name = name.trim_end_matches(':');
    let is_one = !area.is_empty() && !name.is_empty() && ends;
    is_one.then(|| code.trim_end_matches(':'))
}

/// Every code in the source of the crates that print any, tests left out.
fn codes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let folders = ["src", "state/src", "engine/src", "providers/src"];
    let mut open: Vec<PathBuf> = folders.iter().map(|it| repository().join(it)).collect();
    while let Some(at) = open.pop() {
        let name = at.file_name().unwrap_or_default().to_string_lossy();
        if ["tests", "tests.rs", "testing", "testing.rs"].contains(&&*name) {
            continue;
        }
        if at.is_dir() {
            let entries = fs::read_dir(&at).expect("a folder");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
            continue;
        }
        if at.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&at).expect("a file");
        let code_only = text.split("#[cfg(test)]\nmod tests {").next();
        let pieces = code_only.unwrap_or_default().split('"').skip(1);
        // A literal ends with the quote at which the text was split.
        found.extend(pieces.filter_map(|piece| code(&format!("{piece}\"")).map(str::to_owned)));
    }
    // These are put together from the kind of a provider's error.
    let errors = fs::read_to_string(repository().join("src/error.rs")).expect("a file");
    let (_, kinds) = errors.split_once("fn code_of(").expect("the function");
    let kinds = kinds.split("\n}").next().unwrap_or_default();
    let kinds = kinds.split('"').skip(1).step_by(2);
    found.extend(kinds.map(|kind| format!("cloud::{kind}")));
    found.retain(|code| !code.starts_with("spec::"));
    found
}

#[test]
fn every_code_is_listed_with_what_it_says() {
    let page = fs::read_to_string(repository().join("docs/reference/error-codes.md"));
    let page = page.expect("the page");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let listed: Vec<&str> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    assert!(
        listed.is_sorted(),
        "docs/reference/error-codes.md is by code"
    );
    for row in &rows {
        let (exit, says) = (row[2], row[3]);
        assert!(
            exit.is_empty() || ["1", "3", "4", "5", "6", "130"].contains(&exit),
            "{row:?}"
        );
        assert!(says.ends_with('.') && says.len() > 10, "{row:?}");
    }
    let listed: BTreeSet<String> = listed.into_iter().map(str::to_owned).collect();
    let codes = codes();
    assert!(codes.len() > 150, "{codes:?}");
    let missing: Vec<&String> = codes.difference(&listed).collect();
    let gone: Vec<&String> = listed.difference(&codes).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/reference/error-codes.md lacks {missing:?} and lists {gone:?}, which nothing prints"
    );
}

#[track_caller]
fn assert_up_to_date(name: &str, page: &str) {
    let path = repository().join("docs/reference").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, page).expect("write the page");
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed
        .lines()
        .zip(page.lines())
        .find(|(old, new)| old != new);
    assert!(
        committed == page,
        "docs/reference/{name} is out of date; run UPDATE_GOLDEN=1 cargo test --test it reference\n\
         first difference (page, now): {differs:?}"
    );
}

fn kind(page: &mut String, info: &KindInfo) {
    let identity: Vec<String> = info
        .identity
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let typical = info.typical;
    let rows = [
        ("Terraform type", format!("`{}`", info.terraform)),
        ("Replaced", replaced(info.replace).to_owned()),
        ("Lost when destroyed", lost(info)),
        ("Same thing", identity.join(", ")),
        ("Imported by", info.import.unwrap_or("").to_owned()),
        (
            "Seconds",
            format!(
                "create {}, update {}, delete {}",
                typical.create, typical.update, typical.delete
            ),
        ),
        ("Steps at once", info.max_parallel.to_string()),
        ("Before it is destroyed", operations(info)),
    ];
    line(page, &format!("\n## `{}`\n\n{}\n", info.kind, info.doc));
    page.push_str("| | |\n|---|---|\n");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        line(page, &format!("| {name} | {} |", cell(value)));
    }
    page.push_str(
        "\n| Field | A change | Compared | Secret | What it is |\n|---|---|---|---|---|\n",
    );
    for field in info.fields {
        line(page, &row(field));
    }
}

fn operations(info: &KindInfo) -> String {
    let all = info.operations.iter();
    let all: Vec<String> = all
        .map(|one| {
            let undone = one.undo.map_or_else(
                || "cannot be undone".to_owned(),
                |undo| format!("undone by `{}`", undo.name),
            );
            let when = if one.of_destroy {
                ", where the whole cluster is"
            } else {
                ""
            };
            format!("`{}`{when}: it {}; {undone}", one.name, one.doc)
        })
        .collect();
    all.join("; ")
}

fn row(field: &Field) -> String {
    format!(
        "| `{}` | {} | {} | {} | {} |",
        field.name,
        cell(&meaning(field.change)),
        compare(field),
        if field.secret { "secret" } else { "" },
        cell(field.doc)
    )
}

fn replaced(order: ReplaceOrder) -> &'static str {
    match order {
        ReplaceOrder::DeleteFirst => "the old one goes before the new one is made",
        ReplaceOrder::CreateFirst => "the new one is made before the old one goes",
    }
}

fn lost(info: &KindInfo) -> String {
    info.holds.map_or_else(
        || "nothing that the plan asks consent for".to_owned(),
        |what| format!("{what}; `apply` needs `--allow-destroy ADDRESS`"),
    )
}

fn meaning(change: Change) -> String {
    match change {
        Change::InPlace { disruption } => match disruption {
            Disruption::None => "in place".to_owned(),
            Disruption::Restart => "in place; a process is restarted".to_owned(),
            Disruption::PowerOff => "in place; the machine is powered off and on".to_owned(),
        },
        Change::Replace => "replaces".to_owned(),
        Change::Monotonic { down } => match down {
            Down::Replace => "up: in place; down: replaces".to_owned(),
            Down::Refuse(why) => format!("up: in place; down: refused: {why}"),
        },
        Change::OneWay {
            from,
            to,
            otherwise,
        } => {
            let allowed = format!("`{from}` to `{to}`: in place; else");
            match otherwise {
                Otherwise::Replace => format!("{allowed} replaces"),
                Otherwise::Refuse(why) => format!("{allowed} refused: {why}"),
            }
        }
        Change::InParts {
            parts,
            disruption,
            otherwise,
        } => {
            let within = meaning(Change::InPlace { disruption });
            format!(
                "`{}`: {within}; else {}",
                parts.join("`, `"),
                meaning(*otherwise)
            )
        }
        Change::Refuse(why) => format!("refused: {why}"),
        Change::Ignored => "only at creation".to_owned(),
        Change::Computed => "reported".to_owned(),
    }
}

/// How a field is compared; nothing for those that never are.
fn compare(field: &Field) -> &'static str {
    if matches!(field.change, Change::Ignored | Change::Computed) {
        return "";
    }
    match field.compare {
        Compare::Exact => "as it stands",
        Compare::Set => "as a set",
        Compare::CaseFold => "without case",
        Compare::Cidr => "as networks",
        Compare::Quantity => "as quantities",
    }
}

/// What stands above each code where it is declared: the crate has no other text about them.
fn summaries() -> BTreeMap<String, String> {
    let path = repository().join("schema/src/code.rs");
    let source = fs::read_to_string(path).expect("the list of codes");
    let mut summaries = BTreeMap::new();
    let mut doc = String::new();
    for text in source.lines().map(str::trim) {
        if let Some(comment) = text.strip_prefix("///") {
            doc.push_str(comment);
            continue;
        }
        let quoted = text
            .split_once(" = ")
            .and_then(|(_, rest)| rest.strip_suffix("\","))
            .and_then(|rest| rest.split_once('"'));
        if let Some((_, name)) = quoted {
            summaries.insert(format!("spec::{name}"), doc.trim().to_owned());
        }
        doc.clear();
    }
    summaries
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("a text takes every line");
}
