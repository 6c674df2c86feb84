//! Git repositories and paths in them.

use super::{FromText, Invalid, text_newtype};
use crate::code::Code;
use crate::suggest::shortened;

/// Address of a Git repository: HTTPS or SSH, without credentials in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RepoUrl {
    /// `https://host/path`
    Https(String),
    /// `git@host:path` or `ssh://user@host/path`
    Ssh(String),
}

impl RepoUrl {
    /// The address as written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Https(url) | Self::Ssh(url) => url,
        }
    }

    /// Whether it is read over SSH.
    pub fn is_ssh(&self) -> bool {
        matches!(self, Self::Ssh(_))
    }
}

impl std::fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromText for RepoUrl {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let clean = text.len() <= 2048
            && !text
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '\\');
        if let Some(rest) = text.strip_prefix("https://")
            && clean
        {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            if authority.contains('@') {
                return Err(embedded_credentials());
            }
            if host_ok(authority) && !path.is_empty() {
                return Ok(Self::Https(text.to_owned()));
            }
        }
        if let Some(rest) = text.strip_prefix("ssh://")
            && clean
        {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            if user.contains(':') {
                return Err(embedded_credentials());
            }
            if host_ok(host) && !path.is_empty() {
                return Ok(Self::Ssh(text.to_owned()));
            }
        }
        if clean
            && !text.contains("://")
            && let Some((left, path)) = text.split_once(':')
            && let Some((user, host)) = left.split_once('@')
            && !user.is_empty()
            && host_ok(host)
            && !path.is_empty()
        {
            return Ok(Self::Ssh(text.to_owned()));
        }
        if text.starts_with("http://") {
            return Err(Invalid::new(
                Code::RepoInvalid,
                "the repository is read over plain HTTP",
                "Whoever sits between could change what the cluster installs.",
                "Use `https://`.",
            ));
        }
        Err(Invalid::new(
            Code::RepoInvalid,
            format!("`{}` is not a repository address", shortened(text)),
            "Argo CD reads the repository over HTTPS or SSH.",
            "Write it like `https://github.com/acme/infra.git` or \
             `git@github.com:acme/infra.git`.",
        ))
    }

    fn stand_in() -> Self {
        Self::Https("https://example.com/repository.git".to_owned())
    }
}

fn host_ok(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

fn embedded_credentials() -> Invalid {
    Invalid::new(
        Code::SecretLiteral,
        "the repository address holds credentials",
        "The file is reviewed and kept in Git, so whatever it holds is not secret any more. The \
         text is withheld from this report.",
        "Revoke them, and name their source instead: \
         `credentials = { token = { env = \"GITHUB_TOKEN\" } }`.",
    )
}

text_newtype!(
    /// A folder inside a repository, relative to its root; `.` is the root.
    RepoPath
);

impl FromText for RepoPath {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let relative = !text.is_empty()
            && text.len() <= 1024
            && !text.starts_with('/')
            && !text.contains('\\')
            && !text.chars().any(char::is_control)
            && text.split('/').all(|part| part != "..");
        if relative {
            return Ok(Self(text.to_owned()));
        }
        let inside = text.trim_start_matches('/');
        let replacement = (inside != text && !inside.is_empty() && !inside.contains(".."))
            .then(|| inside.to_owned());
        Err(Invalid::new(
            Code::RepoInvalid,
            format!("`{}` is not a folder of the repository", shortened(text)),
            "The path is relative to the repository's root and may not leave it.",
            match &replacement {
                Some(path) => format!("Write `{path}`."),
                None => "Write it like `clusters/demo`, or `.` for the root.".to_owned(),
            },
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self(".".to_owned())
    }
}
