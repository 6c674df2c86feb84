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

#[cfg(test)]
mod tests;

/// Managers of fields that programs of the cluster set in what others applied: an autoscaler's
/// replicas, a certificate's bundle. Put back, each would change them again, and every plan would
/// find a change.
const PROGRAMS: [&str; 11] = [
    "argocd-application-controller",
    "argocd-controller",
    "argocd-server",
    "cainjector",
    "cert-manager-cainjector",
    "cluster-autoscaler",
    "k3s",
    "keda-operator",
    "kube-controller-manager",
    "velero",
    "velero-server",
];
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
    let applied = as_stored(applied);
    let mut look = Look {
        others: entries(live)
            .filter(|entry| entry.manager != FIELD_MANAGER)
            .collect(),
        suspended: suspend::is_suspended(live),
        found: Vec::new(),
    };
    let Some(map) = applied.as_object() else {
        return Vec::new();
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
        let keys = if path.is_empty() {
            Vec::new()
        } else {
            vec![format!("f:{path}")]
        };
        Self {
            path: path.to_owned(),
            keys,
            live: Some(live),
            mine,
            in_own: false,
        }
    }

    fn below(&self, key: String, path: String, live: Option<&'a Value>) -> Self {
        let mine = self.mine.and_then(|mine| mine.get(&key));
        let keys = self.keys.iter().cloned().chain([key]).collect();
        Self {
            path,
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
        self.below(format!("f:{name}"), path, live)
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
    found: Vec<Edit>,
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
            _ if at.is_owned() => {}
            Value::Array(items) => match self.keys(&at) {
                Some(keys) => self.items(items, &at, &keys),
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

    fn items(&mut self, items: &[Value], at: &Spot<'a>, keys: &[String]) {
        for item in items {
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
            self.visit(item, at.below(book.unwrap_or_default(), path, live));
        }
    }

    /// What other managers own there.
    fn theirs(&self, at: &Spot<'a>) -> impl Iterator<Item = &'a Value> {
        let of = |entry: &Entry<'a>| {
            let mut keys = at.keys.iter();
            keys.try_fold(entry.fields, |fields, key| fields.get(key))
        };
        self.others
            .iter()
            .filter_map(of)
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn leaf(&mut self, applied: &Value, at: Spot<'a>) {
        let is_same = at.live.is_some_and(|live| says(live, applied));
        let is_own = at.in_own && at.live.is_some() && self.theirs(&at).next().is_none();
        if is_same || is_own || self.is_a_programs(&at) {
            return;
        }
        self.found.push(Edit {
            path: at.path,
            real: at.live.cloned(),
        });
    }

    /// Whether a program of the cluster has it.
    fn is_a_programs(&self, at: &Spot<'a>) -> bool {
        if at.path.ends_with(BUNDLE_OF_CERTIFICATES)
            || (self.suspended && at.path == "spec.replicas")
        {
            return true;
        }
        self.others.iter().any(|entry| {
            // `kubectl scale` is somebody's hand, an autoscaler is not.
            let scales = entry.subresource == "scale" && !entry.manager.starts_with("kubectl");
            let is_program =
                scales || entry.subresource == "status" || PROGRAMS.contains(&entry.manager);
            let mut keys = at.keys.iter();
            is_program
                && keys
                    .try_fold(entry.fields, |fields, key| fields.get(key))
                    .is_some()
        })
    }
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
