//! One resource at a time, in dependency order: what its references give, and what changes.

use super::field::{Verdict, judge};
use super::refresh::{Seen, drift, look};
use super::{Change, Current, Diff, Inputs, NodeDiff, stands_in_deposed};
use crate::attrs;
use crate::compare::{Likeness, compare};
use crate::error::Refusal;
use crate::graph;
use kplan_model::{
    Address, Change as FieldKind, Declaration, Drift, ErrorKind, Field, FieldChange, Kind,
    KindInfo, Meta, Object, Origin, PlanMode, ProviderError, Reason, Recorded, Ref, Status, Value,
};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What is known of a reference now.
enum Filled {
    /// Its value; whether that is final, so that the plan may carry it instead of the reference.
    Known(Value, bool),
    /// Known after apply.
    Unknown,
}

/// The differ at work.
pub(super) struct Work<'a> {
    inputs: Inputs<'a>,
    /// Those visited so far, in that order.
    nodes: Vec<NodeDiff<'a>>,
    /// By position in the graph: the place in `nodes`, where it was visited.
    places: Vec<Option<usize>>,
    /// Kind and name of everything declared, to tell a smaller count from a block that is gone.
    names: BTreeSet<(&'a Kind, &'a str)>,
    out: Diff<'a>,
}

/// A field's comparison, summed up over all fields of a resource.
#[derive(Default)]
struct Fields {
    changes: Vec<FieldChange>,
    refused: Vec<Refusal>,
    /// The record's arguments are out of date although reality is right.
    stale: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(inputs: Inputs<'a>) -> Self {
        let declared = inputs.declarations.resources.iter();
        Self {
            inputs,
            nodes: Vec::with_capacity(inputs.graph.len()),
            places: vec![None; inputs.graph.len()],
            names: declared
                .map(|d| (d.address.kind(), d.address.name()))
                .collect(),
            out: Diff::default(),
        }
    }

    pub(super) fn finish(mut self) -> Diff<'a> {
        self.nodes.sort_unstable_by(|a, b| a.address.cmp(b.address));
        self.out.nodes = self.nodes;
        self.out.refreshed.sort_by(|a, b| a.address.cmp(&b.address));
        self.out.vanished.sort();
        self.out.drift.sort_by(|a, b| a.address.cmp(&b.address));
        self.out
            .refused
            .sort_by(|a, b| (&a.address, &a.field).cmp(&(&b.address, &b.field)));
        self.out.not_compared.sort();
        self.out.not_read.sort_by(|a, b| a.0.cmp(&b.0));
        self.out
    }

    pub(super) fn visit(&mut self, position: usize) {
        let Some(node) = self.inputs.graph.at(position) else {
            return;
        };
        let address = &node.address;
        let Some(info) = self.inputs.kinds.get(address.kind()).copied() else {
            return;
        };
        let declaration = node
            .declared
            .map(|at| &self.inputs.declarations.resources[at]);
        let record = self.inputs.snapshot.resources.get(address);
        let (change, record, args) = self.decide(info, address, declaration, record);
        self.places[position] = Some(self.nodes.len());
        self.nodes.push(NodeDiff {
            address,
            change,
            record,
            args,
            declared: node.declared,
        });
    }

    fn decide(
        &mut self,
        info: &'static KindInfo,
        address: &'a Address,
        declaration: Option<&'a Declaration>,
        record: Option<&'a Recorded>,
    ) -> (Change, Option<Current<'a>>, Object) {
        let Some(record) = record else {
            return self.make(declaration, Reason::Declared);
        };
        let current = match look(&self.inputs, info, record) {
            Seen::There(current) => current,
            Seen::Unreadable(error) if self.goes_unread(&error) => {
                self.out.not_read.push((address.clone(), *error));
                Current::Unchanged(record)
            }
            Seen::Unreadable(error) => {
                return (
                    Change::Blocked { error },
                    Some(Current::Unchanged(record)),
                    Object::new(),
                );
            }
            gone => {
                self.note_vanished(address);
                let container = record.meta.inside.clone();
                let reason = match (gone, container) {
                    (Seen::GoneWithContainer, Some(outer)) => Reason::ContainerReplaced(outer),
                    _ => Reason::Vanished,
                };
                return self.make(declaration, reason);
            }
        };
        if let Current::Refreshed(current) = &current {
            let declared = declaration.map(|declaration| &declaration.args);
            let ignored = |field: &str| self.inputs.declarations.ignores(address, field);
            self.out
                .drift
                .extend(drift(info, record, (&current.attrs, declared), &ignored));
            self.out.refreshed.push(Recorded::clone(current));
        }
        let released = self.inputs.declarations.forgotten.contains_key(address);
        let (change, args) = match (self.inputs.mode, declaration) {
            (PlanMode::RefreshOnly, _) => (Change::None, Object::new()),
            (PlanMode::Destroy, _) | (PlanMode::Apply, None) if released => {
                (Change::Forget, Object::new())
            }
            (PlanMode::Destroy, _) if record.meta.keep && !self.inputs.delete_kept => {
                (Change::Kept, Object::new())
            }
            (PlanMode::Destroy, _) => {
                let reason = Reason::DestroyRequested;
                (Change::Delete { reason }, Object::new())
            }
            (PlanMode::Apply, None) => {
                let reason = self.why_undeclared(address);
                (Change::Delete { reason }, Object::new())
            }
            (PlanMode::Apply, Some(declaration)) => self.compare(info, declaration, &current),
        };
        let goes = matches!(change, Change::Replace { .. } | Change::Delete { .. });
        let current = if goes && self.never_worked(address) {
            let mut record = Recorded::clone(&current);
            record.status = Status::Tainted;
            Current::Refreshed(Box::new(record))
        } else {
            current
        };
        (change, Some(current), args)
    }

    /// Whether an earlier run was cut off before it was ready, and it has failed since: as good as
    /// one that failed while it was watched. Nothing is prepared for its end, and it is no member.
    fn never_worked(&self, address: &Address) -> bool {
        self.inputs.late.failed.contains_key(address)
    }

    /// Everything is to go, and this is on record: that it cannot be read is no reason to leave
    /// it, else a cluster that is broken could never be destroyed. It is destroyed by its id, as
    /// recorded. Where reading is denied, destroying would be too.
    fn goes_unread(&self, error: &ProviderError) -> bool {
        self.inputs.mode == PlanMode::Destroy
            && !matches!(error.kind, ErrorKind::Denied | ErrorKind::Bug)
    }

    fn make(
        &self,
        declaration: Option<&'a Declaration>,
        reason: Reason,
    ) -> (Change, Option<Current<'a>>, Object) {
        match (self.inputs.mode, declaration) {
            (PlanMode::Apply, Some(declaration)) => (
                Change::Create { reason },
                None,
                self.planned(&declaration.args),
            ),
            _ => (Change::None, None, Object::new()),
        }
    }

    fn note_vanished(&mut self, address: &Address) {
        self.out.vanished.push(address.clone());
        self.out.drift.push(Drift {
            address: address.clone(),
            fields: Vec::new(),
            vanished: true,
        });
    }

    fn why_undeclared(&self, address: &'a Address) -> Reason {
        let sibling = (address.kind(), address.name());
        if address.index().is_some() && self.names.contains(&sibling) {
            Reason::CountIndex
        } else {
            Reason::NotInConfiguration
        }
    }

    /// A resource that is there and is asked for.
    fn compare(
        &mut self,
        info: &'static KindInfo,
        declaration: &'a Declaration,
        current: &Recorded,
    ) -> (Change, Object) {
        let fields = self.fields(info, declaration, current);
        let forcing: Vec<FieldChange> = fields
            .changes
            .iter()
            .filter(|change| change.forces_replacement)
            .cloned()
            .collect();
        let replacement = self.replacement(info, declaration, current, &forcing);
        if replacement == Some(Reason::Requested) {
            self.out.refused.extend(self.alone(declaration));
        }
        // What is made anew for another reason may have any value; a change of a field that must
        // not change is no such reason, and does not slip through with one that forces it.
        if matches!(replacement, None | Some(Reason::CannotUpdate(_))) {
            self.out.refused.extend(fields.refused);
        }
        // A change in place may be what repairs it.
        let failed = || {
            let why = self.inputs.late.failed.get(&declaration.address)?;
            let repairs = !fields.changes.is_empty();
            (!repairs).then(|| Reason::Failed(why.clone()))
        };
        let change = if let Some(reason) = replacement.or_else(failed) {
            Change::Replace {
                changes: forcing,
                reason,
            }
        } else if !fields.changes.is_empty() {
            Change::Update {
                changes: fields.changes,
                reason: self.disrupted(info, declaration).unwrap_or(Reason::Changed),
            }
        } else if let Some(reason) = self.disrupted(info, declaration) {
            Change::Await { reason }
        } else if current.status == Status::Unfinished {
            Change::Await {
                reason: Reason::Unfinished,
            }
        } else if fields.stale || relations_differ(declaration, current) {
            Change::Record
        } else {
            return (Change::None, Object::new());
        };
        let mut args = self.planned(&declaration.args);
        if matches!(change, Change::Replace { .. }) {
            return (change, args);
        }
        for field in info.fields {
            // Whoever changed it is not overwritten by a call that carries everything.
            if self.is_ignored(declaration, field.name)
                && let Some(real) = attrs::set(&current.attrs, field.name)
            {
                args.insert(field.name.to_owned(), real.clone());
            }
        }
        (change, args)
    }

    fn is_ignored(&self, declaration: &Declaration, field: &str) -> bool {
        let declarations = self.inputs.declarations;
        declarations.ignores(&declaration.address, field)
    }

    /// Why the resource has to be seen working again: what it runs on is interrupted.
    fn disrupted(&self, info: &KindInfo, declaration: &Declaration) -> Option<Reason> {
        let interrupted = |parent: &Address| {
            self.diff_of(parent)
                .is_some_and(|node| node.change.interrupts())
        };
        let parents = super::runs_on(info, declaration);
        parents
            .into_iter()
            .find(interrupted)
            .map(Reason::ParentDisrupted)
    }

    fn replacement(
        &self,
        info: &KindInfo,
        declaration: &Declaration,
        current: &Recorded,
        forcing: &[FieldChange],
    ) -> Option<Reason> {
        if current.status == Status::Tainted {
            return Some(Reason::Tainted);
        }
        if let Some(begun) = info.spent(current) {
            return Some(Reason::Spent(begun.name));
        }
        if self.inputs.replace.contains(&declaration.address) {
            return Some(Reason::Requested);
        }
        if let Some(container) = self.leaves(&declaration.meta, current) {
            return Some(Reason::ContainerReplaced(container));
        }
        if !forcing.is_empty() {
            let names = forcing.iter().map(|change| change.field.clone());
            return Some(Reason::CannotUpdate(names.collect()));
        }
        let late = self.inputs.late;
        let late = late.containers.get(&declaration.address);
        late.map(|(content, why)| Reason::TooLate(content.clone(), why.clone()))
    }

    /// Refuses what is to be replaced as requested while its container stays, where that would
    /// not take it again.
    fn alone(&self, declaration: &Declaration) -> Option<Refusal> {
        let address = &declaration.address;
        let why = self.inputs.late.alone.get(address)?;
        let container = declaration.meta.inside.as_ref()?;
        if self.is_renewed(container) {
            return None;
        }
        Some(Refusal {
            code: "plan::too_late",
            address: address.clone(),
            field: None,
            origin: declaration.origin,
            message: format!("it cannot be replaced without {container}: {why}"),
            help: format!("replace {container}, and it goes along: --replace {container}"),
        })
    }

    /// Whether the container is made anew.
    fn is_renewed(&self, container: &Address) -> bool {
        matches!(
            self.diff_of(container).map(|node| &node.change),
            Some(Change::Replace { .. } | Change::Create { .. })
        )
    }

    /// The container because of which the resource cannot stay: one that is replaced, or one
    /// that it leaves or enters. What stands elsewhere is another resource; but what no longer
    /// depends on a container that stays itself has not moved, unless it stands in an old half of
    /// that, which goes.
    fn leaves(&self, wanted: &Meta, current: &Recorded) -> Option<Address> {
        let in_old_half = stands_in_deposed(self.inputs.snapshot, current);
        if let (None, Some(container), false) = (&wanted.inside, &current.meta.inside, in_old_half)
            && self
                .diff_of(container)
                .is_some_and(|node| node.change.stays())
        {
            return None;
        }
        if wanted.inside != current.meta.inside {
            return wanted
                .inside
                .clone()
                .or_else(|| current.meta.inside.clone());
        }
        let inside = wanted.inside.as_ref()?;
        if in_old_half {
            return Some(inside.clone());
        }
        self.is_renewed(inside).then(|| inside.clone())
    }

    fn fields(
        &mut self,
        info: &'static KindInfo,
        declaration: &'a Declaration,
        current: &Recorded,
    ) -> Fields {
        let mut fields = Fields::default();
        for field in info.fields {
            if matches!(field.change, FieldKind::Computed | FieldKind::Ignored)
                || self.is_ignored(declaration, field.name)
            {
                continue;
            }
            let asked = attrs::set(&declaration.args, field.name);
            let recorded = attrs::set(&current.args, field.name);
            let shown = attrs::set(&current.attrs, field.name);
            // What the remote side does not show is taken as it was asked for, unless it did show
            // it once: then somebody cleared it.
            let real = if attrs::is_cleared(&current.attrs, field.name) {
                shown
            } else {
                shown.or(recorded)
            };
            match asked {
                None => {
                    let change = given_back(field, recorded, real, &mut fields);
                    if let Some(before) = change.filter(|before| self.holds_id(current, before)) {
                        self.field(
                            field,
                            declaration,
                            (&Value::Null, before, recorded),
                            &mut fields,
                        );
                    }
                }
                Some(asked) => {
                    let before = real.unwrap_or(&Value::Null);
                    self.field(field, declaration, (asked, before, recorded), &mut fields);
                }
            }
        }
        fields
    }

    /// Whether a value holds the id of something the resource depended on when it was last
    /// applied: leaving it as it is would leave a dependency that nobody knows of any more.
    fn holds_id(&self, current: &Recorded, value: &Value) -> bool {
        let records = &self.inputs.snapshot.resources;
        let ids: BTreeSet<&str> = current
            .depends_on
            .iter()
            .filter_map(|address| Some(records.get(address)?.id.as_str()))
            .collect();
        holds_any(value, &ids)
    }

    /// One field that the file gives.
    fn field(
        &mut self,
        field: &'static Field,
        declaration: &'a Declaration,
        (asked, before, recorded): (&Value, &Value, Option<&Value>),
        fields: &mut Fields,
    ) {
        let (after, shown) = self.expected(asked);
        if after.is_known() {
            match compare(field.compare, &after, before) {
                Likeness::Different => {}
                Likeness::NotComparable => {
                    let place = (declaration.address.clone(), field.name.to_owned());
                    self.out.not_compared.push(place);
                    return;
                }
                Likeness::Same => {
                    let stale = recorded.is_some_and(|recorded| {
                        compare(field.compare, &after, recorded) == Likeness::Different
                    });
                    fields.stale |= stale;
                    return;
                }
            }
            // A reference to what reports nothing asks for nothing.
            if after.is_null() && !asked.is_null() {
                return;
            }
        }
        let verdict = judge(field, before, &after);
        let change = |forces_replacement, disruption| FieldChange {
            field: field.name.to_owned(),
            before: before.clone(),
            after: shown.into_owned(),
            forces_replacement,
            disruption,
        };
        match verdict {
            Verdict::Ignored => {}
            Verdict::InPlace(disruption) => fields.changes.push(change(false, disruption)),
            Verdict::Replace => {
                fields
                    .changes
                    .push(change(true, kplan_model::Disruption::None));
            }
            Verdict::Refused(why) => fields.refused.push(refusal(field, declaration, why)),
        }
    }

    /// What a value of the file will be: for comparing (unknowns as `Unknown`) and for the plan
    /// (unknowns and what may still change as references).
    fn expected<'v>(&self, value: &'v Value) -> (Cow<'v, Value>, Cow<'v, Value>) {
        if !has_ref(value) {
            return (Cow::Borrowed(value), Cow::Borrowed(value));
        }
        let compared = value.fill(&|reference| match self.reference(reference) {
            Filled::Known(value, _) => Some(value),
            Filled::Unknown => Some(Value::Unknown),
        });
        (Cow::Owned(compared), Cow::Owned(self.filled(value)))
    }

    /// The value with every reference filled that is final already.
    fn filled(&self, value: &Value) -> Value {
        value.fill(&|reference| match self.reference(reference) {
            Filled::Known(value, true) => Some(value),
            _ => None,
        })
    }

    fn planned(&self, args: &Object) -> Object {
        args.iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), self.filled(value)))
            .collect()
    }

    fn diff_of(&self, address: &Address) -> Option<&NodeDiff<'a>> {
        let position = self.inputs.graph.position(address)?;
        self.nodes.get((*self.places.get(position)?)?)
    }

    /// What a reference gives at plan time. A secret is never final: the plan keeps the
    /// reference, so that no plan file carries it.
    fn reference(&self, reference: &Ref) -> Filled {
        let Some(target) = self.diff_of(&reference.address) else {
            return Filled::Unknown;
        };
        let asked = || {
            let value = kplan_model::value::lookup(&target.args, &reference.attribute)?;
            (!value.is_null() && value.is_known()).then(|| Filled::Known(value.clone(), false))
        };
        let first = reference.attribute.split('.').next().unwrap_or_default();
        match (&target.change, &target.record) {
            (Change::Create { .. } | Change::Replace { .. } | Change::Delete { .. }, _)
            | (_, None) => asked().unwrap_or(Filled::Unknown),
            (Change::Update { changes, .. }, Some(_))
                if changes.iter().any(|change| change.field == first) =>
            {
                asked().unwrap_or(Filled::Unknown)
            }
            (Change::Update { changes, .. }, Some(_)) if self.renews(target, changes, first) => {
                Filled::Unknown
            }
            (change, Some(record)) => {
                let path = &reference.attribute;
                let unfinished = record.status == Status::Unfinished;
                match record.attribute(path) {
                    Some(value) => {
                        // What is not ready yet may still get other attributes; its id stays.
                        let may_change = matches!(change, Change::Update { .. })
                            || (unfinished && path.as_str() != "id");
                        let is_final = !may_change && !value.has_secret();
                        Filled::Known(value, is_final)
                    }
                    None if unfinished => Filled::Unknown,
                    None => Filled::Known(Value::Null, false),
                }
            }
        }
    }

    /// Whether a change of these fields makes an attribute anew.
    fn renews(&self, target: &NodeDiff<'a>, changes: &[FieldChange], attribute: &str) -> bool {
        let info = self.inputs.kinds.get(target.address.kind());
        let mut fields = changes
            .iter()
            .filter_map(|change| info?.field(&change.field));
        fields.any(|field| field.renews.contains(&attribute))
    }
}

/// A field the file does not give (any more). Gives its value where that stays as it is
/// although it cannot be changed in place.
fn given_back<'v>(
    field: &'static Field,
    recorded: Option<&'v Value>,
    real: Option<&'v Value>,
    fields: &mut Fields,
) -> Option<&'v Value> {
    recorded?;
    match (field.change, real) {
        (FieldKind::InPlace { disruption }, Some(real)) if !is_empty(real) => {
            fields.changes.push(FieldChange {
                field: field.name.to_owned(),
                before: real.clone(),
                after: Value::Null,
                forces_replacement: false,
                disruption,
            });
            None
        }
        (FieldKind::InPlace { .. }, _) => {
            fields.stale = true;
            None
        }
        (_, real) => {
            fields.stale = true;
            real
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Str(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}

fn holds_any(value: &Value, texts: &BTreeSet<&str>) -> bool {
    match value {
        Value::Str(text) => texts.contains(text.as_str()),
        Value::List(items) => items.iter().any(|item| holds_any(item, texts)),
        Value::Map(map) => map.values().any(|item| holds_any(item, texts)),
        _ => false,
    }
}

fn has_ref(value: &Value) -> bool {
    match value {
        Value::Ref(_) => true,
        Value::List(items) => items.iter().any(has_ref),
        Value::Map(map) => map.values().any(has_ref),
        _ => false,
    }
}

fn refusal(field: &Field, declaration: &Declaration, why: &str) -> Refusal {
    let origin: Origin = declaration
        .field_origins
        .get(field.name)
        .copied()
        .unwrap_or(declaration.origin);
    Refusal {
        code: "plan::refused_change",
        address: declaration.address.clone(),
        field: Some(field.name.to_owned()),
        origin,
        message: format!("`{}` cannot be changed: {why}", field.name),
        help: "put the old value back, or replace the resource on purpose with --replace"
            .to_owned(),
    }
}

/// Whether guards, relations or dependencies on record are not the declared ones.
fn relations_differ(declaration: &Declaration, current: &Recorded) -> bool {
    let wanted = &declaration.meta;
    let have = &current.meta;
    let as_set = |list: &[Address]| list.iter().cloned().collect::<BTreeSet<_>>();
    wanted.protect != have.protect
        || wanted.imported != have.imported
        || wanted.keep != have.keep
        || wanted.inside != have.inside
        || wanted.group != have.group
        || as_set(&wanted.after) != as_set(&have.after)
        || graph::depends_on(declaration) != current.depends_on
}
