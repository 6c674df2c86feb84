//! A run cut off while something it made was not ready yet, and what the next run does.

use super::{at, decl, declare, first, net, report, settled, vm};
use crate::PlanOptions;
use crate::testing::{
    Build as _, Cloud, Dying, Fault, Lab, Life, Verb, list, plan_text, reference, string,
};
use kplan_model::{
    Action, Declaration, Declarations, ErrorKind, Plan, PlanMode, Reason, Recorded, Status, Step,
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const NEVER: u64 = 1_000_000_000;

fn apply() -> PlanOptions {
    PlanOptions::new(PlanMode::Apply)
}

fn destroy() -> PlanOptions {
    PlanOptions::new(PlanMode::Destroy)
}

/// A lab whose process was killed ten seconds into an apply.
async fn killed(cloud: Cloud, declarations: &Declarations) -> Lab {
    let mut lab = Lab::new(cloud);
    kill_after(&mut lab, declarations, 10).await;
    lab
}

async fn kill_after(lab: &mut Lab, declarations: &Declarations, seconds: u64) {
    let life = timeout(Duration::from_secs(seconds), lab.apply(declarations)).await;
    assert!(life.is_err(), "it ended before it was killed: {life:?}");
}

async fn plan(lab: &Lab, declarations: &Declarations, options: &PlanOptions) -> Plan {
    lab.plan(declarations, options).await.unwrap().plan
}

fn on_vm() -> Declaration {
    decl("app.x").with("manifest", reference("vm.a", "ip"))
}

fn waits(plan: &Plan) -> Vec<&Step> {
    plan.steps.iter().filter(|step| step.only_waits()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_next_apply_waits_for_it_before_what_depends_on_it() {
    let declarations = declare([net(), vm("vm.a"), on_vm()]);
    let mut lab = killed(Cloud::new().boots("vm", 60), &declarations).await;
    let id = lab.state().resources[&at("vm.a")].id.clone();
    assert!(lab.state().in_doubt.contains_key(&at("vm.a")));
    let planned = plan(&lab, &declarations, &apply()).await;
    assert_eq!(plan_text(&planned), "0 ~ vm.a\n1 + app.x after 0\n");
    assert_eq!(planned.steps[0].reason, Reason::Unfinished);
    assert_eq!(planned.steps[0].before.as_ref().unwrap().id, id);
    lab.cloud.forget_calls();
    let began = Instant::now();
    let report = report(&mut lab, &declarations).await;
    assert!(report.is_complete(), "{report:?}");
    assert!(began.elapsed() > Duration::from_secs(45));
    assert_eq!(lab.cloud.count(Verb::Create), 1);
    assert_eq!(lab.cloud.count(Verb::Update), 0);
    assert_eq!(lab.cloud.count(Verb::Delete), 0);
    let record = &lab.state().resources[&at("vm.a")];
    assert_eq!((&record.id, record.status), (&id, Status::Ready));
    assert!(lab.state().in_doubt.is_empty());
    settled(&mut lab, &declarations).await;
}

#[tokio::test(start_paused = true)]
async fn destroying_it_waits_for_nothing() {
    let declarations = declare([net(), vm("vm.a"), on_vm()]);
    let mut lab = killed(Cloud::new().boots("vm", NEVER), &declarations).await;
    let began = Instant::now();
    let life = lab.run(&declare([]), &destroy()).await;
    assert!(life.is_complete(), "{life:?}");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    assert!(lab.state().resources.is_empty() && lab.state().in_doubt.is_empty());
    assert_eq!(lab.cloud.living(), []);
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_it_is_an_update_and_is_waited_for_afterwards() {
    let before = declare([net(), vm("vm.a"), on_vm()]);
    let edited = vm("vm.a").with("tags", list([string("t")]));
    let after = declare([net(), edited, on_vm()]);
    let mut lab = killed(Cloud::new().boots("vm", 60), &before).await;
    let planned = plan(&lab, &after, &apply()).await;
    assert_eq!(plan_text(&planned), "0 ~ vm.a {tags}\n1 + app.x after 0\n");
    assert_eq!(planned.steps[0].reason, Reason::Changed);
    lab.cloud.forget_calls();
    let began = Instant::now();
    assert!(report(&mut lab, &after).await.is_complete());
    assert!(began.elapsed() > Duration::from_secs(45));
    assert_eq!(lab.cloud.count(Verb::Update), 1);
    assert_eq!(lab.cloud.count(Verb::Create), 1);
    assert_eq!(lab.state().resources[&at("vm.a")].status, Status::Ready);
    settled(&mut lab, &after).await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_must_replace_it_does() {
    let image = |name: &str| vm("vm.a").with("image", string(name));
    let before = declare([net(), image("i")]);
    let after = declare([net(), image("j")]);
    let mut lab = killed(Cloud::new().boots("vm", 60), &before).await;
    let planned = plan(&lab, &after, &apply()).await;
    assert_eq!(waits(&planned), Vec::<&Step>::new());
    assert_eq!(planned.steps.len(), 2);
    settled(&mut lab, &after).await;
}

#[tokio::test(start_paused = true)]
async fn killed_again_while_waiting_it_is_still_unfinished() {
    let declarations = declare([net(), vm("vm.a")]);
    let mut lab = killed(Cloud::new().boots("vm", 60), &declarations).await;
    for _ in 0..3 {
        kill_after(&mut lab, &declarations, 10).await;
        let status = lab.state().resources[&at("vm.a")].status;
        assert_eq!(status, Status::Unfinished);
        let planned = plan(&lab, &declarations, &apply()).await;
        assert_eq!(plan_text(&planned), "0 ~ vm.a\n");
        assert!(planned.steps[0].only_waits());
    }
    settled(&mut lab, &declarations).await;
    assert_eq!(lab.cloud.count(Verb::Create), 2);
}

#[tokio::test(start_paused = true)]
async fn what_still_does_not_become_ready_fails_and_is_replaced_next() {
    let declarations = declare([net(), vm("vm.a")]);
    let mut lab = killed(Cloud::new().boots("vm", NEVER), &declarations).await;
    let report = report(&mut lab, &declarations).await;
    assert_eq!(report.failed[0].address, at("vm.a"));
    assert_eq!(lab.state().resources[&at("vm.a")].status, Status::Tainted);
    assert!(lab.state().in_doubt.is_empty());
    let planned = plan(&lab, &declarations, &apply()).await;
    assert!(
        planned
            .steps
            .iter()
            .all(|step| step.reason == Reason::Tainted)
    );
    assert_eq!(planned.steps.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_during_the_wait_leaves_it_to_the_next_run() {
    let declarations = declare([net(), vm("vm.a"), on_vm()]);
    let mut lab = killed(Cloud::new().boots("vm", 60), &declarations).await;
    let report = super::interrupted(&mut lab, &declarations, 1, 10).await;
    assert_eq!(report.unfinished[0].address, at("vm.a"));
    assert_eq!(report.not_started[0].address, at("app.x"));
    assert!(lab.state().in_doubt.is_empty());
    let status = lab.state().resources[&at("vm.a")].status;
    assert_eq!(status, Status::Unfinished);
    settled(&mut lab, &declarations).await;
}

#[tokio::test(start_paused = true)]
async fn what_vanished_meanwhile_is_made_again() {
    let declarations = declare([net(), vm("vm.a")]);
    let mut lab = killed(Cloud::new().boots("vm", 60), &declarations).await;
    kill_after(&mut lab, &declarations, 10).await;
    lab.cloud.lose(&at("vm.a"));
    settled(&mut lab, &declarations).await;
    assert_eq!(lab.cloud.count(Verb::Create), 3);
}

/// What stood in the old half of a container is not asked for through a new half that may not
/// answer yet.
#[tokio::test(start_paused = true)]
async fn contents_of_the_container_it_replaces_do_not_hold_anything_up() {
    let cell = |net: &str| decl("cell.c").with("net", reference(net, "id"));
    let app = || {
        decl("app.x")
            .with("endpoint", reference("cell.c", "endpoint"))
            .inside("cell.c")
    };
    let nets = || [net(), decl("net.other").with("name", string("o"))];
    let before = declare(nets().into_iter().chain([cell("net.main"), app()]));
    let moved = declare(nets().into_iter().chain([cell("net.other"), app()]));
    let mut reached = 0;
    for dying in 1..14 {
        let mut lab = Lab::new(Cloud::new().boots("cell", 60));
        assert!(lab.apply(&before).await.is_complete());
        lab.live(&moved, &apply(), Some(Dying::After(dying))).await;
        lab.cloud.script(|call| {
            let asks = matches!(call.verb, Verb::Read | Verb::List);
            (asks && call.kind.as_str() == "app").then_some(Fault::Refuse(ErrorKind::Denied))
        });
        let planned = lab.plan(&moved, &apply()).await.unwrap();
        let status = |text: &str| {
            let record = planned.snapshot.resources.get(&at(text))?;
            Some(record.status)
        };
        if status("cell.c") != Some(Status::Unfinished) || status("app.x").is_none() {
            continue;
        }
        reached += 1;
        assert!(!planned.report.is_partial(), "died at {dying}");
        let destroying = lab.plan(&declare([]), &destroy()).await.unwrap();
        assert!(!destroying.report.is_partial(), "died at {dying}");
        settled(&mut lab, &moved).await;
    }
    assert!(reached > 0);
}

#[tokio::test(start_paused = true)]
async fn the_linter_insists_on_the_wait() {
    let declarations = declare([net(), vm("vm.a"), on_vm()]);
    let mut lab = killed(Cloud::new().boots("vm", 60), &declarations).await;
    kill_after(&mut lab, &declarations, 10).await;
    let planned = lab.plan(&declarations, &apply()).await.unwrap();
    let kinds = crate::testing::kinds();
    let codes = |plan: &Plan| -> Vec<&'static str> {
        let found = crate::plan::lint(plan, &planned.snapshot, &kinds);
        found.into_iter().map(|finding| finding.code).collect()
    };
    assert_eq!(codes(&planned.plan), Vec::<&str>::new());
    // Nothing waits for it.
    let mut hasty = planned.plan.clone();
    hasty.steps.remove(0);
    hasty.steps[0].id = kplan_model::StepId(0);
    hasty.steps[0].requires.clear();
    assert_eq!(codes(&hasty), ["lint::unfinished"]);
    // It waits for what is ready.
    let mut idle = planned.plan.clone();
    idle.steps[0].before = planned.plan.steps[0].before.clone().map(|record| Recorded {
        status: Status::Ready,
        ..record
    });
    assert_eq!(codes(&idle), ["lint::unfinished"]);
    // It does not only wait.
    let mut busy = planned.plan.clone();
    busy.steps[0].action = Action::Record;
    assert_eq!(codes(&busy), ["lint::unfinished"]);
    assert!(matches!(lab.apply(&declarations).await, Life::Ended(_)));
}

/// What leaves the record and stays is freed of the owner's mark first, and it is begun again where
/// that was cut off.
#[tokio::test(start_paused = true)]
async fn what_is_let_go_bears_no_mark_and_is_on_record_until_then() {
    let unit = decl("unit.a")
        .with("name", string("a"))
        .with("net", reference("net.main", "id"));
    let before = declare([net(), unit]);
    let mut without = declare([net()]);
    without
        .forgotten
        .insert(at("unit.a"), "the file says so".to_owned());
    let options = PlanOptions::new(PlanMode::Apply);
    for dying in 1..4 {
        for death in [Dying::Before(dying), Dying::After(dying)] {
            let mut lab = Lab::new(Cloud::new());
            assert!(lab.apply(&before).await.is_complete());
            lab.live(&without, &options, Some(death)).await;
            let on_record = lab.state().resources.contains_key(&at("unit.a"));
            assert!(on_record || lab.cloud.count(Verb::Release) > 0, "{dying}");
            assert!(lab.apply(&without).await.is_complete());
            assert!(lab.cloud.count(Verb::Release) > 0, "{dying}");
            assert_eq!(lab.cloud.count(Verb::Delete), 0);
            assert_eq!(lab.cloud.living().len(), 2);
            assert!(!lab.state().resources.contains_key(&at("unit.a")));
        }
    }
    // One that cannot be freed stays on record.
    let mut lab = Lab::new(Cloud::new());
    assert!(lab.apply(&before).await.is_complete());
    let denied = Fault::Refuse(ErrorKind::Denied);
    lab.cloud.script(first(9, Verb::Release, "unit.a", denied));
    let report = report(&mut lab, &without).await;
    assert!(!report.is_complete());
    assert!(lab.state().resources.contains_key(&at("unit.a")));
}
