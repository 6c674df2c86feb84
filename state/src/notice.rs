//! `Notice`: what a store found and did that its caller should tell somebody. Libraries never
//! print, so notices travel back as values.

use crate::error::code;
use crate::wire::FORMAT;
use std::fmt;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; nothing was lost.
    Info,
    /// Something was damaged, dropped or rebuilt.
    Warning,
}

/// One thing worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// A stable code, such as `state::torn`.
    pub code: &'static str,
    /// What was found, where, and what was done about it.
    pub message: String,
    /// What the reader can do, where there is something to do.
    pub help: Option<String>,
}

impl Notice {
    /// A notice that nothing was lost.
    pub fn info(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Info,
            code,
            message: message.into(),
            help: None,
        }
    }

    /// A notice of damage.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            code,
            message: message.into(),
            help: None,
        }
    }

    /// That a state of an older format is not one any more; `as_it_was` says where the old one is.
    pub(crate) fn carried_over(as_it_was: &str) -> Self {
        Self::info(
            code::MIGRATED,
            format!(
                "the state was carried over into format {FORMAT}, which older kplans do not read; \
                 {as_it_was}"
            ),
        )
    }

    /// The same notice with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
