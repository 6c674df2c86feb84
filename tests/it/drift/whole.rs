//! The tables of changes by hand, held against the tables of kinds: every field that changes in place
//! is changed by hand in one of them, or stands here with the reason why nobody could.

use super::hand::Hand;
use super::{account, cluster, nodes};
use kplan_model::{Change, Field, KindInfo};
use std::collections::{BTreeMap, BTreeSet};

/// Why there is nothing to change by hand. `*` stands for every kind.
const NOWHERE: &[(&str, &[&str], &str)] = &[
    (
        "bucket",
        &["force_destroy"],
        "a rule of kplan's own for its destruction; Spaces has no such setting",
    ),
    (
        "recovery_kit",
        &[
            "bucket",
            "prefix",
            "region",
            "endpoint",
            "access_key",
            "secret_key",
            "signing_key",
            "public_key",
        ],
        "where and how kplan itself writes kits; a kit that somebody deletes is gone, not changed",
    ),
    (
        "k3s",
        &["hostname"],
        "a name that kplan writes into kubeconfigs, and nothing that is kept anywhere",
    ),
    (
        "database_user",
        &["password_after"],
        "a moment that `kplan rotate` asks for; DigitalOcean knows none",
    ),
    (
        "pki",
        &["agent_token_after", "server_token_after"],
        "moments that `kplan rotate` asks for; the keys are in kplan's state alone",
    ),
    (
        "server_token",
        &["after"],
        "a moment that `kplan rotate` asks for",
    ),
    (
        "k3s_node",
        &[
            "server_token_after",
            "agent_token",
            "certificates_after",
            "datastore",
            "tls_sans",
        ],
        "in files on the machine, which no API shows and kplan does not log in to read",
    ),
    (
        "velero_restore",
        &["accept_partial"],
        "kplan's own judgement of a restore that is over",
    ),
    (
        "argocd",
        &["admin_password"],
        "whoever changes it in Argo CD is left alone: `server.rs` holds that it does not show",
    ),
    (
        "addon_manifest",
        &["namespace"],
        "an object cannot leave its namespace; one that was deleted is missing",
    ),
    (
        "argocd_application",
        &["recurse", "waited_for"],
        "set by no file on an Application that is there; what others add to an object is theirs",
    ),
    (
        "ccm",
        &["api_url"],
        "set by no file; what others add to an object is theirs",
    ),
    (
        "csi",
        &["api_url"],
        "set by no file; what others add to an object is theirs",
    ),
    (
        "database_user",
        &["mysql_auth_plugin"],
        "set by no file, so it is whatever DigitalOcean or somebody chose",
    ),
    (
        "argocd_repository",
        &["ssh_key", "github_app"],
        "other forms of `token`, in other values of the same Secret",
    ),
];

/// Kinds that are made, by the same code, of some of the objects of another one whose table is here.
const PARTS: &[(&str, &str)] = &[
    ("velero_secret", "velero"),
    ("velero_source", "velero"),
    ("sealing_secret", "sealed_secrets"),
];

/// Whether a change of it, or one of its changes, is made on the living resource.
fn is_in_place(field: &Field) -> bool {
    match field.change {
        Change::InPlace { .. }
        | Change::Monotonic { .. }
        | Change::OneWay { .. }
        | Change::InParts { .. } => true,
        Change::Replace | Change::Refuse(_) | Change::Ignored | Change::Computed => false,
    }
}

/// Whether it says how kplan itself reaches a resource: a credential, an address. Nothing of it is
/// kept where somebody else could change it.
fn is_kplans(field: &Field) -> bool {
    field.reaches
}

fn changed(hands: &[Hand]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for hand in hands {
        let kind = hand.address.split('.').next().unwrap_or_default();
        let seen = hand.fields.iter().map(|seen| seen.field);
        for field in seen.chain(hand.carried.iter().map(String::as_str)) {
            found.insert((kind.to_owned(), field.to_owned()));
        }
    }
    found
}

fn table() -> BTreeSet<(String, String)> {
    let id = |address: &str| address.to_owned();
    let all = [
        account::hands(&id),
        account::grown(&id),
        cluster::hands(),
        nodes::hands(&id),
        nodes::grown(),
    ];
    let mut table = BTreeSet::new();
    for hands in all {
        table.extend(changed(&hands));
    }
    table
}

fn excused() -> BTreeMap<(String, String), &'static str> {
    let mut all = BTreeMap::new();
    for (kind, fields, why) in NOWHERE {
        assert!(why.len() > 20, "{kind}: {why}");
        for field in *fields {
            let at = ((*kind).to_owned(), (*field).to_owned());
            assert!(all.insert(at, *why).is_none(), "{kind}.{field} twice");
        }
    }
    all
}

/// The kind in whose table the fields of this one stand.
fn told_in(kind: &str) -> &str {
    let part = PARTS.iter().find(|(part, _)| *part == kind);
    part.map_or(kind, |(_, whole)| whole)
}

#[test]
fn every_field_that_changes_in_place_is_changed_by_hand_somewhere() {
    let (table, excused) = (table(), excused());
    let kinds: BTreeMap<String, &KindInfo> = kplan::wire::kinds()
        .into_values()
        .map(|info| (info.kind.as_str().to_owned(), info))
        .collect();
    let mut missing = Vec::new();
    let mut left = table.clone();
    let mut reasons: BTreeSet<_> = excused.keys().cloned().collect();
    for (kind, info) in &kinds {
        for field in info.fields {
            let at = (told_in(kind).to_owned(), field.name.to_owned());
            left.remove(&at);
            let own = (kind.clone(), field.name.to_owned());
            let is_excused = reasons.remove(&own) || excused.contains_key(&own);
            assert!(
                !(is_excused && table.contains(&own)),
                "{kind}.{} is changed by hand, and excused from it",
                field.name
            );
            let told = is_excused || is_kplans(field) || table.contains(&at);
            if is_in_place(field) && !told {
                missing.push(format!("{kind}.{}", field.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "nobody changes these by hand: {missing:?}\nAdd each to a table of tests/it/drift (a request \
         past kplan, and what `kplan drift` has to say of it); where nothing outside of kplan could \
         change it, say why in NOWHERE. A change that `kplan drift` does not see is a defect of the \
         kind's `read`."
    );
    assert!(left.is_empty(), "no kind has these fields: {left:?}");
    assert!(reasons.is_empty(), "no kind has these fields: {reasons:?}");
}
