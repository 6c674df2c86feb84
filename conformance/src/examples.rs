//! The document's own examples, so that the document can be checked against itself.

use serde_json::Value;

use crate::body::response_for;
use crate::document::{Document, DocumentError};
use crate::pointer::{Place, follow};
use crate::report::{Location, Violation};
use crate::schema::{Direction, json_content};

/// One example body the document gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The request method, upper case.
    pub method: String,
    /// The path template.
    pub path_template: String,
    /// The status of the response; 0 for a request body.
    pub status: u16,
    /// [`Location::Request`] or [`Location::Response`].
    pub location: Location,
    /// The example's name; empty for a single unnamed one.
    pub name: String,
    /// The body.
    pub value: Value,
    /// Pointer to the schema the body must satisfy.
    schema: String,
}

impl Document {
    /// The example bodies of all requests and successful (2xx) responses.
    ///
    /// # Errors
    /// When a reference in the document leads nowhere.
    pub fn examples(&self) -> Result<Vec<Example>, DocumentError> {
        let mut out = Vec::new();
        for (method, template) in self.operations() {
            self.examples_of(&method, &template, &mut out)
                .map_err(DocumentError)?;
        }
        Ok(out)
    }

    /// What is wrong with an example of [`Document::examples`].
    pub fn check_example(&self, example: &Example) -> Vec<Violation> {
        let direction = match example.location {
            Location::Request => Direction::Request,
            _ => Direction::Response,
        };
        let violation = |pointer: String, message: String| Violation {
            method: example.method.clone(),
            path_template: example.path_template.clone(),
            status: example.status,
            location: example.location,
            pointer,
            message,
        };
        match self.cache.get(&self.root, &example.schema, direction) {
            Ok(compiled) => compiled
                .check(&example.value)
                .into_iter()
                .map(|finding| violation(finding.pointer, finding.message))
                .collect(),
            Err(message) => vec![violation(String::new(), message)],
        }
    }

    fn examples_of(
        &self,
        method: &str,
        template: &str,
        out: &mut Vec<Example>,
    ) -> Result<(), String> {
        let root = &self.root;
        let Some((_, operation)) = self.operation(template, method)? else {
            return Ok(());
        };
        let seed = |location, status| Example {
            method: method.to_owned(),
            path_template: template.to_owned(),
            status,
            location,
            name: String::new(),
            value: Value::Null,
            schema: String::new(),
        };
        if let Some(request) = operation.get(root, "requestBody")? {
            self.examples_in(&request, &seed(Location::Request, 0), out)?;
        }
        let responses = operation.value.get("responses").and_then(Value::as_object);
        for status in responses
            .into_iter()
            .flatten()
            .filter_map(|(key, _)| key.parse().ok())
        {
            if (200..300).contains(&status)
                && let Ok(response) = response_for(root, &operation, status)?
            {
                self.examples_in(&response, &seed(Location::Response, status), out)?;
            }
        }
        Ok(())
    }

    fn examples_in(
        &self,
        owner: &Place<'_>,
        seed: &Example,
        out: &mut Vec<Example>,
    ) -> Result<(), String> {
        let root = &self.root;
        let Some(content) = owner.get(root, "content")? else {
            return Ok(());
        };
        let Some(schema) = json_content(&content) else {
            return Ok(());
        };
        let media = schema
            .strip_suffix("/schema")
            .and_then(|pointer| root.pointer(pointer));
        let single = media.and_then(|media| media.get("example"));
        if let Some(value) = single {
            out.push(Example {
                value: value.clone(),
                schema: schema.clone(),
                ..seed.clone()
            });
        }
        let named = media
            .and_then(|media| media.get("examples"))
            .and_then(Value::as_object);
        for (name, example) in named.into_iter().flatten() {
            let example = follow(root, schema.clone(), example)?;
            if let Some(value) = example.value.get("value") {
                out.push(Example {
                    name: name.clone(),
                    value: value.clone(),
                    schema: schema.clone(),
                    ..seed.clone()
                });
            }
        }
        Ok(())
    }
}
