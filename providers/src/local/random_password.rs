//! `random_password`: a password that kplan makes once and keeps.

use crate::k3s::pki::secret;
use kplan_model::{
    Change, CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, ObjectCodec,
    Permit, ProviderError, RemoteId, ReplaceOrder, Resource, Secret, Typical, Wanted,
};
use std::collections::BTreeMap;

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

static INFO: KindInfo = KindInfo {
    kind: Kind::new("random_password"),
    terraform: "random_password",
    doc: "A password that kplan makes and keeps.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["purpose"],
    holds: Some("a password, and with it whatever it encrypts,"),
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 1,
    operations: &[],
};

/// The kind.
pub struct RandomPassword;

impl Resource for RandomPassword {
    type Args = RandomPasswordArgs;
    type Attrs = RandomPasswordAttrs;

    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<RandomPasswordAttrs>, ProviderError> {
        Ok(Some(RandomPasswordAttrs::from_object(&known.attrs)?))
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, RandomPasswordAttrs>, ProviderError> {
        known
            .iter()
            .map(|one| {
                let attrs = RandomPasswordAttrs::from_object(&one.attrs)?;
                Ok((one.id.clone(), attrs))
            })
            .collect()
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
