//! A state as JSON for people and programs (`state show --json`). Never a secret: a fingerprint
//! where the keys are at hand, else a remark.

use crate::keyring::Keyring;
use kplan_model::{Address, Object, Recorded, Secret, Snapshot, Status, Value};
use serde_json::{Map, Value as Json, json};

/// What stands for a secret when there is no fingerprint.
const HIDDEN: &str = "(sensitive)";

/// The whole state.
pub fn export(snapshot: &Snapshot, keyring: Option<&Keyring>) -> Json {
    let record = |record| export_record(record, keyring);
    let doubts = snapshot.in_doubt.values().map(|doubt| {
        json!({
            "address": doubt.address.to_string(),
            "action": doubt.action,
            "started_at": doubt.started_at.0,
            "id": doubt.id.as_ref().map(kplan_model::RemoteId::as_str),
            "args": object(&doubt.args, keyring),
        })
    });
    json!({
        "format": 1,
        "lineage": snapshot.lineage,
        "serial": snapshot.serial,
        "owner": snapshot.owner.id(),
        "resources": snapshot.resources.values().map(record).collect::<Vec<_>>(),
        "deposed": snapshot.deposed.iter().map(record).collect::<Vec<_>>(),
        "in_doubt": doubts.collect::<Vec<_>>(),
        "outputs": object(&snapshot.outputs, keyring),
    })
}

/// One record.
pub fn export_record(record: &Recorded, keyring: Option<&Keyring>) -> Json {
    let texts = |addresses: &[Address]| -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    };
    json!({
        "address": record.address.to_string(),
        "id": record.id.as_str(),
        "status": match record.status {
            Status::Ready => "ready",
            Status::Unfinished => "unfinished",
            Status::Tainted => "tainted",
        },
        "version": record.version,
        "operations": record.operations,
        "created_at": record.created_at.0,
        "protect": record.meta.protect,
        "keep": record.meta.keep,
        "inside": record.meta.inside.as_ref().map(ToString::to_string),
        "depends_on": texts(&record.depends_on),
        "args": object(&record.args, keyring),
        "attrs": object(&record.attrs, keyring),
    })
}

fn object(object: &Object, keyring: Option<&Keyring>) -> Json {
    let map: Map<String, Json> = object
        .iter()
        .map(|(key, item)| (key.to_string(), export_value(item, keyring)))
        .collect();
    Json::Object(map)
}

/// One value.
pub fn export_value(value: &Value, keyring: Option<&Keyring>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Str(text) => Json::String(text.to_string()),
        Value::List(items) => items
            .iter()
            .map(|item| export_value(item, keyring))
            .collect(),
        Value::Map(map) => object(map, keyring),
        Value::Secret(secret) => Json::String(shown(secret, keyring)),
        Value::Ref(reference) => Json::String(format!("({reference})")),
        Value::Unknown => Json::String("(known after apply)".to_owned()),
    }
}

fn shown(secret: &Secret, keyring: Option<&Keyring>) -> String {
    keyring
        .and_then(|keys| keys.fingerprint(secret))
        .unwrap_or_else(|| HIDDEN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, CANARY};

    #[test]
    fn a_secret_is_a_fingerprint_or_a_remark() {
        let snapshot = testing::sample();
        let keys = Keyring::random(&snapshot.lineage).unwrap();
        let with = export(&snapshot, Some(&keys)).to_string();
        let without = export(&snapshot, None).to_string();
        assert!(!with.contains(CANARY) && !without.contains(CANARY));
        assert!(with.contains("hmac:") && !with.contains(HIDDEN));
        assert!(without.contains(HIDDEN));
    }

    #[test]
    fn equal_secrets_in_two_places_have_one_fingerprint() {
        let keys = Keyring::random("l").unwrap();
        let value = |text: &str| export_value(&Value::Secret(Secret::new(text)), Some(&keys));
        assert_eq!(value("a"), value("a"));
        assert_ne!(value("a"), value("b"));
    }
}
