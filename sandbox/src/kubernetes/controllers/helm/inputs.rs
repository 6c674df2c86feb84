//! What a chart's job works with: the archive in a config map, and the values in a Secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::job::spec;
use super::{Pass, SECRETS};
use crate::kubernetes::object::{self, Object, at, flag, items, map, text};
use crate::spaces::to_hex;

/// The config map with the chart, empty where the chart comes from elsewhere.
pub(super) fn content(chart: &Value) -> Value {
    let mut data = Map::new();
    if let Some(content) = Some(spec(chart, "chartContent")).filter(|text| !text.is_empty()) {
        data.insert(
            format!("{}.tgz.base64", object::name(chart)),
            content.into(),
        );
    }
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("chart-content-{}", object::name(chart)),
            "namespace": object::namespace(chart)},
        "data": data,
    })
}

/// The Secret with a chart's values, and the parts of the volume they are in.
pub(super) struct Values {
    pub(super) secret: Value,
    pub(super) sources: Vec<Value>,
}

/// Values of the chart and of the `HelmChartConfig` of its name, whose files come later.
pub(super) fn values(chart: &Value, config: Option<&Value>) -> Values {
    let secret_name = format!("chart-values-{}", object::name(chart));
    let (mut data, mut files) = (Map::new(), Vec::new());
    let mut sources = Vec::new();
    for (index, kind, of) in [
        (0, "HelmChart", Some(chart)),
        (1, "HelmChartConfig", config),
    ] {
        let Some(of) = of else { continue };
        let structured = at(of, &["spec", "values"])
            .filter(|values| !object::without_empty(values).is_null() && **values != json!({}))
            .map(|values| serde_norway::to_string(values).unwrap_or_default());
        let plain = Some(spec(of, "valuesContent").to_owned()).filter(|text| !text.is_empty());
        let parts = [(plain, "ValuesContent"), (structured, "Values")];
        for (number, (content, part)) in parts.into_iter().enumerate() {
            let Some(content) = content else { continue };
            let key = format!("{kind}{part}");
            data.insert(key.clone(), STANDARD.encode(content).into());
            let path = format!("values-{index}-{number:03}-{kind}-{part}.yaml");
            files.push(json!({"key": key, "path": path}));
        }
        let mut number = 1;
        for secret in items(of, &["spec", "valuesSecrets"]) {
            let (name, keys) = (text(secret, &["name"]), items(secret, &["keys"]));
            let Some(name) = name.filter(|name| *name != secret_name && !keys.is_empty()) else {
                continue;
            };
            let mut items = Vec::new();
            for key in keys {
                number += 1;
                let path = format!("values-{index}-{number:03}-{kind}-ValuesSecret.yaml");
                items.push(json!({"key": key, "path": path}));
            }
            let optional = flag(secret, &["ignoreUpdates"]);
            sources.push(json!({"secret": {"name": name, "optional": optional, "items": items}}));
        }
    }
    let authority = spec(chart, "repoCA");
    if !authority.is_empty() {
        data.insert("RepoCA".to_owned(), STANDARD.encode(authority).into());
        files.push(json!({"key": "RepoCA", "path": "ca-file.pem"}));
    }
    sources.insert(0, json!({"secret": {"name": secret_name, "items": files}}));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helmcharts.helm.cattle.io/values",
        "metadata": {"name": secret_name, "namespace": object::namespace(chart)},
        "data": data,
    });
    Values { secret, sources }
}

/// The Secrets whose changes make a new job.
pub(super) fn values_secrets(pass: &Pass<'_>, chart: &Value, config: Option<&Value>) -> Vec<Value> {
    let all = [Some(chart), config].into_iter().flatten();
    let own = format!("chart-values-{}", object::name(chart));
    let named = all.flat_map(|of| items(of, &["spec", "valuesSecrets"]));
    named
        .filter(|secret| !flag(secret, &["ignoreUpdates"]))
        .filter_map(|secret| text(secret, &["name"]))
        .filter(|name| *name != own)
        .filter_map(|name| pass.get(SECRETS, object::namespace(chart), name))
        .map(|secret: Object| Value::clone(&secret))
        .collect()
}

/// Of the `data` of objects, keys in order.
pub(super) fn digest(objects: &[Value]) -> String {
    let mut hash = Sha256::new();
    for object in objects {
        for (key, value) in map(object, &["data"]).into_iter().flatten() {
            hash.update(key);
            hash.update(value.as_str().unwrap_or_default());
        }
    }
    to_hex(&hash.finalize()).to_uppercase()
}
