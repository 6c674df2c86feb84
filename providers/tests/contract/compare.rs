//! Compares what was asked for with what was read, the way a kind's table says.

use kplan_model::{Change, Compare, KindInfo, Object, Value};

/// What a differ would call a difference: fields that were asked for, can be read, and differ.
pub(crate) fn differences(info: &KindInfo, args: &Object, attrs: &Object) -> Vec<String> {
    args.iter()
        .filter_map(|(name, asked)| {
            let field = info
                .field(name)
                .unwrap_or_else(|| panic!("{name} is in no table"));
            let seen = attrs.get(name)?;
            let skip = matches!(field.change, Change::Ignored) || seen.is_null();
            (!skip && !equal(field.compare, asked, seen))
                .then(|| format!("{name}: asked {asked:?}, read {seen:?}"))
        })
        .collect()
}

pub(crate) fn equal(compare: Compare, a: &Value, b: &Value) -> bool {
    match (compare, a, b) {
        (Compare::Exact | Compare::Quantity, a, b) => a == b,
        (_, Value::List(a), Value::List(b)) => {
            let set = |items: &[Value]| {
                let mut items: Vec<Value> = items.iter().map(fold(compare)).collect();
                items.sort();
                items.dedup();
                items
            };
            set(a) == set(b)
        }
        (compare, a, b) => fold(compare)(a) == fold(compare)(b),
    }
}

fn fold(compare: Compare) -> impl Fn(&Value) -> Value {
    move |value| match (compare, value) {
        (Compare::CaseFold, Value::Str(text)) => Value::Str(text.to_lowercase().into()),
        (_, value) => value.clone(),
    }
}
