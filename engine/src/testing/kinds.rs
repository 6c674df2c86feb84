//! The kinds of the scripted cloud: one for each way a change can go.

use super::cloud::Cloud;
use super::drain::{DRAIN, Drain, LEAVE, Leave};
use crate::graph::Kinds;
use kplan_model::{
    Change, Compare, CreateFailed, Disruption, Down, Field, FieldSet, Found, FoundOrNot, Kind,
    KindInfo, Known, Object, Otherwise, Permit, ProviderError, Readiness, Registry, RemoteId,
    ReplaceOrder, Resource, Typical, Value, Wanted,
};
use std::collections::BTreeMap;

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
        alike: &[],
        import: None,
        operations: &[],
    }
}

const fn holding(lost: &'static str, mut info: KindInfo) -> KindInfo {
    info.holds = Some(lost);
    info
}

const fn alike(fields: &'static [&'static str], mut info: KindInfo) -> KindInfo {
    info.alike = fields;
    info
}

const fn drained(mut info: KindInfo) -> KindInfo {
    info.operations = &[DRAIN, LEAVE];
    info
}

/// The place of `vm` among them.
const VM: usize = 1;
/// The place of `unit` among them.
const UNIT: usize = 8;

/// All of them.
static KINDS: [KindInfo; 9] = [
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
                Field::in_place("turn", "Counts the passwords.").renews(&["password"]),
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
            Field::restarts("config", "Its configuration."),
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
    drained(info(
        "agent",
        &[
            NAME,
            NOTE,
            URN,
            Field::replace("host", "The machine it runs on.").runs_on(),
            Field::ignored("join", "Another it joined."),
            Field::ignored("role", "A `voter` leaves the others before it goes."),
            Field::ignored("late", "Why its machine does not take it a second time."),
            Field::computed("before", "The sign of life that does not count."),
            Field::computed("away", "What it waits for."),
        ],
        ReplaceOrder::DeleteFirst,
        20,
    )),
    // The only one of which two may look like one: no life at random has any.
    alike(
        &["net"],
        info("unit", &[NAME, NET, URN], ReplaceOrder::DeleteFirst, 5),
    ),
];

struct Fake<const K: usize>(Cloud);

impl<const K: usize> Resource for Fake<K> {
    type Args = Object;
    type Attrs = Object;
    const INFO: &'static KindInfo = &KINDS[K];
    /// Machines are many.
    const FINDS_ALL: bool = K == VM;
    const IS_MARKED: bool = K == UNIT;

    async fn read(&self, known: &Known) -> Result<Option<Object>, ProviderError> {
        let seen = self.0.read(known).await?;
        Ok(seen.map(|attrs| compared(known, attrs)))
    }

    async fn read_all(&self, known: &[Known]) -> Result<BTreeMap<RemoteId, Object>, ProviderError> {
        let mut listed = self.0.list(&Self::INFO.kind, known).await?;
        let seen = known.iter().filter_map(|known| {
            let attrs = listed.remove(&known.id)?;
            Some((known.id.clone(), compared(known, attrs)))
        });
        Ok(seen.collect())
    }

    async fn find(&self, wanted: Wanted<'_, Object>) -> Result<Vec<Found<Object>>, ProviderError> {
        self.0.find(wanted.owner, wanted.address).await
    }

    async fn find_all(&self, wanted: &[Wanted<'_, Object>]) -> Vec<FoundOrNot<Object>> {
        let all: Vec<_> = wanted.iter().map(|one| (one.owner, one.address)).collect();
        self.0.find_all(&Self::INFO.kind, &all).await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, Object>,
        _: &Permit,
    ) -> Result<Found<Object>, CreateFailed<Object>> {
        let Wanted {
            owner,
            address,
            args,
        } = wanted;
        self.0.create(owner, address, args).await
    }

    async fn update(
        &self,
        known: &Known,
        args: &Object,
        changed: &FieldSet,
        _: &Permit,
    ) -> Result<Object, ProviderError> {
        self.0.update(known, args, changed).await
    }

    async fn delete(&self, known: &Known, _: &Permit) -> Result<(), ProviderError> {
        self.0.delete(known).await
    }

    async fn release(&self, known: &Known, _: &Permit) -> Result<(), ProviderError> {
        self.0.release(known).await
    }

    fn too_late(&self, args: &Object, _: Option<&Object>) -> Option<String> {
        let late = args.get("late").and_then(Value::as_str);
        late.map(str::to_owned)
    }

    fn interrupted(&self, mut attrs: Object) -> Object {
        if Self::INFO.kind.as_str() == "agent" {
            attrs.remove("before");
            attrs.insert("away".to_owned(), Value::Bool(true));
        }
        attrs
    }

    fn is_interrupted(&self, attrs: &Object) -> bool {
        attrs.contains_key("away")
    }

    fn readiness(&self, attrs: &Object) -> Readiness {
        if attrs.contains_key("away") {
            return Readiness::Waiting("no new sign of life".to_owned());
        }
        match attrs.get("status").and_then(Value::as_str) {
            Some("new") => Readiness::Waiting("status is \"new\"".to_owned()),
            Some("errored") => Readiness::Failed("status is \"errored\"".to_owned()),
            _ => Readiness::Ready,
        }
    }
}

/// What was interrupted is away until its sign of life is another than at the first look.
fn compared(known: &Known, mut attrs: Object) -> Object {
    let Some(beat) = attrs.remove("beat") else {
        return attrs;
    };
    if !known.attrs.contains_key("away") {
        return attrs;
    }
    let before = known.attrs.get("before");
    if before.is_none_or(|before| *before == beat) {
        attrs.insert("away".to_owned(), Value::Bool(true));
        attrs.insert("before".to_owned(), before.cloned().unwrap_or(beat));
    }
    attrs
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
    registry.add(Fake::<7>(cloud.clone()));
    registry.add(Fake::<8>(cloud.clone()));
    for undone in [false, true] {
        let cloud = cloud.clone();
        registry.add_operation(Drain { cloud, undone });
    }
    registry.add_operation(Leave(cloud.clone()));
    registry
}

/// The tables alone.
pub fn kinds() -> Kinds {
    KINDS.iter().map(|info| (info.kind.clone(), info)).collect()
}
