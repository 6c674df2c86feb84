//! For tests of providers: a permit, which only an approved plan gives.

use crate::address::Address;
use crate::declaration::Meta;
use crate::object::Object;
use crate::origin::Origin;
use crate::owner::Owner;
use crate::plan::{Action, Approval, Base, Permit, Plan, PlanMode, Reason, Step, StepId};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// The permit of an approved plan whose only step creates what is at `address`; never `None`.
pub fn permit(address: &Address) -> Option<Permit> {
    let step = Step {
        id: StepId(0),
        address: address.clone(),
        action: Action::Create,
        before: None,
        args: Some(Object::new()),
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
    };
    let plan = Plan {
        owner: Owner {
            cluster: "demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        },
        mode: PlanMode::Apply,
        base: Base {
            lineage: "test".to_owned(),
            serial: 0,
        },
        steps: vec![step],
        moved: Vec::new(),
        imported: Vec::new(),
        refreshed: Vec::new(),
        vanished: Vec::new(),
        drift: Vec::new(),
        outputs: Object::new(),
    };
    let approval = Approval {
        how: "test".to_owned(),
        at: Timestamp(0),
    };
    plan.approve(approval).permit(StepId(0))
}
