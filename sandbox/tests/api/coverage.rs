//! `docs/reference/sandbox-coverage.md`: which endpoints of DigitalOcean's document are simulated,
//! and which judge has exercised them, with which of their inputs.
//!
//! What a judge exercised stands in `judged/<judge>.txt`, one operation a line, because not every
//! machine has every judge; where one runs, its list must be what it did. `UPDATE_GOLDEN=1` writes
//! lists and page anew (run twice: the page is made of the lists). The list of the tests here can
//! only grow that way: remove it before the run to find what is exercised no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use kplan_conformance::{Document, Exchange, required_document};
use kplan_sandbox::digitalocean::endpoints;

/// The judges, as the page's columns name them.
const JUDGES: [(&str, &str); 3] = [
    ("tests", "tests"),
    ("doctl", "doctl"),
    ("terraform", "Terraform"),
];

/// Endpoints that are answered and can only refuse, with the reason.
const ONLY_REFUSES: &[(&str, &str)] = &[(
    "GET /v2/images/{image_id}/actions/{action_id}",
    "images are only read, so none of them has an action",
)];

/// Operations that succeeded, each with the inputs that were used.
pub(crate) type Exercised = BTreeMap<String, BTreeSet<String>>;

/// What this crate's own tests have exercised so far.
static OWN: LazyLock<Mutex<Exercised>> = LazyLock::new(|| Mutex::new(listed("tests")));

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

fn list(judge: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/api/judged/{judge}.txt"))
}

fn listed(judge: &str) -> Exercised {
    let text = std::fs::read_to_string(list(judge)).unwrap_or_default();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let parse = |line: &str| {
        let words: Vec<String> = words(line);
        let (operation, inputs) = words.split_at_checked(2)?;
        Some((operation.join(" "), inputs.iter().cloned().collect()))
    };
    text.lines().filter_map(parse).collect()
}

fn write(judge: &str, exercised: &Exercised) {
    let mut text = String::new();
    for (operation, inputs) in exercised {
        text.push_str(operation);
        for input in inputs {
            text.push(' ');
            text.push_str(input);
        }
        text.push('\n');
    }
    std::fs::write(list(judge), text).unwrap();
}

/// Adds what an exchange exercised, when it succeeded.
fn add(document: &Document, exchange: &Exchange, to: &mut Exercised) {
    if exchange.status < 400
        && let Some((operation, inputs)) = document.used(exchange).unwrap()
    {
        to.entry(operation).or_default().extend(inputs);
    }
}

/// An exchange of one of this crate's tests.
pub(crate) fn own(document: &Document, exchange: &Exchange) {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = own.clone();
    add(document, exchange, &mut own);
    if *own == before {
        return;
    }
    assert!(
        updating(),
        "{} {} is exercised in a way that judged/tests.txt does not know; run \
         UPDATE_GOLDEN=1 cargo test -p kplan-sandbox --test api (twice)",
        exchange.method,
        exchange.path
    );
    write("tests", &own);
}

/// What a judge did, as the sandbox recorded it, must be what is on its list.
pub(crate) fn judged(judge: &str, document: &Document, record: impl BufRead) {
    let mut exercised = Exercised::new();
    for line in record.lines() {
        let exchange = serde_json::from_str(&line.unwrap()).unwrap();
        add(document, &exchange, &mut exercised);
    }
    if updating() {
        return write(judge, &exercised);
    }
    let listed = listed(judge);
    let differs = exercised
        .iter()
        .find(|entry| listed.get(entry.0) != Some(entry.1))
        .or_else(|| listed.iter().find(|entry| !exercised.contains_key(entry.0)));
    assert!(
        differs.is_none(),
        "{judge} did not do what judged/{judge}.txt says, first: {differs:?}; run it with \
         UPDATE_GOLDEN=1 and read the difference"
    );
}

/// One row of the page.
struct Row {
    operation: String,
    simulated: bool,
    by: Vec<bool>,
    inputs: BTreeSet<String>,
    never: BTreeSet<String>,
}

fn rows(document: &Document) -> BTreeMap<String, Vec<Row>> {
    let lists = JUDGES.map(|(judge, _)| listed(judge));
    let mut families: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for endpoint in endpoints() {
        let operation = format!("{} {}", endpoint.method, endpoint.path);
        let inputs = document.inputs(endpoint.method, endpoint.path).unwrap();
        let tried: BTreeSet<String> = lists
            .iter()
            .filter_map(|list| list.get(&operation))
            .flatten()
            .cloned()
            .collect();
        let family = endpoint.path.split('/').nth(2).unwrap_or_default();
        families.entry(family.to_owned()).or_default().push(Row {
            by: lists.iter().map(|l| l.contains_key(&operation)).collect(),
            never: inputs.difference(&tried).cloned().collect(),
            simulated: endpoint.simulated,
            operation,
            inputs,
        });
    }
    for rows in families.values_mut() {
        rows.sort_by_key(|row| row.operation.split(' ').rev().collect::<String>());
    }
    families
}

fn page(families: &BTreeMap<String, Vec<Row>>) -> String {
    let mut page = String::from(
        "<!-- Made by sandbox/tests/api/coverage.rs; UPDATE_GOLDEN=1 makes it anew. -->\n\
         # What the sandbox covers\n\n\
         Every endpoint of DigitalOcean's OpenAPI document for the families it knows. *Simulated*: \
         `yes`, or `501` where it answers that it does not simulate this. The columns after it say \
         who has exercised the endpoint with success: the sandbox's own `tests`, and programs nobody \
         here wrote, [doctl](../../tests/doctl/session.sh) and \
         [Terraform with DigitalOcean's provider](../../tests/terraform/session.sh); each exchange \
         was held against the document in both directions. *Inputs* are the documented query \
         parameters (`?name`), properties of the body (`.name`) and alternatives of a body \
         (`.type=value`): how many of them somebody has used, and which nobody has.\n\n\
         | Family | Endpoints | Simulated | Inputs of those | Used |\n|---|---|---|---|---|\n",
    );
    for (family, rows) in families {
        let simulated: Vec<&Row> = rows.iter().filter(|row| row.simulated).collect();
        let inputs: usize = simulated.iter().map(|row| row.inputs.len()).sum();
        let never: usize = simulated.iter().map(|row| row.never.len()).sum();
        let (all, done, used) = (rows.len(), simulated.len(), inputs - never);
        writeln!(
            page,
            "| [{family}](#{family}) | {all} | {done} | {inputs} | {used} |"
        )
        .unwrap();
    }
    for (family, rows) in families {
        let columns: Vec<&str> = JUDGES.iter().map(|(_, name)| *name).collect();
        writeln!(
            page,
            "\n## {family}\n\n| Endpoint | Simulated | {} | Inputs used | Never used |\n|{}",
            columns.join(" | "),
            "---|".repeat(columns.len() + 4)
        )
        .unwrap();
        for row in rows {
            page.push_str(&line(row));
        }
    }
    page
}

fn line(row: &Row) -> String {
    let simulated = if row.simulated { "yes" } else { "501" };
    let by: Vec<&str> = row.by.iter().map(|by| if *by { "✓" } else { "" }).collect();
    let used = row.inputs.len() - row.never.len();
    let inputs = match (row.simulated, row.inputs.len()) {
        (false, _) | (_, 0) => String::new(),
        (true, all) => format!("{used}/{all}"),
    };
    let never: Vec<String> = row.never.iter().map(|input| format!("`{input}`")).collect();
    let refuses = ONLY_REFUSES
        .iter()
        .find(|(known, _)| *known == row.operation);
    let never = if let Some((_, why)) = refuses {
        format!("answers 404: {why}")
    } else if row.simulated {
        never.join(" ")
    } else {
        String::new()
    };
    format!(
        "| `{}` | {simulated} | {} | {inputs} | {never} |\n",
        row.operation,
        by.join(" | ")
    )
}

#[test]
fn the_page_says_what_was_exercised() {
    let Some(document) = required_document().unwrap() else {
        kplan_conformance::skipped("KPLAN_TEST_OPENAPI");
        return;
    };
    let families = rows(&document);
    let untried: Vec<&str> = families
        .values()
        .flatten()
        .filter(|row| row.simulated && !row.by.contains(&true))
        .filter(|row| {
            ONLY_REFUSES
                .iter()
                .all(|(known, _)| *known != row.operation)
        })
        .map(|row| row.operation.as_str())
        .collect();
    assert!(untried.is_empty() || updating(), "nobody tried {untried:?}");
    let pretending: Vec<&str> = families
        .values()
        .flatten()
        .filter(|row| !row.simulated && row.by.contains(&true))
        .map(|row| row.operation.as_str())
        .collect();
    assert!(
        pretending.is_empty(),
        "not simulated, and answered: {pretending:?}"
    );
    let page = page(&families);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/sandbox-coverage.md");
    if updating() {
        return std::fs::write(path, page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let mut pairs = committed.lines().zip(page.lines());
    let differs = pairs.find(|(old, new)| old != new);
    assert!(
        committed == page,
        "docs/reference/sandbox-coverage.md is out of date; run UPDATE_GOLDEN=1 cargo test -p \
         kplan-sandbox --test api coverage\nfirst difference (page, now): {differs:?}"
    );
}
