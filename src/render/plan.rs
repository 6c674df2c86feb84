//! A plan as people read it: Terraform's symbols and sentences.

use crate::compose::leavings::is_leaving;
use crate::render::value::{is_nothing, printable, show};
use crate::render::{Paint, fold, paint};
use kplan_model::{
    Action, Disruption, Drift, Field, FieldChange, Kind, KindInfo, Object, Plan, PlanMode, Reason,
    Step, Text, Value,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many resources a plan adds, changes and destroys. A replacement counts once in `add` and
/// once in `destroy`, as in Terraform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Creates.
    pub add: usize,
    /// Updates.
    pub change: usize,
    /// Deletes.
    pub destroy: usize,
}

/// Counts the steps of a plan.
pub fn counts(plan: &Plan) -> Counts {
    let mut counts = Counts::default();
    for step in &plan.steps {
        match step.action {
            Action::Create => counts.add += 1,
            // Waiting changes nothing.
            Action::Update if step.only_waits() => {}
            Action::Update => counts.change += 1,
            Action::Delete => counts.destroy += 1,
            Action::Forget | Action::Record | Action::Operate => {}
        }
    }
    counts
}

/// The whole plan as text.
pub fn text(plan: &Plan, kinds: &BTreeMap<Kind, &'static KindInfo>, color: bool) -> String {
    let mut out = String::new();
    drift(&mut out, &plan.drift, kinds, color);
    let shown: Vec<&Step> = plan
        .steps
        .iter()
        .filter(|step| is_head(plan, step) && is_visible(step))
        .collect();
    if shown.is_empty() {
        out.push_str(nothing(plan));
        return out;
    }
    legend(&mut out, plan, &shown, color);
    out.push_str("\nkplan will perform the following actions:\n");
    for step in shown {
        entry(
            &mut out,
            plan,
            step,
            kinds.get(step.address.kind()).copied(),
            color,
        );
    }
    let Counts {
        add,
        change,
        destroy,
    } = counts(plan);
    let title = paint(color, Paint::Bold, "Plan:");
    let _ = write!(
        out,
        "\n{title} {add} to add, {change} to change, {destroy} to destroy"
    );
    let guards = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Record && is_visible(step))
        .count();
    if guards > 0 {
        let _ = write!(out, "; {guards} guards change");
    }
    match operations(plan) {
        0 => {}
        1 => out.push_str("; 1 operation"),
        more => {
            let _ = write!(out, "; {more} operations");
        }
    }
    out.push_str(".\n");
    out
}

fn operations(plan: &Plan) -> usize {
    let operates = |step: &&Step| step.action == Action::Operate;
    plan.steps.iter().filter(operates).count()
}

fn nothing(plan: &Plan) -> &'static str {
    match plan.mode {
        PlanMode::Apply => "No changes. Your infrastructure matches the configuration.\n",
        PlanMode::Destroy => "No changes. No objects need to be destroyed.\n",
        PlanMode::RefreshOnly if plan.drift.is_empty() => {
            "No changes. Your infrastructure still matches the configuration.\n"
        }
        PlanMode::RefreshOnly => "Apply only writes what was seen into the state.\n",
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
fn is_head(plan: &Plan, step: &Step) -> bool {
    match step.pair.and_then(|pair| plan.step(pair)) {
        Some(other) => step.id < other.id,
        None => true,
    }
}

/// The symbol of a step and its colour.
fn symbol(plan: &Plan, step: &Step) -> (&'static str, Paint) {
    if step.pair.is_some_and(|pair| plan.step(pair).is_some()) {
        let delete_first = step.action == Action::Delete;
        return (if delete_first { "-/+" } else { "+/-" }, Paint::Red);
    }
    match step.action {
        Action::Create => ("+", Paint::Green),
        Action::Update if step.only_waits() => ("<=", Paint::Cyan),
        Action::Update => ("~", Paint::Yellow),
        Action::Delete => ("-", Paint::Red),
        Action::Forget => (".", Paint::Red),
        Action::Record => (" ", Paint::Dim),
        Action::Operate => ("!", Paint::Cyan),
    }
}

fn legend(out: &mut String, plan: &Plan, shown: &[&Step], color: bool) {
    out.push_str("Resource actions are indicated with the following symbols:\n");
    let words = [
        ("+", "create"),
        ("~", "update in-place"),
        ("<=", "wait for"),
        ("!", "prepare, or undo a preparation"),
        ("-", "destroy"),
        ("-/+", "destroy and then create replacement"),
        ("+/-", "create replacement and then destroy"),
        (".", "forget, the resource itself stays"),
    ];
    for (sign, meaning) in words {
        if let Some((_, ink)) = shown
            .iter()
            .map(|step| symbol(plan, step))
            .find(|(found, _)| *found == sign)
        {
            let _ = writeln!(
                out,
                "{} {meaning}",
                paint(color, ink, &format!("{sign:>3}"))
            );
        }
    }
}

fn sentence(plan: &Plan, step: &Step) -> String {
    let verb = match (step.action, step.pair.and_then(|pair| plan.step(pair))) {
        (_, Some(_)) => match &step.reason {
            Reason::Tainted => "is tainted, so must be replaced",
            Reason::Requested => "will be replaced, as requested",
            _ => "must be replaced",
        },
        (Action::Create, None) => "will be created",
        (Action::Update, None) if step.only_waits() => "will be waited for",
        (Action::Update, None) => "will be updated in-place",
        (Action::Delete, None) => "will be destroyed",
        (Action::Forget, None) => "will no longer be managed by kplan, but will not be destroyed",
        (Action::Record, None) if step.meta.protect => "will be protected from destruction",
        (Action::Record, None) => "will no longer be protected from destruction",
        (Action::Operate, None) => return operation(step),
    };
    format!("{} {verb}", step.address)
}

fn operation(step: &Step) -> String {
    let Some(operated) = step.operation else {
        return step.address.to_string();
    };
    let (name, doc) = (operated.name(), operated.doc());
    let before = match &step.reason {
        _ if operated.undone => String::new(),
        Reason::PoweredOff(parent) => format!(" before {parent} is powered off"),
        _ => " before it is destroyed".to_owned(),
    };
    format!("{} {doc}{before} ({name})", step.address)
}

fn because(step: &Step) -> Option<String> {
    match &step.reason {
        // The delete says why.
        _ if step.operation.is_some_and(|operated| !operated.undone) => None,
        Reason::Declared
        | Reason::Changed
        | Reason::Tainted
        | Reason::Requested
        | Reason::PoweredOff(_)
        | Reason::DestroyRequested => None,
        Reason::CannotUpdate(fields) => Some(format!(
            "because {} cannot be changed on the living resource",
            fields.join(", ")
        )),
        Reason::ContainerReplaced(container) => Some(format!(
            "because {container}, which it lives in, is replaced"
        )),
        Reason::TooLate(content, why) => Some(format!(
            "because it would not take {content} any more: {why}"
        )),
        Reason::Spent(operation) => Some(format!(
            "because an earlier run began to prepare its end ({operation}), which cannot be undone"
        )),
        Reason::Failed(why) => Some(format!("because it failed while nobody watched: {why}")),
        Reason::Unfinished => {
            Some("because it was not ready when an earlier run was cut off".to_owned())
        }
        Reason::ParentDisrupted(parent) => Some(format!(
            "because {parent}, on which it runs, is interrupted; nothing after it begins before it works again"
        )),
        Reason::Kept
            if step
                .before
                .as_ref()
                .is_some_and(|it| it.operations.is_empty()) =>
        {
            Some("once it works again".to_owned())
        }
        Reason::Kept => Some(
            "because an earlier run prepared it for its end or for a power-off, and it stays"
                .to_owned(),
        ),
        Reason::Vanished => Some("because it is gone from the cloud".to_owned()),
        Reason::Deposed => {
            Some("because it is what an interrupted replacement left behind".to_owned())
        }
        Reason::NotInConfiguration
            if step.action == Action::Forget && is_leaving(&step.address) =>
        {
            Some("because the cluster stays, and with it what it made".to_owned())
        }
        Reason::NotInConfiguration if step.action == Action::Forget => {
            Some("because Argo CD brings it from Git from now on".to_owned())
        }
        Reason::NotInConfiguration => Some(format!("because {} is not in the file", step.address)),
        Reason::CountIndex => {
            let index = step.address.index().unwrap_or(0);
            Some(format!("because index [{index}] is out of range for count"))
        }
    }
}

fn entry(out: &mut String, plan: &Plan, step: &Step, info: Option<&KindInfo>, color: bool) {
    let (sign, ink) = symbol(plan, step);
    let _ = writeln!(
        out,
        "\n  # {}",
        paint(color, Paint::Bold, &sentence(plan, step))
    );
    if let Some(because) = because(step) {
        let _ = writeln!(out, "  # ({because})");
    }
    if let Some(container) = &step.goes_with {
        let _ = writeln!(out, "  # (goes with {container})");
    }
    if let Some(loses) = &step.loses {
        let text = format!("this loses {loses} for ever");
        let _ = writeln!(out, "  # {}", paint(color, Paint::Red, &text));
    }
    if step.action == Action::Record {
        return;
    }
    if step.only_waits() || step.action == Action::Operate {
        let sign = paint(color, ink, &format!("{sign:>3}"));
        let _ = writeln!(out, "{sign} {}", step.address);
        return;
    }
    let create = create_half(plan, step);
    let _ = writeln!(
        out,
        "{} {} {{",
        paint(color, ink, &format!("{sign:>3}")),
        step.address
    );
    match create {
        Some(create) if create.changes.is_empty() => created(out, create, info, color),
        Some(create) => changed(out, &create.changes, create, info, color),
        None if step.action == Action::Update => changed(out, &step.changes, step, info, color),
        None => destroyed(out, step, color),
    }
    out.push_str("    }\n");
}

fn create_half<'a>(plan: &'a Plan, step: &'a Step) -> Option<&'a Step> {
    if step.action == Action::Create {
        return Some(step);
    }
    step.pair
        .and_then(|pair| plan.step(pair))
        .filter(|other| other.action == Action::Create)
}

fn created(out: &mut String, step: &Step, info: Option<&KindInfo>, color: bool) {
    let plus = paint(color, Paint::Green, "+");
    let args = visible(step.args.as_ref());
    let width = args
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0)
        .max(2);
    let _ = writeln!(out, "      {plus} {:width$} = (known after apply)", "id");
    for (name, value) in args {
        let _ = writeln!(
            out,
            "      {plus} {name:width$} = {}",
            masked(info, name, value, 6)
        );
    }
}

fn destroyed(out: &mut String, step: &Step, color: bool) {
    if let Some(id) = step.remote() {
        let minus = paint(color, Paint::Red, "-");
        let _ = writeln!(
            out,
            "      {minus} id = {} -> null",
            show(&Value::str(id.as_str()), 6)
        );
    }
}

fn changed(
    out: &mut String,
    changes: &[FieldChange],
    step: &Step,
    info: Option<&KindInfo>,
    color: bool,
) {
    let tilde = paint(color, Paint::Yellow, "~");
    let width = changes
        .iter()
        .map(|change| change.field.len())
        .max()
        .unwrap_or(0);
    for change in changes {
        let name = &change.field;
        let mut tail = String::new();
        if change.forces_replacement {
            tail.push_str(&paint(color, Paint::Red, " # forces replacement"));
        }
        match change.disruption {
            Disruption::None => {}
            Disruption::Restart => tail.push_str(" # restarts it"),
            Disruption::PowerOff => tail.push_str(" # powers it off and on"),
        }
        if let (Value::Str(before), Value::Str(after)) = (&change.before, &change.after)
            && (before.contains('\n') || after.contains('\n'))
            && !is_secret(info, name)
            && fold::pem(before).or_else(|| fold::pem(after)).is_none()
        {
            let _ = writeln!(out, "      {tilde} {name:width$} = (text){tail}");
            out.push_str(&lines(before, after, color));
            continue;
        }
        let before = masked(info, name, &change.before, 6);
        let after = masked(info, name, &change.after, 6);
        let _ = writeln!(
            out,
            "      {tilde} {name:width$} = {before} -> {after}{tail}"
        );
    }
    let total = step.args.as_ref().map_or(0, Object::len);
    let hidden = total.saturating_sub(changes.len());
    if hidden > 0 {
        let text = format!("# ({hidden} unchanged attributes hidden)");
        let _ = writeln!(out, "        {}", paint(color, Paint::Dim, &text));
    }
}

/// A unified diff with three lines of context, indented under its field.
pub fn lines(before: &str, after: &str, color: bool) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let mut out = String::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        for change in hunk.iter_changes() {
            let (sign, ink) = match change.tag() {
                similar::ChangeTag::Delete => ("-", Some(Paint::Red)),
                similar::ChangeTag::Insert => ("+", Some(Paint::Green)),
                similar::ChangeTag::Equal => (" ", None),
            };
            let text = printable(change.value().trim_end_matches('\n'));
            let line = format!("{sign} {text}");
            let line = ink.map_or(line.clone(), |ink| paint(color, ink, &line));
            let _ = writeln!(out, "          {line}");
        }
    }
    out
}

fn is_secret(info: Option<&KindInfo>, name: &str) -> bool {
    info.and_then(|info| info.field(name))
        .is_some_and(|field: &Field| field.secret)
}

fn masked(info: Option<&KindInfo>, name: &str, value: &Value, indent: usize) -> String {
    if is_secret(info, name) && value.is_known() && !value.is_null() {
        return "(sensitive value)".to_owned();
    }
    show(value, indent)
}

/// What is worth showing of something new: everything that is set.
fn visible(args: Option<&Object>) -> Vec<(&Text, &Value)> {
    args.into_iter()
        .flatten()
        .filter(|(_, value)| !is_nothing(value))
        .collect()
}

fn drift(
    out: &mut String,
    drift: &[Drift],
    kinds: &BTreeMap<Kind, &'static KindInfo>,
    color: bool,
) {
    if drift.is_empty() {
        return;
    }
    out.push_str("Note: Objects have changed outside of kplan\n");
    for change in drift {
        let info = kinds.get(change.address.kind()).copied();
        let verb = if change.vanished {
            "has been deleted"
        } else {
            "has changed"
        };
        let _ = writeln!(
            out,
            "\n  # {} {verb}",
            paint(color, Paint::Bold, &change.address.to_string())
        );
        for (name, recorded, real) in &change.fields {
            let before = masked(info, name, recorded, 6);
            let after = masked(info, name, real, 6);
            let _ = writeln!(out, "      ~ {name} = {before} -> {after}");
        }
    }
    let _ = writeln!(out, "\n{}\n", "─".repeat(77));
}
