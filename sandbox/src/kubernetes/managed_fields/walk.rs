//! The four walks over typed values: fields of, difference between, merge of, removal from.

use serde_json::{Map, Value};

use super::{Element, FieldSet};
use crate::kubernetes::schema::{Child, ListType, Schema};

/// The element that names a list item, or nothing when it lacks its keys.
pub(crate) fn item_element(schema: Schema<'_>, item: &Value) -> Option<Element> {
    match schema.list_type() {
        ListType::Atomic => None,
        ListType::Set => Some(Element::Value(item.to_string())),
        ListType::Map(keys) => {
            let mut identity = Map::new();
            for key in keys {
                let value = item.get(key).or_else(|| schema.items().key_default(key))?;
                identity.insert(key.to_owned(), value.clone());
            }
            Some(Element::Key(Value::Object(identity).to_string()))
        }
    }
}

fn granular_map<'v>(schema: Schema<'_>, value: &'v Value) -> Option<&'v Map<String, Value>> {
    if schema.atomic_map() {
        None
    } else {
        value.as_object()
    }
}

fn granular_list<'v>(schema: Schema<'_>, value: &'v Value) -> Option<&'v Vec<Value>> {
    if schema.list_type() == ListType::Atomic {
        None
    } else {
        value.as_array()
    }
}

/// The fields a value sets, as an applied configuration owns them.
pub(crate) fn field_set(schema: Schema<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    own(schema, value, &mut Vec::new(), &mut set);
    set
}

fn own(schema: Schema<'_>, value: &Value, path: &mut Vec<Element>, set: &mut FieldSet) {
    if let Some(map) = granular_map(schema, value) {
        for (key, child) in map {
            let below = schema.child(key);
            path.push(Element::Field(key.clone()));
            own(below.schema(), child, path, set);
            let empty = child.is_null() || child.as_object().is_some_and(Map::is_empty);
            if empty || !matches!(below, Child::Declared(_)) {
                set.insert(path);
            }
            path.pop();
        }
    } else if let Some(list) = granular_list(schema, value) {
        for item in list {
            let Some(element) = item_element(schema, item) else {
                continue;
            };
            path.push(element);
            own(schema.items(), item, path, set);
            set.insert(path);
            path.pop();
        }
    } else {
        set.insert(path);
    }
}

/// What differs between two values: fields added or changed, and fields removed.
pub(crate) fn compare(schema: Schema<'_>, old: &Value, new: &Value) -> (FieldSet, FieldSet) {
    let mut walk = Compare::default();
    walk.visit(schema, old, new, &mut Vec::new());
    (walk.changed, walk.removed)
}

#[derive(Default)]
struct Compare {
    changed: FieldSet,
    removed: FieldSet,
}

impl Compare {
    fn visit(&mut self, schema: Schema<'_>, old: &Value, new: &Value, path: &mut Vec<Element>) {
        if old == new {
            return;
        }
        if let (Some(before), Some(after)) = (granular_map(schema, old), granular_map(schema, new))
        {
            for (key, value) in after {
                let below = schema.child(key).schema();
                path.push(Element::Field(key.clone()));
                match before.get(key) {
                    Some(was) => self.visit(below, was, value, path),
                    None => appear(below, value, path, &mut self.changed),
                }
                path.pop();
            }
            for (key, value) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
                path.push(Element::Field(key.clone()));
                appear(schema.child(key).schema(), value, path, &mut self.removed);
                path.pop();
            }
        } else if let (Some(before), Some(after)) =
            (granular_list(schema, old), granular_list(schema, new))
        {
            self.lists(schema, before, after, path);
        } else {
            self.changed.insert(path);
        }
    }

    fn lists(
        &mut self,
        schema: Schema<'_>,
        before: &[Value],
        after: &[Value],
        path: &mut Vec<Element>,
    ) {
        let find = |list: &[Value], element: &Element| {
            list.iter()
                .find(|item| item_element(schema, item).as_ref() == Some(element))
                .cloned()
        };
        for value in after {
            let Some(element) = item_element(schema, value) else {
                continue;
            };
            let was = find(before, &element);
            path.push(element);
            match was {
                Some(was) => self.visit(schema.items(), &was, value, path),
                None => appear(schema.items(), value, path, &mut self.changed),
            }
            path.pop();
        }
        for value in before {
            let Some(element) = item_element(schema, value) else {
                continue;
            };
            if find(after, &element).is_none() {
                path.push(element);
                appear(schema.items(), value, path, &mut self.removed);
                path.pop();
            }
        }
    }
}

/// A value that came or went as a whole: itself and every field and map below it.
fn appear(schema: Schema<'_>, value: &Value, path: &mut Vec<Element>, set: &mut FieldSet) {
    if let Some(map) = granular_map(schema, value) {
        for (key, child) in map {
            path.push(Element::Field(key.clone()));
            appear(schema.child(key).schema(), child, path, set);
            path.pop();
        }
    } else if let Some(list) = granular_list(schema, value) {
        for item in list {
            let Some(element) = item_element(schema, item) else {
                continue;
            };
            path.push(element);
            appear(schema.items(), item, path, set);
            path.pop();
        }
    }
    set.insert(path);
}

/// Lays an applied configuration over a value.
pub(crate) fn merge(schema: Schema<'_>, live: &Value, applied: &Value) -> Value {
    if let (Some(before), Some(after)) = (granular_map(schema, live), granular_map(schema, applied))
    {
        let mut out = before.clone();
        for (key, value) in after {
            let merged = match before.get(key) {
                Some(was) => merge(schema.child(key).schema(), was, value),
                None => value.clone(),
            };
            out.insert(key.clone(), merged);
        }
        return Value::Object(out);
    }
    if let (Some(before), Some(after)) =
        (granular_list(schema, live), granular_list(schema, applied))
    {
        return Value::Array(merge_lists(schema, before, after));
    }
    applied.clone()
}

/// Items of both lists: applied order wins, items only the live list has keep their place.
fn merge_lists(schema: Schema<'_>, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let name = |item: &Value| item_element(schema, item);
    let find = |list: &'_ [Value], item: &Value| {
        let wanted = name(item);
        list.iter()
            .position(|other| wanted.is_some() && name(other) == wanted)
    };
    let mut out = Vec::new();
    let mut left = live.iter();
    for item in applied {
        let Some(at) = find(live, item) else {
            out.push(item.clone());
            continue;
        };
        // Live-only items that stand before this one come first, as far as not yet taken.
        let position = live.len() - left.len();
        if at >= position {
            out.extend(
                left.by_ref()
                    .take(at - position)
                    .filter(|o| find(applied, o).is_none())
                    .cloned(),
            );
            left.next();
        }
        out.push(merge(schema.items(), &live[at], item));
    }
    out.extend(left.filter(|other| find(applied, other).is_none()).cloned());
    out
}

/// Takes the members of a set out of a value.
pub(crate) fn remove(schema: Schema<'_>, value: &mut Value, set: &FieldSet) {
    match value {
        Value::Object(map) if !schema.atomic_map() => {
            map.retain(|key, child| {
                let Some(node) = set.nodes.get(&Element::Field(key.clone())) else {
                    return true;
                };
                if node.member {
                    return false;
                }
                remove(schema.child(key).schema(), child, &node.below);
                true
            });
        }
        Value::Array(list) if schema.list_type() != ListType::Atomic => {
            list.retain_mut(|item| {
                let node = item_element(schema, item).and_then(|element| set.nodes.get(&element));
                match node {
                    Some(node) if node.member => false,
                    Some(node) => {
                        remove(schema.items(), item, &node.below);
                        true
                    }
                    None => true,
                }
            });
        }
        _ => {}
    }
}
