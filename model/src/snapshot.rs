//! `Snapshot`: what we believe exists. An immutable value for planning; changed only by applying
//! journal entries.

use crate::address::Address;
use crate::declaration::Meta;
use crate::object::Object;
use crate::observation::{Known, RemoteId};
use crate::owner::Owner;
use crate::plan::{Action, StepId};
use crate::time::Timestamp;
use crate::value::{Value, lookup};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a recorded resource is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made, and ready when we last looked.
    Ready,
    /// Made, and not known to work: a run was cut off before it was ready, or interrupted what it
    /// runs on and did not see it working since. The next apply changes it like any other, and
    /// waits for it before anything that depends on it starts.
    Unfinished,
    /// Made, but known to have failed: replaced by the next apply.
    Tainted,
}

/// A resource on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its address.
    pub address: Address,
    /// Its remote id.
    pub id: RemoteId,
    /// The arguments last applied, without references.
    pub args: Object,
    /// The attributes last seen.
    pub attrs: Object,
    /// Guards and relations as declared when it was last applied.
    pub meta: Meta,
    /// What it depended on when it was last applied: addresses its references named, and
    /// `meta.after`. Deletes run in the reverse order even when the file no longer has it.
    pub depends_on: Vec<Address>,
    /// Whether it is whole.
    pub status: Status,
    /// When it was created.
    pub created_at: Timestamp,
    /// The operations that were begun on it and not undone, by name.
    pub operations: BTreeSet<String>,
    /// Counts the writes of this record.
    pub version: u64,
}

impl Recorded {
    /// A record of which only the address and the id are known: ready, of no known age, with nothing
    /// said about it.
    pub fn bare(address: Address, id: RemoteId) -> Self {
        Self {
            address,
            id,
            args: Object::new(),
            attrs: Object::new(),
            meta: Meta::default(),
            depends_on: Vec::new(),
            status: Status::Ready,
            created_at: Timestamp(0),
            operations: BTreeSet::new(),
            version: 0,
        }
    }

    /// What a reference to `path` gives: the id, else an attribute, else an argument. `None`
    /// where none of them is set.
    pub fn attribute(&self, path: &str) -> Option<Value> {
        if path == "id" {
            return Some(Value::str(self.id.as_str()));
        }
        let at = |object| lookup(object, path).filter(|value| !value.is_null());
        at(&self.attrs).or_else(|| at(&self.args)).cloned()
    }

    /// What a provider needs to know of it.
    pub fn known(&self) -> Known {
        Known {
            address: self.address.clone(),
            id: self.id.clone(),
            args: self.args.clone(),
            attrs: self.attrs.clone(),
        }
    }
}

/// A changing call whose outcome we do not know: it started and its result was never recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct InDoubt {
    /// The step.
    pub step: StepId,
    /// The resource.
    pub address: Address,
    /// What was being done.
    pub action: Action,
    /// When it started.
    pub started_at: Timestamp,
    /// The arguments sent, without references.
    pub args: Object,
    /// The guards and relations it would be recorded with.
    pub meta: Meta,
    /// The dependencies it would be recorded with.
    pub depends_on: Vec<Address>,
    /// The remote id, where it was known: of the resource being changed, or of the one the
    /// answer to a create named.
    pub id: Option<RemoteId>,
    /// Ids that the look before the create already saw: never ours to adopt.
    pub seen: Vec<RemoteId>,
}

/// What we believe exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Random, made with the state; tells two states of one name apart.
    pub lineage: String,
    /// Counts the journal entries that changed this snapshot.
    pub serial: u64,
    /// Whose resources these are.
    pub owner: Owner,
    /// The resources on record.
    pub resources: BTreeMap<Address, Recorded>,
    /// Old halves of create-first replacements that are not destroyed yet. The next plan
    /// destroys them.
    pub deposed: Vec<Recorded>,
    /// Calls whose outcome is not known.
    pub in_doubt: BTreeMap<Address, InDoubt>,
    /// The results of the last apply.
    pub outputs: Object,
}

impl Snapshot {
    /// A snapshot of nothing.
    pub fn empty(lineage: impl Into<String>, owner: Owner) -> Self {
        Self {
            lineage: lineage.into(),
            serial: 0,
            owner,
            resources: BTreeMap::new(),
            deposed: Vec::new(),
            in_doubt: BTreeMap::new(),
            outputs: Object::new(),
        }
    }
}
