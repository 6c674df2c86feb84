//! What a token must be allowed to do for an endpoint: the `security` of DigitalOcean's document.
//!
//! Most of it follows one rule (family and method), so the rule and its exceptions stand here
//! instead of two hundred rows; a test holds the result against the document for every endpoint that is
//! simulated.
//!
//! Not taken over: `api:read` and `api:write`, which the document names beside others for some
//! endpoints of volumes. They are the scopes of whole-API tokens, and a list of scopes a custom
//! token needs cannot contain them.

/// The word of a family in scopes, by the beginning of its paths; the first that fits counts.
const FAMILIES: &[(&str, &str)] = &[
    ("/v2/account/keys", "ssh_key"),
    ("/v2/account", "account"),
    ("/v2/actions", "actions"),
    ("/v2/certificates", "certificate"),
    ("/v2/databases", "database"),
    ("/v2/domains", "domain"),
    ("/v2/droplets", "droplet"),
    ("/v2/firewalls", "firewall"),
    ("/v2/images", "image"),
    ("/v2/load_balancers", "load_balancer"),
    ("/v2/projects", "project"),
    ("/v2/regions", "regions"),
    ("/v2/reserved_ips", "reserved_ip"),
    ("/v2/sizes", "sizes"),
    ("/v2/snapshots", "snapshot"),
    ("/v2/spaces/keys", "spaces_key"),
    ("/v2/tags", "tag"),
    ("/v2/volumes", "block_storage"),
    ("/v2/vpcs", "vpc"),
];

/// Whatever hangs below a droplet and is destroyed with it.
const WITH_ASSOCIATED: &[&str] = &[
    "droplet:delete",
    "block_storage:delete",
    "block_storage_snapshot:delete",
    "image:delete",
    "reserved_ip:delete",
];

/// What one endpoint asks for: any of these, each of them whole.
type Alternatives = &'static [&'static [&'static str]];

/// Endpoints the rule is wrong about.
const EXCEPTIONS: &[(&str, &str, Alternatives)] = &[
    (
        "POST",
        "/v2/databases/{database_cluster_uuid}/users/{username}/reset_auth",
        &[&["database:update"]],
    ),
    (
        "POST",
        "/v2/domains/{domain_name}/records",
        &[&["domain:create"], &["domain:update"]],
    ),
    (
        "DELETE",
        "/v2/domains/{domain_name}/records/{domain_record_id}",
        &[&["domain:delete"], &["domain:update"]],
    ),
    (
        "DELETE",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/dangerous",
        &[WITH_ASSOCIATED],
    ),
    (
        "POST",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/retry",
        &[WITH_ASSOCIATED],
    ),
    (
        "DELETE",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/selective",
        &[WITH_ASSOCIATED],
    ),
    (
        "GET",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/status",
        &[&["droplet:delete"]],
    ),
    (
        "GET",
        "/v2/droplets/{droplet_id}/firewalls",
        &[&["firewall:read"]],
    ),
    ("GET", "/v2/sizes", &[&["sizes:read", "regions:read"]]),
    (
        "DELETE",
        "/v2/snapshots/{snapshot_id}",
        &[&["image:delete", "snapshot:delete"]],
    ),
    (
        "GET",
        "/v2/snapshots/{snapshot_id}",
        &[&["snapshot:read", "block_storage_snapshot:read"]],
    ),
    (
        "POST",
        "/v2/spaces/keys",
        &[&["spaces_key:create_credentials"]],
    ),
];

/// Last segments whose POST and DELETE change the resource they hang below.
const PARTS: &[&str] = &["actions", "droplets", "rules", "tags", "forwarding_rules"];

/// The scopes a token needs for an endpoint: all of one of these. Empty for a path of no known
/// family.
pub(crate) fn required(method: &str, path: &str) -> Vec<Vec<String>> {
    if let Some((.., scopes)) = EXCEPTIONS
        .iter()
        .find(|(m, p, _)| *m == method && *p == path)
    {
        let whole = |all: &&[&str]| all.iter().map(|scope| (*scope).to_owned()).collect();
        return scopes.iter().map(whole).collect();
    }
    let fits = |beginning: &str| {
        path.strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some((beginning, family)) = FAMILIES.iter().find(|(beginning, _)| fits(beginning)) else {
        return Vec::new();
    };
    let below = &path[beginning.len()..];
    let (family, below) = match *family {
        "block_storage" if below.contains("/snapshots") => ("block_storage_snapshot", false),
        "block_storage" if below.contains("/actions") => ("block_storage_action", false),
        family => (family, below.matches('/').count() > 0),
    };
    let part = below && PARTS.contains(&path.rsplit('/').next().unwrap_or_default());
    let verb = match (method, family) {
        ("GET", _) => "read",
        ("POST", "project") if below => "assign_resource",
        ("POST" | "DELETE", _) if part => "update",
        ("POST", _) => "create",
        ("DELETE", _) => "delete",
        _ => "update",
    };
    vec![vec![format!("{family}:{verb}")]]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::digitalocean::routes;

    #[test]
    fn the_rule_and_its_exceptions_are_the_document() {
        let Ok(path) = std::env::var("KPLAN_TEST_OPENAPI") else {
            println!("skipped: needs KPLAN_TEST_OPENAPI");
            return;
        };
        let text = std::fs::read_to_string(path).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (method, path, _) in routes::coverage().filter(|(.., simulated)| *simulated) {
            let security = &document["paths"][path][method.to_ascii_lowercase()]["security"];
            let documented: BTreeSet<BTreeSet<String>> = security
                .as_array()
                .unwrap_or_else(|| panic!("{method} {path}"))
                .iter()
                .map(|alternative| {
                    let scopes = alternative["bearer_auth"].as_array().unwrap();
                    let names = scopes.iter().map(|scope| scope.as_str().unwrap());
                    let custom = names.filter(|scope| !scope.starts_with("api:"));
                    custom.map(str::to_owned).collect()
                })
                .collect();
            let ours: BTreeSet<BTreeSet<String>> = required(method, path)
                .into_iter()
                .map(|all| all.into_iter().collect())
                .collect();
            assert_eq!(ours, documented, "{method} {path}");
        }
    }
}
