//! What can be asked of an operation, and what of it an exchange did ask.
//!
//! An input is written as `?name` (a query parameter), `.name` (a property of the request body) or
//! `.type=value` (a value of the property that tells the alternatives of a body apart).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::document::Document;
use crate::parameters::documented;
use crate::pointer::{Place, follow};
use crate::report::Exchange;
use crate::schema::json_content;

/// Bodies nest alternatives a few levels deep; more is a cycle.
const MAX_DEPTH: usize = 8;

impl Document {
    /// Every input the document has for an operation; empty for one it does not have.
    ///
    /// # Errors
    /// When the document's own references lead nowhere.
    pub fn inputs(&self, method: &str, template: &str) -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        let Some((path_item, operation)) = self.operation(template, method)? else {
            return Ok(found);
        };
        for parameter in documented(&self.root, &path_item, &operation)? {
            if parameter.place == "query" {
                found.insert(format!("?{}", parameter.name));
            }
        }
        let body = operation.get(&self.root, "requestBody")?;
        let content = match &body {
            Some(body) => body.get(&self.root, "content")?,
            None => None,
        };
        if let Some(pointer) = content.as_ref().and_then(json_content) {
            let value = self.root.pointer(&pointer).unwrap_or(&Value::Null);
            let schema = follow(&self.root, pointer, value)?;
            self.properties(&schema, 0, &mut found)?;
        }
        Ok(found)
    }

    /// Adds the properties a client may send, from a schema and its alternatives.
    fn properties(
        &self,
        schema: &Place<'_>,
        depth: usize,
        found: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("#{} nests too deep", schema.pointer));
        }
        let own = schema.value.get("properties").and_then(Value::as_object);
        for (name, value) in own.into_iter().flatten() {
            let property = follow(&self.root, String::new(), value)?;
            if property.value.get("readOnly") != Some(&Value::Bool(true)) {
                found.insert(format!(".{name}"));
            }
        }
        if let Some(chooser) = schema.value.get("discriminator") {
            let name = chooser.get("propertyName").and_then(Value::as_str);
            let values = chooser.get("mapping").and_then(Value::as_object);
            for value in values.into_iter().flat_map(serde_json::Map::keys) {
                found.insert(format!(".{}={value}", name.unwrap_or_default()));
            }
        }
        for key in ["allOf", "oneOf", "anyOf"] {
            let parts = schema.value.get(key).and_then(Value::as_array);
            for part in parts.into_iter().flatten() {
                let part = follow(&self.root, String::new(), part)?;
                self.properties(&part, depth + 1, found)?;
            }
        }
        Ok(())
    }

    /// The operation an exchange is of, as `GET /v2/droplets`, and the documented inputs it used.
    /// `None` where the document has no such operation.
    ///
    /// # Errors
    /// When the document's own references lead nowhere.
    pub fn used(&self, exchange: &Exchange) -> Result<Option<(String, BTreeSet<String>)>, String> {
        let (path, in_path) = match exchange.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (exchange.path.as_str(), None),
        };
        let Some(template) = self.template(path) else {
            return Ok(None);
        };
        let method = exchange.method.to_uppercase();
        if self.operation(template, &method)?.is_none() {
            return Ok(None);
        }
        let query = exchange.query.as_deref().or(in_path).unwrap_or_default();
        let mut asked: BTreeSet<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| format!("?{}", pair.split('=').next().unwrap_or_default()))
            .collect();
        let body = exchange.request.as_ref().and_then(Value::as_object);
        for (name, value) in body.into_iter().flatten() {
            asked.insert(format!(".{name}"));
            if let Some(value) = value.as_str() {
                asked.insert(format!(".{name}={value}"));
            }
        }
        let known = self.inputs(&method, template)?;
        let used = asked.intersection(&known).cloned().collect();
        Ok(Some((format!("{method} {template}"), used)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        let action = |kind: &str, extra: &str| {
            json!({ "type": "object", "properties": {
                "type": { "type": "string", "enum": [kind] },
                extra: { "type": "string" },
            }})
        };
        Document::from_value(json!({
            "openapi": "3.0.0",
            "paths": { "/v2/things/{id}/actions": {
                "get": { "parameters": [
                    { "name": "page", "in": "query", "schema": { "type": "integer" } },
                ], "responses": {} },
                "post": { "requestBody": { "content": { "application/json": { "schema": {
                    "anyOf": [action("grow", "size"), { "$ref": "#/components/schemas/shrink" }],
                    "discriminator": { "propertyName": "type", "mapping": {
                        "grow": "#/x", "shrink": "#/y",
                    }},
                }}}}, "responses": {} },
            }},
            "components": { "schemas": { "shrink": {
                "allOf": [action("shrink", "why")],
                "properties": { "id": { "readOnly": true } },
            }}},
        }))
        .unwrap()
    }

    #[test]
    fn inputs_are_parameters_properties_and_alternatives() {
        let inputs = document()
            .inputs("POST", "/v2/things/{id}/actions")
            .unwrap();
        let expected = [".size", ".type", ".type=grow", ".type=shrink", ".why"];
        assert_eq!(inputs, expected.map(str::to_owned).into());
        let inputs = document().inputs("GET", "/v2/things/{id}/actions").unwrap();
        assert_eq!(inputs, ["?page".to_owned()].into());
        assert!(
            document()
                .inputs("PUT", "/v2/things/{id}/actions")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn only_documented_inputs_count_as_used() {
        let exchange: Exchange = serde_json::from_value(json!({
            "method": "post", "path": "/v2/things/7/actions?page=2", "status": 200,
            "request": { "type": "grow", "size": "large", "colour": "red" },
        }))
        .unwrap();
        let (operation, used) = document().used(&exchange).unwrap().unwrap();
        assert_eq!(operation, "POST /v2/things/{id}/actions");
        assert_eq!(
            used,
            [".size", ".type", ".type=grow"].map(str::to_owned).into()
        );
    }
}
