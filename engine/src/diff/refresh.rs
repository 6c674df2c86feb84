//! What was seen against what is on record: refreshed records, vanished ones, drift.

use super::{Current, Inputs};
use crate::attrs;
use crate::compare::{Likeness, compare};
use kplan_model::{
    Change as FieldKind, Drift, KindInfo, Object, Observation, ProviderError, Recorded, Value,
};

/// What is left of a record after looking.
pub(super) enum Seen<'a> {
    /// It is there; the record with what was seen.
    There(Current<'a>),
    /// It is gone.
    Gone,
    /// It went with its container.
    GoneWithContainer,
    /// It could not be read.
    Unreadable(Box<ProviderError>),
}

pub(super) fn look<'a>(inputs: &Inputs<'a>, info: &KindInfo, record: &'a Recorded) -> Seen<'a> {
    match inputs.observations.get(&record.address) {
        Some(Observation::Present(attrs)) if attrs::differ(info, &record.attrs, attrs) => {
            Seen::There(Current::Refreshed(Box::new(Recorded {
                attrs: attrs::merge(info, &record.attrs, attrs),
                ..record.clone()
            })))
        }
        Some(Observation::Present(_) | Observation::NotRead) => {
            Seen::There(Current::Unchanged(record))
        }
        Some(Observation::Absent) => Seen::Gone,
        Some(Observation::Gone) => Seen::GoneWithContainer,
        Some(Observation::Unreadable(error)) => Seen::Unreadable(error.clone()),
        // Nobody looked: that says nothing about the resource, least of all that it is gone.
        None => Seen::Unreadable(Box::new(ProviderError::new(
            kplan_model::ErrorKind::Bug,
            "it was not read",
        ))),
    }
}

/// Managed fields whose real value is not the recorded one.
pub(super) fn drift(
    info: &KindInfo,
    record: &Recorded,
    (now, declared): (&Object, Option<&Object>),
    ignored: &dyn Fn(&str) -> bool,
) -> Option<Drift> {
    let managed = |name: &str| {
        attrs::set(&record.args, name).is_some()
            || declared.is_some_and(|args| attrs::set(args, name).is_some())
    };
    let mut fields = Vec::new();
    for field in info.fields {
        if matches!(field.change, FieldKind::Computed | FieldKind::Ignored)
            || !managed(field.name)
            || ignored(field.name)
        {
            continue;
        }
        let real = match attrs::set(now, field.name) {
            Some(real) => real,
            None if attrs::is_cleared(now, field.name) => &Value::Null,
            None => continue,
        };
        let before = attrs::set(&record.attrs, field.name)
            .or_else(|| attrs::set(&record.args, field.name))
            .unwrap_or(&Value::Null);
        if compare(field.compare, before, real) == Likeness::Different {
            fields.push((field.name.to_owned(), before.clone(), real.clone()));
        }
    }
    (!fields.is_empty()).then(|| Drift {
        address: record.address.clone(),
        fields,
        vanished: false,
    })
}
