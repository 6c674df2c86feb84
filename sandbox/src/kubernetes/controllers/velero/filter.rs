//! Which objects a backup or a restore is about.

use serde_json::Value;

use crate::kubernetes::object::{self, at, items};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::selector::LabelSelector;

/// Objects with this label are in no backup and come out of none.
const LEFT_OUT: &str = "velero.io/exclude-from-backup";

/// What Velero's server never restores.
pub(super) const NEVER_RESTORED: [&str; 9] = [
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
];

/// What is in no backup: events, snapshots that backups made themselves, and the records of
/// backups and restores, which come back out of the bucket.
const NEVER_BACKED_UP: [&str; 6] = [
    "events",
    "events.events.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
];

/// A kind of objects, by every name a filter may use for it.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    plural: String,
    group: String,
    others: Vec<String>,
}

impl Kind {
    /// A kind of which only the plural is known.
    pub(super) fn new(plural: &str, group: &str) -> Kind {
        Kind {
            plural: plural.to_owned(),
            group: group.to_owned(),
            others: Vec::new(),
        }
    }

    /// A kind the cluster serves.
    pub(super) fn of(resource: &ResourceType) -> Kind {
        let mut others = resource.short_names.clone();
        others.push(resource.singular.clone());
        Kind {
            others,
            ..Kind::new(&resource.plural, &resource.group)
        }
    }

    /// `deployments.apps`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether a filter's entry means this kind.
    fn is(&self, wanted: &str) -> bool {
        let wanted = wanted.to_lowercase();
        let (name, group) = match wanted.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (wanted.as_str(), None),
        };
        let named = name == self.plural || self.others.iter().any(|other| other == name);
        named && group.is_none_or(|group| self.group.starts_with(group))
    }

    /// Whether no backup has it.
    pub(super) fn never_backed_up(&self) -> bool {
        NEVER_BACKED_UP.contains(&self.qualified().as_str())
    }

    /// Whether it is one of these, by `plural.group`.
    pub(super) fn is_one_of(&self, names: &[&str]) -> bool {
        names.contains(&self.qualified().as_str())
    }
}

/// Names in and names out.
#[derive(Debug, Default)]
struct Sieve {
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl Sieve {
    fn of(spec: &Value, included: &str, excluded: &str) -> Sieve {
        let list = |key: &str| {
            let names = items(spec, &[key]).iter().filter_map(Value::as_str);
            names.map(str::to_owned).collect()
        };
        Sieve {
            includes: list(included),
            excludes: list(excluded),
        }
    }

    /// Whether nothing is left out.
    fn is_open(&self) -> bool {
        self.excludes.is_empty() && (self.includes.is_empty() || self.includes == ["*"])
    }

    fn excludes(&self, is: impl Fn(&str) -> bool) -> bool {
        self.excludes.iter().any(|name| name == "*" || is(name))
    }

    fn lists(&self, is: impl Fn(&str) -> bool) -> bool {
        self.includes.iter().any(|name| name == "*" || is(name))
    }

    fn takes(&self, is: impl Fn(&str) -> bool) -> bool {
        !self.excludes(&is) && (self.includes.is_empty() || self.lists(is))
    }
}

/// The filters of a spec.
#[derive(Debug)]
pub(super) struct Filter {
    namespaces: Sieve,
    resources: Sieve,
    /// The newer filters by scope, which replace `resources`: of the cluster, of namespaces.
    scoped: Option<(Sieve, Sieve)>,
    whole_cluster: Option<bool>,
    labels: Vec<LabelSelector>,
}

impl Filter {
    /// The filters of a backup's or a restore's spec.
    pub(super) fn of(spec: &Value) -> Filter {
        let cluster = Sieve::of(
            spec,
            "includedClusterScopedResources",
            "excludedClusterScopedResources",
        );
        let namespaced = Sieve::of(
            spec,
            "includedNamespaceScopedResources",
            "excludedNamespaceScopedResources",
        );
        let old = cluster.is_open() && namespaced.is_open() && cluster.includes.is_empty();
        let either = items(spec, &["orLabelSelectors"]).iter();
        let own = at(spec, &["labelSelector"]).filter(|one| !one.is_null());
        Filter {
            namespaces: Sieve::of(spec, "includedNamespaces", "excludedNamespaces"),
            resources: Sieve::of(spec, "includedResources", "excludedResources"),
            scoped: (!old).then_some((cluster, namespaced)),
            whole_cluster: at(spec, &["includeClusterResources"]).and_then(Value::as_bool),
            labels: own
                .into_iter()
                .chain(either)
                .map(LabelSelector::of_spec)
                .collect(),
        }
    }

    /// Whether a namespace is in it.
    pub(super) fn namespace(&self, name: &str) -> bool {
        self.namespaces.takes(|other| other == name)
    }

    /// Whether every object of some kind of a namespace is in it, the namespace too.
    pub(super) fn is_by_namespace(&self) -> bool {
        self.labels.is_empty() && self.resources.includes.is_empty() && self.scoped.is_none()
    }

    /// Whether objects of the whole cluster come along with those they belong to.
    pub(super) fn follows(&self, kind: &Kind) -> bool {
        let excluded = match &self.scoped {
            Some((cluster, _)) => cluster.excludes(|name| kind.is(name)),
            None => self.resources.excludes(|name| kind.is(name)),
        };
        self.whole_cluster != Some(false) && !excluded
    }

    /// Whether a kind is in it for its own sake.
    pub(super) fn kind(&self, kind: &Kind, namespaced: bool) -> bool {
        let is = |name: &str| kind.is(name);
        if let Some((cluster, inside)) = &self.scoped {
            if namespaced {
                return inside.takes(is);
            }
            let all = cluster.is_open() && self.namespaces.is_open() && inside.is_open();
            return !cluster.excludes(is) && (all || cluster.lists(is));
        }
        if !namespaced {
            match self.whole_cluster {
                Some(false) => return false,
                None if !self.namespaces.is_open() => return false,
                _ => {}
            }
        }
        self.resources.takes(is)
    }

    /// Whether an object's labels let it in.
    pub(super) fn labels(&self, object: &Value) -> bool {
        let labels = object::map(object, &["metadata", "labels"]);
        let any = self.labels.iter().any(|one| one.matches(labels));
        !left_out(object) && (self.labels.is_empty() || any)
    }
}

/// Whether the object's owner keeps it out of backups.
pub(super) fn left_out(object: &Value) -> bool {
    object::label(object, LEFT_OUT) == Some("true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_mean_what_veleros_mean() {
        let deployments = Kind {
            others: vec!["deploy".to_owned(), "deployment".to_owned()],
            ..Kind::new("deployments", "apps")
        };
        let volumes = Kind::new("persistentvolumes", "");
        let all = Filter::of(&json!({"includedNamespaces": ["*"]}));
        assert!(all.kind(&volumes, false) && all.namespace("any"));
        let some =
            Filter::of(&json!({"excludedNamespaces": ["a"], "includedResources": ["deploy"]}));
        assert!(some.kind(&deployments, true) && !some.kind(&volumes, false));
        assert!(!some.namespace("a") && some.namespace("b"));
        let cluster =
            Filter::of(&json!({"includedNamespaces": ["a"], "includeClusterResources": true}));
        assert!(cluster.kind(&volumes, false));
        let scoped = Filter::of(&json!({"excludedNamespaceScopedResources": ["deployments.apps"]}));
        assert!(!scoped.kind(&deployments, true) && !scoped.kind(&volumes, false));
        let labelled = Filter::of(&json!({"labelSelector": {"matchLabels": {"a": "1"}}}));
        assert!(labelled.labels(&json!({"metadata": {"labels": {"a": "1"}}})));
        assert!(!labelled.labels(&json!({"metadata": {"labels": {"a": "2"}}})));
        let marked = json!({"metadata": {"labels": {"a": "1", LEFT_OUT: "true"}}});
        assert!(!labelled.labels(&marked) && !all.labels(&marked));
    }
}
