//! The job the controller makes of a chart, and its account with every right.

use serde_json::{Value, json};

use super::inputs::{content, digest, values, values_secrets};
use super::{CHART, CONFIG_MAPS, CONFIGS, Pass, SECRETS, release};
use crate::kubernetes::controllers::workload::template_hash;
use crate::kubernetes::object::{self, at, flag, map, number, text};

/// Annotation with the hash of what the job was made of.
const HASH: &str = "objectset.rio.cattle.io/hash";
/// Annotation of the pod with the hash of the chart and its values.
const CONFIG_HASH: &str = "helmcharts.helm.cattle.io/configHash";

/// The image K3s v1.35.6 names.
const IMAGE: &str = "rancher/klipper-helm:v0.11.1-build20260615";
/// Source: `defaultBackOffLimit`.
const BACKOFF_LIMIT: i64 = 1000;
/// The volumes in memory, and where they are mounted.
const SCRATCH: [(&str, &str); 4] = [
    ("klipper-helm", "/home/klipper-helm/.helm"),
    ("klipper-cache", "/home/klipper-helm/.cache"),
    ("klipper-config", "/home/klipper-helm/.config"),
    ("tmp", "/tmp"),
];

/// A job and the objects it needs, with their collections.
pub(super) struct Wanted {
    pub(super) job: Value,
    pub(super) others: Vec<(&'static str, Value)>,
}

/// The hash of what a job was made of.
pub(super) fn hash(job: &Value) -> Option<&str> {
    object::annotation(job, HASH)
}

/// The name of a chart's job.
pub(super) fn name(action: &str, chart: &Value) -> String {
    format!("helm-{action}-{}", object::name(chart))
}

/// A text of a spec, empty where there is none.
pub(super) fn spec<'a>(chart: &'a Value, field: &str) -> &'a str {
    text(chart, &["spec", field]).unwrap_or_default()
}

/// The namespace of a chart's release.
fn target(chart: &Value) -> &str {
    match spec(chart, "targetNamespace") {
        "" => object::namespace(chart),
        namespace => namespace,
    }
}

/// The objects of a chart: to install it, or to uninstall it once it is being deleted.
pub(super) fn wanted(pass: &Pass<'_>, chart: &Value) -> Wanted {
    let (own, namespace) = (object::name(chart), object::namespace(chart));
    let config = pass.get(CONFIGS, namespace, own);
    let config = config.as_deref();
    let (content, values) = (content(chart), values(chart, config));
    let mut hashed = vec![content.clone(), values.secret.clone()];
    hashed.extend(values_secrets(pass, chart, config));
    let mut pod = pod(chart, config);
    let sources = json!({"defaultMode": 0o644, "sources": values.sources});
    mount(
        &mut pod,
        json!({"name": "values", "projected": sources}),
        "/config",
    );
    let files = json!({"defaultMode": 0o644, "name": object::name(&content)});
    mount(
        &mut pod,
        json!({"name": "content", "configMap": files}),
        "/chart",
    );
    let labels = json!({CHART: own});
    let annotations = json!({CONFIG_HASH: format!("SHA256={}", digest(&hashed))});
    let mut template =
        json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": pod});
    let mut marks = owned_by(chart);
    marks[HASH] = template_hash(&template).into();
    // Not part of the hash: a new revision alone is no reason for a new job.
    let revision = release::revision(pass, spec(chart, "targetNamespace"), own);
    if revision > 0 {
        let variable = json!({"name": "EXPECTED_RELEASE_REVISION", "value": revision.to_string()});
        push(&mut template["spec"]["containers"][0]["env"], variable);
    }
    let action = if object::terminating(chart) {
        "delete"
    } else {
        "install"
    };
    let limit = number(chart, &["spec", "backOffLimit"]).unwrap_or(BACKOFF_LIMIT);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name(action, chart), "namespace": namespace, "labels": labels,
            "annotations": marks},
        "spec": {"backoffLimit": limit, "template": template},
    });
    let mut others = vec![
        (SECRETS, values.secret),
        (CONFIG_MAPS, content),
        account(chart),
        binding(chart),
    ];
    for (_, object) in &mut others {
        object["metadata"]["annotations"] = owned_by(chart);
    }
    Wanted { job, others }
}

/// How the controller marks what it made of a chart.
fn owned_by(chart: &Value) -> Value {
    json!({
        "objectset.rio.cattle.io/id": "helm-controller-chart-registration",
        "objectset.rio.cattle.io/owner-gvk": "helm.cattle.io/v1, Kind=HelmChart",
        "objectset.rio.cattle.io/owner-name": object::name(chart),
        "objectset.rio.cattle.io/owner-namespace": object::namespace(chart),
    })
}

fn account(chart: &Value) -> (&'static str, Value) {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": format!("helm-{}", object::name(chart)),
            "namespace": object::namespace(chart)},
        "automountServiceAccountToken": true,
    });
    ("/serviceaccounts", account)
}

fn binding(chart: &Value) -> (&'static str, Value) {
    let (name, namespace) = (object::name(chart), object::namespace(chart));
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("helm-{namespace}-{name}")},
        "roleRef": {"kind": "ClusterRole", "apiGroup": group, "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": format!("helm-{name}"),
            "namespace": namespace}],
    });
    ("rbac.authorization.k8s.io/clusterrolebindings", binding)
}

fn mount(pod: &mut Value, volume: Value, path: &str) {
    let mounted = json!({"name": volume["name"], "mountPath": path});
    push(&mut pod["containers"][0]["volumeMounts"], mounted);
    push(&mut pod["volumes"], volume);
}

fn push(list: &mut Value, value: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(value);
    }
}

fn pod(chart: &Value, config: Option<&Value>) -> Value {
    let image = Some(spec(chart, "jobImage").trim()).filter(|image| !image.is_empty());
    let volumes = SCRATCH.map(|(name, _)| json!({"name": name, "emptyDir": {"medium": "Memory"}}));
    let mounts = SCRATCH.map(|(name, path)| json!({"name": name, "mountPath": path}));
    let given = |field: &str, default: Value| {
        let own = at(chart, &["spec", field]).filter(|own| !own.is_null());
        own.cloned().unwrap_or(default)
    };
    let container = json!({
        "name": "helm", "image": image.unwrap_or(IMAGE), "imagePullPolicy": "IfNotPresent",
        "args": arguments(chart), "env": environment(chart, config),
        "resources": {"requests": {"cpu": "100m", "memory": "10M"},
            "limits": {"cpu": "32", "memory": "32G"}},
        "securityContext": given("securityContext", json!({"allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true})),
        "volumeMounts": mounts,
    });
    let mut pod = json!({
        "restartPolicy": "OnFailure",
        "serviceAccountName": format!("helm-{}", object::name(chart)),
        "priorityClassName": "system-cluster-critical",
        "securityContext": given("podSecurityContext", json!({"runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"}})),
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "containers": [container], "volumes": volumes,
    });
    if flag(chart, &["spec", "bootstrap"]) {
        bootstrap(&mut pod);
    }
    for (field, volume, path) in [
        ("authSecret", "auth", "/auth"),
        (
            "dockerRegistrySecret",
            "dockerconfig",
            "/home/klipper-helm/.docker",
        ),
    ] {
        if let Some(name) = text(chart, &["spec", field, "name"]) {
            let secret = json!({"name": volume, "secret": {"secretName": name}});
            mount(&mut pod, secret, path);
        }
    }
    if let Some(name) = text(chart, &["spec", "repoCAConfigMap", "name"]) {
        let files = json!({"name": "ca-files", "configMap": {"name": name}});
        mount(&mut pod, files, "/ca-files");
    }
    pod
}

/// A chart that the cluster needs to become one runs on a server that is not ready yet.
fn bootstrap(pod: &mut Value) {
    pod["hostNetwork"] = true.into();
    pod["nodeSelector"]["node-role.kubernetes.io/control-plane"] = "true".into();
    let waits = "node.cloudprovider.kubernetes.io/uninitialized";
    let role = "node-role.kubernetes.io";
    pod["tolerations"] = json!([
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"},
        {"key": waits, "operator": "Equal", "value": "true", "effect": "NoSchedule"},
        {"key": "CriticalAddonsOnly", "operator": "Exists"},
        {"key": format!("{role}/etcd"), "operator": "Exists", "effect": "NoExecute"},
        {"key": format!("{role}/control-plane"), "operator": "Exists", "effect": "NoSchedule"},
    ]);
}

fn environment(chart: &Value, config: Option<&Value>) -> Vec<Value> {
    let or = |field: &str, default: &str| match spec(chart, field) {
        "" => default.to_owned(),
        own => own.to_owned(),
    };
    let flag = |field: &str| flag(chart, &["spec", field]).to_string();
    let name = object::name(chart);
    let named = match spec(chart, "repo") {
        "" => spec(chart, "chart").to_owned(),
        _ => format!("{name}/{}", spec(chart, "chart")),
    };
    let policy = config.map(|config| spec(config, "failurePolicy"));
    let policy = policy.filter(|policy| !policy.is_empty());
    let mut all = vec![
        ("NAME", name.to_owned()),
        ("VERSION", or("version", "")),
        ("REPO", or("repo", "")),
        ("HELM_DRIVER", or("driver", "secret")),
        ("CHART_NAMESPACE", object::namespace(chart).to_owned()),
        ("CHART", named),
        ("HELM_VERSION", or("helmVersion", "")),
        ("TARGET_NAMESPACE", target(chart).to_owned()),
        ("AUTH_PASS_CREDENTIALS", flag("authPassCredentials")),
        ("INSECURE_SKIP_TLS_VERIFY", flag("insecureSkipTLSVerify")),
        ("PLAIN_HTTP", flag("plainHTTP")),
    ];
    let timeout = spec(chart, "timeout");
    if !timeout.is_empty() {
        all.push(("TIMEOUT", timeout.to_owned()));
    }
    if object::flag(chart, &["spec", "bootstrap"]) {
        all.push(("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()));
        all.push(("KUBERNETES_SERVICE_PORT", "6443".to_owned()));
        all.push(("BOOTSTRAP", "true".to_owned()));
    }
    let own = or("failurePolicy", "reinstall");
    all.push(("FAILURE_POLICY", policy.map_or(own, str::to_owned)));
    all.into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn arguments(chart: &Value) -> Vec<String> {
    if object::terminating(chart) {
        return vec!["delete".to_owned()];
    }
    let mut args = vec!["install".to_owned()];
    let mut option = |name: &str, value: &str| {
        args.push(name.to_owned());
        if !value.is_empty() {
            args.push(value.to_owned());
        }
    };
    if !spec(chart, "targetNamespace").is_empty() {
        option("--namespace", spec(chart, "targetNamespace"));
    }
    for (field, name) in [
        ("createNamespace", "--create-namespace"),
        ("takeOwnership", "--take-ownership"),
    ] {
        if flag(chart, &["spec", field]) {
            option(name, "");
        }
    }
    if !spec(chart, "version").is_empty() {
        option("--version", spec(chart, "version"));
    }
    for (key, value) in map(chart, &["spec", "set"]).into_iter().flatten() {
        match value {
            Value::String(text) if !["true", "false", "null"].contains(&&*text.to_lowercase()) => {
                option(
                    "--set-string",
                    &format!("{key}={}", super::values::escaped(text)),
                );
            }
            Value::String(text) => option("--set", &format!("{key}={text}")),
            other => option("--set", &format!("{key}={other}")),
        }
    }
    args
}
