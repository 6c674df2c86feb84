//! The long campaign, and the replay of one seed.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use kplan_engine::{Discipline, Rule};
use kplan_simulation::life::Ended;
use kplan_simulation::{Schedule, Verdict, run, shrink};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const USAGE: &str = "usage: simulate [--from SEED] [--count N] [--threads N] [--without write-ahead|adoption|look-before-retry] [--keep-going]
       simulate --seed SEED [--trace] [--without …]";

struct Options {
    from: u64,
    count: u64,
    threads: u64,
    seed: Option<u64>,
    trace: bool,
    keep_going: bool,
    discipline: Discipline,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        from: 0,
        count: 10_000,
        threads: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        seed: None,
        trace: false,
        keep_going: false,
        discipline: Discipline::default(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64, String> {
            let text = arguments.next().unwrap_or_default();
            text.parse()
                .map_err(|_| format!("{argument} takes a number, not `{text}`"))
        };
        match argument.as_str() {
            "--from" => options.from = number()?,
            "--count" => options.count = number()?,
            "--threads" => options.threads = number()?.max(1),
            "--seed" => options.seed = Some(number()?),
            "--help" => return Err(USAGE.to_owned()),
            "--trace" => options.trace = true,
            "--keep-going" => options.keep_going = true,
            "--without" => {
                options.discipline = match arguments.next().as_deref() {
                    Some("write-ahead") => Discipline::without(Rule::WriteAhead),
                    Some("adoption") => Discipline::without(Rule::Adoption),
                    Some("look-before-retry") => Discipline::without(Rule::LookBeforeRetry),
                    other => return Err(format!("no such rule: {}", other.unwrap_or_default())),
                }
            }
            other => return Err(format!("`{other}` is not known\n{USAGE}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    match options() {
        Ok(options) => match options.seed {
            Some(seed) => replay(seed, &options),
            None => campaign(&options),
        },
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}

fn replay(seed: u64, options: &Options) -> ExitCode {
    let schedule = Schedule::of(seed);
    print!("{schedule}");
    let verdict = run(&schedule, options.discipline, options.trace);
    if verdict.wrong.is_empty() {
        tell(&verdict);
        return ExitCode::SUCCESS;
    }
    println!("fails; shrinking");
    let small = shrink(&schedule, options.discipline);
    print!("{small}");
    for (text, command) in &small.lives {
        println!("--- {command:?}\n{text}");
    }
    tell(&run(&small, options.discipline, options.trace));
    ExitCode::FAILURE
}

fn tell(verdict: &Verdict) {
    for line in &verdict.trace {
        println!("{line}");
    }
    for (number, life) in verdict.lives.iter().enumerate() {
        println!("life {number}: {life:?}");
    }
    println!(
        "{} calls, {} changes of the state",
        verdict.calls, verdict.writes
    );
    for wrong in &verdict.wrong {
        println!("WRONG {wrong}");
    }
}

#[derive(Default)]
struct Summary {
    schedules: u64,
    lives: usize,
    deaths: usize,
    incomplete: usize,
    refused: usize,
    locked: usize,
    calls: u64,
    writes: u64,
    failed: Vec<(u64, Vec<String>)>,
}

impl Summary {
    fn add(&mut self, seed: u64, verdict: Verdict) {
        self.schedules += 1;
        self.lives += verdict.lives.len();
        for life in &verdict.lives {
            match life {
                Ended::Complete => {}
                Ended::Died => self.deaths += 1,
                Ended::Incomplete(_) => self.incomplete += 1,
                Ended::Refused(_) => self.refused += 1,
                Ended::Locked => self.locked += 1,
            }
        }
        self.calls += verdict.calls;
        self.writes += verdict.writes;
        if !verdict.wrong.is_empty() {
            self.failed.push((seed, verdict.wrong));
        }
    }

    fn count(&self, what: &str) -> usize {
        let all = self.failed.iter().flat_map(|(_, wrong)| wrong);
        all.filter(|wrong| wrong.contains(what)).count()
    }
}

fn campaign(options: &Options) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(options.from);
    let end = options.from.saturating_add(options.count);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let verdict = run(&Schedule::of(seed), options.discipline, false);
                    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                    if !verdict.wrong.is_empty() {
                        println!("seed {seed} fails: {}", verdict.wrong.join("\n  "));
                        if !options.keep_going {
                            next.store(end, Ordering::Relaxed);
                        }
                    }
                    summary.add(seed, verdict);
                }
            });
        }
    });
    let summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "seeds {} to {}: {} schedules, {} lives, {} killed, {} incomplete, {} refused, {} locked out; {} calls, {} changes of the state; {:.0} s",
        options.from,
        end.saturating_sub(1),
        summary.schedules,
        summary.lives,
        summary.deaths,
        summary.incomplete,
        summary.refused,
        summary.locked,
        summary.calls,
        summary.writes,
        began.elapsed().as_secs_f64()
    );
    println!(
        "{} failed: {} orphans, {} duplicates, {} ghosts, {} exchanged, {} leaks, {} states that do not read",
        summary.failed.len(),
        summary.count("orphan"),
        summary.count("duplicate"),
        summary.count("ghost"),
        summary.count("nothing about it was edited"),
        summary.count("leak"),
        summary.count("the state does not read"),
    );
    match summary.failed.first() {
        None => ExitCode::SUCCESS,
        Some((seed, _)) => {
            println!("replay: cargo run --profile campaign -p kplan-simulation -- --seed {seed}");
            ExitCode::FAILURE
        }
    }
}
