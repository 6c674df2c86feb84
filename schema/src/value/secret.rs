//! Where a secret comes from. The file never holds the secret itself.

use super::Invalid;
use crate::code::Code;
use crate::redact::looks_secret;

/// The source of a secret, tagged by its one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretSource {
    /// `{ env = "NAME" }`: an environment variable.
    Env(String),
    /// `{ file = "path" }`: a file's content; `~/` is the home folder.
    File(String),
    /// `{ command = ["program", "argument"] }`: what a program prints; never run by a shell.
    Command(Vec<String>),
}

impl SecretSource {
    /// What takes the place of a source that could not be read.
    pub(crate) fn stand_in() -> Self {
        Self::Env("UNREADABLE".to_owned())
    }
}

/// Checks the name of an environment variable.
pub(crate) fn env_name(text: &str) -> Result<String, Invalid> {
    if looks_secret(text) {
        return Err(Invalid::new(
            Code::SecretLiteral,
            "a secret stands where the name of an environment variable belongs",
            "The file is reviewed and kept in Git, so whatever it holds is not secret any more. \
             The text is withheld from this report.",
            "Revoke it, put its successor into an environment variable, and name that variable \
             here.",
        ));
    }
    let plain = (1..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit());
    if plain {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(
        Code::SecretSourceInvalid,
        "not the name of an environment variable",
        "`env` names the variable that holds the secret: letters, digits and underscores, not \
         starting with a digit. What stands here is withheld, since it might be the secret.",
        "Write the name alone, without `$` or braces: `{ env = \"GITHUB_TOKEN\" }`.",
    ))
}
