//! What a plan file keeps of a step: enough to know it again, nothing that is secret.

use crate::review::is_visible;
use kplan_model::{Action, Address, Plan, PlanMode, Recorded, Step, Value};
use kplan_state::Keyring;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// What it is about.
    #[serde(flatten)]
    pub key: Key,
    /// Fingerprints of what the record says, by field; nothing where there is no record.
    pub before: Option<BTreeMap<String, String>>,
    /// Fingerprints of what the resource will have, by field; nothing for one that goes.
    pub after: Option<BTreeMap<String, String>>,
    /// Fingerprints of what was seen of the fields that change.
    pub real: BTreeMap<String, String>,
    /// Why, and what it means: the reason, guards, what is lost, what it goes with.
    pub terms: BTreeMap<String, String>,
}

/// What tells a step from the others of its plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The resource.
    pub address: Address,
    /// What is done.
    pub action: Action,
    /// Which operation, where it is one.
    pub operation: Option<String>,
    /// The remote resource it acts on, where there is one.
    pub id: Option<String>,
}

impl Key {
    /// The key of a step.
    pub fn of(step: &Step) -> Self {
        Self {
            address: step.address.clone(),
            action: step.action,
            operation: step.operation.map(|operated| operated.name().to_owned()),
            id: step.remote().map(|id| id.as_str().to_owned()),
        }
    }
}

/// The steps of a plan that its readers see; nothing where a secret is sealed, which cannot be compared.
pub fn pinned(plan: &Plan, keyring: &Keyring) -> Option<Vec<Pinned>> {
    let visible = plan.steps.iter().filter(|step| is_visible(step));
    visible.map(|step| pin(step, keyring)).collect()
}

/// What a plan that only refreshes would write into the state; nothing where a secret is sealed.
pub fn seen(plan: &Plan, keyring: &Keyring) -> Option<BTreeMap<String, BTreeMap<String, String>>> {
    if plan.mode != PlanMode::RefreshOnly {
        return Some(BTreeMap::new());
    }
    let drift = plan.drift.iter();
    drift
        .map(|drift| {
            let real = drift.fields.iter();
            let real = real.map(|(name, _, real)| Some((name.clone(), keyring.pin(real)?)));
            let mut real: BTreeMap<String, String> = real.collect::<Option<_>>()?;
            if drift.vanished {
                real.insert(String::new(), "vanished".to_owned());
            }
            Some((drift.address.to_string(), real))
        })
        .collect()
}

/// What is kept of one step.
pub(super) fn pin(step: &Step, keyring: &Keyring) -> Option<Pinned> {
    let before = match &step.before {
        Some(record) => Some(fields(record, keyring)?),
        None => None,
    };
    let after = match &step.args {
        Some(args) => Some(pins(args.iter(), keyring)?),
        None => None,
    };
    let real = step.changes.iter();
    let real = real.map(|change| Some((change.field.clone(), keyring.pin(&change.before)?)));
    Some(Pinned {
        key: Key::of(step),
        before,
        after,
        real: real.collect::<Option<_>>()?,
        terms: terms(step),
    })
}

fn fields(record: &Recorded, keyring: &Keyring) -> Option<BTreeMap<String, String>> {
    // What is only reported changes by itself; where it matters, what depends on it says so.
    pins(record.args.iter(), keyring)
}

fn pins<'a>(
    values: impl Iterator<Item = (&'a kplan_model::Text, &'a Value)>,
    keyring: &Keyring,
) -> Option<BTreeMap<String, String>> {
    values
        .map(|(name, value)| Some((name.to_string(), keyring.pin(value)?)))
        .collect()
}

/// What is no value and counts.
fn terms(step: &Step) -> BTreeMap<String, String> {
    let mut terms = BTreeMap::new();
    let mut say = |name: &str, value: String| drop(terms.insert(name.to_owned(), value));
    say("reason", format!("{:?}", step.reason));
    if step.meta.protect {
        say("protect", "true".to_owned());
    }
    if step.meta.keep {
        say("keep", "true".to_owned());
    }
    if let Some(loses) = &step.loses {
        say("loses", loses.clone());
    }
    if let Some(container) = &step.goes_with {
        say("goes with", container.to_string());
    }
    if step.pair.is_some() {
        say("replaced", "true".to_owned());
    }
    for change in &step.changes {
        let forced = if change.forces_replacement {
            "; forces replacement"
        } else {
            ""
        };
        say(
            &format!("change of {}", change.field),
            format!("{:?}{forced}", change.disruption),
        );
    }
    terms
}
