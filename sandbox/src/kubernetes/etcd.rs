//! Members of embedded etcd: who joined, who answers, and who was let go.
//!
//! As etcd does, the cluster takes no new member while one it has does not answer
//! (`etcdserver: unhealthy cluster`). A member leaves as K3s lets it: by the annotation
//! `etcd.k3s.cattle.io/remove` on its Node, which K3s answers with `…/removed-node-name`, or with
//! its Node object. Not simulated: that the API of a server without its member stops answering,
//! and that nothing answers without a majority.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::controllers::{NodeRecord, Pass};
use super::object::{set, text};
use crate::store::{Store, StoreError};

const NODES: &str = "/nodes";
const REMOVE: &str = "etcd.k3s.cattle.io/remove";
const REMOVED: &str = "etcd.k3s.cattle.io/removed-node-name";

/// K3s's controller needs a moment for the change of membership.
const LEAVING: Duration = Duration::from_secs(3);

/// One member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Of the machine that holds its data.
    provider_id: String,
    /// Whether its Node object was there once.
    registered: bool,
}

/// All members of one cluster, on disk, too.
pub(crate) struct Members {
    store: Store,
    place: String,
    all: BTreeMap<String, Member>,
}

impl Members {
    /// Those on disk.
    pub(crate) fn open(store: Store, cluster: &str) -> Result<Members, StoreError> {
        let place = format!("k8s/{cluster}/etcd");
        let all = store.load(&place)?;
        Ok(Members { store, place, all })
    }

    /// The nodes that are members.
    pub(crate) fn names(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }

    fn keep(&mut self, node: &str, member: Member) {
        // What cannot be written is reported by the next request that writes.
        drop(self.store.put(&self.place, node, &member));
        self.all.insert(node.to_owned(), member);
    }

    fn remove(&mut self, node: &str) {
        drop(self.store.delete(&self.place, node));
        self.all.remove(node);
    }

    /// Takes a member in; one that was let go comes back as a new one, as K3s makes of it when it
    /// starts again. The error is etcd's.
    pub(crate) fn join(
        &mut self,
        nodes: &BTreeMap<String, NodeRecord>,
        node: &str,
        provider_id: &str,
    ) -> Result<(), String> {
        if self
            .all
            .get(node)
            .is_some_and(|member| member.provider_id == provider_id)
        {
            return Ok(());
        }
        let silent: Vec<&str> = self.silent(nodes).collect();
        if !silent.is_empty() {
            return Err(format!(
                "etcdserver: unhealthy cluster: {} does not answer and was not removed",
                silent.join(", ")
            ));
        }
        let member = Member {
            provider_id: provider_id.to_owned(),
            registered: false,
        };
        self.keep(node, member);
        Ok(())
    }

    /// Members whose machine is off, gone, or another one by now.
    fn silent<'a>(
        &'a self,
        nodes: &'a BTreeMap<String, NodeRecord>,
    ) -> impl Iterator<Item = &'a str> {
        let answers = |node: &str, member: &Member| {
            nodes.get(node).is_some_and(|record| {
                !record.lost && record.facts.provider_id == member.provider_id
            })
        };
        let silent = self
            .all
            .iter()
            .filter(move |(node, member)| !answers(node, member));
        silent.map(|(node, _)| node.as_str())
    }

    /// Whether those that answer can change the membership.
    fn has_majority(&self, nodes: &BTreeMap<String, NodeRecord>) -> bool {
        self.silent(nodes).count() < self.all.len().div_ceil(2)
    }
}

/// Lets those go that are to go. Runs before nodes are registered again.
pub(super) fn reconcile(pass: &mut Pass<'_>, members: &mut Members) {
    for (name, member) in members.all.clone() {
        match pass.get(NODES, "", &name) {
            None if member.registered => members.remove(&name),
            None => {}
            Some(node) => {
                let same = text(&node, &["spec", "providerID"]) == Some(&member.provider_id);
                if !same {
                    members.remove(&name);
                    continue;
                }
                if !member.registered {
                    members.keep(
                        &name,
                        Member {
                            registered: true,
                            ..member
                        },
                    );
                }
                let asked = text(&node, &["metadata", "annotations", REMOVE]) == Some("true");
                if asked
                    && members.has_majority(&pass.nodes)
                    && pass.due("etcd-leaves", &node, LEAVING)
                {
                    members.remove(&name);
                    pass.adjust(NODES, &node, |node| {
                        set(node, &["metadata", "annotations", REMOVED], name.as_str());
                    });
                }
            }
        }
    }
}
