//! Records, guards, and the small words of the format.

use super::Unreadable;
use super::tree::Fields;
use super::value::{address_in, address_out, object_in, object_out};
use crate::keyring::Keyring;
use kplan_model::{
    Action, Address, ErrorKind, Group, InDoubt, Meta, PlanMode, Recorded, RemoteId, RolloutOrder,
    Status, StepId, StoreError, StoredError, Text, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A word of the format for every word of the domain.
macro_rules! words {
    ($(#[$doc:meta])* $wire:ident = $model:ident { $($word:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $wire { $($word),* }

        impl From<$model> for $wire {
            fn from(word: $model) -> Self {
                match word { $($model::$word => Self::$word),* }
            }
        }

        impl From<$wire> for $model {
            fn from(word: $wire) -> Self {
                match word { $($wire::$word => Self::$word),* }
            }
        }
    };
}

words!(
    StatusWire = Status {
        Ready,
        Unfinished,
        Tainted
    }
);
words!(
    OrderWire = RolloutOrder {
        Address,
        ReverseAddress
    }
);
words!(
    ActionWire = Action {
        Create,
        Update,
        Delete,
        Forget,
        Record,
        Operate
    }
);
words!(
    ModeWire = PlanMode {
        Apply,
        Destroy,
        RefreshOnly
    }
);
words!(
    ErrorKindWire = ErrorKind {
        NotFound,
        Busy,
        Throttled,
        Transient,
        OutcomeUnknown,
        Denied,
        Invalid,
        Exists,
        Failed,
        Bug,
    }
);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorWire {
    kind: ErrorKindWire,
    message: String,
    request_id: Option<String>,
}

impl From<&StoredError> for ErrorWire {
    fn from(error: &StoredError) -> Self {
        let StoredError {
            kind,
            message,
            request_id,
        } = error;
        Self {
            kind: (*kind).into(),
            message: message.clone(),
            request_id: request_id.clone(),
        }
    }
}

impl From<ErrorWire> for StoredError {
    fn from(error: ErrorWire) -> Self {
        Self {
            kind: error.kind.into(),
            message: error.message,
            request_id: error.request_id,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupWire {
    name: String,
    min_ready: u32,
    max_parallel: u32,
    order: OrderWire,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetaWire {
    protect: bool,
    keep: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    imported: bool,
    inside: Option<String>,
    group: Option<GroupWire>,
    after: Vec<String>,
}

impl MetaWire {
    pub(crate) fn out(meta: &Meta) -> Result<Self, StoreError> {
        let Meta {
            protect,
            keep,
            imported,
            inside,
            group,
            after,
        } = meta;
        Ok(Self {
            protect: *protect,
            keep: *keep,
            imported: *imported,
            inside: inside.as_ref().map(address_out).transpose()?,
            group: group.as_ref().map(|group| GroupWire {
                name: group.name.clone(),
                min_ready: group.min_ready,
                max_parallel: group.max_parallel,
                order: group.order.into(),
            }),
            after: addresses_out(after)?,
        })
    }

    pub(crate) fn read(self) -> Result<Meta, Unreadable> {
        Ok(Meta {
            protect: self.protect,
            keep: self.keep,
            imported: self.imported,
            inside: self.inside.as_deref().map(address_in).transpose()?,
            group: self.group.map(|group| Group {
                name: group.name,
                min_ready: group.min_ready,
                max_parallel: group.max_parallel,
                order: group.order.into(),
            }),
            after: addresses_in(&self.after)?,
        })
    }
}

pub(crate) fn addresses_out(addresses: &[Address]) -> Result<Vec<String>, StoreError> {
    addresses.iter().map(address_out).collect()
}

pub(crate) fn addresses_in(texts: &[String]) -> Result<Vec<Address>, Unreadable> {
    texts.iter().map(|text| address_in(text)).collect()
}

pub(crate) fn ids_out(ids: &[RemoteId]) -> Vec<String> {
    ids.iter().map(|id| id.as_str().to_owned()).collect()
}

pub(crate) fn ids_in(ids: Vec<String>) -> Vec<RemoteId> {
    ids.into_iter().map(RemoteId::new).collect()
}

/// A resource on record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordWire {
    address: Text,
    id: Text,
    status: StatusWire,
    version: u64,
    /// Not there in records of before there were operations, and where none was begun.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    operations: BTreeSet<String>,
    created_at: i64,
    args: Fields,
    attrs: Fields,
    meta: MetaWire,
    depends_on: Vec<String>,
}

impl RecordWire {
    pub(crate) fn out(keys: Option<&Keyring>, record: &Recorded) -> Result<Self, StoreError> {
        let Recorded {
            address,
            id,
            args,
            attrs,
            meta,
            depends_on,
            status,
            created_at,
            operations,
            version,
        } = record;
        let address = address_out(address)?;
        Ok(Self {
            id: id.0.clone(),
            status: (*status).into(),
            version: *version,
            operations: operations.clone(),
            created_at: created_at.0,
            args: object_out(keys, &address, "args", args)?,
            attrs: object_out(keys, &address, "attrs", attrs)?,
            meta: MetaWire::out(meta)?,
            depends_on: addresses_out(depends_on)?,
            address: address.into(),
        })
    }

    pub(crate) fn read(self, keys: Option<&Keyring>) -> Result<Recorded, Unreadable> {
        Ok(Recorded {
            address: address_in(&self.address)?,
            id: RemoteId::new(self.id),
            args: object_in(keys, &self.address, "args", self.args)?,
            attrs: object_in(keys, &self.address, "attrs", self.attrs)?,
            meta: self.meta.read()?,
            depends_on: addresses_in(&self.depends_on)?,
            status: self.status.into(),
            created_at: Timestamp(self.created_at),
            operations: self.operations,
            version: self.version,
        })
    }
}

/// A call whose outcome is not known. Also what a `started` event says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoubtWire {
    step: u32,
    address: String,
    action: ActionWire,
    started_at: i64,
    args: Fields,
    meta: MetaWire,
    depends_on: Vec<String>,
    id: Option<String>,
    seen: Vec<String>,
}

impl DoubtWire {
    pub(crate) fn out(keys: Option<&Keyring>, doubt: &InDoubt) -> Result<Self, StoreError> {
        let InDoubt {
            step,
            address,
            action,
            started_at,
            args,
            meta,
            depends_on,
            id,
            seen,
        } = doubt;
        let address = address_out(address)?;
        Ok(Self {
            step: step.0,
            action: (*action).into(),
            started_at: started_at.0,
            args: object_out(keys, &address, "args", args)?,
            meta: MetaWire::out(meta)?,
            depends_on: addresses_out(depends_on)?,
            id: id.as_ref().map(|id| id.as_str().to_owned()),
            seen: ids_out(seen),
            address,
        })
    }

    pub(crate) fn read(self, keys: Option<&Keyring>) -> Result<InDoubt, Unreadable> {
        Ok(InDoubt {
            step: StepId(self.step),
            address: address_in(&self.address)?,
            action: self.action.into(),
            started_at: Timestamp(self.started_at),
            args: object_in(keys, &self.address, "args", self.args)?,
            meta: self.meta.read()?,
            depends_on: addresses_in(&self.depends_on)?,
            id: self.id.map(RemoteId::new),
            seen: ids_in(self.seen),
        })
    }
}
