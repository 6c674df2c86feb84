//! What is deleted through the cluster's API before its droplets go, so that its own controllers take
//! what they made in the account down with it: Services of type `LoadBalancer`, and claims with what
//! holds them.
//!
//! Only what leads to something that was found in the account as the cluster's own: a controller deletes
//! what an object names, whoever that belongs to.
//!
//! Left alone is what its maker would make again at once: what belongs to an object that is not one of
//! Kubernetes' own kinds, because an operator stands behind that. It is found in the account once the
//! droplets are gone. So is what only would be let go of: a volume whose class retains it.

use super::made_for::{BALANCER, DISOWN, DRIVER, PROVISIONED_BY, annotated};
use super::object::{Object, Type};
use super::session::{Items, Session};
use kplan_model::ProviderError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An owner stands behind an owner: a pod's `ReplicaSet` behind its Deployment, its Job behind its
/// `CronJob`. More would be no kind of Kubernetes' own.
const GENERATIONS: usize = 4;

/// What is deleted, and what is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Objects in the order in which they are deleted.
    pub deleted: Vec<Object>,
    /// Objects that are waited for: those whose controllers take something in the account down before
    /// they let go of them.
    pub awaited: Vec<Object>,
}

/// Looks for it. `own` are the ids of what was found in the account as the cluster's and is to go.
///
/// # Errors
/// Those of the cluster's API.
pub async fn targets(session: &Session, own: &BTreeSet<String>) -> Result<Targets, ProviderError> {
    let mut targets = Targets::default();
    for service in session.list(&Type::new("v1", "Service"), "").await?.iter() {
        if is_balanced(service, own) {
            let object = Object::of(service)?;
            targets.deleted.push(object.clone());
            targets.awaited.push(object);
        }
    }
    let volumes = session
        .list(&Type::new("v1", "PersistentVolume"), "")
        .await?;
    let claims = volumes.iter().filter_map(|volume| claimed(volume, own));
    let claims: BTreeMap<Object, Object> = claims.collect();
    if claims.is_empty() {
        return Ok(targets);
    }
    let listed = session
        .list(&Type::new("v1", "PersistentVolumeClaim"), "")
        .await?;
    let pods_of = owning_pods(&listed);
    let mut owners = Owners::of(session);
    let mut workloads: BTreeSet<Object> = BTreeSet::new();
    let mut free: Vec<(&Object, &Object)> = Vec::new();
    let pods = session.list(&Type::new("v1", "Pod"), "").await?;
    for (claim, volume) in &claims {
        let mut holders = BTreeSet::new();
        let mut is_free = true;
        let owner = pods_of.get(claim).map(String::as_str);
        for pod in pods.iter().filter(|pod| holds(pod, claim, owner)) {
            match owners.top(pod).await? {
                Some(top) => drop(holders.insert(top)),
                None => is_free = false,
            }
        }
        if is_free {
            workloads.extend(holders);
            free.push((claim, volume));
        }
    }
    targets.deleted.extend(workloads);
    for (claim, volume) in free {
        targets.deleted.push(claim.clone());
        targets.awaited.extend([claim.clone(), volume.clone()]);
    }
    Ok(targets)
}

/// Whether one of the cluster's own load balancers is a Service's that nobody makes again.
fn is_balanced(service: &Value, own: &BTreeSet<String>) -> bool {
    let id = service["metadata"]["annotations"][BALANCER].as_str();
    id.is_some_and(|id| own.contains(id))
        && service["spec"]["type"] == "LoadBalancer"
        && service["spec"]["loadBalancerClass"].is_null()
        && !annotated(service, DISOWN, "true")
        && controller(service).is_none()
}

/// The claim of a volume that the driver made and deletes with its claim, and the volume.
fn claimed(volume: &Value, own: &BTreeSet<String>) -> Option<(Object, Object)> {
    let at = &volume["spec"];
    let id = at["csi"]["volumeHandle"].as_str()?;
    let made = own.contains(id)
        && at["csi"]["driver"] == DRIVER
        && annotated(volume, PROVISIONED_BY, DRIVER);
    let deletes = at["persistentVolumeReclaimPolicy"] == "Delete";
    // A claim of that name may be another one by now, with somebody else's volume.
    let bound = volume["status"]["phase"] == "Bound";
    let namespace = at["claimRef"]["namespace"].as_str()?;
    let name = at["claimRef"]["name"].as_str()?;
    let claim = Object::new("v1", "PersistentVolumeClaim", Some(namespace), name);
    (made && deletes && bound).then_some((claim, Object::of(volume).ok()?))
}

/// The uids of the pods whose generic ephemeral volumes claims are of: these pods own them, and name no
/// claim.
fn owning_pods(claims: &[Value]) -> BTreeMap<Object, String> {
    let owned = claims.iter().filter_map(|claim| {
        let mut owners = claim["metadata"]["ownerReferences"].as_array()?.iter();
        let pod = owners.find(|owner| owner["apiVersion"] == "v1" && owner["kind"] == "Pod")?;
        Some((Object::of(claim).ok()?, pod["uid"].as_str()?.to_owned()))
    });
    owned.collect()
}

/// Whether a pod that has not ended has the claim, because it names it or because it is its owner.
fn holds(pod: &Value, claim: &Object, owner: Option<&str>) -> bool {
    let ended = matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    let here = pod["metadata"]["namespace"].as_str() == claim.namespace.as_deref();
    let volumes = pod["spec"]["volumes"].as_array();
    let mut volumes = volumes.into_iter().flatten();
    let named = |volume: &Value| volume["persistentVolumeClaim"]["claimName"] == claim.name;
    let owns = owner.is_some() && pod["metadata"]["uid"].as_str() == owner;
    here && !ended && (owns || volumes.any(named))
}

/// The object that controls one.
fn controller(object: &Value) -> Option<Object> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some(Object::new(
        owner["apiVersion"].as_str()?,
        owner["kind"].as_str()?,
        object["metadata"]["namespace"].as_str(),
        owner["name"].as_str()?,
    ))
}

/// Controllers, each kind listed once and where it is needed.
struct Owners<'a> {
    session: &'a Session,
    lists: BTreeMap<Type, Items>,
}

impl<'a> Owners<'a> {
    fn of(session: &'a Session) -> Self {
        Self {
            session,
            lists: BTreeMap::new(),
        }
    }

    /// What has to be deleted so that a pod does not come back; nothing where that is no object of
    /// Kubernetes' own kinds.
    async fn top(&mut self, pod: &Value) -> Result<Option<Object>, ProviderError> {
        let mut top = Object::of(pod)?;
        let mut next = controller(pod);
        for _ in 0..GENERATIONS {
            let Some(owner) = next else {
                return Ok(Some(top));
            };
            if !matches!(owner.of.api_version.as_str(), "apps/v1" | "batch/v1") {
                return Ok(None);
            }
            let listed = self.list(&owner.of).await?;
            let is_it = |one: &&Value| Object::of(one).is_ok_and(|one| one == owner);
            let Some(seen) = listed.iter().find(is_it) else {
                // Its owner is gone, and it goes after it.
                return Ok(Some(top));
            };
            next = controller(seen);
            top = owner;
        }
        Ok(None)
    }

    async fn list(&mut self, of: &Type) -> Result<Items, ProviderError> {
        if let Some(items) = self.lists.get(of) {
            return Ok(Items::clone(items));
        }
        let items = self.session.list(of, "").await?;
        self.lists.insert(of.clone(), Items::clone(&items));
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::testing::Fake;
    use serde_json::json;

    fn owner(api_version: &str, kind: &str, name: &str) -> Value {
        json!([{
            "apiVersion": api_version, "kind": kind, "name": name, "uid": format!("uid-{name}"),
            "controller": true,
        }])
    }

    fn named(name: &str, more: &Value) -> Value {
        let mut metadata =
            json!({ "name": name, "namespace": "shop", "uid": format!("uid-{name}") });
        for (field, value) in more.as_object().into_iter().flatten() {
            metadata[field] = value.clone();
        }
        metadata
    }

    /// A Deployment whose pod has a generic ephemeral volume.
    fn cluster() -> Fake {
        let owned = |name: &str, by: Value| named(name, &json!({ "ownerReferences": by }));
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": { "name": "pvc-1", "annotations": { PROVISIONED_BY: DRIVER } },
            "spec": {
                "csi": { "driver": DRIVER, "volumeHandle": "v" },
                "persistentVolumeReclaimPolicy": "Delete",
                "claimRef": { "namespace": "shop", "name": "web-1-x-scratch" },
            },
            "status": { "phase": "Bound" },
        });
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": owned("web-1-x-scratch", owner("v1", "Pod", "web-1-x")),
        });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": owned("web-1-x", owner("apps/v1", "ReplicaSet", "web-1")),
            "spec": { "volumes": [{ "name": "scratch", "ephemeral": { "volumeClaimTemplate": {} } }] },
            "status": { "phase": "Running" },
        });
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": owned("web-1", owner("apps/v1", "Deployment", "web")),
        });
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": named("web", &json!({})),
        });
        Fake::new(move |asked| {
            let path = asked.path.split('?').next().unwrap_or_default();
            let items = match path.rsplit('/').next().unwrap_or_default() {
                "persistentvolumes" => vec![volume.clone()],
                "persistentvolumeclaims" => vec![claim.clone()],
                "pods" => vec![pod.clone()],
                "replicasets" => vec![set.clone()],
                "deployments" => vec![deployment.clone()],
                _ => Vec::new(),
            };
            Some((
                200,
                json!({ "kind": "List", "metadata": {}, "items": items }),
            ))
        })
    }

    #[tokio::test]
    async fn who_holds_a_claim_of_a_pods_own_goes_with_it() {
        let own = BTreeSet::from(["v".to_owned()]);
        let found = targets(&cluster().session(), &own).await.unwrap();
        let claim = Object::new(
            "v1",
            "PersistentVolumeClaim",
            Some("shop"),
            "web-1-x-scratch",
        );
        let deployment = Object::new("apps/v1", "Deployment", Some("shop"), "web");
        assert_eq!(found.deleted, [deployment, claim.clone()]);
        let volume = Object::new("v1", "PersistentVolume", None, "pvc-1");
        assert_eq!(found.awaited, [claim, volume]);
    }
}
