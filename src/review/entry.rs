//! One resource's part of a plan.

use super::body::{self, Attribute};
use super::{Kinds, words};
use crate::compose::leavings::{is_last_look, is_preparation};
use kplan_model::{Action, Address, Plan, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// More of what a step waits for than this is counted instead of named.
const NAMED: usize = 4;

/// What is done, by the symbol it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// `+`
    Create,
    /// `~`
    Update,
    /// `<=`
    Wait,
    /// `!`
    Operate,
    /// `-`
    Delete,
    /// `-/+`
    DeleteCreate,
    /// `+/-`
    CreateDelete,
    /// `.`
    Forget,
    /// `=>`: it exists, and comes on record.
    Import,
    /// `->`: only its address changes.
    Move,
    /// None: only a guard changes.
    Record,
}

impl Sign {
    /// Every sign there is.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Update,
        Self::Wait,
        Self::Operate,
        Self::Delete,
        Self::DeleteCreate,
        Self::CreateDelete,
        Self::Forget,
        Self::Import,
        Self::Move,
        Self::Record,
    ];

    /// The symbol, Terraform's where it has one.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Wait => "<=",
            Self::Operate => "!",
            Self::Delete => "-",
            Self::DeleteCreate => "-/+",
            Self::CreateDelete => "+/-",
            Self::Forget => ".",
            Self::Import => "=>",
            Self::Move => "->",
            Self::Record => " ",
        }
    }

    /// What the legend says of it; nothing for what has no symbol.
    pub const fn meaning(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("create"),
            Self::Update => Some("update in-place"),
            Self::Wait => Some("wait for"),
            Self::Operate => Some("prepare, or undo a preparation"),
            Self::Delete => Some("destroy"),
            Self::DeleteCreate => Some("destroy and then create replacement"),
            Self::CreateDelete => Some("create replacement and then destroy"),
            Self::Forget => Some("forget, the resource itself stays"),
            Self::Import => Some("import, the resource itself stays as it is"),
            Self::Move => Some("give another address, the resource itself stays as it is"),
            Self::Record => None,
        }
    }

    /// Whether a resource that exists is destroyed, in whatever order.
    pub const fn destroys(self) -> bool {
        matches!(self, Self::Delete | Self::DeleteCreate | Self::CreateDelete)
    }

    fn of(plan: &Plan, step: &Step) -> Self {
        if step.pair.is_some_and(|pair| plan.step(pair).is_some()) {
            return match step.action {
                Action::Delete => Self::DeleteCreate,
                _ => Self::CreateDelete,
            };
        }
        match step.action {
            Action::Create => Self::Create,
            Action::Update if step.only_waits() => Self::Wait,
            Action::Update => Self::Update,
            Action::Delete if is_last_look(&step.address) => Self::Wait,
            Action::Delete if is_preparation(&step.address) => Self::Operate,
            Action::Delete => Self::Delete,
            Action::Forget => Self::Forget,
            Action::Record => Self::Record,
            Action::Operate => Self::Operate,
        }
    }
}

/// How much a reader should look at an entry, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Something is lost for ever.
    Loses,
    /// Something is destroyed.
    Destroys,
    /// A guard goes, or a resource leaves the state.
    Unguards,
    /// Something that runs is interrupted.
    Interrupts,
    /// Something is changed.
    Changes,
    /// Something is prepared for what follows.
    Prepares,
    /// Something is made.
    Creates,
    /// Something is waited for, or guarded.
    Harmless,
}

/// One resource's part of a plan. A replacement is one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The resource.
    pub address: String,
    /// What is done.
    pub sign: Sign,
    /// How dangerous it is.
    pub risk: Risk,
    /// What happens, to stand after the address.
    pub verb: String,
    /// Why.
    pub because: Option<String>,
    /// Where it comes from, of one that is imported or had another address, and changes besides.
    pub comes: Option<String>,
    /// The container it goes with: nothing is called for it alone.
    pub goes_with: Option<String>,
    /// What is lost for ever.
    pub loses: Option<String>,
    /// What it waits for, the first of them.
    pub waits_for: Vec<String>,
    /// How many more it waits for.
    pub waits_for_more: usize,
    /// Its attributes: those that come, go or change, and those that stay.
    pub attributes: Vec<Attribute>,
}

impl Entry {
    /// `droplet.web will be created`.
    pub fn sentence(&self) -> String {
        format!("{} {}", self.address, self.verb)
    }

    /// What it waits for, in words.
    pub fn waits(&self) -> Option<String> {
        let named = self.waits_for.join(", ");
        match (self.waits_for.len(), self.waits_for_more) {
            (0, _) => None,
            (_, 0) => Some(format!("waits for {named}")),
            (_, more) => Some(format!("waits for {named} and {more} more")),
        }
    }
}

/// Whether a step is worth a reader's time: everything but bookkeeping. Guards that come or go
/// are no bookkeeping.
pub fn is_visible(step: &Step) -> bool {
    let guards = |meta: &kplan_model::Meta| (meta.protect, meta.keep);
    step.action != Action::Record
        || step
            .before
            .as_ref()
            .is_none_or(|before| guards(&before.meta) != guards(&step.meta))
}

/// Of a replacement only the half that comes first is listed.
pub fn is_head(plan: &Plan, step: &Step) -> bool {
    match step.pair.and_then(|pair| plan.step(pair)) {
        Some(other) => step.id < other.id,
        None => true,
    }
}

pub(super) fn all(plan: &Plan, kinds: &Kinds) -> Vec<Entry> {
    let shown = plan
        .steps
        .iter()
        .filter(|step| is_head(plan, step) && is_visible(step));
    let mut steps: Vec<Entry> = shown.map(|step| entry(plan, step, kinds)).collect();
    let mut relocated = relocated(plan);
    for entry in &mut steps {
        // What changes besides says where it comes from, too.
        if let Some(at) = relocated.iter().position(|it| it.address == entry.address) {
            entry.comes = Some(relocated.remove(at).verb);
        }
    }
    relocated.append(&mut steps);
    relocated
}

/// What comes on record, or is on record somewhere else, before the first step.
fn relocated(plan: &Plan) -> Vec<Entry> {
    let imported = plan.imported.iter().map(|(to, id)| {
        let verb = format!("will be imported, from the id {id}");
        bare(to, Sign::Import, verb)
    });
    let moved = plan.moved.iter().map(|(from, to)| {
        let verb = format!("is what {from} was");
        bare(to, Sign::Move, verb)
    });
    imported.chain(moved).collect()
}

fn bare(address: &Address, sign: Sign, verb: String) -> Entry {
    Entry {
        address: address.to_string(),
        sign,
        risk: Risk::Harmless,
        verb,
        because: None,
        comes: None,
        goes_with: None,
        loses: None,
        waits_for: Vec::new(),
        waits_for_more: 0,
        attributes: Vec::new(),
    }
}

fn entry(plan: &Plan, step: &Step, kinds: &Kinds) -> Entry {
    let other = step.pair.and_then(|pair| plan.step(pair));
    let halves = [Some(step), other];
    let with = |action: Action| {
        halves
            .into_iter()
            .flatten()
            .find(|half| half.action == action)
    };
    let info = kinds.get(step.address.kind()).copied();
    let sign = Sign::of(plan, step);
    let attributes = match (with(Action::Create), with(Action::Delete)) {
        _ if matches!(sign, Sign::Wait | Sign::Operate) => Vec::new(),
        (Some(create), _) => body::created(create, info),
        (None, Some(delete)) => body::destroyed(delete),
        (None, None) if step.action == Action::Update => body::updated(step, info),
        (None, None) => Vec::new(),
    };
    let loses = halves
        .into_iter()
        .flatten()
        .find_map(|half| half.loses.clone());
    let (waits_for, waits_for_more) = waits(plan, step);
    Entry {
        address: step.address.to_string(),
        sign,
        risk: risk(step, sign, loses.is_some()),
        verb: words::verb(plan, step),
        // The half that is made says why, where the other only says that it was asked for.
        because: halves.into_iter().flatten().find_map(words::because),
        comes: None,
        goes_with: step.goes_with.as_ref().map(ToString::to_string),
        loses,
        waits_for,
        waits_for_more,
        attributes,
    }
}

fn risk(step: &Step, sign: Sign, loses: bool) -> Risk {
    match sign {
        _ if loses => Risk::Loses,
        _ if sign.destroys() => Risk::Destroys,
        Sign::Record if step.meta.protect => Risk::Harmless,
        Sign::Record | Sign::Forget => Risk::Unguards,
        Sign::Update if step.interrupts() => Risk::Interrupts,
        Sign::Update => Risk::Changes,
        Sign::Operate => Risk::Prepares,
        Sign::Create => Risk::Creates,
        _ => Risk::Harmless,
    }
}

/// The addresses of the steps it comes right after, its own left out. What everything comes after is
/// only named where there is nothing else, or the last of it would not be.
fn waits(plan: &Plan, step: &Step) -> (Vec<String>, usize) {
    let required = step.requires.iter().filter_map(|id| plan.step(*id));
    let mut others: BTreeSet<&Address> = required
        .filter(|other| is_visible(other))
        .map(|other| &other.address)
        .filter(|address| **address != step.address)
        .collect();
    let first = |address: &&Address| is_preparation(address);
    match others.iter().copied().filter(first).max() {
        Some(_) if others.iter().any(|it| !is_preparation(it)) => {
            others.retain(|it| !is_preparation(it));
        }
        Some(last) => others = BTreeSet::from([last]),
        None => {}
    }
    let named = others.iter().take(NAMED).map(ToString::to_string).collect();
    (named, others.len().saturating_sub(NAMED))
}
