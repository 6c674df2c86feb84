//! What a user may do: role-based access control over the stored roles and bindings.

use serde_json::{Value, json};

use super::authn::Identity;
use super::object::{items, map, namespace, text};
use super::storage::Storage;

/// What somebody wants to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Set instead of the rest for paths that are no resources.
    pub(crate) path: Option<String>,
}

const ROLES: &str = "rbac.authorization.k8s.io/roles";
const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";

/// Whether the user may.
pub(crate) fn allowed(storage: &Storage, identity: &Identity, wanted: &Attributes) -> bool {
    if identity.in_group("system:masters") {
        return true;
    }
    let cluster_wide = storage.all(CLUSTER_ROLE_BINDINGS);
    if cluster_wide
        .iter()
        .any(|binding| grants(storage, identity, binding, wanted))
    {
        return true;
    }
    if wanted.namespace.is_empty() || wanted.path.is_some() {
        return false;
    }
    let (bindings, _) = storage.list(ROLE_BINDINGS, Some(&wanted.namespace));
    bindings
        .iter()
        .any(|binding| grants(storage, identity, binding, wanted))
}

/// The rules that apply to a user in a namespace.
pub(crate) fn rules_of(storage: &Storage, identity: &Identity, namespace: &str) -> Vec<Value> {
    let mut found = Vec::new();
    if identity.in_group("system:masters") {
        found.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        found.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    }
    let mut bindings = storage.all(CLUSTER_ROLE_BINDINGS);
    bindings.extend(storage.list(ROLE_BINDINGS, Some(namespace)).0);
    for binding in bindings {
        found.extend(granted(storage, identity, &binding));
    }
    found
}

/// The rules of a binding's role, if the user is one of its subjects.
fn granted(storage: &Storage, identity: &Identity, binding: &Value) -> Vec<Value> {
    let place = self::namespace(binding);
    let named = |subject: &Value| is_subject(identity, subject, place);
    let Some(role) = text(binding, &["roleRef", "name"]) else {
        return Vec::new();
    };
    if !items(binding, &["subjects"]).iter().any(named) {
        return Vec::new();
    }
    let role = match text(binding, &["roleRef", "kind"]) {
        Some("Role") => storage.get(ROLES, place, role),
        _ => storage.get(CLUSTER_ROLES, "", role),
    };
    role.map(|role| rules(storage, &role)).unwrap_or_default()
}

fn grants(storage: &Storage, identity: &Identity, binding: &Value, wanted: &Attributes) -> bool {
    granted(storage, identity, binding)
        .iter()
        .any(|rule| covers(rule, wanted))
}

/// The rules of a role, those it aggregates included.
fn rules(storage: &Storage, role: &Value) -> Vec<Value> {
    let selectors = items(role, &["aggregationRule", "clusterRoleSelectors"]);
    if selectors.is_empty() {
        return items(role, &["rules"]).to_vec();
    }
    let mut found = items(role, &["rules"]).to_vec();
    for selector in selectors {
        let selector = super::selector::LabelSelector::of_spec(selector);
        for other in storage.all(CLUSTER_ROLES) {
            if selector.matches(map(&other, &["metadata", "labels"])) {
                found.extend(items(&other, &["rules"]).iter().cloned());
            }
        }
    }
    found
}

fn is_subject(identity: &Identity, subject: &Value, binding_namespace: &str) -> bool {
    let name = text(subject, &["name"]).unwrap_or_default();
    match text(subject, &["kind"]) {
        Some("User") => name == "*" || identity.user == name,
        Some("Group") => name == "*" || identity.in_group(name),
        Some("ServiceAccount") => {
            let namespace = text(subject, &["namespace"]).unwrap_or(binding_namespace);
            identity.user == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn covers(rule: &Value, wanted: &Attributes) -> bool {
    let has = |field: &str, value: &str| {
        items(rule, &[field])
            .iter()
            .filter_map(Value::as_str)
            .any(|item| item == "*" || item == value)
    };
    if !has("verbs", &wanted.verb) {
        return false;
    }
    if let Some(path) = &wanted.path {
        return items(rule, &["nonResourceURLs"])
            .iter()
            .filter_map(Value::as_str)
            .any(|pattern| {
                pattern == path
                    || pattern
                        .strip_suffix('*')
                        .is_some_and(|prefix| path.starts_with(prefix))
            });
    }
    let resource = if wanted.subresource.is_empty() {
        has("resources", &wanted.resource)
    } else {
        has(
            "resources",
            &format!("{}/{}", wanted.resource, wanted.subresource),
        ) || has("resources", &format!("*/{}", wanted.subresource))
    };
    let names = items(rule, &["resourceNames"]);
    has("apiGroups", &wanted.group)
        && resource
        && (names.is_empty() || names.iter().any(|name| name.as_str() == Some(&wanted.name)))
}

/// The refusal in the API server's words.
pub(crate) fn refusal(identity: &Identity, wanted: &Attributes) -> super::status::ApiError {
    let user = &identity.user;
    let verb = &wanted.verb;
    if let Some(path) = &wanted.path {
        let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
        return super::status::ApiError::forbidden("", "", "", message);
    }
    let resource = super::status::qualified(&wanted.group, &wanted.resource);
    let about = if wanted.name.is_empty() {
        String::new()
    } else {
        format!(" \"{}\"", wanted.name)
    };
    let shown = if wanted.subresource.is_empty() {
        wanted.resource.clone()
    } else {
        format!("{}/{}", wanted.resource, wanted.subresource)
    };
    let place = if wanted.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", wanted.namespace)
    };
    let message = format!(
        "{resource}{about} is forbidden: User \"{user}\" cannot {verb} resource \"{shown}\" in API group \"{}\" {place}",
        wanted.group
    );
    super::status::ApiError::forbidden(&wanted.group, &wanted.resource, &wanted.name, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn storage() -> Storage {
        let storage = Storage::open(Store::in_memory(), "a").unwrap();
        let put =
            |collection: &str, object: Value| drop(storage.create(collection, object).unwrap());
        put(
            CLUSTER_ROLES,
            json!({"metadata": {"name": "reader"}, "rules": [
                {"apiGroups": ["", "apps"], "resources": ["pods", "deployments/scale"], "verbs": ["get", "list"]},
                {"nonResourceURLs": ["/healthz*"], "verbs": ["get"]},
            ]}),
        );
        put(
            ROLES,
            json!({"metadata": {"name": "one", "namespace": "dev"}, "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["*"]},
            ]}),
        );
        put(
            CLUSTER_ROLE_BINDINGS,
            json!({"metadata": {"name": "readers"},
            "roleRef": {"kind": "ClusterRole", "name": "reader"},
            "subjects": [{"kind": "Group", "name": "team"}]}),
        );
        put(
            ROLE_BINDINGS,
            json!({"metadata": {"name": "one", "namespace": "dev"},
            "roleRef": {"kind": "Role", "name": "one"},
            "subjects": [{"kind": "User", "name": "ann"}, {"kind": "ServiceAccount", "name": "bot"}]}),
        );
        storage
    }

    #[test]
    fn rules_bindings_and_scopes_decide() {
        let storage = storage();
        let ask =
            |identity: &Identity, verb: &str, group: &str, resource: &str, ns: &str, name: &str| {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                let wanted = Attributes {
                    verb: verb.into(),
                    group: group.into(),
                    resource: resource.into(),
                    subresource: subresource.into(),
                    namespace: ns.into(),
                    name: name.into(),
                    path: None,
                };
                allowed(&storage, identity, &wanted)
            };
        let team = Identity::new("bob", &["team"]);
        assert!(ask(&team, "list", "", "pods", "x", ""));
        assert!(ask(&team, "get", "apps", "deployments/scale", "", "d"));
        assert!(!ask(&team, "get", "apps", "deployments", "", "d"));
        assert!(!ask(&team, "delete", "", "pods", "x", "p"));
        let ann = Identity::new("ann", &[]);
        assert!(ask(&ann, "update", "", "secrets", "dev", "mine"));
        assert!(!ask(&ann, "update", "", "secrets", "dev", "other"));
        assert!(!ask(&ann, "update", "", "secrets", "prod", "mine"));
        assert!(ask(
            &Identity::new("system:serviceaccount:dev:bot", &[]),
            "get",
            "",
            "secrets",
            "dev",
            "mine"
        ));
        assert!(ask(&Identity::admin(), "delete", "x", "y", "", "z"));
        let path = Attributes {
            verb: "get".into(),
            path: Some("/healthz/ping".into()),
            ..Attributes::default()
        };
        assert!(allowed(&storage, &team, &path) && !allowed(&storage, &ann, &path));
    }
}
