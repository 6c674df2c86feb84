//! Two trees by path: only what differs, each with the place where it stands.

use super::align::align;
use super::choose;
use super::kubernetes;
use super::node::{Node, SENSITIVE, Sort, is_bare, name};
use super::{Line, Tag};
use crate::render::value::quote;
use similar::DiffOp;
use std::collections::{BTreeMap, BTreeSet};

/// Names by one of which the maps of a list are known, where all have it and no two the same:
/// containers and variables by `name`, the files of cloud-init by `path`.
const KNOWN_BY: &[&str] = &["name", "path", "id", "key"];

/// A map's values, by name.
type Named = BTreeMap<String, Node>;

/// An item of a set is not known by more characters than these.
const LABEL: usize = 40;

/// What was found so far.
pub(super) struct Differ {
    indent: usize,
    /// How many texts stand around this one.
    depth: usize,
    path: String,
    unchanged: usize,
    /// The same, of whole items of sets.
    unchanged_items: usize,
    found: Found,
}

/// The lines of a tree, and what is to be known of them.
#[derive(Default)]
pub(super) struct Found {
    /// The lines.
    pub(super) lines: Vec<Line>,
    /// Whether the only line is about the whole, on one line.
    pub(super) whole: bool,
    /// Whether something had to be decoded to be compared.
    pub(super) decoded: bool,
}

impl Differ {
    /// Lines from this level on; so many texts stand around.
    pub(super) fn new(indent: usize, depth: usize) -> Self {
        Self {
            indent,
            depth,
            path: String::new(),
            unchanged: 0,
            unchanged_items: 0,
            found: Found::default(),
        }
    }

    /// Everything found, with how much is the same.
    pub(super) fn finish(mut self) -> Found {
        let count = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 unchanged {what}")),
            more => Some(format!("{more} unchanged {what}s")),
        };
        let attributes = count(self.unchanged, "attribute");
        let items = count(self.unchanged_items, "item");
        let hidden: Vec<String> = attributes.into_iter().chain(items).collect();
        if !hidden.is_empty() && !self.found.lines.is_empty() {
            let text = format!("({} hidden)", hidden.join(", "));
            self.found.lines.push(Line::note(self.indent, &text));
        }
        self.found
    }

    /// Compares two trees that stand at the present path.
    pub(super) fn compare(&mut self, before: &Node, after: &Node) {
        match (before, after) {
            (before, after) if before == after => self.unchanged += before.leaves(),
            (Node::Map(before), Node::Map(after)) => self.maps(before, after),
            (Node::List(before), Node::List(after)) => self.lists(before, after),
            (Node::Set(sort, before), Node::Set(_, after)) => self.sets(*sort, before, after),
            (Node::Text(before, was), Node::Text(after, is)) => {
                let encoded = was.or(*is);
                if !self.texts(before, after, encoded) {
                    self.changed_on_a_line(&quoted(before), &quoted(after));
                }
            }
            (Node::Null, Node::Text(text, encoded)) if !text.is_empty() => {
                if !self.texts("", text, *encoded) {
                    self.changed(before, after);
                }
            }
            (Node::Text(text, encoded), Node::Null) if !text.is_empty() => {
                if !self.texts(text, "", *encoded) {
                    self.changed(before, after);
                }
            }
            _ => self.changed(before, after),
        }
    }

    /// Compares all documents of two texts.
    pub(super) fn documents(&mut self, before: &[Node], after: &[Node]) {
        match (before, after) {
            ([], []) => {}
            ([before], []) => self.whole(Tag::Removed, before),
            ([], [after]) => self.whole(Tag::Added, after),
            ([before], [after]) => self.compare(before, after),
            _ => self.lists(before, after),
        }
    }

    fn at(&mut self, step: &str, compare: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        let joint = if self.path.is_empty() || step.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path.push_str(joint);
        self.path.push_str(step);
        compare(self);
        self.path.truncate(length);
    }

    fn maps(&mut self, before: &BTreeMap<String, Node>, after: &BTreeMap<String, Node>) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let step = if is_bare(key) {
                key.clone()
            } else {
                format!("[{}]", name(key))
            };
            self.at(&step, |this| this.either(before.get(key), after.get(key)));
        }
    }

    fn either(&mut self, before: Option<&Node>, after: Option<&Node>) {
        match (before, after) {
            (Some(before), Some(after)) => self.compare(before, after),
            (Some(before), None) => self.whole(Tag::Removed, before),
            (None, Some(after)) => self.whole(Tag::Added, after),
            (None, None) => {}
        }
    }

    fn lists(&mut self, before: &[Node], after: &[Node]) {
        if let Some((old, new)) = labels(before, after) {
            return self.labelled((&old, before), (&new, after));
        }
        for op in align(before, after).0 {
            let (old, new) = (op.old_range(), op.new_range());
            if let DiffOp::Equal { .. } = op {
                let same = before.get(old).unwrap_or_default();
                self.unchanged += same.iter().map(Node::leaves).sum::<usize>();
                continue;
            }
            // What was replaced is compared with what stands there now, as far as it is alike.
            for index in 0..old.len().max(new.len()) {
                let at = |range: &std::ops::Range<usize>| {
                    let place = range.start + index;
                    range.contains(&place).then_some(place)
                };
                let (was, is) = (at(&old), at(&new));
                let gone = was.and_then(|place| before.get(place));
                let come = is.and_then(|place| after.get(place));
                let place = is.or(was).unwrap_or_default();
                self.at(&format!("[{place}]"), |this| this.either(gone, come));
            }
        }
    }

    /// Lists whose items are known by a name.
    fn labelled(&mut self, before: (&[String], &[Node]), after: (&[String], &[Node])) {
        fn by_label<'a>(list: (&'a [String], &'a [Node])) -> BTreeMap<&'a String, &'a Node> {
            list.0.iter().zip(list.1).collect()
        }
        let (old, new) = (by_label(before), by_label(after));
        let gone = before.0.iter().filter(|label| !new.contains_key(label));
        for label in gone.chain(after.0) {
            let step = format!("[{}]", shown_label(label));
            self.at(&step, |this| {
                this.either(old.get(label).copied(), new.get(label).copied());
            });
        }
        let stayed = before.0.iter().filter(|label| new.contains_key(label));
        let stays = after.0.iter().filter(|label| old.contains_key(label));
        if !stayed.eq(stays) {
            let place = if self.path.is_empty() {
                String::new()
            } else {
                format!("{}: ", self.path)
            };
            let text = format!("{place}the order differs");
            self.found.lines.push(Line::note(self.indent, &text));
        }
    }

    fn sets(&mut self, sort: Sort, before: &[Node], after: &[Node]) {
        let keys = |items: &[Node]| -> BTreeSet<Node> {
            items.iter().map(|item| item.key(sort)).collect()
        };
        let (old, new) = (keys(before), keys(after));
        self.unchanged_items += old.intersection(&new).count();
        if let Some((label, was, is)) = replaced(sort, (before, &old), (after, &new)) {
            return self.at(&label, |this| this.maps(was, is));
        }
        let step = if self.path.is_empty() { "" } else { "[]" };
        for (tag, items, others) in [(Tag::Removed, before, &new), (Tag::Added, after, &old)] {
            let mut told = BTreeSet::new();
            for item in items {
                let key = item.key(sort);
                if !others.contains(&key) && told.insert(key) {
                    self.at(step, |this| this.whole(tag, item));
                }
            }
        }
    }

    /// Two texts of which at least one has several lines, or stands for something that has. False
    /// where both are said on one line.
    fn texts(&mut self, before: &str, after: &str, encoded: Option<&'static str>) -> bool {
        if before == after {
            self.unchanged += 1;
            return true;
        }
        let named = !self.path.is_empty();
        let indent = self.indent + usize::from(named);
        let Some(block) = choose::block(before, after, indent, self.depth + 1) else {
            return false;
        };
        if named {
            let head = format!("{}:", self.path);
            self.found
                .lines
                .push(Line::new(Tag::Changed, self.indent, &head));
        }
        if let Some(encoded) = encoded {
            let text = format!("{encoded}, decoded");
            self.found.lines.push(Line::note(indent, &text));
        }
        self.found.decoded |= block.decoded || encoded.is_some();
        self.found.lines.extend(block.lines);
        true
    }

    /// Something that is in one of the two only.
    fn whole(&mut self, tag: Tag, node: &Node) {
        let shown = self.prefixed(&node.shown());
        for line in shown.split('\n') {
            self.found.lines.push(Line::new(tag, self.indent, line));
        }
    }

    fn changed(&mut self, before: &Node, after: &Node) {
        if matches!(before, Node::Secret(_)) || matches!(after, Node::Secret(_)) {
            let (old, new) = (beside_secret(before), beside_secret(after));
            let both = old == SENSITIVE && new == SENSITIVE;
            let mark = if both { " (changed)" } else { "" };
            return self.changed_on_a_line(&old, &format!("{new}{mark}"));
        }
        let (old, new) = (before.shown(), after.shown());
        if !old.contains('\n') && !new.contains('\n') {
            return self.changed_on_a_line(&old, &new);
        }
        if matches!(before, Node::Unknown(_)) || matches!(after, Node::Unknown(_)) {
            return self.changed_on_a_line(&before.told(), &after.told());
        }
        for (tag, node) in [(Tag::Removed, before), (Tag::Added, after)] {
            if *node != Node::Null {
                self.whole(tag, node);
            }
        }
    }

    fn changed_on_a_line(&mut self, before: &str, after: &str) {
        let text = self.prefixed(&format!("{before} -> {after}"));
        self.found.whole = self.path.is_empty();
        self.found
            .lines
            .push(Line::new(Tag::Changed, self.indent, &text));
    }

    fn prefixed(&self, text: &str) -> String {
        if self.path.is_empty() {
            text.to_owned()
        } else {
            format!("{} = {text}", self.path)
        }
    }
}

/// The only item of a set that is another now, where both are maps and have something by which a
/// reader knows them: what is the same in both, such as `[6443 tcp]`.
fn replaced<'a>(
    sort: Sort,
    (before, old): (&'a [Node], &BTreeSet<Node>),
    (after, new): (&'a [Node], &BTreeSet<Node>),
) -> Option<(String, &'a Named, &'a Named)> {
    let only = |items: &'a [Node], others: &BTreeSet<Node>| {
        let mut differ = items
            .iter()
            .filter(|item| !others.contains(&item.key(sort)));
        match (differ.next(), differ.next()) {
            (Some(Node::Map(map)), None) => Some(map),
            _ => None,
        }
    };
    let (was, is) = (only(before, new)?, only(after, old)?);
    let same = was
        .iter()
        .filter(|(name, node)| is.get(*name) == Some(*node));
    let words = same.filter_map(|(_, node)| node.as_text().filter(|text| !text.is_empty()));
    let words: Vec<&str> = words.collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '.' | '_' | '/');
    let label = words.join(" ");
    let fits = !label.is_empty() && label.len() <= LABEL && label.chars().all(plain);
    fits.then(|| (format!("[{label}]"), was, is))
}

/// Text on one line.
fn quoted(text: &str) -> String {
    Node::text(text).told()
}

/// What stands on the other side of a secret may be the same text in clear.
fn beside_secret(node: &Node) -> String {
    match node {
        Node::Null | Node::Unknown(_) => node.shown(),
        _ => SENSITIVE.to_owned(),
    }
}

fn shown_label(label: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':');
    if label.chars().all(plain) {
        label.to_owned()
    } else {
        quote(label)
    }
}

/// The names by which the items of both lists are known, if all are.
fn labels(before: &[Node], after: &[Node]) -> Option<(Vec<String>, Vec<String>)> {
    let both = |label: &dyn Fn(&Node) -> Option<String>| {
        let all = |items: &[Node]| -> Option<Vec<String>> {
            let labels: Vec<String> = items.iter().map(label).collect::<Option<_>>()?;
            let distinct: BTreeSet<&String> = labels.iter().collect();
            (distinct.len() == labels.len()).then_some(labels)
        };
        Some((all(before)?, all(after)?))
    };
    both(&kubernetes::identity).or_else(|| {
        KNOWN_BY.iter().find_map(|name| {
            both(&|item| match item {
                Node::Map(map) => map.get(*name)?.as_text().map(str::to_owned),
                _ => None,
            })
        })
    })
}
