//! What somebody changed by hand in an object that kplan applied.
//!
//! The server keeps a book of who owns which field (`metadata.managedFields`). Whoever changes a value
//! that kplan applied, or takes it away, takes the field from kplan; what the server itself makes of
//! a value (defaults, other words for a quantity) does not. So a field is changed by hand where it was
//! applied, is not kplan's any more, and has another value. What others added is theirs, and not
//! looked at.

use super::object::{Object, canonical_digest};
use super::session::FIELD_MANAGER;
use super::suspend;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

/// Managers of fields that programs of the cluster set in what others applied: an autoscaler's
/// replicas, a certificate's bundle. Put back, each would change them again, and every plan would
/// find a change.
///
/// `argocd-server` and `velero` are none: that is what Argo CD's pages and its command line write as,
/// and Velero's command line. They are somebody's hand.
const PROGRAMS: [&str; 9] = [
    "argocd-application-controller",
    "argocd-controller",
    "cainjector",
    "cert-manager-cainjector",
    "cluster-autoscaler",
    "k3s",
    "keda-operator",
    "kube-controller-manager",
    "velero-server",
];
/// Programs that bring whole objects, from Git or from a backup. Only where an object is of their own
/// group does a field that they hold say that it is theirs to set.
const BRINGERS: [(&str, &str); 3] = [
    ("argocd-application-controller", "argoproj.io/"),
    ("argocd-controller", "argoproj.io/"),
    ("velero-server", "velero.io/"),
];
/// The beginning of kplan's own labels and annotations, which nobody else has a say in.
const OWN_MARKS: &str = "f:kplan.dev/";
/// Which certificates a webhook or an API may show: put there by whoever makes them.
const BUNDLE_OF_CERTIFICATES: &str = "caBundle";
/// How many signs of a value are shown.
const VALUE: usize = 60;
/// How many fields of one object are shown.
const FIELDS: usize = 3;

/// One field that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// Where it is, such as `spec.template.spec.containers[name=server].image`.
    pub path: String,
    /// Its value now; `None` where it is gone.
    pub real: Option<Value>,
}

/// An entry of the server's book.
#[derive(Clone, Copy)]
struct Entry<'a> {
    manager: &'a str,
    subresource: &'a str,
    fields: &'a Value,
}

fn entries(live: &Value) -> impl Iterator<Item = Entry<'_>> {
    let all = live["metadata"]["managedFields"].as_array();
    all.into_iter().flatten().map(|entry| Entry {
        manager: entry["manager"].as_str().unwrap_or_default(),
        subresource: entry["subresource"].as_str().unwrap_or_default(),
        fields: &entry["fieldsV1"],
    })
}

/// What kplan owns of an object by applying it.
fn own(live: &Value) -> Option<&Value> {
    let all = live["metadata"]["managedFields"].as_array()?;
    let mut all = all.iter();
    let own = all.find(|entry| {
        entry["manager"] == FIELD_MANAGER
            && entry["operation"] == "Apply"
            && entry.get("subresource").is_none_or(|it| it == "")
    });
    own.map(|entry| &entry["fieldsV1"])
}

/// A digest of which fields are kplan's: as long as it stays the same, nobody took one. `None` where
/// the server keeps no book.
pub(super) fn mark(live: &Value) -> Option<String> {
    own(live).map(canonical_digest)
}

/// The fields of `applied` that are not kplan's any more in `live` and have another value.
pub(super) fn edits(applied: &Value, live: &Value) -> Vec<Edit> {
    compared(applied, live).edits
}

/// What was, or is to be, applied beside an object as it is.
#[derive(Default)]
pub(super) struct Compared {
    /// Fields that are not kplan's and have another value, or none.
    pub edits: Vec<Edit>,
    /// Where fields are that are not kplan's and have the same value.
    pub same: BTreeSet<String>,
    /// Where fields are that a program sets to another value, as pointers (RFC 6901) into what is
    /// applied.
    pub programs: Vec<String>,
    /// Where fields are that a program brought with another value, and that are not its own to set.
    pub brought: BTreeSet<String>,
    /// Whether another value is to be applied where somebody else has kplan's value, too.
    pub is_shared: bool,
}

/// Holds what was, or is to be, applied beside an object as it is.
pub(super) fn compared(applied: &Value, live: &Value) -> Compared {
    let applied = as_stored(applied);
    let mut look = Look {
        others: entries(live)
            .filter(|entry| entry.manager != FIELD_MANAGER)
            .collect(),
        suspended: suspend::is_suspended(live),
        api_version: live["apiVersion"].as_str().unwrap_or_default(),
        found: Compared::default(),
    };
    let Some(map) = applied.as_object() else {
        return look.found;
    };
    for (name, value) in map {
        match (name.as_str(), value) {
            // What identifies it, and what no apply sets.
            ("apiVersion" | "kind" | "status", _) => {}
            ("metadata", Value::Object(metadata)) => {
                let mine = own(live).and_then(|own| own.get("f:metadata"));
                for part in ["labels", "annotations", "finalizers", "ownerReferences"] {
                    if let Some(value) = metadata.get(part) {
                        let at = Spot::root("metadata", &live["metadata"], mine).field(part);
                        look.visit(value, at);
                    }
                }
            }
            _ => look.visit(value, Spot::root("", live, own(live)).field(name)),
        }
    }
    look.found
}

/// What is applied, without the fields at these pointers.
pub(super) fn without(applied: &Value, pointers: &[String]) -> Value {
    let mut rest = applied.clone();
    for pointer in pointers {
        // What a Secret has as text, the server has among its data.
        let written = pointer.replacen("/data/", "/stringData/", 1);
        for pointer in [pointer, &written] {
            let Some((parent, name)) = pointer.rsplit_once('/') else {
                continue;
            };
            let parent = rest.pointer_mut(parent).and_then(Value::as_object_mut);
            if let Some(parent) = parent {
                parent.remove(&name.replace("~1", "/").replace("~0", "~"));
            }
        }
    }
    rest
}

/// A Secret's values as the server keeps them.
fn as_stored(applied: &Value) -> Value {
    let mut stored = applied.clone();
    let Some(Value::Object(plain)) = stored.get_mut("stringData").map(Value::take) else {
        return stored;
    };
    if let Some(map) = stored.as_object_mut() {
        map.remove("stringData");
        let data = map
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
        for (name, value) in plain {
            data[name] = super::cloud_secret::data(value.as_str().unwrap_or_default());
        }
    }
    stored
}

/// A place in an object: as it is, and in the book.
#[derive(Clone)]
struct Spot<'a> {
    path: String,
    /// The way in what is applied, as a pointer (RFC 6901).
    pointer: String,
    /// The way in the book.
    keys: Vec<String>,
    live: Option<&'a Value>,
    mine: Option<&'a Value>,
    /// It stands in a map that is kplan's, of which the book does not say whether as a whole, or
    /// what is left of it once somebody took all that is in it.
    in_own: bool,
}

impl<'a> Spot<'a> {
    fn root(path: &str, live: &'a Value, mine: Option<&'a Value>) -> Self {
        let (keys, pointer) = if path.is_empty() {
            (Vec::new(), String::new())
        } else {
            (vec![format!("f:{path}")], format!("/{path}"))
        };
        Self {
            path: path.to_owned(),
            pointer,
            keys,
            live: Some(live),
            mine,
            in_own: false,
        }
    }

    fn below(&self, key: String, (path, step): (String, &str), live: Option<&'a Value>) -> Self {
        let mine = self.mine.and_then(|mine| mine.get(&key));
        let keys = self.keys.iter().cloned().chain([key]).collect();
        let step = step.replace('~', "~0").replace('/', "~1");
        Self {
            path,
            pointer: format!("{}/{step}", self.pointer),
            keys,
            live,
            mine,
            in_own: self.in_own || self.is_owned(),
        }
    }

    fn field(&self, name: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let path = match (self.path.as_str(), name.chars().all(plain)) {
            ("", _) => name.to_owned(),
            (path, true) => format!("{path}.{name}"),
            (path, false) => format!("{path}[{name}]"),
        };
        let live = self.live.and_then(|live| live.get(name));
        let live = live.filter(|live| !live.is_null());
        self.below(format!("f:{name}"), (path, name), live)
    }

    /// Whether it is kplan's, and the book has nothing inside of it.
    fn is_owned(&self) -> bool {
        let inner = |map: &Map<String, Value>| map.keys().any(|key| key != ".");
        self.mine
            .is_some_and(|mine| !mine.as_object().is_some_and(inner))
    }
}

struct Look<'a> {
    others: Vec<Entry<'a>>,
    suspended: bool,
    api_version: &'a str,
    found: Compared,
}

impl<'a> Look<'a> {
    fn visit(&mut self, applied: &Value, at: Spot<'a>) {
        match applied {
            Value::Null => {}
            Value::Object(map) if map.is_empty() => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Object(map) if at.live.is_some_and(Value::is_object) => {
                for (name, value) in map {
                    self.visit(value, at.field(name));
                }
            }
            _ if at.is_owned() => self.own(applied, &at),
            Value::Array(items) => match self.keys(&at) {
                Some(keys) => self.items(items, &at, &keys),
                None if self.is_set(&at) => self.members(items, &at),
                None => self.leaf(applied, at),
            },
            _ => self.leaf(applied, at),
        }
    }

    /// By which names the server tells the items of a list apart; `None` where it takes the list as a
    /// whole, or as a set.
    fn keys(&self, at: &Spot<'a>) -> Option<Vec<String>> {
        let books = at.mine.into_iter().chain(self.theirs(at));
        let mut items = books.filter_map(Value::as_object).flat_map(Map::keys);
        let one = items.find_map(|key| key.strip_prefix("k:"))?;
        let one: Map<String, Value> = serde_json::from_str(one).ok()?;
        Some(one.keys().cloned().collect())
    }

    /// Whether the server takes a list as a set of values, of which others may have some.
    fn is_set(&self, at: &Spot<'a>) -> bool {
        let books = at.mine.into_iter().chain(self.theirs(at));
        let mut items = books.filter_map(Value::as_object).flat_map(Map::keys);
        items.any(|key| key.starts_with("v:"))
    }

    fn members(&mut self, items: &[Value], at: &Spot<'a>) {
        let live = at.live.and_then(Value::as_array);
        for item in items {
            if !live.is_some_and(|live| live.contains(item)) {
                self.found.edits.push(Edit {
                    path: format!("{}[{}]", at.path, short(item)),
                    real: None,
                });
            }
        }
    }

    /// A field that is kplan's, and perhaps somebody else's, too.
    fn own(&mut self, applied: &Value, at: &Spot<'a>) {
        let whole = |fields: &Value| fields.as_object().is_some_and(Map::is_empty);
        let is_other = at.live.is_some_and(|live| !says(live, applied));
        if !is_other || !self.theirs(at).any(whole) {
            return;
        }
        if self.holders(at).any(|entry| self.sets(&entry, at)) {
            self.found.programs.push(at.pointer.clone());
        } else {
            self.found.is_shared = true;
        }
    }

    fn items(&mut self, items: &[Value], at: &Spot<'a>, keys: &[String]) {
        for (number, item) in items.iter().enumerate() {
            // What the manifest leaves out, the server fills in.
            let fits = |other: &Value| {
                keys.iter().all(|key| {
                    let asked = item.get(key);
                    asked.is_none() || asked == other.get(key)
                })
            };
            let live = at.live.and_then(Value::as_array);
            let live = live.and_then(|all| all.iter().find(|one| fits(one)));
            let named: Vec<String> = keys
                .iter()
                .filter_map(|key| Some(format!("{key}={}", short(item.get(key)?))))
                .collect();
            let path = format!("{}[{}]", at.path, named.join(","));
            let book = live.map(|live| {
                let ids = keys.iter().filter_map(|key| {
                    let value = live.get(key)?.clone();
                    Some((key.clone(), value))
                });
                format!("k:{}", Value::Object(ids.collect()))
            });
            let number = number.to_string();
            let at = at.below(book.unwrap_or_default(), (path, &number), live);
            self.visit(item, at);
        }
    }

    /// Which other managers own something there.
    fn holders(&self, at: &Spot<'a>) -> impl Iterator<Item = Entry<'a>> {
        let of = |entry: &&Entry<'a>| within(entry, at).is_some();
        let found: Vec<Entry<'a>> = self.others.iter().filter(of).copied().collect();
        found.into_iter()
    }

    /// What other managers own there.
    fn theirs(&self, at: &Spot<'a>) -> impl Iterator<Item = &'a Value> {
        let of = |entry: &Entry<'a>| within(entry, at);
        let found: Vec<&'a Value> = self.others.iter().filter_map(of).collect();
        found.into_iter()
    }

    fn leaf(&mut self, applied: &Value, at: Spot<'a>) {
        if at.live.is_some_and(|live| says(live, applied)) {
            self.found.same.insert(at.path);
            return;
        }
        if at.in_own && at.live.is_some() && self.theirs(&at).next().is_none() {
            return;
        }
        let is_replicas = self.suspended && at.path == "spec.replicas";
        if at.path.ends_with(BUNDLE_OF_CERTIFICATES)
            || is_replicas
            || self.holders(&at).any(|entry| self.sets(&entry, &at))
        {
            self.found.programs.push(at.pointer);
        } else if self.holders(&at).any(|entry| is_program(&entry)) {
            self.found.brought.insert(at.path);
        } else {
            self.found.edits.push(Edit {
                path: at.path,
                real: at.live.cloned(),
            });
        }
    }

    /// Whether a manager is a program that sets such a field, whoever made the object.
    fn sets(&self, entry: &Entry<'a>, at: &Spot<'a>) -> bool {
        let brings = |(manager, group): (&str, &str)| {
            manager == entry.manager && !self.api_version.starts_with(group)
        };
        let is_mark = at.keys.last().is_some_and(|key| key.starts_with(OWN_MARKS));
        is_program(entry) && !is_mark && !BRINGERS.into_iter().any(brings)
    }
}

/// What of an entry is in a place.
fn within<'a>(entry: &Entry<'a>, at: &Spot<'a>) -> Option<&'a Value> {
    let mut keys = at.keys.iter();
    keys.try_fold(entry.fields, |fields, key| fields.get(key))
}

/// Whether it is a program of the cluster. `kubectl scale` is somebody's hand, an autoscaler is not.
fn is_program(entry: &Entry<'_>) -> bool {
    let scales = entry.subresource == "scale" && !entry.manager.starts_with("kubectl");
    scales || entry.subresource == "status" || PROGRAMS.contains(&entry.manager)
}

/// Whether a value is what was applied, with what the server fills in.
fn says(live: &Value, applied: &Value) -> bool {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) => applied.iter().all(|(name, value)| {
            value.is_null() || live.get(name).is_some_and(|live| says(live, value))
        }),
        (Value::Array(live), Value::Array(applied)) => {
            live.len() == applied.len()
                && live
                    .iter()
                    .zip(applied)
                    .all(|(live, applied)| says(live, applied))
        }
        (live, applied) => live == applied,
    }
}

fn short(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// An object and its fields that were changed, as they are shown.
pub(super) fn shown(object: &Object, edits: &[Edit]) -> String {
    let one = |edit: &Edit| {
        let Edit { path, real } = edit;
        match real {
            None => format!("{path} is gone"),
            Some(_) if object.is_secret() => format!("{path} is another (sensitive value)"),
            Some(real) => {
                let text = real.to_string();
                let cut: String = text.chars().take(VALUE).collect();
                let more = if cut.len() < text.len() { "…" } else { "" };
                format!("{path} is {cut}{more}")
            }
        }
    };
    let all: Vec<String> = edits.iter().take(FIELDS).map(one).collect();
    let more = if edits.len() > FIELDS { ", …" } else { "" };
    if all.is_empty() {
        return object.to_string();
    }
    format!("{object}: {}{more}", all.join(", "))
}
