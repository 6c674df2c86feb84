//! `bucket`: a bucket of Spaces. Its id is `<region>/<name>`.

mod name;
mod settings;

use super::errors::{Does, map};
use super::session::Session;
use super::{Keys, Spaces};
use crate::digitalocean::applied;
use aws_sdk_s3::types::BucketCannedAcl;
use futures_util::future::join_all;
use kplan_model::{
    Compare, CreateFailed, ErrorKind, Field, FieldSet, Found, Input, Kind, KindInfo, Known, Permit,
    ProviderError, RemoteId, ReplaceOrder, Resource, Secret, Timestamp, Typical, Wanted, object,
};
use name::Name;
use std::collections::BTreeMap;

object! {
    /// When objects go by themselves.
    pub struct LifecycleRule {
        /// Its name; unique in the bucket.
        pub id: String,
        /// The keys it is for begin so; empty for all.
        pub prefix: String,
        /// Whether it is in force.
        pub enabled: bool,
        /// Days after which an object goes.
        pub expiration_days: Option<u32>,
        /// Days after which an older version goes.
        pub noncurrent_version_expiration_days: Option<u32>,
        /// Days after which an unfinished upload goes.
        pub abort_incomplete_multipart_upload_days: Option<u32>,
    }
}

object! {
    /// What is asked of a bucket.
    pub struct BucketArgs {
        /// Its name: shared by everybody, and taken for a week or more after it is deleted. Either
        /// this or `name_prefix`.
        pub name: Option<String>,
        /// What its name begins with, 1 to 54 characters; a dash and eight random characters make
        /// it another one at every creation.
        pub name_prefix: Option<String>,
        /// The region's slug.
        pub region: String,
        /// `private` or `public-read`; `private` when left out.
        pub acl: Option<String>,
        /// Whether older versions of objects are kept.
        pub versioning: bool,
        /// When objects go by themselves.
        pub lifecycle_rule: Vec<LifecycleRule>,
        /// Whether destroying it destroys the objects in it; refused otherwise.
        pub force_destroy: bool,
        /// The public half of the key to use.
        pub access_key: Option<Input<String>>,
        /// The secret half.
        pub secret_key: Option<Input<Secret>>,
    }
}

object! {
    /// What is seen of a bucket.
    pub struct BucketAttrs {
        /// Its name.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// Who may read; nothing where the key may not see it.
        pub acl: Option<String>,
        /// Whether older versions of objects are kept.
        pub versioning: bool,
        /// When objects go by themselves.
        pub lifecycle_rule: Vec<LifecycleRule>,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// Its host name at DigitalOcean.
        pub bucket_domain_name: String,
        /// The address of the region's S3 interface.
        pub endpoint: String,
    }
}

/// The kind `bucket`.
pub struct Bucket(pub Spaces);

static FIELDS: [Field; 12] = [
    Field::replace(
        "name",
        "Shared by everybody; taken for a week or more after a delete, so a bucket is never made anew \
         under its own name. Either this or `name_prefix`.",
    ),
    Field::replace(
        "name_prefix",
        "What its name begins with; a dash and eight random characters follow.",
    ),
    Field::replace("region", "The region's slug."),
    Field::in_place("acl", "`private` or `public-read`."),
    Field::in_place("versioning", "Whether older versions of objects are kept."),
    Field::in_place("lifecycle_rule", "When objects go by themselves.").by(Compare::Set),
    Field::in_place(
        "force_destroy",
        "Whether destroying it destroys the objects in it.",
    ),
    Field::in_place("access_key", "The public half of the key to use.").reaches(),
    Field::in_place("secret_key", "The secret half of the key to use.")
        .secret()
        .reaches(),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed("bucket_domain_name", "Its host name."),
    Field::computed("endpoint", "The address of the region's S3 interface."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("bucket"),
    terraform: "digitalocean_spaces_bucket",
    doc: "A bucket of object storage.",
    fields: &FIELDS,
    // Another name or region may be taken, which only the create tells: what the old one holds is
    // still there then. A create under its own name is refused, see `Target::must_be_new`.
    replace: ReplaceOrder::CreateFirst,
    identity: &["name"],
    holds: Some("the objects in it"),
    // Usable within seconds, known everywhere within minutes; estimates.
    typical: Typical {
        create: 10,
        update: 2,
        delete: 5,
    },
    max_parallel: 8,
    alike: &[],
    import: Some("the region, a slash, and the bucket's name"),
    operations: &[],
};

/// How many pages a list of buckets has at most: an account of Spaces has 100 buckets, one page.
const MAX_PAGES: usize = 100;

/// One bucket and a way to it.
struct Target {
    name: String,
    region: String,
    session: Session,
}

fn id(region: &str, name: &str) -> RemoteId {
    RemoteId::new(format!("{region}/{name}"))
}

/// Region and name of one that we know.
fn parts(known: &Known) -> Result<(&str, &str), ProviderError> {
    known.id.as_str().split_once('/').ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Bug,
            format!(
                "{} has the id `{}`, not `REGION/NAME`",
                known.address, known.id
            ),
        )
    })
}

impl Bucket {
    /// The session that arguments ask for.
    fn asked_session(&self, args: &BucketArgs) -> Result<Session, ProviderError> {
        let keys = match (&args.access_key, &args.secret_key) {
            (Some(access), Some(secret)) => Some(Keys {
                access_key: access.known()?.clone(),
                secret_key: secret.known()?.clone(),
            }),
            _ => None,
        };
        self.0.session(&args.region, keys.as_ref())
    }

    fn known_target(&self, known: &Known) -> Result<Target, ProviderError> {
        let (region, name) = parts(known)?;
        let access: Option<String> = applied(Some(known), "access_key");
        let secret: Option<Secret> = applied(Some(known), "secret_key");
        let keys = access.zip(secret).map(|(access_key, secret_key)| Keys {
            access_key,
            secret_key,
        });
        Ok(Target {
            name: name.to_owned(),
            region: region.to_owned(),
            session: self.0.session(region, keys.as_ref())?,
        })
    }

    fn attrs(&self, target: &Target) -> BucketAttrs {
        BucketAttrs {
            name: target.name.clone(),
            region: target.region.clone(),
            acl: None,
            versioning: false,
            lifecycle_rule: Vec::new(),
            urn: format!("do:space:{}", target.name),
            bucket_domain_name: format!("{}.{}.digitaloceanspaces.com", target.name, target.region),
            endpoint: self.0.endpoint(&target.region),
        }
    }

    /// One that no record says anything of.
    pub(super) async fn look(
        &self,
        (region, name): (&str, &str),
        session: Session,
    ) -> Result<Option<BucketAttrs>, ProviderError> {
        let target = Target {
            name: name.to_owned(),
            region: region.to_owned(),
            session,
        };
        self.observe(&target, &[]).await
    }

    /// Reads a bucket in three calls; the first one tells whether it is there.
    async fn observe(
        &self,
        target: &Target,
        asked: &[LifecycleRule],
    ) -> Result<Option<BucketAttrs>, ProviderError> {
        let Some(versioning) = target.versioning().await? else {
            return Ok(None);
        };
        let mut attrs = self.attrs(target);
        attrs.versioning = versioning;
        attrs.lifecycle_rule = target.lifecycle(asked).await?;
        attrs.acl = target.acl().await?;
        Ok(Some(attrs))
    }
}

/// The lifecycle rules last applied.
fn asked(known: &Known) -> Vec<LifecycleRule> {
    applied(Some(known), "lifecycle_rule").unwrap_or_default()
}

impl Resource for Bucket {
    type Args = BucketArgs;
    type Attrs = BucketAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<BucketAttrs>, ProviderError> {
        self.observe(&self.known_target(known)?, &asked(known))
            .await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, BucketAttrs>, ProviderError> {
        // S3's list of buckets tells no settings, so each is read by itself.
        let reads = known.iter().map(|known| async move {
            let attrs = Resource::read(self, known).await?;
            Ok::<_, ProviderError>(attrs.map(|attrs| (known.id.clone(), attrs)))
        });
        join_all(reads)
            .await
            .into_iter()
            .filter_map(Result::transpose)
            .collect()
    }

    async fn find(
        &self,
        wanted: Wanted<'_, BucketArgs>,
    ) -> Result<Vec<Found<BucketAttrs>>, ProviderError> {
        let args = wanted.args;
        let session = self.asked_session(args)?;
        let candidates = match Name::of(args)? {
            Name::Given(name) => {
                let there = there(&session, name).await?;
                there.map(|at| (name.to_owned(), at)).into_iter().collect()
            }
            name @ Name::Prefix(_) => {
                let mut all = owned(&session).await?;
                all.retain(|(bucket, _)| name.may_be(bucket));
                all
            }
        };
        let mut found = Vec::new();
        for (name, created_at) in candidates {
            let target = Target {
                name,
                region: args.region.clone(),
                session: session.clone(),
            };
            if let Some(attrs) = self.observe(&target, &args.lifecycle_rule).await? {
                found.push(Found {
                    id: id(&target.region, &target.name),
                    created_at,
                    attrs,
                    role: kplan_model::FoundAs::Asked,
                });
            }
        }
        Ok(found)
    }

    async fn create(
        &self,
        wanted: Wanted<'_, BucketArgs>,
        permit: &Permit,
    ) -> Result<Found<BucketAttrs>, CreateFailed<BucketAttrs>> {
        let args = wanted.args;
        let target = Target {
            name: Name::of(args)?.new_one()?,
            region: args.region.clone(),
            session: self.asked_session(args)?,
        };
        if matches!(Name::of(args)?, Name::Given(_)) {
            target.must_be_new().await?;
        }
        target.create(permit, args.acl.as_deref()).await?;
        let mut attrs = self.attrs(&target);
        attrs.acl = Some(args.acl.clone().unwrap_or_else(|| "private".to_owned()));
        let found = |attrs: BucketAttrs| Found {
            id: id(&target.region, &target.name),
            created_at: None,
            attrs,
            role: kplan_model::FoundAs::Asked,
        };
        if args.versioning {
            if let Err(error) = target.set_versioning(permit, true).await {
                return Err(CreateFailed {
                    error,
                    partial: Some(found(attrs)),
                });
            }
            attrs.versioning = true;
        }
        if !args.lifecycle_rule.is_empty() {
            if let Err(error) = target.set_lifecycle(permit, &args.lifecycle_rule).await {
                return Err(CreateFailed {
                    error,
                    partial: Some(found(attrs)),
                });
            }
            attrs.lifecycle_rule.clone_from(&args.lifecycle_rule);
        }
        Ok(found(attrs))
    }

    async fn update(
        &self,
        known: &Known,
        args: &BucketArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<BucketAttrs, ProviderError> {
        // Its name is in its id; the arguments may give only a prefix.
        let (region, name) = parts(known)?;
        let target = Target {
            name: name.to_owned(),
            region: region.to_owned(),
            session: self.asked_session(args)?,
        };
        if changed.contains("acl") {
            target.set_acl(permit, args.acl.as_deref()).await?;
        }
        if changed.contains("versioning") {
            target.set_versioning(permit, args.versioning).await?;
        }
        if changed.contains("lifecycle_rule") {
            target.set_lifecycle(permit, &args.lifecycle_rule).await?;
        }
        // `force_destroy` and the key are only recorded; reading shows that the key is good.
        self.observe(&target, &args.lifecycle_rule)
            .await?
            .ok_or_else(|| {
                ProviderError::new(
                    ErrorKind::NotFound,
                    format!("{} ({}) is gone from Spaces", known.address, known.id),
                )
            })
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let target = self.known_target(known)?;
        let force: Option<bool> = applied(Some(known), "force_destroy");
        if force == Some(true) {
            let objects = super::Objects::new(target.session.clone(), &target.name);
            match objects.delete_prefix(permit, "").await {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        target.delete(permit).await
    }
}

/// When a bucket was created, where the key may see that.
type CreatedAt = Option<Timestamp>;

/// The buckets of the key's account in this region.
pub(super) async fn owned(session: &Session) -> Result<Vec<(String, CreatedAt)>, ProviderError> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let list = || {
            let list = session.s3.list_buckets();
            list.set_continuation_token(next.clone()).send()
        };
        let page = session.read("the list of buckets", list).await?;
        all.extend(page.buckets().iter().filter_map(|bucket| {
            let created = bucket.creation_date().and_then(|at| at.to_millis().ok());
            Some((bucket.name()?.to_owned(), created.map(Timestamp)))
        }));
        next = page.continuation_token().map(str::to_owned);
        if next.is_none() {
            return Ok(all);
        }
    }
    Err(ProviderError::new(
        ErrorKind::Bug,
        format!("the list of buckets has no end after {MAX_PAGES} pages"),
    ))
}

/// Whether a bucket is there and may be used with this key.
async fn is_ours(session: &Session, name: &str) -> Result<bool, ProviderError> {
    let head = || session.s3.head_bucket().bucket(name).send();
    let what = format!("HEAD of the bucket {name}");
    match session.read_optional(&what, head).await {
        Ok(found) => Ok(found.is_some()),
        // Somebody else's: the create will be told so.
        Err(error) if error.kind == ErrorKind::Denied => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a bucket is there and ours, and when it was created.
async fn there(session: &Session, name: &str) -> Result<Option<CreatedAt>, ProviderError> {
    if !is_ours(session, name).await? {
        return Ok(None);
    }
    let Ok(all) = owned(session).await else {
        return Ok(Some(None));
    };
    let created = all.into_iter().find(|(bucket, _)| bucket == name);
    Ok(Some(created.and_then(|(_, created)| created)))
}

impl Target {
    fn what(&self, call: &str) -> String {
        format!("{call} of the bucket {}", self.name)
    }

    /// Refuses to make a bucket that is there. Some S3s answer such a create with success, and
    /// then a replacement would delete what it takes for the old one: the only one, with all its
    /// objects.
    async fn must_be_new(&self) -> Result<(), ProviderError> {
        if !is_ours(&self.session, &self.name).await? {
            return Ok(());
        }
        Err(ProviderError::new(
            ErrorKind::Exists,
            format!(
                "the bucket {} is there already, and a bucket is not made anew under its own name",
                self.name
            ),
        )
        .help("choose another name; nothing in the old bucket was touched"))
    }

    async fn create(&self, _permit: &Permit, acl: Option<&str>) -> Result<(), ProviderError> {
        let create = self
            .session
            .s3
            .create_bucket()
            .bucket(&self.name)
            .acl(BucketCannedAcl::from(acl.unwrap_or("private")))
            .send();
        create
            .await
            .map(drop)
            .map_err(|error| map(&self.what("creation"), Does::Write, error))
    }

    async fn delete(&self, _permit: &Permit) -> Result<(), ProviderError> {
        let delete = self.session.s3.delete_bucket().bucket(&self.name).send();
        match delete
            .await
            .map_err(|error| map(&self.what("deletion"), Does::Write, error))
        {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
