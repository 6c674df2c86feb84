//! What the server says an update would change: its own dry run beside the object as it is, as
//! YAML, without what only machines read and without secrets.

use super::bundle::{Basis, Bundle, DIGEST, Line};
use super::object::{Object, masked};
use super::parallel;
use super::session::Session;
use kplan_model::{BoxFuture, ErrorKind, Preview, ProviderError};
use serde_json::Value;
use std::collections::BTreeMap;

/// How many dry runs are under way at once.
const PARALLEL: usize = 4;
const HIDDEN: &str = "(sensitive value)";
const HIDDEN_CHANGED: &str = "(sensitive value, changed)";

/// Takes out what changes with every write, and the status, which nobody asks for.
fn cleaned(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
            "selfLink",
        ] {
            metadata.remove(name);
        }
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(DIGEST);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    value
}

fn yaml(value: &Value) -> Result<String, ProviderError> {
    serde_norway::to_string(value)
        .map_err(|_| ProviderError::new(ErrorKind::Bug, "a Kubernetes object has no form in YAML"))
}

/// Both texts of one object.
fn preview(
    object: &Object,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<Preview, ProviderError> {
    let hide = |value: &Value, other: Option<&Value>| {
        if !object.is_secret() {
            return cleaned(value);
        }
        let cleaned = cleaned(value);
        masked(&cleaned, |name| {
            let at =
                |value: Option<&Value>| value.and_then(|value| value["data"].get(name).cloned());
            let same = other.is_none() || at(Some(value)) == at(other);
            if same { HIDDEN } else { HIDDEN_CHANGED }.to_owned()
        })
    };
    let text = |value: Option<&Value>, other: Option<&Value>| {
        value.map_or(Ok(String::new()), |value| yaml(&hide(value, other)))
    };
    Ok(Preview {
        object: object.to_string(),
        before: text(before, None)?,
        after: text(after, before)?,
    })
}

/// As the update applies it.
async fn asked(
    session: &Session,
    object: &Object,
    (bundle, basis): (&Bundle, &Basis<'_>),
) -> Result<Preview, ProviderError> {
    let live = session.get(object).await?;
    let Some(claim) = bundle.claim(object, live.as_ref(), basis) else {
        return preview(object, live.as_ref(), live.as_ref());
    };
    let after = match session.dry_run(&claim.value, claim.ownership).await {
        Ok(after) => after,
        // Its namespace or its type is not there before this very update.
        Err(error) if error.kind == ErrorKind::NotFound => claim.value,
        Err(error) => return Err(error),
    };
    preview(object, live.as_ref(), Some(&after))
}

/// The changes an update would make to a recorded inventory. Objects whose digest is the recorded
/// one are not asked about; secrets always are, because their digest says nothing of their values.
pub async fn previews(
    session: &Session,
    bundle: &Bundle,
    basis: &Basis<'_>,
) -> Result<Vec<Preview>, ProviderError> {
    let (lines, managed) = (basis.lines, basis.managed);
    let recorded: BTreeMap<&Object, &str> = lines
        .iter()
        .map(|line| (&line.object, line.digest.as_str()))
        .collect();
    let mut calls: Vec<BoxFuture<'_, Result<Preview, ProviderError>>> = Vec::new();
    for (object, _, digest) in bundle.iter() {
        if managed.covers(object) {
            continue;
        }
        if object.is_secret() || recorded.get(object) != Some(&digest) {
            calls.push(Box::pin(asked(session, object, (bundle, basis))));
        }
    }
    let mut found = parallel::all(PARALLEL, calls).await?;
    let kept: Vec<&Object> = bundle.iter().map(|(object, _, _)| object).collect();
    let gone = |line: &&Line| !kept.contains(&&line.object) && !managed.covers(&line.object);
    for line in lines.iter().filter(gone) {
        if let Some(live) = session.get(&line.object).await? {
            found.push(preview(&line.object, Some(&live), None)?);
        }
    }
    found.retain(|preview| preview.before != preview.after);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn machines_fields_and_secrets_are_left_out() {
        let secret = |token: &str, version: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n",
                "resourceVersion": version, "managedFields": [], "uid": "u", "annotations": {DIGEST: "d"}},
                "data": {"token": token, "same": "c2FtZQ=="}, "status": {}})
        };
        let (before, after) = (secret("b2xk", "1"), secret("bmV3", "2"));
        let object = Object::of(&before).unwrap();
        let shown = preview(&object, Some(&before), Some(&after)).unwrap();
        assert_eq!(
            shown.before,
            "apiVersion: v1\ndata:\n  same: (sensitive value)\n  token: (sensitive value)\nkind: Secret\n\
             metadata:\n  name: s\n  namespace: n\n"
        );
        assert_eq!(
            shown.after,
            shown.before.replace(
                "token: (sensitive value)",
                "token: (sensitive value, changed)"
            )
        );
        let same = preview(&object, Some(&before), Some(&secret("b2xk", "9"))).unwrap();
        assert_eq!(same.before, same.after);
    }
}
