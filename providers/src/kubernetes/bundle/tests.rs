//! Bundles, against an API that stores what is applied.

use super::*;
use crate::k3s::testing::permit;
use crate::kubernetes::testing::{Asked, Fake, status};
use serde_json::json;
use std::sync::{Arc, Mutex};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

#[test]
fn objects_are_labelled_and_counted() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "labels": null}});
    let bundle = Bundle::new("demo-3f9a1c2e", &address("argocd.main"), vec![map.clone()]).unwrap();
    let (object, value, digest) = bundle.iter().next().unwrap();
    assert_eq!(value["metadata"]["labels"][OWNER], "demo-3f9a1c2e");
    assert_eq!(value["metadata"]["labels"][BUNDLE], "argocd.main");
    assert_eq!(value["metadata"]["annotations"][DIGEST], digest);
    let lines = read_inventory(&bundle.inventory()).unwrap();
    assert_eq!(
        lines,
        [Line {
            object: object.clone(),
            digest: digest.to_owned(),
            fields: None,
        }]
    );
    assert!(Bundle::new("o", &address("argocd.main"), vec![map.clone(), map]).is_err());
    assert!(read_inventory(&["nonsense".to_owned()]).is_err());
    assert_eq!(label_of(&address("addon.mine[3]")), "addon.mine-3");
}

#[test]
fn stages_follow_what_needs_what() {
    let stages = |types: &[(&str, &str)]| {
        types
            .iter()
            .map(|(v, k)| stage(&Type::new(v, k)))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        stages(&[
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("v1", "Namespace"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("v1", "Secret"),
            ("apps/v1", "Deployment"),
            ("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass"),
            ("velero.io/v1", "Schedule"),
            ("argoproj.io/v1alpha1", "Application"),
        ]),
        [0, 1, 2, 2, 3, 4, 4, 4]
    );
}

/// Nothing of it changed by hand.
fn basis(lines: &[Line]) -> Basis<'_> {
    static NOBODY: std::sync::LazyLock<Managed> = std::sync::LazyLock::new(Managed::default);
    Basis {
        lines,
        before: None,
        managed: &NOBODY,
        by_hand: ByHand::Leave,
        is_left: &|_| false,
        is_standin: &|_| false,
    }
}

/// What is stored, by path.
type Stored = Arc<Mutex<BTreeMap<String, Value>>>;

/// An API that stores what is applied. Definitions are established when they are first listed
/// after `lag` lists; an object with a finalizer goes when it is listed once more.
fn api(mut lag: u32) -> (Fake, Stored) {
    let stored: Stored = Arc::default();
    let inner = Arc::clone(&stored);
    let fake = Fake::new(move |asked: &Asked| {
        let mut stored = inner.lock().unwrap();
        let path = asked.path.split('?').next().unwrap_or_default().to_owned();
        match asked.method.as_str() {
            "PATCH" => {
                stored.insert(path, asked.body.clone());
                Some((200, asked.body.clone()))
            }
            "DELETE" => match stored.get_mut(&path) {
                None => status(404, "NotFound", "gone"),
                Some(object) if object["metadata"].get("finalizers").is_some() => {
                    object["metadata"]["deletionTimestamp"] = json!("2026-08-01T00:00:00Z");
                    Some((200, json!({})))
                }
                Some(_) => {
                    stored.remove(&path);
                    Some((200, json!({})))
                }
            },
            _ => {
                let plural = path.rsplit('/').next().unwrap_or_default().to_owned();
                let of = |key: &String| key.rsplit('/').nth(1) == Some(plural.as_str());
                let mut items: Vec<Value> = stored
                    .iter()
                    .filter(|(key, _)| of(key))
                    .map(|(_, value)| value.clone())
                    .collect();
                if plural == "customresourcedefinitions" && lag > 0 {
                    lag -= 1;
                } else if plural == "customresourcedefinitions" {
                    for item in &mut items {
                        item["status"] =
                            json!({"conditions": [{"type": "Established", "status": "True"}]});
                    }
                }
                stored.retain(|key, value| {
                    !of(key) || value["metadata"].get("deletionTimestamp").is_none()
                });
                Some((200, json!({ "items": items, "metadata": {} })))
            }
        }
    });
    (fake, stored)
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
    let mut value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = Value::from(namespace);
    }
    value
}

fn some_objects() -> Vec<Value> {
    vec![
        object("v1", "ConfigMap", Some("n"), "settings"),
        object("v1", "Namespace", None, "n"),
        object(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            None,
            "things.example.org",
        ),
    ]
}

fn names(stored: &Stored) -> Vec<String> {
    let stored = stored.lock().unwrap();
    stored
        .keys()
        .map(|key| key.rsplit('/').next().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn definitions_are_waited_for_before_anything_else_is_applied() {
    let (fake, stored) = api(3);
    let (kubernetes, session, permit) = (fake.kubernetes(), fake.session(), permit("argocd.main"));
    let to = Target {
        kubernetes: &kubernetes,
        session: &session,
        permit: &permit,
    };
    let bundle = Bundle::new("demo-3f9a1c2e", &address("argocd.main"), some_objects()).unwrap();
    bundle
        .apply(&to, |_, _| true, Ownership::Take)
        .await
        .unwrap();
    let changes: Vec<String> = fake
        .asked()
        .into_iter()
        .map(|call| {
            let method = call.split(' ').next().unwrap_or_default().to_owned();
            let path = call.split('?').next().unwrap_or_default();
            format!("{method} {}", path.rsplit('/').next().unwrap_or_default())
        })
        .collect();
    let list = "GET customresourcedefinitions";
    assert_eq!(
        changes,
        [
            "PATCH things.example.org",
            list,
            list,
            list,
            list,
            "PATCH n",
            "PATCH settings"
        ]
    );
    assert_eq!(stored.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_left_the_set_is_pruned_but_never_with_more_than_itself() {
    let (fake, stored) = api(0);
    let (kubernetes, session, permit) = (fake.kubernetes(), fake.session(), permit("argocd.main"));
    let to = Target {
        kubernetes: &kubernetes,
        session: &session,
        permit: &permit,
    };
    let before = Bundle::new("demo-3f9a1c2e", &address("argocd.main"), some_objects()).unwrap();
    before
        .apply(&to, |_, _| true, Ownership::Take)
        .await
        .unwrap();
    let after = Bundle::new(
        "demo-3f9a1c2e",
        &address("argocd.main"),
        vec![object("v1", "Secret", Some("n"), "s")],
    );
    let lines = read_inventory(&before.inventory()).unwrap();
    after.unwrap().update(&to, &basis(&lines)).await.unwrap();
    assert_eq!(names(&stored), ["n", "s", "things.example.org"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_changed_is_seen_and_applied_again_alone() {
    let (fake, stored) = api(0);
    let (kubernetes, session, permit) = (fake.kubernetes(), fake.session(), permit("argocd.main"));
    let to = Target {
        kubernetes: &kubernetes,
        session: &session,
        permit: &permit,
    };
    let bundle = Bundle::new("demo-3f9a1c2e", &address("argocd.main"), some_objects()).unwrap();
    let lines = read_inventory(&bundle.inventory()).unwrap();
    let seen = async || {
        tokio::time::advance(Duration::from_secs(2)).await;
        let found = labelled(&session, "demo-3f9a1c2e", "argocd.main", &lines)
            .await
            .unwrap();
        look(&found, &lines, &Managed::default(), &BTreeMap::new()).map(|seen| seen.objects)
    };
    assert_eq!(seen().await, None);
    bundle
        .apply(&to, |_, _| true, Ownership::Take)
        .await
        .unwrap();
    assert_eq!(seen().await.as_deref(), Some("applied"));
    {
        let mut stored = stored.lock().unwrap();
        stored
            .remove("/api/v1/namespaces/n/configmaps/settings")
            .unwrap();
        stored.get_mut("/api/v1/namespaces/n").unwrap()["metadata"]["annotations"] = json!({});
    }
    assert_eq!(
        seen().await.as_deref(),
        Some("1 missing (v1 ConfigMap n/settings), 1 changed (v1 Namespace n)")
    );
    let patches = |fake: &Fake| {
        fake.asked()
            .iter()
            .filter(|call| call.starts_with("PATCH"))
            .count()
    };
    let earlier = patches(&fake);
    bundle.update(&to, &basis(&lines)).await.unwrap();
    assert_eq!(patches(&fake) - earlier, 2);
    assert_eq!(seen().await.as_deref(), Some("applied"));
}

#[tokio::test(start_paused = true)]
async fn a_delete_waits_for_finalizers_and_leaves_what_others_made() {
    let (fake, stored) = api(0);
    let (kubernetes, session, permit) = (fake.kubernetes(), fake.session(), permit("argocd.main"));
    let to = Target {
        kubernetes: &kubernetes,
        session: &session,
        permit: &permit,
    };
    let mut objects = some_objects();
    objects[0]["metadata"]["finalizers"] = json!(["example.org/slow"]);
    let bundle = Bundle::new("demo-3f9a1c2e", &address("argocd.main"), objects).unwrap();
    bundle
        .apply(&to, |_, _| true, Ownership::Take)
        .await
        .unwrap();
    let other = Bundle::new(
        "demo-3f9a1c2e",
        &address("velero.main"),
        vec![object("v1", "ConfigMap", Some("n"), "theirs")],
    );
    other
        .unwrap()
        .apply(&to, |_, _| true, Ownership::Take)
        .await
        .unwrap();
    let lines = read_inventory(&bundle.inventory()).unwrap();
    delete(
        &to,
        "demo-3f9a1c2e",
        "argocd.main",
        &lines,
        &Managed::default(),
    )
    .await
    .unwrap();
    assert_eq!(names(&stored), ["theirs"]);
}

/// A map of which somebody else holds fields, as it was, as it is, and as it is to be.
#[test]
fn a_field_of_somebody_elses_is_taken_only_where_the_plan_showed_it() {
    const SHOWN: [ByHand; 2] = [ByHand::Leave, ByHand::Undo];
    let at = address("addon_manifest.a");
    let map = |data: Value| {
        let mut map = object("v1", "ConfigMap", Some("n"), "c");
        map["data"] = data;
        map
    };
    let bundle = |data: Value| Bundle::new("o", &at, vec![map(data)]).unwrap();
    let taken = |data: Value, before: Value, now: Value, is_known: bool, is_left: bool| {
        let (before, now) = (bundle(before), bundle(now));
        let (object, stamped, _) = before.iter().next().unwrap();
        let mut live = stamped.clone();
        let fields: serde_json::Map<String, Value> = data
            .as_object()
            .unwrap()
            .keys()
            .map(|name| (format!("f:{name}"), json!({})))
            .collect();
        live["data"] = data;
        live["metadata"]["managedFields"] = json!([
            { "manager": "kplan", "operation": "Apply", "fieldsV1": { "f:metadata": {
                "f:labels": { format!("f:{OWNER}"): {}, format!("f:{BUNDLE}"): {} },
                "f:annotations": { format!("f:{DIGEST}"): {} },
            } } },
            { "manager": "kubectl-edit", "operation": "Update", "fieldsV1": { "f:data": fields } },
        ]);
        let mut lines = read_inventory(&before.inventory()).unwrap();
        lines[0].fields = Some("before".to_owned());
        let managed = Managed::default();
        SHOWN.map(|by_hand| {
            let basis = Basis {
                lines: &lines,
                before: is_known.then_some(&before),
                managed: &managed,
                by_hand,
                is_left: &|_| is_left,
                is_standin: &|_| false,
            };
            let claim = now.claim(object, Some(&live), &basis).unwrap();
            assert_eq!(now.iter().next().unwrap().1, &claim.value);
            claim.ownership == Ownership::Take
        })
    };
    let a = |text: &str| json!({ "a": text });
    // The file changes what somebody changed and changed back.
    assert_eq!(taken(a("1"), a("1"), a("2"), true, false), [true, true]);
    // Somebody changed it: only what a plan showed is put back, to whatever the file says now.
    assert_eq!(taken(a("9"), a("1"), a("1"), true, false), [false, true]);
    assert_eq!(taken(a("9"), a("1"), a("2"), true, false), [false, true]);
    // No plan shows what is left to others, nor what others added.
    assert_eq!(taken(a("9"), a("1"), a("2"), true, true), [false, false]);
    let (both, more) = (json!({ "a": "9", "b": "9" }), json!({ "a": "1", "b": "2" }));
    assert_eq!(taken(both, a("1"), more, true, false), [false, false]);
    // Where nobody knows what was applied, a plan says that somebody took something.
    assert_eq!(taken(a("9"), a("1"), a("2"), false, false), [false, true]);
}

/// What a program made for itself, and an update brings along for the first time.
#[test]
fn what_is_new_takes_a_place_only_from_what_a_program_put_there_until_then() {
    let at = address("velero.main");
    let mut secret = object("v1", "Secret", Some("velero"), "passwords");
    secret["data"] = json!({ "password": "b3Vycw==" });
    let bundle = Bundle::new("o", &at, vec![secret.clone()]).unwrap();
    let (object, ..) = bundle.iter().next().unwrap();
    let mut live = secret.clone();
    live["data"]["password"] = json!("dGhlaXJz");
    live["metadata"]["managedFields"] = json!([{
        "manager": "velero-server", "operation": "Update",
        "fieldsV1": { "f:data": { ".": {}, "f:password": {} }, "f:type": {} },
    }]);
    let managed = Managed::default();
    for (is_standin, wanted) in [(false, Ownership::Respect), (true, Ownership::Take)] {
        let basis = Basis {
            lines: &[],
            before: None,
            managed: &managed,
            by_hand: ByHand::Leave,
            is_left: &|_| false,
            is_standin: &|_| is_standin,
        };
        // It has no label of kplan's, so a list of what is kplan's does not show it.
        for live in [None, Some(&live)] {
            let claim = bundle.claim(object, live, &basis).unwrap();
            assert_eq!(claim.ownership, wanted);
        }
    }
}
