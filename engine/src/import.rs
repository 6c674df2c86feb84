//! Import: what is put on record of a resource that exists already. Pure; nothing of it changes
//! what exists.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::attrs;
use crate::compare::{Likeness, compare};
use crate::graph;
use kplan_model::{
    Change, Declaration, KindInfo, Meta, Object, Recorded, RemoteId, Snapshot, Status, Timestamp,
};
use std::collections::BTreeSet;

/// A resource that was found by its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Existing<'a> {
    /// Its id.
    pub id: RemoteId,
    /// What the remote side shows of it.
    pub attrs: &'a Object,
    /// When it was made; when that is not known, when it was found.
    pub created_at: Timestamp,
    /// Whether it is somebody else's work. One that has the owner's mark was made by kplan, and only
    /// its record was lost.
    pub foreign: bool,
}

/// Its record, as if it had been made as the file says: of what the file asks for, what is really
/// there. A field that the file does not give is not managed, and one that the remote side never
/// shows is taken as the file says.
///
/// `snapshot` has on record what the declaration refers to, as far as that exists.
pub fn record(
    info: &KindInfo,
    declaration: &Declaration,
    snapshot: &Snapshot,
    existing: Existing<'_>,
) -> Recorded {
    let asked = declaration.filled(snapshot);
    let mut args = Object::new();
    for field in info.fields {
        let Some(asked) = attrs::set(&asked, field.name).filter(|value| value.is_known()) else {
            continue;
        };
        if field.change == Change::Computed {
            continue;
        }
        let shown = attrs::set(existing.attrs, field.name);
        let value = match shown {
            Some(shown) if compare(field.compare, asked, shown) == Likeness::Different => shown,
            _ => asked,
        };
        args.insert(field.name.to_owned(), value.clone());
    }
    Recorded {
        address: declaration.address.clone(),
        id: existing.id,
        args,
        attrs: attrs::merge_new(existing.attrs),
        meta: Meta {
            imported: existing.foreign,
            ..declaration.meta.clone()
        },
        depends_on: graph::depends_on(declaration),
        status: Status::Ready,
        created_at: existing.created_at,
        operations: BTreeSet::new(),
        version: 1,
    }
}

/// The fields that the file gives and nobody can look at: what they say is taken for true.
pub fn assumed(info: &KindInfo, record: &Recorded) -> Vec<&'static str> {
    let fields = info.fields.iter();
    fields
        .filter(|field| !matches!(field.change, Change::Computed | Change::Ignored))
        .map(|field| field.name)
        .filter(|name| attrs::set(&record.args, name).is_some())
        .filter(|name| record.attrs.get(name).is_none())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Build as _, decl, kinds, reference, string};
    use kplan_model::{Owner, Value};

    fn snapshot() -> Snapshot {
        let owner = Owner {
            cluster: "c".to_owned(),
            suffix: "0".to_owned(),
        };
        Snapshot::empty("l", owner)
    }

    fn object<const N: usize>(fields: [(&str, &str); N]) -> Object {
        fields
            .into_iter()
            .map(|(name, text)| (name.to_owned(), Value::str(text)))
            .collect()
    }

    fn found(declaration: &Declaration, snapshot: &Snapshot, attrs: &Object) -> Recorded {
        let kinds = kinds();
        let info = kinds[declaration.address.kind()];
        let existing = Existing {
            id: RemoteId::new("7"),
            attrs,
            created_at: Timestamp(5),
            foreign: true,
        };
        record(info, declaration, snapshot, existing)
    }

    #[test]
    fn what_is_there_is_recorded_and_only_of_what_the_file_gives() {
        let declaration = decl("vm.a")
            .with("name", string("a"))
            .with("note", string("n"));
        let attrs = object([("name", "other"), ("urn", "u"), ("net", "x")]);
        let record = found(&declaration, &snapshot(), &attrs);
        // The name is what is there, the note what the file says, and the network is not managed.
        assert_eq!(record.args, object([("name", "other"), ("note", "n")]));
        assert_eq!(record.attrs, attrs);
        assert!(record.meta.imported && !record.meta.protect);
        let kinds = kinds();
        assert_eq!(assumed(kinds[record.address.kind()], &record), ["note"]);
    }

    #[test]
    fn a_reference_to_what_exists_is_filled_and_to_what_does_not_is_left_out() {
        let net = decl("net.main").with("name", string("main"));
        let mut with_net = snapshot();
        let record = found(&net, &with_net, &object([("name", "main")]));
        let declaration = decl("vm.a").with("net", reference("net.main", "id"));
        let attrs = object([("net", "7")]);
        let without = found(&declaration, &with_net, &attrs);
        assert!(without.args.is_empty());
        with_net.resources.insert(record.address.clone(), record);
        let with = found(&declaration, &with_net, &attrs);
        assert_eq!(with.args, attrs);
        assert_eq!(with.depends_on, [net.address]);
    }
}
