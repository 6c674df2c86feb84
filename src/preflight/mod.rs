//! What the API would refuse anyway, said before anything is done: every plan that makes or changes
//! something is held against the account and against what DigitalOcean sells.
//!
//! A check is one pure function from what was read ([`Sight`]) to findings, each with its place in the
//! file. What could not be read is noted and refuses nothing: a plan is usable without preflight. What
//! a token may *change* is known to nobody before it is tried, so nothing is said of it.

mod account;
mod buckets;
mod databases;
mod domains;
mod images;
mod names;
mod operator;
mod ranges;
mod reading;
mod regions;
mod report;
mod sight;
mod sizes;
#[cfg(test)]
pub(crate) mod testing;
mod token;

pub use report::{Preflight, known};
pub use sight::Sight;

use crate::cmd::session::Session;
use kplan_engine::Planned;
use kplan_model::{Address, Declarations, Origin};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The API would refuse it.
    Error,
    /// It may go wrong.
    Warning,
}

/// One thing that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its stable code, `preflight::…`.
    pub code: &'static str,
    /// The first resource it is about.
    pub address: Address,
    /// How many more it is about.
    pub more: usize,
    /// Where the file asks for it.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// One thing to look at.
pub struct Check {
    /// The codes of what it may find.
    pub codes: &'static [&'static str],
    look: fn(&Sight<'_>) -> Vec<Finding>,
}

macro_rules! checks {
    ($($look:path => $codes:expr,)*) => {
        &[$(Check { codes: &$codes, look: $look }),*]
    };
}

/// All of them, in the order in which they are told.
pub const CHECKS: &[Check] = checks! {
    token::scopes => ["preflight::token_scope"],
    account::status => ["preflight::account_locked"],
    account::limits => ["preflight::limit", "preflight::limit_meanwhile"],
    regions::offered => ["preflight::region"],
    sizes::offered => ["preflight::size", "preflight::size_disk"],
    images::offered => ["preflight::image", "preflight::image_disk"],
    databases::offered => ["preflight::database"],
    ranges::free => ["preflight::range", "preflight::range_reserved"],
    names::free => ["preflight::name_taken"],
    domains::there => ["preflight::domain"],
    buckets::free => ["preflight::bucket_taken"],
    operator::reaches => ["preflight::operator_address"],
};

/// Looks at a plan: nothing is read where it makes and changes nothing.
pub async fn look(session: &Session, planned: &Planned, declared: &Declarations) -> Preflight {
    let mut sight = Sight::of(session, planned, declared);
    if sight.is_idle() {
        return Preflight::default();
    }
    Box::pin(reading::fill(&mut sight, session, false)).await;
    let mut findings = examine(&sight);
    if !findings.is_empty() && sight.catalogue.is_kept() {
        // What was kept may be a day old: nothing is refused for that.
        Box::pin(reading::fill(&mut sight, session, true)).await;
        findings = examine(&sight);
    }
    Preflight {
        findings,
        notes: reading::notes(&sight),
        catalogue: sight.catalogue,
    }
}

/// Makes all checks. What is said of several resources in the same words is one finding.
fn examine(sight: &Sight<'_>) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for finding in CHECKS.iter().flat_map(|check| (check.look)(sight)) {
        let same = |known: &&mut Finding| {
            (known.code, &known.message, known.origin)
                == (finding.code, &finding.message, finding.origin)
        };
        match all.iter_mut().find(same) {
            Some(known) => known.more += 1 + finding.more,
            None => all.push(finding),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_one_checks_own_and_has_a_place_in_the_guide() {
        let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/preflight.md");
        let guide = std::fs::read_to_string(guide).expect("the guide");
        let codes: Vec<&str> = CHECKS
            .iter()
            .flat_map(|check| check.codes)
            .copied()
            .collect();
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        for code in codes {
            assert!(guide.contains(&format!("`{code}`")), "{code}");
        }
    }
}
