//! Lists, always read to their last page. There is no other way to read one.

use super::client::Client;
use super::flight::Items;
use kplan_model::{ErrorKind, ProviderError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Items asked for at once: the most DigitalOcean gives.
pub const MAX_PER_PAGE: u32 = 200;
/// 200,000 items; more than any account may hold.
const MAX_PAGES: u32 = 1000;
/// How often a list that changes while it is read is read again.
const ROUNDS: u32 = 3;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Text made safe for one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A list to read.
#[derive(Clone, Debug)]
pub struct List {
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) key: &'static str,
    pub(super) id: &'static str,
    pub(super) paged: bool,
}

impl List {
    /// The list at `path` whose items stand under `key` and are told apart by their field `id`.
    pub fn new(path: impl Into<String>, key: &'static str, id: &'static str) -> Self {
        Self {
            path: path.into(),
            query: Vec::new(),
            key,
            id,
            paged: true,
        }
    }

    /// The same list, narrowed by a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// The same list, for the few that have no pages and always come whole.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.paged = false;
        self
    }

    /// Path and query of a page; the key under which equal lists are coalesced is that of page 1.
    pub(super) fn page(&self, page: u32, per_page: u32) -> String {
        let mut parts: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        if self.paged {
            parts.push(format!("page={page}"));
            parts.push(format!("per_page={per_page}"));
        }
        if parts.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, parts.join("&"))
        }
    }
}

/// One pass over all pages.
struct Pass {
    items: Vec<(String, Value)>,
    /// Whether what the pages said about the number of items agrees with what came.
    steady: bool,
}

/// Reads the whole list. Items that move between pages while they are read would be missed or
/// seen twice: they are told apart by id, and a list whose total changed or whose items do not
/// add up is read again, up to three times; the answer then holds everything that was seen.
pub(super) async fn read(client: &Client, list: &List) -> Result<Items, ProviderError> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut items: Vec<Value> = Vec::new();
    for _ in 0..ROUNDS {
        let pass = pass(client, list).await?;
        if pass.steady && items.is_empty() {
            return Ok(Arc::new(
                pass.items.into_iter().map(|(_, item)| item).collect(),
            ));
        }
        for (id, item) in pass.items {
            if let Some(slot) = seen.get(&id).and_then(|&at| items.get_mut(at)) {
                *slot = item;
            } else {
                seen.insert(id, items.len());
                items.push(item);
            }
        }
        if pass.steady {
            break;
        }
    }
    Ok(Arc::new(items))
}

async fn pass(client: &Client, list: &List) -> Result<Pass, ProviderError> {
    let mut items: BTreeMap<String, Value> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut total: Option<u64> = None;
    let mut steady = true;
    for page in 1..=MAX_PAGES {
        let path = list.page(page, client.per_page());
        let mut body: Value = client.get(&path).await?;
        for item in take_items(&mut body, list)? {
            let id = id_of(&item, list)?;
            if items.insert(id.clone(), item).is_none() {
                order.push(id);
            } else {
                steady = false;
            }
        }
        let said = body.pointer("/meta/total").and_then(Value::as_u64);
        steady &= total.is_none() || said == total;
        total = said;
        let more = body
            .pointer("/links/pages/next")
            .and_then(Value::as_str)
            .is_some_and(|next| !next.is_empty());
        if !(list.paged && more) {
            steady &= total.is_none_or(|total| u64::try_from(order.len()) == Ok(total));
            let items = order
                .into_iter()
                .filter_map(|id| items.remove_entry(&id))
                .collect();
            return Ok(Pass { items, steady });
        }
    }
    Err(ProviderError::new(
        ErrorKind::Bug,
        format!("GET {} has more than {MAX_PAGES} pages", list.path),
    ))
}

fn take_items(body: &mut Value, list: &List) -> Result<Vec<Value>, ProviderError> {
    match body.get_mut(list.key).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        // Some lists are null when they are empty.
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(unreadable(list, "no list where one belongs")),
    }
}

fn id_of(item: &Value, list: &List) -> Result<String, ProviderError> {
    match item.get(list.id) {
        Some(Value::String(id)) => Ok(id.clone()),
        Some(Value::Number(id)) => Ok(id.to_string()),
        _ => Err(unreadable(list, "an item without an id")),
    }
}

fn unreadable(list: &List, what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Bug,
        format!("the answer of GET {} has {what}", list.path),
    )
    .help("DigitalOcean's API changed, or a proxy answered in its place; please report it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Script, json};

    fn page(ids: &[u32], total: u32, more: bool) -> http::Response<bytes::Bytes> {
        let items: Vec<Value> = ids
            .iter()
            .map(|id| serde_json::json!({ "id": id }))
            .collect();
        let links = if more {
            serde_json::json!({ "pages": { "next": "https://elsewhere.example/?page=9" } })
        } else {
            serde_json::json!({})
        };
        json(
            200,
            &serde_json::json!({ "things": items, "links": links, "meta": { "total": total } }),
        )
    }

    async fn ids(script: &Script) -> Vec<u64> {
        let list = List::new("/v2/things", "things", "id").with("tag_name", "kplan:a b");
        let items: Vec<Value> = script.client().list(&list).await.unwrap();
        items
            .iter()
            .map(|item| item["id"].as_u64().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn every_page_is_read_from_our_own_address() {
        let script = Script::answers([
            page(&[1, 2], 5, true),
            page(&[3, 4], 5, true),
            page(&[5], 5, false),
        ]);
        assert_eq!(ids(&script).await, [1, 2, 3, 4, 5]);
        assert_eq!(
            script.calls(),
            [
                "GET /v2/things?tag_name=kplan%3Aa%20b&page=1&per_page=200",
                "GET /v2/things?tag_name=kplan%3Aa%20b&page=2&per_page=200",
                "GET /v2/things?tag_name=kplan%3Aa%20b&page=3&per_page=200",
            ]
        );
    }

    #[tokio::test]
    async fn an_item_that_slips_to_an_earlier_page_is_not_missed() {
        // 1 is deleted after page 1 was read, so 3 moves to page 1 and is on no page we see.
        let script = Script::answers([
            page(&[1, 2], 5, true),
            page(&[4, 5], 4, false),
            page(&[2, 3], 4, true),
            page(&[4, 5], 4, false),
        ]);
        let mut found = ids(&script).await;
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn an_item_pushed_to_the_next_page_is_not_seen_twice() {
        let script = Script::answers([
            page(&[1, 2], 3, true),
            page(&[2, 3], 4, false),
            page(&[0, 1], 4, true),
            page(&[2, 3], 4, false),
        ]);
        let mut found = ids(&script).await;
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn a_restless_list_is_read_three_times_and_no_more() {
        let script = Script::new(|_| Ok(page(&[1], 2, false)));
        assert_eq!(ids(&script).await, [1]);
        assert_eq!(script.calls().len(), 3);
    }
}
