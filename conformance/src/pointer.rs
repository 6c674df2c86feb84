//! JSON pointers into the document, and `$ref` resolution.

use serde_json::Value;

/// `token` as one reference token of a JSON pointer.
pub(crate) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// `pointer` with `token` appended.
pub(crate) fn join(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", escape(token))
}

/// A place in the document: its pointer and what stands there, references followed.
#[derive(Debug, Clone)]
pub(crate) struct Place<'d> {
    pub(crate) pointer: String,
    pub(crate) value: &'d Value,
}

impl<'d> Place<'d> {
    /// The member `key` of this place, references followed; `None` where there is none.
    pub(crate) fn get(&self, root: &'d Value, key: &str) -> Result<Option<Place<'d>>, String> {
        match self.value.get(key) {
            Some(value) => follow(root, join(&self.pointer, key), value).map(Some),
            None => Ok(None),
        }
    }
}

/// More hops than this in a chain of references is a cycle: real documents use one or two.
const MAX_HOPS: usize = 32;

/// Follows `$ref` from `value`, which stands at `pointer`, until it is no reference.
pub(crate) fn follow<'d>(
    root: &'d Value,
    mut pointer: String,
    mut value: &'d Value,
) -> Result<Place<'d>, String> {
    for _ in 0..MAX_HOPS {
        let Some(target) = reference(value) else {
            return Ok(Place { pointer, value });
        };
        (pointer, value) = resolve(root, target)?;
    }
    Err(format!("the references from {pointer} form a cycle"))
}

/// The target of `value` when it is a reference object.
pub(crate) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref").and_then(Value::as_str)
}

/// The place a reference names. Only references inside the document are supported.
pub(crate) fn resolve<'d>(root: &'d Value, target: &str) -> Result<(String, &'d Value), String> {
    let pointer = target
        .strip_prefix('#')
        .ok_or_else(|| format!("`$ref: {target}` leads out of the document"))?;
    let value = root
        .pointer(pointer)
        .ok_or_else(|| format!("`$ref: {target}` leads to nothing in the document"))?;
    Ok((pointer.to_owned(), value))
}
