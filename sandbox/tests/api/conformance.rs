//! The outside judge: DigitalOcean's own document over everything a session said.

use std::fs::File;
use std::io::BufReader;
use std::sync::LazyLock;

use kplan_conformance::{Document, Exceptions, Exchange, Location, required_document};
use serde_json::{Value, json};

use crate::client::Client;
use crate::coverage;
use crate::session;

/// The document, and its known errors.
static JUDGE: LazyLock<Option<(Document, Exceptions)>> = LazyLock::new(|| {
    let document = required_document().unwrap()?;
    Some((document, Exceptions::bundled().unwrap()))
});

/// Holds one exchange against the document. Requests that a test gets wrong on purpose, and
/// paths and methods nobody documents, are the only ones that may break it.
pub(crate) fn judge(
    method: &str,
    target: &str,
    request: Option<Value>,
    status: u16,
    response: &Value,
) {
    let Some((document, known)) = &*JUDGE else {
        return;
    };
    let exchange = Exchange {
        method: method.to_owned(),
        path: target.to_owned(),
        query: None,
        request,
        status,
        response: Some(response.clone()).filter(|body| !body.is_null()),
    };
    coverage::own(document, &exchange);
    for violation in document.check(&exchange) {
        let on_purpose = violation.is_refused_request()
            || (violation.location == Location::Path && matches!(status, 404 | 405));
        let allowed = on_purpose || known.allow(&violation);
        assert!(allowed, "{violation}\n{response:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_through_every_family_breaks_no_rule_of_the_document() {
    let Some(document) = required_document().unwrap() else {
        kplan_conformance::skipped("KPLAN_TEST_OPENAPI");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exchanges.jsonl");
    session::run(&Client::recording(&path)).await;
    let mut report = document
        .check_lines(BufReader::new(File::open(path).unwrap()))
        .unwrap();
    assert!(report.exchanges > 150, "{}", report.exchanges);
    assert!(report.operations.len() > 110, "{}", report.operations.len());
    Exceptions::bundled().unwrap().apply(&mut report);
    assert!(report.violations.is_empty(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_session_leaves_nothing() {
    let client = Client::in_memory();
    session::run(&client).await;
    let left = client.sandbox.inspect();
    assert_eq!(left["resources"], json!({}), "{left:#}");
}
