//! `spaces_key`: a key for object storage. Its secret is shown once, when it is made.

use super::DigitalOcean;
use super::remote::{Remote, path_of, recorded};
use http::Method;
use kplan_model::{
    Compare, CreateFailed, Field, FieldSet, Found, Input, Kind, KindInfo, Known, Permit,
    ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, Secret, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

object! {
    /// What a key may do.
    pub struct SpacesGrant {
        /// The bucket; empty for `fullaccess`.
        pub bucket: Input<String>,
        /// `read`, `readwrite` or `fullaccess`, which covers every bucket and cannot be mixed
        /// with the others.
        pub permission: String,
    }
}

object! {
    /// What is asked of a key.
    pub struct SpacesKeyArgs {
        /// Its name.
        pub name: String,
        /// What it may do.
        pub grant: Vec<SpacesGrant>,
    }
}

object! {
    /// What is seen of a key.
    pub struct SpacesKeyAttrs {
        /// Its name.
        pub name: String,
        /// What it may do.
        pub grant: Vec<SpacesGrant>,
        /// Its public half, which is its id.
        pub access_key: String,
        /// Its secret half, as recorded when it was made; nobody can read it again.
        pub secret_key: Option<Secret>,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `spaces_key`.
pub struct SpacesKey(pub DigitalOcean);

static FIELDS: [Field; 5] = [
    Field::in_place("name", "Its name."),
    Field::in_place("grant", "What it may do.").by(Compare::Set),
    Field::computed("access_key", "Its public half."),
    Field::computed("secret_key", "Its secret half, shown once.").secret(),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("spaces_key"),
    terraform: "digitalocean_spaces_key",
    doc: "A key for object storage.",
    fields: &FIELDS,
    replace: ReplaceOrder::CreateFirst,
    identity: &["name"],
    holds: None,
    // Answered at once; estimates.
    typical: Typical {
        create: 2,
        update: 2,
        delete: 2,
    },
    max_parallel: 4,
    alike: &[],
    import: None,
    operations: &[],
};

#[derive(Deserialize)]
struct GrantRemote {
    #[serde(default)]
    bucket: String,
    permission: String,
}

/// A key as DigitalOcean shows it. It has no `Debug`: it may hold the secret.
#[derive(Deserialize)]
struct KeyRemote {
    access_key: String,
    #[serde(default)]
    name: String,
    grants: Option<Vec<GrantRemote>>,
    secret_key: Option<String>,
    created_at: Option<String>,
}

impl Remote for KeyRemote {
    type Attrs = SpacesKeyAttrs;
    const PATH: &'static str = "/v2/spaces/keys";
    const ONE: &'static str = "key";
    const MANY: &'static str = "keys";
    const ID: &'static str = "access_key";

    fn id(&self) -> String {
        self.access_key.clone()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, known: Option<&Known>) -> SpacesKeyAttrs {
        let grant = |grant: &GrantRemote| SpacesGrant {
            bucket: Input::Known(grant.bucket.clone()),
            permission: grant.permission.clone(),
        };
        SpacesKeyAttrs {
            name: self.name.clone(),
            grant: self.grants.iter().flatten().map(grant).collect(),
            access_key: self.access_key.clone(),
            secret_key: self
                .secret_key
                .as_deref()
                .map(Secret::new)
                .or_else(|| recorded(known, "secret_key")),
            created_at: self.created_at.clone(),
        }
    }
}

fn body(args: &SpacesKeyArgs) -> Result<Value, ProviderError> {
    let grants: Result<Vec<Value>, ProviderError> = args
        .grant
        .iter()
        .map(|grant| Ok(json!({ "bucket": grant.bucket.known()?, "permission": grant.permission })))
        .collect();
    Ok(json!({ "name": args.name, "grants": grants? }))
}

impl Resource for SpacesKey {
    type Args = SpacesKeyArgs;
    type Attrs = SpacesKeyAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<SpacesKeyAttrs>, ProviderError> {
        self.0.read::<KeyRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, SpacesKeyAttrs>, ProviderError> {
        self.0
            .read_all::<KeyRemote>(known, &KeyRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, SpacesKeyArgs>,
    ) -> Result<Vec<Found<SpacesKeyAttrs>>, ProviderError> {
        let name = &wanted.args.name;
        self.0
            .search(&KeyRemote::list(), |key: &KeyRemote| key.name == *name)
            .await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, SpacesKeyArgs>,
        permit: &Permit,
    ) -> Result<Found<SpacesKeyAttrs>, CreateFailed<SpacesKeyAttrs>> {
        let key: KeyRemote = self.0.make(permit, &body(wanted.args)?).await?;
        Ok(key.found())
    }

    async fn update(
        &self,
        known: &Known,
        args: &SpacesKeyArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<SpacesKeyAttrs, ProviderError> {
        // Replaces both fields, so the call can be repeated.
        let path = path_of::<KeyRemote>(known.id.as_str());
        let key: KeyRemote = self
            .0
            .change(permit, &Method::PUT, &path, &body(args)?)
            .await?;
        Ok(key.attrs(Some(known)))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.destroy::<KeyRemote>(known, permit).await
    }

    fn readiness(&self, attrs: &SpacesKeyAttrs) -> Readiness {
        if attrs.secret_key.is_some() {
            Readiness::Ready
        } else {
            Readiness::Failed(
                "its secret was shown once and the answer was lost; it must be replaced".into(),
            )
        }
    }
}
