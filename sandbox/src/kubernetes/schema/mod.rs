//! The types of objects, as OpenAPI v3 schemas: those of the built-in kinds and those of CRDs.

pub(crate) mod core;
pub(crate) mod crd;
pub(crate) mod decode;
pub(crate) mod defaults;
mod merge_keys;
pub(crate) mod prune;
pub(crate) mod validate;

use serde_json::Value;

/// Where references between the built-in types point.
pub(crate) const REF_PREFIX: &str = "#/components/schemas/";

/// One node of a schema, with references resolved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'a> {
    node: &'a Value,
}

/// What a schema says about one key of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Child<'a> {
    /// A declared property.
    Declared(Schema<'a>),
    /// A key of a map whose keys are free.
    Additional(Schema<'a>),
    /// Anything is allowed below.
    Open,
    /// Not declared: pruned, or refused under strict validation.
    Unknown,
}

impl<'a> Child<'a> {
    /// The schema below, where nothing is known the open one.
    pub(crate) fn schema(self) -> Schema<'a> {
        match self {
            Child::Declared(schema) | Child::Additional(schema) => schema,
            Child::Open | Child::Unknown => Schema::OPEN,
        }
    }
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ListType<'a> {
    /// The list is one value.
    Atomic,
    /// Items are scalars and unique.
    Set,
    /// Items are maps told apart by these fields.
    Map(Vec<&'a str>),
}

/// The JSON type a schema asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
    Any,
}

impl<'a> Schema<'a> {
    /// Allows anything.
    pub(crate) const OPEN: Schema<'static> = Schema { node: &Value::Null };

    /// The schema at a node, following `$ref` and an `allOf` that only wraps one.
    pub(crate) fn new(node: &'a Value) -> Schema<'a> {
        let mut node = node;
        // References chain at most a few deep; the bound keeps a cycle from hanging the server.
        for _ in 0..8 {
            let wrapped = node.get("allOf").and_then(Value::as_array);
            let inner = match wrapped.map(Vec::as_slice) {
                Some([only]) if node.get("type").is_none() => only,
                _ => node,
            };
            let Some(target) = inner.get("$ref").and_then(Value::as_str) else {
                break;
            };
            match core::definitions().get(target.trim_start_matches(REF_PREFIX)) {
                Some(found) => node = found,
                None => return Schema::OPEN,
            }
        }
        Schema { node }
    }

    /// The node itself, for keywords only validation reads.
    pub(crate) fn node(self) -> &'a Value {
        self.node
    }

    fn flag(self, keyword: &str) -> bool {
        self.node
            .get(keyword)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// What is asked for.
    pub(crate) fn kind(self) -> Kind {
        if self.flag("x-kubernetes-int-or-string") {
            return Kind::IntOrString;
        }
        match self.node.get("type").and_then(Value::as_str) {
            Some("object") => Kind::Object,
            Some("array") => Kind::Array,
            Some("string") => Kind::String,
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            _ if self.node.get("properties").is_some() => Kind::Object,
            _ => Kind::Any,
        }
    }

    /// Whether `null` is a value of its own here.
    pub(crate) fn nullable(self) -> bool {
        self.flag("nullable")
    }

    /// Whether undeclared keys are kept.
    pub(crate) fn preserves_unknown(self) -> bool {
        self.kind() == Kind::Any || self.flag("x-kubernetes-preserve-unknown-fields")
    }

    /// Whether the value is an object of its own, with `apiVersion`, `kind` and `metadata`.
    pub(crate) fn embedded(self) -> bool {
        self.flag("x-kubernetes-embedded-resource")
    }

    /// What stands at a key.
    pub(crate) fn child(self, key: &str) -> Child<'a> {
        if let Some(declared) = self.node.get("properties").and_then(|p| p.get(key)) {
            return Child::Declared(Schema::new(declared));
        }
        if self.embedded() && matches!(key, "apiVersion" | "kind" | "metadata") {
            return match (key, core::definitions().get(core::OBJECT_META)) {
                ("metadata", Some(meta)) => Child::Declared(Schema::new(meta)),
                _ => Child::Open,
            };
        }
        match self.node.get("additionalProperties") {
            Some(Value::Bool(true)) => Child::Open,
            Some(schema @ Value::Object(_)) => Child::Additional(Schema::new(schema)),
            _ if self.preserves_unknown() => Child::Open,
            _ => Child::Unknown,
        }
    }

    /// The schema of list items.
    pub(crate) fn items(self) -> Schema<'a> {
        self.node.get("items").map_or(Schema::OPEN, Schema::new)
    }

    /// How a list merges.
    pub(crate) fn list_type(self) -> ListType<'a> {
        match self
            .node
            .get("x-kubernetes-list-type")
            .and_then(Value::as_str)
        {
            Some("set") => ListType::Set,
            Some("map") => {
                let keys = self
                    .node
                    .get("x-kubernetes-list-map-keys")
                    .and_then(Value::as_array);
                ListType::Map(
                    keys.into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .collect(),
                )
            }
            _ => ListType::Atomic,
        }
    }

    /// Whether a map is one value.
    pub(crate) fn atomic_map(self) -> bool {
        self.node
            .get("x-kubernetes-map-type")
            .and_then(Value::as_str)
            == Some("atomic")
    }

    /// The default of a key of a list item.
    pub(crate) fn key_default(self, key: &str) -> Option<&'a Value> {
        self.node.get("properties")?.get(key)?.get("default")
    }

    /// The key of strategic merge patch: `None` the list is replaced, `Some("")` a set of scalars.
    pub(crate) fn patch_merge_key(self) -> Option<&'a str> {
        let strategy = self
            .node
            .get("x-kubernetes-patch-strategy")
            .and_then(Value::as_str)?;
        let key = self
            .node
            .get("x-kubernetes-patch-merge-key")
            .and_then(Value::as_str);
        strategy
            .split(',')
            .any(|part| part == "merge")
            .then(|| key.unwrap_or_default())
    }
}
