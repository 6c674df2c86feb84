//! The volume driver: a claim's volume in the account, made and deleted.

use http::Method;
use serde_json::{Value, json};

use super::{Account, DRIVER, let_go, region, tags};
use crate::kubernetes::controllers::Pass;
use crate::kubernetes::controllers::velero::CONTENT;
use crate::kubernetes::object::{self, Object, at, items, text};
use crate::kubernetes::pod_rules;

/// What the driver says of everything it makes.
const DESCRIPTION: &str = "Created by DigitalOcean CSI driver";

const GIB: u64 = 1 << 30;
/// What the driver makes of claims that ask for less.
const SMALLEST: u64 = GIB;
/// What it refuses to exceed.
const LARGEST: u64 = 16 << 40;

/// What keeps a volume while it is bound.
const BOUND: &str = "kubernetes.io/pv-protection";
/// What keeps it until the driver has deleted what is behind it.
const PROVISIONED: &str = "external-provisioner.volume.kubernetes.io/finalizer";

/// Makes the volume behind a claim, or finds the one an earlier try made: the parts of the
/// `PersistentVolume` that say so. Nothing where DigitalOcean did not let it.
pub(in super::super) fn provision(
    pass: &Pass<'_>,
    name: &str,
    claim: &Object,
    class: &Value,
) -> Option<Value> {
    let account = Account::of(pass)?;
    let asked = at(claim, &["spec", "resources", "requests", "storage"]);
    let bytes = size(asked?)?;
    let snapshot = match text(claim, &["spec", "dataSource", "kind"]) {
        None => None,
        Some("VolumeSnapshot") => Some(super::snapshots::source(pass, claim)?),
        // Copies of volumes are not the driver's.
        Some(_) => return None,
    };
    let region = region(pass)?;
    let place = format!("/v2/volumes?name={name}&region={region}");
    let found = account.list(&place, "volumes")?;
    let volume = match found.first() {
        Some(found) if found["size_gigabytes"] == json!(bytes / GIB) => found.clone(),
        // The driver says that it exists with another size, for ever.
        Some(_) => return None,
        None => {
            let mut body = json!({
                "region": region, "name": name, "description": DESCRIPTION,
                "size_gigabytes": bytes / GIB, "tags": tags(pass),
            });
            if let Some(snapshot) = &snapshot {
                body["snapshot_id"] = snapshot.handle.clone().into();
            }
            let made = account.send(Method::POST, "/v2/volumes", &body)?;
            made["volume"].clone()
        }
    };
    let format = text(class, &["parameters", "csi.storage.k8s.io/fstype"]).unwrap_or("ext4");
    // A claim that was restored with its data brings it along, and so does a snapshot; any other
    // volume is new.
    let content = object::annotation(claim, CONTENT).map(str::to_owned);
    let content = content.or(snapshot.map(|snapshot| snapshot.content));
    let content = content.unwrap_or_else(|| object::uid(claim).to_owned());
    Some(json!({
        "metadata": {"finalizers": [BOUND, PROVISIONED], "annotations": {CONTENT: content}},
        "spec": {
            "capacity": {"storage": shown(bytes)},
            "csi": {"driver": DRIVER, "volumeHandle": volume["id"], "fsType": format},
        },
    }))
}

/// The bytes a claim gets; nothing where it asks for more than there is.
fn size(asked: &Value) -> Option<u64> {
    let asked = pod_rules::amount(asked);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a quantity of bytes; what is too large saturates and is refused"
    )]
    let bytes = (asked.ceil() as u64).max(SMALLEST);
    (bytes <= LARGEST).then_some(bytes)
}

/// Bytes as a quantity, in the largest binary unit that needs no fraction.
fn shown(bytes: u64) -> String {
    let units = [
        (1 << 40, "Ti"),
        (GIB, "Gi"),
        (1 << 20, "Mi"),
        (1 << 10, "Ki"),
    ];
    let fits = units.iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    fits.map_or_else(
        || bytes.to_string(),
        |(unit, name)| format!("{}{name}", bytes / unit),
    )
}

/// Deletes what is behind a released volume, and the volume with it. One that is still attached
/// stays.
pub(in super::super) fn delete(pass: &Pass<'_>, volume: &Object) {
    let name = object::name(volume);
    let attached = pass.all(super::attachments::ATTACHMENTS);
    let mut attached = attached.iter();
    if attached.any(|one| text(one, &["spec", "source", "persistentVolumeName"]) == Some(name)) {
        return;
    }
    let handle = text(volume, &["spec", "csi", "volumeHandle"]).unwrap_or_default();
    let gone = Account::of(pass).is_some_and(|it| it.delete(&format!("/v2/volumes/{handle}")));
    if gone {
        let_go(pass, super::VOLUMES, volume, &[BOUND, PROVISIONED]);
        if let Some(volume) = pass.get(super::VOLUMES, "", name) {
            pass.delete(super::VOLUMES, &volume);
        }
    }
}

/// Lets a volume go that somebody deletes and that keeps what is behind it.
pub(in super::super) fn forget(pass: &Pass<'_>, volume: &Object) {
    if object::terminating(volume) && !items(volume, &["metadata", "finalizers"]).is_empty() {
        let_go(pass, super::VOLUMES, volume, &[BOUND, PROVISIONED]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_drivers() {
        for (asked, wanted) in [
            ("5Gi", Some("5Gi")),
            ("100Mi", Some("1Gi")),
            ("1500Mi", Some("1500Mi")),
            ("2Ti", Some("2Ti")),
            ("5G", Some("5000000000")),
            ("17Ti", None),
        ] {
            let got = size(&json!(asked)).map(shown);
            assert_eq!(got.as_deref(), wanted, "{asked}");
        }
    }
}
