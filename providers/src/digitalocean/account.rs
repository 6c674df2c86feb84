//! The account: what it may have, how much of that is used, and which lists a token may read.

use super::DigitalOcean;
use kplan_model::ProviderError;
use serde::Deserialize;

/// What an account may have. Limits are missing where the token may not see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Droplets at a time.
    pub droplet_limit: Option<u64>,
    /// Reserved addresses; DigitalOcean's older word for them.
    pub floating_ip_limit: Option<u64>,
    /// Volumes at a time. Not in DigitalOcean's API description; its own client reads it.
    pub volume_limit: Option<u64>,
    /// `active`, `warning` or `locked`.
    pub status: String,
    /// Why, for people.
    pub status_message: String,
}

/// The kinds of which an account may have so many, and what they are called.
pub const LIMITED: [(&str, &str); 3] = [
    ("droplet", "droplets"),
    ("volume", "volumes"),
    ("reserved_ip", "reserved addresses"),
];

impl Account {
    /// How many of a kind it may have; nothing where that is unlimited or unknown.
    pub fn limit_of(&self, kind: &str) -> Option<u64> {
        match kind {
            "droplet" => self.droplet_limit,
            "volume" => self.volume_limit,
            "reserved_ip" => self.floating_ip_limit,
            _ => None,
        }
    }
}

/// The kinds that DigitalOcean lists, and where.
const LISTS: [(&str, &str); 15] = [
    ("database", "/v2/databases"),
    ("database_db", "/v2/databases"),
    ("database_user", "/v2/databases"),
    ("domain", "/v2/domains"),
    ("domain_record", "/v2/domains"),
    ("droplet", "/v2/droplets"),
    ("firewall", "/v2/firewalls"),
    ("load_balancer", "/v2/load_balancers"),
    ("project", "/v2/projects"),
    ("reserved_ip", "/v2/reserved_ips"),
    ("spaces_key", "/v2/spaces/keys"),
    ("ssh_key", "/v2/account/keys"),
    ("tag", "/v2/tags"),
    ("volume", "/v2/volumes"),
    ("vpc", "/v2/vpcs"),
];

/// Where DigitalOcean lists a kind; nothing for kinds that are not DigitalOcean's.
pub fn list_of(kind: &str) -> Option<&'static str> {
    let found = LISTS.iter().find(|(name, _)| *name == kind);
    found.map(|(_, path)| *path)
}

/// The account.
pub async fn account(cloud: &DigitalOcean) -> Result<Account, ProviderError> {
    #[derive(Deserialize)]
    struct Answer {
        account: Account,
    }
    let answer: Answer = cloud.http().get("/v2/account").await?;
    Ok(answer.account)
}

/// The list of managed databases.
const DATABASES: &str = "/v2/databases";

/// How many things a list has, whoever made them, by one request; nothing where it does not say.
pub async fn count(cloud: &DigitalOcean, list: &str) -> Result<Option<u64>, ProviderError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer {
        meta: Meta,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Meta {
        total: Option<u64>,
    }
    // This list knows no pages; it comes whole, and does not count.
    let path = if list == DATABASES {
        list.to_owned()
    } else {
        format!("{list}?page=1&per_page=1")
    };
    let answer: Answer = cloud.http().get(&path).await?;
    Ok(answer.meta.total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::read_scope;
    use crate::http::testing::{Script, json};
    use serde_json::json as value;

    #[tokio::test]
    async fn limits_that_a_token_may_not_see_are_unknown_and_not_zero() {
        let script = Script::answers([
            json(
                200,
                &value!({"account": {"status": "locked", "status_message": "pay", "droplet_limit": 25}}),
            ),
            json(200, &value!({"droplets": [], "meta": {"total": 7}})),
            json(200, &value!({"keys": []})),
        ]);
        let cloud = DigitalOcean::new(script.config());
        let seen = account(&cloud).await.unwrap();
        assert_eq!((seen.droplet_limit, seen.volume_limit), (Some(25), None));
        assert_eq!(seen.status, "locked");
        let limits = LIMITED.map(|(kind, _)| seen.limit_of(kind));
        assert_eq!(limits, [Some(25), None, None]);
        assert_eq!(count(&cloud, "/v2/droplets").await, Ok(Some(7)));
        assert_eq!(count(&cloud, "/v2/spaces/keys").await, Ok(None));
    }

    #[test]
    fn every_list_has_a_scope_of_its_own() {
        for (kind, path) in LISTS {
            assert!(read_scope(path).is_some(), "{kind}: {path}");
            assert_eq!(list_of(kind), Some(path));
        }
        assert_eq!(list_of("k3s_node"), None);
    }
}
