//! What no view may do: lose a field, or use a name that its provider does not have.

mod names;

use super::shape::{Attribute, Shape};
use super::table::{VIEWS, view};
use super::{OWN, attributes, created, path, type_name};
use crate::review::Kinds;
use kplan_model::{Kind, KindInfo, Object, Value};
use names::NAMES;
use std::collections::BTreeSet;

fn kinds() -> Kinds {
    crate::wire::kinds()
}

/// The names a provider has for a type.
fn names(terraform: &str) -> BTreeSet<&'static str> {
    let entry = NAMES.iter().find(|(name, _)| *name == terraform);
    let (_, names) = entry.unwrap_or_else(|| panic!("tests/names.rs has no {terraform}"));
    names.split_whitespace().collect()
}

/// A value that a field of this shape may have, told from others by its number.
fn sample(shape: Option<Shape>, number: i64) -> Value {
    match shape {
        Some(Shape::Text) => Value::Int(number),
        Some(Shape::Block(inner)) => block(inner, number),
        Some(Shape::Blocks(inner)) => Value::list([block(inner, number), block(inner, -number)]),
        Some(Shape::Only(shape)) => sample(Some(*shape), number),
        Some(Shape::Host) => Value::str(format!("https://{number}.example.com")),
        Some(Shape::Within(_)) => Value::Bool(true),
        Some(Shape::Same | Shape::Number) | None => Value::str(number.to_string()),
    }
}

fn block(inner: &[Attribute], number: i64) -> Value {
    let named = inner
        .iter()
        .map(|it| (it.field, sample(Some(it.shape), number)));
    Value::Map(named.collect())
}

/// Every field of a kind, set to something of its own.
fn full(info: &KindInfo) -> Object {
    let view = view(&info.kind);
    let shape = |name: &str| {
        let all = view.into_iter().flat_map(|view| view.attributes);
        all.into_iter()
            .find(|it| it.field == name)
            .map(|it| it.shape)
    };
    let numbered = (1_000..).zip(info.fields);
    numbered
        .map(|(number, field)| (field.name, sample(shape(field.name), number)))
        .collect()
}

/// Everything at the ends of a value, as text.
fn leaves(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::List(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Map(map) => map.values().for_each(|item| leaves(item, found)),
        Value::Int(number) => {
            found.insert(number.to_string());
        }
        Value::Str(text) => {
            let text = text.strip_prefix("https://").unwrap_or(text);
            found.insert(text.to_owned());
        }
        other => {
            found.insert(format!("{other:?}"));
        }
    }
}

#[test]
fn every_field_of_every_kind_is_kept() {
    for (kind, info) in kinds() {
        let fields = full(info);
        let seen = attributes(&kind, &fields);
        let (mut asked, mut kept) = (BTreeSet::new(), BTreeSet::new());
        leaves(&Value::Map(fields.clone()), &mut asked);
        leaves(&Value::Map(seen.clone()), &mut kept);
        assert_eq!(asked, kept, "{kind}");
        for field in info.fields {
            let path = path(&kind, field.name);
            let mut at = Some(&Value::Map(seen.clone())).cloned();
            for segment in path.as_array().into_iter().flatten() {
                let name = segment.as_str().unwrap();
                at = match at {
                    Some(Value::Map(map)) => map.get(name).cloned(),
                    _ => None,
                };
            }
            assert!(at.is_some(), "{kind}.{} is not at {path}", field.name);
        }
    }
}

#[test]
fn names_are_those_of_the_provider() {
    for (kind, info) in kinds() {
        let seen = attributes(&kind, &full(info));
        if info.terraform.starts_with("kplan_") {
            assert!(view(&kind).is_none(), "{kind} has a view and no provider");
            continue;
        }
        assert!(view(&kind).is_some(), "{kind} needs a view");
        let known = names(info.terraform);
        for name in seen.keys().filter(|name| name.as_str() != OWN) {
            assert!(known.contains(name.as_str()), "{}.{name}", info.terraform);
        }
        for (name, value) in &seen {
            let blocks = match value {
                Value::List(items) if name.as_str() != OWN => items.as_ref(),
                _ => &[],
            };
            for block in blocks {
                let Value::Map(block) = block else { continue };
                for inner in block.keys() {
                    let nested = format!("{name}.{inner}");
                    assert!(
                        known.contains(nested.as_str()),
                        "{}.{nested}",
                        info.terraform
                    );
                }
            }
        }
    }
}

/// A view of what no kind has would never be looked at.
#[test]
fn every_view_is_of_a_kind_and_its_fields() {
    let kinds = kinds();
    for view in &VIEWS {
        let info = kinds.get(&Kind::from(kplan_model::Text::from(view.kind)));
        let info = info.unwrap_or_else(|| panic!("there is no kind {}", view.kind));
        let renamed = view.attributes.iter().map(|it| it.field);
        let all = renamed.chain(view.own.iter().copied());
        for field in all.chain(view.decided.iter().copied()) {
            assert!(info.field(field).is_some(), "{}.{field}", view.kind);
        }
    }
}

#[test]
fn rules_of_a_firewall_say_which_end_they_mean() {
    let rule = |addresses: &str| {
        Value::Map(Object::from([
            ("protocol", Value::str("tcp")),
            ("port_range", Value::str("22")),
            ("addresses", Value::list([Value::str(addresses)])),
            (
                "droplet_ids",
                Value::list([Value::str("7"), Value::Unknown]),
            ),
        ]))
    };
    let fields = Object::from([
        ("inbound_rule", Value::list([rule("10.0.0.0/8")])),
        ("outbound_rule", Value::list([rule("0.0.0.0/0")])),
    ]);
    let seen = crate::render::json::values(&attributes(&Kind::new("firewall"), &fields));
    assert_eq!(
        seen,
        serde_json::json!({
            "inbound_rule": [{
                "protocol": "tcp", "port_range": "22",
                "source_addresses": ["10.0.0.0/8"], "source_droplet_ids": [7, null],
            }],
            "outbound_rule": [{
                "protocol": "tcp", "port_range": "22",
                "destination_addresses": ["0.0.0.0/0"], "destination_droplet_ids": [7, null],
            }],
        })
    );
}

#[test]
fn what_is_made_has_what_it_gets_only_then() {
    let kinds = kinds();
    let kind = Kind::new("droplet");
    let args = Object::from([("name", Value::str("web")), ("vpc_uuid", Value::Null)]);
    let fields = created(kinds.get(&kind).copied(), &args);
    let seen = attributes(&kind, &fields);
    for name in ["ipv4_address", "urn", "vpc_uuid"] {
        assert_eq!(seen.get(name), Some(&Value::Unknown), "{name}");
    }
    assert_eq!(seen.get("name"), Some(&Value::str("web")));
    assert_eq!(type_name(&kind, &kinds), "digitalocean_droplet");
}
