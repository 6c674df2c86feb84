//! The executor and recovery over the scripted cloud: errors, waiting, interrupts, lost answers.

use super::{Level, Outcome, Report};
use crate::PlanOptions;
use crate::event::Event;
use crate::testing::{
    Build as _, Call, Cloud, Dying, Fault, Lab, Life, Verb, decl, declare, list, plan_text,
    reference, string,
};
use kplan_model::{Address, Declaration, Declarations, ErrorKind, PlanMode, Status, Value};
use std::time::Duration;

mod aligning;
mod draining;
mod late;
mod looks;
mod operating;
mod settling;
mod trouble;
mod unfinished;

fn net() -> Declaration {
    decl("net.main").with("name", string("n"))
}

fn vm(text: &str) -> Declaration {
    decl(text)
        .with("name", string(text))
        .with("net", reference("net.main", "id"))
}

fn at(text: &str) -> Address {
    text.parse().unwrap()
}

/// Goes wrong the first `times` times that `verb` is called for `address`.
fn first(
    times: usize,
    verb: Verb,
    address: &str,
    fault: Fault,
) -> impl FnMut(&Call) -> Option<Fault> + use<> {
    let address = at(address);
    let mut left = times;
    move |call| {
        if left == 0 || call.verb != verb || call.address.as_ref() != Some(&address) {
            return None;
        }
        left -= 1;
        Some(fault.clone())
    }
}

async fn report(lab: &mut Lab, declarations: &Declarations) -> Report {
    match lab.apply(declarations).await {
        Life::Ended(outcome) => outcome.into_report(),
        other => panic!("{other:?}"),
    }
}

async fn settled(lab: &mut Lab, declarations: &Declarations) {
    lab.cloud.heal();
    let life = lab.apply(declarations).await;
    assert!(life.is_complete(), "{life:?}");
    assert_eq!(lab.disagreements(), Vec::<String>::new());
    let plan = lab
        .plan(declarations, &PlanOptions::new(PlanMode::Apply))
        .await
        .unwrap()
        .plan;
    assert!(plan.steps.is_empty(), "{:?}", plan.steps);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_state_calls_nothing_more_and_the_next_carries_on() {
    for lost_after in 1..5 {
        let mut lab = Lab::new(Cloud::new().boots("vm", 45));
        lab.journal.lost_after = Some(lost_after);
        let declarations = declare([net(), vm("vm.a"), vm("vm.b")]);
        let report = report(&mut lab, &declarations).await;
        assert!(report.journal.is_some() && !report.is_complete());
        // Each change is announced by an append of its own, or shares one: never more changes than
        // appends that came before the loss.
        let creates = lab.cloud.count(Verb::Create);
        assert!(creates < lost_after, "{creates} of {lost_after}");
        lab.journal.lost_after = None;
        settled(&mut lab, &declarations).await;
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_is_shared_by_all_waiters_of_a_kind_and_takes_no_place() {
    let mut lab = Lab::new(Cloud::new().boots("vm", 45));
    lab.options.parallelism = 2;
    let many = (0..50).map(|n| vm(&format!("vm.m[{n}]")));
    let report = report(&mut lab, &declare(std::iter::once(net()).chain(many))).await;
    assert!(report.is_complete());
    // 50 creates, two at a time, 20 ms each with the look before; then one boot for all.
    assert!(
        report.wall_seconds < 45.0 * 1.05 + 1.0,
        "{}",
        report.wall_seconds
    );
    assert!(
        lab.cloud.count(Verb::List) < 45,
        "{}",
        lab.cloud.count(Verb::List)
    );
    assert_eq!(lab.cloud.count(Verb::Read), 0);
    assert!(lab.cloud.peak() <= 3, "{}", lab.cloud.peak());
}

#[tokio::test(start_paused = true)]
async fn the_critical_path_is_the_longest_chain() {
    let mut lab = Lab::new(
        Cloud::new()
            .boots("vm", 45)
            .boots("lb", 100)
            .boots("net", 10),
    );
    let lb = decl("lb.api").with("net", reference("net.main", "id"));
    let report = report(&mut lab, &declare([net(), vm("vm.a"), lb])).await;
    let path: Vec<String> = report
        .critical_path
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(path, ["net.main", "lb.api"]);
    assert!(report.critical_path_seconds > 110.0);
    assert!(report.wall_seconds <= report.critical_path_seconds * 1.01);
}

#[tokio::test(start_paused = true)]
async fn a_failure_skips_what_depends_on_it_and_nothing_else() {
    let mut lab = Lab::new(Cloud::new());
    lab.cloud.script(first(
        9,
        Verb::Create,
        "vm.a",
        Fault::Refuse(ErrorKind::Invalid),
    ));
    let on_a = decl("app.x").with("manifest", reference("vm.a", "ip"));
    let declarations = declare([net(), vm("vm.a"), vm("vm.b"), on_a]);
    let report = report(&mut lab, &declarations).await;
    assert_eq!(report.done.len(), 2);
    assert_eq!(report.failed[0].address, at("vm.a"));
    assert_eq!(report.not_started[0].address, at("app.x"));
    settled(&mut lab, &declarations).await;
}

#[tokio::test(start_paused = true)]
async fn passing_errors_are_tried_again_and_bounded() {
    let mut lab = Lab::new(Cloud::new());
    let declarations = declare([net(), vm("vm.a")]);
    lab.cloud
        .script(first(2, Verb::Create, "vm.a", Fault::Throttle(29)));
    let first_report = report(&mut lab, &declarations).await;
    assert!(first_report.is_complete());
    assert!(
        first_report.wall_seconds > 58.0,
        "{}",
        first_report.wall_seconds
    );
    let changed = declare([net(), vm("vm.a").with("tags", list([string("t")]))]);
    lab.cloud.script(first(
        99,
        Verb::Update,
        "vm.a",
        Fault::Refuse(ErrorKind::Transient),
    ));
    let failing = report(&mut lab, &changed).await;
    assert_eq!(failing.failed[0].error.kind, ErrorKind::Transient);
    settled(&mut lab, &changed).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_and_adopted() {
    let mut lab = Lab::new(Cloud::new().lags(Duration::from_secs(5)));
    let declarations = declare([net(), vm("vm.a")]);
    lab.cloud
        .script(first(1, Verb::Create, "vm.a", Fault::LoseAnswer));
    let report = report(&mut lab, &declarations).await;
    assert!(report.is_complete(), "{report:?}");
    let creates = lab
        .cloud
        .calls()
        .into_iter()
        .filter(|call| call.verb == Verb::Create);
    assert_eq!(creates.count(), 2);
    settled(&mut lab, &declarations).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_that_never_happened_is_sent_once_more_after_two_looks() {
    let mut lab = Lab::new(Cloud::new());
    let declarations = declare([net()]);
    let lost = Fault::Refuse(ErrorKind::OutcomeUnknown);
    lab.cloud
        .script(first(1, Verb::Create, "net.main", lost.clone()));
    assert!(report(&mut lab, &declarations).await.is_complete());
    let looks = lab.cloud.count(Verb::Find);
    assert_eq!(looks, 3);
    let mut lab = Lab::new(Cloud::new());
    lab.cloud.script(first(99, Verb::Create, "net.main", lost));
    let doubtful = report(&mut lab, &declarations).await;
    assert_eq!(doubtful.in_doubt.len(), 1, "{doubtful:?}");
    assert_eq!(lab.cloud.count(Verb::Create), 2);
    settled(&mut lab, &declarations).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_of_our_name_is_refused_not_adopted() {
    let mut lab = Lab::new(Cloud::new());
    let owner = lab.state().owner.clone();
    let id = lab.cloud.plant(&owner, &at("net.main"));
    let report = report(&mut lab, &declare([net()])).await;
    assert_eq!(report.failed[0].error.kind, ErrorKind::Exists);
    assert!(report.failed[0].error.message.contains(id.as_str()));
    assert_eq!(lab.cloud.count(Verb::Create), 0);
    assert!(lab.state().resources.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_half_made_or_errored_is_recorded_as_tainted_and_replaced() {
    for fault in [Fault::HalfMade, Fault::Errored] {
        let mut lab = Lab::new(Cloud::new());
        lab.cloud
            .script(first(1, Verb::Create, "vm.a", fault.clone()));
        let declarations = declare([net(), vm("vm.a")]);
        let report = report(&mut lab, &declarations).await;
        assert_eq!(report.failed.len(), 1, "{fault:?}");
        assert_eq!(lab.state().resources[&at("vm.a")].status, Status::Tainted);
        assert_eq!(lab.disagreements(), Vec::<String>::new());
        settled(&mut lab, &declarations).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_wait_until_it_is_gone_and_containers_until_they_are_empty() {
    let mut lab = Lab::new(Cloud::new().vanishes(Duration::from_secs(40)));
    let declarations = declare([net(), vm("vm.a")]);
    assert!(lab.apply(&declarations).await.is_complete());
    let life = lab
        .run(&declare([]), &PlanOptions::new(PlanMode::Destroy))
        .await;
    assert!(life.is_complete(), "{life:?}");
    assert!(matches!(life, Life::Ended(outcome) if outcome.report().wall_seconds > 80.0));
    assert!(lab.state().resources.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_never_becomes_ready_fails_after_the_limit_as_tainted() {
    let mut lab = Lab::new(Cloud::new().boots("net", 1_000_000));
    let report = report(&mut lab, &declare([net()])).await;
    assert_eq!(report.failed[0].error.kind, ErrorKind::Failed);
    assert_eq!(
        lab.state().resources[&at("net.main")].status,
        Status::Tainted
    );
    let progress = lab
        .events
        .iter()
        .filter(|event| matches!(event, Event::StepProgress { .. }));
    assert!(progress.count() > 5);
}

/// Presses the button `presses` times after `seconds`.
async fn interrupted(
    lab: &mut Lab,
    declarations: &Declarations,
    presses: usize,
    after: u64,
) -> Report {
    let button = lab.cancel.clone();
    let press = async move {
        tokio::time::sleep(Duration::from_secs(after)).await;
        (0..presses).for_each(|_| button.press());
        std::future::pending::<()>().await;
    };
    let life = tokio::select! {
        () = press => unreachable!(),
        life = lab.apply(declarations) => life,
    };
    lab.cancel = super::Cancel::new();
    match life {
        Life::Ended(outcome) if matches!(*outcome, Outcome::Interrupted(_)) => {
            outcome.into_report()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_starts_nothing_new_and_the_next_run_carries_on_waiting() {
    let mut lab = Lab::new(Cloud::new().boots("net", 60));
    let declarations = declare([net(), vm("vm.a")]);
    let report = interrupted(&mut lab, &declarations, 1, 10).await;
    assert_eq!(report.unfinished[0].address, at("net.main"));
    assert_eq!(report.in_doubt, []);
    assert_eq!(report.not_started[0].address, at("vm.a"));
    assert!(!report.is_complete());
    assert!(report.wall_seconds < 11.0);
    let said = report.unfinished[0].error.to_string();
    assert!(said.contains("made, and not ready yet"), "{said}");
    let told = |event: &Event| matches!(event, Event::StepUnfinished { .. });
    assert!(lab.events.iter().any(told), "{:?}", lab.events);
    // It is known what exists: nothing is in doubt.
    assert!(lab.state().in_doubt.is_empty());
    let record = &lab.state().resources[&at("net.main")];
    assert_eq!(record.status, Status::Unfinished);
    // A plan says so without writing.
    let serial = lab.state().serial;
    let planned = lab
        .plan(&declarations, &PlanOptions::new(PlanMode::Apply))
        .await
        .unwrap();
    assert_eq!(planned.notes, []);
    assert_eq!(plan_text(&planned.plan), "0 ~ net.main\n1 + vm.a after 0\n");
    assert_eq!(lab.state().serial, serial);
    settled(&mut lab, &declarations).await;
    assert_eq!(lab.cloud.count(Verb::Create), 2);
}

#[tokio::test(start_paused = true)]
async fn two_interrupts_give_up_calls_in_flight_and_mark_them_in_doubt() {
    let mut lab = Lab::new(Cloud::new());
    lab.cloud
        .script(first(1, Verb::Create, "net.main", Fault::Hang));
    let declarations = declare([net(), vm("vm.a")]);
    let report = interrupted(&mut lab, &declarations, 2, 10).await;
    assert_eq!(report.in_doubt[0].address, at("net.main"));
    assert!(lab.events.contains(&Event::Stopping { hard: true }));
    assert_eq!(lab.state().in_doubt.len(), 1);
    settled(&mut lab, &declarations).await;
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_stops_the_run_and_says_so() {
    let mut lab = Lab::new(Cloud::new());
    let declarations = declare([net(), vm("vm.a")]);
    // Not killed: the disk is full.
    lab.journal.reopen(Some(Dying::Before(3)));
    let planned = lab
        .plan(&declarations, &PlanOptions::new(PlanMode::Apply))
        .await
        .unwrap();
    let approved = planned.plan.approve(kplan_model::Approval {
        how: "test".to_owned(),
        at: kplan_model::Timestamp(0),
    });
    let clock = lab.cloud.clock();
    let run = super::Run {
        registry: &lab.registry,
        clock: &clock,
        cancel: &lab.cancel,
        options: &lab.options,
    };
    let outcome = super::run(
        run,
        &approved,
        planned.snapshot,
        &mut lab.journal,
        &mut |_| {},
    )
    .await;
    let report = outcome.report();
    assert!(report.journal.is_some());
    assert_eq!(report.in_doubt.len(), 1);
    assert_eq!(report.not_started.len(), 1);
    settled(&mut lab, &declarations).await;
    assert_eq!(lab.cloud.count(Verb::Create), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_create_that_cannot_be_told_apart_stops_the_next_run() {
    let mut lab = Lab::new(Cloud::new());
    let declarations = declare([net()]);
    let life = lab
        .live(
            &declarations,
            &PlanOptions::new(PlanMode::Apply),
            Some(Dying::After(2)),
        )
        .await;
    assert!(matches!(life, Life::Died));
    let owner = lab.state().owner.clone();
    lab.cloud.plant(&owner, &at("net.main"));
    lab.cloud.plant(&owner, &at("net.main"));
    let life = lab.apply(&declarations).await;
    let Life::Unclear(recovered) = life else {
        panic!("{life:?}");
    };
    let outcome = recovered.notes[0].outcome.as_ref().unwrap_err();
    assert!(outcome.message.contains("net-1") && outcome.message.contains("net-2"));
    assert_eq!(lab.state().in_doubt.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_create_first_replacement_keeps_its_old_half_on_record() {
    let lb = |net: &str| {
        decl("lb.api")
            .with("name", string("l"))
            .with("net", reference(net, "id"))
    };
    let nets = || [net(), decl("net.other").with("name", string("o"))];
    let before = declare(nets().into_iter().chain([lb("net.main")]));
    let moved = declare(nets().into_iter().chain([lb("net.other")]));
    for dying in 1..9 {
        let mut lab = Lab::new(Cloud::new());
        assert!(lab.apply(&before).await.is_complete());
        let options = PlanOptions::new(PlanMode::Apply);
        for after in [Dying::Before(dying), Dying::After(dying)] {
            lab.live(&moved, &options, Some(after)).await;
        }
        settled(&mut lab, &moved).await;
        assert_eq!(lab.cloud.living().len(), 3, "died at {dying}");
    }
}

/// What stands in the old half of a container goes with it, although a new half is on record.
#[tokio::test(start_paused = true)]
async fn contents_of_a_half_replaced_container_are_not_taken_for_the_new_halfs() {
    let cell = |net: &str| decl("cell.c").with("net", reference(net, "id"));
    let app = || {
        decl("app.x")
            .with("endpoint", reference("cell.c", "endpoint"))
            .inside("cell.c")
    };
    let nets = || [net(), decl("net.other").with("name", string("o"))];
    let before = declare(nets().into_iter().chain([cell("net.main"), app()]));
    let moved = declare(nets().into_iter().chain([cell("net.other"), app()]));
    for dying in 1..14 {
        let mut lab = Lab::new(Cloud::new());
        assert!(lab.apply(&before).await.is_complete());
        let options = PlanOptions::new(PlanMode::Apply);
        lab.live(&moved, &options, Some(Dying::After(dying))).await;
        settled(&mut lab, &moved).await;
        let endpoint = &lab.state().resources[&at("app.x")].attrs["endpoint"];
        let cell = &lab.state().resources[&at("cell.c")].id;
        assert_eq!(endpoint.as_str(), Some(cell.as_str()), "died at {dying}");
    }
}

/// The new half is destroyed before the old one is: what stands in the old one goes with that.
#[tokio::test(start_paused = true)]
async fn contents_of_the_old_half_stay_on_record_until_that_is_gone() {
    let cell = |net: &str| decl("cell.c").with("net", reference(net, "id"));
    let app = || {
        decl("app.x")
            .with("endpoint", reference("cell.c", "endpoint"))
            .inside("cell.c")
    };
    let nets = || [net(), decl("net.other").with("name", string("o"))];
    let before = declare(nets().into_iter().chain([cell("net.main"), app()]));
    let moved = declare(nets().into_iter().chain([cell("net.other"), app()]));
    let options = PlanOptions::new(PlanMode::Apply);
    let mut reached = 0;
    for (first, second) in (1..10).flat_map(|first| (1..10).map(move |second| (first, second))) {
        let mut lab = Lab::new(Cloud::new());
        assert!(lab.apply(&before).await.is_complete());
        lab.live(&moved, &options, Some(Dying::After(first))).await;
        if lab.state().deposed.is_empty() || lab.cloud.living().len() != 5 {
            continue;
        }
        // The new half goes first: it is tainted.
        let records = &mut lab.journal.durable.resources;
        records.get_mut(&at("cell.c")).unwrap().status = Status::Tainted;
        lab.live(&moved, &options, Some(Dying::After(second))).await;
        let mut lost = lab.disagreements();
        lost.retain(|what| what.starts_with("app.x") && what.contains("not on record"));
        assert_eq!(lost, Vec::<String>::new(), "died at {first}, {second}");
        settled(&mut lab, &moved).await;
        reached += 1;
    }
    assert!(reached > 0);
}

#[test]
fn a_button_pressed_twice_is_hard() {
    let cancel = super::Cancel::new();
    cancel.press();
    assert_eq!(cancel.level(), Level::Soft);
    cancel.press();
    cancel.press();
    assert_eq!(cancel.level(), Level::Hard);
}

#[tokio::test(start_paused = true)]
async fn outputs_are_filled_at_the_end() {
    let mut lab = Lab::new(Cloud::new());
    let mut declarations = declare([net(), vm("vm.a")]);
    declarations
        .outputs
        .insert("ip".to_owned(), reference("vm.a", "ip"));
    assert!(lab.apply(&declarations).await.is_complete());
    assert_eq!(lab.state().outputs["ip"], Value::str("10.0.0.2"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_shown_once_survives_refreshes() {
    let mut lab = Lab::new(Cloud::new());
    let declarations = declare([decl("db.d").with("name", string("d"))]);
    assert!(lab.apply(&declarations).await.is_complete());
    lab.cloud.meddle(&at("db.d"), "name", string("other"));
    settled(&mut lab, &declarations).await;
    assert!(
        lab.state().resources[&at("db.d")]
            .attrs
            .contains_key("password")
    );
}

/// A front end may run the engine on another thread.
#[tokio::test(start_paused = true)]
async fn runs_can_move_between_threads() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let mut lab = Lab::new(Cloud::new());
    let clock = lab.cloud.clock();
    let run = super::Run {
        registry: &lab.registry,
        clock: &clock,
        cancel: &lab.cancel,
        options: &lab.options,
    };
    let declarations = declare([net()]);
    let options = PlanOptions::new(PlanMode::Apply);
    let observing = crate::observe::Options::new(lab.cloud.now());
    let snapshot = lab.journal.durable.clone();
    let tell = &mut |_| {};
    let recovered = is_send(crate::recover(run, snapshot, &mut lab.journal, tell)).await;
    let planned = is_send(crate::plan(crate::Planning {
        declarations: &declarations,
        snapshot: recovered.snapshot,
        registry: &lab.registry,
        options: &options,
        observing: &observing,
    }));
    let planned = planned.await.unwrap();
    let approved = planned.plan.approve(kplan_model::Approval {
        how: "test".to_owned(),
        at: kplan_model::Timestamp(0),
    });
    let outcome = is_send(crate::apply(
        run,
        &approved,
        planned.snapshot,
        &mut lab.journal,
        tell,
    ));
    assert!(outcome.await.report().is_complete());
}
