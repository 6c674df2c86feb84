//! `load_balancer`, which is written in two ways: a table with one table for each, of which `api` is
//! the cluster's own, or a list of tables.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use toml::de::DeValue;

use super::blocks::RawLoadBalancer;
use super::leaf::{Leaf, Opt};
use super::reader::{Context, Node, Read, child, missing_key, read_leaf, wrong_type};
use super::tables::RawApiLoadBalancer;
use crate::span::Spanned;

/// The key of the cluster's own.
const API: &str = "api";

/// Every load balancer of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawLoadBalancers {
    /// `[load_balancer.api]`
    pub(crate) api: Opt<RawApiLoadBalancer>,
    /// The others, each with its key where it has one.
    pub(crate) free: Vec<(Option<Spanned<String>>, Leaf<RawLoadBalancer>)>,
}

impl Read for RawLoadBalancers {
    const EXPECTED: &'static str = "a table or a list of tables";

    fn read(node: Node<'_, '_>, path: &str, context: &mut Context<'_>) -> Option<Self> {
        let mut out = Self::default();
        match node.get_ref() {
            DeValue::Table(table) => {
                for (name, value) in table {
                    if context.report.is_full() {
                        break;
                    }
                    let key: &str = name.get_ref();
                    let at = child(path, key);
                    if key == API {
                        out.api = Some(read_leaf(value, &at, context));
                    } else {
                        let key = Spanned::at(name.span().into(), key.to_owned());
                        out.free.push((Some(key), read_leaf(value, &at, context)));
                    }
                }
            }
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if context.report.is_full() {
                        break;
                    }
                    let at = format!("{path}[{index}]");
                    let leaf: Leaf<RawLoadBalancer> = read_leaf(item, &at, context);
                    if let Leaf::Read(table) = &leaf
                        && table.value.name.is_none()
                    {
                        missing_key("name", &at, table.value.span, context);
                    }
                    out.free.push((None, leaf));
                }
            }
            _ => return wrong_type(node, path, Self::EXPECTED, context),
        }
        Some(out)
    }
}

impl JsonSchema for RawLoadBalancers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LoadBalancers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let api = generator.subschema_for::<RawApiLoadBalancer>();
        let free = generator.subschema_for::<RawLoadBalancer>();
        schemars::json_schema!({
            "anyOf": [
                { "type": "object", "properties": { API: api }, "additionalProperties": free },
                { "type": "array", "items": { "allOf": [free, { "required": ["name"] }] } },
            ],
        })
    }
}
