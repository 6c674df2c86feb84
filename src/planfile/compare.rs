//! Whether a plan that was made anew is the one in a file, and if not, what moved.

use super::pin::{self, Key, Pinned, pin};
use super::{PlanFile, relocated};
use crate::review::is_visible;
use kplan_engine::Planned;
use kplan_model::{Action, Address, Plan, PlanMode, Step, StepId};
use kplan_state::Keyring;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a plan file no longer fits: one resource, and what is different about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moved {
    /// The resource.
    pub address: String,
    /// What is different.
    pub what: String,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.what)
    }
}

/// What would have to be done besides, and has nothing to do with what is in the file.
pub type Unrelated = Moved;

/// The steps of `now` that are in the file, in whose place they can be carried out, and what else a
/// new plan would do. Bookkeeping goes along.
///
/// # Errors
/// Everything that moved.
pub fn compare(
    file: &PlanFile,
    planned: &Planned,
    keyring: &Keyring,
) -> Result<(Plan, Vec<Unrelated>), Vec<Moved>> {
    let places = elsewhere(&file.relocated, &planned.plan);
    let (file, now, seen) = (&file.steps, &planned.plan, &file.seen);
    let mut moved = otherwise(seen, &pin::seen(now, keyring).unwrap_or_default());
    moved.extend(places);
    let visible = now.steps.iter().filter(|step| is_visible(step));
    let mut steps: BTreeMap<Key, &Step> = visible.map(|step| (Key::of(step), step)).collect();
    let touched: BTreeSet<&Address> = file.iter().map(|pinned| &pinned.key.address).collect();
    let mut kept: BTreeSet<StepId> = BTreeSet::new();
    for pinned in file {
        let Some(step) = steps.remove(&pinned.key) else {
            moved.push(unread(pinned, planned).unwrap_or_else(|| gone(pinned, now)));
            continue;
        };
        kept.insert(step.id);
        let what = differences(pinned, step, keyring);
        moved.extend(what.map(|what| about(step, what)));
    }
    let (related, unrelated): (Vec<&Step>, Vec<&Step>) = steps
        .values()
        .partition(|step| touched.contains(&step.address));
    // One that is not in the file in another way says so already.
    let told: BTreeSet<String> = moved.iter().map(|it| it.address.clone()).collect();
    let related = related.into_iter().map(|step| {
        about(
            step,
            format!("it {} now, which is not in the file", doing(step.action)),
        )
    });
    moved.extend(related.filter(|it| !told.contains(&it.address)));
    for step in &now.steps {
        if !is_visible(step) && step.requires.iter().all(|id| kept.contains(id)) {
            kept.insert(step.id);
        }
    }
    if !moved.is_empty() {
        return Err(moved);
    }
    let plan = now.only(&kept).map_err(|(stays, needed)| {
        let address = |id| now.step(id).map(|step| step.address.to_string());
        let needed = address(needed).unwrap_or_default();
        let needs = format!("it waits for {needed}, which is to be changed as well by now");
        vec![Moved {
            address: address(stays).unwrap_or_default(),
            what: needs,
        }]
    })?;
    let plan = within(plan);
    let unrelated = unrelated
        .into_iter()
        .map(|step| about(step, format!("it {} now", doing(step.action))));
    Ok((plan, unrelated.collect()))
}

/// What else was seen is left for the next plan to say: it writes only about its own resources.
fn within(mut plan: Plan) -> Plan {
    if plan.mode == PlanMode::RefreshOnly {
        return plan;
    }
    let own: BTreeSet<Address> = plan.steps.iter().map(|step| step.address.clone()).collect();
    plan.refreshed
        .retain(|record| own.contains(&record.address));
    plan.vanished.retain(|address| own.contains(address));
    plan.drift.retain(|drift| own.contains(&drift.address));
    plan
}

/// What would be written into the state otherwise than it was seen.
fn otherwise(
    then: &BTreeMap<String, BTreeMap<String, String>>,
    now: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<Moved> {
    let all: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differ = all.into_iter().filter(|it| then.get(*it) != now.get(*it));
    let moved = differ.map(|address| Moved {
        address: address.clone(),
        what: "it is seen otherwise than when the plan was made".to_owned(),
    });
    moved.collect()
}

/// What would come on record, or get another address, otherwise than in the file.
fn elsewhere(then: &BTreeSet<String>, now: &Plan) -> Vec<Moved> {
    let now = relocated(now);
    let about = |text: &String, what: &str| Moved {
        address: text.split(' ').next().unwrap_or_default().to_owned(),
        what: format!("{what}: {text}"),
    };
    let gone = then.difference(&now);
    let gone = gone.map(|text| about(text, "that is not so any more"));
    let new = now.difference(then);
    gone.chain(new.map(|text| about(text, "that is not in the file")))
        .collect()
}

/// Whether nobody could look.
fn unread(pinned: &Pinned, planned: &Planned) -> Option<Moved> {
    let mut left_out = planned.report.not_done.iter();
    let item = left_out.find(|item| item.address == pinned.key.address)?;
    Some(Moved {
        address: item.address.to_string(),
        what: format!("it {}", item.why),
    })
}

fn about(step: &Step, what: String) -> Moved {
    Moved {
        address: step.address.to_string(),
        what,
    }
}

/// What a step does, to stand after "it".
const fn doing(action: Action) -> &'static str {
    match action {
        Action::Create => "would be created",
        Action::Update => "would be updated",
        Action::Delete => "would be destroyed",
        Action::Forget => "would be forgotten",
        Action::Record => "would get other guards",
        Action::Operate => "would be prepared",
    }
}

fn gone(pinned: &Pinned, now: &Plan) -> Moved {
    let key = &pinned.key;
    let mut others = now.steps.iter().filter(|step| step.address == key.address);
    let what = match others.find(|step| is_visible(step)) {
        Some(step) if step.action == key.action => {
            let id = step.remote().map_or("nothing", |id| id.as_str());
            let was = key.id.as_deref().unwrap_or("nothing");
            format!("it is {id} now, and was {was} when the plan was made")
        }
        Some(step) => format!(
            "it {} now; the plan is that it {}",
            doing(step.action),
            doing(key.action)
        ),
        None => format!(
            "there is nothing to be done about it any more; the plan is that it {}",
            doing(key.action)
        ),
    };
    Moved {
        address: key.address.to_string(),
        what,
    }
}

/// What is different of a step that is still there.
fn differences(pinned: &Pinned, step: &Step, keyring: &Keyring) -> Option<String> {
    let Some(now) = pin(step, keyring) else {
        return Some("it holds a secret that cannot be compared here: no identity".to_owned());
    };
    if now == *pinned {
        return None;
    }
    let mut said = Vec::new();
    let fields = |before: &Option<BTreeMap<_, _>>, after: &Option<BTreeMap<_, _>>| {
        let nothing = BTreeMap::new();
        names(
            before.as_ref().unwrap_or(&nothing),
            after.as_ref().unwrap_or(&nothing),
        )
    };
    let real = names(&pinned.real, &now.real);
    if !real.is_empty() {
        said.push(format!("{} was changed outside of kplan", real.join(", ")));
    }
    let recorded = fields(&pinned.before, &now.before);
    if !recorded.is_empty() {
        said.push(format!("{} is another on record", recorded.join(", ")));
    }
    let wanted = fields(&pinned.after, &now.after);
    if !wanted.is_empty() {
        said.push(format!("{} would become something else", wanted.join(", ")));
    }
    let terms = names(&pinned.terms, &now.terms);
    if !terms.is_empty() && said.is_empty() {
        said.push(format!("the {} is another", terms.join(", the ")));
    }
    let what = said.join("; ");
    Some(format!("{what}, compared with when the plan was made"))
}

/// The names whose values differ.
fn names(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    all.into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}
