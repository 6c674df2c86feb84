//! `recovery_kit`: what a lost cluster is made again from lies in its backup bucket, before the
//! first droplet is paid for. Every apply puts a newer one beside it.

use super::{KitKeeper, KitPlace, Signer};
use crate::spaces::Keys;
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, FoundAs, Input, Kind, KindInfo, Known,
    ObjectCodec as _, Permit, ProviderError, RemoteId, ReplaceOrder, Resource, Secret, Typical,
    Wanted,
};
use std::sync::Arc;

kplan_model::object! {
    /// What is asked for.
    pub struct KitArgs {
        /// The bucket.
        pub bucket: Input<String>,
        /// What the kits' keys begin with.
        pub prefix: String,
        /// The region requests are signed for.
        pub region: String,
        /// The store's address.
        pub endpoint: Input<String>,
        /// The id of the key that writes there.
        pub access_key: Input<String>,
        /// The key.
        pub secret_key: Input<Secret>,
        /// Signs them; Ed25519, PKCS #8 in PEM.
        pub signing_key: Input<Secret>,
        /// Its public half, 32 bytes in base64.
        pub public_key: Input<String>,
    }
}

kplan_model::object! {
    /// Where they lie.
    pub struct KitAttrs {
        /// `bucket/prefix`.
        pub place: String,
    }
}

static FIELDS: &[Field] = &[
    Field::in_place("bucket", "The bucket they lie in."),
    Field::in_place("prefix", "What their keys begin with."),
    Field::in_place("region", "The bucket's region."),
    Field::in_place("endpoint", "The storage's address."),
    Field::in_place("access_key", "The id of the key that writes there."),
    Field::in_place("secret_key", "The key that writes there.").secret(),
    Field::in_place("signing_key", "Signs them.").secret(),
    Field::in_place("public_key", "Whoever restores checks them with it."),
    Field::computed("place", "Where they lie."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("recovery_kit"),
    terraform: "kplan_recovery_kit",
    doc: "What a lost cluster is made again from, encrypted and signed, in its backup bucket.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["prefix"],
    holds: None,
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct RecoveryKit(pub Arc<dyn KitKeeper>);

fn parts(args: &KitArgs) -> Result<(KitPlace, Signer), ProviderError> {
    let place = KitPlace {
        bucket: args.bucket.known()?.clone(),
        prefix: args.prefix.clone(),
        region: args.region.clone(),
        endpoint: args.endpoint.known()?.clone(),
        keys: Keys {
            access_key: args.access_key.known()?.clone(),
            secret_key: args.secret_key.known()?.clone(),
        },
    };
    let signer = Signer {
        private_key: args.signing_key.known()?.clone(),
        public_key: args.public_key.known()?.clone(),
    };
    Ok((place, signer))
}

/// Where the kits of a record lie, and who signs them.
///
/// # Errors
/// `Bug` where the record is none of a kit.
pub fn of_record(args: &kplan_model::Object) -> Result<(KitPlace, Signer), ProviderError> {
    parts(&KitArgs::from_object(args)?)
}

fn attrs(place: &KitPlace) -> KitAttrs {
    KitAttrs {
        place: format!("{}/{}", place.bucket, place.prefix),
    }
}

impl RecoveryKit {
    async fn landed(&self, args: &KitArgs) -> Result<KitAttrs, ProviderError> {
        let (place, signer) = parts(args)?;
        self.0.land(&place, &signer).await?;
        Ok(attrs(&place))
    }
}

impl Resource for RecoveryKit {
    type Args = KitArgs;
    type Attrs = KitAttrs;

    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<KitAttrs>, ProviderError> {
        let (place, _) = of_record(&known.args)?;
        match self.0.lies(&place).await {
            Ok(false) => Ok(None),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            // A store that does not answer is no reason to leave the droplets alone: the next
            // apply that reaches it writes a new one anyhow.
            Ok(true) | Err(_) => Ok(Some(attrs(&place))),
        }
    }

    /// Another one is as good: one that landed without an answer is one more beside it.
    async fn find(
        &self,
        _wanted: Wanted<'_, KitArgs>,
    ) -> Result<Vec<Found<KitAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, KitArgs>,
        _permit: &Permit,
    ) -> Result<Found<KitAttrs>, CreateFailed<KitAttrs>> {
        let attrs = self.landed(wanted.args).await?;
        Ok(Found {
            id: RemoteId::new(attrs.place.clone()),
            created_at: None,
            attrs,
            role: FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        _known: &Known,
        args: &KitArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<KitAttrs, ProviderError> {
        self.landed(args).await
    }

    async fn delete(&self, known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        let (place, _) = of_record(&known.args)?;
        match self.0.remove(&place).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}
