//! What was seen on the remote side.

use crate::address::Address;
use crate::error::ProviderError;
use crate::object::Object;
use crate::text::Text;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The remote side's own identifier. Opaque to the engine; a provider may put a parent into it
/// (`<cluster uuid>/<user>`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteId(pub Text);

impl RemoteId {
    /// From text.
    pub fn new(id: impl Into<Text>) -> Self {
        Self(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resource we have on record, as a provider needs it to read, change or delete it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its address (for messages and for kinds whose deterministic name derives from it).
    pub address: Address,
    /// Its remote id.
    pub id: RemoteId,
    /// The arguments last applied, without references.
    pub args: Object,
    /// The attributes last recorded.
    pub attrs: Object,
}

/// A resource found on the remote side.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<A> {
    /// Its remote id.
    pub id: RemoteId,
    /// When it was created, where the remote side says so.
    pub created_at: Option<Timestamp>,
    /// Its attributes.
    pub attrs: A,
    /// What it may be to the one who looks.
    pub role: FoundAs,
}

/// What a thing that was found may be to the one who looks for what a create made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundAs {
    /// What is asked for: before the create it is in its way, after a lost answer it may be its
    /// fruit.
    Asked,
    /// What a create may have left that failed half-way. Before the create it is in nobody's way.
    Remains,
    /// Neither, now; but it may look like remains later, and must not be taken for them.
    Bystander,
}

/// Whether a resource that exists can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// Not yet; what it waits for, such as `status is "new"`.
    Waiting(String),
    /// It never will; what the remote side says.
    Failed(String),
}

/// What reading one recorded resource gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// It is there, with these attributes.
    Present(Object),
    /// It is not: missing from the list *and* 404 on its own, twice where it is young.
    Absent,
    /// It is inside a container that is absent or goes: not read, goes with it.
    Gone,
    /// It could not be read. Never treated as absent.
    Unreadable(Box<ProviderError>),
    /// It was not read because refreshing was switched off.
    NotRead,
}
