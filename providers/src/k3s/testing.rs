//! What tests of kinds need: a permit, which only an approved plan gives.

use kplan_model::{
    Action, Address, Approval, Base, Meta, Origin, Owner, Permit, Plan, PlanMode, Reason, Step,
    StepId, Timestamp,
};
use std::collections::BTreeSet;

/// A permit for an address.
pub(crate) fn permit(address: &str) -> Permit {
    let address: Address = address.parse().unwrap();
    let plan = Plan {
        owner: Owner {
            cluster: "demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        },
        mode: PlanMode::Apply,
        base: Base {
            lineage: "l".to_owned(),
            serial: 0,
        },
        steps: vec![Step {
            id: StepId(0),
            address,
            action: Action::Create,
            before: None,
            args: None,
            meta: Meta::default(),
            depends_on: Vec::new(),
            changes: Vec::new(),
            reason: Reason::Declared,
            requires: BTreeSet::new(),
            pair: None,
            goes_with: None,
            loses: None,
            origin: Origin::Default,
        }],
        refreshed: Vec::new(),
        vanished: Vec::new(),
        drift: Vec::new(),
        outputs: kplan_model::Object::new(),
    };
    let approval = Approval {
        how: "test".to_owned(),
        at: Timestamp(0),
    };
    plan.approve(approval).permit(StepId(0)).unwrap()
}
