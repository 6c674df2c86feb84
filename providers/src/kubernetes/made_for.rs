//! What the resources in the account were made for that the cluster's own controllers made.

use super::object::Type;
use super::session::Session;
use kplan_model::ProviderError;
use serde_json::Value;
use std::collections::BTreeMap;

/// On a Service: its load balancer.
const BALANCER: &str = "kubernetes.digitalocean.com/load-balancer-id";
const DRIVER: &str = "dobs.csi.digitalocean.com";

/// By DigitalOcean's id: the Service a load balancer was made for, the claim of a volume, the
/// `VolumeSnapshot` of a snapshot. Three lists.
///
/// # Errors
/// Those of the cluster's API.
pub async fn made_for(session: &Session) -> Result<BTreeMap<String, String>, ProviderError> {
    let text = |object: &Value, path: &str| {
        let text = object.pointer(path).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut all = BTreeMap::new();
    let services = session.list(&Type::new("v1", "Service"), "").await?;
    for service in services.iter() {
        let id = service.pointer("/metadata/annotations");
        let id = id.and_then(|all| all.get(BALANCER)?.as_str());
        let balanced = service["spec"]["type"] == "LoadBalancer";
        let place = name(service, "/metadata");
        if let (Some(id), true, Some(place)) = (id, balanced, place) {
            all.insert(id.to_owned(), format!("Service {place}"));
        }
    }
    let volumes = Type::new("v1", "PersistentVolume");
    let contents = Type::new("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent");
    for (of, driver, handle, owner, what) in [
        (
            volumes,
            "/spec/csi/driver",
            "/spec/csi/volumeHandle",
            "/spec/claimRef",
            "claim",
        ),
        (
            contents,
            "/spec/driver",
            "/status/snapshotHandle",
            "/spec/volumeSnapshotRef",
            "VolumeSnapshot",
        ),
    ] {
        for object in session.list(&of, "").await?.iter() {
            let id =
                text(object, handle).filter(|_| text(object, driver).as_deref() == Some(DRIVER));
            if let (Some(id), Some(place)) = (id, name(object, owner)) {
                all.insert(id, format!("{what} {place}"));
            }
        }
    }
    Ok(all)
}

/// `namespace/name` at a place of an object.
fn name(object: &Value, place: &str) -> Option<String> {
    let at = object.pointer(place)?;
    Some(format!(
        "{}/{}",
        at["namespace"].as_str()?,
        at["name"].as_str()?
    ))
}
