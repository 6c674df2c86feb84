//! Everything an account has, whoever made it: what exists can be taken over, or asked about.
//!
//! Lists alone are read, each to its last page; but for databases, whose trusted sources stand in no
//! list and are one request each. The way to the account carries nothing but what reads.

use super::database::{Database, DatabaseRemote};
use super::domain::DomainRemote;
use super::domain_record::records_in;
use super::droplet::DropletRemote;
use super::firewall::FirewallRemote;
use super::load_balancer::LoadBalancerRemote;
use super::marks::{is_a_services_name, is_called};
use super::project::ProjectRemote;
use super::remote::{Remote, path_of};
use super::reserved_ip::ReservedIpRemote;
use super::ssh_key::{SshKeyRemote, without_comment};
use super::tag::TagRemote;
use super::volume::VolumeRemote;
use super::vpc::VpcRemote;
use super::{DigitalOcean, DigitalOceanConfig};
use crate::http::{ReadOnly, parse_timestamp};
use crate::spaces::{Keys, Spaces};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kplan_model::codec::{Codec as _, ObjectCodec as _};
use kplan_model::{Object, ProviderError, Timestamp, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many domains, or databases, are read at once.
const PARALLEL: usize = 8;

/// What [`Discovery::kind`] reads.
pub const KINDS: [&str; 12] = [
    "database",
    "domain",
    "domain_record",
    "droplet",
    "firewall",
    "load_balancer",
    "project",
    "reserved_ip",
    "ssh_key",
    "tag",
    "volume",
    "vpc",
];

/// Something that exists in the account.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// One of [`KINDS`], or `bucket`.
    pub kind: &'static str,
    /// Its id, as the kind's records have it.
    pub id: String,
    /// Its name; a reserved address's is the address, a record's its full name.
    pub name: String,
    /// Its tags, sorted, those of owners among them.
    pub tags: Vec<String>,
    /// The VPC it stands in.
    pub vpc: Option<String>,
    /// The slug of its region.
    pub region: Option<String>,
    /// The slug of its size; a volume's GiB.
    pub size: Option<String>,
    /// What the kind's observations hold; of a droplet, `image` besides.
    pub attrs: Object,
    /// When it was created, where DigitalOcean says it.
    pub created_at: Option<Timestamp>,
}

impl Discovered {
    /// By what the kind's observations hold.
    fn of(
        kind: &'static str,
        (id, created_at): (String, Option<Timestamp>),
        attrs: Object,
    ) -> Self {
        let text = |name: &str| match attrs.get(name) {
            Some(Value::Str(text)) => Some(text.to_string()),
            Some(Value::Int(number)) => Some(number.to_string()),
            _ => None,
        };
        let named = ["fqdn", "name", "ip_address"].into_iter().find_map(text);
        let mut tags = match attrs.get("tags").map(Vec::<String>::decode) {
            Some(Ok(tags)) => tags,
            _ => Vec::new(),
        };
        tags.extend(text("owner_tag"));
        tags.sort();
        tags.dedup();
        Self {
            kind,
            name: named.unwrap_or_else(|| id.clone()),
            vpc: text("vpc_uuid").or_else(|| text("private_network_uuid")),
            region: text("region"),
            size: text("size"),
            tags,
            id,
            attrs,
            created_at,
        }
    }
}

impl Discovered {
    /// Whether it is the VPC in which everything of its region stands that names none.
    pub fn is_default_vpc(&self) -> bool {
        self.kind == "vpc" && self.attrs.get("default") == Some(&Value::Bool(true))
    }

    /// Whether a cluster's storage driver or cloud controller made it, by the name they give.
    pub fn is_made_by_cluster(&self) -> bool {
        match self.kind {
            "volume" => is_called("pvc-", &self.name),
            "load_balancer" => is_a_services_name(&self.name),
            _ => false,
        }
    }
}

/// A look at an account, which cannot change it.
pub struct Discovery {
    cloud: DigitalOcean,
}

impl Discovery {
    /// A look, over a connection that only reads.
    pub fn new(config: DigitalOceanConfig) -> Self {
        let transport = Arc::new(ReadOnly(config.transport));
        Self {
            cloud: DigitalOcean::new(DigitalOceanConfig {
                transport,
                ..config
            }),
        }
    }

    /// A look over a connection that there is already; whoever made it knows that it only reads.
    pub fn over(cloud: DigitalOcean) -> Self {
        Self { cloud }
    }

    /// The connection, for other lookers: nothing can be changed over it.
    pub fn cloud(&self) -> &DigitalOcean {
        &self.cloud
    }

    /// All of a kind that the account has; nothing of a kind that is not among [`KINDS`].
    ///
    /// # Errors
    /// Where a list cannot be read to its end: a part of it would be taken for all.
    pub async fn kind(&self, kind: &str) -> Result<Vec<Discovered>, ProviderError> {
        match kind {
            "database" => self.databases().await,
            "domain" => self.list::<DomainRemote>("domain").await,
            "domain_record" => self.records().await,
            "droplet" => self.droplets().await,
            "firewall" => self.list::<FirewallRemote>("firewall").await,
            "load_balancer" => self.load_balancers().await,
            "project" => self.list::<ProjectRemote>("project").await,
            "reserved_ip" => self.list::<ReservedIpRemote>("reserved_ip").await,
            "ssh_key" => self.ssh_keys().await,
            "tag" => self.list::<TagRemote>("tag").await,
            "volume" => self.list::<VolumeRemote>("volume").await,
            "vpc" => self.list::<VpcRemote>("vpc").await,
            _ => Ok(Vec::new()),
        }
    }

    /// All of every kind, each with why it could not be read: a token may not see some.
    pub async fn all(&self) -> BTreeMap<&'static str, Result<Vec<Discovered>, ProviderError>> {
        let looks = KINDS.map(|kind| async move { (kind, self.kind(kind).await) });
        join_all(looks).await.into_iter().collect()
    }

    async fn list<R: Remote>(&self, kind: &'static str) -> Result<Vec<Discovered>, ProviderError> {
        let remotes: Vec<R> = self.cloud.http.list(&R::list()).await?;
        Ok(remotes.iter().map(|remote| shown(kind, remote)).collect())
    }

    /// With the image each was made of, which observations leave out.
    async fn droplets(&self) -> Result<Vec<Discovered>, ProviderError> {
        let field = |droplet: &Json| Some(Value::str(image(&droplet["image"])?));
        self.list_with::<DropletRemote>("droplet", "image", field)
            .await
    }

    /// A list, with something of each that the kind's observations leave out. Both are one request.
    async fn list_with<R: Remote>(
        &self,
        kind: &'static str,
        name: &str,
        field: impl Fn(&Json) -> Option<Value>,
    ) -> Result<Vec<Discovered>, ProviderError> {
        let list = R::list();
        let (mut all, whole) =
            futures_util::try_join!(self.list::<R>(kind), self.cloud.http.list::<Json>(&list))?;
        let id = |one: &Json| match &one[R::ID] {
            Json::String(id) => id.clone(),
            other => other.to_string(),
        };
        let fields: BTreeMap<String, Value> = whole
            .iter()
            .filter_map(|one| Some((id(one), field(one)?)))
            .collect();
        for one in &mut all {
            let value = fields.get(&one.id).cloned();
            one.attrs
                .extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(all)
    }

    /// Without the comments of keys, which do not count.
    async fn ssh_keys(&self) -> Result<Vec<Discovered>, ProviderError> {
        let mut keys = self.list::<SshKeyRemote>("ssh_key").await?;
        for key in &mut keys {
            if let Some(Value::Str(text)) = key.attrs.get("public_key") {
                let bare = Value::str(without_comment(text.as_str()));
                key.attrs.insert("public_key".to_owned(), bare);
            }
        }
        Ok(keys)
    }

    /// With the settings that are no fields of kplan's, by name.
    async fn load_balancers(&self) -> Result<Vec<Discovered>, ProviderError> {
        let field = |balancer: &Json| Some(unkept(balancer).encode());
        self.list_with::<LoadBalancerRemote>("load_balancer", UNKEPT, field)
            .await
    }

    /// With who may connect to each.
    async fn databases(&self) -> Result<Vec<Discovered>, ProviderError> {
        let all = self.list::<DatabaseRemote>("database").await?;
        let whole = stream::iter(all).map(|mut database| async move {
            let path = path_of::<DatabaseRemote>(&database.id);
            let rules = Database(self.cloud.clone()).rules(&path).await?;
            database.attrs.insert("rules".to_owned(), rules.encode());
            Ok::<_, ProviderError>(database)
        });
        whole.buffered(PARALLEL).try_collect().await
    }

    async fn records(&self) -> Result<Vec<Discovered>, ProviderError> {
        let domains: Vec<DomainRemote> = self.cloud.http.list(&DomainRemote::list()).await?;
        let read = stream::iter(domains)
            .map(|domain| async move { records_in(&self.cloud, &domain.name).await });
        let all: Vec<Option<Vec<_>>> = read.buffered(PARALLEL).try_collect().await?;
        let all = all.into_iter().flatten();
        let one = |(id, attrs): (kplan_model::RemoteId, super::DomainRecordAttrs)| {
            let place = (id.as_str().to_owned(), None);
            Discovered::of("domain_record", place, attrs.to_object())
        };
        Ok(all.flatten().map(one).collect())
    }

    /// The buckets that a key sees in these regions, with their settings, which are requests of their
    /// own for each. Whoever made the connection knows that it only reads.
    ///
    /// # Errors
    /// Where one of the regions, or of the buckets, cannot be read.
    pub async fn buckets(
        spaces: &Spaces,
        keys: &Keys,
        regions: &[&str],
    ) -> Result<Vec<Discovered>, ProviderError> {
        let lists = stream::iter(regions.iter().copied()).map(|region| async move {
            let buckets = spaces.buckets(region, keys).await?;
            Ok::<_, ProviderError>((region, buckets))
        });
        let lists: Vec<_> = lists.buffered(PARALLEL).try_collect().await?;
        // A store that is one for all regions shows each bucket in all of them.
        let mut all: BTreeMap<String, (&str, Option<Timestamp>)> = BTreeMap::new();
        for (region, buckets) in lists {
            for (name, created_at) in buckets {
                all.entry(name).or_insert((region, created_at));
            }
        }
        let reads = stream::iter(all).map(|(name, (region, created_at))| async move {
            let attrs = spaces.bucket(region, &name, keys).await?;
            let place = (format!("{region}/{name}"), created_at);
            let attrs = attrs.map(|attrs| attrs.to_object());
            Ok::<_, ProviderError>(attrs.map(|it| Discovered::of("bucket", place, it)))
        });
        let all: Vec<Option<Discovered>> = reads.buffered(PARALLEL).try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }
}

fn shown<R: Remote>(kind: &'static str, remote: &R) -> Discovered {
    let created_at = remote.created_at().and_then(parse_timestamp);
    let attrs = remote.attrs(None).to_object();
    Discovered::of(kind, (remote.id(), created_at), attrs)
}

/// What [`Discovered::attrs`] has of a load balancer besides: the names of settings that kplan does not
/// keep.
pub const UNKEPT: &str = "unkept";

/// Settings of a load balancer, each with what it is unless somebody chose otherwise; flags are off.
const SETTINGS: [(&str, &str); 6] = [
    ("/disable_lets_encrypt_dns_records", ""),
    ("/network", "EXTERNAL"),
    ("/network_stack", "IPV4"),
    ("/sticky_sessions/type", "none"),
    ("/tls_cipher_policy", "DEFAULT"),
    ("/type", "REGIONAL"),
];

fn unkept(balancer: &Json) -> Vec<String> {
    let chosen = SETTINGS
        .iter()
        .filter(|(path, default)| match balancer.pointer(path) {
            Some(Json::Bool(on)) => *on,
            Some(Json::String(text)) => !text.is_empty() && text != default,
            _ => false,
        });
    let names = chosen.map(|(path, _)| path.trim_start_matches('/').replace('/', "."));
    names.collect()
}

/// An image's slug, or its number where it has none: a snapshot's.
fn image(image: &Json) -> Option<String> {
    let slug = image["slug"].as_str().filter(|slug| !slug.is_empty());
    slug.map(str::to_owned)
        .or_else(|| image["id"].as_u64().map(|id| id.to_string()))
}
