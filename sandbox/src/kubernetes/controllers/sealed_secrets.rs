//! Bitnami's Sealed Secrets: opens what was sealed with one of its keys.
//!
//! It makes no keys of its own, and knows those that were there when its pod started.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Pass;
use super::workload::PODS;
use crate::kubernetes::object::{self, Object, at, items, map, set, text};

const SEALED: &str = "bitnami.com/sealedsecrets";
const SECRETS: &str = "/secrets";
const NAME: &str = "sealed-secrets-controller";
const NAMESPACE: &str = "kube-system";
const KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";
const CLUSTER_WIDE: &str = "sealedsecrets.bitnami.com/cluster-wide";
const NAMESPACE_WIDE: &str = "sealedsecrets.bitnami.com/namespace-wide";

/// One pass over all sealed secrets.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    let pods = pass.in_namespace(PODS, NAMESPACE);
    let working = pods
        .iter()
        .find(|pod| object::label(pod, "name") == Some(NAME) && object::is_true(pod, "Ready"));
    let Some(since) = working.and_then(started) else {
        return;
    };
    let keys = keys(pass, since);
    for sealed in pass.all(SEALED) {
        if !object::terminating(&sealed) {
            open(pass, &sealed, &keys);
        }
    }
}

/// When the container of a pod started.
fn started(pod: &Object) -> Option<&str> {
    let containers = items(pod, &["status", "containerStatuses"]);
    text(containers.first()?, &["state", "running", "startedAt"])
}

/// The keys that were there then. Times are texts of one form, so they compare as such.
fn keys(pass: &Pass<'_>, then: &str) -> Vec<OaepPrivateDecryptingKey> {
    let secrets = pass.in_namespace(SECRETS, NAMESPACE);
    secrets
        .iter()
        .filter(|secret| object::label(secret, KEY_LABEL) == Some("active"))
        .filter(|secret| {
            text(secret, &["metadata", "creationTimestamp"]).is_some_and(|made| made <= then)
        })
        .filter_map(|secret| {
            let pem = STANDARD.decode(text(secret, &["data", "tls.key"])?).ok()?;
            let pem = String::from_utf8(pem).ok()?;
            let body: String = pem
                .lines()
                .filter(|line| !line.starts_with("---"))
                .collect();
            let key = PrivateDecryptingKey::from_pkcs8(&STANDARD.decode(body).ok()?).ok()?;
            OaepPrivateDecryptingKey::new(key).ok()
        })
        .collect()
}

/// What a value was sealed for: nobody can use it under another name.
fn scope(sealed: &Object) -> String {
    let (namespace, name) = (object::namespace(sealed), object::name(sealed));
    if object::annotation(sealed, CLUSTER_WIDE) == Some("true") {
        String::new()
    } else if object::annotation(sealed, NAMESPACE_WIDE) == Some("true") {
        namespace.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

fn open(pass: &mut Pass<'_>, sealed: &Object, keys: &[OaepPrivateDecryptingKey]) {
    let scope = scope(sealed);
    let values = map(sealed, &["spec", "encryptedData"]);
    let opened: Option<Map<String, Value>> = values
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let bytes = STANDARD.decode(value.as_str()?).ok()?;
            let plain = keys
                .iter()
                .find_map(|key| decrypt(key, &bytes, scope.as_bytes()))?;
            Some((name.clone(), json!(STANDARD.encode(plain))))
        })
        .collect();
    let problem = match opened {
        None => Some("no key could decrypt secret".to_owned()),
        Some(data) => write(pass, sealed, data),
    };
    let (status, message) = match &problem {
        None => ("True", ""),
        Some(why) => ("False", why.as_str()),
    };
    let conditions = items(sealed, &["status", "conditions"]);
    let said = conditions
        .first()
        .is_some_and(|one| one["status"] == status && one["message"] == message);
    let generation = at(sealed, &["metadata", "generation"]).cloned();
    if said && at(sealed, &["status", "observedGeneration"]) == generation.as_ref() {
        return;
    }
    pass.adjust(SEALED, sealed, |sealed| {
        set(sealed, &["status", "observedGeneration"], generation);
        pass.set_condition(sealed, "Synced", problem.is_none(), "", message);
    });
}

/// RSA-OAEP over the key of AES-GCM, whose nonce is zero: each key is used once.
fn decrypt(key: &OaepPrivateDecryptingKey, bytes: &[u8], label: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (wrapped, sealed) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let mut session = vec![0; key.min_output_size()];
    let session = key
        .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut session, Some(label))
        .ok()?;
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, session).ok()?);
    let mut plain = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let opened = cipher.open_in_place(nonce, Aad::empty(), &mut plain).ok()?;
    Some(opened.to_vec())
}

/// Makes the secret, or brings it to what was sealed. Says what is in the way.
fn write(pass: &Pass<'_>, sealed: &Object, data: Map<String, Value>) -> Option<String> {
    let (namespace, name) = (object::namespace(sealed), object::name(sealed));
    let metadata = |field: &str| at(sealed, &["spec", "template", "metadata", field]).cloned();
    let kind = text(sealed, &["spec", "template", "type"]).unwrap_or("Opaque");
    let owner = json!([{
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": name,
        "uid": object::uid(sealed), "controller": true,
    }]);
    let data = Value::Object(data);
    match pass.get(SECRETS, namespace, name) {
        None => {
            let made = pass.create(json!({
                "apiVersion": "v1", "kind": "Secret", "type": kind, "data": data,
                "metadata": {
                    "name": name, "namespace": namespace, "ownerReferences": owner,
                    "labels": metadata("labels"), "annotations": metadata("annotations"),
                },
            }));
            made.is_none()
                .then(|| "the secret cannot be created".to_owned())
        }
        Some(secret) => {
            let owners = items(&secret, &["metadata", "ownerReferences"]);
            if !owners.iter().any(|one| one["uid"] == object::uid(sealed)) {
                return Some(format!(
                    "failed update: Resource \"{name}\" already exists and is not managed by SealedSecret"
                ));
            }
            if secret["data"] != data {
                pass.adjust(SECRETS, &secret, |secret| set(secret, &["data"], data));
            }
            None
        }
    }
}
