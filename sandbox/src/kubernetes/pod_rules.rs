//! What the API server refuses in pods and pod templates beyond their types.

use serde_json::Value;

use super::names::{LABEL_HELP, is_label};
use super::object::{at, items, map, number, text};
use super::status::Cause;

/// Checks the pod `spec` at a path of the object.
pub(crate) fn check(object: &Value, path: &[&str], causes: &mut Vec<Cause>) {
    let prefix = path.join(".");
    let empty = Value::Null;
    let spec = at(object, path).unwrap_or(&empty);
    if items(spec, &["containers"]).is_empty() {
        causes.push(Cause::required(format!("{prefix}.containers")));
    }
    let mut volumes: Vec<&str> = items(spec, &["volumes"])
        .iter()
        .filter_map(|volume| text(volume, &["name"]))
        .collect();
    // Claim templates of a StatefulSet provide volumes too.
    let claims = items(object, &["spec", "volumeClaimTemplates"]);
    volumes.extend(
        claims
            .iter()
            .filter_map(|claim| text(claim, &["metadata", "name"])),
    );
    for group in ["initContainers", "containers"] {
        for (index, container) in items(spec, &[group]).iter().enumerate() {
            let place = format!("{prefix}.{group}[{index}]");
            one_container(container, &place, &volumes, causes);
        }
    }
    one_of(
        spec,
        "restartPolicy",
        &["Always", "OnFailure", "Never"],
        &prefix,
        causes,
    );
    one_of(
        spec,
        "dnsPolicy",
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        &prefix,
        causes,
    );
}

/// A workload that runs to completion must say what becomes of containers that end.
pub(crate) fn ends(object: &Value, path: &[&str], causes: &mut Vec<Cause>) {
    let policy = at(object, path).and_then(|spec| text(spec, &["restartPolicy"]));
    if policy.is_none_or(|policy| policy == "Always") {
        causes.push(Cause::missing(
            format!("{}.restartPolicy", path.join(".")),
            "valid values: \"OnFailure\", \"Never\"",
        ));
    }
}

fn one_of(object: &Value, field: &str, allowed: &[&str], place: &str, causes: &mut Vec<Cause>) {
    if let Some(value) = text(object, &[field])
        && !allowed.contains(&value)
    {
        let allowed: Vec<Value> = allowed.iter().map(|&one| one.into()).collect();
        causes.push(Cause::not_supported(
            format!("{place}.{field}"),
            &value.into(),
            &allowed,
        ));
    }
}

fn one_container(container: &Value, place: &str, volumes: &[&str], causes: &mut Vec<Cause>) {
    let field = |name: &str| format!("{place}.{name}");
    match text(container, &["name"]).unwrap_or_default() {
        "" => causes.push(Cause::required(field("name"))),
        name if !is_label(name) => {
            causes.push(Cause::invalid(field("name"), &name.into(), LABEL_HELP));
        }
        _ => {}
    }
    if text(container, &["image"]).is_none_or(str::is_empty) {
        causes.push(Cause::required(field("image")));
    }
    for (index, port) in items(container, &["ports"]).iter().enumerate() {
        let field = format!("{place}.ports[{index}].containerPort");
        match number(port, &["containerPort"]).unwrap_or(0) {
            0 => causes.push(Cause::required(field)),
            1..=65_535 => {}
            other => causes.push(Cause::invalid(
                field,
                &other.into(),
                "must be between 1 and 65535, inclusive",
            )),
        }
    }
    for (index, variable) in items(container, &["env"]).iter().enumerate() {
        if text(variable, &["name"]).is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{place}.env[{index}].name")));
        }
    }
    for (index, mount) in items(container, &["volumeMounts"]).iter().enumerate() {
        let place = format!("{place}.volumeMounts[{index}]");
        let name = text(mount, &["name"]).unwrap_or_default();
        if !volumes.contains(&name) {
            causes.push(Cause {
                reason: "FieldValueNotFound",
                field: format!("{place}.name"),
                message: format!("Not found: \"{name}\""),
            });
        }
        if text(mount, &["mountPath"]).is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{place}.mountPath")));
        }
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(container, "imagePullPolicy", &policies, place, causes);
    requests(container, place, causes);
}

/// No request is above its limit.
fn requests(container: &Value, place: &str, causes: &mut Vec<Cause>) {
    let limits = map(container, &["resources", "limits"]);
    for (resource, request) in map(container, &["resources", "requests"])
        .into_iter()
        .flatten()
    {
        let Some(limit) = limits.and_then(|limits| limits.get(resource)) else {
            continue;
        };
        if amount(request) > amount(limit) {
            let shown = limit
                .as_str()
                .map_or_else(|| limit.to_string(), str::to_owned);
            let why = format!("must be less than or equal to {resource} limit of {shown}");
            causes.push(Cause::invalid(
                format!("{place}.resources.requests"),
                request,
                &why,
            ));
        }
    }
}

/// A quantity as a number; what does not parse counts as nothing.
pub(crate) fn amount(quantity: &Value) -> f64 {
    const UNITS: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let text = match quantity {
        Value::String(text) => text.as_str(),
        other => return other.as_f64().unwrap_or(0.0),
    };
    if let Ok(plain) = text.parse() {
        return plain;
    }
    UNITS
        .iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_are_checked_as_the_real_server_checks_them() {
        let object = json!({"spec": {"restartPolicy": "Sometimes", "containers": [
            {"name": "C_x", "image": ""},
            {"name": "c", "image": "i", "imagePullPolicy": "Foo", "ports": [{"containerPort": 0}],
             "env": [{"name": ""}], "volumeMounts": [{"name": "v", "mountPath": "/x"}],
             "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "3000m"}}},
        ]}});
        let mut causes = Vec::new();
        check(&object, &["spec"], &mut causes);
        let found: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(
            found,
            [
                "spec.containers[0].name",
                "spec.containers[0].image",
                "spec.containers[1].ports[0].containerPort",
                "spec.containers[1].env[0].name",
                "spec.containers[1].volumeMounts[0].name",
                "spec.containers[1].imagePullPolicy",
                "spec.containers[1].resources.requests",
                "spec.restartPolicy",
            ]
        );
        assert!(amount(&json!("1Gi")) > amount(&json!("1G")));
        assert!((amount(&json!("100m")) - 0.1).abs() < 1e-9);
    }
}
