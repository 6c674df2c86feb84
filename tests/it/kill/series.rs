//! One series: the life of one cluster, killed in every phase. And the campaign that remembers how
//! long runs take, so that the moments of kills are spread over their whole length.

use super::changes::{Change, replace, update};
use super::oracle::findings;
use super::tally::{Phase, Tally};
use crate::support::{Dice, Folder};
use kplan_state::{LocalReader, code};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a run of unknown length is taken to be.
const GUESS: Duration = Duration::from_millis(900);
/// How many times as fast as DigitalOcean the cloud of a series is: fast enough for thousands of
/// runs, and slow enough that a run spends time waiting, too. A node's addresses are valid for an
/// hour of the cloud, which is 36 s here: longer than a killed phase lasts.
const SCALE: f64 = 100.0;
/// A run that takes longer than this hangs.
const LIMIT: Duration = Duration::from_mins(2);

/// Series after series.
pub(crate) struct Campaign {
    /// What was counted.
    pub(crate) tally: Tally,
    /// How often a phase is killed at least, while its runs last that long.
    least: u64,
    /// How long a run took that was not killed, by example, phase and change.
    lengths: BTreeMap<(&'static str, Phase, String), Duration>,
}

/// A run that is to be killed, and how.
struct Victim<'a> {
    folder: &'a Folder,
    cluster: &'a str,
    at: (&'static str, Phase),
    change: &'a str,
    arguments: Vec<String>,
}

/// What became of a run.
enum Fate {
    Killed,
    /// It was through before its moment came.
    Through,
}

impl Campaign {
    pub(crate) fn new(least: u64) -> Self {
        Self {
            tally: Tally::new(),
            least,
            lengths: BTreeMap::new(),
        }
    }

    /// The life of one cluster. A failure is remembered and its folder kept.
    pub(crate) fn series(&mut self, example: &'static str, seed: u64) {
        let mut folder = Folder::example(example).scaled(SCALE).unrecorded();
        self.tally.series += 1;
        let lived = catch_unwind(AssertUnwindSafe(|| self.live(&folder, example, seed)));
        let Err(payload) = lived else {
            return;
        };
        let said = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        let failure = format!(
            "KPLAN_SEED={seed} ({example}), folder {}: {}",
            folder.keep().display(),
            said.unwrap_or("no message")
        );
        println!("FAILED {failure}");
        self.tally.failures.push(failure);
    }

    fn live(&mut self, folder: &Folder, example: &'static str, seed: u64) {
        let mut dice = Dice::new(seed);
        // The cloud is started before the clock, so that kills hit the run and not its start.
        folder.kplan(&["sandbox", "inspect", "--json"]).ok();
        let cluster = cluster_name(folder);
        self.phase(
            folder,
            (example, Phase::Apply),
            "",
            &[],
            &cluster,
            &mut dice,
        );
        self.compare(folder, &cluster);
        for phase in [Phase::Update, Phase::Replace, Phase::Update] {
            let change = if phase == Phase::Update {
                update(folder, &mut dice)
            } else {
                replace(folder, &mut dice, &replaceable(folder, example, &cluster))
            };
            let Some(Change {
                name,
                arguments,
                text,
            }) = change
            else {
                continue;
            };
            self.tally.changed(&name);
            folder.write(&text);
            self.phase(
                folder,
                (example, phase),
                &name,
                &arguments,
                &cluster,
                &mut dice,
            );
            self.compare(folder, &cluster);
        }
        self.phase(
            folder,
            (example, Phase::Destroy),
            "",
            &[],
            &cluster,
            &mut dice,
        );
        self.compare(folder, &cluster);
        folder.assert_cloud_empty();
    }

    /// Kills a run again and again, then lets one get through.
    fn phase(
        &mut self,
        folder: &Folder,
        at: (&'static str, Phase),
        change: &str,
        arguments: &[String],
        cluster: &str,
        dice: &mut Dice,
    ) {
        let mut victim = Victim {
            folder,
            cluster,
            at,
            change,
            arguments: if at.1 == Phase::Destroy {
                words(&[
                    "destroy",
                    "--sandbox",
                    "--auto-approve",
                    "--confirm",
                    cluster,
                ])
            } else {
                words(&["apply", "--sandbox", "--auto-approve"])
            },
        };
        victim.arguments.extend_from_slice(arguments);
        for attempt in 0..self.least + dice.below(5) {
            if let Fate::Through = self.kill(&victim, attempt == 0, dice) {
                break;
            }
            self.look(&victim);
        }
        // Whatever was asked for besides the file was asked for once: the next apply is plain.
        victim
            .arguments
            .truncate(victim.arguments.len() - arguments.len());
        let all: Vec<&str> = victim.arguments.iter().map(String::as_str).collect();
        self.tally.convergences += 1;
        let code = let_through(folder, &all);
        let said = said(folder);
        assert_eq!(
            code,
            Some(0),
            "{all:?} after kills in {at:?} {change}: {said}"
        );
    }

    /// One run, killed at a moment drawn from the length such runs have.
    fn kill(&mut self, victim: &Victim<'_>, first: bool, dice: &mut Dice) -> Fate {
        let key = (victim.at.0, victim.at.1, victim.change.to_owned());
        let length = self.lengths.get(&key).copied().unwrap_or(GUESS);
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let after = Duration::from_millis(dice.below(millis + millis / 8));
        let with_cloud = dice.below(8) == 0;
        let arguments: Vec<&str> = victim.arguments.iter().map(String::as_str).collect();
        let mut child = start(victim.folder, &arguments);
        let begun = Instant::now();
        while begun.elapsed() < after {
            if let Some(status) = child.try_wait().expect("wait") {
                let said = said(victim.folder);
                assert_eq!(status.code(), Some(0), "{arguments:?}: {said}");
                if first {
                    self.lengths.insert(key, begun.elapsed());
                }
                return Fate::Through;
            }
            assert!(begun.elapsed() < LIMIT, "{arguments:?} hangs");
            std::thread::sleep(Duration::from_millis(1));
        }
        if with_cloud {
            self.tally.clouds += u64::from(kill_cloud(victim.folder));
            std::thread::sleep(Duration::from_millis(dice.below(15)));
        }
        drop(child.kill());
        let ended = child.wait().expect("wait").code();
        if ended == Some(0) {
            return Fate::Through;
        }
        // With its cloud gone, a run may end with an error before it is killed.
        assert!(
            ended.is_none() || with_cloud,
            "{arguments:?} ended with {ended:?}"
        );
        self.tally.killed(victim.at, after, length);
        if first && after > length {
            self.lengths.insert(key, after);
        }
        Fate::Killed
    }

    /// What a kill left behind: always a state that can be read.
    fn look(&mut self, victim: &Victim<'_>) {
        let root = victim.folder.path().join(".kplan/.sandbox/state");
        let found = LocalReader::open(&root.join(victim.cluster), victim.cluster, None)
            .read()
            .unwrap_or_else(|error| panic!("after a kill in {:?}: {error}", victim.at));
        let doubt = found
            .snapshot
            .is_some_and(|state| !state.in_doubt.is_empty());
        self.tally.in_doubt += u64::from(doubt);
        let torn = found.notices.iter().any(|one| one.code == code::TORN);
        self.tally.torn += u64::from(torn);
    }

    /// The plan is empty, and the oracle has nothing to say.
    fn compare(&mut self, folder: &Folder, cluster: &str) {
        let wrong = findings(folder, cluster);
        self.tally.findings.extend(wrong.iter().cloned());
        assert!(wrong.is_empty(), "{wrong:#?}");
        let gone = folder
            .snapshot(cluster)
            .resources
            .values()
            .all(|record| record.meta.keep);
        if !gone {
            folder.assert_no_changes();
        }
        self.tally.converged += 1;
    }
}

/// Runs to the end; the exit code, or `None` for one that was ended because it hung.
fn let_through(folder: &Folder, arguments: &[&str]) -> Option<i32> {
    let (mut child, begun) = (start(folder, arguments), Instant::now());
    while begun.elapsed() < LIMIT {
        if let Some(status) = child.try_wait().expect("wait") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(child.kill());
    drop(child.wait());
    None
}

/// Starts a run; what it says goes into a file of the folder, where the oracle looks for secrets.
fn start(folder: &Folder, arguments: &[&str]) -> Child {
    let log = std::fs::File::create(folder.path().join("run.log")).expect("a log");
    folder
        .command(arguments)
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("kplan starts")
}

/// The end of what the last run said.
fn said(folder: &Folder) -> String {
    let said = std::fs::read_to_string(folder.path().join("run.log")).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn cluster_name(folder: &Folder) -> String {
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file");
    let at = text.find("[cluster]").expect("a cluster");
    text[at..].split('"').nth(1).expect("a name").to_owned()
}

/// What can be replaced by name. Not the servers of an etcd cluster: a member is not removed from
/// the cluster before its droplet goes yet: it never becomes ready again, killed or not. And no node
/// without its droplet, which does not look for a second bundle: that is refused.
fn replaceable(folder: &Folder, example: &str, cluster: &str) -> Vec<String> {
    let etcd = example == "ha-etcd";
    folder
        .snapshot(cluster)
        .resources
        .keys()
        .map(ToString::to_string)
        .filter(|at| !(etcd && at.contains(".servers[")))
        .filter(|at| !at.starts_with("k3s_node."))
        .collect()
}

/// Kills the cloud's process, which every mutation it answered survives; says whether it was there.
fn kill_cloud(folder: &Folder) -> bool {
    let note = folder.path().join(".kplan/.sandbox/cloud/endpoint.json");
    let Ok(text) = std::fs::read_to_string(note) else {
        return false;
    };
    let note: serde_json::Value = serde_json::from_str(&text).expect("the cloud's note");
    let pid = note["pid"].as_u64().expect("a process id").to_string();
    let killed = Command::new("kill")
        .args(["-9", &pid])
        .stderr(Stdio::null())
        .status();
    killed.is_ok_and(|status| status.success())
}
