//! A trusted source of a database.

use kplan_model::codec::{Codec, ShapeError, field, with_map};
use kplan_model::{Input, Object, Value};

/// Who may connect to a database.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseRule {
    /// `tag`, `droplet`, `ip_addr`, `k8s` or `app`. Written `type`, as DigitalOcean and Terraform
    /// do, which is no name for a field of a struct.
    pub kind: String,
    /// The tag, id or address.
    pub value: Input<String>,
}

impl DatabaseRule {
    /// Every droplet with this tag.
    pub fn tag(tag: impl Into<Input<String>>) -> Self {
        Self {
            kind: "tag".to_owned(),
            value: tag.into(),
        }
    }
}

impl Codec for DatabaseRule {
    fn encode(&self) -> Value {
        Value::Map(Object::from([
            ("type".to_owned(), self.kind.encode()),
            ("value".to_owned(), self.value.encode()),
        ]))
    }

    fn decode(value: &Value) -> Result<Self, ShapeError> {
        with_map(value, |map| {
            Ok(Self {
                kind: field(map, "type")?,
                value: field(map, "value")?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_terraform_does() {
        let rule = DatabaseRule::tag("kplan:demo:server".to_owned());
        let Value::Map(map) = rule.encode() else {
            panic!("not a map");
        };
        assert_eq!(map["type"], Value::str("tag"));
        assert_eq!(DatabaseRule::decode(&Value::Map(map)), Ok(rule));
        let error = DatabaseRule::decode(&Value::Map(Object::new())).unwrap_err();
        assert_eq!(error.to_string(), "`type` is not text");
    }
}
