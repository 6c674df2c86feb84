//! What volumes hold: sealed into a location's repository, and opened with its password.
//!
//! A volume of the sandbox holds no bytes. It has a content id instead, made with the volume, which
//! is what a backup moves into the bucket: as an annotation of the volume, and of a claim that was
//! restored with what it held.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Pass;
use super::layout::{Item, Messages};
use super::store::Store;
use crate::kubernetes::object::{self, Object, number, text};
use crate::spaces::to_hex;

/// Names what a volume holds.
pub(in super::super) const CONTENT: &str = "sandbox.kplan.dev/content";

const PASSWORDS: &str = "velero-repo-credentials";
const PASSWORD: &str = "repository-password";

/// What Velero protects a repository with when nobody says anything else.
const STATIC_PASSWORD: &str = "static-passw0rd";

/// The server makes the repositories' password at its start, unless there is one.
pub(super) fn ensure_password(pass: &Pass<'_>, namespace: &str) {
    if pass.get("/secrets", namespace, PASSWORDS).is_none() {
        pass.create(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": PASSWORDS, "namespace": namespace},
            "data": {PASSWORD: STANDARD.encode(STATIC_PASSWORD)},
        }));
    }
}

fn password(pass: &Pass<'_>, namespace: &str) -> Result<Vec<u8>, String> {
    let secret = pass.get("/secrets", namespace, PASSWORDS);
    let encoded = secret
        .as_ref()
        .and_then(|secret| text(secret, &["data", PASSWORD]))
        .ok_or_else(|| format!("error to get repo password: secret {PASSWORDS} has none"))?;
    STANDARD
        .decode(encoded)
        .map_err(|error| format!("error to get repo password: {error}"))
}

/// Whether the programs run that carry data between volumes and the bucket.
fn mover_runs(pass: &Pass<'_>, namespace: &str) -> Result<(), String> {
    let agent = pass.get("apps/daemonsets", namespace, "node-agent");
    let ready = agent.is_some_and(|agent| number(&agent, &["status", "numberReady"]) > Some(0));
    if ready {
        Ok(())
    } else {
        Err("no data mover takes the volume: the daemon set node-agent does not run".to_owned())
    }
}

/// What a backup did about volumes.
#[derive(Default)]
pub(super) struct Saved {
    /// Entries of the volume info file.
    pub(super) infos: Vec<Value>,
    pub(super) attempted: usize,
    pub(super) completed: usize,
}

/// Moves what the claims of a backup hold into its bucket, when the backup asks for that.
pub(super) fn save(
    pass: &Pass<'_>,
    backup: &Value,
    store: &Store,
    items: &[Item],
    errors: &mut Messages,
) -> Saved {
    let mut saved = Saved::default();
    for item in items {
        let claim = &item.object;
        if !item.kind.is_one_of(&["persistentvolumeclaims"])
            || text(claim, &["status", "phase"]) != Some("Bound")
        {
            continue;
        }
        let name = text(claim, &["spec", "volumeName"]).unwrap_or_default();
        let Some(volume) = pass.get("/persistentvolumes", "", name) else {
            continue;
        };
        let mut info = json!({
            "pvcName": object::name(claim), "pvcNamespace": object::namespace(claim),
            "pvName": name, "capacity": volume["spec"]["capacity"]["storage"],
            "snapshotDataMoved": false, "preserveLocalSnapshot": false,
            "pvInfo": {"reclaimPolicy": volume["spec"]["persistentVolumeReclaimPolicy"],
                "labels": volume["metadata"]["labels"]},
            "startTimestamp": backup["status"]["startTimestamp"],
        });
        if let Some(why) = skipped(backup, &volume) {
            info["skipped"] = true.into();
            info["skippedReason"] = why.into();
            saved.infos.push(info);
            continue;
        }
        saved.attempted += 1;
        info["skipped"] = false.into();
        info["backupMethod"] = "CSISnapshot".into();
        info["snapshotDataMoved"] = true.into();
        info["completionTimestamp"] = pass.server.now().into();
        match move_out(pass, backup, store, claim, &volume) {
            Ok(handle) => {
                saved.completed += 1;
                info["result"] = "succeeded".into();
                info["snapshotDataMovementInfo"] = json!({
                    "dataMover": "velero", "uploaderType": "kopia", "phase": "Completed",
                    "snapshotHandle": handle,
                });
            }
            Err(why) => {
                info["result"] = "failed".into();
                let name = object::name(claim);
                let text =
                    format!("error backing up the data of persistentvolumeclaim {name}: {why}");
                errors.add(object::namespace(claim), text);
            }
        }
        saved.infos.push(info);
    }
    saved
}

/// Why a volume's data is not moved.
fn skipped(backup: &Value, volume: &Value) -> Option<&'static str> {
    if object::at(backup, &["spec", "snapshotVolumes"]) == Some(&Value::Bool(false)) {
        return Some("the backup takes no snapshots of volumes");
    }
    if text(volume, &["spec", "csi", "driver"]).is_none() {
        return Some("PV is not a CSI volume");
    }
    (!object::flag(backup, &["spec", "snapshotMoveData"]))
        .then_some("the sandbox keeps no snapshots: only data that is moved is backed up")
}

fn move_out(
    pass: &Pass<'_>,
    backup: &Value,
    store: &Store,
    claim: &Object,
    volume: &Object,
) -> Result<String, String> {
    snapshot_class(
        pass,
        text(volume, &["spec", "csi", "driver"]).unwrap_or_default(),
    )?;
    mover_runs(pass, object::namespace(backup))?;
    let password = password(pass, object::namespace(backup))?;
    let namespace = object::namespace(claim);
    let repository = Repository::open(store, namespace, &password, Some(pass))?;
    let content = object::annotation(volume, CONTENT)
        .or_else(|| text(volume, &["spec", "csi", "volumeHandle"]))
        .unwrap_or_default();
    let held = json!({
        "claim": format!("{namespace}/{}", object::name(claim)),
        "capacity": volume["spec"]["capacity"]["storage"],
        "content": content,
    });
    let of = format!("{}/{}", object::uid(backup), object::uid(claim));
    let handle = format!("p{}", &to_hex(&Sha256::digest(of.as_bytes()))[..32]);
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&pass.server.rng.bytes(NONCE_LEN));
    let sealed = repository.seal(&handle, nonce, held.to_string().as_bytes())?;
    store.put(&data_key(namespace, &handle), sealed)?;
    Ok(handle)
}

/// The class that a driver's snapshots are made with, chosen as Velero does.
fn snapshot_class(pass: &Pass<'_>, driver: &str) -> Result<(), String> {
    let classes = pass.all("snapshot.storage.k8s.io/volumesnapshotclasses");
    let own: Vec<&Object> = classes
        .iter()
        .filter(|class| text(class, &["driver"]) == Some(driver))
        .collect();
    let chosen = own.iter().any(|class| {
        object::label(class, "velero.io/csi-volumesnapshot-class").is_some()
            || object::annotation(class, "snapshot.storage.kubernetes.io/is-default-class")
                .is_some()
    });
    if chosen || own.len() == 1 {
        return Ok(());
    }
    Err(format!(
        "failed to get VolumeSnapshotClass for provisioner {driver}: ensure that the desired VolumeSnapshotClass has the velero.io/csi-volumesnapshot-class label or snapshot.storage.kubernetes.io/is-default-class annotation, and that its driver is the same as the StorageClass provisioner"
    ))
}

/// What an entry of the volume info file leads to in the bucket, if data was moved for it.
pub(super) fn moved(info: &Value) -> Option<String> {
    let handle = text(info, &["snapshotDataMovementInfo", "snapshotHandle"])?;
    Some(data_key(text(info, &["pvcNamespace"])?, handle))
}

/// The content id that a moved volume had.
///
/// # Errors
/// When the data mover does not run, the repository is locked with another password, or the data
/// is gone or damaged.
pub(super) fn open(
    pass: &Pass<'_>,
    server: &str,
    store: &Store,
    info: &Value,
) -> Result<String, String> {
    mover_runs(pass, server)?;
    let password = password(pass, server)?;
    let namespace = text(info, &["pvcNamespace"]).unwrap_or_default();
    let repository = Repository::open(store, namespace, &password, None)?;
    let handle = text(info, &["snapshotDataMovementInfo", "snapshotHandle"]).unwrap_or_default();
    let sealed = store.get(&data_key(namespace, handle))?;
    let sealed = sealed.ok_or_else(|| format!("error to load snapshot {handle}: not found"))?;
    let held = repository.unseal(handle, &sealed)?;
    let held: Value = serde_json::from_slice(&held)
        .map_err(|error| format!("error to load snapshot {handle}: {error}"))?;
    let content = text(&held, &["content"]).unwrap_or_default();
    Ok(content.to_owned())
}

fn data_key(namespace: &str, handle: &str) -> String {
    format!("kopia/{namespace}/{handle}")
}

/// The repository of a namespace's volumes, open.
struct Repository {
    key: [u8; 32],
}

impl Repository {
    /// Opens the repository; `maker` begins one where there is none.
    fn open(
        store: &Store,
        namespace: &str,
        password: &[u8],
        maker: Option<&Pass<'_>>,
    ) -> Result<Repository, String> {
        let place = format!("kopia/{namespace}/kopia.repository");
        let salt = match (store.get(&place)?, maker) {
            (Some(bytes), _) => {
                let broken = || format!("unable to open repository: invalid format of {place}");
                let format: Value = serde_json::from_slice(&bytes).map_err(|_json| broken())?;
                let salt = text(&format, &["uniqueID"]).ok_or_else(broken)?.to_owned();
                if text(&format, &["check"]) != Some(&to_hex(&derived("check", &salt, password))) {
                    return Err("unable to open repository: invalid repository password".to_owned());
                }
                salt
            }
            (None, Some(pass)) => {
                let salt = to_hex(&pass.server.rng.bytes(32));
                let format = json!({
                    "tool": "https://github.com/kopia/kopia", "uniqueID": salt,
                    "keyAlgo": "sandbox-sha256", "encryption": "AES256_GCM_HMAC_SHA256",
                    "check": to_hex(&derived("check", &salt, password)),
                });
                store.put(&place, format.to_string().into_bytes())?;
                salt
            }
            (None, None) => {
                return Err("repository not initialized in the provided storage".to_owned());
            }
        };
        Ok(Repository {
            key: derived("seal", &salt, password),
        })
    }

    fn cipher(&self) -> Result<LessSafeKey, String> {
        UnboundKey::new(&AES_256_GCM, &self.key)
            .map(LessSafeKey::new)
            .map_err(|error| error.to_string())
    }

    fn seal(&self, name: &str, nonce: [u8; NONCE_LEN], held: &[u8]) -> Result<Vec<u8>, String> {
        let mut bytes = held.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.cipher()?
            .seal_in_place_append_tag(unique, Aad::from(name.as_bytes()), &mut bytes)
            .map_err(|error| error.to_string())?;
        Ok([nonce.as_slice(), &bytes].concat())
    }

    fn unseal(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let damaged = || format!("error to load snapshot {name}: the data is damaged");
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_length| damaged())?;
        let mut bytes = sealed.to_vec();
        let cipher = self.cipher()?;
        let opened = cipher.open_in_place(nonce, Aad::from(name.as_bytes()), &mut bytes);
        opened.map(|held| held.to_vec()).map_err(|_tag| damaged())
    }
}

/// A value only the password leads to. One round of SHA-256 where Kopia takes scrypt: the sandbox
/// shall refuse a wrong password, not withstand guessing.
fn derived(purpose: &str, salt: &str, password: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [purpose.as_bytes(), b"\0", salt.as_bytes(), b"\0", password] {
        hash.update(part);
    }
    hash.finalize().into()
}
