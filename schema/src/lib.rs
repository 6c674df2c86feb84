//! `cluster.toml` to a validated [`Spec`]: every finding at once, each with its place in the file.
//!
//! Three passes, three types. *Raw*: our own reader walks the TOML tree and judges keys and TOML
//! types. *Values*: every leaf becomes a type that is valid by construction. *Rules*: what only
//! shows when leaves are seen together. A pass never stops at its first error, and a leaf that
//! could not be read does not keep the rest from being judged.
//!
//! The crate is pure: text in, values out; no file, clock, environment or randomness.
// Tests read the files in the workspace's `tests/specs`; the library reads nothing.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod code;
mod diagnostic;
pub mod edit;
mod lower;
mod raw;
mod redact;
mod rules;
mod source;
mod span;
pub mod spec;
mod suggest;
pub mod value;

use std::sync::Arc;

use toml::de::DeTable;

pub use code::{Code, Severity};
pub use diagnostic::{Label, MAX_DIAGNOSTICS, SpecDiagnostic, Suggestion};
pub use raw::json_schema;
pub use rules::{RULES, Rule};
pub use source::{Position, Source};
pub use span::{Span, Spanned};
pub use spec::Spec;

use diagnostic::{Finding, Report};
use raw::{Context, RawFile};
use value::{DnsLabel, FromText, StateBackend};

/// Largest file that is read, in bytes. A cluster of a thousand pools is far smaller.
pub const MAX_SOURCE_BYTES: usize = 1024 * 1024;

/// What became of a file.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The cluster's description; `None` when there is any error.
    pub spec: Option<Spec>,
    /// Every finding, in the order of the file. With a spec these are warnings only.
    pub diagnostics: Vec<SpecDiagnostic>,
    /// The file with everything that could be a secret masked: cut snippets from this one. Byte
    /// offsets are the original's.
    pub source: Arc<Source>,
    /// `[cluster] name`, also when something else is wrong with the file: looking at what was
    /// applied needs no more of it.
    pub cluster: Option<String>,
    /// `[state] backend`, also when something else is wrong with the file; `None` when it cannot be
    /// told for certain where the state is.
    pub state: Option<StateBackend>,
}

/// Reads a `cluster.toml` and judges all of it.
pub fn parse(source: &Source) -> Parsed {
    let mut report = Report::default();
    let text = source.text();
    if text.len() > MAX_SOURCE_BYTES {
        report.push(
            Finding::new(
                Code::TooLarge,
                format!(
                    "the file has {} bytes, at most {MAX_SOURCE_BYTES} are read",
                    text.len()
                ),
            )
            .why("No cluster needs a description this long, so this is some other file.")
            .remedy("Check the file's name."),
        );
        let shown = Arc::new(Source::new(source.name(), ""));
        return Parsed {
            spec: None,
            diagnostics: report.finish(&shown),
            source: shown,
            cluster: None,
            state: None,
        };
    }
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    let incomplete = !syntax_errors.is_empty();
    for error in &syntax_errors {
        report.push(syntax_finding(error, text));
    }
    let mut context = Context {
        report: &mut report,
        incomplete,
    };
    let raw: RawFile = raw::read_root(root.get_ref(), &mut context);
    let spec = lower::lower(&raw, &mut report);
    // Half a file breaks rules that the whole one keeps.
    if !incomplete {
        for rule in RULES {
            rule.judge(&spec, &mut report);
        }
    }
    let mut secrets = report.secret_places();
    secrets.extend(redact::literal_spans(root.get_ref()));
    if incomplete {
        secrets.extend(redact::secret_lines(text));
    }
    let shown = Arc::new(Source::new(
        source.name(),
        redact::mask_source(text, &secrets),
    ));
    Parsed {
        cluster: cluster_name(root.get_ref()),
        // What could not be read may have been this very table.
        state: (!incomplete).then(|| state(root.get_ref())).flatten(),
        spec: (!report.has_errors()).then_some(spec),
        diagnostics: report.finish(&shown),
        source: shown,
    }
}

fn cluster_name(root: &DeTable<'_>) -> Option<String> {
    let cluster = root.get("cluster")?.get_ref().as_table()?;
    let name = cluster.get("name")?.get_ref().as_str()?;
    <DnsLabel as FromText>::from_text(name)
        .ok()
        .map(|_| name.to_owned())
}

fn state(root: &DeTable<'_>) -> Option<StateBackend> {
    let Some(table) = root.get("state") else {
        return Some(StateBackend::Local);
    };
    let Some(text) = table.get_ref().as_table()?.get("backend") else {
        return Some(StateBackend::Local);
    };
    let backend = <StateBackend as FromText>::from_text(text.get_ref().as_str()?).ok()?;
    let cluster = root.get("cluster")?.get_ref().as_table()?;
    match cluster
        .get("region")
        .and_then(|region| region.get_ref().as_str())
    {
        Some(region) => Some(backend.in_region(region)),
        None => matches!(backend, StateBackend::Local).then_some(backend),
    }
}

fn syntax_finding(error: &toml::de::Error, text: &str) -> Finding {
    let end = text.len();
    let span = error.span().map_or(Span::new(end, end), Span::from);
    let duplicate = error.message() == "duplicate key";
    let (why, remedy) = if duplicate {
        (
            "TOML allows every key once, so that no value hides another.",
            "Keep one of the two.",
        )
    } else {
        (
            "What stands behind it cannot be read with certainty, so rules that need the whole \
             file were not checked.",
            "Repair this first, then validate again.",
        )
    };
    Finding::new(
        Code::Syntax,
        format!("this is not TOML: {}", error.message()),
    )
    .label(span, "here")
    .why(why)
    .remedy(remedy)
}

#[cfg(test)]
mod tests;
