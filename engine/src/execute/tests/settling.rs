//! What is interrupted is waited for until it works again, whatever happens meanwhile.

use super::{at, decl, declare, first, interrupted, net, report, settled};
use crate::PlanOptions;
use crate::testing::{Build as _, Cloud, Fault, Lab, Verb, int, plan_text, reference, string};
use kplan_model::{
    Action, Declaration, Declarations, ErrorKind, Plan, PlanMode, Reason, Status, StepId,
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const REBOOT: u64 = 90;

fn machine(number: usize, size: i64) -> Declaration {
    decl(&format!("vm.s[{number}]"))
        .with("name", string(&format!("s{number}")))
        .with("net", reference("net.main", "id"))
        .with("size", int(size))
        .group("s", 2, 1)
}

/// Each stands on its machine and knows of another machine, as members of a quorum do.
fn agent(number: usize) -> Declaration {
    let host = format!("vm.s[{number}]");
    let joined = format!("vm.s[{}]", usize::from(number == 0));
    decl(&format!("agent.s[{number}]"))
        .with("name", string(&format!("s{number}")))
        .with("host", reference(&host, "id"))
        .with("join", reference(&joined, "ip"))
        .inside(&host)
        .group("s", 2, 1)
}

/// Three machines of these sizes with what runs on them, and something on top of all.
fn servers(sizes: [i64; 3]) -> Declarations {
    let machines = sizes.into_iter().enumerate();
    let machines = machines.map(|(number, size)| machine(number, size));
    let agents = (0..3).map(agent);
    let on_top = (0..3).fold(
        decl("lb.top").with("name", string("t")),
        |on_top, number| on_top.after(&format!("agent.s[{number}]")),
    );
    declare(
        [net()]
            .into_iter()
            .chain(machines)
            .chain(agents)
            .chain([on_top]),
    )
}

fn app(number: usize) -> Declaration {
    decl(&format!("app.x[{number}]"))
        .with("name", string("x"))
        .with("uses", reference("lb.top", "id"))
}

fn apply() -> PlanOptions {
    PlanOptions::new(PlanMode::Apply)
}

async fn made(sizes: [i64; 3]) -> Lab {
    let mut lab = Lab::new(Cloud::new().reboots(REBOOT));
    assert!(lab.apply(&servers(sizes)).await.is_complete());
    lab
}

async fn plan(lab: &Lab, declarations: &Declarations, options: &PlanOptions) -> Plan {
    lab.plan(declarations, options).await.unwrap().plan
}

#[tokio::test(start_paused = true)]
async fn the_next_member_comes_after_what_runs_on_this_one_is_back() {
    let mut lab = made([1, 1, 1]).await;
    let mut grown = servers([2, 2, 2]);
    // What is new on top waits, too, though what is between has no step.
    grown.resources.push(app(0));
    let planned = plan(&lab, &grown, &apply()).await;
    assert_eq!(
        plan_text(&planned),
        "0 ! agent.s[0] drain\n1 ~ vm.s[0] {size} after 0\n2 ~ agent.s[0] after 1\n\
         3 ! agent.s[0] fill after 2\n4 ! agent.s[1] drain after 1 2 3\n\
         5 ~ vm.s[1] {size} after 1 2 3 4\n6 ~ agent.s[1] after 1 2 3 5\n\
         7 ! agent.s[1] fill after 6\n8 ! agent.s[2] drain after 5 6 7\n\
         9 ~ vm.s[2] {size} after 5 6 7 8\n10 ~ agent.s[2] after 1 5 6 7 9\n\
         11 ! agent.s[2] fill after 10\n12 + app.x[0] after 2 3 6 7 10 11\n"
    );
    assert_eq!(planned.steps[0].reason, Reason::PoweredOff(at("vm.s[0]")));
    assert_eq!(
        planned.steps[2].reason,
        Reason::ParentDisrupted(at("vm.s[0]"))
    );
    assert!(planned.steps[2].only_waits());
    let updates = lab.cloud.count(Verb::Update);
    let done = report(&mut lab, &grown).await;
    assert!(done.is_complete(), "{done:?}");
    assert_eq!(lab.cloud.count(Verb::Update) - updates, 3);
    assert_eq!(lab.cloud.most_down(), 1);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let least = (3 * REBOOT) as f64;
    assert!(done.wall_seconds > least, "{}", done.wall_seconds);
    settled(&mut lab, &grown).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_interrupts_nothing_is_waited_for_by_nobody() {
    let lab = made([1, 1, 1]).await;
    let mut renamed = servers([1, 1, 1]);
    let tags = crate::testing::list([string("t")]);
    renamed.resources[1] = machine(0, 1).with("tags", tags);
    assert_eq!(
        plan_text(&plan(&lab, &renamed, &apply()).await),
        "0 ~ vm.s[0] {tags}\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_cut_off_at_any_moment_is_carried_on() {
    let grown = servers([2, 2, 2]);
    for moment in (5..300).step_by(7) {
        let mut lab = made([1, 1, 1]).await;
        for _ in 0..2 {
            let moment = Duration::from_secs(moment);
            drop(timeout(moment, lab.apply(&grown)).await);
        }
        settled(&mut lab, &grown).await;
        assert_eq!(lab.cloud.most_down(), 1, "killed after {moment} s");
        let whole = lab.state().ready().count();
        assert_eq!(whole, lab.state().resources.len());
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_carried_on_even_when_the_file_changed_back() {
    let (small, grown) = (servers([1, 1, 1]), servers([2, 1, 1]));
    let mut lab = made([1, 1, 1]).await;
    let life = timeout(Duration::from_secs(20), lab.apply(&grown)).await;
    assert!(life.is_err());
    let status = |lab: &Lab| lab.state().resources[&at("agent.s[0]")].status;
    assert_eq!(status(&lab), Status::Unfinished);
    let planned = plan(&lab, &grown, &apply()).await;
    assert_eq!(
        plan_text(&planned),
        "0 ~ agent.s[0]\n1 ! agent.s[0] fill after 0\n"
    );
    assert_eq!(planned.steps[0].reason, Reason::Unfinished);
    let began = Instant::now();
    // Another member is to change now: first the one that is down has to be back.
    let other = servers([2, 2, 1]);
    let planned = plan(&lab, &other, &apply()).await;
    let place = |address: &str| {
        planned
            .steps
            .iter()
            .position(|step| step.address == at(address))
    };
    assert!(
        place("agent.s[0]") < place("vm.s[1]"),
        "{}",
        plan_text(&planned)
    );
    assert!(report(&mut lab, &other).await.is_complete());
    assert!(began.elapsed() > Duration::from_secs(REBOOT));
    assert_eq!(lab.cloud.most_down(), 1);
    settled(&mut lab, &small).await;
    assert_eq!(lab.cloud.most_down(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_sign_of_life_does_not_count() {
    let grown = servers([2, 1, 1]);
    let mut lab = made([1, 1, 1]).await;
    let began = Instant::now();
    assert!(report(&mut lab, &grown).await.is_complete());
    assert!(began.elapsed() > Duration::from_secs(REBOOT));
    let record = &lab.state().resources[&at("agent.s[0]")];
    assert!(!record.attrs.contains_key("away"), "{:?}", record.attrs);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_during_the_wait_says_that_it_is_not_back() {
    let grown = servers([2, 2, 2]);
    let mut lab = made([1, 1, 1]).await;
    let stopped = interrupted(&mut lab, &grown, 1, 20).await;
    assert_eq!(stopped.unfinished[0].address, at("agent.s[0]"));
    let said = stopped.unfinished[0].error.to_string();
    assert!(said.contains("not ready yet"), "{said}");
    assert_eq!((stopped.done.len(), stopped.not_started.len()), (2, 9));
    assert!(lab.state().in_doubt.is_empty());
    settled(&mut lab, &grown).await;
    assert_eq!(lab.cloud.most_down(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_back_is_waited_for_again_and_never_replaced() {
    let grown = servers([2, 2, 1]);
    let mut lab = Lab::new(Cloud::new().reboots(3_000));
    assert!(lab.apply(&servers([1, 1, 1])).await.is_complete());
    let failed = report(&mut lab, &grown).await;
    assert_eq!(failed.failed[0].address, at("agent.s[0]"));
    let help = failed.failed[0].error.help.clone().unwrap_or_default();
    assert!(help.contains("waits for it again"), "{help}");
    let begun = |address: &str| failed.done.iter().any(|step| step.address == at(address));
    assert!(begun("vm.s[0]") && !begun("vm.s[1]") && !begun("agent.s[1]"));
    let planned = plan(&lab, &grown, &apply()).await;
    let gone = |plan: &Plan| plan.steps.iter().any(|step| step.action == Action::Delete);
    assert!(!gone(&planned), "{}", plan_text(&planned));
    assert_eq!(planned.steps[0].address, at("agent.s[0]"));
    assert_eq!(planned.steps[0].reason, Reason::Unfinished);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_leaves_only_a_short_wait() {
    let (small, grown) = (servers([1, 1, 1]), servers([2, 1, 1]));
    let mut lab = made([1, 1, 1]).await;
    let refused = Fault::Refuse(ErrorKind::Invalid);
    lab.cloud.script(first(1, Verb::Update, "vm.s[0]", refused));
    assert_eq!(report(&mut lab, &grown).await.failed.len(), 1);
    lab.cloud.heal();
    let began = Instant::now();
    settled(&mut lab, &small).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_brings_the_waits_before_and_after_it() {
    let grown = servers([2, 2, 2]);
    let mut lab = made([1, 1, 1]).await;
    let mut targeted = apply();
    targeted.targets.insert(at("vm.s[1]"));
    assert_eq!(
        plan_text(&plan(&lab, &grown, &targeted).await),
        "0 ! agent.s[1] drain\n1 ~ vm.s[1] {size} after 0\n2 ~ agent.s[1] after 1\n\
         3 ! agent.s[1] fill after 2\n"
    );
    let life = timeout(Duration::from_secs(20), lab.apply(&grown)).await;
    assert!(life.is_err());
    assert_eq!(
        plan_text(&plan(&lab, &grown, &targeted).await),
        "0 ~ agent.s[0]\n1 ! agent.s[0] fill after 0\n2 ! agent.s[1] drain after 0 1\n\
         3 ~ vm.s[1] {size} after 0 1 2\n4 ~ agent.s[1] after 0 1 3\n\
         5 ! agent.s[1] fill after 4\n"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_interrupted_under_what_cannot_be_read() {
    let grown = servers([2, 1, 1]);
    let mut lab = made([1, 1, 1]).await;
    lab.cloud.script(|call| {
        let denied = Fault::Refuse(ErrorKind::Denied);
        (call.kind.as_str() == "agent").then_some(denied)
    });
    let planned = lab.plan(&grown, &apply()).await.unwrap();
    assert_eq!(plan_text(&planned.plan), "");
    let left_out = |report: &crate::PlanReport| {
        let items = report.not_done.iter();
        items
            .map(|item| item.address.to_string())
            .collect::<Vec<_>>()
    };
    assert!(left_out(&planned.report).contains(&"vm.s[0]".to_owned()));
    settled(&mut lab, &grown).await;
}

#[tokio::test(start_paused = true)]
async fn the_linter_insists_on_the_waits() {
    let lab = made([1, 1, 1]).await;
    let planned = lab.plan(&servers([2, 2, 1]), &apply()).await.unwrap();
    let kinds = crate::testing::kinds();
    let codes = |plan: &Plan| -> Vec<&'static str> {
        let found = crate::plan::lint(plan, &planned.snapshot, &kinds);
        found.into_iter().map(|finding| finding.code).collect()
    };
    assert_eq!(
        plan_text(&planned.plan),
        "0 ! agent.s[0] drain\n1 ~ vm.s[0] {size} after 0\n2 ~ agent.s[0] after 1\n\
         3 ! agent.s[0] fill after 2\n4 ! agent.s[1] drain after 1 2 3\n\
         5 ~ vm.s[1] {size} after 1 2 3 4\n6 ~ agent.s[1] after 1 2 3 5\n\
         7 ! agent.s[1] fill after 6\n"
    );
    assert_eq!(codes(&planned.plan), Vec::<&str>::new());
    // The second member does not wait for the first one's agent.
    let mut hasty = planned.plan.clone();
    hasty.steps[4].requires = [StepId(1)].into();
    hasty.steps[5].requires = [StepId(1), StepId(4)].into();
    hasty.steps[6].requires = [StepId(5)].into();
    assert_eq!(codes(&hasty), ["lint::group"]);
    // It stays drained.
    let mut idle = planned.plan.clone();
    idle.steps.pop();
    assert_eq!(codes(&idle), ["lint::operation"]);
    // Nothing waits for the last.
    let mut careless = planned.plan.clone();
    careless.steps.truncate(6);
    assert_eq!(codes(&careless), ["lint::operation", "lint::settle"]);
    // It waits for what nothing interrupts.
    let mut idle = planned.plan.clone();
    idle.steps[6].reason = Reason::ParentDisrupted(at("vm.s[2]"));
    assert_eq!(codes(&idle), ["lint::settle", "lint::unfinished"]);
}
