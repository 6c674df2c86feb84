//! Fields of raw tables: absent, unreadable, or read, each with its place.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::span::{Span, Spanned};

/// A key that is there.
#[derive(Debug, Clone)]
pub(crate) enum Leaf<T> {
    /// Its value has another type than expected; that has been reported.
    Unread(Span),
    /// Its value.
    Read(Spanned<T>),
}

impl<T> Leaf<T> {
    /// Where it stands.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Unread(span) => *span,
            Self::Read(value) => value.span.unwrap_or(Span::new(0, 0)),
        }
    }
}

/// A key that may be left out.
pub(crate) type Opt<T> = Option<Leaf<T>>;

/// A key that has to be there; that it is not has been reported.
#[derive(Debug, Clone)]
pub(crate) struct Req<T>(pub(crate) Option<Leaf<T>>);

impl<T> Default for Req<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A table whose keys the user chooses, such as labels.
#[derive(Debug, Clone)]
pub(crate) struct Map<T>(pub(crate) Vec<(Spanned<String>, Leaf<T>)>);

/// Stands for `$inner` in the JSON Schema: the wrapper is no part of the file.
macro_rules! transparent_schema {
    ($wrapper:ident, $inner:ident) => {
        impl<$inner: JsonSchema> JsonSchema for $wrapper<$inner> {
            fn inline_schema() -> bool {
                $inner::inline_schema()
            }

            fn schema_name() -> Cow<'static, str> {
                $inner::schema_name()
            }

            fn schema_id() -> Cow<'static, str> {
                $inner::schema_id()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                $inner::json_schema(generator)
            }
        }
    };
}
pub(crate) use transparent_schema;

transparent_schema!(Leaf, T);
transparent_schema!(Req, T);

impl<T: JsonSchema> JsonSchema for Map<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let inner = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": inner })
    }
}
