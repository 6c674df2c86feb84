//! What stands already: how nodes are called, and what was there before kplan.

use kplan_model::{Address, Snapshot, Value};
use std::collections::{BTreeMap, BTreeSet};

/// See the module. The default is a cluster that is yet to be made.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The names that nodes' droplets and volumes were given. A node is known by it in the cluster,
    /// and a volume cannot get another one, so it stays when the address changes.
    names: BTreeMap<Address, String>,
    imported: BTreeSet<Address>,
}

impl Standing {
    /// What is on record.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut standing = Self::default();
        for (address, record) in &snapshot.resources {
            if record.meta.imported {
                standing.imported.insert(address.clone());
            }
            let keeps = match address.kind().as_str() {
                "droplet" => address.index().is_some(),
                kind => kind == "volume",
            };
            if keeps && let Some(Value::Str(name)) = record.args.get("name") {
                let name = name.as_str().to_owned();
                standing.names.insert(address.clone(), name);
            }
        }
        standing
    }

    /// What it was called, where that stays.
    pub(super) fn name(&self, address: &Address) -> Option<&str> {
        self.names.get(address).map(String::as_str)
    }

    /// Whether it was there before kplan.
    pub(super) fn is_imported(&self, address: &Address) -> bool {
        self.imported.contains(address)
    }
}
