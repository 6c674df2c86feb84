//! What a token must be allowed to do for an endpoint: the `security` of DigitalOcean's document.
//!
//! Most of it follows one rule (family and method), so the rule and its exceptions stand here
//! instead of two hundred rows; a test holds the result against the document for every endpoint that is
//! simulated.
//!
//! Not taken over: `api:read` and `api:write`, which the document names beside others for some
//! endpoints of volumes. They are the scopes of whole-API tokens, and a list of scopes a custom
//! token needs cannot contain them.

use serde_json::Value;

use crate::http::Request;
use crate::world::tokens::Access;

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

/// What single inputs ask for besides: the sentences `Requires ...` of the document. An input is a
/// query parameter (`?name`), a property of the body (`.name`) or a value of one (`.name=value`).
const INPUTS: &[(&str, &str, &str, &str)] = &[
    ("GET", "/v2/droplets", "?tag_name", "tag:read"),
    ("DELETE", "/v2/droplets", "?tag_name", "tag:read"),
    ("GET", "/v2/databases", "?tag_name", "tag:read"),
    ("GET", "/v2/images", "?tag_name", "tag:read"),
    ("POST", "/v2/droplets", ".image", "image:read"),
    ("POST", "/v2/droplets", ".ssh_keys", "ssh_key:read"),
    ("POST", "/v2/droplets", ".tags", "tag:create"),
    ("POST", "/v2/droplets", ".volumes", "block_storage:read"),
    ("POST", "/v2/droplets", ".vpc_uuid", "vpc:read"),
    (
        "POST",
        "/v2/droplets/actions",
        ".type=snapshot",
        "image:create",
    ),
    (
        "POST",
        "/v2/droplets/{droplet_id}/actions",
        ".type=snapshot",
        "image:create",
    ),
    ("POST", "/v2/databases", ".private_network_uuid", "vpc:read"),
    (
        "POST",
        "/v2/databases",
        ".project_id",
        "project:assign_resource",
    ),
    ("POST", "/v2/databases", ".tags", "tag:create"),
    ("POST", "/v2/volumes", ".tags", "tag:create"),
    ("POST", "/v2/firewalls", ".tags", "tag:read"),
    ("POST", "/v2/firewalls", ".droplet_ids", "droplet:read"),
    ("PUT", "/v2/firewalls/{firewall_id}", ".tags", "tag:read"),
    (
        "PUT",
        "/v2/firewalls/{firewall_id}",
        ".droplet_ids",
        "droplet:read",
    ),
];

/// Every scope that some input asks for.
pub(crate) fn asked_for() -> impl Iterator<Item = String> {
    INPUTS.iter().map(|(.., scope)| (*scope).to_owned())
}

/// A scope that the token of a request lacks. The account's own token lacks none, so nothing is
/// looked up for it, and its body is not read a second time.
pub(crate) fn missing(method: &str, path: &str, request: &Request) -> Option<String> {
    let access = &request.access;
    if *access == Access::Full {
        return None;
    }
    access
        .missing(&required(method, path))
        .or_else(|| access.missing(&[asked(method, path, request)]))
}

/// The scopes that the inputs of a request ask for. Moving a resource to a project needs the right
/// to read that resource.
fn asked(method: &str, path: &str, request: &Request) -> Vec<String> {
    let body = request.json().unwrap_or_default();
    let used = |input: &str| {
        if let Some(name) = input.strip_prefix('?') {
            return request.query(name).is_some_and(|value| !value.is_empty());
        }
        let (name, wanted) = match input.trim_start_matches('.').split_once('=') {
            Some((name, wanted)) => (name, Some(wanted)),
            None => (input.trim_start_matches('.'), None),
        };
        match (&body[name], wanted) {
            (value, Some(wanted)) => value == wanted,
            (Value::Null, None) => false,
            (Value::String(text), None) => !text.is_empty(),
            (Value::Array(items), None) => !items.is_empty(),
            (_, None) => true,
        }
    };
    let fitting = INPUTS
        .iter()
        .filter(|(m, p, input, _)| *m == method && *p == path && used(input));
    let mut scopes: Vec<String> = fitting.map(|(.., scope)| (*scope).to_owned()).collect();
    if method == "POST" && path.starts_with("/v2/projects/") {
        let urns = body["resources"].as_array().into_iter().flatten();
        scopes.extend(urns.filter_map(Value::as_str).filter_map(scope_of_urn));
    }
    scopes
}

/// What it takes to read what a URN names.
pub(crate) fn scope_of_urn(urn: &str) -> Option<String> {
    let kind = urn.split(':').nth(1)?;
    let family = match kind {
        "dbaas" => "database",
        "floatingip" | "reservedip" => "reserved_ip",
        "loadbalancer" => "load_balancer",
        "volume" => "block_storage",
        "domain" | "droplet" | "vpc" => kind,
        _ => return None,
    };
    Some(format!("{family}:read"))
}

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
            kplan_conformance::skipped("KPLAN_TEST_OPENAPI");
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
