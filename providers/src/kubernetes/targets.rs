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
    let mut owners = Owners::of(session);
    let mut workloads: BTreeSet<Object> = BTreeSet::new();
    let mut free: Vec<(&Object, &Object)> = Vec::new();
    let pods = session.list(&Type::new("v1", "Pod"), "").await?;
    for (claim, volume) in &claims {
        let mut holders = BTreeSet::new();
        let mut is_free = true;
        for pod in pods.iter().filter(|pod| holds(pod, claim)) {
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

/// Whether a pod that has not ended has the claim.
fn holds(pod: &Value, claim: &Object) -> bool {
    let ended = matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    let here = pod["metadata"]["namespace"].as_str() == claim.namespace.as_deref();
    let volumes = pod["spec"]["volumes"].as_array();
    let mut volumes = volumes.into_iter().flatten();
    let named = |volume: &Value| volume["persistentVolumeClaim"]["claimName"] == claim.name;
    here && !ended && volumes.any(named)
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
