//! The vocabulary every kplan crate shares: values, addresses, plans, journal entries, and the
//! ports (traits) that providers and stores implement. It depends on serde and on a compact text
//! alone and does no IO, reads no clock and makes no decision: what is here is what must cross a
//! crate boundary, and nothing else.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod address;
pub mod codec;
pub mod declaration;
pub mod error;
pub mod journal;
pub mod kind;
pub mod object;
pub mod observation;
pub mod operation;
pub mod origin;
pub mod owner;
pub mod plan;
pub mod registry;
pub mod resource;
pub mod secret;
pub mod snapshot;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod time;
pub mod value;

pub use address::{Address, AddressError};
pub use codec::{Codec, Input, ObjectCodec, ShapeError};
pub use declaration::{Declaration, Declarations, Group, Ignored, Meta, RolloutOrder};
pub use error::{ErrorKind, ProviderError, Tried};
pub use journal::{
    Journal, JournalEntry, JournalError, JournalEvent, OperationEntry, RunId, Snapshots, StepState,
    StoreError, StoredError,
};
pub use kind::{
    Change, Compare, Disruption, Down, Field, FieldSet, Kind, KindInfo, Otherwise, ReplaceOrder,
    Typical,
};
pub use object::Object;
pub use observation::{Found, FoundAs, Known, Observation, Readiness, RemoteId};
pub use operation::{Operated, Operation, OperationInfo, UndoInfo};
pub use origin::Origin;
pub use owner::Owner;
pub use plan::{
    Action, Approval, ApprovedPlan, Base, Drift, FieldChange, Permit, Plan, PlanMode, Reason, Step,
    StepId,
};
pub use registry::{Entry, Registry};
pub use resource::{
    BoxFuture, CreateFailed, FoundOrNot, Mutate, Observe, Preview, Resource, Wanted, WantedObject,
};
pub use secret::Secret;
pub use snapshot::{InDoubt, Recorded, Snapshot, Status};
pub use store::{Listed, Listing, ObjectStore, Put};
pub use text::Text;
pub use time::Timestamp;
pub use value::{Ref, Value};
