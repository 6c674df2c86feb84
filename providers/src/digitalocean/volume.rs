//! `volume`: a disk that outlives droplets.

use super::DigitalOcean;
use super::owner_tag;
use super::remote::{Remote, Slug, filled, number, path_of, text, texts};
use kplan_model::{
    Change, Compare, CreateFailed, Down, ErrorKind, Field, FieldSet, Found, FoundOrNot, Input,
    Kind, KindInfo, Known, Permit, ProviderError, RemoteId, ReplaceOrder, Resource, Typical,
    Wanted, object,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

object! {
    /// What is asked of a volume.
    pub struct VolumeArgs {
        /// Its name: lower-case letters, digits and `-`, at most 64; unique in the region.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// Its size in GiB.
        pub size: u32,
        /// Free text.
        pub description: Option<String>,
        /// `ext4` or `xfs`: what it is formatted with when it is made.
        pub initial_filesystem_type: Option<String>,
        /// The label of that file system.
        pub initial_filesystem_label: Option<String>,
        /// The snapshot it starts as.
        pub snapshot_id: Option<String>,
        /// Tags; the owner's is added.
        pub tags: Vec<Input<String>>,
        /// The droplet it is attached to.
        pub droplet_id: Option<Input<String>>,
    }
}

object! {
    /// What is seen of a volume.
    pub struct VolumeAttrs {
        /// Its name.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// Its size in GiB.
        pub size: u32,
        /// Free text.
        pub description: Option<String>,
        /// Its tags, sorted, without the owner's.
        pub tags: Vec<String>,
        /// The droplet it is attached to.
        pub droplet_id: Option<String>,
        /// The owner's tag.
        pub owner_tag: Option<String>,
        /// The file system it was made with.
        pub filesystem_type: Option<String>,
        /// Its label.
        pub filesystem_label: Option<String>,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `volume`.
pub struct Volume(pub DigitalOcean);

static FIELDS: [Field; 14] = [
    Field::replace("name", "Lower case; unique in the region."),
    Field::replace("region", "The region's slug."),
    Field::new(
        "size",
        Change::Monotonic {
            down: Down::Refuse("DigitalOcean cannot shrink a volume; make a smaller one and copy"),
        },
        "Size in GiB; only grows.",
    ),
    Field::replace("description", "Free text."),
    Field::replace(
        "initial_filesystem_type",
        "`ext4` or `xfs`, written when it is made.",
    ),
    Field::replace("initial_filesystem_label", "The label of that file system."),
    Field::replace("snapshot_id", "The snapshot it starts as."),
    Field::in_place(
        "tags",
        "Tags; the owner's is added by itself, and put back where it is asked for by name.",
    )
    .by(Compare::Set),
    Field::in_place("droplet_id", "The droplet it is attached to."),
    Field::computed("owner_tag", "The tag of the cluster it belongs to."),
    Field::computed("filesystem_type", "The file system it was made with."),
    Field::computed("filesystem_label", "The label of that file system."),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("volume"),
    terraform: "digitalocean_volume",
    doc: "A disk that outlives droplets.",
    fields: &FIELDS,
    // Names are unique in a region.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name", "region"],
    holds: Some("the data on it"),
    // Estimates.
    typical: Typical {
        create: 5,
        update: 10,
        delete: 5,
    },
    max_parallel: 8,
    alike: &["region", "size"],
    import: Some("the volume's UUID"),
    operations: &[],
};

#[derive(Debug, Deserialize)]
pub(super) struct VolumeRemote {
    id: String,
    name: String,
    size_gigabytes: u32,
    region: Option<Slug>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    droplet_ids: Option<Vec<u64>>,
    filesystem_type: Option<String>,
    filesystem_label: Option<String>,
    created_at: Option<String>,
}

impl VolumeRemote {
    /// See [`owner_tag::seen`].
    fn seen(&self, asked: &[String]) -> (Vec<String>, Option<String>) {
        owner_tag::seen(self.tags.as_deref().unwrap_or_default(), asked)
    }

    fn droplet(&self) -> Option<String> {
        self.droplet_ids.as_ref()?.first().map(ToString::to_string)
    }
}

impl Remote for VolumeRemote {
    type Attrs = VolumeAttrs;
    const PATH: &'static str = "/v2/volumes";
    const ONE: &'static str = "volume";
    const MANY: &'static str = "volumes";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, known: Option<&Known>) -> VolumeAttrs {
        let (tags, owner_tag) = self.seen(&owner_tag::asked(known));
        VolumeAttrs {
            name: self.name.clone(),
            region: Slug::text(self.region.as_ref()),
            size: self.size_gigabytes,
            description: filled(self.description.clone()),
            tags,
            droplet_id: self.droplet(),
            owner_tag,
            filesystem_type: filled(self.filesystem_type.clone()),
            filesystem_label: filled(self.filesystem_label.clone()),
            urn: format!("do:volume:{}", self.id),
            created_at: self.created_at.clone(),
        }
    }
}

fn create_body(wanted: Wanted<'_, VolumeArgs>) -> Result<Value, ProviderError> {
    let args = wanted.args;
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !args.name.chars().all(lower) || args.name.is_empty() || args.name.len() > 64 {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            format!(
                "`{}` is not a name DigitalOcean takes for a volume",
                args.name
            ),
        )
        .help("use lower-case letters, digits and dashes, at most 64"));
    }
    let tags = owner_tag::with_owner(texts(&args.tags)?, wanted.owner);
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(args.name));
    body.insert("region".to_owned(), json!(args.region));
    body.insert("size_gigabytes".to_owned(), json!(args.size));
    body.insert("tags".to_owned(), json!(tags));
    for (name, value) in [
        ("description", &args.description),
        ("filesystem_type", &args.initial_filesystem_type),
        ("filesystem_label", &args.initial_filesystem_label),
        ("snapshot_id", &args.snapshot_id),
    ] {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    Ok(Value::Object(body))
}

impl Volume {
    async fn act(&self, permit: &Permit, id: &str, body: &Value) -> Result<(), ProviderError> {
        let path = format!("{}/actions", path_of::<VolumeRemote>(id));
        self.0.act(permit, &path, body).await
    }

    /// Attached to `wanted` and nothing else; looks at nothing, so `now` must be fresh.
    pub(super) async fn attach(
        &self,
        permit: &Permit,
        id: &str,
        region: &str,
        now: Option<String>,
        wanted: Option<String>,
    ) -> Result<(), ProviderError> {
        if now == wanted {
            return Ok(());
        }
        let steps = [("detach", now), ("attach", wanted)];
        for (what, droplet) in steps {
            if let Some(droplet) = droplet {
                let body =
                    json!({ "type": what, "droplet_id": number(&droplet)?, "region": region });
                self.act(permit, id, &body).await?;
            }
        }
        Ok(())
    }
}

impl Resource for Volume {
    type Args = VolumeArgs;
    type Attrs = VolumeAttrs;
    const INFO: &'static KindInfo = &INFO;
    const IS_MARKED: bool = true;
    const FINDS_ALL: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<VolumeAttrs>, ProviderError> {
        self.0.read::<VolumeRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, VolumeAttrs>, ProviderError> {
        self.0
            .read_all::<VolumeRemote>(known, &VolumeRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, VolumeArgs>,
    ) -> Result<Vec<Found<VolumeAttrs>>, ProviderError> {
        let found = self.find_all(&[wanted]).await.pop();
        found.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// One list answers for all of them: of the one name, or of the region where they share it.
    async fn find_all(&self, wanted: &[Wanted<'_, VolumeArgs>]) -> Vec<FoundOrNot<VolumeAttrs>> {
        let Some(first) = wanted.first() else {
            return Vec::new();
        };
        let tag = first.owner.tag();
        let place = |args: &VolumeArgs| (args.region.clone(), args.name.clone());
        let places: Vec<(String, String)> = wanted.iter().map(|one| place(one.args)).collect();
        let (region, name) = place(first.args);
        let mut list = VolumeRemote::list();
        if places.len() == 1 {
            list = list.with("name", name);
        }
        if places.iter().all(|(other, _)| *other == region) {
            list = list.with("region", region);
        }
        let key = |volume: &VolumeRemote| {
            let ours = volume.tags.iter().flatten().any(|has| *has == tag);
            ours.then(|| (Slug::text(volume.region.as_ref()), volume.name.clone()))
        };
        let found = self.0.search_all(&list, &places, key).await;
        let shown = |(found, one): (FoundOrNot<VolumeAttrs>, &Wanted<'_, VolumeArgs>)| {
            let (mut found, asked) = (found?, texts(&one.args.tags)?);
            for VolumeAttrs {
                tags, owner_tag, ..
            } in found.iter_mut().map(|found| &mut found.attrs)
            {
                owner_tag::show(tags, owner_tag.as_ref(), &asked);
            }
            Ok(found)
        };
        found.into_iter().zip(wanted).map(shown).collect()
    }

    async fn create(
        &self,
        wanted: Wanted<'_, VolumeArgs>,
        permit: &Permit,
    ) -> Result<Found<VolumeAttrs>, CreateFailed<VolumeAttrs>> {
        let droplet = text(wanted.args.droplet_id.as_ref()).map_err(ProviderError::from)?;
        let region = &wanted.args.region;
        let asked = texts(&wanted.args.tags).map_err(ProviderError::from)?;
        let volume: VolumeRemote = self.0.make(permit, &create_body(wanted)?).await?;
        let mut found = volume.found();
        found.attrs.tags = volume.seen(&asked).0;
        match self
            .attach(permit, &volume.id, region, None, droplet.clone())
            .await
        {
            Ok(()) => {
                found.attrs.droplet_id = droplet;
                Ok(found)
            }
            Err(error) => Err(CreateFailed {
                error,
                partial: Some(found),
            }),
        }
    }

    async fn update(
        &self,
        known: &Known,
        args: &VolumeArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<VolumeAttrs, ProviderError> {
        let id = known.id.as_str();
        let volume: VolumeRemote = self.0.reread(known).await?;
        if changed.contains("size") && volume.size_gigabytes < args.size {
            let body =
                json!({ "type": "resize", "size_gigabytes": args.size, "region": args.region });
            self.act(permit, id, &body).await?;
        }
        if changed.contains("droplet_id") {
            let wanted = text(args.droplet_id.as_ref())?;
            self.attach(permit, id, &args.region, volume.droplet(), wanted)
                .await?;
        }
        let wanted = texts(&args.tags)?;
        if changed.contains("tags") {
            let (tags, _) = volume.seen(&wanted);
            self.0.retag(permit, "volume", id, &tags, &wanted).await?;
        }
        let volume: VolumeRemote = self.0.reread(known).await?;
        Ok(VolumeAttrs {
            tags: volume.seen(&wanted).0,
            ..volume.attrs(Some(known))
        })
    }

    async fn release(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.disown(permit, "volume", known).await
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let path = path_of::<VolumeRemote>(known.id.as_str());
        let Some(volume) = self.0.one::<VolumeRemote>(&path, VolumeRemote::ONE).await? else {
            return Ok(());
        };
        // An attached volume cannot be deleted.
        let region = Slug::text(volume.region.as_ref());
        self.attach(permit, &volume.id, &region, volume.droplet(), None)
            .await?;
        self.0.destroy::<VolumeRemote>(known, permit).await
    }
}
