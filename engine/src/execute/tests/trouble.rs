//! Remote sides in trouble: none that answers, one that refuses for an hour, one that fails for
//! ever. What is tried again, what is told, and where it ends.

use super::looks::herd;
use super::{at, report, settled};
use crate::event::Event;
use crate::testing::{Call, Cloud, Fault, Lab, Verb};
use kplan_model::ErrorKind;
use std::time::Duration;

/// From the `n`-th call on, every call of these verbs goes wrong.
fn from_call(n: usize, verbs: &'static [Verb], fault: Fault) -> impl FnMut(&Call) -> Option<Fault> {
    let mut calls = 0;
    move |call| {
        calls += 1;
        (calls > n && verbs.contains(&call.verb)).then(|| fault.clone())
    }
}

const ALL: &[Verb] = &[
    Verb::Read,
    Verb::List,
    Verb::Find,
    Verb::Create,
    Verb::Update,
    Verb::Delete,
];

#[tokio::test(start_paused = true)]
async fn a_cloud_that_dies_while_something_waits_is_told_and_given_up() {
    let mut lab = Lab::new(Cloud::new().boots("vm", 45));
    // The look and three creates get through.
    let dead = Fault::Refuse(ErrorKind::Transient);
    lab.cloud.script(from_call(4, ALL, dead));
    let left = report(&mut lab, &herd(3)).await;
    assert_eq!(left.unfinished.len(), 3, "{left:?}");
    assert!(left.in_doubt.is_empty());
    let told: Vec<u32> = lab
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Unanswered {
                attempts, waiting, ..
            } => {
                assert_eq!(*waiting, 3);
                Some(*attempts)
            }
            _ => None,
        })
        .collect();
    assert!(told.len() > 10, "{told:?}");
    assert!(left.wall_seconds < 11.0 * 60.0, "{}", left.wall_seconds);
    settled(&mut lab, &herd(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_is_dead_is_not_tried_for_each_of_three_hundred() {
    // As long as a client tries by itself.
    let cloud = Cloud::new().answers_after(Duration::from_secs(6));
    let mut lab = Lab::new(cloud);
    lab.cloud
        .script(from_call(1, ALL, Fault::Refuse(ErrorKind::Transient)));
    let left = report(&mut lab, &herd(300)).await;
    println!(
        "{} failed, {} not started, {:.0} s",
        left.failed.len(),
        left.not_started.len(),
        left.wall_seconds
    );
    assert_eq!(left.failed.len() + left.not_started.len(), 300);
    // Nothing was done, and that is known.
    assert!(left.in_doubt.is_empty());
    assert!(left.wall_seconds < 600.0, "{}", left.wall_seconds);
    settled(&mut lab, &herd(300)).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_calls_fails_nothing_and_is_no_busy_loop() {
    let mut lab = Lab::new(Cloud::new());
    let begun = tokio::time::Instant::now();
    lab.cloud.script(move |call| {
        let refused = call.verb == Verb::Create && begun.elapsed() < Duration::from_hours(1);
        refused.then_some(Fault::Throttle(1))
    });
    let report = report(&mut lab, &herd(3)).await;
    assert!(report.is_complete(), "{:?}", report.failed);
    let creates = lab.cloud.count(Verb::Create);
    println!("{creates} creates in an hour of refusals");
    assert!(creates < 3 * 500, "{creates}");
}

#[tokio::test(start_paused = true)]
async fn refusals_without_end_have_one() {
    let mut lab = Lab::new(Cloud::new());
    lab.cloud
        .script(from_call(1, &[Verb::Create], Fault::Throttle(60)));
    let report = report(&mut lab, &herd(1)).await;
    let failed = &report.failed[0];
    assert_eq!(failed.address, at("vm.m[0]"));
    let text = failed.error.to_string();
    assert!(text.contains("tried 71 times over 42"), "{text}");
    assert!(report.wall_seconds < 71.0 * 60.0, "{}", report.wall_seconds);
}

#[tokio::test(start_paused = true)]
async fn what_was_looked_for_in_vain_says_so() {
    let mut lab = Lab::new(Cloud::new());
    let unknown = Fault::Refuse(ErrorKind::OutcomeUnknown);
    lab.cloud.script(from_call(1, &[Verb::Create], unknown));
    let report = report(&mut lab, &herd(1)).await;
    let doubt = &report.in_doubt[0].error;
    let text = doubt.to_string();
    assert!(
        text.contains("looked for it 4 times and found nothing"),
        "{text}"
    );
    assert!(text.contains("tried 2 times over"), "{text}");
    let help = doubt.help.clone().unwrap_or_default();
    assert!(help.contains("the next apply looks for it"), "{help}");
}
