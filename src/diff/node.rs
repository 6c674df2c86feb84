//! `Node`: the one tree in which values of fields and documents in texts are compared.

use super::kubernetes;
use crate::render::fold;
use crate::render::value::quote;
use kplan_engine::compare::canonical;
use kplan_model::{Compare, Secret, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How a secret is shown.
pub(super) const SENSITIVE: &str = "(sensitive value)";
/// How what is not known yet is shown.
pub(super) const UNKNOWN: &str = "(known after apply)";
/// Lists and maps of no more characters than these stand on one line.
const INLINE: usize = 72;
/// A secret of at least so many bytes is looked for within other texts too; a shorter one stands
/// in words that have nothing to do with it.
const PART: usize = 8;

/// A value, a document, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// Not set.
    Null,
    /// What is shown as it is: a number, a date, `true`, an artifact.
    Told(String),
    /// Text, and how it was encoded where it stood.
    Text(String, Option<&'static str>),
    /// A secret text.
    Secret(Secret),
    /// Known after apply; with the reference, if it is one.
    Unknown(Option<String>),
    /// A list whose order counts.
    List(Vec<Node>),
    /// A list whose order does not count, and how its items are compared.
    Set(Sort, Vec<Node>),
    /// Named values.
    Map(BTreeMap<String, Node>),
}

/// How the items of a set are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// As they are.
    Plain,
    /// Without regard to case.
    CaseFold,
    /// As ranges of a network.
    Cidr,
}

impl Sort {
    const fn of(how: Compare) -> Option<Self> {
        match how {
            Compare::Set => Some(Self::Plain),
            Compare::CaseFold => Some(Self::CaseFold),
            Compare::Cidr => Some(Self::Cidr),
            Compare::Exact | Compare::Quantity => None,
        }
    }

    const fn compare(self) -> Compare {
        match self {
            Self::Plain => Compare::Set,
            Self::CaseFold => Compare::CaseFold,
            Self::Cidr => Compare::Cidr,
        }
    }
}

/// How the values of a field are read.
pub(super) struct Reading<'a> {
    how: Option<Compare>,
    secrets: BTreeSet<&'a str>,
}

impl<'a> Reading<'a> {
    /// For both values of a field that is compared like that.
    pub(super) fn new(how: Option<Compare>, values: [&'a Value; 2]) -> Self {
        let mut secrets = BTreeSet::new();
        for value in values {
            collect(value, &mut secrets);
        }
        Self { how, secrets }
    }

    /// Whether a text gives one of the secrets beside it away: a password in an address, or what
    /// was recorded in clear before it was a secret.
    fn is_secret(&self, text: &str) -> bool {
        let mut secrets = self.secrets.iter();
        secrets.any(|secret| text == *secret || secret.len() >= PART && text.contains(secret))
    }
}

fn collect<'a>(value: &'a Value, secrets: &mut BTreeSet<&'a str>) {
    match value {
        Value::Secret(secret) => secrets.extend(secret.expose().filter(|text| !text.is_empty())),
        Value::List(items) => items.iter().for_each(|item| collect(item, secrets)),
        Value::Map(map) => map.values().for_each(|item| collect(item, secrets)),
        _ => {}
    }
}

impl Node {
    /// The value of a field.
    pub(super) fn of(value: &Value, how: &Reading<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Told(flag.to_string()),
            Value::Int(number) => Self::Told(number.to_string()),
            Value::Str(text) if how.is_secret(text) => Self::Secret(Secret::new(text.as_str())),
            Value::Str(text) => Self::text(text.as_str()),
            Value::Secret(secret) => Self::Secret(secret.clone()),
            Value::Ref(reference) => Self::Unknown(Some(reference.to_string())),
            Value::Unknown => Self::Unknown(None),
            Value::List(items) => {
                let nodes = match fold::artifacts(items) {
                    Some(told) => told.into_iter().map(Self::Told).collect(),
                    None => items.iter().map(|item| Self::of(item, how)).collect(),
                };
                match how.how.and_then(Sort::of) {
                    Some(sort) => Self::Set(sort, nodes),
                    None => Self::List(nodes),
                }
            }
            Value::Map(map) => {
                if let Some(artifact) = fold::artifact(map) {
                    return Self::Told(artifact);
                }
                // A name that is null counts as missing, as when it is compared.
                let set = map.iter().filter(|(_, value)| !value.is_null());
                let nodes = set.map(|(name, value)| (name.to_string(), Self::of(value, how)));
                let mut nodes = nodes.collect();
                kubernetes::mask(&mut nodes);
                Self::Map(nodes)
            }
        }
    }

    /// Text that was not encoded.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into(), None)
    }

    /// The text, if this is text.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text, _) => Some(text),
            _ => None,
        }
    }

    /// How many values stand in it.
    pub(super) fn leaves(&self) -> usize {
        match self {
            Self::List(items) | Self::Set(_, items) => items.iter().map(Self::leaves).sum(),
            Self::Map(map) => map.values().map(Self::leaves).sum(),
            _ => 1,
        }
    }

    /// The form that all items of a set share that mean the same.
    pub(super) fn key(&self, sort: Sort) -> Self {
        match self {
            Self::Text(text, _) => {
                let value = canonical(sort.compare(), &Value::str(text.as_str()));
                Self::text(value.as_str().unwrap_or(text))
            }
            Self::List(items) | Self::Set(_, items) => {
                let mut keys: Vec<Self> = items.iter().map(|item| item.key(sort)).collect();
                keys.sort();
                keys.dedup();
                Self::Set(sort, keys)
            }
            Self::Map(map) => {
                let keys = map
                    .iter()
                    .map(|(name, node)| (name.clone(), node.key(sort)));
                Self::Map(keys.collect())
            }
            other => other.clone(),
        }
    }

    /// What it looks like: on one line where that is short, else on several.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Told(text) => text.clone(),
            Self::Text(text, _) => shown_text(text),
            Self::Secret(_) => SENSITIVE.to_owned(),
            Self::Unknown(_) => UNKNOWN.to_owned(),
            Self::List(items) | Self::Set(_, items) => {
                enclosed("[", "]", items.iter().map(Self::shown))
            }
            Self::Map(map) => {
                let named =
                    |(key, node): (&String, &Self)| format!("{} = {}", name(key), node.shown());
                enclosed("{", "}", map.iter().map(named))
            }
        }
    }

    /// The same on one line, whatever it is.
    pub(super) fn told(&self) -> String {
        let shown = self.shown();
        if !shown.contains('\n') {
            return shown;
        }
        match self {
            Self::Text(text, _) => format!("(text of {} lines)", text.lines().count()),
            Self::Map(map) => format!("(map of {})", map.len()),
            Self::List(items) | Self::Set(_, items) => format!("(list of {})", items.len()),
            _ => String::new(),
        }
    }
}

/// Text of one line in quotes, of several between `<<-EOT` and `EOT`; certificates and keys by
/// their digest.
fn shown_text(text: &str) -> String {
    if kubernetes::holds_secret(text) {
        return SENSITIVE.to_owned();
    }
    if let Some(pem) = fold::pem(text) {
        return pem;
    }
    if !is_long(text) {
        return quote(text);
    }
    let lines = text.lines().map(|line| format!("    {line}\n"));
    format!("<<-EOT\n{}EOT", lines.collect::<String>())
}

/// Whether a text has several lines.
pub(super) fn is_long(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
}

fn enclosed(open: &str, close: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return format!("{open}{close}");
    }
    let pad = if open == "{" { " " } else { "" };
    let inline = format!("{open}{pad}{}{pad}{close}", items.join(", "));
    if inline.chars().count() <= INLINE && !inline.contains('\n') {
        return inline;
    }
    let comma = if open == "{" { "" } else { "," };
    let lines = items.iter().flat_map(|item| {
        let mut lines: Vec<String> = item.split('\n').map(|line| format!("    {line}")).collect();
        if let Some(last) = lines.last_mut() {
            last.push_str(comma);
        }
        lines
    });
    let lines: Vec<String> = lines.collect();
    format!("{open}\n{}\n{close}", lines.join("\n"))
}

/// A name as it stands before `=`.
pub(super) fn name(key: &str) -> String {
    if is_bare(key) {
        key.to_owned()
    } else {
        quote(key)
    }
}

/// Whether a name needs no quotes.
pub(super) fn is_bare(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !key.is_empty() && key.chars().all(plain)
}
