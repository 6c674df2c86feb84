//! Sets of fields in the `FieldsV1` form of `metadata.managedFields`.

use serde_json::{Map, Value};

use super::{Element, FieldSet, Node};

impl FieldSet {
    /// `{"f:spec": {"f:replicas": {}}}`.
    pub(crate) fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (element, node) in &self.nodes {
            let key = match element {
                Element::Field(name) => format!("f:{name}"),
                Element::Key(keys) => format!("k:{keys}"),
                Element::Value(value) => format!("v:{value}"),
            };
            let mut below = node.below.to_json();
            if node.member && !node.below.is_empty() {
                below["."] = Value::Object(Map::new());
            }
            out.insert(key, below);
        }
        Value::Object(out)
    }

    /// Reads the form back; what is not in it is ignored.
    pub(crate) fn from_json(value: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        for (key, below) in value.as_object().into_iter().flatten() {
            let Some(element) = element(key) else {
                continue;
            };
            let children = FieldSet::from_json(below);
            let member = below.get(".").is_some() || children.is_empty();
            set.nodes.insert(
                element,
                Node {
                    member,
                    below: children,
                },
            );
        }
        set
    }
}

fn element(key: &str) -> Option<Element> {
    let (prefix, rest) = key.split_once(':')?;
    let canonical = || {
        serde_json::from_str::<Value>(rest)
            .ok()
            .map(|value| value.to_string())
    };
    match prefix {
        "f" => Some(Element::Field(rest.to_owned())),
        "k" => canonical().map(Element::Key),
        "v" => canonical().map(Element::Value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_v1_survives_both_directions() {
        let form = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {".": {}, "v:\"x/y\"": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
        });
        assert_eq!(FieldSet::from_json(&form).to_json(), form);
    }
}
