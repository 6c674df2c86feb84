//! Discovery: which groups, versions and resources there are, in the old form and aggregated.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::resources::{Catalogue, ResourceType, api_version};
use crate::kubernetes::status::{ApiError, json_response};

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Reviews: group, plural, singular, kind. They can only be created.
const REVIEWS: &[(&str, &str, &str, &str)] = &[
    (
        "authentication.k8s.io",
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview",
    ),
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
    ),
    (
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
    ),
    (
        "authorization.k8s.io",
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview",
    ),
];

/// The answer, if the path is one of discovery's.
pub(super) fn answer(
    server: &ApiServer,
    path: &str,
    accept: &str,
) -> Option<Result<Response, ApiError>> {
    let catalogue = server.catalogue();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let aggregated = accept.contains("as=APIGroupDiscoveryList") && accept.contains("v=v2");
    let body = match parts.as_slice() {
        ["api"] if aggregated => return Some(Ok(aggregate(&catalogue, true))),
        ["apis"] if aggregated => return Some(Ok(aggregate(&catalogue, false))),
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
        }),
        ["apis"] => {
            let groups: Vec<Value> = groups(&catalogue)
                .iter()
                .filter(|(name, _)| !name.is_empty())
                .map(group)
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] => {
            let groups = groups(&catalogue);
            let mut body = group(groups.iter().find(|(group, _)| group == name)?);
            body["kind"] = "APIGroup".into();
            body["apiVersion"] = "v1".into();
            body
        }
        ["api", version] => resource_list(&catalogue, "", version)?,
        ["apis", group, version] => resource_list(&catalogue, group, version)?,
        _ => return None,
    };
    Some(Ok(json_response(StatusCode::OK, &body)))
}

/// Groups with their versions, those of reviews included.
pub(super) fn groups(catalogue: &Catalogue) -> Vec<(String, Vec<String>)> {
    let mut groups = catalogue.groups();
    for (group, ..) in REVIEWS {
        let found = ((*group).to_owned(), vec!["v1".to_owned()]);
        if !groups.contains(&found) {
            groups.push(found);
        }
    }
    groups
}

fn group((name, versions): &(String, Vec<String>)) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn members<'a>(
    catalogue: &'a Catalogue,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'a ResourceType> {
    catalogue
        .all()
        .iter()
        .map(AsRef::as_ref)
        .filter(move |resource| resource.group == group && resource.version == version)
}

fn resource_list(catalogue: &Catalogue, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for resource in members(catalogue, group, version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": verbs(resource),
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        resources.push(entry);
        for (name, (kind_group, kind_version, kind), verbs) in subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
            });
            if !kind_version.is_empty()
                && (kind_group != resource.group || kind_version != resource.version)
            {
                entry["group"] = kind_group.into();
                entry["version"] = kind_version.into();
            }
            resources.push(entry);
        }
    }
    for (_, plural, singular, kind) in REVIEWS
        .iter()
        .filter(|(g, ..)| *g == group && version == "v1")
    {
        resources.push(json!({"name": plural, "singularName": singular, "namespaced": false, "kind": kind, "verbs": ["create"]}));
    }
    if resources.is_empty() {
        return None;
    }
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": api_version(group, version), "resources": resources,
    }))
}

type Subresource<'a> = (
    &'static str,
    (&'a str, &'a str, &'a str),
    &'static [&'static str],
);

/// The kind of a resource; a built-in one leaves out the group and version it stands under.
fn own_kind(resource: &ResourceType) -> (&str, &str, &str) {
    if resource.custom().is_some() {
        (&resource.group, &resource.version, &resource.kind)
    } else {
        ("", "", &resource.kind)
    }
}

/// Verbs of a resource: namespaces are deleted one by one.
fn verbs(resource: &ResourceType) -> Vec<&'static str> {
    let all = VERBS.iter().copied();
    all.filter(|verb| *verb != "deletecollection" || resource.storage_key() != "/namespaces")
        .collect()
}

fn subresources(resource: &ResourceType) -> Vec<Subresource<'_>> {
    const CHANGE: &[&str] = &["get", "patch", "update"];
    let own = own_kind(resource);
    let mut found = Vec::new();
    if resource.status {
        found.push(("status", own, CHANGE));
    }
    if resource.scale.is_some() {
        found.push(("scale", ("autoscaling", "v1", "Scale"), CHANGE));
    }
    match resource.storage_key().as_str() {
        "/pods" => {
            found.push(("eviction", ("policy", "v1", "Eviction"), &["create"]));
            found.push(("log", own, &["get"]));
        }
        "/namespaces" => found.push(("finalize", own, &["update"])),
        _ => {}
    }
    found
}

fn aggregate(catalogue: &Catalogue, core: bool) -> Response {
    let mut items = Vec::new();
    for (name, versions) in groups(catalogue)
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
    {
        let versions: Vec<Value> = versions
            .iter()
            .map(|version| version_entry(catalogue, name, version))
            .collect();
        let metadata = if name.is_empty() {
            json!({})
        } else {
            json!({"name": name})
        };
        items.push(json!({"metadata": metadata, "versions": versions}));
    }
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let mut response = json_response(StatusCode::OK, &body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn version_entry(catalogue: &Catalogue, group: &str, version: &str) -> Value {
    let mut resources: Vec<Value> = members(catalogue, group, version)
        .map(resource_entry)
        .collect();
    for (_, plural, singular, kind) in REVIEWS.iter().filter(|(g, ..)| *g == group) {
        resources.push(json!({
            "resource": plural, "responseKind": {"group": group, "version": version, "kind": kind},
            "scope": "Cluster", "singularResource": singular, "verbs": ["create"],
        }));
    }
    json!({"version": version, "freshness": "Current", "resources": resources})
}

fn resource_entry(resource: &ResourceType) -> Value {
    let kind = |(group, version, kind): (&str, &str, &str)| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(own_kind(resource)),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|(name, of, verbs)| json!({"subresource": name, "responseKind": kind(of), "verbs": verbs}))
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}
