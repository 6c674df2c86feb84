//! Who may depend on whom in this workspace: a star around `kplan-model`.

use super::workspace::{members, none};

/// Crate, what it depends on, what its tests may use besides.
const EDGES: &[(&str, &[&str], &[&str])] = &[
    ("kplan-model", &[], &[]),
    ("kplan-schema", &[], &[]),
    ("kplan-conformance", &[], &[]),
    ("kplan-sandbox", &[], &["kplan-conformance"]),
    ("kplan-engine", &["kplan-model"], &[]),
    ("kplan-state", &["kplan-model"], &[]),
    (
        "kplan-providers",
        &["kplan-model"],
        // The engine, for what a whole run costs; the model again, for its permit for tests.
        &[
            "kplan-conformance",
            "kplan-engine",
            "kplan-model",
            "kplan-sandbox",
        ],
    ),
    // Not a library of the product: it drives all of them, to find what breaks.
    (
        "kplan-simulation",
        &[
            "kplan",
            "kplan-engine",
            "kplan-model",
            "kplan-providers",
            "kplan-sandbox",
            "kplan-schema",
            "kplan-state",
        ],
        &[],
    ),
    (
        "kplan-bench",
        &[],
        &["kplan-engine", "kplan-model", "kplan-schema", "kplan-state"],
    ),
    (
        "kplan",
        &[
            "kplan-engine",
            "kplan-model",
            "kplan-providers",
            "kplan-sandbox",
            "kplan-schema",
            "kplan-state",
        ],
        &["kplan-conformance", "kplan-model"],
    ),
];

#[test]
fn crates_form_a_star_around_the_model() {
    let mut problems = Vec::new();
    for (name, normal, dev) in EDGES {
        let Some(member) = members().get(*name) else {
            problems.push(format!("{name} is not in the workspace"));
            continue;
        };
        let found = member.names("normal", true);
        if found != *normal {
            problems.push(format!(
                "{name} depends on {found:?}, the design says {normal:?}"
            ));
        }
        for extra in member
            .names("dev", true)
            .iter()
            .filter(|d| !dev.contains(d))
        {
            problems.push(format!("the tests of {name} use {extra}"));
        }
        for extra in member.names("build", true) {
            problems.push(format!("the build script of {name} uses {extra}"));
        }
    }
    for name in members()
        .keys()
        .filter(|name| !EDGES.iter().any(|(n, _, _)| n == name))
    {
        problems.push(format!(
            "{name} is new: give it a line in tests/tidy/edges.rs"
        ));
    }
    none(
        "A library crate depends on no library crate but kplan-model. Pass a value or a trait \
         of the model instead; if the design really changes, write an ADR and change EDGES:",
        &problems,
    );
}
