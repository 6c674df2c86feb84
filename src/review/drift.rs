//! What changed outside of kplan, in three columns: what is on record, what is real, what the file
//! says.

use super::Kinds;
use super::body::{columns, masked};
use crate::diff::{self, Line};
use kplan_model::{Address, Declarations, Drift, KindInfo, Plan, Snapshot, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value that is longer does not stand in a column.
const COLUMN: usize = 36;

/// One field's three values, as they are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tri {
    /// The field.
    pub field: String,
    /// What is on record.
    pub recorded: String,
    /// What is real.
    pub real: String,
    /// What the file says; nothing where it does not say.
    pub file: Option<String>,
    /// Where the values are too long for columns: what differs between what is on record and what
    /// is real, and between the latter and what the file says.
    pub lines: Option<[Vec<Line>; 2]>,
}

/// One resource that changed outside of kplan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// The resource.
    pub address: String,
    /// Whether it is gone altogether.
    pub vanished: bool,
    /// The fields.
    pub fields: Vec<Tri>,
}

pub(super) fn of(
    plan: &Plan,
    snapshot: &Snapshot,
    declarations: &Declarations,
    kinds: &Kinds,
) -> Vec<Drifted> {
    if plan.drift.is_empty() {
        return Vec::new();
    }
    let asked: BTreeMap<&Address, _> = declarations
        .resources
        .iter()
        .map(|declaration| (&declaration.address, declaration))
        .collect();
    let one = |drift: &Drift| {
        let info = kinds.get(drift.address.kind()).copied();
        let asked = asked.get(&drift.address).map(|it| it.filled(snapshot));
        let fields = drift.fields.iter().map(|(name, recorded, real)| {
            let file = asked.as_ref().and_then(|args| args.get(name));
            tri(info, name, (recorded, real, file))
        });
        Drifted {
            address: drift.address.to_string(),
            vanished: drift.vanished,
            fields: fields.collect(),
        }
    };
    plan.drift.iter().map(one).collect()
}

fn tri(
    info: Option<&KindInfo>,
    name: &str,
    (recorded, real, file): (&Value, &Value, Option<&Value>),
) -> Tri {
    let shown = |value: &Value| column(info, name, value);
    let mut tri = Tri {
        field: name.to_owned(),
        recorded: shown(recorded),
        real: shown(real),
        file: file.map(shown),
        lines: None,
    };
    let all = [Some(&tri.recorded), Some(&tri.real), tri.file.as_ref()];
    if all
        .into_iter()
        .flatten()
        .any(|text| text.chars().count() > COLUMN)
    {
        let field = info.and_then(|info| info.field(name));
        let wanted = file.unwrap_or(real);
        tri.lines = Some([
            columns(diff::field(recorded, real, field)),
            columns(diff::field(real, wanted, field)),
        ]);
    }
    tri
}

/// A value in one line, as a column has it.
fn column(info: Option<&KindInfo>, name: &str, value: &Value) -> String {
    let shown = masked(info, name, value);
    let words: Vec<&str> = shown.split_whitespace().collect();
    // Only a value of several lines is put together again; blanks inside of one line count.
    if shown.contains('\n') {
        words.join(" ")
    } else {
        shown
    }
}
