//! Texts that are YAML, JSON or TOML, read into trees; the files of cloud-init decoded.

use super::decode;
use super::kubernetes;
use super::node::Node;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

/// Longer texts are compared by line only: what is read takes some twenty times its size, and
/// nobody has a document of more than a quarter of a MiB in a plan.
pub(super) const LONGEST: usize = 256 * 1024;
/// A document has no more values than these. One that size has fewer, unless it repeats its
/// anchors to become a bomb.
const VALUES: usize = 100_000;
/// Nor are its brackets open more than these at once: deeper ones are refused by the readers, after
/// a time that grows with the square of them.
const DEPTH: usize = 128;
/// How TOML's reader hands over a date.
const TOML_DATE: &str = "$__toml_private_datetime";
/// How cloud-init's own documents begin.
const CLOUD_CONFIG: &str = "#cloud-config";

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Toml,
    Yaml,
}

impl Format {
    /// Each, the strictest first: every JSON is YAML.
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::Toml, Self::Yaml];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
        }
    }
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Document {
    /// Its documents; only YAML has more than one, or none.
    pub(super) roots: Vec<Node>,
    /// Whether the data of a Secret was taken out of sight.
    pub(super) masked: bool,
    /// Whether it is cloud-init's.
    pub(super) cloud_config: bool,
}

impl Document {
    /// Whether nothing stands in it.
    pub(super) fn is_empty(&self) -> bool {
        self.roots.iter().all(|root| root.leaves() == 0)
    }
}

/// Reads a text, if it is of that format and more than one word.
pub(super) fn read(text: &str, format: Format) -> Option<Document> {
    if text.len() > LONGEST || is_deep(text) {
        return None;
    }
    let (left, masked) = (Cell::new(VALUES), Cell::new(false));
    let reader = Reader {
        left: &left,
        masked: &masked,
    };
    let mut nodes = match format {
        Format::Json => {
            let mut from = serde_json::Deserializer::from_str(text);
            let node = reader.deserialize(&mut from).ok()?;
            from.end().ok()?;
            vec![node]
        }
        Format::Toml => {
            let from = toml::Deserializer::parse(text).ok()?;
            vec![reader.deserialize(from).ok()?]
        }
        Format::Yaml => {
            let documents = serde_norway::Deserializer::from_str(text);
            let nodes: Result<Vec<Node>, _> =
                documents.map(|from| reader.deserialize(from)).collect();
            let mut nodes = nodes.ok()?;
            nodes.retain(|node| *node != Node::Null);
            nodes
        }
    };
    let is_tree = |node: &Node| matches!(node, Node::Map(_) | Node::List(_));
    if !nodes.iter().all(is_tree) {
        return None;
    }
    let cloud_config = format == Format::Yaml && text.starts_with(CLOUD_CONFIG);
    if cloud_config {
        nodes.iter_mut().for_each(decode_files);
    }
    Some(Document {
        roots: nodes,
        masked: masked.get(),
        cloud_config,
    })
}

/// Whether more brackets are open at once than any document has. Those in words count as well.
fn is_deep(text: &str) -> bool {
    let mut open = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > DEPTH {
            return true;
        }
    }
    false
}

/// Puts in place what the contents of cloud-init's `write_files` stand for.
fn decode_files(root: &mut Node) {
    let Node::Map(map) = root else { return };
    let Some(Node::List(files)) = map.get_mut("write_files") else {
        return;
    };
    for file in files {
        let Node::Map(file) = file else { continue };
        let encoding = file.get("encoding").and_then(Node::as_text);
        let content = file.get("content").and_then(Node::as_text);
        if let (Some(encoding), Some(content)) = (encoding, content)
            && let Some((how, text)) = decode::content(encoding, content)
        {
            file.insert("content".to_owned(), Node::Text(text, Some(how)));
        }
    }
}

/// Reads one value of any format, and counts down how many it may still read.
#[derive(Clone, Copy)]
struct Reader<'a> {
    left: &'a Cell<usize>,
    masked: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom("it has too many values"));
        };
        self.left.set(left);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Told(flag.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Told(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Told(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        // From here on whole numbers lose digits: two that differ would be the same.
        if number.abs() >= 9_007_199_254_740_992.0 {
            return Err(E::custom("a number has too many digits"));
        }
        Ok(Node::Told(format!("{number:?}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::text(text))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Node, E> {
        Ok(Node::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = items.next_key_seed(self)? {
            let key = match key {
                Node::Text(text, _) | Node::Told(text) => text,
                Node::Null => "null".to_owned(),
                _ => return Err(A::Error::custom("a name is no text")),
            };
            if map.contains_key(&key) {
                return Err(A::Error::custom("a name stands twice"));
            }
            map.insert(key, items.next_value_seed(self)?);
        }
        if let (1, Some(Node::Text(date, _))) = (map.len(), map.get(TOML_DATE)) {
            return Ok(Node::Told(date.clone()));
        }
        if kubernetes::mask(&mut map) {
            self.masked.set(true);
        }
        Ok(Node::Map(map))
    }
}
