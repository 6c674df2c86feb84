//! JSON objects as they are stored, in memory as compact as the domain's. What holds no secret, no
//! reference and no key that is escaped has the same form in both, and is shared, not copied.

use kplan_model::{Object, Text, Value};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The fields of a JSON object. Of [`Value`] they use what JSON has; a number that is no whole one
/// in range is an `Unknown`, which the reader refuses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fields(pub(super) Object);

/// Any JSON.
struct Tree(Value);

/// Any JSON, to be written.
struct Shown<'a>(&'a Value);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        write_map(&self.0, to)
    }
}

fn write_map<S: Serializer>(object: &Object, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(object.len()))?;
    for (name, value) in object {
        map.serialize_entry(name.as_str(), &Shown(value))?;
    }
    map.end()
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => to.serialize_unit(),
            Value::Bool(flag) => to.serialize_bool(*flag),
            Value::Int(number) => to.serialize_i64(*number),
            Value::Str(text) => to.serialize_str(text),
            Value::List(items) => to.collect_seq(items.iter().map(Shown)),
            Value::Map(map) => write_map(map, to),
            Value::Unknown => Err(S::Error::custom("a number that is not whole")),
            // `object_out` leaves none: they have a stored form.
            Value::Secret(_) | Value::Ref(_) => Err(S::Error::custom("a value without a form")),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Fields, A::Error> {
                read_map(map).map(Fields)
            }
        }
        from.deserialize_map(Map)
    }
}

fn read_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Object, A::Error> {
    let mut pairs: Vec<(Text, Value)> = Vec::new();
    while let Some((name, Tree(value))) = map.next_entry()? {
        pairs.push((name, value));
    }
    Ok(pairs.into_iter().collect())
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any valid JSON value")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree(Value::Null))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
                Ok(Tree(Value::Bool(flag)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
                Ok(Tree(Value::Int(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
                Ok(Tree(
                    i64::try_from(number).map_or(Value::Unknown, Value::Int),
                ))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree(Value::Unknown))
            }

            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree(Value::str(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut all: Vec<Value> = Vec::new();
                while let Some(Tree(item)) = items.next_element()? {
                    all.push(item);
                }
                Ok(Tree(Value::list(all)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tree, A::Error> {
                Ok(Tree(Value::Map(read_map(map)?)))
            }
        }
        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json};

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            ".{0,30}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map(".{0,3}", inner, 0..4)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_and_writes_what_the_json_library_does(json in any_json()) {
            let map = Map::from_iter([("a".to_owned(), json)]);
            let text = serde_json::to_string(&map).unwrap();
            let fields: Fields = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&fields).unwrap(), text);
        }
    }

    #[test]
    fn of_two_fields_of_one_name_the_later_one_counts_and_a_fraction_is_not_written() {
        let fields: Fields = serde_json::from_str(r#"{"b":1,"a":2,"b":3}"#).unwrap();
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"a":2,"b":3}"#);
        for text in [r#"{"a":1.5}"#, r#"{"a":18446744073709551615}"#] {
            let fields: Fields = serde_json::from_str(text).unwrap();
            assert!(serde_json::to_string(&fields).is_err());
        }
        assert!(serde_json::from_str::<Fields>("[]").is_err());
    }
}
