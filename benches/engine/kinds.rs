//! Two kinds whose remote side answers at once: what is measured is kplan alone. The fields are
//! those of a droplet in number and size.

use kplan_model::{
    Compare, CreateFailed, Field, FieldSet, Found, Kind, KindInfo, Known, Object, Permit,
    ProviderError, Registry, RemoteId, ReplaceOrder, Resource, Timestamp, Typical, Value, Wanted,
};
use std::collections::BTreeMap;

const FIELDS: &[Field] = &[
    Field::in_place("name", "The name."),
    Field::replace("region", "Where it is."),
    Field::in_place("size", "Its size."),
    Field::replace("image", "What it boots."),
    Field::in_place("tags", "Tags.").by(Compare::Set),
    Field::in_place("password", "A secret.").secret(),
    Field::in_place("net", "What it stands in."),
    Field::computed("ip", "Its address."),
    Field::computed("urn", "Its name everywhere."),
];

/// At most this many calls at once, as droplets.
const PARALLEL: usize = 64;

static MACHINE: KindInfo = KindInfo {
    kind: Kind::new("machine"),
    terraform: "bench_machine",
    doc: "A machine that is there at once.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name"],
    holds: None,
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: PARALLEL,
    alike: &[],
    import: None,
    operations: &[],
};

struct Machine;

/// What the remote side says of one: what was asked for, and two fields of its own.
pub(crate) fn attrs(args: &Object) -> Object {
    let mut attrs = args.clone();
    attrs.remove("password");
    let name = args.get("name").and_then(Value::as_str).unwrap_or_default();
    attrs.insert("ip".to_owned(), Value::str("203.0.113.7"));
    attrs.insert("urn".to_owned(), Value::str(format!("do:machine:{name}")));
    attrs
}

impl Resource for Machine {
    type Args = Object;
    type Attrs = Object;
    const INFO: &'static KindInfo = &MACHINE;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<Object>, ProviderError> {
        Ok(Some(known.attrs.clone()))
    }

    async fn read_all(&self, known: &[Known]) -> Result<BTreeMap<RemoteId, Object>, ProviderError> {
        let seen = |one: &Known| (one.id.clone(), one.attrs.clone());
        Ok(known.iter().map(seen).collect())
    }

    async fn find(&self, _: Wanted<'_, Object>) -> Result<Vec<Found<Object>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, Object>,
        _: &Permit,
    ) -> Result<Found<Object>, CreateFailed<Object>> {
        Ok(Found {
            id: RemoteId::new(format!("id-{}", wanted.address)),
            created_at: Some(Timestamp(0)),
            attrs: attrs(wanted.args),
            role: kplan_model::FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        _: &Known,
        args: &Object,
        _: &FieldSet,
        _: &Permit,
    ) -> Result<Object, ProviderError> {
        Ok(attrs(args))
    }

    async fn delete(&self, _: &Known, _: &Permit) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// The registry.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.add(Machine);
    registry
}
