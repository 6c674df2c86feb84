//! Looks before creates that are shared, and lost creates that could take each other's fruit.

use super::{at, declare, net, report, settled};
use crate::execute::adopt::{Lost, Verdict, are_rivals, judge};
use crate::testing::{Build as _, Cloud, Fault, Lab, Verb, decl, string};
use kplan_model::{
    ErrorKind, Field, Found, FoundAs, Kind, KindInfo, Object, Owner, RemoteId, ReplaceOrder,
    Snapshot, Timestamp, Typical, Value,
};
use std::time::Duration;
use tokio::time::Instant;

/// So many that answer for themselves alone.
pub(super) fn herd(count: usize) -> kplan_model::Declarations {
    declare((0..count).map(|n| {
        let name = format!("vm.m[{n}]");
        decl(&name).with("name", string(&name))
    }))
}

#[tokio::test(start_paused = true)]
async fn one_look_serves_every_create_that_could_start() {
    let mut lab = Lab::new(Cloud::new().boots("vm", 20));
    let report = report(&mut lab, &herd(100)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lab.cloud.count(Verb::Create), 100);
    assert_eq!(lab.cloud.count(Verb::Find), 1);
    assert_eq!(lab.disagreements(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_look_does_not_serve_for_ever() {
    // 100 creates of 10 s each, ten at a time: a look lasts for sixty of them.
    let cloud = Cloud::new().answers_after(Duration::from_secs(10));
    let mut lab = Lab::new(cloud);
    let report = report(&mut lab, &herd(100)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lab.cloud.count(Verb::Find), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_is_made_again() {
    let mut lab = Lab::new(Cloud::new());
    let mut left = 3;
    lab.cloud.script(move |call| {
        if call.verb != Verb::Find || left == 0 {
            return None;
        }
        left -= 1;
        Some(Fault::Refuse(ErrorKind::Transient))
    });
    let report = report(&mut lab, &herd(30)).await;
    assert!(report.is_complete(), "{report:?}");
    settled(&mut lab, &herd(30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_only_one_meets_stops_only_that_one() {
    let mut lab = Lab::new(Cloud::new());
    let owner = lab.state().owner.clone();
    lab.cloud.plant(&owner, &at("vm.m[7]"));
    let report = report(&mut lab, &herd(30)).await;
    assert_eq!(report.done.len(), 29);
    assert_eq!(report.failed[0].address, at("vm.m[7]"));
    assert_eq!(report.failed[0].error.kind, ErrorKind::Exists);
}

#[tokio::test(start_paused = true)]
async fn many_lost_creates_each_find_their_own() {
    let mut lab = Lab::new(Cloud::new().lags(Duration::from_secs(5)));
    let mut left = 20;
    lab.cloud.script(move |call| {
        if call.verb != Verb::Create || left == 0 {
            return None;
        }
        left -= 1;
        Some(Fault::LoseAnswer)
    });
    let report = report(&mut lab, &herd(30)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lab.disagreements(), Vec::<String>::new());
    settled(&mut lab, &herd(30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_while_many_waited_is_cleared_up_by_one_list() {
    let mut lab = Lab::new(Cloud::new().boots("vm", 45));
    let declarations = herd(30);
    // The process dies after everything was created and before anything was ready.
    let life = tokio::time::timeout(Duration::from_secs(10), lab.apply(&declarations)).await;
    assert!(life.is_err(), "{life:?}");
    assert_eq!(lab.state().in_doubt.len(), 30);
    lab.cloud.forget_calls();
    assert!(lab.apply(&declarations).await.is_complete());
    assert_eq!(lab.cloud.count(Verb::Read), 0);
    settled(&mut lab, &declarations).await;
}

/// Every step's first poll waits for nothing, and nobody is asked about while there is work.
#[tokio::test(start_paused = true)]
async fn polls_leave_the_calls_to_work() {
    let cloud = Cloud::new()
        .boots("vm", 45)
        .answers_after(Duration::from_secs(3));
    let mut lab = Lab::new(cloud);
    // Ten at a time: ninety seconds of creating, two looks of three; then the last one boots, and
    // a poll takes three seconds itself.
    let report = report(&mut lab, &herd(300)).await;
    assert!(report.is_complete());
    let polls = lab.cloud.count(Verb::List);
    println!("{polls} polls, {:.1} s", report.wall_seconds);
    assert!(polls <= 15, "{polls}");
    assert!(
        report.wall_seconds <= (96.0 + 45.0) * 1.05 + 3.0,
        "{}",
        report.wall_seconds
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_for_one_of_many_is_not_held_up() {
    let cloud = Cloud::new()
        .boots("vm", 45)
        .answers_after(Duration::from_secs(3));
    let mut lab = Lab::new(cloud);
    let mut declarations = herd(300);
    declarations
        .resources
        .push(decl("lb.api").with("note", crate::testing::reference("vm.m[0]", "urn")));
    let report = report(&mut lab, &declarations).await;
    assert!(report.is_complete());
    // Created first, because something waits for it; known to be ready a twentieth later.
    let first = report
        .done
        .iter()
        .find(|done| done.address == at("vm.m[0]"))
        .unwrap();
    assert!(first.seconds <= 45.0 * 1.05 + 12.0, "{}", first.seconds);
}

static ADDRESS: [Field; 2] = [
    Field::replace("region", "Where it is."),
    Field::computed("ip", "It."),
];

/// Without a name: two of one region are told apart by nothing.
static NAMELESS: KindInfo = KindInfo {
    kind: Kind::new("address"),
    terraform: "digitalocean_reserved_ip",
    doc: "An address.",
    fields: &ADDRESS,
    replace: ReplaceOrder::CreateFirst,
    identity: &["region"],
    holds: None,
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 4,
    alike: &[],
    import: None,
    operations: &[],
};

fn in_region(region: &str) -> Object {
    Object::from([("region".to_owned(), Value::str(region))])
}

fn found(id: &str, seconds: i64) -> Found<Object> {
    Found {
        id: RemoteId::new(id),
        created_at: Some(Timestamp::from_seconds(seconds)),
        attrs: in_region("fra1"),
        role: FoundAs::Asked,
    }
}

fn verdict(ids: &[(&str, i64)], taken: &[RemoteId], twins: usize) -> Verdict {
    let found = ids.iter().map(|(id, at)| found(id, *at)).collect();
    judged(found, taken, twins)
}

fn judged(found: Vec<Found<Object>>, taken: &[RemoteId], twins: usize) -> Verdict {
    let owner = Owner {
        cluster: "lab".to_owned(),
        suffix: "00000000".to_owned(),
    };
    let lost = Lost {
        info: &NAMELESS,
        args: &in_region("fra1"),
        seen: &[RemoteId::new("old")],
        started_at: Timestamp::from_seconds(1000),
        taken,
        twins,
    };
    judge(lost, found, &Snapshot::empty("lineage", owner))
}

fn ours(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Ours(found) => Some(found.id.as_str().to_owned()),
        Verdict::Nothing | Verdict::Unclear(_) => None,
    }
}

#[test]
fn what_another_create_was_answered_with_is_not_adopted() {
    let both = [("old", 1), ("a", 1001), ("b", 1002)];
    assert!(matches!(verdict(&both, &[], 0), Verdict::Unclear(_)));
    let taken = [RemoteId::new("a")];
    assert_eq!(ours(verdict(&both, &taken, 0)).as_deref(), Some("b"));
    let all = [RemoteId::new("a"), RemoteId::new("b")];
    assert!(matches!(verdict(&both, &all, 0), Verdict::Nothing));
}

#[test]
fn of_two_that_were_lost_alike_each_gets_one() {
    let both = [("b", 1002), ("a", 1001)];
    assert_eq!(ours(verdict(&both, &[], 1)).as_deref(), Some("a"));
    let taken = [RemoteId::new("a")];
    assert_eq!(ours(verdict(&both, &taken, 1)).as_deref(), Some("b"));
    // One more than was lost: somebody else's is among them.
    let three = [("a", 1001), ("b", 1002), ("c", 1003)];
    assert!(matches!(verdict(&three, &[], 1), Verdict::Unclear(_)));
    // And one that is too old is nobody's.
    let old = [("a", 900), ("b", 1002)];
    assert!(matches!(verdict(&old, &[], 1), Verdict::Unclear(_)));
}

#[test]
fn rivals_agree_on_what_makes_one_thing() {
    let (here, there) = (in_region("fra1"), in_region("ams3"));
    assert!(are_rivals(&NAMELESS, &here, &here));
    assert!(!are_rivals(&NAMELESS, &here, &there));
    let own = KindInfo {
        identity: &[],
        ..NAMELESS.clone()
    };
    assert!(!are_rivals(&own, &here, &here));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_has_no_answer_yet_is_made_again_until_it_has() {
    let mut lab = Lab::new(Cloud::new());
    let began = Instant::now();
    let mut lost = false;
    lab.cloud.script(move |call| {
        if call.address != Some(at("lb.a")) {
            return None;
        }
        match call.verb {
            Verb::Create if !lost => {
                lost = true;
                Some(Fault::LoseAnswer)
            }
            // Longer than two looks are apart.
            Verb::Find if lost && began.elapsed() < Duration::from_secs(90) => {
                Some(Fault::Refuse(ErrorKind::Busy))
            }
            _ => None,
        }
    });
    let declarations = declare([net(), decl("lb.a").with("name", string("a"))]);
    let report = report(&mut lab, &declarations).await;
    assert!(report.is_complete(), "{report:?}");
    assert!(began.elapsed() > Duration::from_secs(90));
    assert_eq!(lab.disagreements(), Vec::<String>::new());
    settled(&mut lab, &declarations).await;
}

/// What stood about before is in nobody's way, and is never taken; what is left of the create is.
#[test]
fn bystanders_are_never_adopted() {
    let as_role = |id: &str, role: FoundAs| Found {
        role,
        ..found(id, 1001)
    };
    let adopted = |list| ours(judged(list, &[], 0));
    assert_eq!(adopted(vec![as_role("spare", FoundAs::Bystander)]), None);
    // It failed its assignment before, too.
    assert_eq!(adopted(vec![as_role("old", FoundAs::Remains)]), None);
    let both = vec![
        as_role("spare", FoundAs::Bystander),
        as_role("left", FoundAs::Remains),
    ];
    assert_eq!(adopted(both).as_deref(), Some("left"));
}
