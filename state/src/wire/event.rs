//! Journal entries.

use super::Unreadable;
use super::record::{
    ActionWire, ErrorWire, MetaWire, ModeWire, RecordWire, addresses_in, addresses_out, ids_in,
    ids_out,
};
use super::snapshot::OUTPUTS;
use super::tree::Fields;
use super::value::{address_in, address_out, object_in, object_out};
use crate::keyring::Keyring;
use kplan_model::{
    JournalEntry, JournalEvent, OperationEntry, RemoteId, RunId, StepId, StoreError, Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryWire {
    run: String,
    at: i64,
    event: EventWire,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum EventWire {
    RunStarted {
        mode: ModeWire,
        approval: String,
        steps: u32,
    },
    Refreshed {
        record: RecordWire,
    },
    Vanished {
        address: String,
    },
    Started {
        step: u32,
        address: String,
        action: ActionWire,
        args: Fields,
        meta: MetaWire,
        depends_on: Vec<String>,
        id: Option<String>,
        seen: Vec<String>,
    },
    Created {
        step: u32,
        record: RecordWire,
    },
    OperationStarted(OperationWire),
    OperationSucceeded(OperationWire),
    Succeeded {
        step: u32,
        address: String,
        record: Option<RecordWire>,
    },
    Failed {
        step: u32,
        address: String,
        error: ErrorWire,
        record: Option<RecordWire>,
    },
    InDoubt {
        step: u32,
        address: String,
        error: ErrorWire,
    },
    Resolved {
        address: String,
        record: Option<RecordWire>,
    },
    Outputs {
        outputs: Fields,
    },
    RunEnded {
        complete: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationWire {
    step: u32,
    address: String,
    id: String,
    operation: String,
    undone: bool,
}

impl OperationWire {
    fn out(entry: &OperationEntry) -> Result<Self, StoreError> {
        let OperationEntry {
            step,
            address,
            id,
            operation,
            undone,
        } = entry;
        Ok(Self {
            step: step.0,
            address: address_out(address)?,
            id: id.as_str().to_owned(),
            operation: operation.clone(),
            undone: *undone,
        })
    }

    fn read(self) -> Result<OperationEntry, Unreadable> {
        Ok(OperationEntry {
            step: StepId(self.step),
            address: address_in(&self.address)?,
            id: RemoteId(self.id.into()),
            operation: self.operation,
            undone: self.undone,
        })
    }
}

impl EntryWire {
    pub(crate) fn out(keys: Option<&Keyring>, entry: &JournalEntry) -> Result<Self, StoreError> {
        Ok(Self {
            run: entry.run.0.clone(),
            at: entry.at.0,
            event: event_out(keys, &entry.event)?,
        })
    }

    pub(crate) fn read(self, keys: Option<&Keyring>) -> Result<JournalEntry, Unreadable> {
        Ok(JournalEntry {
            run: RunId(self.run),
            at: Timestamp(self.at),
            event: event_in(keys, self.event)?,
        })
    }
}

fn event_out(keys: Option<&Keyring>, event: &JournalEvent) -> Result<EventWire, StoreError> {
    let record_out = |record| RecordWire::out(keys, record);
    Ok(match event {
        JournalEvent::RunStarted {
            mode,
            approval,
            steps,
        } => EventWire::RunStarted {
            mode: (*mode).into(),
            approval: approval.clone(),
            steps: *steps,
        },
        JournalEvent::Refreshed { record } => EventWire::Refreshed {
            record: record_out(record)?,
        },
        JournalEvent::Vanished { address } => EventWire::Vanished {
            address: address_out(address)?,
        },
        JournalEvent::Started { .. } => started_out(keys, event)?,
        JournalEvent::Created { step, record } => EventWire::Created {
            step: step.0,
            record: record_out(record)?,
        },
        JournalEvent::OperationStarted(begun) => {
            EventWire::OperationStarted(OperationWire::out(begun)?)
        }
        JournalEvent::OperationSucceeded(ended) => {
            EventWire::OperationSucceeded(OperationWire::out(ended)?)
        }
        JournalEvent::Succeeded {
            step,
            address,
            record,
        } => EventWire::Succeeded {
            step: step.0,
            address: address_out(address)?,
            record: record.as_ref().map(record_out).transpose()?,
        },
        JournalEvent::Failed {
            step,
            address,
            error,
            record,
        } => EventWire::Failed {
            step: step.0,
            address: address_out(address)?,
            error: error.into(),
            record: record.as_ref().map(record_out).transpose()?,
        },
        JournalEvent::InDoubt {
            step,
            address,
            error,
        } => EventWire::InDoubt {
            step: step.0,
            address: address_out(address)?,
            error: error.into(),
        },
        JournalEvent::Resolved { address, record } => EventWire::Resolved {
            address: address_out(address)?,
            record: record.as_ref().map(record_out).transpose()?,
        },
        JournalEvent::Outputs { outputs } => EventWire::Outputs {
            outputs: object_out(keys, OUTPUTS, OUTPUTS, outputs)?,
        },
        JournalEvent::RunEnded { complete } => EventWire::RunEnded {
            complete: *complete,
        },
    })
}

fn started_out(keys: Option<&Keyring>, event: &JournalEvent) -> Result<EventWire, StoreError> {
    let JournalEvent::Started {
        step,
        address,
        action,
        args,
        meta,
        depends_on,
        id,
        seen,
    } = event
    else {
        return event_out(keys, event);
    };
    let address = address_out(address)?;
    Ok(EventWire::Started {
        step: step.0,
        action: (*action).into(),
        args: object_out(keys, &address, "args", args)?,
        meta: MetaWire::out(meta)?,
        depends_on: addresses_out(depends_on)?,
        id: id.as_ref().map(|id| id.as_str().to_owned()),
        seen: ids_out(seen),
        address,
    })
}

fn event_in(keys: Option<&Keyring>, event: EventWire) -> Result<JournalEvent, Unreadable> {
    let record_in = |record: RecordWire| record.read(keys);
    Ok(match event {
        EventWire::RunStarted {
            mode,
            approval,
            steps,
        } => JournalEvent::RunStarted {
            mode: mode.into(),
            approval,
            steps,
        },
        EventWire::Refreshed { record } => JournalEvent::Refreshed {
            record: record_in(record)?,
        },
        EventWire::Vanished { address } => JournalEvent::Vanished {
            address: address_in(&address)?,
        },
        started @ EventWire::Started { .. } => started_in(keys, started)?,
        EventWire::Created { step, record } => JournalEvent::Created {
            step: StepId(step),
            record: record_in(record)?,
        },
        EventWire::OperationStarted(begun) => JournalEvent::OperationStarted(begun.read()?),
        EventWire::OperationSucceeded(ended) => JournalEvent::OperationSucceeded(ended.read()?),
        EventWire::Succeeded {
            step,
            address,
            record,
        } => JournalEvent::Succeeded {
            step: StepId(step),
            address: address_in(&address)?,
            record: record.map(record_in).transpose()?,
        },
        EventWire::Failed {
            step,
            address,
            error,
            record,
        } => JournalEvent::Failed {
            step: StepId(step),
            address: address_in(&address)?,
            error: error.into(),
            record: record.map(record_in).transpose()?,
        },
        EventWire::InDoubt {
            step,
            address,
            error,
        } => JournalEvent::InDoubt {
            step: StepId(step),
            address: address_in(&address)?,
            error: error.into(),
        },
        EventWire::Resolved { address, record } => JournalEvent::Resolved {
            address: address_in(&address)?,
            record: record.map(record_in).transpose()?,
        },
        EventWire::Outputs { outputs } => JournalEvent::Outputs {
            outputs: object_in(keys, OUTPUTS, OUTPUTS, outputs)?,
        },
        EventWire::RunEnded { complete } => JournalEvent::RunEnded { complete },
    })
}

fn started_in(keys: Option<&Keyring>, event: EventWire) -> Result<JournalEvent, Unreadable> {
    let EventWire::Started {
        step,
        address,
        action,
        args,
        meta,
        depends_on,
        id,
        seen,
    } = event
    else {
        return event_in(keys, event);
    };
    Ok(JournalEvent::Started {
        step: StepId(step),
        action: action.into(),
        args: object_in(keys, &address, "args", args)?,
        meta: meta.read()?,
        depends_on: addresses_in(&depends_on)?,
        id: id.map(RemoteId::new),
        seen: ids_in(seen),
        address: address_in(&address)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_entry;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_entry_comes_back_and_no_secret_is_written(entry in any_entry()) {
            let keys = Keyring::random("lineage").unwrap();
            let wire = EntryWire::out(Some(&keys), &entry).unwrap();
            let text = serde_json::to_string(&wire).unwrap();
            prop_assert!(!text.contains(crate::testing::CANARY));
            let back: EntryWire = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.read(Some(&keys)).unwrap(), entry);
        }
    }
}
