//! `Declaration`: one resource the file asks for.

use crate::address::Address;
use crate::object::Object;
use crate::observation::RemoteId;
use crate::origin::Origin;
use crate::snapshot::Snapshot;
use crate::value::Ref;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In which order a group's members change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutOrder {
    /// By address.
    Address,
    /// By address, last first.
    ReverseAddress,
}

/// Resources that must not all change at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// How many members must stay ready while others change or go (quorum).
    pub min_ready: u32,
    /// How many members may change at once.
    pub max_parallel: u32,
    /// In which order.
    pub order: RolloutOrder,
}

/// What is said about a resource besides its arguments. Recorded with it, so that removing its
/// block from the file cannot remove its guard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Never destroyed while true.
    #[serde(default)]
    pub protect: bool,
    /// Survives `destroy`, unless that is asked for by name.
    #[serde(default)]
    pub keep: bool,
    /// Was there before kplan: it has no owner's tag, and is destroyed only where that is allowed by
    /// name. Ends where the file says `protect = false`.
    #[serde(default)]
    pub imported: bool,
    /// Lives inside that container: absent when the container is absent, and goes with it.
    #[serde(default)]
    pub inside: Option<Address>,
    /// Its group.
    #[serde(default)]
    pub group: Option<Group>,
    /// Resources that must be there first, besides those its arguments refer to.
    #[serde(default)]
    pub after: Vec<Address>,
}

/// One desired resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Its address; its kind is the address's kind.
    pub address: Address,
    /// Arguments, with references.
    pub args: Object,
    /// Everything else.
    pub meta: Meta,
    /// Where the file asks for it.
    pub origin: Origin,
    /// Where the file gives single fields, by field name.
    pub field_origins: BTreeMap<String, Origin>,
}

impl Declaration {
    /// A declaration with nothing but arguments.
    pub fn new(address: Address, args: Object, origin: Origin) -> Self {
        Self {
            address,
            args,
            meta: Meta::default(),
            origin,
            field_origins: BTreeMap::new(),
        }
    }

    /// The arguments, with every reference filled that the record can fill.
    pub fn filled(&self, snapshot: &Snapshot) -> Object {
        let fill = |reference: &Ref| {
            let record = snapshot.resources.get(&reference.address)?;
            record.attribute(&reference.attribute)
        };
        let filled = self.args.iter();
        filled
            .map(|(name, value)| (name.clone(), value.fill(&fill)))
            .collect()
    }
}

/// What is left as it is, whatever the file says: a field of a resource, or all of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// The resource, or, without an index, all of its name; `None` means every one.
    pub address: Option<Address>,
    /// The field; `None` means all of them.
    pub field: Option<String>,
}

impl Ignored {
    /// Whether a field of a resource is meant.
    pub fn means(&self, address: &Address, field: &str) -> bool {
        let mine = self.address.as_ref();
        mine.is_none_or(|mine| mine.covers(address))
            && self.field.as_ref().is_none_or(|mine| mine == field)
    }
}

/// Everything the file asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declarations {
    /// The resources, in the file's order.
    pub resources: Vec<Declaration>,
    /// Resources that somebody else manages from now on: one of these that is on record and not asked
    /// for is forgotten, and stays as it is. With why, to stand after "because".
    pub forgotten: BTreeMap<Address, String>,
    /// What has another address than before, from the old to the new one; the snapshot that is
    /// planned over has it there already.
    pub moved: Vec<(Address, Address)>,
    /// What exists and comes on record; it stands in the snapshot that is planned over.
    pub imported: Vec<(Address, RemoteId)>,
    /// What others may change, and what is not put back.
    pub ignored: Vec<Ignored>,
    /// Named results: values with references, shown by `output`.
    pub outputs: Object,
}

impl Declarations {
    /// Whether others may change a field of a resource.
    pub fn ignores(&self, address: &Address, field: &str) -> bool {
        self.ignored.iter().any(|rule| rule.means(address, field))
    }
}
