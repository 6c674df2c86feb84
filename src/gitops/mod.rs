//! `[gitops] delivery = "git"`: the tree from which Argo CD brings storage, backups and add-ons. It is
//! made from what kplan would apply itself, so that both ways give the same cluster.

use crate::compose::{self, Inputs};
use kplan_model::{Address, Declaration, ErrorKind, ProviderError, Snapshot};
use kplan_providers::artifacts::ArtifactSource;
use kplan_providers::kubernetes::argocd_application::application_of;
use kplan_providers::kubernetes::delivered::objects_for_git;
use kplan_providers::kubernetes::manifest;
use kplan_schema::spec::{Addon, AddonSource, Gitops, Spec};
use kplan_schema::value::Delivery;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Files by their paths below the root of the repository.
pub type Tree = BTreeMap<String, String>;

/// What every file begins with: only such files are ever replaced or removed.
pub const MARK: &str =
    "# Written by `kplan render gitops`. What is changed here is lost with the next one.\n";

/// One part of the platform: an Application, and the folder it reads.
struct Part {
    name: String,
    namespace: String,
    /// Parts of a lower wave are synced and healthy before it begins.
    wave: u32,
    /// What it reads, in a folder beside it. A chart is the object that K3s's Helm controller takes: as
    /// kplan would apply it, and pinned, whoever applies it.
    objects: Vec<Value>,
}

/// The tree of a cluster.
///
/// # Errors
/// `Invalid` before the first apply, when what is made then is not known; what artifacts fail with.
pub async fn tree(
    spec: &Spec,
    gitops: &Gitops,
    inputs: &Inputs,
    snapshot: &Snapshot,
    artifacts: &dyn ArtifactSource,
) -> Result<Tree, ProviderError> {
    let mut tree = Tree::new();
    for part in parts(spec, inputs, snapshot, artifacts).await? {
        let folder = below(gitops.path.as_str(), &part.name);
        tree.insert(format!("{folder}/objects.yaml"), yaml(&part.objects)?);
        let source = json!({
            "repoURL": gitops.repo.to_string(),
            "path": folder,
            "targetRevision": gitops.revision.to_string(),
        });
        let application = application(&part.name, &part.namespace, part.wave, &source);
        let file = below(gitops.path.as_str(), &format!("{}.yaml", part.name));
        tree.insert(file, yaml(&[application])?);
    }
    Ok(tree)
}

/// A path below the folder that the root Application reads.
fn below(folder: &str, name: &str) -> String {
    match folder.trim_matches('/') {
        "" | "." => name.to_owned(),
        folder => format!("{}/{name}", folder.trim_start_matches("./")),
    }
}

async fn parts(
    spec: &Spec,
    inputs: &Inputs,
    snapshot: &Snapshot,
    artifacts: &dyn ArtifactSource,
) -> Result<Vec<Part>, ProviderError> {
    let declared = as_applied(spec, inputs);
    let objects = async |address: Address| {
        let found = declared.iter().find(|one| one.address == address);
        match found {
            None => Ok(None),
            Some(one) => objects(one, snapshot, artifacts).await.map(Some),
        }
    };
    let mut parts = Vec::new();
    let own = [
        ("storage", "kube-system", 0, compose::platform::csi()),
        (
            "sealed-secrets",
            "kube-system",
            1,
            compose::platform::sealed_secrets(),
        ),
        ("velero", "velero", 2, compose::platform::velero()),
    ];
    for (name, namespace, wave, address) in own {
        if let Some(objects) = objects(address).await? {
            parts.push(Part {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                wave,
                objects,
            });
        }
    }
    for addon in &spec.own_addons {
        let objects = objects(compose::addons::addon(addon)).await?;
        parts.push(Part {
            name: format!("addon-{}", addon.name),
            namespace: namespace(addon),
            wave: 3 + depth(spec, addon, 0),
            objects: objects.unwrap_or_default(),
        });
    }
    Ok(parts)
}

/// What kplan would apply, were it its own.
fn as_applied(spec: &Spec, inputs: &Inputs) -> Vec<Declaration> {
    let mut spec = spec.clone();
    if let Some(gitops) = &mut spec.gitops {
        gitops.delivery.value = Delivery::Apply;
    }
    compose::compose(&spec, inputs).resources
}

/// How many add-ons it comes after, one behind the other. `steps` ends a circle, which the file's
/// rules refuse.
fn depth(spec: &Spec, addon: &Addon, steps: u32) -> u32 {
    let all = &spec.own_addons;
    let before = all.iter().filter(|other| {
        addon
            .after
            .iter()
            .any(|name| name.value == other.name.value)
    });
    let deepest = before
        .filter(|_| steps < 100)
        .map(|one| depth(spec, one, steps + 1));
    deepest.max().map_or(0, |deepest| deepest + 1)
}

fn namespace(addon: &Addon) -> String {
    let own = addon.namespace.as_ref().map(ToString::to_string);
    own.unwrap_or_else(|| match addon.source {
        AddonSource::Helm { .. } => addon.name.to_string(),
        AddonSource::Manifest { .. } | AddonSource::File(_) => "default".to_owned(),
    })
}

async fn objects(
    declaration: &Declaration,
    snapshot: &Snapshot,
    artifacts: &dyn ArtifactSource,
) -> Result<Vec<Value>, ProviderError> {
    let args = declaration.filled(snapshot);
    let made = objects_for_git(declaration.address.kind(), &args, artifacts).await;
    made.map_err(|error| {
        let message = format!("{}: {}", declaration.address, error.message);
        let mut told = ProviderError::new(error.kind, message);
        told.help = error.help;
        if error.kind == ErrorKind::Bug {
            told.kind = ErrorKind::Invalid;
            told.help = Some("apply first: some of it is made by the first apply".to_owned());
        }
        told
    })
}

fn application(name: &str, namespace: &str, wave: u32, source: &Value) -> Value {
    let automated = json!({ "prune": true, "selfHeal": true });
    let mut application = application_of(name, namespace, source, &automated);
    application["metadata"]["annotations"] =
        json!({ "argocd.argoproj.io/sync-wave": wave.to_string() });
    application
}

fn yaml(objects: &[Value]) -> Result<String, ProviderError> {
    Ok(format!("{MARK}{}", manifest::write(objects)?))
}
