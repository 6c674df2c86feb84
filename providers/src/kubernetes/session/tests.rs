//! Calls, retries and lists, against a scripted API.

use super::*;
use crate::k3s::testing::permit;
use crate::kubernetes::testing::{Fake, status};
use serde_json::json;

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}})
}

fn of() -> Type {
    Type::new("v1", "ConfigMap")
}

#[tokio::test(start_paused = true)]
async fn reads_and_applies_are_repeated_a_few_times() {
    let mut left = 2;
    let fake = Fake::new(move |_| {
        left -= 1;
        match left {
            1 => None,
            0 => status(503, "ServiceUnavailable", "not yet"),
            _ => Some((200, map("a"))),
        }
    });
    let applied = fake
        .session()
        .apply(&permit("argocd.main"), &map("a"), Ownership::Respect)
        .await;
    assert_eq!(applied.unwrap(), map("a"));
    let path = "PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=kplan&force=false";
    assert_eq!(fake.asked(), [path, path, path]);
    assert_eq!(fake.calls.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_gone_is_waited_for_once() {
    let fake = Fake::new(|_| None);
    let session = fake.session();
    for _ in 0..5 {
        let error = session.text("/version").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transient);
        assert!(error.message.contains("connection reset"), "{error}");
    }
    assert_eq!(fake.asked().len(), 4);
    tokio::time::advance(DOWN_FOR).await;
    session.text("/version").await.unwrap_err();
    assert_eq!(fake.asked().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn equal_lists_are_read_once_until_something_changes() {
    let fake = Fake::new(|asked| match asked.method.as_str() {
        "GET" => Some((
            200,
            json!({"items": [{"metadata": {"name": "a"}}], "metadata": {}}),
        )),
        _ => Some((200, map("a"))),
    });
    let session = fake.session();
    let (type_, lists) = (of(), "GET /api/v1/configmaps?labelSelector=a%3Db&limit=500");
    let (one, two) = tokio::join!(session.list(&type_, "a=b"), session.list(&type_, "a=b"));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(fake.asked(), [lists]);
    session
        .apply(&permit("argocd.main"), &map("a"), Ownership::Take)
        .await
        .unwrap();
    let items = session.list(&type_, "a=b").await.unwrap();
    assert_eq!(items[0]["kind"], "ConfigMap");
    assert_eq!(fake.asked().len(), 3);
    tokio::time::advance(LIST_AGE).await;
    session.list(&type_, "a=b").await.unwrap();
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page_and_again_when_it_expired() {
    let mut expired = false;
    let fake = Fake::new(move |asked| {
        if !asked.path.contains("&continue=") {
            return Some((
                200,
                json!({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "t/1"}}),
            ));
        }
        assert!(asked.path.ends_with("&continue=t%2F1"), "{}", asked.path);
        if std::mem::replace(&mut expired, true) {
            return Some((
                200,
                json!({"items": [{"metadata": {"name": "b"}}], "metadata": {"continue": ""}}),
            ));
        }
        status(410, "Expired", "too old")
    });
    let items = fake.session().list(&of(), "").await.unwrap();
    let names: Vec<&Value> = items.iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test]
async fn what_the_cluster_has_no_type_for_is_not_there() {
    let fake = Fake::new(|_| status(404, "NotFound", "no"));
    let session = fake.session();
    let object = Object::new("velero.io/v1", "Schedule", Some("velero"), "nightly");
    assert_eq!(session.get(&object).await.unwrap(), None);
    assert_eq!(
        *session.list(&object.of, "").await.unwrap(),
        Vec::<Value>::new()
    );
    assert_eq!(*session.list(&of(), "").await.unwrap(), Vec::<Value>::new());
    session
        .delete(&permit("velero.main"), &object)
        .await
        .unwrap();
    let error = session.resource(&object.of).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn somebody_elses_fields_are_named_and_not_fought_over() {
    let fake = Fake::new(|_| {
        let message =
            "Apply failed with 1 conflict: conflict with \"argocd-controller\" using v1: .data.url";
        Some((
            409,
            json!({"reason": "Conflict", "message": message, "details": {"causes": [
            {"reason": "FieldManagerConflict", "message": "conflict with \"argocd-controller\" using v1", "field": ".data.url"}]}}),
        ))
    });
    let session = fake.session();
    let error = session
        .apply(
            &permit("argocd.main"),
            &map("argocd-cm"),
            Ownership::Respect,
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(
        error.message.starts_with("v1 ConfigMap n/argocd-cm: "),
        "{error}"
    );
    assert!(error.message.contains("argocd-controller"), "{error}");
    assert!(error.help.unwrap().contains("does not fight"));
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn refusals_keep_their_meaning() {
    for (code, reason, kind) in [
        (403, "Forbidden", ErrorKind::Denied),
        (401, "Unauthorized", ErrorKind::Denied),
        (409, "AlreadyExists", ErrorKind::Exists),
        (409, "Conflict", ErrorKind::Busy),
        (422, "Invalid", ErrorKind::Invalid),
    ] {
        let fake = Fake::new(move |_| status(code, reason, "why"));
        let error = fake.session().text("/x?secret=1").await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (kind, "GET /x: why"),
            "{code} {reason}"
        );
    }
    let fake = Fake::new(|_| Some((400, Value::from("<html>proxy</html>"))));
    let error = fake.session().text("/x").await.unwrap_err();
    assert!(error.message.contains("400"), "{error}");
}
