//! What the cluster costs a month: before a plan, and after it. A pure function of the plan, the record
//! and the catalogue; amounts are whole cents.
//!
//! What stays counts too. Resources that the cluster makes itself count where they are on record, which
//! is during a destroy. Prices of droplets are the API's own; [`table`] has the rest, with its day.

pub mod money;
mod render;
pub mod table;
#[cfg(test)]
mod tests;
mod worth;

pub use money::Cents;
pub use render::{document, goes_on, markdown, sentence, standing_sentence, text};

use crate::catalogue::Catalogue;
use kplan_model::{Action, Address, Kind, Object, Plan, PlanMode, Recorded, Snapshot, Step, Value};
use std::collections::{BTreeMap, BTreeSet};
use worth::{Worth, worth};

/// What one resource costs a month before and after a plan; nothing where it does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub before: Cents,
    /// After.
    pub after: Cents,
}

/// Something whose price is not, or not only, in the sum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotPriced {
    /// The resource; for what is billed for the whole account, its first one.
    pub address: Address,
    /// Why.
    pub why: String,
}

/// Something that stays in the account and goes on billing although nothing on record leads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staying {
    /// What it is, with its id.
    pub what: String,
    /// What it costs; nothing where that is not known.
    pub monthly: Option<Cents>,
}

impl Staying {
    /// One of that kind with these arguments.
    pub fn of(what: String, kind: &Kind, args: &Object) -> Self {
        Self::seen(what, kind, &|field| args.get(field).cloned())
    }

    /// One of that kind, of which a field is looked up so.
    pub fn seen(what: String, kind: &Kind, look: &dyn Fn(&str) -> Option<Value>) -> Self {
        let monthly = match worth(kind, look, &Catalogue::default()) {
            Worth::Free => Some(Cents(0)),
            Worth::Monthly(cents) => Some(cents),
            Worth::Unknown(_) => None,
        };
        Self { what, monthly }
    }
}

/// What everything costs a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Each resource that costs something, before or after.
    pub per: BTreeMap<Address, Change>,
    /// All of them before.
    pub before: Cents,
    /// All of them after.
    pub after: Cents,
    /// Whether something of what will be has no known price: the sum after is the least it can be.
    pub at_least: bool,
    /// What is not in these sums.
    pub not_priced: Vec<NotPriced>,
    /// The day of prices that the API does not tell; nothing where no such price is in the sums.
    pub dated: Option<&'static str>,
    /// Whether everything goes that is not kept: what ends and what goes on is said then.
    pub ends: bool,
    /// What a destroy leaves in the account besides what stays on record; in the sums, too.
    pub staying: Vec<Staying>,
}

impl Prices {
    /// With what a destroy leaves in the account. It is billed before and after.
    #[must_use]
    pub fn beside(mut self, staying: &[Staying]) -> Self {
        let sum: Cents = staying.iter().filter_map(|one| one.monthly).sum();
        self.before = self.before + sum;
        self.after = self.after + sum;
        if sum != Cents(0) {
            self.dated = Some(table::DATED);
        }
        self.staying.extend_from_slice(staying);
        self
    }
}

/// What a plan makes of the prices.
pub fn of(plan: &Plan, snapshot: &Snapshot, catalogue: &Catalogue) -> Prices {
    let refreshed: BTreeMap<&Address, &Recorded> = plan
        .refreshed
        .iter()
        .map(|record| (&record.address, record))
        .collect();
    let gone: BTreeSet<&Address> = plan.vanished.iter().collect();
    let living = snapshot.resources.values();
    let living = living
        .filter(|record| !gone.contains(&record.address))
        .map(|record| *refreshed.get(&record.address).unwrap_or(&record));
    let living: BTreeMap<&Address, &Recorded> =
        living.map(|record| (&record.address, record)).collect();
    let mut sum = Sum::new(catalogue);
    sum.prices.ends = plan.mode == PlanMode::Destroy;
    for record in living.values().copied().chain(&snapshot.deposed) {
        sum.record(record, Side::Before);
    }
    let mut changed: BTreeMap<&Address, Option<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        match step.action {
            Action::Create | Action::Update => drop(changed.insert(&step.address, Some(step))),
            Action::Delete | Action::Forget => {
                // The other half of a replacement stays, whichever of the two comes first.
                changed.entry(&step.address).or_insert(None);
            }
            Action::Record | Action::Operate => {}
        }
    }
    for record in living.values() {
        if !changed.contains_key(&record.address) {
            sum.record(record, Side::After);
        }
    }
    for (address, step) in changed {
        if let Some(step) = step {
            sum.step(address, step);
        }
    }
    for step in &plan.steps {
        if let (Action::Forget, Some(record)) = (step.action, &step.before) {
            sum.forgotten(record);
        }
    }
    sum.finish()
}

/// What is on record costs.
pub fn standing(snapshot: &Snapshot) -> Prices {
    let nothing = Catalogue::default();
    let mut sum = Sum::new(&nothing);
    for record in snapshot.resources.values().chain(&snapshot.deposed) {
        sum.record(record, Side::Before);
        sum.record(record, Side::After);
    }
    sum.finish()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The sums as they grow.
struct Sum<'a> {
    catalogue: &'a Catalogue,
    prices: Prices,
    /// Buckets, which are billed together: the first before, and the first after.
    buckets: [Option<Address>; 2],
}

impl<'a> Sum<'a> {
    fn new(catalogue: &'a Catalogue) -> Self {
        Self {
            catalogue,
            prices: Prices::default(),
            buckets: [None, None],
        }
    }

    fn record(&mut self, record: &Recorded, side: Side) {
        // What is seen goes before what was asked for, and says of what it is the price.
        let look = |field: &str| match field {
            "priced_size" => record.attrs.get("size").cloned(),
            _ => record.attribute(field),
        };
        self.add(&record.address, &look, side);
    }

    /// What a resource costs when a step is done: with its arguments, and what it had besides.
    fn step(&mut self, address: &Address, step: &Step) {
        let before = step.before.as_ref();
        let look = |field: &str| match field {
            "priced_size" => before?.attrs.get("size").cloned(),
            _ => {
                let asked = step.args.as_ref().and_then(|args| args.get(field));
                let kept = || match step.action {
                    Action::Update => before?.attribute(field),
                    _ => None,
                };
                asked
                    .filter(|value| !value.is_null())
                    .cloned()
                    .or_else(kept)
            }
        };
        // An address that is to lead nowhere any more does not lead where it led.
        let leaves = |field: &str| {
            let asked = step.args.as_ref().and_then(|args| args.get(field));
            if field == "droplet_id" && asked.is_none_or(Value::is_null) {
                return None;
            }
            look(field)
        };
        self.add(address, &leaves, Side::After);
    }

    fn add(&mut self, address: &Address, look: worth::Look<'_>, side: Side) {
        if address.kind().as_str() == "bucket" {
            let first = &mut self.buckets[usize::from(side == Side::After)];
            if first.as_ref().is_none_or(|known| address < known) {
                *first = Some(address.clone());
            }
            return;
        }
        match worth(address.kind(), look, self.catalogue) {
            Worth::Free => {}
            Worth::Monthly(cents) => {
                if address.kind().as_str() != "droplet" || has_backups(look) {
                    self.prices.dated = Some(table::DATED);
                }
                self.count(address, cents, side);
            }
            Worth::Unknown(why) => {
                self.prices.at_least |= side == Side::After;
                self.not_priced(address, why);
            }
        }
    }

    fn count(&mut self, address: &Address, cents: Cents, side: Side) {
        let change = self.prices.per.entry(address.clone()).or_default();
        let (one, all) = match side {
            Side::Before => (&mut change.before, &mut self.prices.before),
            Side::After => (&mut change.after, &mut self.prices.after),
        };
        *one = *one + cents;
        *all = *all + cents;
    }

    fn not_priced(&mut self, address: &Address, why: impl Into<String>) {
        self.prices.not_priced.push(NotPriced {
            address: address.clone(),
            why: why.into(),
        });
    }

    fn forgotten(&mut self, record: &Recorded) {
        let change = self.prices.per.get(&record.address);
        if change.is_some_and(|change| change.before > Cents(0)) {
            self.not_priced(
                &record.address,
                "it stays in the account and goes on billing, and kplan does not count it any more",
            );
        }
    }

    fn finish(mut self) -> Prices {
        for (first, side) in self
            .buckets
            .clone()
            .into_iter()
            .zip([Side::Before, Side::After])
        {
            if let Some(address) = first {
                self.prices.dated = Some(table::DATED);
                self.count(&address, table::SPACES, side);
                self.not_priced(
                    &address,
                    "what all buckets of the account hold over 250 GiB and send over 1 TiB",
                );
            }
        }
        self.prices.not_priced.sort();
        self.prices.not_priced.dedup();
        self.prices
    }
}

fn has_backups(look: worth::Look<'_>) -> bool {
    look("backups") == Some(Value::Bool(true))
}
