//! The scope that a call needs, for refusals that do not name it.

use super::errors::Asked;
use http::Method;

/// What stands in a path, and what its scopes are called (DigitalOcean's API description, the
/// security of each operation). The longer of two that begin alike stands first.
const NAMES: [(&str, &str); 16] = [
    ("/v2/account/keys", "ssh_key"),
    ("/v2/account", "account"),
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
    ("/v2/spaces/keys", "spaces_key"),
    ("/v2/tags", "tag"),
    ("/v2/volumes", "block_storage"),
    ("/v2/vpcs", "vpc"),
];

/// The scope, such as `droplet:create`; `None` where the path alone does not say (actions and
/// parts of a resource are described one by one).
pub(super) fn needed(asked: Asked<'_>) -> Option<String> {
    let path = asked.path.split('?').next().unwrap_or(asked.path);
    let (name, rest) = NAMES.iter().find_map(|(prefix, name)| {
        let rest = path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((*name, rest))
    })?;
    let mut parts = rest.split('/').filter(|part| !part.is_empty()).count();
    // A domain's records need what the domain itself does.
    if name == "domain" && parts >= 2 {
        parts -= 2;
    }
    let verb = match (asked.method, parts) {
        (&Method::GET, _) => "read",
        (&Method::POST, 0) if name == "spaces_key" => "create_credentials",
        (&Method::POST, 0) => "create",
        (&Method::PUT | &Method::PATCH, 1) => "update",
        (&Method::DELETE, 1) => "delete",
        // A tag is given to a resource and taken off it.
        (&Method::POST, 2) if name == "tag" => "create",
        (&Method::DELETE, 2) if name == "tag" => "delete",
        _ => return None,
    };
    Some(format!("{name}:{verb}"))
}

/// The scope that reading a path needs, such as `droplet:read` for `/v2/droplets`.
pub fn read_scope(path: &str) -> Option<String> {
    needed(Asked {
        method: &Method::GET,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_follow_method_and_path() {
        for (method, path, scope) in [
            (
                Method::GET,
                "/v2/tags?page=1&per_page=200",
                Some("tag:read"),
            ),
            (Method::GET, "/v2/account", Some("account:read")),
            (Method::GET, "/v2/account/keys/1", Some("ssh_key:read")),
            (Method::POST, "/v2/droplets", Some("droplet:create")),
            (Method::POST, "/v2/droplets/1/actions", None),
            (Method::PUT, "/v2/vpcs/1", Some("vpc:update")),
            (
                Method::DELETE,
                "/v2/volumes/1",
                Some("block_storage:delete"),
            ),
            (
                Method::POST,
                "/v2/spaces/keys",
                Some("spaces_key:create_credentials"),
            ),
            (
                Method::GET,
                "/v2/domains/example.com/records",
                Some("domain:read"),
            ),
            (
                Method::POST,
                "/v2/domains/example.com/records",
                Some("domain:create"),
            ),
            (
                Method::PUT,
                "/v2/domains/example.com/records/7",
                Some("domain:update"),
            ),
            (
                Method::DELETE,
                "/v2/domains/example.com/records/7",
                Some("domain:delete"),
            ),
            (
                Method::POST,
                "/v2/tags/kplan%3Ademo/resources",
                Some("tag:create"),
            ),
            (
                Method::DELETE,
                "/v2/tags/kplan%3Ademo/resources",
                Some("tag:delete"),
            ),
            (Method::DELETE, "/v2/firewalls/1/tags", None),
            (Method::GET, "/v2/dropletsandmore", None),
            (Method::GET, "/v2/regions?page=1", Some("regions:read")),
            (Method::GET, "/v2/sizes?page=1", Some("sizes:read")),
            (
                Method::GET,
                "/v2/images?type=distribution",
                Some("image:read"),
            ),
        ] {
            let asked = Asked {
                method: &method,
                path,
            };
            assert_eq!(needed(asked).as_deref(), scope, "{method} {path}");
        }
    }
}
