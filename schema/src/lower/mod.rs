//! Second pass: raw tables to typed values, with every default filled in.
#![expect(
    clippy::ref_option,
    reason = "fields are handed over as they are declared; `Opt` says more than `Option<&Leaf>`"
)]

mod addon;
mod cluster;
mod dns;
mod k3s;
mod nodes;
mod platform;
mod relocation;
mod secret;
mod unsupported;

use std::ops::RangeInclusive;

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::raw::{Leaf, Opt, RawFile, RawTable, Req};
use crate::redact::looks_secret;
use crate::span::{Span, Spanned};
use crate::spec::Spec;
use crate::value::{FromText, Invalid};

/// Makes the typed tree. What could not be read is reported, distrusted and replaced by a
/// stand-in, so that the tree is always whole and the rules can judge the rest.
pub(crate) fn lower(raw: &RawFile, report: &mut Report) -> Spec {
    let mut lowerer = Lowerer { report };
    lowerer.unsupported(raw);
    lowerer.spec(raw)
}

struct Lowerer<'r> {
    report: &'r mut Report,
}

impl Lowerer<'_> {
    fn invalid(&mut self, span: Span, invalid: Invalid) {
        self.report.distrust(span);
        self.report.push(
            Finding::new(invalid.code, invalid.what)
                .label(span, "")
                .why(invalid.why)
                .remedy(invalid.remedy)
                .suggest(span, invalid.replacement.as_deref()),
        );
    }

    /// A text as a typed value, or a stand-in where it is none.
    fn text<T: FromText>(&mut self, leaf: &Leaf<String>) -> Spanned<T> {
        let (span, value) = match leaf {
            Leaf::Unread(span) => (*span, T::stand_in()),
            Leaf::Read(text) => {
                let span = text.span.unwrap_or(Span::new(0, 0));
                match checked(text) {
                    Ok(value) => (span, value),
                    Err(invalid) => {
                        self.invalid(span, invalid);
                        (span, T::stand_in())
                    }
                }
            }
        };
        Spanned::at(span, value)
    }

    /// A required text. That it is missing has been reported by the reader.
    fn required<T: FromText>(&mut self, field: &Req<String>) -> Spanned<T> {
        match &field.0 {
            Some(leaf) => self.text(leaf),
            None => Spanned::default_of(T::stand_in()),
        }
    }

    /// An optional text with its default.
    fn text_or<T: FromText>(
        &mut self,
        field: &Opt<String>,
        default: impl FnOnce() -> T,
    ) -> Spanned<T> {
        match field {
            Some(leaf) => self.text(leaf),
            None => Spanned::default_of(default()),
        }
    }

    /// An optional text without a default.
    fn optional<T: FromText>(&mut self, field: &Opt<String>) -> Option<Spanned<T>> {
        field.as_ref().map(|leaf| self.text(leaf))
    }

    /// Free text of at most `max` characters.
    fn free_text(
        &mut self,
        field: &Opt<String>,
        min: usize,
        max: usize,
        default: &str,
    ) -> Spanned<String> {
        let value = match field {
            None => return Spanned::default_of(default.to_owned()),
            Some(Leaf::Unread(span)) => return Spanned::at(*span, default.to_owned()),
            Some(Leaf::Read(value)) => value,
        };
        let span = value.span.unwrap_or(Span::new(0, 0));
        let length = value.chars().count();
        if let Err(invalid) = checked::<String>(value) {
            self.invalid(span, invalid);
            return Spanned::at(span, default.to_owned());
        }
        if (min..=max).contains(&length) && !value.chars().any(char::is_control) {
            return value.clone();
        }
        let what = if length < min {
            "the text is empty".to_owned()
        } else if length > max {
            format!("the text has {length} characters, {max} are allowed")
        } else {
            "the text holds control characters".to_owned()
        };
        self.invalid(
            span,
            Invalid::new(
                Code::TextInvalid,
                what,
                format!("DigitalOcean takes one line of {min} to {max} characters here."),
                "Rewrite it.",
            ),
        );
        Spanned::at(span, default.to_owned())
    }

    /// A list of texts. Entries that are no valid values are left out, and the list is distrusted.
    fn list<T: FromText>(&mut self, field: &Opt<Vec<Leaf<String>>>) -> Vec<Spanned<T>> {
        self.list_with_span(field)
            .map(|list| list.value)
            .unwrap_or_default()
    }

    fn list_with_span<T: FromText>(
        &mut self,
        field: &Opt<Vec<Leaf<String>>>,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let leaves = match field {
            None => return None,
            Some(Leaf::Unread(span)) => return Some(Spanned::at(*span, Vec::new())),
            Some(Leaf::Read(leaves)) => leaves,
        };
        let mut out = Vec::new();
        let mut whole = true;
        for leaf in &leaves.value {
            let read = match leaf {
                Leaf::Unread(_) => None,
                Leaf::Read(text) => {
                    let span = text.span.unwrap_or(Span::new(0, 0));
                    match checked(text) {
                        Ok(value) => Some(Spanned::at(span, value)),
                        Err(invalid) => {
                            self.invalid(span, invalid);
                            None
                        }
                    }
                }
            };
            whole &= read.is_some();
            out.extend(read);
        }
        if let (false, Some(span)) = (whole, leaves.span) {
            self.report.distrust(span);
        }
        Some(Spanned {
            value: out,
            span: leaves.span,
        })
    }

    /// A whole number in a range, with its default.
    fn number(
        &mut self,
        field: &Opt<i64>,
        range: RangeInclusive<u32>,
        default: u32,
        why: &str,
    ) -> Spanned<u32> {
        match field {
            None => Spanned::default_of(default),
            Some(leaf) => self.ranged(leaf, range, default, why),
        }
    }

    fn ranged(
        &mut self,
        leaf: &Leaf<i64>,
        range: RangeInclusive<u32>,
        stand_in: u32,
        why: &str,
    ) -> Spanned<u32> {
        let value = match leaf {
            Leaf::Unread(span) => return Spanned::at(*span, stand_in),
            Leaf::Read(value) => value,
        };
        let span = value.span.unwrap_or(Span::new(0, 0));
        match u32::try_from(value.value)
            .ok()
            .filter(|n| range.contains(n))
        {
            Some(n) => Spanned::at(span, n),
            None => {
                let (min, max) = (range.start(), range.end());
                self.invalid(
                    span,
                    Invalid::new(
                        Code::OutOfRange,
                        format!("{} is not between {min} and {max}", value.value),
                        why,
                        format!("Write a whole number from {min} to {max}."),
                    ),
                );
                Spanned::at(span, stand_in)
            }
        }
    }

    /// The tables of a list; that some entry is no table has been reported.
    fn tables<T>(field: &Opt<Vec<Leaf<T>>>) -> impl Iterator<Item = &T> {
        let leaves = match field {
            Some(Leaf::Read(leaves)) => leaves.value.as_slice(),
            _ => &[],
        };
        leaves.iter().filter_map(|leaf| match leaf {
            Leaf::Read(table) => Some(&table.value),
            Leaf::Unread(_) => None,
        })
    }
}

/// The text as a value. Whatever can only be a secret is refused everywhere, even where its
/// characters would do, and before any message is made from it.
fn checked<T: FromText>(text: &str) -> Result<T, Invalid> {
    match T::from_text(text) {
        Err(invalid) if invalid.code == Code::SecretLiteral => Err(invalid),
        _ if looks_secret(text) => Err(Invalid::new(
            Code::SecretLiteral,
            "this is a secret",
            "The file is reviewed and kept in Git, so whatever it holds is not secret any more. \
             The text is withheld from this report.",
            "Revoke it. Secrets are named by their source, in the keys made for them.",
        )),
        result => result,
    }
}

fn flag(field: &Opt<bool>, default: bool) -> Spanned<bool> {
    match field {
        None => Spanned::default_of(default),
        Some(Leaf::Unread(span)) => Spanned::at(*span, default),
        Some(Leaf::Read(value)) => value.clone(),
    }
}

/// A table that is there: as it was read, or empty where it could not be.
fn present<T: RawTable + Clone>(field: &Opt<T>) -> Option<T> {
    field.as_ref().map(whole)
}

fn whole<T: RawTable + Clone>(leaf: &Leaf<T>) -> T {
    match leaf {
        Leaf::Read(table) => table.value.clone(),
        Leaf::Unread(span) => T::empty(*span),
    }
}
