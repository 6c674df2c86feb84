//! What Argo CD manages of a bundle: by its own mark on each object, as long as the Application that
//! put it there exists.

use super::argocd::application;
use super::object::Object;
use super::session::Session;
use kplan_model::ProviderError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// With which Argo CD marks what an Application manages: `<name>:<group>/<kind>:<namespace>/<name>`,
/// or `<namespace>_<name>:…` for an Application outside Argo CD's own namespace.
const TRACKING: &str = "argocd.argoproj.io/tracking-id";

/// See the module. The default is nothing.
#[derive(Debug, Default)]
pub struct Managed {
    /// The Application, as its mark names it.
    pub by: Option<String>,
    objects: BTreeSet<Object>,
    /// Most of the bundle is managed: then what is missing of it is so because the Application does
    /// not have it.
    whole: bool,
}

impl Managed {
    /// Whether an object is Argo CD's business. Secrets never are: what is in them is not in Git.
    pub fn covers(&self, object: &Object) -> bool {
        !object.is_secret() && (self.whole || self.objects.contains(object))
    }
}

fn tracker(value: &Value) -> Option<&str> {
    let id = value["metadata"]["annotations"][TRACKING].as_str()?;
    let (application, _) = id.split_once(':')?;
    (!application.is_empty()).then_some(application)
}

/// What is managed of a bundle's objects, as they were found.
pub async fn managed(
    session: &Session,
    found: &BTreeMap<Object, Value>,
) -> Result<Managed, ProviderError> {
    let found = found.iter().filter(|(object, _)| !object.is_secret());
    let found: Vec<(&Object, &Value)> = found.collect();
    if !found.iter().any(|(_, value)| tracker(value).is_some()) {
        return Ok(Managed::default());
    }
    let applications = session.list(&application(), "").await?;
    let mut there = BTreeSet::new();
    for one in applications.iter() {
        let text = |field: &str| one["metadata"][field].as_str().unwrap_or_default();
        there.insert(text("name").to_owned());
        there.insert(format!("{}_{}", text("namespace"), text("name")));
    }
    let mut managed = Managed::default();
    for (object, value) in found.iter().copied() {
        if let Some(by) = tracker(value).filter(|by| there.contains(*by)) {
            managed.by.get_or_insert_with(|| by.to_owned());
            managed.objects.insert(object.clone());
        }
    }
    managed.whole = managed.objects.len() * 2 > found.len();
    Ok(managed)
}
