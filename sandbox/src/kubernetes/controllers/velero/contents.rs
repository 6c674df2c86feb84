//! Which objects go into a backup.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Pass;
use super::filter::{Filter, Kind, left_out};
use super::layout::Item;
use crate::kubernetes::apiserver::CRDS;
use crate::kubernetes::object::{self, Object, items, text};

const BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";
const ROLES: &str = "rbac.authorization.k8s.io/clusterroles";

/// What is chosen so far, each object once.
#[derive(Default)]
struct Chosen {
    items: Vec<Item>,
    uids: BTreeSet<String>,
}

impl Chosen {
    fn add(&mut self, kind: &Kind, object: Object) {
        if self.uids.insert(object::uid(&object).to_owned()) {
            let kind = kind.clone();
            self.items.push(Item { kind, object });
        }
    }
}

/// The objects of a backup, those that belong to the chosen ones included.
pub(super) fn choose(pass: &Pass<'_>, spec: &Value) -> Vec<Item> {
    let filter = Filter::of(spec);
    let catalogue = pass.server.catalogue();
    let (mut chosen, mut seen) = (Chosen::default(), BTreeSet::new());
    for resource in catalogue.all() {
        let collection = resource.storage_key();
        let kind = Kind::of(resource);
        // A namespace is chosen by what is in it.
        let skipped = collection == "/namespaces"
            || kind.never_backed_up()
            || !filter.kind(&kind, resource.namespaced);
        if !seen.insert(collection.clone()) || skipped {
            continue;
        }
        for object in pass.all(&collection) {
            let inside = !resource.namespaced || filter.namespace(object::namespace(&object));
            if inside && filter.labels(&object) && !object::terminating(&object) {
                chosen.add(&kind, object);
            }
        }
    }
    namespaces(pass, &filter, &mut chosen);
    related(pass, &filter, &mut chosen);
    chosen.items
}

/// The namespaces that are wanted whole, wanted by their labels, or of which something is wanted.
fn namespaces(pass: &Pass<'_>, filter: &Filter, chosen: &mut Chosen) {
    let used: BTreeSet<String> = chosen
        .items
        .iter()
        .map(|item| object::namespace(&item.object).to_owned())
        .collect();
    let kind = Kind::new("namespaces", "");
    for namespace in pass.all("/namespaces") {
        let name = object::name(&namespace);
        let by_itself = filter.is_by_namespace() || filter.kind(&kind, false);
        let wanted = used.contains(name) || (by_itself && filter.labels(&namespace));
        if wanted && filter.namespace(name) && !left_out(&namespace) {
            chosen.add(&kind, namespace);
        }
    }
}

/// Objects of the whole cluster without which the chosen ones would not work: volumes of claims,
/// definitions of custom objects, and what binds roles to service accounts.
fn related(pass: &Pass<'_>, filter: &Filter, chosen: &mut Chosen) {
    let mut wanted: Vec<(Kind, Object)> = Vec::new();
    let rbac = "rbac.authorization.k8s.io";
    let bindings = pass.all(BINDINGS);
    for item in &chosen.items {
        let (kind, object) = (&item.kind, &item.object);
        if kind.is_one_of(&["persistentvolumeclaims"])
            && let Some(name) = text(object, &["spec", "volumeName"])
            && let Some(volume) = pass.get("/persistentvolumes", "", name)
        {
            wanted.push((Kind::new("persistentvolumes", ""), volume));
        }
        if let Some(definition) = pass.get(CRDS, "", &kind.qualified()) {
            let kind = Kind::new("customresourcedefinitions", "apiextensions.k8s.io");
            wanted.push((kind, definition));
        }
        if kind.is_one_of(&["serviceaccounts"]) {
            for binding in bindings.iter().filter(|binding| binds(binding, object)) {
                let role = text(binding, &["roleRef", "name"]).unwrap_or_default();
                if let Some(role) = pass.get(ROLES, "", role) {
                    wanted.push((Kind::new("clusterroles", rbac), role));
                }
                let kind = Kind::new("clusterrolebindings", rbac);
                wanted.push((kind, binding.clone()));
            }
        }
    }
    for (kind, object) in wanted {
        if filter.follows(&kind) && !left_out(&object) && !object::terminating(&object) {
            chosen.add(&kind, object);
        }
    }
}

fn binds(binding: &Value, account: &Value) -> bool {
    items(binding, &["subjects"]).iter().any(|subject| {
        text(subject, &["kind"]) == Some("ServiceAccount")
            && text(subject, &["name"]) == Some(object::name(account))
            && text(subject, &["namespace"]) == Some(object::namespace(account))
    })
}
