//! Attributes on record and attributes just seen: how they merge, and whether they differ.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::compare::{Likeness, compare};
use kplan_model::{Change, Compare, Field, FieldSet, KindInfo, Object, Value};

/// A secret that the remote side reports: it may show it only once, when it makes it. Anything
/// else that is not shown any more is gone.
fn is_shown_once(info: &KindInfo, name: &str) -> bool {
    info.field(name)
        .is_some_and(|field| field.change == Change::Computed && field.secret)
}

/// What to put on record after seeing `seen`: all that was seen, and every computed secret that
/// was not shown this time. An argument that was seen once and is not set any more stays as
/// `Null`: somebody cleared it, which is not the same as a remote side that never shows it.
pub(crate) fn merge(info: &KindInfo, recorded: &Object, seen: &Object) -> Object {
    let mut merged: Object = seen
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in recorded {
        if !merged.contains_key(name) && is_shown_once(info, name) && !value.is_null() {
            merged.insert(name.clone(), value.clone());
        }
    }
    for name in recorded.keys() {
        if set(seen, name).is_none() && is_comparable(info, name) {
            merged.insert(name.clone(), Value::Null);
        }
    }
    merged
}

/// Whether the field is compared with what the remote side shows. Secrets may be shown once and
/// never again.
fn is_comparable(info: &KindInfo, name: &str) -> bool {
    info.field(name).is_some_and(|field| {
        !field.secret && !matches!(field.change, Change::Computed | Change::Ignored)
    })
}

/// Whether a value was seen once and is not set any more.
pub(crate) fn is_cleared(attrs: &Object, name: &str) -> bool {
    attrs.get(name).is_some_and(Value::is_null)
}

/// What to put on record of a resource seen for the first time.
pub(crate) fn merge_new(seen: &Object) -> Object {
    let set = seen.iter().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The fields that can be changed in place and are seen to be other than what was asked for.
pub(crate) fn unaligned(info: &KindInfo, asked: &Object, seen: &Object) -> FieldSet {
    let in_place = |field: &&Field| matches!(field.change, Change::InPlace { .. });
    let fields = info.fields.iter().filter(in_place);
    let fields = fields.filter(|field| is_other(field, asked, seen));
    fields.map(|field| field.name.to_owned()).collect()
}

/// Whether a field that both have is seen to be other than what was asked for.
pub(crate) fn is_other(field: &Field, asked: &Object, seen: &Object) -> bool {
    match (set(asked, field.name), set(seen, field.name)) {
        (Some(asked), Some(seen)) => compare(field.compare, asked, seen) == Likeness::Different,
        _ => false,
    }
}

/// Whether [`merge`] would change the record in a way that means something.
pub(crate) fn differ(info: &KindInfo, recorded: &Object, seen: &Object) -> bool {
    if recorded.is_shared_with(seen) {
        return false;
    }
    let changed = |name: &str, value: &Value| {
        let how = info
            .field(name)
            .map_or(Compare::Exact, |field| field.compare);
        let before = recorded.get(name).unwrap_or(&Value::Null);
        compare(how, before, value) == Likeness::Different
    };
    let lost = |name: &str, value: &Value| {
        !value.is_null() && seen.get(name).is_none_or(Value::is_null) && !is_shown_once(info, name)
    };
    seen.iter()
        .any(|(name, value)| !value.is_null() && changed(name, value))
        || recorded.iter().any(|(name, value)| lost(name, value))
}

/// The value under `name`, unless it is `Null`.
pub(crate) fn set<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}
