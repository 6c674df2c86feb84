//! Labels and taints of a living node.
//!
//! The kubelet gives a node those of its configuration when it registers it, and never looks at
//! them again (K3s documentation, "Advanced Options", "Node labels and taints"). From then on they
//! are changed through the API: what the file says is set, what kplan set and the file does not say
//! any more is removed, and whatever else is on the node is somebody else's and stays. K3s itself gives
//! the labels it is started with to the node again at every start (`updateMutableLabels`), so its
//! configuration follows ([`super::living::note_labels`]).
//!
//! A taint is told from others by its key and effect, of which a node has one each (Kubernetes API
//! reference, `Taint`). The list of them can only be written as a whole, so it is written only
//! where the node is still as it was read: a controller's taint that comes meanwhile is not lost.

use super::drain::node_of;
use super::life::{permitted, provider_id, text};
use super::{K3sNode, NodeArgs, NodeAttrs};
use crate::kubernetes::object::Type;
use crate::kubernetes::session::Session;
use kplan_model::{ErrorKind, Permit, ProviderError, RemoteId};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often the node is read again because it changed between reading and writing. Kubelets and
/// controllers write a node's status every few seconds, and its labels hardly ever.
const ATTEMPTS: u32 = 8;

/// `key=value:Effect` in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taint<'a> {
    key: &'a str,
    value: &'a str,
    effect: &'a str,
}

impl<'a> Taint<'a> {
    fn parse(text: &'a str) -> Self {
        let (pair, effect) = text.rsplit_once(':').unwrap_or((text, ""));
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Self { key, value, effect }
    }

    fn of(taint: &'a Value) -> Self {
        Self {
            key: text(taint, "/key"),
            value: text(taint, "/value"),
            effect: text(taint, "/effect"),
        }
    }

    /// What a node has one of.
    fn identity(self) -> (&'a str, &'a str) {
        (self.key, self.effect)
    }

    fn text(self) -> String {
        let Self { key, value, effect } = self;
        if value.is_empty() {
            format!("{key}:{effect}")
        } else {
            format!("{key}={value}:{effect}")
        }
    }

    fn object(self) -> Value {
        let Self { key, value, effect } = self;
        if value.is_empty() {
            json!({ "key": key, "effect": effect })
        } else {
            json!({ "key": key, "value": value, "effect": effect })
        }
    }
}

fn taints(node: &Value) -> &[Value] {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints.map_or(&[], Vec::as_slice)
}

fn identities(taints: &[String]) -> BTreeSet<(&str, &str)> {
    let taints = taints.iter().map(|taint| Taint::parse(taint).identity());
    taints.collect()
}

/// What a node has of the labels and taints that were asked for.
fn shown(args: &NodeArgs, node: &Value) -> (BTreeMap<String, String>, Vec<String>) {
    let labels = args.labels.keys().filter_map(|key| {
        let value = node.pointer("/metadata/labels")?.get(key)?.as_str()?;
        Some((key.clone(), value.to_owned()))
    });
    let ours = identities(&args.taints);
    let taints = taints(node).iter().map(Taint::of);
    let taints = taints.filter(|taint| ours.contains(&taint.identity()));
    (labels.collect(), taints.map(Taint::text).collect())
}

/// The changes of labels, for a merge patch: a value, or nothing for one that goes.
fn label_changes(node: &Value, before: &NodeArgs, after: &NodeArgs) -> Map<String, Value> {
    let empty = Map::new();
    let have = node.pointer("/metadata/labels").and_then(Value::as_object);
    let have = have.unwrap_or(&empty);
    let gone = before.labels.keys();
    let gone = gone.filter(|key| !after.labels.contains_key(*key) && have.contains_key(*key));
    let set = after.labels.iter().filter(|(key, value)| {
        let has = have.get(*key).and_then(Value::as_str);
        has != Some(value.as_str())
    });
    gone.map(|key| (key.clone(), Value::Null))
        .chain(set.map(|(key, value)| (key.clone(), json!(value))))
        .collect()
}

/// All taints as they are to be; `None` where they are so.
fn taints_wanted(node: &Value, before: &NodeArgs, after: &NodeArgs) -> Option<Vec<Value>> {
    let (old, new) = (identities(&before.taints), identities(&after.taints));
    let have = taints(node);
    let mut wanted: Vec<Value> = have
        .iter()
        .filter(|taint| {
            let identity = Taint::of(taint).identity();
            new.contains(&identity) || !old.contains(&identity)
        })
        .cloned()
        .collect();
    for taint in after.taints.iter().map(|taint| Taint::parse(taint)) {
        let same = |other: &&mut Value| Taint::of(other).identity() == taint.identity();
        match wanted.iter_mut().find(same) {
            Some(other) if Taint::of(other) == taint => {}
            Some(other) => *other = taint.object(),
            None => wanted.push(taint.object()),
        }
    }
    (wanted != have).then_some(wanted)
}

/// What makes a node's labels and taints those of `after` where they were those of `before`;
/// nothing where they are already.
fn patch(node: &Value, before: &NodeArgs, after: &NodeArgs) -> Option<Value> {
    let labels = label_changes(node, before, after);
    let taints = taints_wanted(node, before, after);
    if labels.is_empty() && taints.is_none() {
        return None;
    }
    let version = text(node, "/metadata/resourceVersion");
    let mut patch = json!({ "metadata": { "resourceVersion": version } });
    if !labels.is_empty() {
        patch["metadata"]["labels"] = Value::Object(labels);
    }
    match taints {
        Some(taints) if taints.is_empty() => patch["spec"] = json!({ "taints": null }),
        Some(taints) => patch["spec"] = json!({ "taints": taints }),
        None => {}
    }
    Some(patch)
}

/// The attributes of a node with what it has of the labels and taints that were asked for.
fn seen(attrs: NodeAttrs, args: &NodeArgs, node: &Value) -> NodeAttrs {
    let (labels, taints) = shown(args, node);
    NodeAttrs {
        labels: Some(labels),
        taints: Some(taints),
        ..attrs
    }
}

impl K3sNode {
    /// Gives a living node the labels and taints of `after`. Doing it again changes nothing.
    pub(super) async fn label(
        &self,
        attrs: NodeAttrs,
        (before, after): (&NodeArgs, &NodeArgs),
        permit: &Permit,
    ) -> Result<NodeAttrs, ProviderError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let Some(node) = node_of(&self.kubernetes, after).await? else {
                let message = format!("{} has not registered", after.boot.node);
                return Err(ProviderError::new(ErrorKind::Busy, message));
            };
            let Some(patch) = patch(&node.seen, before, after) else {
                return Ok(seen(attrs, after, &node.seen));
            };
            match node.session.merge(permit, &node.object, &patch).await {
                // The next look sees what came of it.
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::Busy => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        let why = last.map_or_else(String::new, |error| format!(": {}", error.message));
        let node = &after.boot.node;
        let message =
            format!("{node} does not keep its labels and taints: somebody else changes them{why}");
        Err(ProviderError::new(ErrorKind::Busy, message))
    }

    /// What the nodes have of their labels and taints, by one list for each cluster. Where a
    /// cluster does not answer or does not have the node, what was known of it stays.
    pub(super) async fn look_at_labels(
        &self,
        nodes: Vec<(RemoteId, NodeArgs)>,
        found: &mut BTreeMap<RemoteId, NodeAttrs>,
    ) {
        let mut listed: BTreeMap<String, Option<Arc<Vec<Value>>>> = BTreeMap::new();
        for (id, args) in nodes {
            let access = args.api.as_ref().and_then(|api| api.access().ok());
            let (Some(access), Ok(droplet)) = (access, args.droplet_id.known()) else {
                continue;
            };
            if !listed.contains_key(&access.server) {
                let look = |session: Session| async move {
                    session.list(&Type::new("v1", "Node"), "").await
                };
                let answer = permitted(&self.kubernetes, &access, look).await;
                let nodes = answer.ok().map(|(_, nodes)| nodes);
                listed.insert(access.server.clone(), nodes);
            }
            let nodes = listed.get(&access.server).and_then(Option::as_ref);
            let own = provider_id(droplet);
            let node = nodes.and_then(|nodes| {
                let mut nodes = nodes.iter();
                nodes.find(|node| text(node, "/spec/providerID") == own)
            });
            if let (Some(node), Some(attrs)) = (node, found.get_mut(&id)) {
                *attrs = seen(attrs.clone(), &args, node);
            }
        }
    }
}
