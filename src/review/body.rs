//! What comes, goes and changes of a resource, attribute by attribute.

use crate::diff::{self, Line, Piece, Tag};
use crate::render::value::{is_nothing, show, show_whole};
use kplan_model::{Disruption, Field, FieldChange, KindInfo, Step, Value};
use serde::{Deserialize, Serialize};

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// It is set.
    New,
    /// It goes with its resource.
    Gone,
    /// It changes.
    Changed,
    /// It stays as it is.
    Same,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub becomes: Becomes,
    /// What the change brings with it, such as `forces replacement`.
    pub remark: Option<String>,
    /// What is or will be: of a change the lines that differ. They stand as many columns to the
    /// right as their indent says.
    pub lines: Vec<Line>,
}

/// What is set of a new resource, or what changes of one that is made anew because of it.
pub(super) fn created(step: &Step, info: Option<&KindInfo>) -> Vec<Attribute> {
    if !step.changes.is_empty() {
        return updated(step, info);
    }
    let id = Attribute {
        name: "id".to_owned(),
        becomes: Becomes::New,
        remark: None,
        lines: vec![line(Tag::Added, "(known after apply)")],
    };
    let set = step.args.iter().flatten();
    let set = set.filter(|(_, value)| !is_nothing(value));
    let set = set.map(|(name, value)| Attribute {
        name: name.to_string(),
        becomes: Becomes::New,
        remark: None,
        lines: whole(Tag::Added, &masked(info, name, value)),
    });
    std::iter::once(id).chain(set).collect()
}

/// What goes with a resource: its id says which one it is.
pub(super) fn destroyed(step: &Step) -> Vec<Attribute> {
    let id = step.remote().map(|id| Attribute {
        name: "id".to_owned(),
        becomes: Becomes::Gone,
        remark: None,
        lines: vec![line(
            Tag::Removed,
            &format!("{} -> null", show(&Value::str(id.as_str()), 0)),
        )],
    });
    id.into_iter().collect()
}

/// What changes, and what stays.
pub(super) fn updated(step: &Step, info: Option<&KindInfo>) -> Vec<Attribute> {
    let mut all: Vec<Attribute> = step.changes.iter().map(|it| changed(it, info)).collect();
    let changes = |name: &str| step.changes.iter().any(|change| change.field == name);
    let same = step.args.iter().flatten();
    let same = same.filter(|(name, value)| !changes(name) && !is_nothing(value));
    all.extend(same.map(|(name, value)| Attribute {
        name: name.to_string(),
        becomes: Becomes::Same,
        remark: None,
        lines: whole(Tag::Same, &masked(info, name, value)),
    }));
    all
}

fn changed(change: &FieldChange, info: Option<&KindInfo>) -> Attribute {
    let field = info.and_then(|info| info.field(&change.field));
    let mut remarks = Vec::new();
    if change.forces_replacement {
        remarks.push("forces replacement");
    }
    match change.disruption {
        Disruption::None => {}
        Disruption::Restart => remarks.push("restarts it"),
        Disruption::PowerOff => remarks.push("powers it off and on"),
    }
    Attribute {
        name: change.field.clone(),
        becomes: Becomes::Changed,
        remark: (!remarks.is_empty()).then(|| remarks.join(", ")),
        lines: columns(diff::field(&change.before, &change.after, field)),
    }
}

/// Columns a level of a diff stands to the right of the one above it.
const LEVEL: usize = 4;

/// Lines whose indent is in levels, with it in columns.
pub fn columns(mut lines: Vec<Line>) -> Vec<Line> {
    for line in &mut lines {
        line.indent *= LEVEL;
    }
    lines
}

/// A value as text, a secret one masked.
pub(super) fn masked(info: Option<&KindInfo>, name: &str, value: &Value) -> String {
    let field = info.and_then(|info| info.field(name));
    let secret = field.is_some_and(|field: &Field| field.secret);
    if secret && value.is_known() && !value.is_null() {
        return "(sensitive value)".to_owned();
    }
    show_whole(value, 0)
}

/// A shown value of one or several lines; each keeps its place below the first.
pub(super) fn whole(tag: Tag, shown: &str) -> Vec<Line> {
    shown.split('\n').map(|text| line(tag, text)).collect()
}

fn line(tag: Tag, text: &str) -> Line {
    let inner = text.trim_start_matches(' ');
    Line {
        tag,
        indent: text.len() - inner.len(),
        pieces: vec![Piece {
            text: inner.to_owned(),
            strong: false,
        }],
    }
}
