//! Whether two values of a field mean the same: one canonical form per `Compare`, then equality.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod cidr;
mod quantity;

use kplan_model::{Compare, Object, Text, Value};

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They mean the same.
    Same,
    /// They do not.
    Different,
    /// What can be read is the same, but a sealed secret stands in one of them.
    NotComparable,
}

/// Compares two known values the way a field says. `Null` equals only `Null`; inside maps, a
/// name that is `Null` counts as missing.
pub fn compare(how: Compare, left: &Value, right: &Value) -> Likeness {
    if left == right {
        return Likeness::Same;
    }
    if is_sealed(left) || is_sealed(right) {
        let same = canonical(how, &blank(left)) == canonical(how, &blank(right));
        return if same {
            Likeness::NotComparable
        } else {
            Likeness::Different
        };
    }
    if canonical(how, left) == canonical(how, right) {
        Likeness::Same
    } else {
        Likeness::Different
    }
}

/// The one form that all values of the same meaning share.
pub fn canonical(how: Compare, value: &Value) -> Value {
    match value {
        Value::List(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| canonical(how, item)).collect();
            if matches!(how, Compare::Set | Compare::CaseFold | Compare::Cidr) {
                items.sort();
                items.dedup();
            }
            Value::list(items)
        }
        Value::Map(map) => Value::Map(
            map.iter()
                .filter(|(_, item)| !item.is_null())
                .map(|(name, item)| (name.clone(), canonical(how, item)))
                .collect(),
        ),
        Value::Str(text) => Value::Str(canonical_text(how, text)),
        Value::Int(number) if how == Compare::Quantity => {
            Value::Str(canonical_text(how, &number.to_string().into()))
        }
        Value::Secret(secret) => match secret.expose() {
            Some(text) => Value::str(text),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

fn canonical_text(how: Compare, text: &Text) -> Text {
    match how {
        Compare::Exact | Compare::Set => text.clone(),
        Compare::CaseFold => text.to_lowercase().into(),
        Compare::Cidr => cidr::canonical(text).map_or_else(|| text.clone(), Text::from),
        Compare::Quantity => {
            quantity::nanos(text).map_or_else(|| text.clone(), |nanos| format!("{nanos}n").into())
        }
    }
}

fn is_sealed(value: &Value) -> bool {
    match value {
        Value::Secret(secret) => secret.expose().is_none(),
        Value::List(items) => items.iter().any(is_sealed),
        Value::Map(map) => map.values().any(is_sealed),
        _ => false,
    }
}

/// The same value with every secret replaced by a mark, so that the rest can be compared.
fn blank(value: &Value) -> Value {
    match value {
        Value::Secret(_) => Value::str("(secret)"),
        Value::List(items) => Value::List(items.iter().map(blank).collect()),
        Value::Map(map) => Value::Map(
            map.iter()
                .map(|(name, item)| (name.clone(), blank(item)))
                .collect::<Object>(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Secret;

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| Value::str(*item)).collect())
    }

    fn map(pairs: &[(&str, Value)]) -> Value {
        Value::Map(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn each_mode_forgives_what_it_says_and_no_more() {
        use Likeness::{Different, Same};
        let cases = [
            (
                Compare::Exact,
                list(&["a", "b"]),
                list(&["b", "a"]),
                Different,
            ),
            (
                Compare::Set,
                list(&["a", "b", "a"]),
                list(&["b", "a"]),
                Same,
            ),
            (Compare::Set, list(&["a"]), list(&["A"]), Different),
            (
                Compare::CaseFold,
                Value::str("Abc"),
                Value::str("aBC"),
                Same,
            ),
            (
                Compare::CaseFold,
                list(&["B", "a"]),
                list(&["A", "b"]),
                Same,
            ),
            (
                Compare::Cidr,
                Value::str("10.0.0.1/24"),
                Value::str("10.0.0.0/24"),
                Same,
            ),
            (
                Compare::Cidr,
                Value::str("10.0.0.0/24"),
                Value::str("10.0.0.0/25"),
                Different,
            ),
            (Compare::Quantity, Value::str("1000m"), Value::Int(1), Same),
            (
                Compare::Quantity,
                Value::str("1Gi"),
                Value::str("1024Mi"),
                Same,
            ),
            (
                Compare::Quantity,
                Value::str("1G"),
                Value::str("1Gi"),
                Different,
            ),
        ];
        for (how, left, right, expected) in cases {
            assert_eq!(
                compare(how, &left, &right),
                expected,
                "{how:?} {left:?} {right:?}"
            );
        }
    }

    #[test]
    fn sets_reach_into_lists_of_maps() {
        let rule = |ports: &str, from: &[&str]| map(&[("p", Value::str(ports)), ("s", list(from))]);
        let left = Value::list([rule("1", &["a", "b"]), rule("2", &[])]);
        let right = Value::list([rule("2", &[]), rule("1", &["b", "a"])]);
        assert_eq!(compare(Compare::Set, &left, &right), Likeness::Same);
    }

    #[test]
    fn null_inside_a_map_counts_as_missing() {
        let left = map(&[("a", Value::Int(1)), ("b", Value::Null)]);
        let right = map(&[("a", Value::Int(1))]);
        assert_eq!(compare(Compare::Exact, &left, &right), Likeness::Same);
    }

    #[test]
    fn sealed_secrets_are_not_compared_but_their_surroundings_are() {
        let sealed = Value::Secret(Secret::sealed("x"));
        let plain = Value::Secret(Secret::new("p"));
        assert_eq!(
            compare(Compare::Exact, &sealed, &plain),
            Likeness::NotComparable
        );
        let left = map(&[("k", sealed), ("n", Value::Int(1))]);
        let right = map(&[("k", plain.clone()), ("n", Value::Int(2))]);
        assert_eq!(compare(Compare::Exact, &left, &right), Likeness::Different);
        assert_eq!(
            compare(Compare::Exact, &plain, &Value::Secret(Secret::new("q"))),
            Likeness::Different
        );
    }
}
