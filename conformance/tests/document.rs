//! `DigitalOcean`'s document itself, where `KPLAN_TEST_OPENAPI` names it.

use std::collections::BTreeMap;

use kplan_conformance::{Exchange, Location, required_document, skipped};
use serde_json::json;

/// The families kplan speaks to; their schemas must be usable, or nothing is judged.
const FAMILIES: &[&str] = &[
    "/v2/account",
    "/v2/actions",
    "/v2/databases",
    "/v2/domains",
    "/v2/droplets",
    "/v2/firewalls",
    "/v2/images",
    "/v2/load_balancers",
    "/v2/projects",
    "/v2/regions",
    "/v2/reserved_ips",
    "/v2/sizes",
    "/v2/spaces",
    "/v2/tags",
    "/v2/volumes",
    "/v2/vpcs",
];

/// The document's examples break its own schemas here and there; that is its authors' business
/// until an exchange hits it. What must hold: every schema compiles, and enough examples pass
/// to show that the conversion is not what refuses them.
#[test]
fn the_documents_examples_are_judged() {
    let Some(document) = required_document().unwrap() else {
        skipped("KPLAN_TEST_OPENAPI");
        return;
    };
    let examples = document.examples().unwrap();
    let mut broken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unusable = Vec::new();
    let mut passed = 0;
    for example in &examples {
        let violations = document.check_example(example);
        passed += usize::from(violations.is_empty());
        for violation in violations {
            let name = &example.name;
            broken
                .entry(format!("{} {}", violation.method, violation.path_template))
                .or_default()
                .push(format!("{} {name} {violation}", violation.location));
            if violation.message.contains("the document's schema") {
                unusable.push(violation);
            }
        }
    }
    println!(
        "{passed} of {} examples fit, {} operations have one that does not",
        examples.len(),
        broken.len()
    );
    for lines in broken.values() {
        for line in lines {
            println!("  {line}");
        }
    }
    assert!(unusable.is_empty(), "{unusable:#?}");
    assert!(
        passed * 10 >= examples.len() * 7,
        "only {passed} of {} examples fit",
        examples.len()
    );
}

/// An empty object as the body of everything compiles every schema kplan can meet.
#[test]
fn every_schema_of_the_families_kplan_uses_compiles() {
    let Some(document) = required_document().unwrap() else {
        skipped("KPLAN_TEST_OPENAPI");
        return;
    };
    let operations = document.operations();
    for family in FAMILIES {
        assert!(
            operations.iter().any(|(_, path)| path.starts_with(family)),
            "{family} is not in the document: its paths have changed"
        );
    }
    for (method, path) in operations {
        for status in [200, 201, 202, 204, 404, 429, 500] {
            let exchange = Exchange {
                method: method.clone(),
                path: path.replace(['{', '}'], ""),
                query: None,
                request: Some(json!({})),
                status,
                response: Some(json!({})),
            };
            let violations = document.check(&exchange);
            let unusable = violations.iter().find(|v| {
                v.message.contains("the document's schema") || v.message.contains("cannot be used")
            });
            assert!(unusable.is_none(), "{unusable:?}");
        }
    }
}

#[test]
fn a_wrong_field_in_a_real_exchange_is_named() {
    let Some(document) = required_document().unwrap() else {
        skipped("KPLAN_TEST_OPENAPI");
        return;
    };
    let exchange = Exchange {
        method: "GET".into(),
        path: "/v2/tags".into(),
        query: Some("page=1&per_page=200&colour=red".into()),
        request: None,
        status: 200,
        response: Some(json!({
            "tags": [{ "name": "a", "resources": { "count": 0, "droplets": { "count": "0" } },
                       "color": "red" }],
            "links": {}, "meta": { "total": 1 }
        })),
    };
    let found: Vec<(Location, String)> = document
        .check(&exchange)
        .into_iter()
        .map(|v| (v.location, v.pointer))
        .collect();
    assert_eq!(
        found,
        [
            (Location::Query, "/colour".to_owned()),
            (Location::Response, "/tags/0/color".to_owned()),
            (
                Location::Response,
                "/tags/0/resources/droplets/count".to_owned()
            ),
        ]
    );
}
