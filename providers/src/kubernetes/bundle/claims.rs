//! How an object is applied of which others may have fields: without what programs of the cluster set,
//! and over somebody else's field only where the plan showed it.

use super::super::by_hand::{self, Edit};
use super::super::managed::Managed;
use super::super::object::{Object, canonical_digest};
use super::super::session::{Ownership, Session};
use super::{Bundle, DIGEST, Line, Target, labelled};
use kplan_model::ProviderError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an update does about what somebody changed by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// Puts it back.
    Undo,
    /// Leaves it.
    Leave,
}

/// What an update of a bundle goes by.
#[derive(Clone, Copy)]
pub struct Basis<'a> {
    /// The recorded inventory.
    pub lines: &'a [Line],
    /// The objects as they were applied last, where that is known.
    pub before: Option<&'a Bundle>,
    /// What Argo CD manages.
    pub managed: &'a Managed,
    /// What the plan showed of what was changed by hand.
    pub by_hand: ByHand,
    /// Of which objects the values are somebody else's to change: no plan shows that.
    pub is_left: &'a (dyn Fn(&Object) -> bool + Sync),
    /// Which objects a program makes for itself until kplan has something to put there.
    pub is_standin: &'a (dyn Fn(&Object) -> bool + Sync),
}

/// One object as it is to be applied.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Claim {
    /// What is applied of it.
    pub value: Value,
    /// Whether somebody else's fields become kplan's.
    pub ownership: Ownership,
    /// What is left to programs of the cluster, as pointers.
    left: Vec<String>,
}

impl Claim {
    /// All of it.
    pub(super) fn of(value: &Value, ownership: Ownership) -> Self {
        Self {
            value: value.clone(),
            ownership,
            left: Vec::new(),
        }
    }

    /// What is not left to programs of the cluster.
    fn rest(value: &Value, left: Vec<String>, ownership: Ownership) -> Self {
        Self {
            value: by_hand::without(value, &left),
            ownership,
            left,
        }
    }

    /// The mark of what was applied. Where something was left to a program, no look at the book gives
    /// the same: should somebody change that by hand later, nothing of kplan's would be taken.
    pub(super) fn mark(&self, applied: &Value) -> Option<String> {
        let mark = by_hand::mark(applied)?;
        if self.left.is_empty() {
            return Some(mark);
        }
        Some(canonical_digest(&json!([mark, self.left])))
    }
}

impl Line {
    /// Whether somebody took fields of it from kplan since it was applied.
    pub(in super::super) fn is_taken(&self, live: &Value) -> bool {
        self.fields.is_some() && by_hand::mark(live) != self.fields
    }
}

impl Bundle {
    /// Of which objects somebody took fields from kplan since they were applied, and which of those
    /// have other values now.
    pub(in super::super) fn taken_by_hand(
        &self,
        lines: &[Line],
        live: &BTreeMap<Object, Value>,
    ) -> BTreeMap<Object, Vec<Edit>> {
        let mut found = BTreeMap::new();
        for line in lines {
            if let (Some(entry), Some(value)) =
                (self.objects.get(&line.object), live.get(&line.object))
                && line.is_taken(value)
            {
                let edits = by_hand::edits(&entry.value, value);
                found.insert(line.object.clone(), edits);
            }
        }
        found
    }

    /// How an update applies one of its objects, of which `live` is there. What a program of the
    /// cluster set stays as it is: kplan does not own it, so leaving it out takes nothing away.
    ///
    /// Fields of somebody else's become kplan's where all of them are fields of which the plan said
    /// what they are and become: that they were changed by hand, or that the file changes what it said
    /// and what they still are. Anything else is a conflict. `None` for what is not in the bundle.
    pub(in super::super) fn claim(
        &self,
        object: &Object,
        live: Option<&Value>,
        basis: &Basis<'_>,
    ) -> Option<Claim> {
        let value = &self.objects.get(object)?.value;
        let line = basis.lines.iter().find(|line| line.object == *object);
        if line.is_none() && (basis.is_standin)(object) {
            return Some(Claim::of(value, Ownership::Take));
        }
        let (Some(live), false) = (live, basis.managed.covers(object)) else {
            return Some(Claim::of(value, Ownership::Respect));
        };
        let now = by_hand::compared(value, live);
        let there = now.edits.iter().filter(|edit| edit.real.is_some());
        let theirs: Vec<&String> = there.map(|edit| &edit.path).chain(&now.brought).collect();
        let is_shown = match line {
            Some(line) => line.shows(object, live, &theirs, basis),
            None => theirs.is_empty(),
        };
        // What kplan has there may be what it found.
        let is_left = (basis.is_left)(object);
        let ownership = if !is_left && is_shown && (now.is_shared || !theirs.is_empty()) {
            Ownership::Take
        } else {
            Ownership::Respect
        };
        Some(Claim::rest(value, now.programs, ownership))
    }

    /// Applies what `which` says, over everybody who holds something of it, except for what programs
    /// of the cluster set.
    pub(in super::super) async fn take_over(
        &self,
        to: &Target<'_>,
        which: impl Fn(&Object) -> bool,
    ) -> Result<(), ProviderError> {
        let live = self.live(to.session).await?;
        let due = self.objects.iter().filter(|(object, _)| which(object));
        let due = due.map(|(object, entry)| {
            let live = live.get(object);
            let left = live.map(|live| by_hand::compared(&entry.value, live).programs);
            let left = left.unwrap_or_default();
            (object, Claim::rest(&entry.value, left, Ownership::Take))
        });
        self.apply_claims(to, &due.collect()).await.map(drop)
    }

    pub(super) async fn live(
        &self,
        session: &Session,
    ) -> Result<BTreeMap<Object, Value>, ProviderError> {
        labelled(session, &self.owner, &self.name, &self.lines()).await
    }
}

impl Line {
    /// Whether a plan showed each of these fields, which others hold, with its value now.
    fn shows(&self, object: &Object, live: &Value, paths: &[&String], basis: &Basis<'_>) -> bool {
        let undoes = basis.by_hand == ByHand::Undo;
        let is_taken = undoes && self.is_taken(live);
        if is_taken && live["metadata"]["annotations"][DIGEST] != self.digest.as_str() {
            // It was shown as changed altogether.
            return true;
        }
        let before = basis
            .before
            .and_then(|bundle| bundle.objects.get(object))
            .filter(|entry| entry.digest == self.digest);
        let Some(before) = before else {
            // All that a plan could say is that somebody took something.
            return is_taken || paths.is_empty();
        };
        let before = by_hand::compared(&before.value, live);
        let is_edited = |path: &String| before.edits.iter().any(|edit| edit.path == *path);
        let mut paths = paths.iter();
        paths.all(|&path| before.same.contains(path) || undoes && is_edited(path))
    }
}
