//! A database cluster as DigitalOcean shows it.

use super::{Database, DatabaseAttrs, DatabaseRule};
use crate::digitalocean::owner_tag;
use crate::digitalocean::remote::{Remote, filled, path_of, recorded};
use crate::http::List;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{ErrorKind, Input, Known, ProviderError, Secret};
use serde::Deserialize;

/// A connection. It has no `Debug`: it holds a password.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Connection {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    uri: Option<String>,
}

/// A database cluster as DigitalOcean shows it.
#[derive(Deserialize)]
pub(in crate::digitalocean) struct DatabaseRemote {
    id: String,
    pub(super) name: String,
    engine: String,
    pub(super) version: Option<String>,
    pub(super) size: String,
    pub(super) region: String,
    pub(super) num_nodes: u32,
    pub(super) storage_size_mib: Option<u32>,
    private_network_uuid: Option<String>,
    tags: Option<Vec<String>>,
    pub(super) status: Option<String>,
    connection: Option<Connection>,
    private_connection: Option<Connection>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct RuleRemote {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// A secret, or the one we have on record: it is left out for tokens that may not see it.
fn secret(seen: Option<String>, known: Option<&Known>, field: &str) -> Option<Secret> {
    filled(seen)
        .map(Secret::new)
        .or_else(|| recorded(known, field))
}

impl DatabaseRemote {
    pub(super) fn online(&self) -> bool {
        self.status.as_deref() == Some("online")
    }

    /// See [`owner_tag::seen`].
    pub(super) fn seen(&self, asked: &[String]) -> (Vec<String>, Option<String>) {
        owner_tag::seen(self.tags.as_deref().unwrap_or_default(), asked)
    }
}

impl Remote for DatabaseRemote {
    type Attrs = DatabaseAttrs;
    const PATH: &'static str = "/v2/databases";
    const ONE: &'static str = "database";
    const MANY: &'static str = "databases";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, known: Option<&Known>) -> DatabaseAttrs {
        let (tags, owner_tag) = self.seen(&owner_tag::asked(known));
        let public = self.connection.clone().unwrap_or_default();
        let private = self.private_connection.clone().unwrap_or_default();
        DatabaseAttrs {
            name: self.name.clone(),
            engine: self.engine.clone(),
            version: filled(self.version.clone()),
            size: self.size.clone(),
            region: self.region.clone(),
            node_count: self.num_nodes,
            storage_size_mib: self.storage_size_mib,
            private_network_uuid: filled(self.private_network_uuid.clone()),
            tags,
            rules: None,
            owner_tag,
            status: self.status.clone().unwrap_or_else(|| "creating".to_owned()),
            host: filled(public.host),
            private_host: filled(private.host),
            port: public.port.or(private.port),
            user: filled(public.user),
            password: secret(public.password, known, "password"),
            database: filled(public.database),
            uri: secret(public.uri, known, "uri"),
            private_uri: secret(private.uri, known, "private_uri"),
            ca_certificate: recorded(known, "ca_certificate"),
            urn: format!("do:dbaas:{}", self.id),
            created_at: self.created_at.clone(),
        }
    }

    /// Databases come without pages.
    fn list() -> List {
        List::new(Self::PATH, Self::MANY, Self::ID).whole()
    }
}

impl Database {
    /// The attributes with what stands at other addresses: trusted sources, and the certificate
    /// where it is not on record yet (it is made with the cluster and lives as long).
    pub(super) async fn whole(
        &self,
        remote: &DatabaseRemote,
        known: &Known,
    ) -> Result<DatabaseAttrs, ProviderError> {
        let mut attrs = remote.attrs(Some(known));
        if !remote.online() {
            return Ok(attrs);
        }
        let path = path_of::<DatabaseRemote>(&remote.id);
        attrs.rules = Some(self.rules(&path).await?);
        if attrs.ca_certificate.is_none() {
            attrs.ca_certificate = self.certificate(&path).await?;
        }
        Ok(attrs)
    }

    /// Who may connect to the database at this path.
    pub(in crate::digitalocean) async fn rules(
        &self,
        path: &str,
    ) -> Result<Vec<DatabaseRule>, ProviderError> {
        #[derive(Deserialize)]
        struct Answer {
            rules: Option<Vec<RuleRemote>>,
        }
        let answer: Answer = self.0.http().get(&format!("{path}/firewall")).await?;
        let rule = |rule: RuleRemote| DatabaseRule {
            kind: rule.kind,
            value: Input::Known(rule.value),
        };
        Ok(answer.rules.into_iter().flatten().map(rule).collect())
    }

    async fn certificate(&self, path: &str) -> Result<Option<String>, ProviderError> {
        #[derive(Deserialize)]
        struct Ca {
            certificate: String,
        }
        let Some(ca) = self.0.one::<Ca>(&format!("{path}/ca"), "ca").await? else {
            return Ok(None);
        };
        STANDARD
            .decode(ca.certificate.trim())
            .ok()
            .and_then(|pem| String::from_utf8(pem).ok())
            .filter(|pem| pem.contains("BEGIN CERTIFICATE"))
            .map(Some)
            .ok_or_else(|| {
                ProviderError::new(
                    ErrorKind::Bug,
                    "the database's CA certificate is not PEM in Base64",
                )
            })
    }
}
