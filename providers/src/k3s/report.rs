//! What a node reports while it boots. Untrusted text: whoever reads `user_data` can write it.

use serde::Deserialize;

/// A report larger than this is not read.
pub const MAX_REPORT: usize = 64 * 1024;
/// A message longer than this is cut.
const MAX_MESSAGE: usize = 500;
/// How much of the log is kept: what a person reads of a failure.
const MAX_LOG: usize = 8 * 1024;

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It polls for its bundle.
    WaitingForBundle,
    /// The bundle is its own.
    BundleVerified,
    /// It downloads or starts K3s.
    Installing,
    /// K3s told systemd that it is up.
    Started,
    /// It gave up, for now.
    Failed,
}

impl Phase {
    /// The phase's name in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitingForBundle => "waiting-for-bundle",
            Self::BundleVerified => "bundle-verified",
            Self::Installing => "installing",
            Self::Started => "started",
            Self::Failed => "failed",
        }
    }
}

/// A report that was read and cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How far the node is.
    pub phase: Phase,
    /// One line.
    pub message: String,
    /// The end of the boot log.
    pub log: String,
}

#[derive(Deserialize)]
struct Wire {
    format: u32,
    node: String,
    phase: Phase,
    #[serde(default)]
    message: String,
    #[serde(default)]
    log: String,
}

/// Nothing a terminal acts on: no control character but line breaks, none that turns the
/// direction of text or hides it.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|&c| {
            c == '\n'
                || !(c.is_control()
                    || matches!(c,
                        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
                        | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
                        | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'))
        })
        .collect()
}

fn end_of(text: &str, limit: usize) -> &str {
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

/// Reads a report of `node`; `None` when it is too large, has another form or names another node:
/// then it says nothing, good or bad.
pub fn read(bytes: &[u8], node: &str) -> Option<Report> {
    if bytes.len() > MAX_REPORT {
        return None;
    }
    let wire: Wire = serde_json::from_str(&String::from_utf8_lossy(bytes)).ok()?;
    if wire.format != 1 || wire.node != node {
        return None;
    }
    let message: String = clean(&wire.message)
        .replace('\n', " ")
        .chars()
        .take(MAX_MESSAGE)
        .collect();
    Some(Report {
        phase: wire.phase,
        message,
        log: end_of(&clean(&wire.log), MAX_LOG).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(message: &str, log: &str) -> Vec<u8> {
        let value = serde_json::json!({
            "format": 1, "node": "demo-server-0", "phase": "failed", "message": message, "log": log,
        });
        value.to_string().into_bytes()
    }

    #[test]
    fn a_terminal_is_safe_from_a_report() {
        let bytes = report(
            "no\u{1b}[31m K3s\u{7}\n\u{202e}here",
            "a\u{9b}31mb\r\nc\u{0}",
        );
        let report = read(&bytes, "demo-server-0").unwrap();
        assert_eq!(report.phase, Phase::Failed);
        assert_eq!(report.message, "no[31m K3s here");
        assert_eq!(report.log, "a31mb\nc");
    }

    #[test]
    fn what_is_not_the_nodes_report_says_nothing() {
        assert_eq!(read(&report("m", "l"), "demo-server-1"), None);
        assert_eq!(read(b"{}", "demo-server-0"), None);
        assert_eq!(
            read(&report(&"x".repeat(MAX_REPORT), ""), "demo-server-0"),
            None
        );
        let other = br#"{"format":2,"node":"demo-server-0","phase":"started"}"#;
        assert_eq!(read(other, "demo-server-0"), None);
        let unknown = br#"{"format":1,"node":"demo-server-0","phase":"exploded"}"#;
        assert_eq!(read(unknown, "demo-server-0"), None);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_kept() {
        let report = read(&report("", &"ö".repeat(20_000)), "demo-server-0").unwrap();
        assert!(report.log.len() <= MAX_LOG && report.log.len() > MAX_LOG - 4);
    }

    proptest! {
        #[test]
        fn bytes_never_panic_and_never_hold_controls(bytes in proptest::collection::vec(any::<u8>(), 0..300),
                                                     log in ".{0,80}") {
            assert_eq!(read(&bytes, "n"), None);
            let report = read(&report(&log, &log), "demo-server-0").unwrap();
            prop_assert!(!report.message.chars().any(char::is_control));
            prop_assert!(!report.log.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
