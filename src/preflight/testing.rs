//! For tests of the checks: plans of a few steps, and a small catalogue.

use super::{Finding, Sight};
use crate::catalogue::{Catalogue, Part};
use kplan_model::{
    Action, Address, Base, Declarations, Disruption, FieldChange, Meta, Object, Origin, Owner,
    Plan, PlanMode, Reason, Recorded, RemoteId, Snapshot, Status, Step, StepId, Timestamp, Value,
};
use kplan_providers::digitalocean::catalogue::{EngineOptions, Image, Layout, Region, Size};
use std::collections::{BTreeMap, BTreeSet};

/// An argument as tests write it.
#[derive(Clone)]
pub(crate) struct Arg(Value);

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self(Value::str(text))
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self(Value::Int(number))
    }
}

impl From<bool> for Arg {
    fn from(flag: bool) -> Self {
        Self(Value::Bool(flag))
    }
}

/// A plan of a few steps, and the record it was made from.
pub(crate) struct Rig {
    pub(crate) plan: Plan,
    pub(crate) snapshot: Snapshot,
    declarations: Declarations,
}

impl Default for Rig {
    fn default() -> Self {
        let owner = Owner {
            cluster: "demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        };
        Self {
            plan: Plan {
                owner: owner.clone(),
                mode: PlanMode::Apply,
                base: Base {
                    lineage: "test".to_owned(),
                    serial: 0,
                },
                steps: Vec::new(),
                moved: Vec::new(),
                imported: Vec::new(),
                refreshed: Vec::new(),
                vanished: Vec::new(),
                drift: Vec::new(),
                outputs: Object::new(),
            },
            snapshot: Snapshot::empty("test", owner),
            declarations: Declarations::default(),
        }
    }
}

impl Rig {
    /// A sight of it, for which nothing was read.
    pub(crate) fn sight(&self) -> Sight<'_> {
        Sight::over(&self.plan, &self.snapshot, &self.declarations)
    }

    /// Something on record.
    pub(crate) fn has(
        &mut self,
        address: &str,
        id: &str,
        attrs: &[(&'static str, Arg)],
    ) -> &mut Self {
        let record = Recorded {
            address: at(address),
            id: RemoteId::new(id),
            args: Object::new(),
            attrs: object(attrs),
            meta: Meta::default(),
            depends_on: Vec::new(),
            status: Status::Ready,
            created_at: Timestamp(0),
            operations: BTreeSet::new(),
            version: 1,
        };
        self.snapshot.resources.insert(at(address), record);
        self
    }

    pub(crate) fn create(&mut self, address: &str, args: &[(&'static str, Arg)]) -> &mut Self {
        self.step(address, Action::Create, Some(args));
        self
    }

    pub(crate) fn delete(&mut self, address: &str, id: &str) -> &mut Self {
        self.known(address, id);
        self.step(address, Action::Delete, None);
        self
    }

    /// One goes, and another one is made in its place.
    pub(crate) fn replace(
        &mut self,
        address: &str,
        id: &str,
        args: &[(&'static str, Arg)],
    ) -> &mut Self {
        self.known(address, id);
        let old = self.step(address, Action::Delete, None);
        let new = self.step(address, Action::Create, Some(args));
        for (one, other) in [(old, new), (new, old)] {
            self.plan.steps[one].pair = Some(number(other));
        }
        self.plan.steps[new].requires.insert(number(old));
        self
    }

    /// A field of a living one changes.
    pub(crate) fn update(
        &mut self,
        address: &str,
        id: &str,
        args: &[(&'static str, Arg)],
        changed: &str,
    ) -> &mut Self {
        self.known(address, id);
        let step = self.step(address, Action::Update, Some(args));
        self.plan.steps[step].changes.push(FieldChange {
            field: changed.to_owned(),
            before: Value::Null,
            after: Value::Null,
            forces_replacement: false,
            disruption: Disruption::None,
        });
        self
    }

    /// What was seen of a living one, in the record and in its steps.
    pub(crate) fn seen(&mut self, address: &str, field: &str, value: Value) -> &mut Self {
        let address = at(address);
        let records = self.snapshot.resources.values_mut();
        let steps = self.plan.steps.iter_mut();
        let all = records.chain(steps.filter_map(|step| step.before.as_mut()));
        for record in all.filter(|record| record.address == address) {
            record.attrs.insert(field.to_owned(), value.clone());
        }
        self
    }

    fn known(&mut self, address: &str, id: &str) {
        if !self.snapshot.resources.contains_key(&at(address)) {
            self.has(address, id, &[]);
        }
    }

    fn step(
        &mut self,
        address: &str,
        action: Action,
        args: Option<&[(&'static str, Arg)]>,
    ) -> usize {
        let index = self.plan.steps.len();
        let before = self.snapshot.resources.get(&at(address)).cloned();
        self.plan.steps.push(Step {
            id: number(index),
            address: at(address),
            action,
            before,
            args: args.map(object),
            meta: Meta::default(),
            depends_on: Vec::new(),
            changes: Vec::new(),
            reason: Reason::Declared,
            requires: BTreeSet::new(),
            pair: None,
            goes_with: None,
            loses: None,
            operation: None,
            origin: Origin::Default,
        });
        index
    }
}

fn number(index: usize) -> StepId {
    StepId(u32::try_from(index).expect("few steps"))
}

fn at(address: &str) -> Address {
    address.parse().expect("an address")
}

fn object(args: &[(&'static str, Arg)]) -> Object {
    args.iter()
        .map(|(name, value)| ((*name).to_owned(), value.0.clone()))
        .collect()
}

/// The codes of findings.
pub(crate) fn codes(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.code).collect()
}

/// A catalogue in which `fra1` has everything, `nyc2` is closed for droplets, and lists of images know
/// nothing of `atl1`.
pub(crate) fn catalogue() -> Catalogue {
    let regions = [("fra1", true), ("nyc2", false), ("atl1", true)];
    let regions = regions.map(|(slug, available)| Region {
        slug: slug.to_owned(),
        available,
    });
    let size = |slug: &str, disk, price: f64, available| Size {
        slug: slug.to_owned(),
        disk,
        price_monthly: serde_json::Number::from_f64(price),
        regions: vec!["fra1".to_owned(), "atl1".to_owned()],
        available,
    };
    let image = |slug: &str, regions: &[&str], least| Image {
        slug: Some(slug.to_owned()),
        id: 1,
        regions: regions.iter().map(|&slug| slug.to_owned()).collect(),
        min_disk_size: Some(least),
    };
    let layout = |num_nodes, sizes: &[&str]| Layout {
        num_nodes,
        sizes: sizes.iter().map(|&slug| slug.to_owned()).collect(),
    };
    let pg = EngineOptions {
        regions: vec!["fra1".to_owned()],
        versions: vec!["16".to_owned(), "17".to_owned()],
        layouts: vec![
            layout(1, &["db-s-1vcpu-1gb", "db-s-1vcpu-2gb"]),
            layout(3, &["db-s-1vcpu-2gb"]),
        ],
    };
    Catalogue {
        regions: read(regions.to_vec()),
        sizes: read(vec![
            size("s-1vcpu-1gb", 25, 6.0, true),
            size("s-2vcpu-4gb", 80, 24.0, true),
            size("s-4vcpu-8gb", 160, 48.0, true),
            size("s-gone", 80, 24.0, false),
        ]),
        images: read(vec![
            image("ubuntu-24-04-x64", &["fra1"], 7),
            image("windows-x64", &["fra1", "nyc2"], 100),
        ]),
        databases: read(BTreeMap::from([("pg".to_owned(), pg)])),
    }
}

fn read<T>(value: T) -> Part<T> {
    Part::Read { value, kept: false }
}
