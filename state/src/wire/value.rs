//! Values as they are stored, in JSON. What JSON has no word for is an object with one key that begins with `$`:
//! `{"$secret": "kp1:…"}`, `{"$ref": "vpc.main.id"}`, `{"$unknown": true}`; a key of the user's
//! that begins with `$` gets a second one.

use super::Unreadable;
use super::tree::Fields;
use crate::error::{code, error, error_help};
use crate::keyring::Keyring;
use kplan_model::text::literal;
use kplan_model::{Address, Object, Ref, Secret, StoreError, Text, Value};
use std::fmt;

/// How deep a stored value may nest. The JSON reader stops at 128 levels; what is written must be
/// readable, so the writer stops well before.
const MAX_DEPTH: usize = 64;

/// Where a value stands in its record. Made on the stack while walking.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root(&'static str),
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn depth(&self) -> usize {
        match self {
            Self::Root(_) => 0,
            Self::Key(up, _) | Self::Index(up, _) => up.depth() + 1,
        }
    }
}

/// Slashes between segments, and `~` before a `/` or `~` inside one, so that two places never
/// share a path: secrets are bound to it.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => f.write_str(name),
            Self::Key(up, key) => {
                write!(f, "{up}/{}", key.replace('~', "~~").replace('/', "~/"))
            }
            Self::Index(up, index) => write!(f, "{up}/{index}"),
        }
    }
}

/// The stored form of `object`, the field `root` of the resource `address`.
pub(crate) fn object_out(
    keys: Option<&Keyring>,
    address: &str,
    root: &'static str,
    object: &Object,
) -> Result<Fields, StoreError> {
    Writer { keys, address }
        .map(Path::Root(root), object)
        .map(Fields)
}

/// The inverse of [`object_out`]. Without keys, secrets stay sealed.
pub(crate) fn object_in(
    keys: Option<&Keyring>,
    address: &str,
    root: &'static str,
    fields: Fields,
) -> Result<Object, Unreadable> {
    Reader { keys, address }.map(Path::Root(root), &fields.0)
}

/// The stored form of an address; refused where it would be read back as another one.
pub(crate) fn address_out(address: &Address) -> Result<String, StoreError> {
    let text = address.to_string();
    if text.parse().as_ref() == Ok(address) {
        return Ok(text);
    }
    Err(error(
        code::UNSTORABLE,
        format!("the address `{text}` cannot be stored: it would not be read back"),
    ))
}

/// The inverse of [`address_out`].
pub(crate) fn address_in(text: &str) -> Result<Address, Unreadable> {
    text.parse()
        .map_err(|cause: kplan_model::AddressError| Unreadable::new(cause.to_string()))
}

struct Writer<'a> {
    keys: Option<&'a Keyring>,
    address: &'a str,
}

impl Writer<'_> {
    fn map(&self, path: Path<'_>, object: &Object) -> Result<Object, StoreError> {
        if is_same_in_both(object, path.depth()) {
            return Ok(object.clone());
        }
        object
            .iter()
            .map(|(key, value)| {
                let stored = self.value(Path::Key(&path, key), value)?;
                let key = if key.starts_with('$') {
                    format!("${key}").into()
                } else {
                    key.clone()
                };
                Ok((key, stored))
            })
            .collect()
    }

    fn value(&self, path: Path<'_>, value: &Value) -> Result<Value, StoreError> {
        if path.depth() > MAX_DEPTH {
            return Err(error(
                code::UNSTORABLE,
                format!(
                    "`{path}` of {} nests deeper than {MAX_DEPTH} levels",
                    self.address
                ),
            ));
        }
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Str(_) => value.clone(),
            Value::List(items) => {
                let items = items.iter().enumerate();
                Value::List(
                    items
                        .map(|(index, item)| self.value(Path::Index(&path, index), item))
                        .collect::<Result<_, _>>()?,
                )
            }
            Value::Map(map) => Value::Map(self.map(path, map)?),
            Value::Secret(secret) => tagged("$secret", Value::str(self.secret(path, secret)?)),
            Value::Ref(reference) => {
                let text = format!(
                    "{}.{}",
                    address_out(&reference.address)?,
                    reference.attribute
                );
                tagged("$ref", Value::str(text))
            }
            Value::Unknown => tagged("$unknown", Value::Bool(true)),
        })
    }

    fn secret(&self, path: Path<'_>, secret: &Secret) -> Result<String, StoreError> {
        let path = path.to_string();
        match (secret.expose(), secret.sealed_token(), self.keys) {
            (Some(text), _, Some(keys)) => keys.seal(self.address, &path, text),
            // Carried through by somebody who could not read it: as it was.
            (None, Some(token), None) => Ok(token.to_owned()),
            (None, Some(token), Some(keys)) => {
                if keys.open(self.address, &path, token).is_some() {
                    return Ok(token.to_owned());
                }
                Err(error(
                    code::UNSTORABLE,
                    format!(
                        "the sealed secret at `{path}` of {} was made for another place",
                        self.address
                    ),
                ))
            }
            _ => Err(error_help(
                code::NO_IDENTITY,
                format!(
                    "the secret at `{path}` of {} cannot be stored without the state's identity",
                    self.address
                ),
                "set KPLAN_IDENTITY",
            )),
        }
    }
}

fn tagged(tag: &'static str, value: Value) -> Value {
    Value::Map(Object::from([(literal(tag), value)]))
}

/// Whether an object at this depth has the same form stored and not: nothing in it is tagged,
/// escaped, too deep, or no value that JSON has.
fn is_same_in_both(object: &Object, depth: usize) -> bool {
    let mut pairs = object.iter();
    pairs.all(|(key, value)| !key.starts_with('$') && is_plain(value, depth + 1))
}

fn is_plain(value: &Value, depth: usize) -> bool {
    depth <= MAX_DEPTH
        && match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Str(_) => true,
            Value::List(items) => items.iter().all(|item| is_plain(item, depth + 1)),
            Value::Map(map) => is_same_in_both(map, depth),
            Value::Secret(_) | Value::Ref(_) | Value::Unknown => false,
        }
}

struct Reader<'a> {
    keys: Option<&'a Keyring>,
    address: &'a str,
}

impl Reader<'_> {
    fn map(&self, path: Path<'_>, map: &Object) -> Result<Object, Unreadable> {
        if is_same_in_both(map, path.depth()) {
            return Ok(map.clone());
        }
        map.iter()
            .map(|(stored, value)| {
                let key = match stored.strip_prefix('$') {
                    None => stored.clone(),
                    Some(own) if own.starts_with('$') => Text::from(own),
                    Some(_) => return Err(self.unreadable(path, "has a key that is reserved")),
                };
                let value = self.value(Path::Key(&path, &key), value)?;
                Ok((key, value))
            })
            .collect()
    }

    fn value(&self, path: Path<'_>, stored: &Value) -> Result<Value, Unreadable> {
        Ok(match stored {
            Value::List(items) => {
                let items = items.iter().enumerate();
                Value::List(
                    items
                        .map(|(index, item)| self.value(Path::Index(&path, index), item))
                        .collect::<Result<_, _>>()?,
                )
            }
            Value::Map(map) => self.object(path, map)?,
            Value::Unknown => return Err(self.unreadable(path, "is not a whole number in range")),
            other => other.clone(),
        })
    }

    fn object(&self, path: Path<'_>, map: &Object) -> Result<Value, Unreadable> {
        let mut entries = map.iter();
        let (Some((tag, value)), None) = (entries.next(), entries.next()) else {
            return Ok(Value::Map(self.map(path, map)?));
        };
        match (tag.as_str(), value) {
            ("$secret", Value::Str(token)) => self.secret(path, token).map(Value::Secret),
            ("$unknown", Value::Bool(true)) => Ok(Value::Unknown),
            ("$ref", Value::Str(text)) => {
                let mut parts = text.splitn(3, '.');
                let (Some(kind), Some(name), Some(attribute)) =
                    (parts.next(), parts.next(), parts.next())
                else {
                    return Err(self.unreadable(path, "is not a reference"));
                };
                let address = address_in(&format!("{kind}.{name}"))?;
                Ok(Value::reference(Ref::new(address, attribute)))
            }
            _ => Ok(Value::Map(self.map(path, map)?)),
        }
    }

    fn secret(&self, path: Path<'_>, token: &str) -> Result<Secret, Unreadable> {
        let Some(keys) = self.keys else {
            return Ok(Secret::sealed(token));
        };
        keys.open(self.address, &path.to_string(), token)
            .map(|text| Secret::new(text.as_str()))
            .ok_or_else(|| {
                self.unreadable(
                    path,
                    "is a secret that was changed or moved from another place",
                )
            })
    }

    fn unreadable(&self, path: Path<'_>, what: &str) -> Unreadable {
        Unreadable(format!("`{path}` of {} {what}", self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_object;
    use proptest::prelude::*;

    fn keys() -> Keyring {
        Keyring::random("lineage").unwrap()
    }

    proptest! {
        #[test]
        fn every_value_comes_back(object in any_object()) {
            let keys = keys();
            let out = object_out(Some(&keys), "vpc.main", "args", &object).unwrap();
            let text = serde_json::to_string(&out).unwrap();
            let back = serde_json::from_str(&text).unwrap();
            let again = object_in(Some(&keys), "vpc.main", "args", back).unwrap();
            prop_assert_eq!(again, object);
        }
    }

    fn deep(levels: usize) -> Object {
        let mut value = Value::Int(1);
        for _ in 0..levels {
            value = Value::list([value]);
        }
        Object::from([("a".to_owned(), value)])
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        assert!(object_out(None, "a.b", "args", &deep(MAX_DEPTH - 1)).is_ok());
        let refused = object_out(None, "a.b", "args", &deep(MAX_DEPTH)).unwrap_err();
        assert_eq!(refused.code, code::UNSTORABLE);
        let odd = Address::new(kplan_model::Kind::new("vpc"), "a b");
        assert_eq!(address_out(&odd).unwrap_err().code, code::UNSTORABLE);
    }

    #[test]
    fn a_secret_needs_keys_to_be_written_and_stays_sealed_without_them() {
        let keys = keys();
        let plain = Object::from([("k".to_owned(), Value::Secret(Secret::new("hunter2")))]);
        let refused = object_out(None, "a.b", "args", &plain).unwrap_err();
        assert_eq!(refused.code, code::NO_IDENTITY);
        let out = object_out(Some(&keys), "a.b", "args", &plain).unwrap();
        let sealed = object_in(None, "a.b", "args", out.clone()).unwrap();
        assert!(matches!(&sealed["k"], Value::Secret(secret) if secret.expose().is_none()));
        assert_eq!(object_out(None, "a.b", "args", &sealed).unwrap(), out);
        assert_eq!(
            object_out(Some(&keys), "a.b", "args", &sealed).unwrap(),
            out
        );
        let moved = object_out(Some(&keys), "a.c", "args", &sealed).unwrap_err();
        assert_eq!(moved.code, code::UNSTORABLE);
        assert!(object_in(Some(&keys), "a.c", "args", out).is_err());
    }

    #[test]
    fn places_that_look_alike_have_different_paths() {
        let up = Path::Root("args");
        let nested = Path::Key(&up, "a");
        assert_ne!(
            Path::Key(&nested, "b").to_string(),
            Path::Key(&up, "a/b").to_string()
        );
    }

    #[test]
    fn reserved_keys_and_fractions_are_refused() {
        let read = |text: &str| {
            object_in(None, "a.b", "args", serde_json::from_str(text).unwrap()).unwrap_err()
        };
        assert!(read(r#"{"a":{"$later":1}}"#).0.contains("reserved"));
        assert!(read(r#"{"a":1.5}"#).0.contains("whole number"));
        assert!(read(r#"{"a":{"$ref":"vpc"}}"#).0.contains("reference"));
    }
}
