//! What preflight found, for people and for machines, and whether a plan is refused for it.

use super::{CHECKS, Finding, Severity};
use crate::catalogue::Catalogue;
use crate::cmd::session::Session;
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::render::{Terminal, problem};
use serde_json::{Value as Json, json};

/// What came of looking at a plan.
#[derive(Debug, Default)]
#[must_use = "errors refuse the plan"]
pub struct Preflight {
    /// Everything that stands in the way.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub notes: Vec<String>,
    /// What DigitalOcean sells, as far as the plan needs it.
    pub catalogue: Catalogue,
}

impl Finding {
    /// The resources it is about.
    fn about(&self) -> String {
        match self.more {
            0 => self.address.to_string(),
            1 => format!("{} and another one", self.address),
            more => format!("{} and {more} others", self.address),
        }
    }

    fn problem(&self, session: &Session) -> Problem {
        let message = format!("{}: {}", self.about(), self.message);
        let problem = match self.severity {
            Severity::Error => Problem::error(self.code, message),
            Severity::Warning => Problem::warning(self.code, message),
        };
        session.at(problem.help(&self.help), self.origin)
    }
}

impl Preflight {
    /// The errors that are not left out.
    fn errors<'a>(&'a self, skip: &'a [String]) -> impl Iterator<Item = &'a Finding> {
        let counts = |finding: &&Finding| {
            finding.severity == Severity::Error && !skip.iter().any(|code| is(code, finding.code))
        };
        self.findings.iter().filter(counts)
    }

    /// Whether the plan would be refused; errors of these codes are left out.
    pub fn refuses(&self, skip: &[String]) -> bool {
        self.errors(skip).next().is_some()
    }

    /// Nothing, or why nobody is asked for consent: the findings themselves were shown with the plan.
    ///
    /// # Errors
    /// `preflight::refused`, exit 6.
    pub fn admits(&self, skip: &[String]) -> Result<(), Failure> {
        let mut codes: Vec<&str> = self.errors(skip).map(|finding| finding.code).collect();
        if codes.is_empty() {
            return Ok(());
        }
        let count = codes.len();
        codes.dedup();
        let message = format!(
            "the plan would be refused during apply ({}: {}), so nothing was begun",
            if count == 1 {
                "one error".to_owned()
            } else {
                format!("{count} errors")
            },
            codes.join(", ")
        );
        let help = format!(
            "what is wrong, and what to do, is told with the plan. Where preflight is wrong itself, go on \
             with --skip-preflight {}",
            codes.first().copied().unwrap_or_default()
        );
        Err(Failure::with(
            Exit::Refused,
            Problem::error("preflight::refused", message).help(help),
        ))
    }

    /// Shows what was found.
    pub fn print(&self, session: &Session, terminal: &mut Terminal) {
        let problems: Vec<Problem> = self
            .findings
            .iter()
            .map(|finding| finding.problem(session))
            .collect();
        problem::print(terminal, &problems, false);
    }

    /// The same in one line each, without the places in the file.
    pub fn lines(&self) -> Vec<String> {
        let line = |finding: &Finding| {
            let how = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let message = format!("{}: {}", finding.about(), finding.message);
            format!("{how} {}: {message}; {}", finding.code, finding.help)
        };
        self.findings.iter().map(line).collect()
    }

    /// The same for machines.
    pub fn document(&self, session: &Session) -> Json {
        let findings = self.findings.iter().map(|finding| {
            let mut one = problem::document(&finding.problem(session));
            one["address"] = json!(finding.address.to_string());
            one["more"] = json!(finding.more);
            one
        });
        Json::Array(findings.collect())
    }
}

/// A code as somebody types it: with or without its first word.
fn is(typed: &str, code: &str) -> bool {
    typed == code || code.strip_prefix("preflight::") == Some(typed)
}

/// The codes to leave out; an unknown one is most likely mistyped.
///
/// # Errors
/// `cli::preflight`.
pub fn known(skip: &[String]) -> Result<(), Failure> {
    let codes = || CHECKS.iter().flat_map(|check| check.codes);
    let strange = skip
        .iter()
        .filter(|typed| !codes().any(|code| is(typed, code)));
    let problems: Vec<Problem> = strange
        .map(|typed| {
            let all: Vec<&str> = codes().copied().collect();
            let message = format!("--skip-preflight: there is no code {typed}");
            Problem::error("cli::preflight", message).help(format!("there are {}", all.join(", ")))
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::all(Exit::Error, problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Origin;

    fn found(severity: Severity, code: &'static str) -> Finding {
        Finding {
            severity,
            code,
            address: "vpc.main".parse().unwrap(),
            more: 0,
            origin: Origin::Default,
            message: "no".to_owned(),
            help: "do".to_owned(),
        }
    }

    #[test]
    fn errors_refuse_unless_they_are_left_out_and_warnings_never_do() {
        let one = |severity| Preflight {
            findings: vec![found(severity, "preflight::range")],
            ..Preflight::default()
        };
        let error = one(Severity::Error);
        assert!(error.refuses(&[]));
        assert!(error.refuses(&["preflight::size".to_owned()]));
        for typed in ["preflight::range", "range"] {
            assert!(!error.refuses(&[typed.to_owned()]), "{typed}");
            assert!(error.admits(&[typed.to_owned()]).is_ok());
        }
        let failure = error.admits(&[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert!(!one(Severity::Warning).refuses(&[]));
    }

    #[test]
    fn a_code_that_nothing_finds_is_refused() {
        assert!(known(&["preflight::size".to_owned(), "range".to_owned()]).is_ok());
        assert!(known(&["sizes".to_owned()]).is_err());
    }
}
