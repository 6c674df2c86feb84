//! Resource modifiers: rules of a config map that change objects on their way into a cluster.

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kubernetes::object::{self, Object};
use crate::kubernetes::patch;
use crate::kubernetes::schema::Schema;
use crate::kubernetes::selector::LabelSelector;

/// The rules, as Velero reads them: strictly.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Modifiers {
    version: String,
    resource_modifier_rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    conditions: Conditions,
    #[serde(default)]
    patches: Vec<Step>,
    #[serde(default)]
    merge_patches: Vec<Data>,
    #[serde(default)]
    strategic_patches: Vec<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Conditions {
    #[serde(default)]
    namespaces: Vec<String>,
    group_resource: String,
    #[serde(default)]
    resource_name_regex: String,
    label_selector: Option<Value>,
    #[serde(default)]
    matches: Vec<Match>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    path: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    operation: String,
    #[serde(default)]
    from: String,
    path: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Data {
    #[serde(default)]
    patch_data: String,
}

/// How the JSON patch of the API server says that a `test` did not hold.
const TEST_FAILED: &str = "testing value";

impl Modifiers {
    /// Reads the one entry of a config map.
    ///
    /// # Errors
    /// When there is not exactly one, it does not read, or asks for what Velero does not know.
    pub(super) fn of(map: &Object) -> Result<Modifiers, String> {
        let data = object::map(map, &["data"]);
        let texts: Vec<&str> = data
            .into_iter()
            .flatten()
            .filter_map(|(_, text)| text.as_str())
            .collect();
        let [text] = texts[..] else {
            let (namespace, name) = (object::namespace(map), object::name(map));
            return Err(format!(
                "illegal resource modifiers {namespace}/{name} configmap"
            ));
        };
        let read: Modifiers = serde_norway::from_str(text).map_err(|error| {
            format!("failed to decode yaml data into resource modifiers, err: {error}")
        })?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), String> {
        if !self.version.eq_ignore_ascii_case("v1") {
            return Err(format!(
                "unsupported resource modifier version {}",
                self.version
            ));
        }
        for rule in &self.resource_modifier_rules {
            if rule.conditions.group_resource.is_empty() {
                return Err("groupResource cannot be empty".to_owned());
            }
            let kinds = [
                rule.patches.is_empty(),
                rule.merge_patches.is_empty(),
                rule.strategic_patches.is_empty(),
            ];
            if kinds.iter().filter(|empty| !**empty).count() > 1 {
                return Err("only one of patches, mergePatches, strategicPatches can be specified in a single rule".to_owned());
            }
            for step in &rule.patches {
                let known = ["add", "remove", "replace", "test", "move", "copy"];
                if !known.contains(&step.operation.as_str()) {
                    return Err(format!("unsupported operation {}", step.operation));
                }
            }
        }
        Ok(())
    }

    /// Changes an object by every rule that is about it; gives what did not work.
    pub(super) fn apply(
        &self,
        object: &mut Value,
        group_resource: &str,
        schema: Schema<'_>,
    ) -> Vec<String> {
        // Conditions are about the object as it was.
        let origin = object.clone();
        let mut errors = Vec::new();
        for rule in &self.resource_modifier_rules {
            let applied = match rule.conditions.hold(&origin, group_resource) {
                Ok(true) => rule.apply(object, schema),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            errors.extend(applied.err());
        }
        errors
    }
}

impl Conditions {
    fn hold(&self, object: &Value, group_resource: &str) -> Result<bool, String> {
        let namespace = object::namespace(object);
        let listed = |name: &String| name == "*" || name == namespace;
        let inside = self.namespaces.is_empty()
            || namespace.is_empty()
            || self.namespaces.iter().any(listed);
        if !inside || !glob(&self.group_resource)?.is_match(group_resource) {
            return Ok(false);
        }
        let name = Regex::new(&self.resource_name_regex)
            .map_err(|error| format!("error in matching regex {error}"))?;
        if !name.is_match(object::name(object)) {
            return Ok(false);
        }
        let labels = object::map(object, &["metadata", "labels"]);
        if let Some(selector) = &self.label_selector
            && !LabelSelector::of_spec(selector).matches(labels)
        {
            return Ok(false);
        }
        let tests = self.matches.iter();
        let tests: Vec<Value> = tests
            .map(|one| json!({"op": "test", "path": one.path, "value": value(&one.value)}))
            .collect();
        Ok(patch::json::apply(&mut object.clone(), &tests.into()).is_ok())
    }
}

/// A pattern over `plural.group`, in which `*` stops at dots and `**` does not.
fn glob(pattern: &str) -> Result<Regex, String> {
    let escaped = regex::escape(pattern);
    let any = escaped.replace(r"\*\*", "\0");
    let one = any.replace(r"\*", "[^.]*").replace(r"\?", "[^.]");
    Regex::new(&format!("^{}$", one.replace('\0', ".*"))).map_err(|error| error.to_string())
}

/// A value of a patch, which is text in the rules: what reads as JSON is not quoted.
fn value(text: &str) -> Value {
    let read = serde_json::from_str::<Value>(text).ok();
    read.filter(|value| !value.is_string())
        .unwrap_or_else(|| text.into())
}

impl Rule {
    fn apply(&self, object: &mut Value, schema: Schema<'_>) -> Result<(), String> {
        let wrong = |error: String| format!("error in applying patch {error}");
        let mut changed = object.clone();
        if !self.patches.is_empty() {
            let steps: Vec<Value> = self.patches.iter().map(Step::operation).collect();
            match patch::json::apply(&mut changed, &steps.into()) {
                // The rule is only about objects that its tests hold for.
                Err(error) if error.starts_with(TEST_FAILED) => return Ok(()),
                result => result.map_err(wrong)?,
            }
        } else if !self.merge_patches.is_empty() {
            for data in &self.merge_patches {
                patch::merge::apply(&mut changed, &data.read().map_err(wrong)?);
            }
        } else if !self.strategic_patches.is_empty() {
            for data in &self.strategic_patches {
                let read = data.read().map_err(wrong)?;
                patch::strategic::apply(schema, &mut changed, &read).map_err(wrong)?;
            }
        } else {
            return Err("no patch data found".to_owned());
        }
        *object = changed;
        Ok(())
    }
}

impl Data {
    fn read(&self) -> Result<Value, String> {
        serde_norway::from_str(&self.patch_data)
            .map_err(|error| format!("error in converting YAML to JSON {error}"))
    }
}

impl Step {
    fn operation(&self) -> Value {
        let mut operation = json!({"op": self.operation, "path": self.path});
        if matches!(self.operation.as_str(), "move" | "copy") {
            operation["from"] = self.from.clone().into();
        } else if self.operation != "remove" {
            operation["value"] = value(&self.value);
        }
        operation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
version: v1
resourceModifierRules:
- conditions:
    groupResource: services
    resourceNameRegex: "^web"
    namespaces: [shop]
  patches:
  - operation: test
    path: /spec/type
    value: LoadBalancer
  - operation: remove
    path: /metadata/annotations/id
- conditions:
    groupResource: "*.apps"
  mergePatches:
  - patchData: |
      spec: {replicas: 0}
"#;

    #[test]
    fn rules_change_what_they_are_about() {
        let map = json!({"metadata": {"name": "m"}, "data": {"rules.yaml": RULES}});
        let rules = Modifiers::of(&map.into()).unwrap();
        let open = json!({});
        let service = |name: &str, kind: &str| {
            json!({"metadata": {"name": name, "namespace": "shop", "annotations": {"id": "1"}},
                "spec": {"type": kind}})
        };
        for (name, kind, kept) in [
            ("web", "LoadBalancer", false),
            ("web", "ClusterIP", true),
            ("db", "LoadBalancer", true),
        ] {
            let mut object = service(name, kind);
            assert!(
                rules
                    .apply(&mut object, "services", Schema::new(&open))
                    .is_empty()
            );
            assert_eq!(
                object::annotation(&object, "id").is_some(),
                kept,
                "{name} {kind}"
            );
        }
        let mut bare = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "LoadBalancer"}});
        assert_eq!(
            rules.apply(&mut bare, "services", Schema::new(&open)).len(),
            1
        );
        let mut scaled = json!({"metadata": {"name": "x"}, "spec": {"replicas": 2}});
        rules.apply(&mut scaled, "deployments.apps", Schema::new(&open));
        assert_eq!(scaled["spec"]["replicas"], 0);
    }

    #[test]
    fn rules_that_do_not_read_are_refused() {
        for wrong in [
            json!({}),
            json!({"a": "version: v1", "b": ""}),
            json!({"a": "version: v2\nresourceModifierRules: []"}),
            json!({"a": "version: v1\nresourceModifierRules: []\nmore: 1"}),
        ] {
            let map = json!({"metadata": {"name": "m"}, "data": wrong});
            assert!(Modifiers::of(&map.into()).is_err());
        }
    }
}
