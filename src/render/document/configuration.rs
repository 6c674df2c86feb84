//! `configuration`: what refers to what. The file is no HCL, so an expression is not quoted: it
//! names what it refers to, and its value stands in `planned_values`.

use crate::render::terraform::{self, provider_name, type_name};
use crate::review::Kinds;
use kplan_model::{Address, Declaration, Declarations, Object, Ref, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn all(declarations: &Declarations, kinds: &Kinds) -> Json {
    let mut blocks: BTreeMap<Address, &Declaration> = BTreeMap::new();
    for declaration in &declarations.resources {
        // Instances of one block differ by their index only.
        let address = &declaration.address;
        let block = Address::new(address.kind().clone(), address.name());
        blocks.entry(block).or_insert(declaration);
    }
    let mut providers = Map::new();
    let mut resources = Vec::new();
    for (address, declaration) in &blocks {
        let type_name = type_name(address.kind(), kinds);
        let full = provider_name(&type_name);
        let name = full.rsplit('/').next().unwrap_or(full);
        let provider = json!({ "name": name, "full_name": full });
        providers.insert(name.to_owned(), provider);
        resources.push(resource(address, declaration, kinds, &type_name, name));
    }
    json!({
        "provider_config": providers,
        "root_module": {
            "outputs": outputs(&declarations.outputs, kinds),
            "resources": resources,
        },
    })
}

fn resource(
    address: &Address,
    declaration: &Declaration,
    kinds: &Kinds,
    type_name: &str,
    provider: &str,
) -> Json {
    let seen = terraform::attributes(address.kind(), &declaration.args);
    let mut entry = json!({
        "address": address.to_string(),
        "mode": "managed",
        "type": type_name,
        "name": address.name(),
        "provider_config_key": provider,
        "expressions": expressions(&seen, kinds),
        "schema_version": 0,
    });
    let after = &declaration.meta.after;
    if let (Some(entry), false) = (entry.as_object_mut(), after.is_empty()) {
        let after: Vec<String> = after.iter().map(ToString::to_string).collect();
        entry.insert("depends_on".to_owned(), json!(after));
    }
    entry
}

/// What attributes refer to; those that refer to nothing are left out.
fn expressions(attributes: &Object, kinds: &Kinds) -> Map<String, Json> {
    let written = attributes.iter().filter_map(|(name, value)| {
        let expression = expression(value, kinds)?;
        Some((name.to_string(), expression))
    });
    written.collect()
}

fn expression(value: &Value, kinds: &Kinds) -> Option<Json> {
    if let Some(blocks) = blocks(value) {
        let inner: Vec<_> = blocks.map(|block| expressions(block, kinds)).collect();
        let refers = inner.iter().any(|block| !block.is_empty());
        return refers.then(|| json!(inner));
    }
    let found = references(value, kinds);
    (!found.is_empty()).then(|| json!({ "references": found }))
}

/// The blocks a value consists of, where it consists of blocks.
fn blocks(value: &Value) -> Option<impl Iterator<Item = &Object>> {
    let Value::List(items) = value else {
        return None;
    };
    let maps = || {
        items.iter().filter_map(|item| match item {
            Value::Map(map) => Some(map),
            _ => None,
        })
    };
    (!items.is_empty() && maps().count() == items.len()).then(maps)
}

/// Everything a value refers to, the most precise first, as Terraform lists it: by type and name,
/// by which tools find the block, and at last kplan's address.
fn references(value: &Value, kinds: &Kinds) -> Vec<String> {
    let mut refs: BTreeSet<&Ref> = BTreeSet::new();
    value.for_each_ref(&mut |reference| {
        refs.insert(reference);
    });
    let mut all: Vec<String> = Vec::new();
    for reference in refs {
        let address = &reference.address;
        let block = format!("{}.{}", type_name(address.kind(), kinds), address.name());
        let one = address
            .index()
            .map_or_else(|| block.clone(), |index| format!("{block}[{index}]"));
        let attribute = attribute(reference);
        for name in [
            format!("{one}.{attribute}"),
            one,
            block,
            address.to_string(),
        ] {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

/// The attribute a reference is about, by the provider's name.
fn attribute(reference: &Ref) -> String {
    let (first, rest) = match reference.attribute.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (reference.attribute.as_str(), None),
    };
    let path = terraform::path(reference.address.kind(), first);
    let segments = path.as_array().into_iter().flatten();
    let mut all: Vec<&str> = segments.filter_map(Json::as_str).collect();
    all.extend(rest);
    all.join(".")
}

fn outputs(outputs: &Object, kinds: &Kinds) -> Map<String, Json> {
    let one = |(name, value): (&kplan_model::Text, &Value)| {
        let expression = expression(value, kinds).unwrap_or_else(|| json!({}));
        let output = json!({ "expression": expression, "sensitive": value.has_secret() });
        (name.to_string(), output)
    };
    outputs.iter().map(one).collect()
}
