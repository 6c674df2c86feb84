//! What plan files hold instead of values: fingerprints under a key of the state's, by which a plan
//! that is made again is compared with the one that was read, secrets included.

use crate::keyring::{Keyring, hex};
use kplan_model::{Object, Value};
use zeroize::Zeroizing;

/// Bytes of a fingerprint of a value: nobody finds another value with an equal one.
const PIN: usize = 16;

impl Keyring {
    /// A fingerprint of a whole value; `None` where it holds a secret that is sealed.
    pub fn pin(&self, value: &Value) -> Option<String> {
        let mut bytes = Zeroizing::new(Vec::new());
        write(&mut bytes, value)?;
        Some(hex(&self.plan_mac(&[b"value", &bytes])[..PIN]))
    }

    /// The same of named values.
    pub fn pin_all(&self, object: &Object) -> Option<String> {
        self.pin(&Value::Map(object.clone()))
    }

    /// The seal of a plan file: 64 hexadecimal digits over all its bytes.
    pub fn seal_plan(&self, bytes: &[u8]) -> String {
        hex(self.plan_mac(&[b"file", bytes]).as_slice())
    }
}

/// A value as bytes that no other value has: each part begins with what it is and how long.
fn write(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.extend([b'b', u8::from(*flag)]),
        Value::Int(number) => {
            out.push(b'i');
            out.extend(number.to_le_bytes());
        }
        Value::Str(text) => text_of(out, b't', text),
        Value::Secret(secret) => text_of(out, b's', secret.expose()?),
        Value::Ref(reference) => text_of(out, b'r', &reference.to_string()),
        Value::Unknown => out.push(b'u'),
        Value::List(items) => {
            length(out, b'l', items.len());
            for item in items.iter() {
                write(out, item)?;
            }
        }
        Value::Map(map) => {
            length(out, b'm', map.len());
            for (name, item) in map {
                text_of(out, b'k', name);
                write(out, item)?;
            }
        }
    }
    Some(())
}

fn text_of(out: &mut Vec<u8>, kind: u8, text: &str) {
    length(out, kind, text.len());
    out.extend(text.as_bytes());
}

fn length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend((length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use kplan_model::{Secret, Text};
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            "[a-c]{0,2}".prop_map(Value::str),
            "[a-c]{0,2}".prop_map(|text| Value::Secret(Secret::new(text))),
            Just(Value::Unknown),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let named = prop::collection::vec(("[a-b]", inner.clone()), 0..3);
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(Value::list),
                named.prop_map(|all| {
                    let all = all.into_iter().map(|(name, item)| (Text::from(name), item));
                    Value::Map(all.collect())
                }),
            ]
        })
    }

    fn keys() -> Keyring {
        Keyring::random("lineage").unwrap()
    }

    proptest! {
        #[test]
        fn values_have_equal_pins_exactly_when_they_are_equal(a in any_value(), b in any_value()) {
            let keys = keys();
            prop_assert_eq!(keys.pin(&a), keys.pin(&a.clone()));
            prop_assert_eq!(keys.pin(&a) == keys.pin(&b), a == b);
        }
    }

    #[test]
    fn a_secret_counts_and_is_no_text() {
        let keys = keys();
        let secret = |text: &str| keys.pin(&Value::Secret(Secret::new(text))).unwrap();
        assert_ne!(secret("a"), secret("b"));
        assert_ne!(secret("a"), keys.pin(&Value::str("a")).unwrap());
        assert_eq!(keys.pin(&Value::Secret(Secret::sealed("kp1:x"))), None);
        assert_ne!(
            secret("a"),
            self::keys().pin(&Value::Secret(Secret::new("a"))).unwrap()
        );
    }

    #[test]
    fn only_who_has_the_identity_makes_the_keys_of_a_first_plan() {
        let (ours, other) = (Identity::generate(), Identity::generate());
        let seal = |identity: &Identity, of: Option<&str>, lineage: &str| {
            let (name, keys) = identity.plan_keys(of, lineage)?;
            Some((name, keys.seal_plan(b"plan")))
        };
        let first = seal(&ours, None, "lineage").unwrap();
        assert_eq!(seal(&ours, Some(&first.0), "lineage"), Some(first.clone()));
        assert_eq!(seal(&other, Some(&first.0), "lineage"), None);
        assert_ne!(seal(&ours, None, "another").unwrap().1, first.1);
        assert_ne!(seal(&other, None, "lineage").unwrap().1, first.1);
        assert_eq!(first.0, ours.recipients()[0]);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let keys = keys();
        let list = |items: &[&str]| {
            let items: Vec<Value> = items
                .iter()
                .map(|item| Value::str(Text::from(*item)))
                .collect();
            keys.pin(&Value::list(items))
        };
        assert_ne!(list(&["ab", "c"]), list(&["a", "bc"]));
        assert_ne!(keys.seal_plan(b"a"), keys.seal_plan(b"b"));
    }
}
