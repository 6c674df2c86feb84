//! Secret sources.

use super::Lowerer;
use crate::code::Code;
use crate::raw::{Leaf, RawSecretSource, Req, Sensitive};
use crate::redact::looks_secret;
use crate::span::{Span, Spanned};
use crate::value::{Invalid, SecretSource, env_name};

impl Lowerer<'_> {
    /// A secret's source, or a stand-in where it is none.
    pub(super) fn secret(
        &mut self,
        leaf: &Leaf<Sensitive<RawSecretSource>>,
    ) -> Spanned<SecretSource> {
        match leaf {
            Leaf::Unread(span) => Spanned::at(*span, SecretSource::stand_in()),
            Leaf::Read(table) => {
                let raw = &table.value.0;
                let span = table.span.unwrap_or(raw.span);
                let source = self.secret_source(raw).unwrap_or_else(|| {
                    self.report.distrust(span);
                    SecretSource::stand_in()
                });
                Spanned::at(span, source)
            }
        }
    }

    /// One that has to be there; that it is not has been reported.
    pub(super) fn required_secret(
        &mut self,
        field: &Req<Sensitive<RawSecretSource>>,
    ) -> Spanned<SecretSource> {
        match &field.0 {
            Some(leaf) => self.secret(leaf),
            None => Spanned::default_of(SecretSource::stand_in()),
        }
    }

    fn secret_source(&mut self, raw: &RawSecretSource) -> Option<SecretSource> {
        let written = [
            ("env", raw.env.is_some()),
            ("file", raw.file.is_some()),
            ("command", raw.command.is_some()),
        ];
        if !self.exactly_one(&written, raw.span, "A secret has one source.") {
            return None;
        }
        if let Some(leaf) = &raw.env {
            let (span, name) = read(leaf)?;
            return env_name(name)
                .map(SecretSource::Env)
                .map_err(|e| self.invalid(span, e))
                .ok();
        }
        if let Some(leaf) = &raw.file {
            let (span, path) = read(leaf)?;
            let checked = if looks_secret(path) {
                Err(literal())
            } else if path.is_empty() || path.chars().any(char::is_control) {
                Err(nameless(
                    "`file` names no file",
                    "Write its path: `{ file = \"~/.keys/deploy\" }`.",
                ))
            } else {
                Ok(SecretSource::File(path.to_owned()))
            };
            return checked.map_err(|e| self.invalid(span, e)).ok();
        }
        let Leaf::Read(words) = raw.command.as_ref()? else {
            return None;
        };
        let span = words.span.unwrap_or(raw.span);
        let mut command = Vec::new();
        for word in &words.value {
            let (word_span, text) = read(word)?;
            if looks_secret(text) {
                self.invalid(word_span, literal());
                return None;
            }
            command.push(text.to_owned());
        }
        if command.first().is_none_or(String::is_empty) {
            self.invalid(
                span,
                nameless(
                    "`command` names no program",
                    "Write the program and its arguments: \
                     `{ command = [\"op\", \"read\", \"op://vault/item/field\"] }`.",
                ),
            );
            return None;
        }
        Some(SecretSource::Command(command))
    }
}

fn read(leaf: &Leaf<String>) -> Option<(Span, &str)> {
    match leaf {
        Leaf::Unread(_) => None,
        Leaf::Read(text) => Some((text.span?, text.value.as_str())),
    }
}

fn nameless(what: &str, remedy: &str) -> Invalid {
    Invalid::new(
        Code::SecretSourceInvalid,
        what,
        "Without its source the secret cannot be had when it is needed.",
        remedy,
    )
}

fn literal() -> Invalid {
    Invalid::new(
        Code::SecretLiteral,
        "a secret stands where its source belongs",
        "The file is reviewed and kept in Git, so whatever it holds is not secret any more. The \
         text is withheld from this report.",
        "Revoke it, and name the source of its successor.",
    )
}
