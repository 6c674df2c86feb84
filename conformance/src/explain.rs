//! Validation errors as findings a person can act on: the field is named, noise is dropped.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use crate::pointer::{escape, join};
use crate::schema::{Direction, described_names, parent};

/// One thing wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

/// Longest message kept, in characters: values appear in messages and may be whole bodies.
const MAX_MESSAGE: usize = 240;

/// Explains `errors`, which the converted `schema` gave.
pub(crate) fn explain<'e>(
    schema: &Value,
    direction: Direction,
    errors: impl Iterator<Item = ValidationError<'e>>,
) -> Vec<Finding> {
    let explainer = Explainer { schema, direction };
    let errors: Vec<_> = errors.collect();
    explainer
        .all(&errors)
        .into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

struct Explainer<'s> {
    schema: &'s Value,
    direction: Direction,
}

impl Explainer<'_> {
    fn all(&self, errors: &[ValidationError<'_>]) -> Vec<Finding> {
        let mut out = Vec::new();
        for error in errors.iter().filter(|error| !is_unevaluated(error)) {
            self.one(error, &mut out);
        }
        let mut unevaluated: Vec<_> = errors
            .iter()
            .filter(|error| is_unevaluated(error))
            .collect();
        unevaluated.sort_by_key(|error| Reverse(error.instance_path().as_str().len()));
        for error in unevaluated {
            self.unknown(error, &mut out);
        }
        out
    }

    /// Unknown properties, each on its own. When something else is wrong at or below the same
    /// object, its failing branch evaluates nothing and every property of that branch looks
    /// unknown: then only names that no branch describes are reported. Hence deepest first.
    fn unknown(&self, error: &ValidationError<'_>, out: &mut Vec<Finding>) {
        let Kind::UnevaluatedProperties { unexpected } = error.kind() else {
            return;
        };
        let at = error.instance_path().as_str();
        let below = format!("{at}/");
        let disturbed = out
            .iter()
            .any(|f| f.pointer == at || f.pointer.starts_with(&below));
        let described = if disturbed {
            parent(self.schema, error.schema_path().as_str()).map(described_names)
        } else {
            None
        };
        let described = described.unwrap_or_default();
        for name in unexpected.iter().filter(|name| !described.contains(*name)) {
            out.push(unknown_property(at, name));
        }
    }

    fn one(&self, error: &ValidationError<'_>, out: &mut Vec<Finding>) {
        let at = error.instance_path().as_str();
        match error.kind() {
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                out.push(Finding {
                    pointer: join(at, name),
                    message: format!("required property `{name}` is missing"),
                });
            }
            Kind::AdditionalProperties { unexpected } => {
                out.extend(unexpected.iter().map(|name| unknown_property(at, name)));
            }
            Kind::FalseSchema => out.push(self.hidden(at)),
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                self.alternatives(at, context, out);
            }
            Kind::OneOfMultipleValid { context } => out.push(Finding {
                pointer: at.to_owned(),
                message: format!(
                    "fits more than one of the {} alternatives of which it must fit exactly one",
                    context.len()
                ),
            }),
            _ => out.push(Finding {
                pointer: at.to_owned(),
                message: shorten(&error.to_string()),
            }),
        }
    }

    fn hidden(&self, at: &str) -> Finding {
        let name = at.rsplit('/').next().unwrap_or_default();
        let message = match self.direction {
            Direction::Request => format!("`{name}` is read-only and must not be sent"),
            Direction::Response => format!("`{name}` is write-only and must not be answered"),
        };
        Finding {
            pointer: at.to_owned(),
            message,
        }
    }

    /// No alternative fits: tells what is wrong with the nearest one.
    fn alternatives(
        &self,
        at: &str,
        context: &[Vec<ValidationError<'static>>],
        out: &mut Vec<Finding>,
    ) {
        let nearest = context
            .iter()
            .map(|errors| self.all(errors))
            .min_by_key(|found| (found.iter().any(|f| f.pointer == at), found.len()));
        let count = context.len();
        let Some(nearest) = nearest.filter(|found| found.iter().all(|f| f.pointer != at)) else {
            let reasons: BTreeSet<String> = context
                .iter()
                .flat_map(|errors| self.all(errors))
                .map(|f| f.message)
                .collect();
            let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
            out.push(Finding {
                pointer: at.to_owned(),
                message: shorten(&format!("fits none of {count} alternatives: {reasons}")),
            });
            return;
        };
        for finding in nearest {
            let message = format!("{} (nearest of {count} alternatives)", finding.message);
            out.push(Finding {
                pointer: finding.pointer,
                message,
            });
        }
    }
}

fn is_unevaluated(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), Kind::UnevaluatedProperties { .. })
}

fn unknown_property(at: &str, name: &str) -> Finding {
    Finding {
        pointer: format!("{at}/{}", escape(name)),
        message: format!("unknown property `{name}`"),
    }
}

fn shorten(message: &str) -> String {
    if message.chars().count() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut short: String = message.chars().take(MAX_MESSAGE).collect();
    short.push('…');
    short
}
