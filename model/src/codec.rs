//! `Codec`: typed arguments and attributes to and from the plain tree. It stands in for serde here
//! because serde would let a secret be written by any serializer.

use crate::object::Object;
use crate::secret::Secret;
use crate::text::literal;
use crate::value::{Ref, Value};
use std::collections::BTreeMap;
use std::fmt;

/// A value does not have the shape its type needs. This is a bug of kplan's or a damaged state,
/// never the user's fault: the file was checked before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// Dotted path to the value.
    pub path: String,
    /// What was expected there.
    pub expected: &'static str,
}

impl ShapeError {
    fn new(expected: &'static str) -> Self {
        Self {
            path: String::new(),
            expected,
        }
    }

    /// The same error one level further up.
    #[must_use]
    pub fn under(mut self, segment: &str) -> Self {
        self.path = if self.path.is_empty() {
            segment.to_owned()
        } else {
            format!("{segment}.{}", self.path)
        };
        self
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.path, self.expected)
    }
}

impl std::error::Error for ShapeError {}

/// A type with a form in the plain tree. `decode(encode(x)) == x`.
pub trait Codec: Sized {
    /// The plain form.
    fn encode(&self) -> Value;

    /// The typed form.
    fn decode(value: &Value) -> Result<Self, ShapeError>;
}

/// A struct with named fields; [`object!`](crate::object!) implements it.
pub trait ObjectCodec: Codec + Send + Sync {
    /// The names of the fields, in order.
    const NAMES: &'static [&'static str];

    /// The plain form; fields that are not set are left out.
    fn to_object(&self) -> Object {
        match self.encode() {
            Value::Map(map) => map,
            _ => Object::new(),
        }
    }

    /// The typed form. Names it does not know are ignored: an older kplan may read a newer
    /// remote side.
    fn from_object(object: &Object) -> Result<Self, ShapeError>;
}

/// Declares a struct whose fields are [`Codec`]s and implements [`ObjectCodec`] for it.
#[macro_export]
macro_rules! object {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$fmeta:meta])* $fvis:vis $field:ident : $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $type),* }

        impl $crate::codec::Codec for $name {
            fn encode(&self) -> $crate::value::Value {
                $crate::value::Value::Map($crate::codec::fields([$(
                    ($crate::codec::plain_name(stringify!($field)), $crate::codec::Codec::encode(&self.$field))
                ),*]))
            }

            fn decode(value: &$crate::value::Value) -> Result<Self, $crate::codec::ShapeError> {
                $crate::codec::with_map(value, |map| {
                    <Self as $crate::codec::ObjectCodec>::from_object(map)
                })
            }
        }

        impl $crate::codec::ObjectCodec for $name {
            const NAMES: &'static [&'static str] = &[$($crate::codec::plain_name(stringify!($field))),*];

            fn from_object(
                object: &$crate::object::Object,
            ) -> Result<Self, $crate::codec::ShapeError> {
                Ok(Self {
                    $($field: $crate::codec::field(object, $crate::codec::plain_name(stringify!($field)))?),*
                })
            }
        }
    };
}

/// For [`object!`](crate::object!): a field's name without the `r#` of a raw identifier.
pub const fn plain_name(field: &'static str) -> &'static str {
    let bytes = field.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'r' && bytes[1] == b'#' {
        field.split_at(2).1
    } else {
        field
    }
}

/// For [`object!`](crate::object!): the fields that are set.
pub fn fields<const N: usize>(fields: [(&'static str, Value); N]) -> Object {
    let set = fields.into_iter().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| (literal(name), value)).collect()
}

/// For [`object!`](crate::object!): hands over the map inside `value`.
pub fn with_map<T>(
    value: &Value,
    then: impl FnOnce(&Object) -> Result<T, ShapeError>,
) -> Result<T, ShapeError> {
    match value {
        Value::Map(map) => then(map),
        _ => Err(ShapeError::new("a map")),
    }
}

/// For [`object!`](crate::object!): one field; a missing one is `Null`.
pub fn field<T: Codec>(object: &Object, name: &str) -> Result<T, ShapeError> {
    T::decode(object.get(name).unwrap_or(&Value::Null)).map_err(|error| error.under(name))
}

impl Codec for Value {
    fn encode(&self) -> Value {
        self.clone()
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        Ok(value.clone())
    }
}

impl Codec for String {
    fn encode(&self) -> Value {
        Value::str(self)
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or(ShapeError::new("text"))
    }
}

impl Codec for bool {
    fn encode(&self) -> Value {
        Value::Bool(*self)
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            _ => Err(ShapeError::new("true or false")),
        }
    }
}

impl Codec for Secret {
    fn encode(&self) -> Value {
        Value::Secret(self.clone())
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        match value {
            Value::Secret(secret) => Ok(secret.clone()),
            _ => Err(ShapeError::new("a secret")),
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Codec for $type {
            fn encode(&self) -> Value {
                Value::Int(i64::from(*self))
            }
            fn decode(value: &Value) -> Result<Self, ShapeError> {
                value
                    .as_int()
                    .and_then(|number| Self::try_from(number).ok())
                    .ok_or(ShapeError::new("a whole number in range"))
            }
        }
    )*};
}
whole_numbers!(i64, u32, u16, u8);

impl<T: Codec> Codec for Option<T> {
    fn encode(&self) -> Value {
        self.as_ref().map_or(Value::Null, Codec::encode)
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        if value.is_null() {
            Ok(None)
        } else {
            T::decode(value).map(Some)
        }
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn encode(&self) -> Value {
        Value::List(self.iter().map(Codec::encode).collect())
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        let Value::List(items) = value else {
            return Err(ShapeError::new("a list"));
        };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| T::decode(item).map_err(|error| error.under(&index.to_string())))
            .collect()
    }
}

impl<T: Codec> Codec for BTreeMap<String, T> {
    fn encode(&self) -> Value {
        Value::Map(
            self.iter()
                .map(|(name, value)| (name.clone(), value.encode()))
                .collect(),
        )
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        with_map(value, |map| {
            map.iter()
                .map(|(name, value)| {
                    let decoded = T::decode(value).map_err(|error| error.under(name))?;
                    Ok((name.to_string(), decoded))
                })
                .collect()
        })
    }
}

impl Codec for Object {
    fn encode(&self) -> Value {
        Value::Map(self.clone())
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        with_map(value, |map| Ok(map.clone()))
    }
}

/// Any fields: for kinds that have no types of their own, as those of tests.
impl ObjectCodec for Object {
    const NAMES: &'static [&'static str] = &[];

    fn from_object(object: &Object) -> Result<Self, ShapeError> {
        Ok(object.clone())
    }
}

/// A field that may be filled from another resource: `compose` stays typed while the engine sees
/// a plain tree. Providers only ever receive `Known`.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<T> {
    /// The value.
    Known(T),
    /// An attribute of another resource.
    Ref(Ref),
    /// Known after apply.
    Unknown,
}

impl<T> Input<T> {
    /// The value; an error (a bug of the engine's) when a reference was not filled.
    pub fn known(&self) -> Result<&T, ShapeError> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Ref(_) | Self::Unknown => Err(ShapeError::new("known yet")),
        }
    }
}

impl<T> From<T> for Input<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Codec> Codec for Input<T> {
    fn encode(&self) -> Value {
        match self {
            Self::Known(value) => value.encode(),
            Self::Ref(reference) => Value::reference(reference.clone()),
            Self::Unknown => Value::Unknown,
        }
    }
    fn decode(value: &Value) -> Result<Self, ShapeError> {
        match value {
            Value::Ref(reference) => Ok(Self::Ref(Ref::clone(reference))),
            Value::Unknown => Ok(Self::Unknown),
            other => T::decode(other).map(Self::Known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::kind::Kind;

    crate::object! {
        struct Rule { ports: String, sources: Vec<String>, r#type: Option<String> }
    }
    crate::object! {
        struct Args { name: String, vpc: Input<String>, rules: Vec<Rule>, key: Option<Secret>, size: u32 }
    }

    fn args() -> Args {
        Args {
            name: "a".to_owned(),
            vpc: Input::Ref(Ref::new(Address::new(Kind::new("vpc"), "main"), "id")),
            rules: vec![Rule {
                ports: "6443".to_owned(),
                sources: vec!["10.0.0.0/16".to_owned()],
                r#type: Some("tcp".to_owned()),
            }],
            key: Some(Secret::new("s")),
            size: 3,
        }
    }

    #[test]
    fn round_trips() {
        assert_eq!(Args::from_object(&args().to_object()).unwrap(), args());
        assert_eq!(Rule::NAMES[2], "type");
        assert_eq!(Args::NAMES, ["name", "vpc", "rules", "key", "size"]);
    }

    #[test]
    fn errors_name_the_path() {
        let mut object = args().to_object();
        object.insert(
            "rules".to_owned(),
            Value::list([Value::Map(Object::from([(
                "ports".to_owned(),
                Value::Int(1),
            )]))]),
        );
        let error = Args::from_object(&object).unwrap_err();
        assert_eq!(error.to_string(), "`rules.0.ports` is not text");
    }

    #[test]
    fn what_is_not_set_is_left_out() {
        let object = Args {
            key: None,
            ..args()
        }
        .to_object();
        assert!(!object.contains_key("key"));
    }
}
