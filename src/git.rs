//! Which commit a folder is at, by the `git` that is on the path. Where there is none, or the folder
//! is in no repository, nobody knows, and nothing depends on it.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where a checkout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit's id.
    pub id: String,
    /// Whether files that Git knows differ from it.
    pub changed: bool,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id.get(..12).unwrap_or(&self.id))?;
        if self.changed {
            f.write_str(" with uncommitted changes")?;
        }
        Ok(())
    }
}

/// The commit that the folder's checkout is at.
pub fn head(folder: &Path) -> Option<Commit> {
    let id = said(folder, &["rev-parse", "--verify", "HEAD"])?;
    let status = said(
        folder,
        &["status", "--porcelain", "--untracked-files=no", "--", "."],
    )?;
    Some(Commit {
        id: id.trim().to_owned(),
        changed: !status.trim().is_empty(),
    })
}

/// Whether a commit is in the history of the folder's checkout; nothing where nobody knows.
pub fn has(folder: &Path, commit: &str) -> Option<bool> {
    if commit.is_empty() || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let ended = git(folder)
        .args(["merge-base", "--is-ancestor", commit, "HEAD"])
        .status();
    match ended.ok()?.code()? {
        0 => Some(true),
        1 => Some(false),
        _ => None,
    }
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        // What a repository's configuration names is not run.
        .args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn said(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = git(folder).args(arguments).stdout(Stdio::piped()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}
