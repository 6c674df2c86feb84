//! Makes a failing schedule small: fewer troubles, fewer lives, as long as it still fails.

use crate::run::run;
use crate::schedule::Schedule;
use kplan_engine::Discipline;

/// How many schedules are tried at most.
const TRIES: u32 = 200;

/// The smallest schedule found that still fails.
pub fn shrink(schedule: &Schedule, discipline: Discipline) -> Schedule {
    let mut best = schedule.clone();
    let mut tries = 0;
    let mut fails = |candidate: &Schedule| {
        tries += 1;
        tries <= TRIES && !run(candidate, discipline, false).wrong.is_empty()
    };
    loop {
        let smaller = candidates(&best).into_iter().find(&mut fails);
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// Every schedule that is one thing smaller.
fn candidates(schedule: &Schedule) -> Vec<Schedule> {
    let mut all = Vec::new();
    if schedule.second {
        let mut alone = schedule.clone();
        alone.second = false;
        all.push(alone);
    }
    for at in 0..schedule.troubles.len() {
        let mut calmer = schedule.clone();
        calmer.troubles.remove(at);
        all.push(calmer);
    }
    if schedule.lives.len() > 1 {
        for at in 0..schedule.lives.len() {
            let mut shorter = schedule.clone();
            shorter.lives.remove(at);
            all.push(shorter);
        }
    }
    all
}
