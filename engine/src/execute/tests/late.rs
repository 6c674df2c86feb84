//! What a machine takes once: replaced together with the machine, or not at all.

use super::{at, decl, declare, first, report, settled, vm};
use crate::testing::{Build as _, Cloud, Fault, Lab, Verb, plan_text, reference, string};
use crate::{EngineError, PlanOptions};
use kplan_model::{Declaration, Declarations, ErrorKind, PlanMode, Reason, Status};

/// What runs on a machine, and whether that takes it once.
fn agent(late: bool) -> Declaration {
    let agent = decl("agent.a")
        .with("name", string("a"))
        .with("host", reference("vm.a", "id"))
        .inside("vm.a");
    if late {
        agent.with("late", string("it looks only once"))
    } else {
        agent
    }
}

fn all(late: bool) -> Declarations {
    declare([super::net(), vm("vm.a"), agent(late)])
}

fn replacing(addresses: &[&str]) -> PlanOptions {
    PlanOptions {
        replace: addresses.iter().map(|address| at(address)).collect(),
        ..PlanOptions::new(PlanMode::Apply)
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_replaced_without_its_machine() {
    let mut lab = Lab::new(Cloud::new());
    settled(&mut lab, &all(true)).await;
    let refused = lab.plan(&all(true), &replacing(&["agent.a"])).await;
    let Err(EngineError::Refused(refusals)) = refused else {
        panic!("{refused:?}");
    };
    let [refusal] = refusals.as_slice() else {
        panic!("{refusals:?}");
    };
    assert_eq!(
        (refusal.code, &refusal.address),
        ("plan::too_late", &at("agent.a"))
    );
    assert_eq!(
        refusal.message,
        "it cannot be replaced without vm.a: it looks only once"
    );
    assert!(refusal.help.contains("--replace vm.a"), "{}", refusal.help);
    for together in [&["vm.a", "agent.a"][..], &["vm.a"]] {
        let life = lab.run(&all(true), &replacing(together)).await;
        assert!(life.is_complete(), "{life:?}");
        settled(&mut lab, &all(true)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_machine_takes_again_is_replaced_alone() {
    let mut lab = Lab::new(Cloud::new());
    settled(&mut lab, &all(false)).await;
    let planned = lab.plan(&all(false), &replacing(&["agent.a"])).await;
    let text = plan_text(&planned.unwrap().plan);
    assert!(!text.contains("vm.a"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_would_not_take_what_failed_or_is_missing_is_replaced_with_it() {
    for fault in [Fault::Errored, Fault::Refuse(ErrorKind::Failed)] {
        let missing = fault != Fault::Errored;
        let mut lab = Lab::new(Cloud::new());
        lab.cloud.script(first(1, Verb::Create, "agent.a", fault));
        assert!(!report(&mut lab, &all(true)).await.is_complete());
        let left = lab.state().resources.get(&at("agent.a"));
        assert_eq!(
            left.map(|left| left.status),
            (!missing).then_some(Status::Tainted)
        );
        let machine = lab.state().resources[&at("vm.a")].id.clone();
        let planned = lab.plan(&all(true), &replacing(&[])).await.unwrap();
        let step = planned
            .plan
            .steps
            .iter()
            .find(|step| step.address == at("vm.a"));
        assert_eq!(
            step.unwrap().reason,
            Reason::TooLate(at("agent.a"), "it looks only once".to_owned())
        );
        settled(&mut lab, &all(true)).await;
        assert_ne!(lab.state().resources[&at("vm.a")].id, machine);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_ready_and_failed_meanwhile_is_replaced_with_its_machine_at_once() {
    let mut lab = Lab::new(Cloud::new().boots("agent", 1_000_000));
    let killed = std::time::Duration::from_secs(10);
    let life = tokio::time::timeout(killed, lab.apply(&all(true))).await;
    assert!(life.is_err(), "it ended before it was killed: {life:?}");
    // Recovered before it fails, planned after that.
    let life = tokio::time::timeout(killed, lab.apply(&all(true))).await;
    assert!(life.is_err(), "it ended before it was killed: {life:?}");
    lab.cloud.spoil(&at("agent.a"));
    lab.cloud = lab.cloud.clone().boots("agent", 0);
    settled(&mut lab, &all(true)).await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_while_nobody_watched_is_not_waited_for() {
    let mut lab = Lab::new(Cloud::new().boots("vm", 1_000_000));
    let killed = std::time::Duration::from_secs(10);
    let life = tokio::time::timeout(killed, lab.apply(&all(false))).await;
    assert!(life.is_err(), "it ended before it was killed: {life:?}");
    let life = tokio::time::timeout(killed, lab.apply(&all(false))).await;
    assert!(life.is_err(), "it ended before it was killed: {life:?}");
    let machine = lab.state().resources[&at("vm.a")].clone();
    assert_eq!(machine.status, Status::Unfinished);
    lab.cloud.spoil(&at("vm.a"));
    lab.cloud = lab.cloud.clone().boots("vm", 0);
    let planned = lab.plan(&all(false), &replacing(&[])).await.unwrap();
    let steps = planned.plan.steps.iter();
    let reasons = steps
        .filter(|step| step.address == at("vm.a"))
        .map(|step| step.reason.clone());
    let failed = Reason::Failed("status is \"errored\"".to_owned());
    assert_eq!(reasons.collect::<Vec<_>>(), [failed.clone(), failed]);
    settled(&mut lab, &all(false)).await;
    assert_ne!(lab.state().resources[&at("vm.a")].id, machine.id);
}
