//! Groups whose members are machines and what runs on them: in turns, broken ones first, and
//! nothing destroyed that cannot be made again.

use super::{lab, net, options, text};
use crate::EngineError;
use crate::testing::{Build as _, Fault, Lab, Verb, decl, declare, plan_text, reference, string};
use kplan_model::{Action, Declaration, Declarations, ErrorKind, Plan, StepId};

/// A machine of pool `s` (servers) or `w` (workers).
fn machine(pool: &str, number: usize, image: &str) -> Declaration {
    let (min_ready, name) = (
        if pool == "s" { 2 } else { 0 },
        format!("vm.{pool}[{number}]"),
    );
    decl(&name)
        .with("name", string(&name))
        .with("net", reference("net.main", "id"))
        .with("image", string(image))
        .group(pool, min_ready, 1)
}

/// What makes it a member; a worker joins the server `join`, a server another where given.
fn agent(pool: &str, number: usize, join: Option<usize>) -> Declaration {
    let (min_ready, name) = (
        if pool == "s" { 2 } else { 0 },
        format!("agent.{pool}[{number}]"),
    );
    let host = format!("vm.{pool}[{number}]");
    let mut made = decl(&name)
        .with("name", string(&name))
        .with("host", reference(&host, "id"))
        .inside(&host)
        .group(pool, min_ready, 1);
    if let Some(server) = join {
        made = made.with("join", reference(&format!("vm.s[{server}]"), "ip"));
    }
    if pool == "s" {
        made = made.after("app.user");
    }
    made
}

/// Three servers over a database outside, and three workers.
fn cluster(servers: [&str; 3], workers: &str, database: &str) -> Declarations {
    let store = decl("box.db")
        .with("name", string("db"))
        .with("config", string(database));
    let user = decl("app.user")
        .with("name", string("user"))
        .with("endpoint", reference("box.db", "endpoint"))
        .inside("box.db");
    let machines = (0..3).map(|n| machine("s", n, servers[n]));
    let more = (0..3).map(|n| machine("w", n, workers));
    let agents = (0..3).map(|n| agent("s", n, None));
    let others = (0..3).map(|n| agent("w", n, Some(0)));
    let all = machines.chain(more).chain(agents).chain(others);
    declare([net(), store, user].into_iter().chain(all))
}

const OLD: [&str; 3] = ["old"; 3];
const NEW: [&str; 3] = ["new"; 3];

async fn made(declarations: &Declarations) -> Lab {
    lab(declarations.resources.clone()).await
}

fn step(plan: &Plan, action: Action, address: &str) -> StepId {
    let found =
        |step: &&kplan_model::Step| step.action == action && step.address.to_string() == address;
    let step = plan.steps.iter().find(found);
    step.unwrap_or_else(|| panic!("no {action:?} of {address}:\n{}", plan_text(plan)))
        .id
}

/// Whether `later` requires `first`, directly or not.
fn follows(plan: &Plan, later: StepId, first: StepId) -> bool {
    let step = plan.step(later).unwrap();
    let requires = step.requires.iter();
    step.requires.contains(&first) || requires.into_iter().any(|id| follows(plan, *id, first))
}

fn assert_follows(plan: &Plan, later: StepId, first: StepId) {
    assert!(
        follows(plan, later, first),
        "{later} {first}\n{}",
        plan_text(plan)
    );
}

/// Something outside takes an agent away, and the state knows.
fn lose(lab: &mut Lab, address: &str) {
    let address = address.parse().unwrap();
    lab.cloud.lose(&address);
    lab.journal.durable.resources.remove(&address);
}

async fn settled(lab: &mut Lab, declarations: &Declarations) {
    super::converges(lab, declarations, &options()).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_destroyed_when_what_its_new_half_needs_fails() {
    let mut lab = made(&cluster(OLD, "old", "16")).await;
    let edited = cluster(NEW, "new", "17");
    lab.cloud.script(|call| {
        let fails = call.verb == Verb::Update && call.kind.as_str() == "box";
        fails.then_some(Fault::Refuse(ErrorKind::Failed))
    });
    let before = lab.cloud.living();
    for _ in 0..3 {
        let life = lab.apply(&edited).await;
        assert!(!life.is_complete());
        assert_eq!(lab.cloud.count(Verb::Delete), 0);
        assert_eq!(lab.cloud.living(), before);
    }
    lab.cloud.heal();
    settled(&mut lab, &edited).await;
}

#[tokio::test(start_paused = true)]
async fn the_linter_wants_the_old_half_to_wait() {
    let lab = made(&cluster(OLD, "old", "16")).await;
    let planned = lab
        .plan(&cluster(NEW, "old", "17"), &options())
        .await
        .unwrap();
    let mut hasty = planned.plan.clone();
    let database = step(&hasty, Action::Update, "box.db");
    for step in &mut hasty.steps {
        if matches!(step.action, Action::Delete | Action::Operate) {
            step.requires.remove(&database);
        }
    }
    let found = crate::plan::lint(&hasty, &planned.snapshot, &crate::testing::kinds());
    assert!(!found.is_empty());
    assert!(
        found.iter().all(|finding| finding.code == "lint::remake"),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pool_goes_in_turns_when_what_it_joined_is_replaced_too() {
    let mut lab = made(&cluster(OLD, "old", "16")).await;
    let edited = cluster(NEW, "new", "16");
    let planned = lab.plan(&edited, &options()).await.unwrap();
    let plan = &planned.plan;
    assert_eq!(planned.report.together, []);
    for pool in ["s", "w"] {
        for number in 1..3 {
            let before = step(
                plan,
                Action::Create,
                &format!("agent.{pool}[{}]", number - 1),
            );
            let goes = step(plan, Action::Delete, &format!("vm.{pool}[{number}]"));
            assert_follows(plan, goes, before);
        }
    }
    settled(&mut lab, &edited).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_its_agent_is_no_member() {
    let mut lab = made(&cluster(OLD, "old", "16")).await;
    lose(&mut lab, "agent.s[0]");
    let mut one = options();
    one.targets.insert("vm.s[1]".parse().unwrap());
    let edited = cluster(["old", "new", "old"], "old", "16");
    let Err(EngineError::Refused(refused)) = lab.plan(&edited, &one).await else {
        panic!("not refused");
    };
    assert_eq!(refused[0].code, "plan::quorum");
    assert!(
        refused[0].message.contains("only 2 are ready now"),
        "{}",
        refused[0].message
    );
    // What takes down nobody who is ready is not refused.
    let mut broken = options();
    broken.targets.insert("vm.s[0]".parse().unwrap());
    let edited = cluster(["new", "old", "old"], "old", "16");
    assert!(lab.plan(&edited, &broken).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn broken_members_are_made_whole_before_a_ready_one_is_touched() {
    for wanted in [NEW, OLD, ["new", "new", "old"]] {
        let mut lab = made(&cluster(["new", "new", "old"], "old", "16")).await;
        lose(&mut lab, "agent.s[0]");
        lose(&mut lab, "agent.s[1]");
        let edited = cluster(wanted, "old", "16");
        let plan = lab.plan(&edited, &options()).await.unwrap().plan;
        let first = step(&plan, Action::Create, "agent.s[0]");
        let second = step(&plan, Action::Create, "agent.s[1]");
        if wanted == NEW {
            let goes = step(&plan, Action::Delete, "vm.s[2]");
            assert_follows(&plan, goes, first);
            assert_follows(&plan, goes, second);
        }
        // The linter counts for itself.
        let mut hasty = plan.clone();
        for step in &mut hasty.steps {
            step.requires.retain(|id| ![first, second].contains(id));
        }
        let found = crate::plan::lint(&hasty, lab.state(), &crate::testing::kinds());
        let counted = found.iter().any(|finding| finding.code == "lint::group");
        assert_eq!(counted, wanted == NEW, "{found:?}");
        settled(&mut lab, &edited).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_wholly_missing_is_made_first() {
    let mut lab = made(&cluster(OLD, "old", "16")).await;
    lose(&mut lab, "agent.s[1]");
    lose(&mut lab, "vm.s[1]");
    let edited = cluster(NEW, "old", "16");
    let plan = lab.plan(&edited, &options()).await.unwrap().plan;
    let made = step(&plan, Action::Create, "agent.s[1]");
    for other in ["vm.s[0]", "vm.s[2]"] {
        assert_follows(&plan, step(&plan, Action::Delete, other), made);
    }
    settled(&mut lab, &edited).await;
}

/// Each server joins another: the first the second, the others the first.
fn joined(image: &str) -> Declarations {
    let machines = (0..3).map(|n| machine("s", n, image));
    let agents = (0..3).map(|n| agent("s", n, Some(usize::from(n == 0))));
    declare(
        [net(), decl("app.user")]
            .into_iter()
            .chain(machines)
            .chain(agents),
    )
}

#[tokio::test(start_paused = true)]
async fn members_that_are_joined_to_each_other_are_refused_for_the_true_reason() {
    let lab = made(&joined("old")).await;
    let Err(EngineError::Refused(refused)) = lab.plan(&joined("new"), &options()).await else {
        panic!("not refused");
    };
    let [refusal] = refused.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!(refusal.code, "plan::quorum");
    assert_eq!(
        refusal.message,
        "group `s` would have only 1 of its members ready, and needs 2: they cannot be changed \
         one after the other, as they hang together: agent.s[0] is made only after vm.s[1] is \
         changed, and that would have to wait for it"
    );
    assert!(!refusal.help.contains("smaller steps"), "{}", refusal.help);
    assert_eq!(text(&lab, &joined("old")).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_must_go_down_together_is_reported() {
    let pool = |range: &str| {
        let machines = (0..3).map(|n| machine("w", n, "old"));
        declare(
            [net().with("range", string(range))]
                .into_iter()
                .chain(machines),
        )
    };
    let mut lab = made(&pool("10.0.0.0/24")).await;
    let edited = pool("10.1.0.0/24");
    let planned = lab.plan(&edited, &options()).await.unwrap();
    let told: Vec<String> = planned
        .report
        .together
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "more than 1 of group `w` are down at once: vm.w[1] cannot wait for vm.w[0], which \
             is made only after it",
            "more than 1 of group `w` are down at once: vm.w[2] cannot wait for vm.w[1], which \
             is made only after it",
        ]
    );
    settled(&mut lab, &edited).await;
}
