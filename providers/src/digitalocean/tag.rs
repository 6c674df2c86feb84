//! `tag`: a tag, its own kind because firewalls and load balancers can only name one that exists.

use super::DigitalOcean;
use super::remote::Remote;
use kplan_model::{
    CreateFailed, Field, FieldSet, Found, FoundOrNot, Kind, KindInfo, Known, Permit, ProviderError,
    RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

object! {
    /// What is asked of a tag.
    pub struct TagArgs {
        /// Its name: letters, digits, `_`, `-`, `:`. Left out, it is the owner's own tag, which
        /// the provider puts on everything taggable; declared so that `destroy` removes it too.
        pub name: Option<String>,
    }
}

object! {
    /// What is seen of a tag.
    pub struct TagAttrs {
        /// Its name, in the case in which it was first used.
        pub name: String,
    }
}

/// The kind `tag`.
pub struct Tag(pub DigitalOcean);

static FIELDS: [Field; 1] = [Field::replace(
    "name",
    "Letters, digits, `_`, `-` and `:`; left out, the owner's own tag.",
)
.by(kplan_model::Compare::CaseFold)];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("tag"),
    terraform: "digitalocean_tag",
    doc: "A tag by which firewalls, load balancers and databases find droplets.",
    fields: &FIELDS,
    replace: ReplaceOrder::CreateFirst,
    identity: &["name"],
    holds: None,
    // Answered at once; estimates.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 8,
    alike: &[],
    import: Some("the tag's name"),
    operations: &[],
};

#[derive(Debug, Deserialize)]
pub(super) struct TagRemote {
    pub(super) name: String,
    #[serde(default)]
    resources: Option<Carried>,
}

/// What carries a tag.
#[derive(Debug, Deserialize)]
struct Carried {
    #[serde(default)]
    count: u64,
}

impl TagRemote {
    /// How many resources carry it.
    pub(super) fn carried(&self) -> u64 {
        self.resources.as_ref().map_or(0, |carried| carried.count)
    }
}

impl Remote for TagRemote {
    type Attrs = TagAttrs;
    const PATH: &'static str = "/v2/tags";
    const ONE: &'static str = "tag";
    const MANY: &'static str = "tags";
    const ID: &'static str = "name";

    fn id(&self) -> String {
        self.name.clone()
    }

    fn attrs(&self, _known: Option<&Known>) -> TagAttrs {
        TagAttrs {
            name: self.name.clone(),
        }
    }
}

fn name(wanted: Wanted<'_, TagArgs>) -> String {
    wanted
        .args
        .name
        .clone()
        .unwrap_or_else(|| wanted.owner.tag())
}

impl Resource for Tag {
    type Args = TagArgs;
    type Attrs = TagAttrs;
    const INFO: &'static KindInfo = &INFO;
    const FINDS_ALL: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<TagAttrs>, ProviderError> {
        self.0.read::<TagRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, TagAttrs>, ProviderError> {
        self.0
            .read_all::<TagRemote>(known, &TagRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, TagArgs>,
    ) -> Result<Vec<Found<TagAttrs>>, ProviderError> {
        self.0.named::<TagRemote>(&name(wanted)).await
    }

    async fn find_all(&self, wanted: &[Wanted<'_, TagArgs>]) -> Vec<FoundOrNot<TagAttrs>> {
        let names: Vec<String> = wanted.iter().map(|one| name(*one)).collect();
        self.0.all_named::<TagRemote>(&names).await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, TagArgs>,
        permit: &Permit,
    ) -> Result<Found<TagAttrs>, CreateFailed<TagAttrs>> {
        let body = json!({ "name": name(wanted) });
        let tag: TagRemote = self.0.make(permit, &body).await?;
        Ok(tag.found())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &TagArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<TagAttrs, ProviderError> {
        // No field changes in place.
        let tag: TagRemote = self.0.reread(known).await?;
        Ok(tag.attrs(Some(known)))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.destroy::<TagRemote>(known, permit).await
    }
}
