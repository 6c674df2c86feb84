//! What a campaign counts, and the summary it prints.

use super::oracle::Finding;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// What a series is doing when it kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Apply,
    Update,
    Replace,
    Destroy,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Apply, Self::Update, Self::Replace, Self::Destroy];

    fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Destroy => "destroy",
        }
    }
}

/// Everything counted so far.
pub(crate) struct Tally {
    begun: Instant,
    kills: BTreeMap<(&'static str, Phase), u64>,
    /// Kills by the tenth of the expected length they came in.
    tenths: [u64; 10],
    /// How often each change was made, killed or not.
    changes: BTreeMap<String, u64>,
    /// Kills after which something was in doubt, and after which the journal's end was torn.
    pub(crate) in_doubt: u64,
    pub(crate) torn: u64,
    pub(crate) clouds: u64,
    pub(crate) series: u64,
    /// Times that everything was compared, and of them those where the run before it got through
    /// without a question and the plan was empty.
    pub(crate) convergences: u64,
    pub(crate) converged: u64,
    pub(crate) findings: Vec<Finding>,
    /// One text for each series that failed: its seed, its folder, what was wrong.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            kills: BTreeMap::new(),
            tenths: [0; 10],
            changes: BTreeMap::new(),
            in_doubt: 0,
            torn: 0,
            clouds: 0,
            series: 0,
            convergences: 0,
            converged: 0,
            findings: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(crate) fn kills(&self) -> u64 {
        self.kills.values().sum()
    }

    /// A kill, that long after the start of a run expected to take that long.
    pub(crate) fn killed(&mut self, at: (&'static str, Phase), after: Duration, of: Duration) {
        *self.kills.entry(at).or_default() += 1;
        let tenth = after.as_millis() * 10 / of.as_millis().max(1);
        self.tenths[usize::try_from(tenth.min(9)).unwrap_or(9)] += 1;
    }

    pub(crate) fn changed(&mut self, what: &str) {
        *self.changes.entry(what.to_owned()).or_default() += 1;
    }

    fn count(&self, wanted: fn(&Finding) -> bool) -> usize {
        self.findings.iter().filter(|one| wanted(one)).count()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.begun.elapsed().as_secs();
        writeln!(
            f,
            "{} kills of kplan in {} series, {seconds} s; the cloud's process was killed with it {} times",
            self.kills(),
            self.series,
            self.clouds
        )?;
        write!(f, "{:<12}", "kills in")?;
        for phase in Phase::ALL {
            write!(f, "{:>9}", phase.name())?;
        }
        writeln!(f)?;
        let mut examples: Vec<&str> = self.kills.keys().map(|(example, _)| *example).collect();
        examples.dedup();
        for example in examples {
            write!(f, "{example:<12}")?;
            for phase in Phase::ALL {
                let kills = self.kills.get(&(example, phase)).copied().unwrap_or(0);
                write!(f, "{kills:>9}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "by tenth of the run's length: {:?}", self.tenths)?;
        let changes: Vec<String> = self
            .changes
            .iter()
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        writeln!(f, "changes: {}", changes.join(", "))?;
        writeln!(
            f,
            "left behind by a kill: something in doubt {} times, a torn journal {} times",
            self.in_doubt, self.torn
        )?;
        writeln!(
            f,
            "orphans {}, duplicates {}, lost {}, unsettled {}, secrets in plain text {}",
            self.count(|one| matches!(one, Finding::Orphan { .. })),
            self.count(|one| matches!(one, Finding::Duplicate { .. })),
            self.count(|one| matches!(one, Finding::Lost { .. })),
            self.count(|one| matches!(one, Finding::Unsettled { .. })),
            self.count(|one| matches!(one, Finding::Secret { .. })),
        )?;
        write!(
            f,
            "converged {} of {} times; {} series failed",
            self.converged,
            self.convergences,
            self.failures.len()
        )
    }
}
