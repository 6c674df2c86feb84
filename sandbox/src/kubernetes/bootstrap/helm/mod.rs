//! The definitions K3s registers for its Helm controller.

use serde_json::Value;

/// One file each, beside this one.
const FILES: [&str; 2] = [
    include_str!("helmcharts.yaml"),
    include_str!("helmchartconfigs.yaml"),
];

/// The definitions of `helm.cattle.io`.
pub(super) fn definitions() -> Vec<Value> {
    // Both are YAML, as the test below sees.
    let read = FILES.iter().map(|text| serde_norway::from_str(text).ok());
    read.flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use serde::Deserialize as _;

    use super::*;
    use crate::kubernetes::object::{at, flag, items, map, name};

    /// What the controller got after v0.17.1, which no K3s of the sandbox has.
    const NEWER: [&str; 6] = [
        "helmcharts.helm.cattle.io .spec.failurePolicy \"retry\"",
        "helmcharts.helm.cattle.io .spec.forceConflicts",
        "helmcharts.helm.cattle.io .spec.serverSide",
        "helmchartconfigs.helm.cattle.io .spec.failurePolicy \"retry\"",
        "helmchartconfigs.helm.cattle.io .spec.forceConflicts",
        "helmchartconfigs.helm.cattle.io .spec.serverSide",
    ];

    fn schema(crd: &Value) -> &Value {
        &items(crd, &["spec", "versions"])[0]["schema"]["openAPIV3Schema"]
    }

    /// What a schema takes that another one does not take the same way.
    fn missing(wanted: &Value, ours: &Value, path: &str, out: &mut BTreeSet<String>) {
        if flag(ours, &["x-kubernetes-preserve-unknown-fields"]) {
            return;
        }
        for keyword in ["type", "format", "default", "x-kubernetes-int-or-string"] {
            if wanted.get(keyword) != ours.get(keyword) {
                out.insert(format!("{path} {keyword}"));
            }
        }
        let known = items(ours, &["enum"]);
        for value in items(wanted, &["enum"]) {
            if !known.contains(value) {
                out.insert(format!("{path} {value}"));
            }
        }
        for (key, child) in map(wanted, &["properties"]).into_iter().flatten() {
            let below = format!("{path}.{key}");
            match at(ours, &["properties", key]) {
                Some(found) => missing(child, found, &below, out),
                None => drop(out.insert(below)),
            }
        }
        for keyword in ["items", "additionalProperties"] {
            match (wanted.get(keyword), ours.get(keyword)) {
                (Some(child), Some(found)) => missing(child, found, &format!("{path}[]"), out),
                (None, None) => {}
                _ => drop(out.insert(format!("{path} {keyword}"))),
            }
        }
    }

    #[test]
    fn both_definitions_are_read() {
        let names: Vec<String> = definitions().iter().map(|crd| name(crd).into()).collect();
        assert_eq!(
            names,
            [
                "helmcharts.helm.cattle.io",
                "helmchartconfigs.helm.cattle.io"
            ]
        );
    }

    #[test]
    fn they_take_what_the_real_ones_take() {
        let Some(folder) = std::env::var_os("KPLAN_TEST_UPSTREAM").map(PathBuf::from) else {
            kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
            return;
        };
        let folder = folder.join("helm-controller/v0.17.7");
        let mut differences = BTreeSet::new();
        for ours in definitions() {
            let plural = ours["spec"]["names"]["plural"].as_str().unwrap();
            let file = folder.join(format!("helm.cattle.io_{plural}.yaml"));
            let text = std::fs::read_to_string(file).unwrap();
            let real = serde_norway::Deserializer::from_str(&text);
            let real: Vec<Value> = real.map(|one| Value::deserialize(one).unwrap()).collect();
            let real = real.iter().find(|one| name(one) == name(&ours)).unwrap();
            assert_eq!(real["spec"]["names"], ours["spec"]["names"]);
            assert_eq!(real["spec"]["scope"], ours["spec"]["scope"]);
            let version = |crd: &Value| items(crd, &["spec", "versions"])[0].clone();
            for field in ["name", "subresources", "additionalPrinterColumns"] {
                assert_eq!(version(real).get(field), version(&ours).get(field));
            }
            let mut found = BTreeSet::new();
            missing(schema(real), schema(&ours), "", &mut found);
            missing(schema(&ours), schema(real), "", &mut found);
            let named = found.iter().map(|field| format!("{} {field}", name(&ours)));
            differences.extend(named);
        }
        let newer: BTreeSet<String> = NEWER.iter().map(|&field| field.to_owned()).collect();
        assert_eq!(differences, newer);
    }
}
