//! Creates that were cut off between two requests: what they made is adopted and brought in line
//! within the same run.

use super::{at, first, net, report, settled, vm};
use crate::PlanOptions;
use crate::testing::{
    Build as _, Call, Cloud, Dying, Fault, Lab, Life, Verb, declare, list, string,
};
use kplan_model::{Declarations, ErrorKind, PlanMode, Status};

fn tagged() -> Declarations {
    declare([net(), vm("vm.a").with("tags", list([string("x")]))])
}

/// The create is cut off before its tags are set; then `other` goes wrong this many times.
fn cut_off(times: usize, verb: Verb, other: Fault) -> impl FnMut(&Call) -> Option<Fault> {
    let mut cut = first(1, Verb::Create, "vm.a", Fault::CutOff("tags", list([])));
    let mut other = first(times, verb, "vm.a", other);
    move |call| cut(call).or_else(|| other(call))
}

#[tokio::test(start_paused = true)]
async fn what_a_create_did_not_come_to_is_set_in_the_same_run() {
    let mut lab = Lab::new(Cloud::new().boots("vm", 45));
    let fault = Fault::Refuse(ErrorKind::Transient);
    lab.cloud.script(cut_off(2, Verb::Update, fault));
    let report = report(&mut lab, &tagged()).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lab.cloud.count(Verb::Create), 2, "the net and one machine");
    assert_eq!(lab.cloud.count(Verb::Update), 3, "two failed");
    settled(&mut lab, &tagged()).await;
    assert_eq!(lab.cloud.count(Verb::Update), 3);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_set_is_left_for_the_next_run_and_not_replaced() {
    for kind in [
        ErrorKind::Invalid,
        ErrorKind::Denied,
        ErrorKind::OutcomeUnknown,
    ] {
        let mut lab = Lab::new(Cloud::new());
        lab.cloud
            .script(cut_off(99, Verb::Update, Fault::Refuse(kind)));
        let report = report(&mut lab, &tagged()).await;
        assert_eq!(report.unfinished.len(), 1, "{report:?}");
        let record = &lab.state().resources[&at("vm.a")];
        assert_eq!(record.status, Status::Unfinished);
        let id = record.id.clone();
        settled(&mut lab, &tagged()).await;
        assert_eq!(lab.state().resources[&at("vm.a")].id, id);
    }
}

#[tokio::test(start_paused = true)]
async fn one_killed_between_adoption_and_update_is_brought_in_line_by_the_next() {
    let mut deaths = 0;
    for appends in 1..12 {
        let mut lab = Lab::new(Cloud::new());
        lab.cloud.script(cut_off(0, Verb::Update, Fault::Hang));
        let options = PlanOptions::new(PlanMode::Apply);
        let dying = Some(Dying::After(appends));
        let life = lab.live(&tagged(), &options, dying).await;
        deaths += usize::from(matches!(life, Life::Died));
        assert!(matches!(life, Life::Died) || life.is_complete(), "{life:?}");
        settled(&mut lab, &tagged()).await;
    }
    assert!(deaths > 3, "{deaths}");
}
