//! What a `CustomResourceDefinition` object says, parsed for serving.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::core;
use crate::kubernetes::object::{self, as_map, flag, items, text};
use crate::kubernetes::resources::{ResourceType, ScalePaths, Types};

/// One served version of a CRD.
#[derive(Debug)]
pub(crate) struct CrdVersion {
    /// Schema of whole objects, with `apiVersion`, `kind` and `metadata` filled in.
    pub(crate) schema: Value,
    /// `additionalPrinterColumns`.
    pub(crate) columns: Vec<Column>,
    /// Paths of `selectableFields`, without the leading dot.
    pub(crate) selectable: Vec<String>,
    /// The version objects are stored in.
    pub(crate) storage: bool,
}

/// One additional printer column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) priority: i64,
    pub(crate) json_path: String,
}

/// The resources an established CRD serves, its preferred version first.
pub(crate) fn resources(crd: &Value) -> Vec<ResourceType> {
    if !object::is_true(crd, "Established") {
        return Vec::new();
    }
    let mut versions: Vec<&Value> = items(crd, &["spec", "versions"])
        .iter()
        .filter(|v| flag(v, &["served"]))
        .collect();
    versions.sort_by_key(|version| {
        std::cmp::Reverse(priority(text(version, &["name"]).unwrap_or_default()))
    });
    versions
        .into_iter()
        .map(|version| resource(crd, version))
        .collect()
}

fn resource(crd: &Value, version: &Value) -> ResourceType {
    let names = &crd["spec"]["names"];
    let string = |key: &str| text(names, &[key]).unwrap_or_default().to_owned();
    let strings = |key: &str| -> Vec<String> {
        items(names, &[key])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let kind = string("kind");
    let singular = text(names, &["singular"]).map_or_else(|| kind.to_lowercase(), str::to_owned);
    let list_kind = text(names, &["listKind"]).map_or_else(|| format!("{kind}List"), str::to_owned);
    let scale = object::at(version, &["subresources", "scale"]).map(|scale| {
        let path = |key: &str| text(scale, &[key]).map(simple_path);
        ScalePaths {
            spec: path("specReplicasPath").unwrap_or_default(),
            status: path("statusReplicasPath").unwrap_or_default(),
            selector: path("labelSelectorPath"),
        }
    });
    ResourceType {
        group: text(crd, &["spec", "group"]).unwrap_or_default().to_owned(),
        version: text(version, &["name"]).unwrap_or_default().to_owned(),
        plural: string("plural"),
        singular,
        kind,
        list_kind,
        namespaced: text(crd, &["spec", "scope"]) == Some("Namespaced"),
        short_names: strings("shortNames"),
        categories: strings("categories"),
        status: object::at(version, &["subresources", "status"]).is_some(),
        scale,
        types: Types::Custom(Arc::new(CrdVersion {
            schema: whole_object(crd, version),
            columns: columns(version),
            selectable: items(version, &["selectableFields"])
                .iter()
                .filter_map(|field| text(field, &["jsonPath"]))
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
            storage: flag(version, &["storage"]),
        })),
    }
}

/// `.spec.replicas` as keys.
fn simple_path(path: &str) -> Vec<String> {
    path.split('.')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn whole_object(crd: &Value, version: &Value) -> Value {
    let mut schema = object::at(version, &["schema", "openAPIV3Schema"])
        .cloned()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let root = as_map(&mut schema);
    root.entry("type").or_insert_with(|| "object".into());
    let properties = as_map(
        root.entry("properties")
            .or_insert_with(|| Map::new().into()),
    );
    properties.insert("apiVersion".into(), json!({"type": "string"}));
    properties.insert("kind".into(), json!({"type": "string"}));
    properties.insert("metadata".into(), core::reference(core::OBJECT_META));
    root.insert(
        "x-kubernetes-group-version-kind".into(),
        json!([{
            "group": crd["spec"]["group"], "version": version["name"], "kind": crd["spec"]["names"]["kind"],
        }]),
    );
    schema
}

fn columns(version: &Value) -> Vec<Column> {
    items(version, &["additionalPrinterColumns"])
        .iter()
        .map(|column| {
            let string = |key: &str| text(column, &[key]).unwrap_or_default().to_owned();
            Column {
                name: string("name"),
                kind: string("type"),
                format: string("format"),
                priority: object::number(column, &["priority"]).unwrap_or(0),
                json_path: string("jsonPath"),
            }
        })
        .collect()
}

/// Order of API versions: releases before betas before alphas, higher numbers first, others last.
fn priority(version: &str) -> (u8, u64, u64) {
    let parse = || -> Option<(u8, u64, u64)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        match (tail, tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
            ("", _, _) => Some((3, major, 0)),
            (_, Some(minor), _) => Some((2, major, minor.parse().ok()?)),
            (_, _, Some(minor)) => Some((1, major, minor.parse().ok()?)),
            _ => None,
        }
    };
    parse().unwrap_or((0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_the_api_does() {
        let mut names = ["v1alpha1", "v10", "v1beta2", "foo", "v2", "v1beta10"];
        names.sort_by_key(|name| std::cmp::Reverse(priority(name)));
        assert_eq!(
            names,
            ["v10", "v2", "v1beta10", "v1beta2", "v1alpha1", "foo"]
        );
    }
}
