//! Compiled schemas, each made once and kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::Value;

use crate::explain::{Finding, explain};
use crate::formats;
use crate::schema::{Direction, convert};

/// One converted schema and its validator.
pub(crate) struct Compiled {
    schema: Value,
    validator: Validator,
    direction: Direction,
}

impl Compiled {
    fn new(root: &Value, pointer: &str, direction: Direction) -> Result<Compiled, String> {
        let schema = convert(root, pointer, direction)?;
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .with_format("cidr", formats::is_cidr)
            .with_format("byte", formats::is_base64)
            .offline()
            .build(&schema)
            .map_err(|error| error.to_string())?;
        Ok(Compiled {
            schema,
            validator,
            direction,
        })
    }

    /// Everything that is wrong with `value`.
    pub(crate) fn check(&self, value: &Value) -> Vec<Finding> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        explain(
            &self.schema,
            self.direction,
            self.validator.iter_errors(value),
        )
    }

    pub(crate) fn accepts(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }
}

type Key = (String, Direction);
type Outcome = Result<Arc<Compiled>, String>;

/// Compiled schemas by their place in the document; bounded by the document.
#[derive(Default)]
pub(crate) struct Cache {
    entries: Mutex<BTreeMap<Key, Outcome>>,
}

impl Cache {
    /// The compiled schema at `pointer`; an error says what in the document stops it.
    pub(crate) fn get(&self, root: &Value, pointer: &str, direction: Direction) -> Outcome {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .entry((pointer.to_owned(), direction))
            .or_insert_with(|| {
                Compiled::new(root, pointer, direction)
                    .map(Arc::new)
                    .map_err(|error| format!("the document's schema at #{pointer}: {error}"))
            })
            .clone()
    }
}
