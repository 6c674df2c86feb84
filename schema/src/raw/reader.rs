//! Our reader: walks a TOML tree into raw tables and goes on after every error. (serde stops at
//! the first one.)

use schemars::JsonSchema;
use toml::de::{DeTable, DeValue};

use super::leaf::{Leaf, Map, Opt, Req};
use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::redact::is_secret_key;
use crate::span::{Span, Spanned};
use crate::suggest::{nearest, shortened};

/// A value of the TOML tree with its place.
pub(crate) type Node<'a, 'i> = &'a toml::Spanned<DeValue<'i>>;

/// What the reader carries along.
pub(crate) struct Context<'r> {
    pub(crate) report: &'r mut Report,
    /// The text was not TOML all through, so a key that is not there may merely have been lost.
    pub(crate) incomplete: bool,
}

/// A type that can be read from a TOML value.
pub(crate) trait Read: Sized + JsonSchema {
    /// What belongs here, as a message says it: `a string`.
    const EXPECTED: &'static str;

    /// The value, or `None` after reporting why not. `path` is the key's, such as `k3s.version`.
    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self>;

    /// A key whose value may need to be given up: lists of these say so.
    fn is_table() -> bool {
        false
    }
}

/// A table with a fixed set of keys.
pub(crate) trait RawTable: Read {
    /// The keys the reader accepts, in the order of their declaration, and whether each has to be
    /// there. The reader itself matches field by field; a test holds the two together.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "read by the test that compares it with the JSON Schema"
        )
    )]
    const KEYS: &'static [(&'static str, bool)];

    /// Reads every key and reports those nobody knows or misses.
    fn read_table(table: &DeTable<'_>, span: Span, path: &str, context: &mut Context<'_>) -> Self;

    /// The table without a single key: what stands in for one that could not be read.
    fn empty(span: Span) -> Self;

    /// Header of the table, or the whole inline table.
    fn span(&self) -> Span;
}

/// A field of a raw table.
pub(crate) trait Slot: Default {
    /// Whether the key has to be there.
    const REQUIRED: bool;

    /// Reads the key's value.
    fn fill(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Self;
}

impl<T: Read> Slot for Opt<T> {
    const REQUIRED: bool = false;

    fn fill(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Self {
        Some(read_leaf(node, path, context))
    }
}

impl<T: Read> Slot for Req<T> {
    const REQUIRED: bool = true;

    fn fill(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Self {
        Self(Some(read_leaf(node, path, context)))
    }
}

pub(crate) fn read_leaf<T: Read>(
    node: Node<'_, '_>,
    path: &str,
    context: &mut Context<'_>,
) -> Leaf<T> {
    let span = Span::from(node.span());
    match T::read(node, path, context) {
        Some(value) => Leaf::Read(Spanned::at(span, value)),
        None => {
            context.report.distrust(span);
            Leaf::Unread(span)
        }
    }
}

/// Declares a raw table: the struct, its reader and its JSON Schema from one list of keys.
macro_rules! raw_table {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$field_meta:meta])* $field:ident: $slot:ident<$ty:ty>),* $(,)?
        }
    ) => {
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$meta])*
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: $slot<$ty>,)*
            /// Header of the table, or the whole inline table.
            #[schemars(skip)]
            pub(crate) span: $crate::span::Span,
        }

        impl $crate::raw::RawTable for $name {
            const KEYS: &'static [(&'static str, bool)] = &[
                $((
                    $crate::raw::reader::key(stringify!($field)),
                    <$slot<$ty> as $crate::raw::reader::Slot>::REQUIRED,
                )),*
            ];

            fn read_table(
                table: &toml::de::DeTable<'_>,
                span: $crate::span::Span,
                path: &str,
                context: &mut $crate::raw::Context<'_>,
            ) -> Self {
                use $crate::raw::reader::{Slot, child, key, missing_key, unknown_key};
                let mut out = <Self as $crate::raw::RawTable>::empty(span);
                $(let mut $field = false;)*
                for (name, value) in table {
                    if context.report.is_full() {
                        break;
                    }
                    let text: &str = name.get_ref();
                    $(if text == key(stringify!($field)) {
                        $field = true;
                        out.$field = Slot::fill(value, &child(path, text), context);
                        continue;
                    })*
                    let known = [$(key(stringify!($field))),*];
                    unknown_key(text, name.span().into(), path, &known, context);
                }
                $(if !$field && <$slot<$ty> as Slot>::REQUIRED {
                    missing_key(key(stringify!($field)), path, span, context);
                })*
                out
            }

            fn empty(span: $crate::span::Span) -> Self {
                Self { $($field: Default::default(),)* span }
            }

            fn span(&self) -> $crate::span::Span {
                self.span
            }
        }

        impl $crate::raw::Read for $name {
            const EXPECTED: &'static str = "a table";

            fn read(
                node: $crate::raw::Node<'_, '_>,
                path: &str,
                context: &mut $crate::raw::Context<'_>,
            ) -> Option<Self> {
                $crate::raw::reader::read_table_node(node, path, context)
            }

            fn is_table() -> bool {
                true
            }
        }
    };
}
pub(crate) use raw_table;

/// A field's key: its name without Rust's mark for raw identifiers.
pub(crate) const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// The path of a key in a table; the file itself has an empty path.
pub(crate) fn child(path: &str, key: &str) -> String {
    let key = shortened(key);
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

fn table_name(path: &str) -> String {
    if path.is_empty() {
        "the file".to_owned()
    } else {
        format!("`{path}`")
    }
}

/// Reads the file's root table.
pub(crate) fn read_root<T: RawTable>(root: &DeTable<'_>, context: &mut Context<'_>) -> T {
    T::read_table(root, Span::new(0, 0), "", context)
}

pub(crate) fn read_table_node<T: RawTable>(
    node: Node<'_, '_>,
    path: &str,
    context: &mut Context<'_>,
) -> Option<T> {
    match node.get_ref() {
        DeValue::Table(table) => Some(T::read_table(table, node.span().into(), path, context)),
        DeValue::Array(items) if items.iter().all(|item| item.get_ref().is_table()) => {
            context.report.push(
                Finding::new(
                    Code::WrongType,
                    format!("`{path}` is a list of tables, not a table"),
                )
                .label(Span::from(node.span()), "there is only one of these")
                .why("A second one would contradict the first.")
                .remedy(format!("Write `[{path}]` with single brackets, once.")),
            );
            None
        }
        _ => wrong_type(node, path, T::EXPECTED, context),
    }
}

pub(crate) fn unknown_key(
    text: &str,
    span: Span,
    path: &str,
    known: &[&'static str],
    context: &mut Context<'_>,
) {
    let near = nearest(text, known.iter().copied());
    let remedy = match near {
        Some(word) => format!("Did you mean `{word}`?"),
        None => format!("Known in {}: {}.", table_name(path), known.join(", ")),
    };
    context.report.push(
        Finding::new(
            Code::UnknownKey,
            format!("unknown key `{}` in {}", shortened(text), table_name(path)),
        )
        .label(span, "not a key kplan knows here")
        .why("A key that is skipped silently is an edit that never takes effect.")
        .remedy(remedy)
        .suggest(span, near),
    );
}

pub(crate) fn missing_key(name: &'static str, path: &str, span: Span, context: &mut Context<'_>) {
    if context.incomplete {
        return;
    }
    let (message, place) = if path.is_empty() {
        (format!("the table `[{name}]` is missing"), None)
    } else {
        (format!("`{path}` has no `{name}`"), Some(span))
    };
    let remedy = match (path, name) {
        ("", "cluster") => "Add `[cluster]` with `name` and `region`.".to_owned(),
        _ => format!("Add `{name} = …`."),
    };
    context.report.push(
        Finding::new(Code::MissingKey, message)
            .label(place, format!("`{name}` is required here"))
            .why("There is no default that would be right for everybody.")
            .remedy(remedy),
    );
}

/// Reports a value of the wrong TOML type.
pub(crate) fn wrong_type<T>(
    node: Node<'_, '_>,
    path: &str,
    expected: &str,
    context: &mut Context<'_>,
) -> Option<T> {
    let found = match node.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a floating-point number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let (remedy, replacement) = repair(node, path, expected);
    let span = Span::from(node.span());
    context.report.push(
        Finding::new(
            Code::WrongType,
            format!("`{path}` has to be {expected}, not {found}"),
        )
        .label(span, format!("this is {found}"))
        .why("kplan does not guess at conversions: what is written is what is applied.")
        .remedy(remedy)
        .suggest(span, replacement.as_deref()),
    );
    None
}

/// What to write instead, when the value shows what was meant.
fn repair(node: Node<'_, '_>, path: &str, expected: &str) -> (String, Option<String>) {
    let plain = match node.get_ref() {
        // What somebody typed where a secret's source belongs is not repeated.
        _ if path.split(['.', '[']).any(is_secret_key) => None,
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    match (expected, node.get_ref(), plain) {
        ("a string", DeValue::Integer(_) | DeValue::Boolean(_), Some(text)) => (
            format!("Put it in quotes: `\"{}\"`.", shortened(&text)),
            Some(format!("\"{text}\"")),
        ),
        ("a whole number", DeValue::String(_), Some(text)) if text.parse::<i64>().is_ok() => (
            format!("Take off the quotes: `{}`.", shortened(&text)),
            Some(text),
        ),
        ("true or false", DeValue::String(_), Some(text)) if text == "true" || text == "false" => {
            (format!("Take off the quotes: `{text}`."), Some(text))
        }
        ("a list of tables", DeValue::Table(_), _) => {
            (format!("Write `[[{path}]]` with double brackets."), None)
        }
        ("a list of strings", DeValue::String(_), Some(text)) => (
            format!("Put it in brackets: `[\"{}\"]`.", shortened(&text)),
            None,
        ),
        _ => (format!("Write {expected}."), None),
    }
}

impl Read for String {
    const EXPECTED: &'static str = "a string";

    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => wrong_type(node, path, Self::EXPECTED, context),
        }
    }
}

impl Read for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => wrong_type(node, path, Self::EXPECTED, context),
        }
    }
}

impl Read for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Integer(number) => {
                if let Ok(value) = Self::from_str_radix(number.as_str(), number.radix()) {
                    return Some(value);
                }
                let span = Span::from(node.span());
                context.report.push(
                    Finding::new(
                        Code::OutOfRange,
                        format!("`{path}` is larger than any number here"),
                    )
                    .label(span, "does not fit into 64 bits")
                    .why("No count or size of a cluster is that large.")
                    .remedy("Write a smaller number."),
                );
                None
            }
            _ => wrong_type(node, path, Self::EXPECTED, context),
        }
    }
}

impl<T: Read> Read for Vec<Leaf<T>> {
    const EXPECTED: &'static str = "a list";

    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self> {
        let DeValue::Array(items) = node.get_ref() else {
            let expected = if T::is_table() {
                "a list of tables"
            } else if T::EXPECTED == "a string" {
                "a list of strings"
            } else {
                Self::EXPECTED
            };
            return wrong_type(node, path, expected, context);
        };
        let mut out = Self::new();
        for (index, item) in items.iter().enumerate() {
            if context.report.is_full() {
                break;
            }
            out.push(read_leaf(item, &format!("{path}[{index}]"), context));
        }
        Some(out)
    }
}

impl<T: Read> Read for Map<T> {
    const EXPECTED: &'static str = "a table";

    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self> {
        let DeValue::Table(table) = node.get_ref() else {
            return wrong_type(node, path, Self::EXPECTED, context);
        };
        let mut out = Vec::new();
        for (name, value) in table {
            if context.report.is_full() {
                break;
            }
            let text: &str = name.get_ref();
            let leaf = read_leaf(value, &child(path, text), context);
            out.push((Spanned::at(name.span().into(), text.to_owned()), leaf));
        }
        Some(Self(out))
    }
}
