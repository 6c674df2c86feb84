//! Fills references from what exists now.

use kplan_model::{ErrorKind, Object, ProviderError, Ref, Snapshot, Status, Value};

/// The arguments with every reference filled; an error names the first one that cannot be.
pub(super) fn resolve(args: &Object, snapshot: &Snapshot) -> Result<Object, ProviderError> {
    let mut filled = Object::new();
    for (name, value) in args {
        let value = value.fill(&|reference| live(reference, snapshot));
        if let Some(missing) = first_ref(&value) {
            return Err(unfilled(name, &missing, snapshot));
        }
        filled.insert(name.clone(), value);
    }
    Ok(filled)
}

/// The outputs that can be filled, and the names of those that cannot.
pub(super) fn outputs(outputs: &Object, snapshot: &Snapshot) -> (Object, Vec<String>) {
    let mut filled = Object::new();
    let mut missing = Vec::new();
    for (name, value) in outputs {
        let value = value.fill(&|reference| live(reference, snapshot));
        if value.is_known() {
            filled.insert(name.clone(), value);
        } else {
            missing.push(name.to_string());
        }
    }
    (filled, missing)
}

fn live(reference: &Ref, snapshot: &Snapshot) -> Option<Value> {
    let record = snapshot.resources.get(&reference.address)?;
    match record.status {
        Status::Ready => {}
        Status::Unfinished | Status::Tainted => return None,
    }
    record.attribute(&reference.attribute)
}

fn first_ref(value: &Value) -> Option<Ref> {
    match value {
        Value::Ref(reference) => Some(Ref::clone(reference)),
        Value::List(items) => items.iter().find_map(first_ref),
        Value::Map(map) => map.values().find_map(first_ref),
        _ => None,
    }
}

fn unfilled(field: &str, reference: &Ref, snapshot: &Snapshot) -> ProviderError {
    let target = &reference.address;
    let why = match snapshot.resources.get(target) {
        None => format!("{target} does not exist"),
        Some(record) => match record.status {
            Status::Unfinished | Status::Tainted => format!("{target} is not ready"),
            Status::Ready => format!("{target} does not report `{}`", reference.attribute),
        },
    };
    ProviderError::new(
        ErrorKind::Invalid,
        format!("`{field}` needs {reference}, but {why}"),
    )
    .help("run plan again; if this stays, please report it")
}
