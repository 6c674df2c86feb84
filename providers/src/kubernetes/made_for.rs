//! What the resources in the account were made for that the cluster's own controllers made.

use super::object::Type;
use super::session::Session;
use kplan_model::ProviderError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// On a Service: its load balancer.
pub(super) const BALANCER: &str = "kubernetes.digitalocean.com/load-balancer-id";
/// On a Service: the cloud controller leaves its load balancer alone.
pub(super) const DISOWN: &str = "service.kubernetes.io/do-loadbalancer-disown";
/// The driver of DigitalOcean's volumes.
pub(super) const DRIVER: &str = "dobs.csi.digitalocean.com";
/// On a volume: who made it. One that somebody bound by hand has none.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// What the cluster's API says of what is in the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeFor {
    /// By DigitalOcean's id: what of the cluster it was made for.
    pub told: BTreeMap<String, String>,
    /// Ids of what the cluster uses and did not make: disowned load balancers, volumes bound by hand.
    pub foreign: BTreeSet<String>,
}

/// By DigitalOcean's id: the Service a load balancer was made for, the claim of a volume, the
/// `VolumeSnapshot` of a snapshot. Three lists.
///
/// # Errors
/// Those of the cluster's API.
pub async fn made_for(session: &Session) -> Result<MadeFor, ProviderError> {
    let text = |object: &Value, path: &str| {
        let text = object.pointer(path).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut made = MadeFor::default();
    let services = session.list(&Type::new("v1", "Service"), "").await?;
    for service in services.iter() {
        let id = service.pointer("/metadata/annotations");
        let id = id.and_then(|all| all.get(BALANCER)?.as_str());
        let balanced = service["spec"]["type"] == "LoadBalancer";
        let place = name(service, "/metadata");
        if let Some(id) = id.filter(|_| annotated(service, DISOWN, "true")) {
            made.foreign.insert(id.to_owned());
        } else if let (Some(id), true, Some(place)) = (id, balanced, place) {
            made.told.insert(id.to_owned(), format!("Service {place}"));
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
            let by_hand = what == "claim" && !annotated(object, PROVISIONED_BY, DRIVER);
            match (id, name(object, owner)) {
                (Some(id), _) if by_hand => drop(made.foreign.insert(id)),
                (Some(id), Some(place)) => drop(made.told.insert(id, format!("{what} {place}"))),
                _ => {}
            }
        }
    }
    Ok(made)
}

/// Whether an annotation has that value.
pub(super) fn annotated(object: &Value, key: &str, value: &str) -> bool {
    let all = object.pointer("/metadata/annotations");
    all.and_then(|all| all.get(key)) == Some(&Value::from(value))
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
