//! Objects as the server has them, with its book, and what of them counts as changed by hand.

use super::*;
use serde_json::json;

/// What kplan applied.
fn applied() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "n", "labels": { "a": "b" }, "creationTimestamp": null },
        "spec": {
            "replicas": 2,
            "template": { "spec": { "containers": [{
                "name": "web", "image": "web:1", "args": ["--a", "--b"],
                "ports": [{ "containerPort": 80 }],
                "resources": { "requests": { "cpu": "1000m" } },
                "securityContext": {},
            }] } },
        },
        "status": { "replicas": 0 },
    })
}

/// kplan's entry in the book, as a server writes it.
fn book() -> Value {
    json!({
        "f:metadata": { "f:labels": { "f:a": {} } },
        "f:spec": {
            "f:replicas": {},
            "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"web\"}": {
                ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } },
                "f:resources": { "f:requests": { "f:cpu": {} } },
                "f:securityContext": {},
            } } } },
        },
    })
}

fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: &Value) -> Value {
    let mut entry = json!({ "manager": manager, "operation": operation, "fieldsV1": fields });
    if let Some(subresource) = subresource {
        entry["subresource"] = json!(subresource);
    }
    entry
}

/// The object as the server keeps it: with defaults, other words for quantities, a status.
fn live() -> Value {
    let mut live = applied();
    live["metadata"]["managedFields"] = json!([
        entry(FIELD_MANAGER, "Apply", None, &book()),
        entry(
            "k3s",
            "Update",
            Some("status"),
            &json!({ "f:status": { "f:replicas": {} } })
        ),
    ]);
    live["spec"]["revisionHistoryLimit"] = json!(10);
    let container = &mut live["spec"]["template"]["spec"]["containers"][0];
    container["resources"]["requests"]["cpu"] = json!("1");
    container["ports"][0]["protocol"] = json!("TCP");
    container["imagePullPolicy"] = json!("IfNotPresent");
    live["status"]["replicas"] = json!(2);
    live
}

/// Somebody changes a place; whoever it is owns it from then on, if it is still there.
fn change(live: &mut Value, way: &[&str], value: Value, by: &Value) {
    let (last, parents) = way.split_last().unwrap();
    let own = parents.iter().fold(
        &mut live["metadata"]["managedFields"][0]["fieldsV1"],
        |at, key| &mut at[*key],
    );
    own.as_object_mut().unwrap().remove(*last);
    let mut theirs = json!({});
    way.iter().fold(&mut theirs, |at, key| {
        at[*key] = json!({});
        &mut at[*key]
    });
    if !value.is_null() {
        let mut by = by.clone();
        by["fieldsV1"] = theirs;
        live["metadata"]["managedFields"]
            .as_array_mut()
            .unwrap()
            .push(by);
    }
    let place = way
        .iter()
        .fold(&mut *live, |at, key| match key.strip_prefix("f:") {
            Some(name) => &mut at[name],
            None => &mut at[0],
        });
    *place = value;
}

fn seen(live: &Value) -> Vec<String> {
    edits(&applied(), live)
        .into_iter()
        .map(|edit| match edit.real {
            Some(real) => format!("{} is {real}", edit.path),
            None => format!("{} is gone", edit.path),
        })
        .collect()
}

const CONTAINER: [&str; 5] = [
    "f:spec",
    "f:template",
    "f:spec",
    "f:containers",
    "k:{\"name\":\"web\"}",
];

#[test]
fn what_a_server_makes_of_it_is_no_change() {
    assert_eq!(seen(&live()), [""; 0]);
    assert!(mark(&live()).is_some());
    // Without a book nobody knows.
    assert_eq!(mark(&applied()), None);
    // Fields that others added, and their book, are theirs.
    let mut more = live();
    more["metadata"]["labels"]["team"] = json!("shop");
    more["spec"]["paused"] = json!(true);
    let theirs =
        json!({ "f:metadata": { "f:labels": { "f:team": {} } }, "f:spec": { "f:paused": {} } });
    let entries = more["metadata"]["managedFields"].as_array_mut().unwrap();
    entries.push(entry("kubectl-edit", "Update", None, &theirs));
    assert_eq!(seen(&more), [""; 0]);
    assert_eq!(mark(&more), mark(&live()));
}

#[test]
fn every_sort_of_change_is_found_where_it_is() {
    let hand = entry("kubectl-edit", "Update", None, &json!({}));
    let inside = |field: &'static str| [&CONTAINER[..], &[field]].concat();
    let cases = [
        (
            vec!["f:metadata", "f:labels", "f:a"],
            json!("c"),
            "metadata.labels.a is \"c\"",
        ),
        (
            vec!["f:metadata", "f:labels", "f:a"],
            Value::Null,
            "metadata.labels.a is gone",
        ),
        (vec!["f:spec", "f:replicas"], json!(5), "spec.replicas is 5"),
        (
            inside("f:image"),
            json!("web:2"),
            "spec.template.spec.containers[name=web].image is \"web:2\"",
        ),
        (
            inside("f:args"),
            json!(["--a"]),
            "spec.template.spec.containers[name=web].args is [\"--a\"]",
        ),
    ];
    for (way, value, expected) in cases {
        let mut changed = live();
        change(&mut changed, &way, value, &hand);
        assert_eq!(seen(&changed), [expected]);
        assert_ne!(mark(&changed), mark(&live()), "{expected}");
    }
    // What is taken away altogether.
    let mut less = live();
    less["metadata"]["labels"]
        .as_object_mut()
        .unwrap()
        .remove("a");
    let own = &mut less["metadata"]["managedFields"][0]["fieldsV1"];
    own.as_object_mut().unwrap().remove("f:metadata");
    assert_eq!(seen(&less), ["metadata.labels.a is gone"]);
}

#[test]
fn what_was_changed_and_changed_back_is_as_it_was() {
    let hand = entry("kubectl-edit", "Update", None, &json!({}));
    let mut back = live();
    change(&mut back, &["f:spec", "f:replicas"], json!(2), &hand);
    assert_ne!(mark(&back), mark(&live()));
    assert_eq!(seen(&back), [""; 0]);
}

#[test]
fn programs_of_the_cluster_are_nobodys_hand() {
    let replicas = ["f:spec", "f:replicas"];
    for (manager, subresource, shown) in [
        ("kube-controller-manager", Some("scale"), false),
        ("keda-operator", None, false),
        ("some-autoscaler", Some("scale"), false),
        ("kubectl", Some("scale"), true),
        ("kubectl-edit", None, true),
        ("somebody", None, true),
        // What Argo CD's pages and Velero's command line write as.
        ("argocd-server", None, true),
        ("velero", None, true),
        ("velero-server", None, false),
    ] {
        let by = entry(manager, "Update", subresource, &json!({}));
        let mut scaled = live();
        change(&mut scaled, &replicas, json!(7), &by);
        assert_eq!(seen(&scaled).len(), usize::from(shown), "{manager}");
    }
    // What kplan stopped itself, and starts again.
    let mut stopped = live();
    let hand = entry("unknown", "Update", None, &json!({}));
    change(&mut stopped, &replicas, json!(0), &hand);
    stopped["metadata"]["annotations"] = json!({ "kplan.dev/replicas": "2" });
    assert_eq!(seen(&stopped), [""; 0]);
}

#[test]
fn what_a_program_sets_is_left_out_of_what_is_applied() {
    let replicas = ["f:spec", "f:replicas"];
    let left = |manager: &str, live: &Value| {
        let by = entry(manager, "Update", Some("scale"), &json!({}));
        let mut scaled = live.clone();
        change(&mut scaled, &replicas, json!(7), &by);
        without(&applied(), &compared(&applied(), &scaled).programs)
    };
    let rest = left("kube-controller-manager", &live());
    let mut expected = applied();
    expected["spec"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(rest, expected);
    assert_eq!(left("kubectl", &live()), applied());
    // It has the same value, or kplan's alone is another one: there is nothing to leave to anybody.
    assert_eq!(compared(&applied(), &live()).programs, [""; 0]);
    let mut more = applied();
    more["spec"]["replicas"] = json!(3);
    assert_eq!(compared(&more, &live()).programs, [""; 0]);
    // It has kplan's value, too, and the next one is another.
    let mut shared = live();
    let theirs = json!({ "f:spec": { "f:replicas": {} } });
    let scaler = entry("hpa", "Update", Some("scale"), &theirs);
    let hand = entry("kubectl-edit", "Update", None, &theirs);
    for (by, programs, is_shared) in [
        (scaler, vec!["/spec/replicas"], false),
        (hand, vec![], true),
    ] {
        let entries = shared["metadata"]["managedFields"].as_array_mut().unwrap();
        entries.truncate(2);
        entries.push(by);
        let seen = compared(&more, &shared);
        assert_eq!(
            (seen.programs, seen.is_shared),
            (programs_of(&programs), is_shared)
        );
    }
}

fn programs_of(pointers: &[&str]) -> Vec<String> {
    pointers.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_program_brought_is_its_own_in_its_own_objects_alone() {
    let seen = |api_version: &str, manager: &str| {
        let applied = json!({
            "apiVersion": api_version, "kind": "A", "metadata": { "name": "a" }, "spec": { "b": 1 },
        });
        let mut live = applied.clone();
        live["spec"]["b"] = json!(2);
        let theirs = json!({ "f:spec": { "f:b": {} } });
        live["metadata"]["managedFields"] = json!([entry(manager, "Update", None, &theirs)]);
        let seen = compared(&applied, &live);
        (seen.programs.len(), seen.brought.len(), seen.edits.len())
    };
    assert_eq!(seen("velero.io/v1", "velero-server"), (1, 0, 0));
    assert_eq!(seen("apps/v1", "velero-server"), (0, 1, 0));
    assert_eq!(seen("apps/v1", "argocd-controller"), (0, 1, 0));
    assert_eq!(
        seen("argoproj.io/v1alpha1", "argocd-application-controller"),
        (1, 0, 0)
    );
    assert_eq!(seen("argoproj.io/v1alpha1", "argocd-server"), (0, 0, 1));
    assert_eq!(seen("apps/v1", "keda-operator"), (1, 0, 0));
}

#[test]
fn of_a_set_that_others_add_to_only_what_is_missing_was_changed() {
    let applied = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "c", "finalizers": ["example.org/a", "example.org/c"] },
    });
    let own = json!({ "f:metadata": { "f:finalizers": { "v:\"example.org/a\"": {} } } });
    let theirs = json!({ "f:metadata": { "f:finalizers": { "v:\"other.io/b\"": {} } } });
    let mut live = applied.clone();
    live["metadata"]["finalizers"] = json!(["other.io/b", "example.org/a", "example.org/c"]);
    live["metadata"]["managedFields"] = json!([
        entry(FIELD_MANAGER, "Apply", None, &own),
        entry("other", "Update", None, &theirs),
    ]);
    assert_eq!(edits(&applied, &live), []);
    live["metadata"]["finalizers"] = json!(["other.io/b", "example.org/a"]);
    let found = edits(&applied, &live);
    let found: Vec<(&str, &Option<Value>)> = found
        .iter()
        .map(|edit| (edit.path.as_str(), &edit.real))
        .collect();
    assert_eq!(found, [("metadata.finalizers[example.org/c]", &None)]);
}

#[test]
fn a_bundle_of_certificates_is_whoever_makes_them() {
    let applied = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "w" },
        "webhooks": [{ "name": "w", "clientConfig": { "caBundle": "", "url": "https://a" } }],
    });
    let mut live = applied.clone();
    live["webhooks"][0]["clientConfig"] = json!({ "caBundle": "bmV3", "url": "https://b" });
    let own = json!({ "f:webhooks": { "k:{\"name\":\"w\"}": { ".": {}, "f:name": {} } } });
    live["metadata"]["managedFields"] = json!([entry(FIELD_MANAGER, "Apply", None, &own)]);
    let found = edits(&applied, &live);
    let paths: Vec<&str> = found.iter().map(|edit| edit.path.as_str()).collect();
    assert_eq!(paths, ["webhooks[name=w].clientConfig.url"]);
}

#[test]
fn a_map_that_the_book_has_as_a_whole_is_looked_into() {
    // The server writes the same for a map that is kplan's as one, and for one of which kplan has
    // nothing left: only what others own in it was taken.
    let applied = json!({
        "apiVersion": "example.org/v1", "kind": "Thing", "metadata": { "name": "t" },
        "spec": { "source": { "path": "a", "repo": "b" }, "whole": { "size": "1000m" } },
    });
    let mut live = applied.clone();
    live["spec"]["source"]["path"] = json!("theirs");
    live["spec"]["whole"]["size"] = json!("1");
    let own = json!({ "f:spec": { "f:source": {}, "f:whole": {} } });
    let theirs = json!({ "f:spec": { "f:source": { "f:path": {} } } });
    live["metadata"]["managedFields"] = json!([
        entry(FIELD_MANAGER, "Apply", None, &own),
        entry("kubectl-edit", "Update", None, &theirs),
    ]);
    let found = edits(&applied, &live);
    let paths: Vec<&str> = found.iter().map(|edit| edit.path.as_str()).collect();
    assert_eq!(paths, ["spec.source.path"]);
}

#[test]
fn values_of_secrets_are_compared_and_never_shown() {
    let applied = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "n" },
        "stringData": { "plain": "b", "same": "a" }, "data": { "token": "b2xk" },
    });
    let mut live = applied.clone();
    live.as_object_mut().unwrap().remove("stringData");
    live["data"] = json!({ "token": "bmV3", "plain": "c2VjcmV0", "same": "YQ==" });
    let own = json!({ "f:data": {}, "f:stringData": { "f:plain": {}, "f:same": {} } });
    let theirs = json!({ "f:data": { "f:token": {}, "f:plain": {} } });
    live["metadata"]["managedFields"] = json!([
        entry(FIELD_MANAGER, "Apply", None, &own),
        entry("kubectl-edit", "Update", None, &theirs),
    ]);
    let object = Object::of(&applied).unwrap();
    let words = shown(&object, &edits(&applied, &live));
    assert_eq!(
        words,
        "v1 Secret n/s: data.plain is another (sensitive value), data.token is another (sensitive value)"
    );
}

#[test]
fn long_values_and_many_fields_are_cut() {
    let object = Object::new("v1", "ConfigMap", Some("n"), "c");
    let one = |at: usize| Edit {
        path: format!("data.{at}"),
        real: Some(json!("ä".repeat(100))),
    };
    let many: Vec<Edit> = (0..5).map(one).collect();
    let words = shown(&object, &many);
    let value = "ä".repeat(59);
    assert_eq!(
        words,
        format!(
            "v1 ConfigMap n/c: data.0 is \"{value}…, data.1 is \"{value}…, data.2 is \"{value}…, …"
        )
    );
    assert_eq!(shown(&object, &[]), "v1 ConfigMap n/c");
}
