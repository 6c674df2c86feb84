//! Lives a schedule to its end and asks the oracle.

use crate::life::{Command, Ended, Operator};
use crate::net::Mishap;
use crate::oracle::{Memory, disagreements, divided, leaks};
use crate::schedule::{Schedule, Trouble};
use crate::world::World;
use kplan_engine::Discipline;
use kplan_model::{Recorded, Status};
use kplan_sandbox::Rng;
use kplan_state::Identity;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::sleep;

/// The lineages that two operators draw, each for himself, where there is no state yet. The same
/// in all simulations, so that the keys of its cluster can be, too.
pub(crate) const LINEAGE: &str = "51b3a0c7e2d94f6882a1c3d5e7f90b24";
const OTHER_LINEAGE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// One key for all simulations: making one costs more than using it.
static IDENTITY: LazyLock<Identity> = LazyLock::new(Identity::generate);

/// What came of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; empty when all is well.
    pub wrong: Vec<String>,
    /// How each life ended.
    pub lives: Vec<Ended>,
    /// Calls made, by all lives.
    pub calls: u64,
    /// Changing operations where the state is.
    pub writes: u64,
    /// The calls, where they were traced.
    pub trace: Vec<String>,
}

/// Runs a schedule with an engine that keeps these rules.
pub fn run(schedule: &Schedule, discipline: Discipline, traced: bool) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(Box::pin(simulate(schedule, discipline, traced))),
        Err(error) => Verdict {
            wrong: vec![format!("no runtime: {error}")],
            ..Verdict::default()
        },
    }
}

async fn simulate(schedule: &Schedule, discipline: Discipline, traced: bool) -> Verdict {
    let mut verdict = Verdict::default();
    let (calls, writes) = (schedule.calls(), (schedule.shared, schedule.writes()));
    let world = match World::new(schedule.seed, schedule.per_page, calls, writes).await {
        Ok(world) => world,
        Err(error) => {
            verdict.wrong.push(error);
            return verdict;
        }
    };
    if traced {
        world.net.start_trace();
    }
    let dice = Rng::seeded(schedule.seed ^ 0x000d_15c0);
    let mut memory = Memory::default();
    let operator = |seed| Operator {
        world: &world,
        identity: &IDENTITY,
        lineage: LINEAGE,
        platform: schedule.platform,
        discipline,
        seed,
    };
    for (number, (text, command)) in schedule.lives.iter().enumerate() {
        let seed = schedule.seed.wrapping_add(number as u64);
        world
            .net
            .note(|| format!("life {number}: {command:?}\n{text}"));
        let ended = if schedule.second {
            let other = Operator {
                lineage: OTHER_LINEAGE,
                ..operator(!seed)
            };
            let [first, second] = operator(seed).live_beside(&other, text, *command).await;
            // Whoever came first decides; the other one was kept out, or had nothing left to do.
            verdict.lives.push(second.clone());
            if first == Ended::Locked {
                second
            } else {
                first
            }
        } else {
            operator(seed).live(text, *command).await
        };
        if ended == Ended::Died {
            world.place.crash(&dice).await;
            world.net.live_again();
        }
        check_life(&operator(seed), &mut memory, &mut verdict);
        world.net.note(|| format!("life {number} ended: {ended:?}"));
        verdict.lives.push(ended);
    }
    world.net.heal();
    world.fate.heal();
    peace(schedule, &operator(schedule.seed ^ 1), &mut verdict).await;
    judge(
        schedule,
        &operator(schedule.seed ^ 2),
        &memory,
        &mut verdict,
    )
    .await;
    verdict.calls = world.net.calls();
    verdict.writes = world.fate.operations();
    verdict.trace = world.net.trace();
    verdict
}

/// How often the end of doomed actions is looked for, every ten seconds: for an hour.
const DOOMED_LOOKS: usize = 360;

/// After every life the state reads, and nothing that is unedited was exchanged.
fn check_life(operator: &Operator<'_>, memory: &mut Memory, verdict: &mut Verdict) {
    match operator.recorded() {
        Ok(snapshot) => {
            verdict.wrong.extend(memory.exchanged(&snapshot));
            memory.remember(&snapshot);
        }
        Err(ended) => verdict
            .wrong
            .push(format!("the state does not read: {ended:?}")),
    }
}

/// Whether a droplet's creation failed and no run has noticed it: kplan asks why a droplet is new
/// only when it has been so for two minutes, and the run that waits for it so long ends with that.
fn failed_unnoticed(operator: &Operator<'_>) -> bool {
    let mut failed = operator.world.sandbox.stillborn_droplets();
    if let Ok(snapshot) = operator.recorded() {
        // What was cut off is on record as tainted until recovery has looked at it.
        let settled = |record: &&Recorded| !snapshot.in_doubt.contains_key(&record.address);
        let noticed = snapshot.resources.values().filter(settled);
        let noticed = noticed.filter(|record| record.status == Status::Tainted);
        let noticed: Vec<&str> = noticed.map(|record| record.id.as_str()).collect();
        failed.retain(|id| !noticed.contains(&id.to_string().as_str()));
    }
    !failed.is_empty()
}

/// The last command again, with nothing going wrong, where it did not get through the first time:
/// now it does. Where it meets what an earlier life began and what was doomed, or failed without
/// anybody noticing, it does at the second attempt, when that has failed.
async fn peace(schedule: &Schedule, operator: &Operator<'_>, verdict: &mut Verdict) {
    let Some((text, command)) = schedule.lives.last() else {
        return;
    };
    // An assignment that fails behind a create is made again by the next plan.
    let failed = |trouble: &Trouble| matches!(trouble, Trouble::Call(_, Mishap::FailedAction));
    let calm = !schedule.troubles.iter().any(failed);
    if calm && verdict.lives.last() == Some(&Ended::Complete) {
        return;
    }
    let doomed = operator.world.sandbox.has_doomed_actions() || failed_unnoticed(operator);
    operator.world.net.note(|| format!("in peace: {command:?}"));
    let mut ended = operator.live(text, *command).await;
    // Only what was doomed before excuses that it did not get through, and only once.
    if doomed && matches!(ended, Ended::Incomplete(_)) {
        for _ in 0..DOOMED_LOOKS {
            if !operator.world.sandbox.has_doomed_actions() {
                break;
            }
            sleep(Duration::from_secs(10)).await;
        }
        verdict.lives.push(ended);
        operator
            .world
            .net
            .note(|| format!("in peace again: {command:?}"));
        ended = operator.live(text, *command).await;
    }
    if ended != Ended::Complete {
        verdict.wrong.push(format!("in peace: {ended:?}"));
    }
    verdict.lives.push(ended);
}

async fn judge(
    schedule: &Schedule,
    operator: &Operator<'_>,
    memory: &Memory,
    verdict: &mut Verdict,
) {
    let Some((text, command)) = schedule.lives.last() else {
        return;
    };
    let snapshot = match operator.recorded() {
        Ok(snapshot) => snapshot,
        Err(ended) => return verdict.wrong.push(format!("no state: {ended:?}")),
    };
    let world = operator.world;
    verdict
        .wrong
        .extend(disagreements(&world.sandbox, &snapshot));
    if schedule.platform {
        verdict.wrong.extend(divided(&world.clusters(), &snapshot));
    }
    verdict.wrong.extend(memory.exchanged(&snapshot));
    let token = world.token();
    let token = token.expose().unwrap_or_default();
    verdict
        .wrong
        .extend(leaks(&snapshot, token, &world.place.contents()));
    if *command == Command::Destroy && !snapshot.resources.is_empty() {
        let left = snapshot.resources.keys().map(ToString::to_string);
        let left: Vec<String> = left.collect();
        verdict
            .wrong
            .push(format!("left after destroy: {}", left.join(", ")));
    }
    match operator.left(text, *command).await {
        Ok(steps) => verdict
            .wrong
            .extend(steps.into_iter().map(|step| format!("left to do: {step}"))),
        Err(ended) => verdict.wrong.push(format!("no plan: {ended:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Mishap;
    use crate::schedule::Trouble;
    use kplan_engine::Rule;
    use std::ops::Range;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The seeds that every test run draws schedules from.
    const SEEDS: u64 = 200;
    /// Of those with a whole cluster, which take ten times as long as the cloud alone, one in so
    /// many is lived through; the campaign lives through all.
    const CLUSTERS: u64 = 20;

    /// The schedule of a seed, unless it is one of those left to the campaign.
    fn drawn(seed: u64) -> Option<Schedule> {
        let schedule = Schedule::of(seed);
        (!schedule.platform || seed.is_multiple_of(CLUSTERS)).then_some(schedule)
    }

    #[test]
    fn schedules_of_many_seeds_end_well() {
        in_parallel(0..SEEDS, |seed| {
            let Some(schedule) = drawn(seed) else {
                return false;
            };
            let verdict = run(&schedule, Discipline::default(), false);
            let wrong = verdict.wrong.join("\n  ");
            assert!(
                wrong.is_empty(),
                "{schedule}{wrong}\nreplay: cargo run -p kplan-simulation -- --seed {seed}"
            );
            false
        });
    }

    /// Found by a campaign: Velero had made a password for itself when the file got volumes.
    const FOUND: [u64; 1] = [689];

    #[test]
    fn what_a_campaign_found_ends_well() {
        for seed in FOUND {
            let verdict = run(&Schedule::of(seed), Discipline::default(), false);
            assert_eq!(verdict.wrong, Vec::<String>::new(), "seed {seed}");
        }
    }

    #[test]
    fn a_seed_is_the_same_run_again() {
        for seed in [3, 4] {
            let once = || {
                let verdict = run(&Schedule::of(seed), Discipline::default(), false);
                (verdict.lives, verdict.calls, verdict.writes)
            };
            assert_eq!(once(), once(), "seed {seed}");
        }
    }

    /// Whether anything happens that a rule is for. The cloud alone is enough to miss any of them.
    fn tries(schedule: &Schedule, rule: Rule) -> bool {
        let lost = |trouble: &Trouble| matches!(trouble, Trouble::Call(_, Mishap::LostAnswer));
        !schedule.platform && (rule != Rule::LookBeforeRetry || schedule.troubles.iter().any(lost))
    }

    /// Seeds until the first that fails without a rule; `None` where none of them does.
    fn found_without(rule: Rule) -> Option<u64> {
        let found = AtomicU64::new(u64::MAX);
        in_parallel(0..1000, |seed| {
            let schedule = Schedule::of(seed);
            if !tries(&schedule, rule) {
                return false;
            }
            let verdict = run(&schedule, Discipline::without(rule), false);
            let lost =
                |wrong: &String| wrong.starts_with("orphan") || wrong.starts_with("duplicate");
            if verdict.wrong.iter().any(lost) {
                found.fetch_min(seed, Ordering::Relaxed);
            }
            found.load(Ordering::Relaxed) < u64::MAX
        });
        Some(found.into_inner()).filter(|seed| *seed < u64::MAX)
    }

    #[test]
    fn without_one_of_its_rules_the_engine_is_found_out() {
        for rule in [Rule::WriteAhead, Rule::Adoption, Rule::LookBeforeRetry] {
            let seed = found_without(rule);
            assert!(seed.is_some(), "{rule:?} is not missed");
        }
    }

    /// Does something for every number, on all cores, until it says that it is enough.
    fn in_parallel(seeds: Range<u64>, job: impl Fn(u64) -> bool + Sync) {
        let next = AtomicU64::new(seeds.start);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end || job(seed) {
                            return;
                        }
                    }
                });
            }
        });
    }
}
