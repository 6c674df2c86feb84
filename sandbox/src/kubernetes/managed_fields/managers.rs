//! The managers of an object: what each owns, and how an apply or an update changes that.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{FieldSet, compare, field_set, merge, path_text, remove};
use crate::kubernetes::object::{items, text};
use crate::kubernetes::schema::Schema;
use crate::kubernetes::status::Cause;

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq)]
struct Manager {
    name: String,
    apply: bool,
    api_version: String,
    subresource: String,
    time: Option<String>,
    fields: FieldSet,
}

impl Manager {
    fn is(&self, change: &Change<'_>, apply: bool) -> bool {
        self.name == change.manager
            && self.apply == apply
            && self.subresource == change.subresource
            && (apply || self.api_version == change.api_version)
    }

    fn described(&self) -> String {
        let mut text = format!("\"{}\"", self.name);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource \"{}\"", self.subresource);
        }
        if self.apply {
            return text;
        }
        format!("{text} using {}", self.api_version)
    }
}

/// Who changes an object, through what, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) manager: &'a str,
    pub(crate) api_version: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    /// RFC 3339.
    pub(crate) now: &'a str,
    /// Whether `status` is a subresource of its own.
    pub(crate) has_status: bool,
}

/// Metadata that nobody owns.
const UNOWNED: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

impl Change<'_> {
    /// The fields this change may own.
    fn ownable(&self, set: &FieldSet) -> FieldSet {
        let set = set.strip(UNOWNED).disown("metadata");
        match self.subresource {
            "status" => set.only("status"),
            "" if self.has_status => set.strip(&[&["status"]]),
            _ => set,
        }
    }
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Managers {
    entries: Vec<Manager>,
}

impl Managers {
    /// Reads `metadata.managedFields`.
    pub(crate) fn of(object: &Value) -> Managers {
        let entries = items(object, &["metadata", "managedFields"])
            .iter()
            .map(|entry| {
                let string = |key: &str| text(entry, &[key]).unwrap_or_default().to_owned();
                Manager {
                    name: string("manager"),
                    apply: string("operation") == "Apply",
                    api_version: string("apiVersion"),
                    subresource: string("subresource"),
                    time: text(entry, &["time"]).map(str::to_owned),
                    fields: FieldSet::from_json(&entry["fieldsV1"]),
                }
            });
        Managers {
            entries: entries.collect(),
        }
    }

    /// Whether nobody owns anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The form stored in `metadata.managedFields`.
    pub(crate) fn to_json(&self) -> Value {
        let entries = self.entries.iter().map(|manager| {
            let mut entry = json!({
                "manager": manager.name,
                "operation": if manager.apply { "Apply" } else { "Update" },
                "apiVersion": manager.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": manager.fields.to_json(),
            });
            if !manager.subresource.is_empty() {
                entry["subresource"] = manager.subresource.clone().into();
            }
            if let Some(time) = &manager.time {
                entry["time"] = time.clone().into();
            }
            entry
        });
        entries.collect()
    }

    /// Ownership after an update that is not an apply: the updater takes what it changed.
    pub(crate) fn update(
        &mut self,
        schema: Schema<'_>,
        old: &Value,
        new: &Value,
        change: &Change<'_>,
    ) {
        let (changed, removed) = compare(schema, old, new);
        let changed = change.ownable(&changed);
        let removed = removed.strip(UNOWNED);
        for manager in &mut self.entries {
            manager.fields = manager.fields.without_subtrees(&removed);
            if !manager.is(change, false) {
                manager.fields = manager.fields.difference(&changed);
            }
        }
        if !changed.is_empty() {
            let entry = self.entry(change, false);
            entry.fields = entry.fields.union(&changed);
            entry.time = Some(change.now.to_owned());
        }
        self.entries.retain(|manager| !manager.fields.is_empty());
    }

    fn entry(&mut self, change: &Change<'_>, apply: bool) -> &mut Manager {
        let at = match self
            .entries
            .iter()
            .position(|manager| manager.is(change, apply))
        {
            Some(at) => at,
            None => {
                self.entries.push(Manager {
                    name: change.manager.to_owned(),
                    apply,
                    api_version: change.api_version.to_owned(),
                    subresource: change.subresource.to_owned(),
                    time: None,
                    fields: FieldSet::default(),
                });
                self.entries.len() - 1
            }
        };
        &mut self.entries[at]
    }

    /// Applies a configuration: gives the merged object, or the conflicts when not forced.
    pub(crate) fn apply(
        &mut self,
        schema: Schema<'_>,
        live: &Value,
        config: &Value,
        change: &Change<'_>,
        force: bool,
    ) -> Result<Value, Vec<Cause>> {
        let applied = change.ownable(&field_set(schema, config));
        let mut merged = merge(schema, live, config);
        let (changed, _) = compare(schema, live, &merged);
        let conflicts = self.conflicts(&changed, change);
        if !conflicts.is_empty() && !force {
            return Err(conflicts);
        }
        for manager in self
            .entries
            .iter_mut()
            .filter(|manager| !manager.is(change, true))
        {
            manager.fields = manager.fields.difference(&changed);
        }
        let entry = self.entry(change, true);
        let previous = std::mem::replace(&mut entry.fields, applied.clone());
        if previous != applied || entry.time.is_none() || change.api_version != entry.api_version {
            entry.time = Some(change.now.to_owned());
        }
        change.api_version.clone_into(&mut entry.api_version);
        let dropped = previous
            .with_declared_parents(schema)
            .difference(&applied.with_declared_parents(schema));
        let owned = owned(&self.entries);
        let mut unowned = FieldSet::default();
        for path in dropped.paths().iter().filter(|path| !owned.touches(path)) {
            unowned.insert(path);
        }
        remove(schema, &mut merged, &unowned);
        self.entries.retain(|manager| !manager.fields.is_empty());
        Ok(merged)
    }

    /// The fields an object names, as conflicts name them.
    pub(crate) fn named(schema: Schema<'_>, object: &Value) -> BTreeSet<String> {
        let set = field_set(schema, object);
        set.paths().iter().map(|path| path_text(path)).collect()
    }

    /// Fields of other managers that the change would give another value.
    fn conflicts(&self, changed: &FieldSet, change: &Change<'_>) -> Vec<Cause> {
        let mut others: Vec<&Manager> = self
            .entries
            .iter()
            .filter(|manager| !manager.is(change, true))
            .collect();
        others.sort_by_key(|manager| manager.described());
        let mut causes = Vec::new();
        for manager in others {
            for path in manager.fields.intersection(changed).paths() {
                causes.push(Cause {
                    reason: "FieldManagerConflict",
                    field: path_text(&path),
                    message: format!("conflict with {}", manager.described()),
                });
            }
        }
        causes
    }

    /// Whether both say the same about fields, whenever they were written.
    pub(crate) fn same_fields(&self, other: &Managers) -> bool {
        let untimed = |managers: &Managers| -> Vec<Manager> {
            managers
                .entries
                .iter()
                .map(|m| Manager {
                    time: None,
                    ..m.clone()
                })
                .collect()
        };
        untimed(self) == untimed(other)
    }
}

fn owned(entries: &[Manager]) -> FieldSet {
    entries.iter().fold(FieldSet::default(), |all, manager| {
        all.union(&manager.fields)
    })
}
