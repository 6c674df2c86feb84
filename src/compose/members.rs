//! The nodes a cluster has by its record: whom a new one can join, and whom the old ones joined.

use kplan_model::{Address, Kind, Recorded, Snapshot, Status, Value};
use kplan_schema::spec::SERVERS_POOL;
use std::collections::{BTreeMap, BTreeSet};

/// How a node came to its cluster, once in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Birth {
    /// It began the cluster.
    Began,
    /// It joined the server of that index.
    Joined(u32),
}

/// See the module. The default is a cluster that is yet to be made.
#[derive(Clone, Debug, Default)]
pub struct Members {
    living: BTreeSet<u32>,
    births: BTreeMap<Address, Birth>,
    /// The version of K3s on the nodes.
    version: Option<String>,
    /// By index: the servers' addresses in the VPC.
    addresses: BTreeMap<u32, String>,
    /// Whether the only server has its data in SQLite, by what was seen last.
    sqlite: bool,
    /// How many servers are on record as nodes, working or not.
    on_record: usize,
}

impl Members {
    /// Those on record.
    pub fn of(snapshot: &Snapshot) -> Self {
        let node = Kind::new("k3s_node");
        let nodes = snapshot.resources.values();
        let nodes = nodes.filter(|record| *record.address.kind() == node);
        let nodes: Vec<&Recorded> = nodes.collect();
        let servers = nodes.iter().filter(|it| it.address.name() == SERVERS_POOL);
        let mut members = Self {
            version: running(snapshot),
            on_record: servers.count(),
            ..Self::default()
        };
        let nodes = nodes.into_iter();
        for record in nodes.filter(|record| record.status != Status::Tainted) {
            let at = &record.address;
            if at.name() == SERVERS_POOL && record.status == Status::Ready {
                members.living.extend(at.index());
            }
            members.births.insert(at.clone(), birth(record));
            members.sqlite |= record.attribute("datastore.kind") == Some(Value::str("sqlite"));
        }
        for index in members.living.clone() {
            let droplet = snapshot
                .resources
                .get(&super::nodes::droplet(SERVERS_POOL, index));
            let address = droplet.and_then(|droplet| droplet.attribute("ipv4_address_private"));
            if let Some(Value::Str(address)) = address {
                members.addresses.insert(index, address.as_str().to_owned());
            }
        }
        members
    }

    /// The address of a server that became a node, other than that of this index: the last, because
    /// servers are replaced in the order of their indexes, and it is the one still standing.
    pub(super) fn address_of_another(&self, index: u32) -> Option<&str> {
        let mut others = self.addresses.iter().rev();
        let (_, address) = others.find(|(other, _)| **other != index)?;
        Some(address)
    }

    /// Whether a server that is to have etcd has to move its data there first.
    pub(super) fn have_sqlite(&self) -> bool {
        self.sqlite
    }

    /// The version of K3s that new nodes begin with beside the others.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref().filter(|_| !self.living.is_empty())
    }

    /// How many servers became nodes.
    pub(super) fn servers(&self) -> u32 {
        u32::try_from(self.living.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is one server, and others are yet to come: no majority is lost with it.
    pub(super) fn are_one(&self) -> bool {
        self.on_record == 1
    }

    /// Servers that became nodes, but for one; a new node joins the first of them.
    pub(super) fn first_but(&self, index: Option<u32>) -> Option<u32> {
        let mut living = self.living.iter().copied();
        living.find(|other| Some(*other) != index)
    }

    /// Whether that server became a node.
    pub(super) fn lives(&self, index: u32) -> bool {
        self.living.contains(&index)
    }

    /// How a node of the record came to the cluster, unless by a server that is no longer among the
    /// first `count`. It is no reason to touch a node.
    pub(super) fn birth(&self, node: &Address, count: u32) -> Option<Birth> {
        let birth = *self.births.get(node)?;
        let stands = !matches!(birth, Birth::Joined(index) if index >= count);
        stands.then_some(birth)
    }
}

/// The oldest version on living nodes; nothing where no node is on record.
fn running(snapshot: &Snapshot) -> Option<String> {
    let text = |value: Option<Value>| match value {
        Some(Value::Str(text)) if !text.is_empty() => Some(text.as_str().to_owned()),
        _ => None,
    };
    let seen = snapshot.resources.get(&super::platform::upgrade());
    let seen = seen.and_then(|record| text(record.attrs.get("version").cloned()));
    // A cluster from before there were upgrades: its nodes run what they were made with.
    let node = super::k3s::node(SERVERS_POOL, 0);
    let made = snapshot.resources.get(&node);
    seen.or_else(|| made.and_then(|record| text(record.args.get("version").cloned())))
}

/// By the server whose droplet, or whose node, the node depends on besides its own.
fn birth(record: &Recorded) -> Birth {
    let own = record.meta.inside.as_ref();
    let others = record.depends_on.iter().filter(|at| Some(*at) != own);
    let mut servers = others.filter_map(|at| {
        let index = at.index()?;
        let is = [
            super::nodes::droplet(SERVERS_POOL, index),
            super::k3s::node(SERVERS_POOL, index),
        ];
        is.contains(at).then_some(index)
    });
    servers.next().map_or(Birth::Began, Birth::Joined)
}
