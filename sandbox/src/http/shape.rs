//! Reads a JSON body into a type as DigitalOcean would: an object is an object. Derived types take
//! a list for one as well, value by value, and so `["a"]` would be a tag named `a`. Errors say
//! which property is wrong.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess,
    SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// What is wrong, and where: `rules.0.ports`, empty for the whole body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    path: String,
    what: String,
}

impl Misfit {
    /// The same one level further out.
    fn below(mut self, name: &str) -> Misfit {
        self.path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{name}.{path}"),
        };
        self
    }
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: std::fmt::Display>(what: T) -> Misfit {
        Misfit {
            path: String::new(),
            what: what.to_string(),
        }
    }
}

/// The value as a type; unknown properties are ignored.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    T::deserialize(Shape(value))
}

/// A value, at any depth. Bodies are as deep as the parser allowed (128 levels).
struct Shape<'de>(&'de Value);

impl<'de> Deserializer<'de> for Shape<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(map) => visitor.visit_map(Properties {
                rest: map.iter(),
                value: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            other => Err(de::Error::custom(format!(
                "invalid type: {}, expected an object",
                name(other)
            ))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(text) if variants.contains(&text.as_str()) => {
                let text: StrDeserializer<'_, Misfit> = text.as_str().into_deserializer();
                visitor.visit_enum(text)
            }
            _ => Err(de::Error::custom(format!(
                "invalid value, expected one of {}",
                variants.join(", ")
            ))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// What a value is, in JSON's words.
fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let Some((place, value)) = self.0.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(Shape(value));
        read.map(Some)
            .map_err(|error| error.below(&place.to_string()))
    }
}

struct Properties<'de> {
    rest: serde_json::map::Iter<'de>,
    value: Option<(&'de String, &'de Value)>,
}

impl<'de> MapAccess<'de> for Properties<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        self.value = self.rest.next();
        let Some((key, _)) = self.value else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Misfit> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        seed.deserialize(Shape(value))
            .map_err(|error| error.below(key))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Small,
        Large,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        port: u16,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Body {
        name: String,
        kind: Option<Kind>,
        #[serde(default)]
        rules: Vec<Inner>,
        share: Option<f64>,
        inner: Option<Inner>,
    }

    fn refused(value: &Value) -> String {
        read::<Body>(value).unwrap_err().to_string()
    }

    #[test]
    fn an_object_is_read_and_unknown_properties_are_ignored() {
        let value = json!({
            "name": "a", "kind": "large", "rules": [{ "port": 1 }], "share": 2, "colour": [1],
        });
        let body: Body = read(&value).unwrap();
        assert_eq!((body.name.as_str(), body.kind), ("a", Some(Kind::Large)));
        assert_eq!(
            (body.rules, body.share),
            (vec![Inner { port: 1 }], Some(2.0))
        );
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        let whole = refused(&json!(["a", null, [], null, null]));
        assert_eq!(whole, "invalid type: an array, expected an object");
        let inside = refused(&json!({ "name": "a", "rules": [{ "port": 1 }, [2]] }));
        assert_eq!(
            inside,
            "rules.1: invalid type: an array, expected an object"
        );
        let inside = refused(&json!({ "name": "a", "inner": [2] }));
        assert_eq!(inside, "inner: invalid type: an array, expected an object");
    }

    #[test]
    fn the_property_that_is_wrong_is_named() {
        let wrong = refused(&json!({ "name": 5 }));
        assert_eq!(wrong, "name: invalid type: integer `5`, expected a string");
        let wrong = refused(&json!({ "name": "a", "rules": [{ "port": 70000 }] }));
        assert!(wrong.starts_with("rules.0.port: "), "{wrong}");
        let wrong = refused(&json!({ "name": "a", "kind": "huge" }));
        assert_eq!(wrong, "kind: invalid value, expected one of small, large");
    }
}
