//! The kinds of the scripted cloud: one for each way a change can go.

use super::cloud::Cloud;
use crate::graph::Kinds;
use kplan_model::codec::with_map;
use kplan_model::{
    Change, Codec, Compare, CreateFailed, Disruption, Down, Field, FieldSet, Found, Kind, KindInfo,
    Known, Object, ObjectCodec, Otherwise, Permit, ProviderError, Readiness, Registry, RemoteId,
    ReplaceOrder, Resource, ShapeError, Typical, Value, Wanted,
};
use std::collections::BTreeMap;

/// Untyped arguments and attributes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bag(Object);

impl Codec for Bag {
    fn encode(&self) -> Value {
        Value::Map(self.0.clone())
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        with_map(value, |map| Ok(Self(map.clone())))
    }
}

impl ObjectCodec for Bag {
    const NAMES: &'static [&'static str] = &[];
    fn from_object(object: &Object) -> Result<Self, ShapeError> {
        Ok(Self(object.clone()))
    }
}

const NAME: Field = Field::in_place("name", "The name.");
const NOTE: Field = Field::in_place("note", "A note; the remote side does not report it.");
const NET: Field = Field::replace("net", "The network it stands in.");
const URN: Field = Field::computed("urn", "A computed name.");

const fn info(
    name: &'static str,
    fields: &'static [Field],
    replace: ReplaceOrder,
    create: u32,
) -> KindInfo {
    KindInfo {
        kind: Kind::new(name),
        terraform: "test",
        doc: "A kind of the scripted cloud.",
        fields,
        replace,
        identity: &["name"],
        holds: None,
        typical: Typical {
            create,
            update: 1,
            delete: 1,
        },
        max_parallel: 10,
    }
}

const fn holding(lost: &'static str, mut info: KindInfo) -> KindInfo {
    info.holds = Some(lost);
    info
}

/// All of them.
static KINDS: [KindInfo; 7] = [
    info(
        "net",
        &[
            NAME,
            NOTE,
            URN,
            Field::replace("range", "The range.").by(Compare::Cidr),
            Field::in_place("tags", "Tags.").by(Compare::Set),
        ],
        ReplaceOrder::DeleteFirst,
        5,
    ),
    info(
        "vm",
        &[
            NAME,
            NOTE,
            NET,
            URN,
            Field::replace("image", "The image."),
            Field::new(
                "size",
                Change::InPlace {
                    disruption: Disruption::PowerOff,
                },
                "The size.",
            ),
            Field::in_place("tags", "Tags.").by(Compare::Set),
            Field::ignored("boot", "Sent once."),
            Field::new(
                "ipv6",
                Change::OneWay {
                    from: "false",
                    to: "true",
                    otherwise: Otherwise::Replace,
                },
                "IPv6.",
            ),
            Field::computed("ip", "Its address."),
        ],
        ReplaceOrder::DeleteFirst,
        45,
    ),
    info(
        "lb",
        &[
            NAME,
            NOTE,
            NET,
            URN,
            Field::in_place("members", "What it balances over.").by(Compare::Set),
            Field::computed("ip", "Its address."),
        ],
        ReplaceOrder::CreateFirst,
        60,
    ),
    holding(
        "the data in it",
        info(
            "db",
            &[
                NAME,
                NOTE,
                NET,
                URN,
                Field::new(
                    "size",
                    Change::Monotonic {
                        down: Down::Refuse("a database never shrinks"),
                    },
                    "The size.",
                ),
                Field::new(
                    "engine",
                    Change::Refuse("the data would not fit"),
                    "The engine.",
                ),
                Field::in_place("admin", "A given password.").secret(),
                Field::computed("password", "Shown once.").secret(),
            ],
            ReplaceOrder::DeleteFirst,
            300,
        ),
    ),
    info(
        "box",
        &[
            NAME,
            NET,
            URN,
            Field::new(
                "config",
                Change::InPlace {
                    disruption: Disruption::Restart,
                },
                "Its configuration.",
            ),
            Field::computed("endpoint", "Where it answers."),
        ],
        ReplaceOrder::DeleteFirst,
        30,
    ),
    info(
        "app",
        &[
            NAME,
            URN,
            Field::ignored("endpoint", "Where its container answers."),
            Field::in_place("manifest", "What runs."),
            Field::in_place("uses", "What it uses."),
        ],
        ReplaceOrder::DeleteFirst,
        10,
    ),
    info(
        "cell",
        &[
            NAME,
            NET,
            URN,
            Field::computed("endpoint", "Where it answers."),
        ],
        ReplaceOrder::CreateFirst,
        30,
    ),
];

struct Fake<const K: usize>(Cloud);

impl<const K: usize> Resource for Fake<K> {
    type Args = Bag;
    type Attrs = Bag;
    const INFO: &'static KindInfo = &KINDS[K];

    async fn read(&self, known: &Known) -> Result<Option<Bag>, ProviderError> {
        Ok(self.0.read(known).await?.map(Bag))
    }

    async fn read_all(&self, known: &[Known]) -> Result<BTreeMap<RemoteId, Bag>, ProviderError> {
        let listed = self.0.list(&Self::INFO.kind, known).await?;
        Ok(listed
            .into_iter()
            .map(|(id, attrs)| (id, Bag(attrs)))
            .collect())
    }

    async fn find(&self, wanted: Wanted<'_, Bag>) -> Result<Vec<Found<Bag>>, ProviderError> {
        let found = self.0.find(wanted.owner, wanted.address).await?;
        Ok(found.into_iter().map(bagged).collect())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, Bag>,
        _: &Permit,
    ) -> Result<Found<Bag>, CreateFailed<Bag>> {
        match self
            .0
            .create(wanted.owner, wanted.address, &wanted.args.0)
            .await
        {
            Ok(found) => Ok(bagged(found)),
            Err(failed) => Err(CreateFailed {
                error: failed.error,
                partial: failed.partial.map(bagged),
            }),
        }
    }

    async fn update(
        &self,
        known: &Known,
        args: &Bag,
        changed: &FieldSet,
        _: &Permit,
    ) -> Result<Bag, ProviderError> {
        self.0.update(known, &args.0, changed).await.map(Bag)
    }

    async fn delete(&self, known: &Known, _: &Permit) -> Result<(), ProviderError> {
        self.0.delete(known).await
    }

    fn readiness(&self, attrs: &Bag) -> Readiness {
        match attrs.0.get("status").and_then(Value::as_str) {
            Some("new") => Readiness::Waiting("status is \"new\"".to_owned()),
            Some("errored") => Readiness::Failed("status is \"errored\"".to_owned()),
            _ => Readiness::Ready,
        }
    }
}

fn bagged(found: Found<Object>) -> Found<Bag> {
    Found {
        id: found.id,
        created_at: found.created_at,
        attrs: Bag(found.attrs),
    }
}

/// A registry of all kinds over one cloud.
pub fn registry(cloud: &Cloud) -> Registry {
    let mut registry = Registry::default();
    registry.add(Fake::<0>(cloud.clone()));
    registry.add(Fake::<1>(cloud.clone()));
    registry.add(Fake::<2>(cloud.clone()));
    registry.add(Fake::<3>(cloud.clone()));
    registry.add(Fake::<4>(cloud.clone()));
    registry.add(Fake::<5>(cloud.clone()));
    registry.add(Fake::<6>(cloud.clone()));
    registry
}

/// The tables alone.
pub fn kinds() -> Kinds {
    KINDS.iter().map(|info| (info.kind.clone(), info)).collect()
}
