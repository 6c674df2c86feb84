//! What a check says.

use serde_json::{Value, json};
use std::fmt;

/// How it is. The order is that of worries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Nobody could look, or there is nothing yet to look at.
    NotLookedAt,
    /// It works, and somebody should do something before it does not.
    Warning,
    /// It does not work, or would not on the day it is needed.
    Problem,
}

impl Outcome {
    /// Its stable name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotLookedAt => "not_looked_at",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotLookedAt => "-",
            other => other.name(),
        })
    }
}

/// One check's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How it is.
    pub outcome: Outcome,
    /// What is so, in one line; of what was not looked at, why not.
    pub message: String,
    /// Why it matters and what to do.
    pub help: Option<String>,
    /// The same for machines; an object, its fields by check.
    pub details: Value,
}

impl Verdict {
    fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            message: message.into(),
            help: None,
            details: json!({}),
        }
    }

    /// All is well.
    pub fn ok(message: impl Into<String>) -> Self {
        Self::new(Outcome::Ok, message)
    }

    /// Nobody looked; the reason.
    pub fn not_looked(why: impl Into<String>) -> Self {
        Self::new(Outcome::NotLookedAt, why)
    }

    /// It works still.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Outcome::Warning, message)
    }

    /// It does not work.
    pub fn problem(message: impl Into<String>) -> Self {
        Self::new(Outcome::Problem, message)
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with details; an object.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// Several findings of one check, which has one verdict.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<(Outcome, String)>);

impl Findings {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something that works still.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.0.push((Outcome::Warning, text.into()));
    }

    /// Something that does not.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.0.push((Outcome::Problem, text.into()));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The worst of them with all their sentences, the worst first; `well` where there is none.
    pub fn verdict(self, well: impl Into<String>, help: impl Into<String>) -> Verdict {
        let mut found = self.0;
        found.sort_by_key(|(outcome, _)| std::cmp::Reverse(*outcome));
        let Some(worst) = found.first().map(|(outcome, _)| *outcome) else {
            return Verdict::ok(well);
        };
        let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
        let all: Vec<Value> = found
            .iter()
            .map(|(outcome, text)| json!({ "outcome": outcome.name(), "message": text }))
            .collect();
        Verdict::new(worst, texts.join("; "))
            .help(help)
            .details(json!({ "findings": all }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_findings_are_as_bad_as_the_worst_and_say_it_first() {
        let mut findings = Findings::new();
        findings.warning("a is old");
        findings.problem("b is gone");
        let verdict = findings.verdict("all is well", "look");
        assert_eq!(verdict.outcome, Outcome::Problem);
        assert_eq!(verdict.message, "b is gone; a is old");
        assert_eq!(verdict.details["findings"][1]["outcome"], "warning");
        let well = Findings::new().verdict("all is well", "look");
        assert_eq!((well.outcome, well.help), (Outcome::Ok, None));
    }
}
