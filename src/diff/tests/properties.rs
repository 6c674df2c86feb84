//! What holds for all values and texts.

use crate::diff::align::{ALIGNED, align};
use crate::diff::lines::unified;
use crate::diff::{Line, Tag, field, text};
use kplan_model::{Address, Compare, Field, Kind, Object, Ref, Secret, Value};
use proptest::prelude::*;
use similar::DiffOp;

/// The only secrets of random values; no other text of them holds one.
const SECRETS: [&str; 3] = ["hunter2-one", "hunter2-two", "hunter2-three"];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,3}",
        any::<String>(),
        "([a-c ]{0,4}\r?\n){0,6}",
        "([ab]: [0-3]\n){1,3}",
        "#cloud-config\n(write_files:\n- path: /[ab]\n  encoding: b64\n  content: YTogMQpiOiAyCg==\n)?",
        "kind: Secret\nstringData:\n  a: (x|y)\n",
        r#"\{"[ab]": (1|2|\[1\]|"x")\}"#,
        "[a-zA-Z0-9+/]{24,32}",
    ]
}

fn leaves() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0_i64..4).prop_map(Value::Int),
        texts().prop_map(Value::str),
        // In clear where it should not be.
        prop::sample::select(&SECRETS[..]).prop_map(Value::str),
        prop::sample::select(&SECRETS[..]).prop_map(|text| Value::Secret(Secret::new(text))),
        Just(Value::Unknown),
        Just(Value::reference(Ref::new(
            Address::new(Kind::new("vpc"), "main"),
            "id"
        ))),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    leaves().prop_recursive(4, 40, 5, |inner| {
        let names = prop::sample::select(vec!["a", "b", "name", "path", "kind", "data", "x.y"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::list),
            prop::collection::vec((names, inner), 0..5).prop_map(|pairs| {
                let pairs = pairs.into_iter();
                Value::Map(
                    pairs
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect::<Object>(),
                )
            }),
        ]
    })
}

fn tables() -> impl Strategy<Value = Option<Field>> {
    let how = [
        Compare::Exact,
        Compare::Set,
        Compare::CaseFold,
        Compare::Cidr,
        Compare::Quantity,
    ];
    (
        prop::sample::select(how.to_vec()),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(how, secret, known)| {
            let field = Field::in_place("f", "A field.").by(how);
            let field = if secret { field.secret() } else { field };
            known.then_some(field)
        })
}

/// The secrets that are secret in one of the values.
fn secrets(value: &Value) -> Vec<&str> {
    match value {
        Value::Secret(secret) => secret.expose().into_iter().collect(),
        Value::List(items) => items.iter().flat_map(secrets).collect(),
        Value::Map(map) => map.values().flat_map(secrets).collect(),
        _ => Vec::new(),
    }
}

fn assert_harmless(lines: &[Line]) -> Result<(), TestCaseError> {
    for piece in lines.iter().flat_map(|line| &line.pieces) {
        prop_assert!(!piece.text.is_empty());
        let odd = |c: char| c.is_control() && c != '\t';
        prop_assert!(!piece.text.contains(odd), "{:?}", piece.text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_values_have_no_diff(value in values(), table in tables()) {
        prop_assert_eq!(field(&value, &value.clone(), table.as_ref()), []);
    }

    #[test]
    fn no_secret_and_no_control_character_reaches_a_line(
        before in values(), after in values(), table in tables()
    ) {
        let lines = field(&before, &after, table.as_ref());
        prop_assert_eq!(lines.is_empty(), before == after);
        assert_harmless(&lines)?;
        for secret in secrets(&before).into_iter().chain(secrets(&after)) {
            for line in &lines {
                prop_assert!(!line.text().contains(secret), "{:?}", line.text());
            }
        }
        if table.is_some_and(|table| table.secret) {
            prop_assert!(lines.len() <= 1);
            prop_assert!(lines.iter().all(|line| !line.text().contains("hunter2")));
        }
    }

    #[test]
    fn a_line_behind_the_name_is_the_only_one(
        before in values(), after in values(), table in tables()
    ) {
        let lines = field(&before, &after, table.as_ref());
        let behind = lines.iter().filter(|line| line.indent == 0).count();
        prop_assert!(behind == 0 || (behind == 1 && lines.len() == 1));
    }

    #[test]
    fn any_texts_have_a_diff(before in texts(), after in texts()) {
        let lines = text(&before, &after);
        prop_assert_eq!(lines.is_empty(), before == after);
        assert_harmless(&lines)?;
        prop_assert_eq!(text(&before, &after), lines);
    }

    #[test]
    fn the_lines_of_a_text_are_in_order(
        before in "(([a-d] )?[a-d]\n){0,40}", after in "(([a-d] )?[a-d]\n){0,40}"
    ) {
        let lines = unified(&before, &after, 0);
        let blank = lines.first().is_some_and(|line| line.text() == "whitespace only");
        prop_assume!(!blank);
        for (whole, part) in [(&before, Tag::Removed), (&after, Tag::Added)] {
            let mut rest = whole.lines();
            for line in lines.iter().filter(|line| line.tag == Tag::Same || line.tag == part) {
                prop_assert!(rest.any(|found| found == line.text()), "{}", line.text());
            }
        }
        // Together with what is not shown they are the whole text.
        let hidden: usize = lines
            .iter()
            .filter(|line| line.tag == Tag::Note)
            .filter_map(|line| line.text().strip_suffix(" unchanged lines")?.parse::<usize>().ok())
            .sum();
        let shown = |tag: Tag| lines.iter().filter(|line| line.tag == tag).count();
        if before != after {
            let same = hidden + shown(Tag::Same);
            prop_assert_eq!(before.lines().count(), same + shown(Tag::Removed));
            prop_assert_eq!(after.lines().count(), same + shown(Tag::Added));
        }
    }
}

proptest! {
    // Each compares thousands of items.
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operations_make_the_new_of_the_old(
        old in prop::collection::vec(0_u16..900, 0..1600), new in prop::collection::vec(0_u16..900, 0..1600),
        shared in prop::collection::vec(0_u16..2000, 0..900), at in 0_usize..1600,
    ) {
        let with = |items: &[u16]| {
            let (head, tail) = items.split_at(at.min(items.len()));
            [head, shared.as_slice(), tail].concat()
        };
        let (old, new) = (with(&old), with(&new));
        let (mut old_at, mut new_at) = (0, 0);
        let (ops, complete) = align(&old, &new);
        for op in ops {
            prop_assert_eq!((op.old_range().start, op.new_range().start), (old_at, new_at));
            if let DiffOp::Equal { .. } = op {
                prop_assert_eq!(&old[op.old_range()], &new[op.new_range()]);
            }
            (old_at, new_at) = (op.old_range().end, op.new_range().end);
        }
        prop_assert_eq!((old_at, new_at), (old.len(), new.len()));
        prop_assert!(complete || old.len() + new.len() > ALIGNED);
    }
}
