//! How the value of a field is written as the value of an attribute.

use kplan_model::{Object, Text, Value};

/// One field and the attribute it is written as.
pub(super) struct Attribute {
    /// kplan's name.
    pub(super) field: &'static str,
    /// The provider's.
    pub(super) name: &'static str,
    /// What its value becomes.
    pub(super) shape: Shape,
}

impl Attribute {
    pub(super) const fn new(field: &'static str, name: &'static str, shape: Shape) -> Self {
        Self { field, name, shape }
    }

    /// The same value under another name.
    pub(super) const fn renamed(field: &'static str, name: &'static str) -> Self {
        Self::new(field, name, Shape::Same)
    }
}

/// What a value becomes. What is not set and what is not known stays so.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// The same value.
    Same,
    /// Text that is a number becomes one, in lists too.
    Number,
    /// A number becomes text.
    Text,
    /// An address becomes the host in it.
    Host,
    /// A value becomes the only one of a list.
    Only(&'static Shape),
    /// Named values become a block that may stand once, which is a list of one.
    Block(&'static [Attribute]),
    /// A list of named values becomes blocks.
    Blocks(&'static [Attribute]),
    /// A value becomes a block of one attribute: `true` is `[{"enabled": true}]`.
    Within(&'static str),
}

impl Shape {
    /// The value in this shape.
    pub(super) fn of(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Only(_) | Self::Block(_) | Self::Within(_), Value::Null) => Value::list([]),
            (_, Value::Null | Value::Unknown) | (Self::Same, _) => value.clone(),
            (Self::Number, value) => number(value),
            (Self::Text, Value::Int(number)) => Value::str(number.to_string()),
            (Self::Blocks(inner), Value::List(items)) => {
                Value::List(items.iter().map(|item| block(inner, item)).collect())
            }
            (Self::Host, Value::Str(text)) => Value::str(
                text.split_once("://")
                    .map_or(text.as_str(), |(_, host)| host),
            ),
            (Self::Text | Self::Host | Self::Blocks(_), value) => value.clone(),
            (Self::Only(shape), value) => Value::list([shape.of(value)]),
            (Self::Block(inner), value) => Value::list([block(inner, value)]),
            (Self::Within(name), value) => {
                Value::list([Value::Map(Object::from([(name, value.clone())]))])
            }
        }
    }
}

fn number(value: &Value) -> Value {
    match value {
        Value::Str(text) => text.parse().map_or_else(|_| value.clone(), Value::Int),
        Value::List(items) => Value::List(items.iter().map(number).collect()),
        other => other.clone(),
    }
}

/// Named values with what `inner` says about some of them.
fn block(inner: &[Attribute], value: &Value) -> Value {
    let Value::Map(fields) = value else {
        return value.clone();
    };
    let written = fields.iter().map(|(field, value)| {
        let found = inner.iter().find(|it| it.field == field.as_str());
        found.map_or_else(
            || (field.clone(), value.clone()),
            |it| (Text::from(it.name), it.shape.of(value)),
        )
    });
    Value::Map(written.collect())
}
