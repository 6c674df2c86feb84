//! Which third-party crates each crate may use. A new one is a decision: its line here is where
//! a reviewer sees it.

use super::workspace::{members, none, rust_files, text};

/// Crate, what it may use, what its tests may use besides.
const ALLOWED: &[(&str, &[&str], &[&str])] = &[
    ("kplan-model", &["serde", "smol_str"], &["proptest"]),
    (
        "kplan-schema",
        &[
            "ipnet",
            "miette",
            "schemars",
            "serde",
            "serde_json",
            "strsim",
            "toml",
        ],
        &["jsonschema", "miette", "proptest"],
    ),
    (
        "kplan-engine",
        &["futures-util", "petgraph", "serde", "thiserror", "tokio"],
        &["insta", "proptest"],
    ),
    (
        "kplan-state",
        &[
            "age",
            "base64",
            "chacha20poly1305",
            "crc32fast",
            "getrandom",
            "hmac",
            "jiff",
            "serde",
            "serde_json",
            "sha2",
            "sled",
            "thiserror",
            "zeroize",
        ],
        &["proptest", "tempfile"],
    ),
    (
        "kplan-providers",
        &[
            "aws-credential-types",
            "aws-lc-rs",
            "aws-sdk-s3",
            "aws-smithy-async",
            "aws-smithy-runtime-api",
            "aws-smithy-types",
            "base64",
            "bcrypt",
            "bytes",
            "futures-util",
            "getrandom",
            "http",
            "http-body",
            "http-body-util",
            "jiff",
            "k8s-openapi",
            "kube",
            "md-5",
            "percent-encoding",
            "rcgen",
            "reqwest",
            "rustls",
            "serde",
            "serde_json",
            "serde_norway",
            "sha2",
            "tar",
            "thiserror",
            "tokio",
            "toml",
            "tower",
            "x509-parser",
        ],
        &["insta", "proptest", "tempfile", "tokio"],
    ),
    (
        "kplan-sandbox",
        &[
            "async-trait",
            "aws-lc-rs",
            "axum",
            "base64",
            "bytes",
            "flate2",
            "form_urlencoded",
            "futures-util",
            "getrandom",
            "http",
            "http-body-util",
            "hyper",
            "hyper-util",
            "ipnet",
            "jiff",
            "k8s-openapi",
            "md-5",
            "percent-encoding",
            "rcgen",
            "regex",
            "rustls",
            "s3s",
            "schemars",
            "serde",
            "serde_json",
            "serde_norway",
            "sha2",
            "tar",
            "thiserror",
            "tokio",
            "tokio-rustls",
            "tower",
            "x509-parser",
        ],
        &[
            "aws-credential-types",
            "aws-sdk-s3",
            "aws-smithy-runtime-api",
            "aws-smithy-types",
            "proptest",
            "reqwest",
            "tempfile",
            "tokio",
        ],
    ),
    (
        "kplan-conformance",
        &["jsonschema", "serde", "serde_json", "toml"],
        &["tempfile"],
    ),
    ("kplan-bench", &[], &["criterion", "tempfile", "tokio"]),
    (
        "kplan-simulation",
        &[
            "axum",
            "base64",
            "bytes",
            "http",
            "jiff",
            "serde_json",
            "tokio",
            "tower",
        ],
        &[],
    ),
    (
        "kplan",
        &[
            "aws-lc-rs",
            "base64",
            "clap",
            "clap_complete",
            "cronexpr",
            "flate2",
            "futures-util",
            "indicatif",
            "jiff",
            "miette",
            "rustls",
            "serde",
            "serde_json",
            "serde_norway",
            "similar",
            "tar",
            "terminal_size",
            "textwrap",
            "thiserror",
            "tokio",
            "toml",
        ],
        &[
            "insta",
            "jsonschema",
            "proptest",
            "pulldown-cmark",
            "tempfile",
            "x509-parser",
        ],
    ),
];

/// Crates that stand for a whole world: dependency, the only crate whose code may use it, and
/// crates whose tests may.
const CONFINED: &[(&str, &str, &[&str])] = &[
    ("aws-sdk-s3", "kplan-providers", &["kplan-sandbox"]),
    ("clap", "kplan", &[]),
    ("kube", "kplan-providers", &["kplan-sandbox"]),
    ("petgraph", "kplan-engine", &[]),
    ("reqwest", "kplan-providers", &["kplan-sandbox"]),
    ("sled", "kplan-state", &[]),
];

#[test]
fn every_dependency_is_on_the_list_of_its_crate() {
    let mut problems = Vec::new();
    for (name, normal, dev) in ALLOWED {
        let Some(member) = members().get(*name) else {
            problems.push(format!("{name} is not in the workspace"));
            continue;
        };
        for kind in ["normal", "dev", "build"] {
            for dependency in member.names(kind, false) {
                let allowed =
                    normal.contains(&dependency) || (kind == "dev" && dev.contains(&dependency));
                if !allowed {
                    problems.push(format!("{name} uses {dependency} ({kind})"));
                }
            }
        }
    }
    for name in members()
        .keys()
        .filter(|name| !ALLOWED.iter().any(|(n, _, _)| n == name))
    {
        problems.push(format!("{name} is new and has no list"));
    }
    none(
        "Name the dependency and its reason in the commit, then add it to ALLOWED in \
         tests/tidy/third_party.rs; or do without it:",
        &problems,
    );
}

#[test]
fn some_dependencies_are_confined_to_one_crate() {
    let mut problems = Vec::new();
    for (dependency, home, tests) in CONFINED {
        for member in members().values().filter(|m| m.name != *home) {
            let in_code = member.names("normal", false).contains(dependency);
            let in_tests = member.names("dev", false).contains(dependency);
            if in_code || (in_tests && !tests.contains(&member.name.as_str())) {
                problems.push(format!(
                    "{} uses {dependency}, which belongs to {home}",
                    member.name
                ));
            }
        }
    }
    none(
        "Reach it through a trait of kplan-model; the root wires it up:",
        &problems,
    );
}

#[test]
fn only_the_root_draws_fancy_reports() {
    let fancy = |member: &&super::workspace::Member| {
        // Goldens of the library's tests may draw.
        let of_miette = member
            .dependencies
            .iter()
            .filter(|d| d.name == "miette" && d.kind != "dev");
        let mut features = of_miette.flat_map(|d| &d.features);
        member.name != "kplan" && features.any(|feature| feature.starts_with("fancy"))
    };
    let problems: Vec<_> = members()
        .values()
        .filter(fancy)
        .map(|m| m.name.clone())
        .collect();
    none(
        "Libraries describe, the root renders: drop miette's `fancy` feature from",
        &problems,
    );
}

#[test]
fn one_file_knows_sled() {
    let names_sled = |path: &&str| {
        let text = text(path).unwrap_or_default();
        text.lines()
            .any(|line| !line.trim_start().starts_with("//") && line.contains("sled::"))
    };
    let found: Vec<_> = rust_files("state/src").filter(names_sled).collect();
    assert_eq!(
        found.len(),
        1,
        "exactly one file of state/src may name sled, so that it stays replaceable; found {found:?}"
    );
}
