//! Operations: what is done before a delete, interrupted, and undone.

use super::{at, first, net, report, settled, vm};
use crate::PlanOptions;
use crate::event::Event;
use crate::testing::{
    Build as _, Call, Cloud, Dying, Fault, Lab, Life, Verb, decl, declare, plan_text, reference,
    string,
};
use kplan_model::{Action, Declarations, ErrorKind, PlanMode, Status};
use std::time::Duration;

fn agent(name: &str, host: &str) -> kplan_model::Declaration {
    decl(&format!("agent.{name}"))
        .with("name", string(name))
        .with("host", reference(host, "id"))
}

fn both() -> Declarations {
    let agents = [agent("a", "vm.a"), agent("b", "vm.b")];
    declare([net(), vm("vm.a"), vm("vm.b")].into_iter().chain(agents))
}

fn one() -> Declarations {
    declare([net(), vm("vm.a"), agent("a", "vm.a")])
}

async fn lab_with_both() -> Lab {
    let mut lab = Lab::new(Cloud::new());
    let report = report(&mut lab, &both()).await;
    assert!(report.is_complete(), "{report:?}");
    lab
}

fn apply() -> PlanOptions {
    PlanOptions::new(PlanMode::Apply)
}

fn operations(lab: &Lab) -> Vec<&str> {
    let records = lab.state().resources.values();
    let begun = records.flat_map(|record| &record.operations);
    begun.map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn one_is_drained_before_it_goes_and_the_plan_shows_it() {
    let mut lab = lab_with_both().await;
    let plan = lab.plan(&one(), &apply()).await.unwrap().plan;
    assert_eq!(
        plan_text(&plan),
        "0 ! agent.b drain\n1 - agent.b after 0\n2 - vm.b after 1\n"
    );
    lab.cloud.forget_calls();
    let report = report(&mut lab, &one()).await;
    assert!(report.is_complete(), "{report:?}");
    let changes = lab
        .cloud
        .calls()
        .into_iter()
        .filter(|call| matches!(call.verb, Verb::Operate | Verb::Delete));
    let verbs: Vec<Verb> = changes.map(|call| call.verb).collect();
    assert_eq!(verbs.first(), Some(&Verb::Operate), "{verbs:?}");
    assert_eq!(verbs[verbs.len() - 2..], [Verb::Delete; 2], "{verbs:?}");
    // It takes 12 s, looked at every 5 s.
    assert!(report.wall_seconds < 18.0, "{}", report.wall_seconds);
    let told = lab.events.iter().any(|event| {
        matches!(event, Event::StepProgress { waiting_for, .. } if waiting_for == "there is work left")
    });
    assert!(told);
    settled(&mut lab, &one()).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_left_out_is_not_done() {
    let mut lab = lab_with_both().await;
    let options = PlanOptions {
        skip_operations: ["drain".to_owned()].into(),
        ..apply()
    };
    assert!(lab.live(&one(), &options, None).await.is_complete());
    assert_eq!(lab.cloud.count(Verb::Operate), 0);
    settled(&mut lab, &one()).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_drained_where_nobody_stays() {
    let mut lab = lab_with_both().await;
    lab.cloud.forget_calls();
    assert!(report(&mut lab, &declare([net()])).await.is_complete());
    assert_eq!(lab.cloud.count(Verb::Operate), 0);
    settled(&mut lab, &declare([net()])).await;
}

#[tokio::test(start_paused = true)]
async fn the_only_one_is_not_drained_for_its_own_successor() {
    let mut lab = Lab::new(Cloud::new());
    assert!(report(&mut lab, &one()).await.is_complete());
    let replace = PlanOptions {
        replace: [at("agent.a")].into(),
        ..apply()
    };
    let plan = lab.plan(&one(), &replace).await.unwrap().plan;
    assert!(!plan_text(&plan).contains("drain"), "{}", plan_text(&plan));
    // With another one beside it, it is.
    let mut lab = lab_with_both().await;
    assert!(lab.live(&both(), &replace, None).await.is_complete());
    assert!(lab.cloud.count(Verb::Operate) > 0);
}

#[tokio::test(start_paused = true)]
async fn what_takes_the_work_over_is_made_first() {
    let lab = lab_with_both().await;
    let agents = [agent("c", "vm.a"), agent("d", "vm.b")];
    let renamed = declare([net(), vm("vm.a"), vm("vm.b")].into_iter().chain(agents));
    let options = PlanOptions {
        allow_destroy: [at("agent.a"), at("agent.b")].into(),
        ..apply()
    };
    let plan = lab.plan(&renamed, &options).await.unwrap().plan;
    let text = plan_text(&plan);
    let place = |words: &str| {
        text.find(words)
            .unwrap_or_else(|| panic!("{words}: {text}"))
    };
    assert!(place("+ agent.d") < place("! agent.a drain"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_known_to_work_at_the_moment_is_drained_too() {
    let mut lab = lab_with_both().await;
    if let Some(record) = lab.journal.durable.resources.get_mut(&at("agent.b")) {
        record.status = Status::Unfinished;
    }
    let plan = lab.plan(&one(), &apply()).await.unwrap().plan;
    assert!(plan_text(&plan).contains("! agent.b drain"));
    if let Some(record) = lab.journal.durable.resources.get_mut(&at("agent.b")) {
        record.status = Status::Tainted;
    }
    let plan = lab.plan(&one(), &apply()).await.unwrap().plan;
    assert!(!plan_text(&plan).contains("drain"));
}

#[tokio::test(start_paused = true)]
async fn one_killed_at_any_entry_is_drained_to_the_end_or_taken_back() {
    let mut deaths = 0;
    for appends in 1..12 {
        for wanted in [one(), both()] {
            let mut lab = lab_with_both().await;
            let dying = Some(Dying::After(appends));
            let life = lab.live(&one(), &apply(), dying).await;
            deaths += usize::from(matches!(life, Life::Died));
            assert!(matches!(life, Life::Died) || life.is_complete(), "{life:?}");
            settled(&mut lab, &wanted).await;
            assert_eq!(operations(&lab), Vec::<&str>::new());
            assert_eq!(lab.cloud.drained(), Vec::new());
        }
    }
    assert!(deaths > 6, "{deaths}");
}

#[tokio::test(start_paused = true)]
async fn one_interrupted_while_it_waits_is_no_doubt() {
    let mut lab = lab_with_both().await;
    let cancel = lab.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cancel.press();
    });
    let report = report(&mut lab, &one()).await;
    assert_eq!(report.unfinished.len(), 1, "{report:?}");
    assert_eq!(report.unfinished[0].action, Action::Operate);
    assert!(report.in_doubt.is_empty() && report.failed.is_empty());
    let help = report.unfinished[0].error.help.clone().unwrap_or_default();
    assert!(help.contains("undoes it (fill)"), "{help}");
    assert_eq!(operations(&lab), ["drain"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_keeps_its_resource() {
    let mut lab = lab_with_both().await;
    let mut fails = first(
        9,
        Verb::Operate,
        "agent.b",
        Fault::Refuse(ErrorKind::Invalid),
    );
    lab.cloud.script(move |call: &Call| fails(call));
    let report = report(&mut lab, &one()).await;
    assert_eq!(report.failed.len(), 1, "{report:?}");
    assert!(lab.state().resources.contains_key(&at("agent.b")));
    assert_eq!(lab.cloud.count(Verb::Delete), 0);
    settled(&mut lab, &both()).await;
    assert_eq!(operations(&lab), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn one_that_never_ends_is_given_up() {
    let mut lab = lab_with_both().await;
    // It takes 12 s.
    lab.options.wait_limit = Duration::from_secs(8);
    let report = report(&mut lab, &one()).await;
    let error = report.failed[0].error.to_string();
    assert!(error.contains("was not done after"), "{error}");
    assert_eq!(lab.cloud.count(Verb::Delete), 0);
}

/// It was never of any use, so nothing moves away from it; and it could not be asked.
#[tokio::test(start_paused = true)]
async fn one_that_failed_while_nobody_watched_is_not_drained() {
    let mut lab = Lab::new(Cloud::new().boots("agent", 1_000_000));
    for _ in 0..2 {
        let life = tokio::time::timeout(Duration::from_secs(10), lab.apply(&both())).await;
        assert!(life.is_err(), "it ended before it was killed: {life:?}");
    }
    lab.cloud.spoil(&at("agent.a"));
    lab.cloud = lab.cloud.clone().boots("agent", 0);
    let text = plan_text(&lab.plan(&both(), &apply()).await.unwrap().plan);
    assert!(text.contains("- agent.a"), "{text}");
    assert!(!text.contains("drain"), "{text}");
}

fn voter(name: &str, host: &str) -> kplan_model::Declaration {
    agent(name, host).with("role", string("voter"))
}

fn voters() -> Declarations {
    let agents = [voter("a", "vm.a"), voter("b", "vm.b")];
    declare([net(), vm("vm.a"), vm("vm.b")].into_iter().chain(agents))
}

/// Killed at any entry, then kept by the file: what began to leave is made anew, and nothing that
/// left stands.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_undone_and_was_begun_is_made_anew_where_the_file_keeps_it() {
    let first = declare([net(), vm("vm.a"), voter("a", "vm.a")]);
    let mut renewed = 0;
    for appends in 1..12 {
        let mut lab = Lab::new(Cloud::new());
        assert!(lab.apply(&voters()).await.is_complete());
        let before = lab.state().resources[&at("agent.b")].id.clone();
        let life = lab
            .live(&first, &apply(), Some(Dying::After(appends)))
            .await;
        assert!(matches!(life, Life::Died) || life.is_complete(), "{life:?}");
        let there = lab.state().resources.get(&at("agent.b"));
        let begun = there.is_some_and(|record| record.operations.contains("leave"));
        if begun {
            let text = plan_text(&lab.plan(&voters(), &apply()).await.unwrap().plan);
            assert!(
                text.contains("- agent.b") && text.contains("+ agent.b"),
                "{text}"
            );
            renewed += 1;
        }
        settled(&mut lab, &voters()).await;
        assert_eq!(lab.cloud.left(), Vec::new());
        assert_eq!(lab.cloud.drained(), Vec::new());
        let now = &lab.state().resources[&at("agent.b")].id;
        assert!(!begun || *now != before);
    }
    assert!(renewed > 1, "{renewed}");
}

#[tokio::test(start_paused = true)]
async fn only_those_an_operation_is_for_are_in_it_and_they_need_another_of_them() {
    let mut lab = Lab::new(Cloud::new());
    let mixed = || {
        let voter = agent("b", "vm.b").with("role", string("voter"));
        let agents = [agent("a", "vm.a"), voter];
        declare([net(), vm("vm.a"), vm("vm.b")].into_iter().chain(agents))
    };
    assert!(lab.apply(&mixed()).await.is_complete());
    let replace = |address| PlanOptions {
        replace: [at(address)].into(),
        ..apply()
    };
    for address in ["agent.a", "agent.b"] {
        let plan = lab.plan(&mixed(), &replace(address)).await.unwrap().plan;
        let text = plan_text(&plan);
        assert!(text.contains("drain") && !text.contains("leave"), "{text}");
    }
    let mut lab = Lab::new(Cloud::new());
    assert!(lab.apply(&voters()).await.is_complete());
    let plan = lab.plan(&voters(), &replace("agent.b")).await.unwrap().plan;
    let text = plan_text(&plan);
    let drained = text.find("! agent.b drain").unwrap();
    assert!(drained < text.find("! agent.b leave").unwrap(), "{text}");
}
