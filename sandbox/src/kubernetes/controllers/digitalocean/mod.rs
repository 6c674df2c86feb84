//! The programs that make things in the account for the cluster: the volume driver with its sidecars,
//! the snapshot controller, and the part of the cloud controller manager that is for Services.
//!
//! They call DigitalOcean's API as the real ones do: with the cluster's own token, its scopes and its
//! request limits, so what they may not do stays undone.

mod attachments;
mod load_balancers;
mod snapshots;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::Pass;
use crate::kubernetes::CloudApi;
use crate::kubernetes::object::{items, number, set, text};

pub(super) use attachments::unattached;
pub(super) use load_balancers::Ensured;
pub(super) use volumes::{delete, forget, provision};

/// The driver's name.
pub(super) const DRIVER: &str = "dobs.csi.digitalocean.com";
/// The driver's controller, a `StatefulSet` of `kube-system`.
const CONTROLLER: &str = "csi-do-controller";
const SYSTEM: &str = "kube-system";
const STATEFUL_SETS: &str = "apps/statefulsets";
const VOLUMES: &str = "/persistentvolumes";
const CLAIMS: &str = "/persistentvolumeclaims";

/// How long the sidecars wait before they try again what DigitalOcean refused, and between two looks
/// at what is under way.
pub(super) const RETRY: Duration = Duration::from_secs(2);

/// Items of a page.
const PAGE: usize = 200;
/// Pages read of a list at most.
const MAX_PAGES: usize = 100;

/// One pass: attachments, snapshots, load balancers. Claims have a file of their own.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    attachments::reconcile(pass);
    snapshots::reconcile(pass);
    load_balancers::reconcile(pass);
}

/// Whether the driver's controller runs.
pub(super) fn driver_runs(pass: &Pass<'_>) -> bool {
    pass.get("storage.k8s.io/csidrivers", "", DRIVER).is_some() && runs(pass, CONTROLLER)
}

fn runs(pass: &Pass<'_>, name: &str) -> bool {
    let found = pass.get(STATEFUL_SETS, SYSTEM, name);
    found.is_some_and(|set| number(&set, &["status", "readyReplicas"]).unwrap_or(0) > 0)
}

/// What the driver's `--do-tag` says; nothing without it.
fn tags(pass: &Pass<'_>) -> Vec<String> {
    let set = pass.get(STATEFUL_SETS, SYSTEM, CONTROLLER);
    let containers = set.as_ref().map_or(&[][..], |set| {
        items(set, &["spec", "template", "spec", "containers"])
    });
    let args = containers.iter().flat_map(|one| items(one, &["args"]));
    let tags = args.filter_map(|arg| arg.as_str()?.strip_prefix("--do-tag="));
    tags.map(str::to_owned).collect()
}

/// The region of the nodes' droplets, which the real programs ask the metadata service for.
fn region(pass: &Pass<'_>) -> Option<String> {
    let mut nodes = pass.nodes.values();
    let region = "topology.kubernetes.io/region";
    nodes.find_map(|node| node.facts.labels.get(region).cloned())
}

/// The number of the droplet behind a node's provider id.
fn droplet(provider_id: &str) -> Option<u64> {
    provider_id.strip_prefix("digitalocean://")?.parse().ok()
}

/// DigitalOcean did not answer, or refused to.
struct Silent;

/// The account, as the cluster's token opens it. What DigitalOcean refuses or does not answer is
/// nothing: whoever asked tries again later.
struct Account {
    api: Arc<dyn CloudApi>,
    token: String,
}

impl Account {
    fn of(pass: &Pass<'_>) -> Option<Account> {
        let api = pass.cloud_api.clone()?;
        let secret = pass.get("/secrets", SYSTEM, "digitalocean")?;
        let token = STANDARD.decode(text(&secret, &["data", "access-token"])?);
        let token = String::from_utf8(token.ok()?).ok()?;
        Some(Account { api, token })
    }

    fn call(&self, method: Method, target: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        self.api.call(&self.token, method, target, body).ok()
    }

    /// A resource; nothing where it does not exist.
    fn get(&self, target: &str) -> Result<Option<Value>, Silent> {
        match self.call(Method::GET, target, None) {
            Some((200, body)) => Ok(Some(body)),
            Some((404, _)) => Ok(None),
            _ => Err(Silent),
        }
    }

    /// The body of an answer that says that it was done.
    fn send(&self, method: Method, target: &str, body: &Value) -> Option<Value> {
        let (status, answer) = self.call(method, target, Some(body))?;
        (200..300).contains(&status).then_some(answer)
    }

    /// Whether it is gone now.
    fn delete(&self, target: &str) -> bool {
        let answer = self.call(Method::DELETE, target, None);
        answer.is_some_and(|(status, _)| status == 404 || (200..300).contains(&status))
    }

    /// A whole list.
    fn list(&self, target: &str, key: &str) -> Option<Vec<Value>> {
        let sign = if target.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let body = self.get(&format!("{target}{sign}per_page={PAGE}&page={page}"));
            let body = body.ok()??;
            let found = items(&body, &[key]);
            all.extend(found.iter().cloned());
            if found.len() < PAGE {
                return Some(all);
            }
        }
        None
    }
}

/// Adds finalizers that an object lacks.
pub(super) fn hold(pass: &Pass<'_>, collection: &str, object: &Value, finalizers: &[&str]) {
    pass.adjust(collection, object, |object| {
        let mut all = items(object, &["metadata", "finalizers"]).to_vec();
        let missing = finalizers.iter().map(|one| json!(one));
        let missing: Vec<Value> = missing.filter(|one| !all.contains(one)).collect();
        if !missing.is_empty() {
            all.extend(missing);
            set(object, &["metadata", "finalizers"], all);
        }
    });
}

/// Takes finalizers away; an object that waits for nothing else is gone then.
pub(super) fn let_go(pass: &Pass<'_>, collection: &str, object: &Value, finalizers: &[&str]) {
    pass.adjust(collection, object, |object| {
        let mut all = items(object, &["metadata", "finalizers"]).to_vec();
        let held = all.len();
        all.retain(|one| !one.as_str().is_some_and(|one| finalizers.contains(&one)));
        if all.len() < held {
            set(object, &["metadata", "finalizers"], all);
        }
    });
}
