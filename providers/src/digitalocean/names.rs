//! What the account has, whoever made it: names, ranges and keys that something new cannot have, too.

use super::{DigitalOcean, without_comment};
use crate::http::List;
use kplan_model::ProviderError;
use serde::Deserialize;

/// Something the account has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The slug of its region, where it stands in one.
    pub region: Option<String>,
    /// Its range of addresses, where it has one.
    pub ip_range: Option<String>,
    /// The public key without its comment, where it is one.
    pub public_key: Option<String>,
}

/// Kinds of which two of a name cannot be, and how DigitalOcean lists them: path, key, id.
const UNIQUE: [(&str, &str, &str, &str); 9] = [
    ("database", "/v2/databases", "databases", "id"),
    ("domain", "/v2/domains", "domains", "name"),
    ("domain_record", "/v2/domains", "domains", "name"),
    ("firewall", "/v2/firewalls", "firewalls", "id"),
    (
        "load_balancer",
        "/v2/load_balancers",
        "load_balancers",
        "id",
    ),
    ("project", "/v2/projects", "projects", "id"),
    ("ssh_key", "/v2/account/keys", "ssh_keys", "id"),
    ("volume", "/v2/volumes", "volumes", "id"),
    ("vpc", "/v2/vpcs", "vpcs", "id"),
];

#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    Slug(String),
    Region { slug: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
struct Shown {
    id: Option<Id>,
    name: String,
    region: Option<Place>,
    ip_range: Option<String>,
    public_key: Option<String>,
}

impl From<Shown> for Taken {
    fn from(shown: Shown) -> Self {
        Self {
            id: match shown.id {
                Some(Id::Text(id)) => id,
                Some(Id::Number(id)) => id.to_string(),
                // A domain is told by its name.
                None => shown.name.clone(),
            },
            name: shown.name,
            region: shown.region.map(|region| match region {
                Place::Slug(slug) | Place::Region { slug } => slug,
            }),
            ip_range: shown.ip_range,
            public_key: shown.public_key.as_deref().map(without_comment),
        }
    }
}

/// Whether something of a kind can stand in the way of another one: then [`taken`] lists them.
pub fn is_unique(kind: &str) -> bool {
    UNIQUE.iter().any(|(name, ..)| *name == kind)
}

/// Everything of a kind that the account has; for `domain_record`, the domains. Nothing for a kind of
/// which any number can have a name.
pub async fn taken(cloud: &DigitalOcean, kind: &str) -> Result<Vec<Taken>, ProviderError> {
    let Some((_, path, key, id)) = UNIQUE.iter().find(|(name, ..)| *name == kind) else {
        return Ok(Vec::new());
    };
    let list = List::new(*path, key, id);
    // Databases have no pages: their list always comes whole.
    let list = if kind == "database" {
        list.whole()
    } else {
        list
    };
    let shown: Vec<Shown> = cloud.http().list(&list).await?;
    Ok(shown.into_iter().map(Taken::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digitalocean::list_of;
    use crate::http::testing::{Script, json};
    use serde_json::json as value;

    #[tokio::test]
    async fn regions_and_ids_are_read_in_both_of_their_spellings() {
        let script = Script::answers([
            json(
                200,
                &value!({"vpcs": [{"id": "a", "name": "x", "region": "fra1", "ip_range": "10.0.0.0/20"}]}),
            ),
            json(
                200,
                &value!({"volumes": [{"id": "b", "name": "y", "region": {"slug": "ams3"}}]}),
            ),
            json(
                200,
                &value!({"ssh_keys": [{"id": 7, "name": "me", "public_key": "ssh-ed25519 AAAA me@here"}]}),
            ),
            json(200, &value!({"domains": [{"name": "example.com"}]})),
            json(200, &value!({"databases": null})),
        ]);
        let cloud = DigitalOcean::new(script.config());
        let vpc = taken(&cloud, "vpc").await.unwrap().remove(0);
        assert_eq!(vpc.region.as_deref(), Some("fra1"));
        assert_eq!(vpc.ip_range.as_deref(), Some("10.0.0.0/20"));
        let volume = taken(&cloud, "volume").await.unwrap().remove(0);
        assert_eq!(volume.region.as_deref(), Some("ams3"));
        let key = taken(&cloud, "ssh_key").await.unwrap().remove(0);
        assert_eq!(
            (key.id.as_str(), key.public_key.as_deref()),
            ("7", Some("ssh-ed25519 AAAA"))
        );
        let domain = taken(&cloud, "domain_record").await.unwrap().remove(0);
        assert_eq!(domain.id, "example.com");
        assert_eq!(taken(&cloud, "database").await, Ok(Vec::new()));
        assert_eq!(taken(&cloud, "droplet").await, Ok(Vec::new()));
        assert_eq!(script.calls().len(), 5);
        assert_eq!(script.calls()[4], "GET /v2/databases");
    }

    #[test]
    fn each_is_listed_where_the_account_counts_it() {
        for (kind, path, ..) in UNIQUE {
            assert_eq!(list_of(kind), Some(path));
        }
    }
}
