//! `random_password`, `repository_password` and `signing_key`: secrets that kplan makes once and
//! keeps. They differ in how they are made and in what is lost with them.

use super::{all_recorded, recorded};
use crate::http::Now;
use crate::k3s::pki::{authority, secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{
    Change, CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, ObjectCodec,
    Permit, ProviderError, RemoteId, ReplaceOrder, Resource, Secret, Timestamp, Typical, Wanted,
};
use std::collections::BTreeMap;
use std::marker::PhantomData;

kplan_model::object! {
    /// What is asked for.
    pub struct RandomPasswordArgs {
        /// What it opens, for whoever reads a plan.
        pub purpose: String,
    }
}

kplan_model::object! {
    /// What was made.
    pub struct RandomPasswordAttrs {
        /// What it opens.
        pub purpose: String,
        /// The password: 64 hexadecimal digits, 256 bits.
        pub result: Secret,
    }
}

static FIELDS: &[Field] = &[
    Field::new("purpose", Change::Replace, "What the password opens."),
    Field::computed("result", "The password, 64 hexadecimal digits.").secret(),
];

kplan_model::object! {
    /// A key pair that was made.
    pub struct SigningKeyAttrs {
        /// What it proves.
        pub purpose: String,
        /// Ed25519, PKCS #8 in PEM.
        pub private_key: Secret,
        /// The 32 bytes of the public half, in base64.
        pub public_key: String,
    }
}

static KEY_FIELDS: &[Field] = &[
    Field::new("purpose", Change::Replace, "What the key proves."),
    Field::computed("private_key", "The Ed25519 key, PKCS #8 in PEM.").secret(),
    Field::computed("public_key", "The public half, 32 bytes in base64."),
];

pub(super) const fn info(
    (kind, terraform): (&'static str, &'static str),
    doc: &'static str,
    (fields, identity): (&'static [Field], &'static [&'static str]),
    holds: Option<&'static str>,
) -> KindInfo {
    KindInfo {
        kind: Kind::new(kind),
        terraform,
        doc,
        fields,
        replace: ReplaceOrder::DeleteFirst,
        identity,
        holds,
        typical: Typical {
            create: 1,
            update: 1,
            delete: 1,
        },
        max_parallel: 1,
        alike: &[],
        import: None,
        operations: &[],
    }
}

static LOGIN: KindInfo = info(
    ("random_password", "random_password"),
    "A password for a login: whoever loses it gets another one.",
    (FIELDS, &["purpose"]),
    None,
);

static REPOSITORY: KindInfo = info(
    ("repository_password", "random_password"),
    "A password that something is encrypted with.",
    (FIELDS, &["purpose"]),
    Some("a password, and with it whatever it encrypts,"),
);

static SIGNING: KindInfo = info(
    ("signing_key", "tls_private_key"),
    "A key that recovery kits are signed with.",
    (KEY_FIELDS, &["purpose"]),
    None,
);

/// How a secret is made, and what is lost with it.
pub trait Made: Send + Sync + 'static {
    /// What is asked for.
    type Args: ObjectCodec;

    /// What was made.
    type Attrs: ObjectCodec;

    /// Its kind.
    const INFO: &'static KindInfo;

    /// Makes one, at that moment.
    fn make(args: &Self::Args, now: Timestamp) -> Result<Self::Attrs, ProviderError>;
}

/// For a login: another one is as good.
pub struct Login;

impl Made for Login {
    type Args = RandomPasswordArgs;
    type Attrs = RandomPasswordAttrs;
    const INFO: &'static KindInfo = &LOGIN;

    fn make(
        args: &RandomPasswordArgs,
        _now: Timestamp,
    ) -> Result<RandomPasswordAttrs, ProviderError> {
        password(&args.purpose)
    }
}

/// For encryption: what was written with it is lost with it.
pub struct Repository;

impl Made for Repository {
    type Args = RandomPasswordArgs;
    type Attrs = RandomPasswordAttrs;
    const INFO: &'static KindInfo = &REPOSITORY;

    fn make(
        args: &RandomPasswordArgs,
        _now: Timestamp,
    ) -> Result<RandomPasswordAttrs, ProviderError> {
        password(&args.purpose)
    }
}

fn password(purpose: &str) -> Result<RandomPasswordAttrs, ProviderError> {
    Ok(RandomPasswordAttrs {
        purpose: purpose.to_owned(),
        result: secret::random()?,
    })
}

/// For signatures: whoever loses it signs with another one, and says so.
pub struct Signing;

impl Made for Signing {
    type Args = RandomPasswordArgs;
    type Attrs = SigningKeyAttrs;
    const INFO: &'static KindInfo = &SIGNING;

    fn make(args: &RandomPasswordArgs, _now: Timestamp) -> Result<SigningKeyAttrs, ProviderError> {
        let pair = authority::ed25519()?;
        Ok(SigningKeyAttrs {
            purpose: args.purpose.clone(),
            private_key: pair.key,
            public_key: STANDARD.encode(pair.public),
        })
    }
}

/// The kind of secrets that are made so.
pub struct Kept<M> {
    now: Now,
    how: PhantomData<fn() -> M>,
}

impl<M> Kept<M> {
    /// With a clock.
    pub fn new(now: Now) -> Self {
        let how = PhantomData;
        Self { now, how }
    }
}

impl<M: Made> Resource for Kept<M> {
    type Args = M::Args;
    type Attrs = M::Attrs;

    const INFO: &'static KindInfo = M::INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<M::Attrs>, ProviderError> {
        recorded(known).map(Some)
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, M::Attrs>, ProviderError> {
        all_recorded(known)
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, M::Args>,
    ) -> Result<Vec<Found<M::Attrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, M::Args>,
        _permit: &Permit,
    ) -> Result<Found<M::Attrs>, CreateFailed<M::Attrs>> {
        Ok(Found {
            // What a secret is known by must say nothing about it.
            id: RemoteId::new(secret::random_id()?),
            created_at: None,
            attrs: M::make(wanted.args, (self.now)())?,
            role: kplan_model::FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        _known: &Known,
        _args: &M::Args,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<M::Attrs, ProviderError> {
        let what = "a secret is replaced, never changed in place";
        Err(ProviderError::new(ErrorKind::Bug, what))
    }

    async fn delete(&self, _known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        Ok(())
    }
}
