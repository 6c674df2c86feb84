//! Default roles and bindings of the API server.

use serde_json::{Value, json};

/// All of them.
pub(super) fn all() -> Vec<Value> {
    let all = json!(["*"]);
    let read = json!(["get", "list", "watch"]);
    let write = json!([
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch"
    ]);
    vec![
        cluster_role(
            "cluster-admin",
            &json!([
                {"apiGroups": all, "resources": all, "verbs": all},
                {"nonResourceURLs": all, "verbs": all},
            ]),
        ),
        cluster_role(
            "system:basic-user",
            &json!([
                {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], "verbs": ["create"]},
                {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
            ]),
        ),
        cluster_role(
            "system:discovery",
            &json!([{
                "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"],
                "verbs": ["get"],
            }]),
        ),
        cluster_role(
            "system:public-info-viewer",
            &json!([{
                "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"],
            }]),
        ),
        aggregated("view", &json!([]), &namespaced(&read, false)),
        aggregated("edit", &json!(["view"]), &namespaced(&write, true)),
        aggregated(
            "admin",
            &json!(["view", "edit"]),
            &json!([{
                "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": write,
            }]),
        ),
        binding("cluster-admin", "system:masters"),
        binding("system:basic-user", "system:authenticated"),
        binding("system:discovery", "system:authenticated"),
        binding("system:public-info-viewer", "system:authenticated"),
    ]
}

/// Rules about what namespaces contain; secrets only for those who may write.
fn namespaced(verbs: &Value, secrets: bool) -> Value {
    let mut core = vec![
        "configmaps",
        "endpoints",
        "events",
        "persistentvolumeclaims",
        "pods",
        "pods/log",
        "pods/status",
        "replicationcontrollers",
        "resourcequotas",
        "limitranges",
        "serviceaccounts",
        "services",
    ];
    if secrets {
        core.push("secrets");
    }
    json!([
        {"apiGroups": [""], "resources": core, "verbs": verbs},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["controllerrevisions", "daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets", "statefulsets/scale"], "verbs": verbs},
        {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": verbs},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": verbs},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": verbs},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ])
}

fn role(name: &str, labels: &Value, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {
            "name": name, "labels": labels,
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
        "rules": rules,
    })
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    role(
        name,
        &json!({"kubernetes.io/bootstrapping": "rbac-defaults"}),
        rules,
    )
}

/// A role that also has the rules of every role labelled to aggregate into it or those it includes.
fn aggregated(name: &str, includes: &Value, rules: &Value) -> Value {
    let mut object = cluster_role(name, rules);
    let labels = std::iter::once(name).chain(
        includes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str),
    );
    let selectors: Vec<Value> = labels
        .map(|into| json!({"matchLabels": {format!("rbac.authorization.k8s.io/aggregate-to-{into}"): "true"}}))
        .collect();
    for into in ["edit", "admin"] {
        let lower = matches!((name, into), ("view", _) | ("edit", "admin"));
        if lower {
            object["metadata"]["labels"]
                [format!("rbac.authorization.k8s.io/aggregate-to-{into}")] = "true".into();
        }
    }
    object["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
    object
}

fn binding(role: &str, group: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": role, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    })
}
