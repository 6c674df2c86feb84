//! Every endpoint of DigitalOcean's document: who answers it, or that nobody does.

use crate::http::{ApiError, Reply, Request};
use crate::world::World;

use super::droplets::destroy;
use super::{
    account, actions, certificates, databases, domains, droplets, firewalls, images,
    load_balancers, projects, reserved_ips, scopes, snapshots, spaces_keys, ssh_keys, tags,
    volumes, vpcs,
};

/// Answers one request.
pub(crate) type Handler = fn(&mut World, &Request) -> Reply;

/// One endpoint of the document.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// `None`: known, and not simulated.
    handler: Option<Handler>,
}

const fn route(method: &'static str, path: &'static str, handler: Handler) -> Route {
    Route {
        method,
        path,
        handler: Some(handler),
    }
}

const fn absent(method: &'static str, path: &'static str) -> Route {
    Route {
        method,
        path,
        handler: None,
    }
}

/// Routes and list of coverage in one. Where two fit, the one with fewer `{…}` answers.
pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/v2/account", account::show),
    route("GET", "/v2/account/keys", ssh_keys::index),
    route("POST", "/v2/account/keys", ssh_keys::create),
    route(
        "GET",
        "/v2/account/keys/{ssh_key_identifier}",
        ssh_keys::show,
    ),
    route(
        "PUT",
        "/v2/account/keys/{ssh_key_identifier}",
        ssh_keys::update,
    ),
    route(
        "DELETE",
        "/v2/account/keys/{ssh_key_identifier}",
        ssh_keys::delete,
    ),
    route("GET", "/v2/actions", actions::index),
    route("GET", "/v2/actions/{action_id}", actions::show),
    route("GET", "/v2/certificates", certificates::index),
    route("POST", "/v2/certificates", certificates::create),
    route(
        "GET",
        "/v2/certificates/{certificate_id}",
        certificates::show,
    ),
    route(
        "DELETE",
        "/v2/certificates/{certificate_id}",
        certificates::delete,
    ),
    route("GET", "/v2/databases", databases::index),
    route("POST", "/v2/databases", databases::create),
    route("GET", "/v2/databases/options", databases::options),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}",
        databases::show,
    ),
    route(
        "DELETE",
        "/v2/databases/{database_cluster_uuid}",
        databases::delete,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/backups",
        databases::backups,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/ca",
        databases::ca,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/dbs",
        databases::databases,
    ),
    route(
        "POST",
        "/v2/databases/{database_cluster_uuid}/dbs",
        databases::create_database,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/dbs/{database_name}",
        databases::database,
    ),
    route(
        "DELETE",
        "/v2/databases/{database_cluster_uuid}/dbs/{database_name}",
        databases::delete_database,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/firewall",
        databases::firewall,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/firewall",
        databases::set_firewall,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/maintenance",
        databases::maintenance,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/migrate",
        databases::migrate,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/resize",
        databases::resize,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/sql_mode",
        databases::sql_mode,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/sql_mode",
        databases::set_sql_mode,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/users",
        databases::users,
    ),
    route(
        "POST",
        "/v2/databases/{database_cluster_uuid}/users",
        databases::create_user,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/users/{username}",
        databases::user,
    ),
    route(
        "DELETE",
        "/v2/databases/{database_cluster_uuid}/users/{username}",
        databases::delete_user,
    ),
    route(
        "POST",
        "/v2/databases/{database_cluster_uuid}/users/{username}/reset_auth",
        databases::reset_auth,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/autoscale",
        databases::autoscale,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/autoscale",
        databases::set_autoscale,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/config",
        databases::config,
    ),
    route(
        "PATCH",
        "/v2/databases/{database_cluster_uuid}/config",
        databases::change_config,
    ),
    route(
        "GET",
        "/v2/databases/{database_cluster_uuid}/do_settings",
        databases::do_settings,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/do_settings",
        databases::set_do_settings,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/upgrade",
        databases::upgrade,
    ),
    route(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/users/{username}",
        databases::update_user,
    ),
    route("GET", "/v2/domains", domains::index),
    route("POST", "/v2/domains", domains::create),
    route("GET", "/v2/domains/{domain_name}", domains::show),
    route("DELETE", "/v2/domains/{domain_name}", domains::delete),
    route("GET", "/v2/domains/{domain_name}/records", domains::records),
    route(
        "POST",
        "/v2/domains/{domain_name}/records",
        domains::record_create,
    ),
    route(
        "GET",
        "/v2/domains/{domain_name}/records/{domain_record_id}",
        domains::record_show,
    ),
    route(
        "PATCH",
        "/v2/domains/{domain_name}/records/{domain_record_id}",
        domains::record_update,
    ),
    route(
        "PUT",
        "/v2/domains/{domain_name}/records/{domain_record_id}",
        domains::record_update,
    ),
    route(
        "DELETE",
        "/v2/domains/{domain_name}/records/{domain_record_id}",
        domains::record_delete,
    ),
    route("GET", "/v2/droplets", droplets::index),
    route("POST", "/v2/droplets", droplets::create),
    route("DELETE", "/v2/droplets", droplets::delete_by_tag),
    route("POST", "/v2/droplets/actions", droplets::act_by_tag),
    route(
        "GET",
        "/v2/droplets/backups/policies",
        droplets::backup_policies,
    ),
    route(
        "GET",
        "/v2/droplets/backups/supported_policies",
        droplets::supported_backup_policies,
    ),
    route("GET", "/v2/droplets/{droplet_id}", droplets::show),
    route("DELETE", "/v2/droplets/{droplet_id}", droplets::delete),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/actions",
        droplets::actions,
    ),
    route("POST", "/v2/droplets/{droplet_id}/actions", droplets::act),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/actions/{action_id}",
        droplets::action,
    ),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/backups",
        droplets::backups,
    ),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/backups/policy",
        droplets::backup_policy,
    ),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources",
        destroy::index,
    ),
    route(
        "DELETE",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/dangerous",
        destroy::everything,
    ),
    route(
        "POST",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/retry",
        destroy::retry,
    ),
    route(
        "DELETE",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/selective",
        destroy::some,
    ),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/destroy_with_associated_resources/status",
        destroy::status,
    ),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/firewalls",
        droplets::firewalls,
    ),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/neighbors",
        droplets::neighbors,
    ),
    route(
        "GET",
        "/v2/droplets/{droplet_id}/snapshots",
        droplets::snapshots,
    ),
    route("GET", "/v2/firewalls", firewalls::index),
    route("POST", "/v2/firewalls", firewalls::create),
    route("GET", "/v2/firewalls/{firewall_id}", firewalls::show),
    route("PUT", "/v2/firewalls/{firewall_id}", firewalls::update),
    route("DELETE", "/v2/firewalls/{firewall_id}", firewalls::delete),
    route(
        "POST",
        "/v2/firewalls/{firewall_id}/droplets",
        firewalls::change_droplets,
    ),
    route(
        "DELETE",
        "/v2/firewalls/{firewall_id}/droplets",
        firewalls::change_droplets,
    ),
    route(
        "POST",
        "/v2/firewalls/{firewall_id}/rules",
        firewalls::change_rules,
    ),
    route(
        "DELETE",
        "/v2/firewalls/{firewall_id}/rules",
        firewalls::change_rules,
    ),
    route(
        "POST",
        "/v2/firewalls/{firewall_id}/tags",
        firewalls::change_tags,
    ),
    route(
        "DELETE",
        "/v2/firewalls/{firewall_id}/tags",
        firewalls::change_tags,
    ),
    route("GET", "/v2/images", images::index),
    route("GET", "/v2/images/{image_id}", images::show),
    route("GET", "/v2/images/{image_id}/actions", images::actions),
    route(
        "GET",
        "/v2/images/{image_id}/actions/{action_id}",
        images::action,
    ),
    route("GET", "/v2/load_balancers", load_balancers::index),
    route("POST", "/v2/load_balancers", load_balancers::create),
    route("GET", "/v2/load_balancers/{lb_id}", load_balancers::show),
    route("PUT", "/v2/load_balancers/{lb_id}", load_balancers::update),
    route(
        "DELETE",
        "/v2/load_balancers/{lb_id}",
        load_balancers::delete,
    ),
    route(
        "POST",
        "/v2/load_balancers/{lb_id}/droplets",
        load_balancers::change_droplets,
    ),
    route(
        "DELETE",
        "/v2/load_balancers/{lb_id}/droplets",
        load_balancers::change_droplets,
    ),
    route(
        "POST",
        "/v2/load_balancers/{lb_id}/forwarding_rules",
        load_balancers::change_rules,
    ),
    route(
        "DELETE",
        "/v2/load_balancers/{lb_id}/forwarding_rules",
        load_balancers::change_rules,
    ),
    route("GET", "/v2/projects", projects::index),
    route("POST", "/v2/projects", projects::create),
    route("GET", "/v2/projects/default", projects::show),
    route("PATCH", "/v2/projects/default", projects::update),
    route("PUT", "/v2/projects/default", projects::update),
    route("GET", "/v2/projects/default/resources", projects::resources),
    route("POST", "/v2/projects/default/resources", projects::assign),
    route("GET", "/v2/projects/{project_id}", projects::show),
    route("PATCH", "/v2/projects/{project_id}", projects::update),
    route("PUT", "/v2/projects/{project_id}", projects::update),
    route("DELETE", "/v2/projects/{project_id}", projects::delete),
    route(
        "GET",
        "/v2/projects/{project_id}/resources",
        projects::resources,
    ),
    route(
        "POST",
        "/v2/projects/{project_id}/resources",
        projects::assign,
    ),
    route("GET", "/v2/regions", account::regions),
    route("GET", "/v2/reserved_ips", reserved_ips::index),
    route("POST", "/v2/reserved_ips", reserved_ips::create),
    route("GET", "/v2/reserved_ips/{reserved_ip}", reserved_ips::show),
    route(
        "DELETE",
        "/v2/reserved_ips/{reserved_ip}",
        reserved_ips::delete,
    ),
    route(
        "GET",
        "/v2/reserved_ips/{reserved_ip}/actions",
        reserved_ips::actions,
    ),
    route(
        "POST",
        "/v2/reserved_ips/{reserved_ip}/actions",
        reserved_ips::act,
    ),
    route(
        "GET",
        "/v2/reserved_ips/{reserved_ip}/actions/{action_id}",
        reserved_ips::action,
    ),
    route("GET", "/v2/sizes", account::sizes),
    route("GET", "/v2/snapshots", snapshots::index),
    route("GET", "/v2/snapshots/{snapshot_id}", snapshots::show),
    route("DELETE", "/v2/snapshots/{snapshot_id}", snapshots::delete),
    route("GET", "/v2/spaces/keys", spaces_keys::index),
    route("POST", "/v2/spaces/keys", spaces_keys::create),
    route("GET", "/v2/spaces/keys/{access_key}", spaces_keys::show),
    route("PATCH", "/v2/spaces/keys/{access_key}", spaces_keys::update),
    route("PUT", "/v2/spaces/keys/{access_key}", spaces_keys::update),
    route(
        "DELETE",
        "/v2/spaces/keys/{access_key}",
        spaces_keys::delete,
    ),
    route("GET", "/v2/tags", tags::index),
    route("POST", "/v2/tags", tags::create),
    route("GET", "/v2/tags/{tag_id}", tags::show),
    route("DELETE", "/v2/tags/{tag_id}", tags::delete),
    route("POST", "/v2/tags/{tag_id}/resources", tags::tag_resources),
    route(
        "DELETE",
        "/v2/tags/{tag_id}/resources",
        tags::untag_resources,
    ),
    route("GET", "/v2/volumes", volumes::index),
    route("POST", "/v2/volumes", volumes::create),
    route("DELETE", "/v2/volumes", volumes::delete_by_name),
    route("POST", "/v2/volumes/actions", volumes::act_by_name),
    route(
        "GET",
        "/v2/volumes/snapshots/{snapshot_id}",
        snapshots::show_of_volume,
    ),
    route(
        "DELETE",
        "/v2/volumes/snapshots/{snapshot_id}",
        snapshots::delete_of_volume,
    ),
    route("GET", "/v2/volumes/{volume_id}", volumes::show),
    route("DELETE", "/v2/volumes/{volume_id}", volumes::delete),
    route("GET", "/v2/volumes/{volume_id}/actions", volumes::actions),
    route("POST", "/v2/volumes/{volume_id}/actions", volumes::act),
    route(
        "GET",
        "/v2/volumes/{volume_id}/actions/{action_id}",
        volumes::action,
    ),
    route(
        "GET",
        "/v2/volumes/{volume_id}/snapshots",
        snapshots::index_of_volume,
    ),
    route(
        "POST",
        "/v2/volumes/{volume_id}/snapshots",
        snapshots::create_of_volume,
    ),
    route("GET", "/v2/vpcs", vpcs::index),
    route("POST", "/v2/vpcs", vpcs::create),
    route("GET", "/v2/vpcs/{vpc_id}", vpcs::show),
    route("PATCH", "/v2/vpcs/{vpc_id}", vpcs::update),
    route("PUT", "/v2/vpcs/{vpc_id}", vpcs::update),
    route("DELETE", "/v2/vpcs/{vpc_id}", vpcs::delete),
    route("GET", "/v2/vpcs/{vpc_id}/members", vpcs::members),
    absent("GET", "/v2/databases/metrics/credentials"),
    absent("PUT", "/v2/databases/metrics/credentials"),
    absent(
        "GET",
        "/v2/databases/{database_cluster_uuid}/eviction_policy",
    ),
    absent(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/eviction_policy",
    ),
    absent(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/install_update",
    ),
    absent(
        "GET",
        "/v2/databases/{database_cluster_uuid}/online-migration",
    ),
    absent(
        "PUT",
        "/v2/databases/{database_cluster_uuid}/online-migration",
    ),
    absent(
        "DELETE",
        "/v2/databases/{database_cluster_uuid}/online-migration/{migration_id}",
    ),
    absent("GET", "/v2/droplets/autoscale"),
    absent("POST", "/v2/droplets/autoscale"),
    absent("DELETE", "/v2/droplets/autoscale/{autoscale_pool_id}"),
    absent("GET", "/v2/droplets/autoscale/{autoscale_pool_id}"),
    absent("PUT", "/v2/droplets/autoscale/{autoscale_pool_id}"),
    absent(
        "DELETE",
        "/v2/droplets/autoscale/{autoscale_pool_id}/dangerous",
    ),
    absent("GET", "/v2/droplets/autoscale/{autoscale_pool_id}/history"),
    absent("GET", "/v2/droplets/autoscale/{autoscale_pool_id}/members"),
    absent("GET", "/v2/droplets/{droplet_id}/kernels"),
    absent("POST", "/v2/images"),
    absent("DELETE", "/v2/images/{image_id}"),
    absent("PUT", "/v2/images/{image_id}"),
    absent("POST", "/v2/images/{image_id}/account_transfer"),
    absent("POST", "/v2/images/{image_id}/account_transfer/accept"),
    absent("POST", "/v2/images/{image_id}/account_transfer/cancel"),
    absent("POST", "/v2/images/{image_id}/account_transfer/decline"),
    absent("POST", "/v2/images/{image_id}/actions"),
    absent("GET", "/v2/kubernetes/clusters"),
    absent("POST", "/v2/kubernetes/clusters"),
    absent("DELETE", "/v2/kubernetes/clusters/{cluster_id}"),
    absent("GET", "/v2/kubernetes/clusters/{cluster_id}"),
    absent("PUT", "/v2/kubernetes/clusters/{cluster_id}"),
    absent("GET", "/v2/kubernetes/clusters/{cluster_id}/clusterlint"),
    absent("POST", "/v2/kubernetes/clusters/{cluster_id}/clusterlint"),
    absent("GET", "/v2/kubernetes/clusters/{cluster_id}/credentials"),
    absent(
        "GET",
        "/v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources",
    ),
    absent(
        "DELETE",
        "/v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources/dangerous",
    ),
    absent(
        "DELETE",
        "/v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources/selective",
    ),
    absent("GET", "/v2/kubernetes/clusters/{cluster_id}/kubeconfig"),
    absent("GET", "/v2/kubernetes/clusters/{cluster_id}/node_pools"),
    absent("POST", "/v2/kubernetes/clusters/{cluster_id}/node_pools"),
    absent(
        "DELETE",
        "/v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}",
    ),
    absent(
        "GET",
        "/v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}",
    ),
    absent(
        "PUT",
        "/v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}",
    ),
    absent(
        "DELETE",
        "/v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}/nodes/{node_id}",
    ),
    absent(
        "POST",
        "/v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}/recycle",
    ),
    absent(
        "GET",
        "/v2/kubernetes/clusters/{cluster_id}/status_messages",
    ),
    absent("POST", "/v2/kubernetes/clusters/{cluster_id}/upgrade"),
    absent("GET", "/v2/kubernetes/clusters/{cluster_id}/upgrades"),
    absent("GET", "/v2/kubernetes/clusters/{cluster_id}/user"),
    absent("GET", "/v2/kubernetes/options"),
    absent("DELETE", "/v2/load_balancers/{lb_id}/cache"),
    absent("GET", "/v2/vpcs/{vpc_id}/peerings"),
    absent("POST", "/v2/vpcs/{vpc_id}/peerings"),
    absent("PATCH", "/v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}"),
];

/// Families of DigitalOcean's API that have no endpoint above: everything below is not simulated.
/// `*` stands for one segment.
const FAMILIES: &[&str] = &[
    "1-clicks",
    "add-ons",
    "apps",
    "billing",
    "byoip_prefixes",
    "cdn",
    "customers",
    "databases/*/events",
    "databases/*/indexes",
    "databases/*/logsink",
    "databases/*/pools",
    "databases/*/replicas",
    "databases/*/schema-registry",
    "databases/*/topics",
    "dedicated-inferences",
    "floating_ips",
    "functions",
    "gen-ai",
    "invoices",
    "microdroplets",
    "monitoring",
    "nfs",
    "partner_network_connect",
    "registries",
    "registry",
    "reports",
    "reserved_ipv6",
    "security",
    "uptime",
    "vector-databases",
    "vpc_nat_gateways",
    "vpc_peerings",
];

/// Every endpoint of the document, and whether it is simulated: method, path, simulated.
pub(crate) fn coverage() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    ROUTES
        .iter()
        .map(|route| (route.method, route.path, route.handler.is_some()))
}

/// The family of a path that is DigitalOcean's and not simulated at all.
fn family(segments: &[String]) -> Option<&'static str> {
    let (version, rest) = segments.split_first()?;
    let fits = |family: &&&str| {
        let mut rest = rest.iter();
        family
            .split('/')
            .all(|part| rest.next().is_some_and(|own| part == "*" || part == own))
    };
    FAMILIES
        .iter()
        .find(fits)
        .copied()
        .filter(|_| version == "v2")
}

/// Finds who answers and lets them.
pub(crate) fn answer(world: &mut World, request: &mut Request) -> Reply {
    let segments = request.segments();
    let mut same_path = false;
    let mut best: Option<(usize, &Route, Vec<String>)> = None;
    for route in ROUTES {
        let Some(params) = matches(route.path, &segments) else {
            continue;
        };
        same_path = true;
        if route.method == request.method.as_str()
            && best
                .as_ref()
                .is_none_or(|(count, ..)| params.len() < *count)
        {
            best = Some((params.len(), route, params));
        }
    }
    let Some((_, route, params)) = best else {
        if let Some(family) = family(&segments).filter(|_| !same_path) {
            return Err(ApiError::not_implemented(&format!("/v2/{family}")));
        }
        return Err(if same_path {
            ApiError::new(
                405,
                "method_not_allowed",
                "This endpoint has no such method.",
            )
        } else {
            ApiError::not_found()
        });
    };
    request.params = params;
    match route.handler {
        Some(handler) => match scopes::missing(route.method, route.path, request) {
            Some(missing) => Err(ApiError::missing_scope(missing)),
            None => handler(world, request).map(|reply| databases::discreet(reply, request)),
        },
        None => Err(ApiError::not_implemented(&format!(
            "{} {}",
            route.method, route.path
        ))),
    }
}

/// The values of a pattern's `{…}` segments, if the path fits.
fn matches(pattern: &str, segments: &[String]) -> Option<Vec<String>> {
    let mut params = Vec::new();
    let mut rest = segments.iter();
    for part in pattern.split('/').skip(1) {
        let segment = rest.next()?;
        if part.starts_with('{') {
            params.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    rest.next().is_none().then_some(params)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_endpoint_stands_twice() {
        let all: BTreeSet<(&str, &str)> = ROUTES.iter().map(|r| (r.path, r.method)).collect();
        assert_eq!(all.len(), ROUTES.len());
    }

    #[test]
    fn families_nobody_simulates_are_known_by_name() {
        let of = |path| family(&Request::new(http::Method::GET, path).segments());
        assert_eq!(of("/v2/registry/x"), Some("registry"));
        assert_eq!(of("/v2/databases/1/pools/a"), Some("databases/*/pools"));
        assert_eq!(of("/v2/databases/1/users"), None);
        assert_eq!(of("/v2/databases"), None);
        assert_eq!(of("/v2/nothing"), None);
        assert_eq!(of("/v1/registry"), None);
    }

    #[test]
    fn the_table_is_the_document() {
        let Ok(path) = std::env::var("KPLAN_TEST_OPENAPI") else {
            kplan_conformance::skipped("KPLAN_TEST_OPENAPI");
            return;
        };
        let text = std::fs::read_to_string(path).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in ["get", "put", "post", "patch", "delete"] {
                if item.get(method).is_some() {
                    documented.insert((path.as_str(), method.to_ascii_uppercase()));
                }
            }
        }
        let ours: BTreeSet<(&str, String)> = ROUTES
            .iter()
            .map(|r| (r.path, r.method.to_owned()))
            .collect();
        let missing: Vec<_> = documented.difference(&ours).collect();
        let invented: Vec<_> = ours.difference(&documented).collect();
        assert!(
            missing.is_empty() && invented.is_empty(),
            "{missing:?} {invented:?}"
        );
    }
}
