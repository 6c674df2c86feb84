//! Schemas of the built-in kinds, taken from the type definitions of `k8s-openapi`.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{REF_PREFIX, Schema, merge_keys};
use crate::kubernetes::resources::BUILTINS;

/// The definition every object's `metadata` has.
pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Definitions whose content is free-form JSON although they say `type: object`.
const FREE_FORM: &[&str] = &[
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
];

/// Definitions that stand for any JSON value.
const ANY_JSON: &[&str] = &[
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
];

static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(build);

/// All definitions by their OpenAPI name.
pub(crate) fn definitions() -> &'static Map<String, Value> {
    &DEFINITIONS
}

/// The schema of a definition; unknown names are open.
pub(crate) fn definition(name: &str) -> Schema<'static> {
    definitions().get(name).map_or(Schema::OPEN, Schema::new)
}

fn build() -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    for builtin in BUILTINS.iter() {
        (builtin.generate)(&mut generator);
    }
    let mut definitions = generator.take_definitions(true);
    merge_keys::annotate(&mut definitions);
    for name in FREE_FORM {
        if let Some(definition) = definitions.get_mut(*name) {
            definition["x-kubernetes-preserve-unknown-fields"] = true.into();
        }
    }
    for name in ANY_JSON {
        if let Some(Value::Object(definition)) = definitions.get_mut(*name) {
            definition.retain(|keyword, _| keyword == "description");
        }
    }
    for builtin in BUILTINS.iter() {
        if let Some(definition) = definitions.get_mut(&builtin.definition) {
            definition["x-kubernetes-group-version-kind"] = json!([{
                "group": builtin.group, "version": builtin.version, "kind": builtin.kind,
            }]);
        }
    }
    definitions
}

/// A reference to a definition.
pub(crate) fn reference(name: &str) -> Value {
    json!({"$ref": format!("{REF_PREFIX}{name}")})
}

#[cfg(test)]
mod tests {
    use super::super::{Child, Kind, ListType};
    use super::*;

    #[test]
    fn built_in_types_know_their_fields_and_list_keys() {
        let mut schema = definition("io.k8s.api.apps.v1.Deployment");
        for key in ["spec", "template", "spec", "containers"] {
            let Child::Declared(next) = schema.child(key) else {
                panic!("{key} is not declared")
            };
            schema = next;
        }
        assert_eq!(schema.kind(), Kind::Array);
        assert_eq!(schema.list_type(), ListType::Map(vec!["name"]));
        let ports = schema.items().child("ports").schema();
        assert_eq!(
            ports.list_type(),
            ListType::Map(vec!["containerPort", "protocol"])
        );
        assert_eq!(ports.items().key_default("protocol"), Some(&json!("TCP")));
        assert_eq!(ports.patch_merge_key(), Some("containerPort"));
        let tolerations = definition("io.k8s.api.core.v1.PodSpec")
            .child("tolerations")
            .schema();
        assert_eq!(tolerations.list_type(), ListType::Atomic);
        assert!(matches!(
            schema.items().child("imagePullPolice"),
            Child::Unknown
        ));
        let labels = definition(OBJECT_META).child("labels").schema();
        assert!(matches!(labels.child("anything"), Child::Additional(_)));
    }

    #[test]
    fn every_reference_resolves() {
        fn walk(value: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(target)) = map.get("$ref") {
                        let name = target.trim_start_matches(REF_PREFIX);
                        assert!(definitions().contains_key(name), "{target}");
                    }
                    map.values().for_each(walk);
                }
                Value::Array(items) => items.iter().for_each(walk),
                _ => {}
            }
        }
        definitions().values().for_each(walk);
    }
}
