//! Tables where people type secrets by mistake: anything but a table is reported as one, without
//! its text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use toml::de::DeValue;

use super::leaf::transparent_schema;
use super::reader::{Context, Node, RawTable, Read, read_table_node};
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::span::Span;

/// A table that says where a secret comes from.
#[derive(Debug, Clone)]
pub(crate) struct Sensitive<T>(pub(crate) T);

transparent_schema!(Sensitive, T);

impl<T: RawTable> Read for Sensitive<T> {
    const EXPECTED: &'static str = "a table";

    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self> {
        if let DeValue::Table(_) = node.get_ref() {
            return read_table_node(node, path, context).map(Self);
        }
        context.report.push(
            Finding::new(
                Code::SecretLiteral,
                format!("`{path}` is given as a literal"),
            )
            .label(Span::from(node.span()), "withheld")
            .why(
                "The file is reviewed and kept in Git, so whatever it holds is not secret any \
                     more. The text is withheld from this report.",
            )
            .remedy(if path.ends_with("credentials") {
                "Revoke it, and name the source of its successor: \
                     `credentials = { token = { env = \"GITHUB_TOKEN\" } }`."
            } else {
                "Revoke it, and name the source of its successor: `{ env = \"NAME\" }`, \
                     `{ file = \"path\" }` or `{ command = [\"program\", \"argument\"] }`."
            }),
        );
        None
    }
}
