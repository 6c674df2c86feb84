//! What a node tells about its boot: phases, and the end of its log without the bundle's secrets.

use serde::Serialize;

use super::bundle::{DATASTORE_ADMIN, ETCD_RESTORE, Files};
use super::config::{Datastore, K3sConfig};
use super::datastore::{Endpoint, Grant};
use super::pki::Token;
use super::restore::Restore;

/// Largest report in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Lines of the log a report ends with.
const LOG_LINES: usize = 200;
/// What stands in the place of a secret.
const REMOVED: &str = "[removed]";

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The machine starts.
    Booting,
    /// The bundle is not there yet.
    WaitingForBundle,
    /// The bundle is this node's, and signed.
    BundleVerified,
    /// K3s is being downloaded.
    Installing,
    /// K3s runs and has joined its cluster.
    Started,
    /// Something is wrong; the node may try again.
    Failed,
    /// The droplet has nothing to do with K3s.
    Idle,
}

/// The document a node sends.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub format: u32,
    pub node: &'a str,
    pub phase: Phase,
    pub message: &'a str,
    pub log: &'a str,
}

/// The boot log, and the secrets that never leave the node.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Vec<String>,
    secrets: Vec<String>,
}

impl Log {
    /// Adds a line.
    pub(super) fn say(&mut self, line: &str) {
        self.lines.push(line.to_owned());
        let surplus = self.lines.len().saturating_sub(LOG_LINES);
        self.lines.drain(..surplus);
    }

    /// Learns the secrets of a bundle.
    pub(super) fn keep_secret(&mut self, files: &Files, config: Option<&K3sConfig>) {
        let keys = files
            .iter()
            .filter(|(_, file)| file.content.contains("PRIVATE"))
            .map(|(_, file)| file.content.clone());
        self.secrets.extend(keys);
        let admin = files
            .get(DATASTORE_ADMIN)
            .and_then(|file| Grant::parse(&file.content).ok());
        self.secrets
            .extend(admin.map(|grant| grant.password().to_owned()));
        let restore = files.get(ETCD_RESTORE);
        self.secrets
            .extend(restore.and_then(|file| Restore::parse(&file.content).ok().map(|it| it.url)));
        if let Some(config) = config {
            self.secrets.push(config.token.clone());
            self.secrets
                .extend(Token::parse(&config.token).ok().map(|token| token.secret));
            self.secrets.extend(config.agent_token.clone());
            if let Datastore::External { endpoint, .. } = &config.datastore {
                self.secrets.push(endpoint.clone());
                self.secrets.extend(
                    Endpoint::parse(endpoint)
                        .ok()
                        .map(|endpoint| endpoint.password().to_owned()),
                );
            }
        }
        self.secrets.retain(|secret| !secret.trim().is_empty());
        // The longest first: a secret may be part of another.
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// A text without secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), REMOVED)
        })
    }

    /// The log without secrets.
    pub(super) fn text(&self) -> String {
        self.clean(&self.lines.join("\n"))
    }

    /// The report's bytes, within the size limit.
    pub(super) fn report(&self, node: &str, phase: Phase, message: &str) -> Vec<u8> {
        let (message, mut log) = (self.clean(message), self.text());
        loop {
            let report = Report {
                format: 1,
                node,
                phase,
                message: &message,
                log: &log,
            };
            // A struct of strings and a number always has a JSON form.
            let bytes = serde_json::to_vec(&report).unwrap_or_default();
            if bytes.len() <= MAX_BYTES || log.is_empty() {
                return bytes;
            }
            log = log
                .split_once('\n')
                .map(|(_, rest)| rest.to_owned())
                .unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bundle::File;
    use super::*;

    #[test]
    fn secrets_and_size_are_taken_care_of() {
        let mut log = Log::default();
        let key = File {
            mode: 0o600,
            content: "-----PRIVATE-----".into(),
        };
        log.keep_secret(&Files::from([("a/server-ca.key".into(), key)]), None);
        log.say("read -----PRIVATE----- from disk");
        for _ in 0..300 {
            log.say(&"x".repeat(1000));
        }
        log.say("the key was -----PRIVATE-----");
        let report = String::from_utf8(log.report("n", Phase::WaitingForBundle, "m")).unwrap();
        assert!(report.len() <= MAX_BYTES && report.contains("the key was [removed]"));
        assert!(report.contains("\"phase\":\"waiting-for-bundle\"") && !report.contains("PRIVATE"));
    }
}
