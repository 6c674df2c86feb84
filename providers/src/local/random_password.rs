//! `random_password` and `repository_password`: passwords that kplan makes once and keeps. They
//! differ in what is lost with them.

use super::{all_recorded, recorded};
use crate::k3s::pki::secret;
use kplan_model::{
    Change, CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, Permit,
    ProviderError, RemoteId, ReplaceOrder, Resource, Secret, Typical, Wanted,
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

const fn info(kind: &'static str, doc: &'static str, holds: Option<&'static str>) -> KindInfo {
    KindInfo {
        kind: Kind::new(kind),
        terraform: "random_password",
        doc,
        fields: FIELDS,
        replace: ReplaceOrder::DeleteFirst,
        identity: &["purpose"],
        holds,
        typical: Typical {
            create: 1,
            update: 1,
            delete: 1,
        },
        max_parallel: 1,
        operations: &[],
    }
}

static LOGIN: KindInfo = info(
    "random_password",
    "A password for a login: whoever loses it gets another one.",
    None,
);

static REPOSITORY: KindInfo = info(
    "repository_password",
    "A password that something is encrypted with.",
    Some("a password, and with it whatever it encrypts,"),
);

/// What a password is for.
pub trait Purpose: Send + Sync + 'static {
    /// The kind of such a password.
    const INFO: &'static KindInfo;
}

/// For a login: another one is as good.
pub struct Login;

impl Purpose for Login {
    const INFO: &'static KindInfo = &LOGIN;
}

/// For encryption: what was written with it is lost with it.
pub struct Repository;

impl Purpose for Repository {
    const INFO: &'static KindInfo = &REPOSITORY;
}

/// The kind of passwords for a purpose.
pub struct RandomPassword<P>(PhantomData<fn() -> P>);

impl<P> Default for RandomPassword<P> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<P: Purpose> Resource for RandomPassword<P> {
    type Args = RandomPasswordArgs;
    type Attrs = RandomPasswordAttrs;

    const INFO: &'static KindInfo = P::INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<RandomPasswordAttrs>, ProviderError> {
        recorded(known).map(Some)
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, RandomPasswordAttrs>, ProviderError> {
        all_recorded(known)
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, RandomPasswordArgs>,
    ) -> Result<Vec<Found<RandomPasswordAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, RandomPasswordArgs>,
        _permit: &Permit,
    ) -> Result<Found<RandomPasswordAttrs>, CreateFailed<RandomPasswordAttrs>> {
        Ok(Found {
            // What a password is known by must say nothing about it.
            id: RemoteId::new(secret::random_id()?),
            created_at: None,
            attrs: RandomPasswordAttrs {
                purpose: wanted.args.purpose.clone(),
                result: secret::random()?,
            },
            role: kplan_model::FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        _known: &Known,
        _args: &RandomPasswordArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<RandomPasswordAttrs, ProviderError> {
        let what = "a password is replaced, never changed in place";
        Err(ProviderError::new(ErrorKind::Bug, what))
    }

    async fn delete(&self, _known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        Ok(())
    }
}
