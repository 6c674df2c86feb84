//! First pass: TOML values to tables of the right shape. The only things judged here are keys and
//! TOML types; what a value means is the next pass's business.

mod balancers;
mod blocks;
mod leaf;
mod reader;
mod secret;
mod tables;

pub(crate) use balancers::RawLoadBalancers;
pub(crate) use blocks::*;
pub(crate) use leaf::{Leaf, Map, Opt, Req};
pub(crate) use reader::{Context, Node, RawTable, Read, read_root};
pub(crate) use secret::Sensitive;
pub(crate) use tables::*;

use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of `cluster.toml`, made from the types that read it.
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<RawFile>().to_value();
    drop_nulls(&mut schema);
    publish_names(&mut schema);
    schema
}

/// The types are called `RawServers` and so on among ourselves; readers of the schema see
/// `Servers`.
fn publish_names(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                *target = target.replace("#/$defs/Raw", "#/$defs/");
            }
            if let Some(Value::Object(definitions)) = map.get_mut("$defs") {
                *definitions = std::mem::take(definitions)
                    .into_iter()
                    .map(|(name, table)| (public_name(&name).to_owned(), table))
                    .collect();
            }
            map.values_mut().for_each(publish_names);
        }
        Value::Array(items) => items.iter_mut().for_each(publish_names),
        _ => {}
    }
}

fn public_name(name: &str) -> &str {
    name.strip_prefix("Raw").unwrap_or(name)
}

/// TOML has no null: an optional key is absent, never null, so the alternatives that serde's
/// `Option` brings along are taken out. The depth is that of our own types.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
