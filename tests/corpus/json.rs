//! Seeded mutations of a JSON tree: what gets past the parser and into the code behind it.

use super::mutate::Random;
use serde_json::{Value, json};

/// What a field is not expected to be.
fn nasty(random: &mut Random) -> Value {
    match random.below(18) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e308),
        7 => json!(0.5),
        8 => json!(""),
        9 => json!("\0"),
        10 => json!("é🙂\u{202e}"),
        11 => json!("x".repeat(5_000)),
        12 => json!([]),
        13 => json!({}),
        14 => json!([[[[[[[[]]]]]]]]),
        15 => json!(["a", 1, null, {}]),
        16 => json!("00000000-0000-0000-0000-000000000000"),
        _ => (0..60).fold(json!(1), |inner, _| json!({ "a": inner })),
    }
}

/// Every place in a tree, as JSON pointers.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), into);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(item, &format!("{at}/{key}"), into);
            }
        }
        _ => {}
    }
}

/// One to three places changed: made nasty, dropped, doubled, exchanged, or given another name.
pub(crate) fn mutate_json(random: &mut Random, base: &Value, other: &Value) -> Value {
    let mut value = base.clone();
    for _ in 0..=random.below(3) {
        let mut all = Vec::new();
        places(&value, "", &mut all);
        let place = &all[random.below(all.len())];
        let what = random.below(6);
        let mut theirs = Vec::new();
        places(other, "", &mut theirs);
        let theirs = other.pointer(&theirs[random.below(theirs.len())]).cloned();
        let strange = nasty(random);
        let Some(found) = value.pointer_mut(place) else {
            continue;
        };
        match (what, found) {
            (0, found) => *found = theirs.unwrap_or_default(),
            (1, Value::Array(items)) => {
                let doubled = items.clone();
                items.extend(doubled);
            }
            (1 | 2, Value::Object(map)) => {
                let key = map.keys().nth(random.below(map.len())).cloned();
                if let Some(taken) = key.and_then(|key| map.remove(&key))
                    && what == 1
                {
                    map.insert("other".to_owned(), taken);
                }
            }
            (3, Value::Object(map)) => {
                for item in map.values_mut() {
                    *item = strange.clone();
                }
            }
            (_, found) => *found = strange,
        }
    }
    value
}
