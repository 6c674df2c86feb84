//! `Value`: the plain tree in which the engine sees what is asked for and what exists.

use crate::address::Address;
use crate::object::Object;
use crate::secret::Secret;
use crate::text::Text;
use std::fmt;
use std::sync::Arc;

/// A reference to an attribute of another resource, filled in when that resource is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref {
    /// The resource.
    pub address: Address,
    /// `id` for the remote id, else a dotted path into its attributes (then its arguments).
    pub attribute: Text,
}

impl Ref {
    /// A reference to `address.attribute`.
    pub fn new(address: Address, attribute: impl Into<Text>) -> Self {
        Self {
            address,
            attribute: attribute.into(),
        }
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.address, self.attribute)
    }
}

/// One value. There are no floating-point numbers: nothing kplan compares needs them, and they
/// would cost `Eq`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Not set.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Str(Text),
    /// A list.
    List(Arc<[Value]>),
    /// Named values.
    Map(Object),
    /// A secret text.
    Secret(Secret),
    /// An attribute of another resource that is not known yet.
    Ref(Box<Ref>),
    /// Known after apply.
    Unknown,
}

impl Value {
    /// Text.
    pub fn str(text: impl Into<Text>) -> Self {
        Self::Str(text.into())
    }

    /// A list.
    pub fn list(items: impl Into<Arc<[Value]>>) -> Self {
        Self::List(items.into())
    }

    /// A reference.
    pub fn reference(reference: Ref) -> Self {
        Self::Ref(Box::new(reference))
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether nothing is set.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether the value is known entirely: no `Ref`, no `Unknown` anywhere inside.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Ref(_) | Self::Unknown => false,
            Self::List(items) => items.iter().all(Self::is_known),
            Self::Map(map) => map.values().all(Self::is_known),
            _ => true,
        }
    }

    /// Whether a secret stands anywhere inside.
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::List(items) => items.iter().any(Self::has_secret),
            Self::Map(map) => map.values().any(Self::has_secret),
            _ => false,
        }
    }

    /// Calls `visit` for every reference inside.
    pub fn for_each_ref<'a>(&'a self, visit: &mut impl FnMut(&'a Ref)) {
        match self {
            Self::Ref(reference) => visit(reference),
            Self::List(items) => items.iter().for_each(|item| item.for_each_ref(visit)),
            Self::Map(map) => map.values().for_each(|item| item.for_each_ref(visit)),
            _ => {}
        }
    }

    /// The same value with every reference replaced by what `fill` gives for it; a reference for
    /// which it gives `None` stays.
    #[must_use]
    pub fn fill(&self, fill: &impl Fn(&Ref) -> Option<Value>) -> Value {
        match self {
            Self::Ref(reference) => fill(reference).unwrap_or_else(|| self.clone()),
            Self::List(items) => Self::List(items.iter().map(|item| item.fill(fill)).collect()),
            Self::Map(map) => Self::Map(fill_object(map, fill)),
            other => other.clone(),
        }
    }
}

/// [`Value::fill`] for every value of an object.
pub fn fill_object(object: &Object, fill: &impl Fn(&Ref) -> Option<Value>) -> Object {
    object
        .iter()
        .map(|(name, value)| (name.clone(), value.fill(fill)))
        .collect()
}

/// The value at a dotted path such as `connection.host` or `ips.0`.
pub fn lookup<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    let mut segments = path.split('.');
    let mut value = object.get(segments.next()?)?;
    for segment in segments {
        value = match value {
            Value::Map(map) => map.get(segment)?,
            Value::List(items) => items.get(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn lookup_walks_maps_and_lists() {
        let object = Object::from([(
            "a".to_owned(),
            Value::Map(Object::from([(
                "b".to_owned(),
                Value::list([Value::Int(7)]),
            )])),
        )]);
        assert_eq!(lookup(&object, "a.b.0"), Some(&Value::Int(7)));
        assert_eq!(lookup(&object, "a.b.1"), None);
        assert_eq!(lookup(&object, "a.b.0.c"), None);
    }

    #[test]
    fn fill_keeps_what_is_not_known() {
        let here = Ref::new(Address::new(Kind::new("vpc"), "main"), "id");
        let there = Ref::new(Address::new(Kind::new("vpc"), "other"), "id");
        let value = Value::list([here.clone(), there.clone()].map(Value::reference));
        let filled = value.fill(&|r| (*r == here).then(|| Value::str("x")));
        assert_eq!(
            filled,
            Value::list([Value::str("x"), Value::reference(there)])
        );
        assert!(!filled.is_known());
    }
}
