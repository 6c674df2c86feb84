//! What changing one field from one value to another means, by the kind's table.

use kplan_model::{Change, Disruption, Down, Field, Otherwise, Value};
use std::cmp::Ordering;

/// What a change of one field means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The living resource can be changed.
    InPlace(Disruption),
    /// Only a new resource can have the value.
    Replace,
    /// It is not allowed, for this reason.
    Refused(&'static str),
    /// It is not compared.
    Ignored,
}

/// Judges the change of a field from `before` (what is) to `after` (what is asked for). The two
/// differ; `after` may be unknown.
pub(super) fn judge(field: &Field, before: &Value, after: &Value) -> Verdict {
    judge_by(field.change, before, after)
}

fn judge_by(change: Change, before: &Value, after: &Value) -> Verdict {
    match change {
        Change::InPlace { disruption } => Verdict::InPlace(disruption),
        Change::Replace => Verdict::Replace,
        Change::Ignored | Change::Computed => Verdict::Ignored,
        Change::Refuse(why) => Verdict::Refused(why),
        Change::Monotonic { down } => match growth(before, after) {
            Some(Ordering::Less) => match down {
                Down::Replace => Verdict::Replace,
                Down::Refuse(why) => Verdict::Refused(why),
            },
            _ => Verdict::InPlace(Disruption::None),
        },
        Change::InParts {
            parts,
            disruption,
            otherwise,
        } => {
            if without(before, parts) == without(after, parts) {
                Verdict::InPlace(disruption)
            } else {
                judge_by(*otherwise, before, after)
            }
        }
        Change::OneWay {
            from,
            to,
            otherwise,
        } => {
            let allowed = !after.is_known() || (is(before, from) && is(after, to));
            match (allowed, otherwise) {
                (true, _) => Verdict::InPlace(Disruption::None),
                (false, Otherwise::Replace) => Verdict::Replace,
                (false, Otherwise::Refuse(why)) => Verdict::Refused(why),
            }
        }
    }
}

/// A value's other parts, as far as they are set.
fn without<'v>(value: &'v Value, parts: &[&str]) -> Vec<(&'v str, &'v Value)> {
    let Value::Map(map) = value else {
        return vec![("", value)];
    };
    let others = map.iter().filter(|(name, value)| {
        let is_part = parts.contains(&name.as_str());
        !(is_part || value.is_null())
    });
    others.map(|(name, value)| (name.as_str(), value)).collect()
}

/// Whether a value has this text form. Nothing set is `false`, and the empty text; an object of which
/// one value is set is that value.
fn is(value: &Value, text: &str) -> bool {
    match value {
        Value::Null => text.is_empty() || text == "false" || text == "null",
        Value::Bool(flag) => text == flag.to_string(),
        Value::Int(number) => text == number.to_string(),
        Value::Str(given) => text == given,
        Value::Map(map) => {
            let mut set = map.values().filter(|value| !value.is_null());
            matches!((set.next(), set.next()), (Some(one), None) if is(one, text))
        }
        _ => false,
    }
}

/// Whether `after` is more (`Greater`) or less than `before`. `None` where that is not known
/// yet. What cannot be ordered counts as less: growing is what has to be shown.
fn growth(before: &Value, after: &Value) -> Option<Ordering> {
    match (before, after) {
        (_, after) if !after.is_known() => None,
        (Value::Null, _) => Some(Ordering::Greater),
        (Value::Int(before), Value::Int(after)) => Some(after.cmp(before)),
        (before, after) => {
            let (Some(before), Some(after)) = (text_of(before), text_of(after)) else {
                return Some(Ordering::Less);
            };
            Some(text_growth(&before, &after))
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.to_string()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Versions (`1.35.6+k3s1`) by their first number that differs; everything else, such as plan
/// names (`db-s-2vcpu-4gb`), grows only if no number in it shrinks.
fn text_growth(before: &str, after: &str) -> Ordering {
    let (old, new) = (numbers(before), numbers(after));
    if old.is_empty() || new.is_empty() {
        return Ordering::Less;
    }
    if is_version(before) && is_version(after) {
        return new.cmp(&old);
    }
    if old.len() != new.len() || new.iter().zip(&old).any(|(new, old)| new < old) {
        return Ordering::Less;
    }
    new.cmp(&old)
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .collect()
}

/// Whether the first two numbers are parted by one point, or there is one number and nothing
/// but perhaps a `v` before it.
fn is_version(text: &str) -> bool {
    let rest = text.strip_prefix('v').unwrap_or(text);
    let tail = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() != tail.len() && (tail.is_empty() || tail.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Object;

    const MONOTONIC: Field = Field::new(
        "size",
        Change::Monotonic {
            down: Down::Refuse("never shrinks"),
        },
        "",
    );

    #[test]
    fn growing_is_in_place_and_shrinking_is_refused() {
        let grows = Verdict::InPlace(Disruption::None);
        let down = Verdict::Refused("never shrinks");
        let text = Value::str;
        for (before, after, expected) in [
            (Value::Int(10), Value::Int(20), &grows),
            (Value::Int(20), Value::Int(10), &down),
            (Value::Null, Value::Int(10), &grows),
            (Value::Int(10), Value::Null, &down),
            (Value::Int(10), Value::Unknown, &grows),
            (text("db-s-1vcpu-2gb"), text("db-s-2vcpu-4gb"), &grows),
            (text("db-s-2vcpu-4gb"), text("db-s-1vcpu-2gb"), &down),
            (text("db-s-2vcpu-4gb"), text("db-s-4vcpu-2gb"), &down),
            (text("v1.35.6+k3s1"), text("v1.35.6+k3s2"), &grows),
            (text("v1.35.6+k3s1"), text("v1.36.0+k3s1"), &grows),
            (text("v1.35.6+k3s1"), text("v1.34.9+k3s4"), &down),
            (text("9"), text("16"), &grows),
            (text("small"), text("large"), &down),
        ] {
            assert_eq!(
                &judge(&MONOTONIC, &before, &after),
                expected,
                "{before:?} {after:?}"
            );
        }
    }

    #[test]
    fn one_way_allows_exactly_one_change() {
        let field = Field::new(
            "ipv6",
            Change::OneWay {
                from: "false",
                to: "true",
                otherwise: Otherwise::Replace,
            },
            "",
        );
        let on = Value::Bool(true);
        let off = Value::Bool(false);
        let in_place = Verdict::InPlace(Disruption::None);
        assert_eq!(judge(&field, &off, &on), in_place);
        assert_eq!(judge(&field, &Value::Null, &on), in_place);
        assert_eq!(judge(&field, &on, &off), Verdict::Replace);
    }

    #[test]
    fn parts_of_an_object_change_in_place_and_the_rest_as_it_says() {
        let field = Field::new(
            "store",
            Change::InParts {
                parts: &["password"],
                disruption: Disruption::Restart,
                otherwise: &Change::Refuse("nothing moves there"),
            },
            "",
        );
        let store = |host: &str, password: Value| {
            Value::Map(Object::from_iter([
                ("host".to_owned(), Value::str(host)),
                ("password".to_owned(), password),
                ("port".to_owned(), Value::Null),
            ]))
        };
        let before = store("a", Value::str("old"));
        let restarts = Verdict::InPlace(Disruption::Restart);
        let other = Verdict::Refused("nothing moves there");
        for (after, expected) in [
            (store("a", Value::str("new")), &restarts),
            (store("a", Value::Unknown), &restarts),
            (store("b", Value::str("new")), &other),
            (Value::Unknown, &other),
        ] {
            assert_eq!(&judge(&field, &before, &after), expected, "{after:?}");
        }
    }

    #[test]
    fn an_object_with_one_value_is_that_value() {
        let field = Field::new(
            "store",
            Change::OneWay {
                from: "file",
                to: "cluster",
                otherwise: Otherwise::Refuse("nothing moves there"),
            },
            "",
        );
        let object = |kind: &str, host: Value| {
            let values = [("kind", Value::str(kind)), ("host", host)];
            Value::Map(Object::from(
                values.map(|(name, value)| (name.to_owned(), value)),
            ))
        };
        let (file, cluster) = (object("file", Value::Null), object("cluster", Value::Null));
        let in_place = Verdict::InPlace(Disruption::None);
        let refused = Verdict::Refused("nothing moves there");
        assert_eq!(judge(&field, &file, &cluster), in_place);
        assert_eq!(judge(&field, &cluster, &file), refused);
        let elsewhere = object("cluster", Value::str("db.example"));
        assert_eq!(judge(&field, &file, &elsewhere), refused);
    }

    #[test]
    fn an_unknown_value_of_a_field_that_forces_replacement_forces_it() {
        let field = Field::replace("vpc", "");
        assert_eq!(
            judge(&field, &Value::str("a"), &Value::Unknown),
            Verdict::Replace
        );
    }
}
