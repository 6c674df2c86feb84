//! `database`: a managed database cluster with its trusted sources.

mod change;
mod remote;
mod rule;

use super::DigitalOcean;
use super::owner_tag::{self, is_owner_tag};
use super::remote::{Remote, path_of, recorded, text, texts};
use crate::http::List;
use futures_util::future::try_join_all;
use http::Method;
use kplan_model::{
    Change, Compare, CreateFailed, Disruption, Down, ErrorKind, Field, FieldSet, Found, Input,
    Kind, KindInfo, Known, Permit, ProviderError, Readiness, RemoteId, ReplaceOrder, Resource,
    Secret, ShapeError, Typical, Wanted, object,
};
pub(super) use remote::DatabaseRemote;
pub use rule::DatabaseRule;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

object! {
    /// What is asked of a database cluster.
    pub struct DatabaseArgs {
        /// Its name; unique in the account.
        pub name: String,
        /// `pg` or `mysql`, among others.
        pub engine: String,
        /// The major version, such as `16`.
        pub version: Option<String>,
        /// The plan's slug, such as `db-s-1vcpu-2gb`.
        pub size: String,
        /// The region's slug.
        pub region: String,
        /// The primary and its standbys: 1 to 3.
        pub node_count: u32,
        /// The disk in MiB; the plan's own when left out.
        pub storage_size_mib: Option<u32>,
        /// The VPC it stands in; the region's default when left out.
        pub private_network_uuid: Option<Input<String>>,
        /// Tags; the owner's is added.
        pub tags: Vec<Input<String>>,
        /// Who may connect; never empty, because an empty list lets everybody in.
        pub rules: Vec<DatabaseRule>,
    }
}

object! {
    /// What is seen of a database cluster.
    pub struct DatabaseAttrs {
        /// Its name.
        pub name: String,
        /// Its engine.
        pub engine: String,
        /// The major version.
        pub version: Option<String>,
        /// The plan's slug.
        pub size: String,
        /// The region's slug.
        pub region: String,
        /// The primary and its standbys.
        pub node_count: u32,
        /// The disk in MiB.
        pub storage_size_mib: Option<u32>,
        /// The VPC it stands in.
        pub private_network_uuid: Option<String>,
        /// Its tags, sorted, without the owner's.
        pub tags: Vec<String>,
        /// Who may connect; not read before it is online.
        pub rules: Option<Vec<DatabaseRule>>,
        /// The owner's tag.
        pub owner_tag: Option<String>,
        /// `creating`, `online`, `resizing`, `migrating` or `forking`.
        pub status: String,
        /// The public host name.
        pub host: Option<String>,
        /// The host name inside the VPC.
        pub private_host: Option<String>,
        /// The port, the same for both.
        pub port: Option<u16>,
        /// The administrator's name.
        pub user: Option<String>,
        /// The administrator's password.
        pub password: Option<Secret>,
        /// The database made with the cluster.
        pub database: Option<String>,
        /// A connection string over the public host.
        pub uri: Option<Secret>,
        /// A connection string over the private host.
        pub private_uri: Option<Secret>,
        /// The certificate its TLS is signed with, PEM; not read before it is online.
        pub ca_certificate: Option<String>,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `database`.
pub struct Database(pub DigitalOcean);

const NO_SMALLER: Change = Change::Monotonic {
    down: Down::Refuse(
        "a managed database cannot move to a smaller plan; make a new one from a backup",
    ),
};

static FIELDS: [Field; 23] = [
    Field::replace("name", "Unique in the account."),
    Field::replace("engine", "`pg` or `mysql`."),
    Field::new(
        "version",
        Change::Monotonic {
            down: Down::Refuse("a managed database cannot go back to an older version"),
        },
        "The major version; upgraded in place.",
    ),
    Field::new(
        "size",
        NO_SMALLER,
        "The plan's slug, such as `db-s-1vcpu-2gb`.",
    ),
    Field::new(
        "region",
        Change::InPlace {
            disruption: Disruption::Restart,
        },
        "The region's slug; a change moves the cluster.",
    ),
    Field::in_place("node_count", "The primary and its standbys."),
    Field::new("storage_size_mib", NO_SMALLER, "The disk in MiB."),
    Field::replace("private_network_uuid", "The VPC it stands in."),
    Field::in_place(
        "tags",
        "Tags; the owner's is added by itself, and put back where it is asked for by name.",
    )
    .by(Compare::Set),
    Field::in_place(
        "rules",
        "Who may connect; sent when it is made, so it is never open.",
    )
    .by(Compare::Set),
    Field::computed("owner_tag", "The tag of the cluster it belongs to."),
    Field::computed("status", "`creating`, `online` and others."),
    Field::computed("host", "The public host name."),
    Field::computed("private_host", "The host name inside the VPC."),
    Field::computed("port", "The port."),
    Field::computed("user", "The administrator's name."),
    Field::computed("password", "The administrator's password.").secret(),
    Field::computed("database", "The database made with the cluster."),
    Field::computed("uri", "A connection string over the public host.").secret(),
    Field::computed("private_uri", "A connection string over the private host.").secret(),
    Field::computed("ca_certificate", "The certificate its TLS is signed with."),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("database"),
    terraform: "digitalocean_database_cluster",
    doc: "A managed database cluster.",
    fields: &FIELDS,
    // Names are unique.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name", "engine"],
    holds: Some("the data in it and its backups"),
    // Until `online`: an estimate (Terraform waits up to 30 minutes).
    typical: Typical {
        create: 300,
        update: 180,
        delete: 10,
    },
    max_parallel: 8,
    alike: &["region", "engine", "size"],
    import: Some("the database cluster's UUID"),
    operations: &[],
};

/// The rules as sent; refused when there are none.
fn rules_body(rules: &[DatabaseRule]) -> Result<Value, ProviderError> {
    if rules.is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "a database without trusted sources would be open to the internet",
        )
        .help("name at least one tag, droplet or address that may connect"));
    }
    rules
        .iter()
        .map(|rule| Ok(json!({ "type": rule.kind, "value": rule.value.known()? })))
        .collect()
}

/// The tags among them.
fn trusted_tags(rules: &[DatabaseRule]) -> Result<BTreeSet<String>, ShapeError> {
    let tags = rules.iter().filter(|rule| rule.kind == "tag");
    tags.map(|rule| rule.value.known().cloned()).collect()
}

fn create_body(wanted: Wanted<'_, DatabaseArgs>) -> Result<Value, ProviderError> {
    let args = wanted.args;
    let tags = owner_tag::with_owner(texts(&args.tags)?, wanted.owner);
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("name", json!(args.name));
    put("engine", json!(args.engine));
    put("size", json!(args.size));
    put("region", json!(args.region));
    put("num_nodes", json!(args.node_count));
    put("tags", json!(tags));
    put("rules", rules_body(&args.rules)?);
    if let Some(version) = &args.version {
        put("version", json!(version));
    }
    if let Some(mib) = args.storage_size_mib {
        put("storage_size_mib", json!(mib));
    }
    if let Some(vpc) = text(args.private_network_uuid.as_ref())? {
        put("private_network_uuid", json!(vpc));
    }
    Ok(Value::Object(body))
}

/// The list that holds all of them: the owner's where our records agree on an owner, else all.
fn list_for(known: &[Known]) -> List {
    let mut owners = known
        .iter()
        .map(|known| recorded::<String>(Some(known), "owner_tag"));
    match owners.next() {
        Some(Some(tag))
            if is_owner_tag(&tag) && owners.all(|other| other.as_ref() == Some(&tag)) =>
        {
            DatabaseRemote::list().with("tag_name", tag)
        }
        _ => DatabaseRemote::list(),
    }
}

impl Resource for Database {
    type Args = DatabaseArgs;
    type Attrs = DatabaseAttrs;
    const INFO: &'static KindInfo = &INFO;
    const IS_MARKED: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<DatabaseAttrs>, ProviderError> {
        let path = path_of::<DatabaseRemote>(known.id.as_str());
        let remote: Option<DatabaseRemote> = self.0.one(&path, DatabaseRemote::ONE).await?;
        match remote {
            None => Ok(None),
            Some(remote) => self.whole(&remote, known).await.map(Some),
        }
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, DatabaseAttrs>, ProviderError> {
        if known.is_empty() {
            return Ok(BTreeMap::new());
        }
        let remotes: Vec<DatabaseRemote> = self.0.http().list(&list_for(known)).await?;
        let ours = known.iter().filter_map(|known| {
            let remote = remotes
                .iter()
                .find(|remote| remote.id() == known.id.as_str())?;
            Some(async move {
                let attrs = self.whole(remote, known).await?;
                Ok::<_, ProviderError>((known.id.clone(), attrs))
            })
        });
        Ok(try_join_all(ours).await?.into_iter().collect())
    }

    async fn find(
        &self,
        wanted: Wanted<'_, DatabaseArgs>,
    ) -> Result<Vec<Found<DatabaseAttrs>>, ProviderError> {
        let list = DatabaseRemote::list().with("tag_name", wanted.owner.tag());
        let name = &wanted.args.name;
        let mut found = self
            .0
            .search(&list, |database: &DatabaseRemote| database.name == *name)
            .await?;
        let asked = texts(&wanted.args.tags)?;
        for found in &mut found {
            owner_tag::show(
                &mut found.attrs.tags,
                found.attrs.owner_tag.as_ref(),
                &asked,
            );
        }
        Ok(found)
    }

    async fn create(
        &self,
        wanted: Wanted<'_, DatabaseArgs>,
        permit: &Permit,
    ) -> Result<Found<DatabaseAttrs>, CreateFailed<DatabaseAttrs>> {
        let asked = texts(&wanted.args.tags).map_err(ProviderError::from)?;
        let trusted = trusted_tags(&wanted.args.rules).map_err(ProviderError::from)?;
        let body = create_body(wanted)?;
        let to = (&Method::POST, DatabaseRemote::PATH);
        let database: DatabaseRemote = self.0.naming(permit, &trusted, to, &body).await?;
        let mut found = database.found();
        found.attrs.tags = database.seen(&asked).0;
        Ok(found)
    }

    async fn update(
        &self,
        known: &Known,
        args: &DatabaseArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<DatabaseAttrs, ProviderError> {
        change::update(&self.0, known, args, changed, permit).await?;
        let remote: DatabaseRemote = self.0.reread(known).await?;
        Ok(DatabaseAttrs {
            tags: remote.seen(&texts(&args.tags)?).0,
            ..self.whole(&remote, known).await?
        })
    }

    async fn release(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.disown(permit, "database", known).await
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.destroy::<DatabaseRemote>(known, permit).await
    }

    fn readiness(&self, attrs: &DatabaseAttrs) -> Readiness {
        match attrs.status.as_str() {
            "online" if attrs.host.is_some() && attrs.ca_certificate.is_some() => Readiness::Ready,
            "online" => Readiness::Waiting("it has no host name or certificate yet".into()),
            status => Readiness::Waiting(format!("status is \"{status}\"")),
        }
    }
}
