//! Every field that changes in place of everything that stands by itself: changed by hand, shown,
//! put back; changed once more, and accepted.

mod data;
mod machines;
mod names;
mod traffic;

use super::hand::{Deed, Hand, Ids, Place, Seen, Site, ids};
use crate::conformance::judge;
use crate::support::Folder;
use crate::support::bucket::SpacesAccess;
use serde_json::{Value, json};

const FILE: &str = include_str!("cluster.toml");

/// The file, once it follows what grew.
const GROWS: [(&str, &str); 3] = [
    ("name = \"six\"\n", "name = \"six\"\nipv6 = true\n"),
    ("name = \"big\"\nsize = 10", "name = \"big\"\nsize = 20"),
    (
        "\"16\"\nsize             = \"db-s-1vcpu-2gb\"\nstorage_size_mib = 30720",
        "\"17\"\nsize             = \"db-s-2vcpu-4gb\"\nstorage_size_mib = 71680",
    ),
];

/// A field, what it was, what it becomes, and where in an answer that is to be seen.
type Row = (&'static str, Value, Value, &'static str);

fn row(
    field: &'static str,
    was: impl Into<Value>,
    real: impl Into<Value>,
    pointer: &'static str,
) -> Row {
    (field, was.into(), real.into(), pointer)
}

/// What somebody does to one resource of DigitalOcean's, which answers at a path.
fn hand(address: &'static str, path: &str, deeds: Vec<Deed>, rows: Vec<Row>) -> Hand {
    let seen = |(field, was, real, pointer)| Seen {
        field,
        was,
        real,
        place: Place::Api(path.to_owned(), pointer),
    };
    Hand {
        address: address.to_owned(),
        carried: Vec::new(),
        deeds,
        fields: rows.into_iter().map(seen).collect(),
    }
}

fn post(path: String, body: Value) -> Deed {
    Deed::Ask("POST", path, body)
}

fn put(path: &str, body: Value) -> Deed {
    Deed::Ask("PUT", path.to_owned(), body)
}

/// Another tag on something.
fn tagged(kind: &str, id: String) -> Deed {
    let one = json!({ "resource_id": id, "resource_type": kind });
    let body = json!({ "resources": [one] });
    post("/v2/tags/mine/resources".to_owned(), body)
}

/// An id that is a number.
fn number(id: Ids<'_>, address: &str) -> u64 {
    id(address).parse().unwrap_or_default()
}

/// What can be changed and changed back.
pub(super) fn hands(id: Ids<'_>) -> Vec<Hand> {
    let parts = [machines::hands, traffic::hands, data::hands, names::hands];
    parts.into_iter().flat_map(|part| part(id)).collect()
}

/// What only grows: changed by hand, it can be accepted, and the file has to follow.
pub(super) fn grown(id: Ids<'_>) -> Vec<Hand> {
    vec![
        machines::grown(id),
        data::grown_volume(id),
        data::grown_database(id),
    ]
}

#[test]
fn every_change_by_hand_is_shown_and_put_back_or_accepted() {
    // DigitalOcean resizes a load balancer once an hour: a fifth of a second here.
    let folder = Folder::with(FILE).scaled(20_000.0);
    folder.kplan(&["sandbox", "inspect", "--json"]).ok();
    let domain = json!({ "name": "example.com" });
    folder.cloud("POST", "/v2/domains", Some(&domain));
    folder.apply();
    let id = ids(&folder, "all");
    let site = Site {
        folder: &folder,
        cluster: None,
        spaces: Some(SpacesAccess::of(&folder)),
    };
    folder.kplan(&["drift", "--sandbox"]).ok();
    let mut hands = hands(&id);
    let before = site.looks(&hands);

    // Put back by the next apply.
    site.act(&hands);
    for (at, now) in site.looks(&hands) {
        assert_ne!(before[&at], now, "{at:?} was not changed");
    }
    site.shows(&hands);
    folder.apply();
    site.is_as(&hands, &before);
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder.assert_no_changes();

    // Accepted: nothing of the cloud's changes, and the record has it.
    let own = hands.len();
    hands.extend(grown(&id));
    site.act(&hands);
    let changed = site.looks(&hands);
    site.shows(&hands);
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    for what in ["`size` cannot be changed", "`version` cannot be changed"] {
        assert!(refused.err.contains(what), "{}", refused.err);
    }
    folder
        .kplan(&["apply", "--sandbox", "--refresh-only", "--auto-approve"])
        .ok();
    site.is_as(&hands, &changed);
    folder.kplan(&["drift", "--sandbox"]).ok();

    // Where the file follows, it stays; the rest is put back.
    let follows = GROWS.iter().fold(FILE.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    folder.write(&follows);
    folder.apply();
    site.is_as(&hands[..own], &before);
    site.is_as(&hands[own..], &changed);
    folder.assert_no_changes();
    judge(&folder);
}
