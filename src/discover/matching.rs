//! Which of what exists could be what the file asks for.

use super::{Candidate, Found};
use crate::render::value::printable;
use crate::review::Kinds;
use kplan_engine::compare::{Likeness, compare};
use kplan_model::{
    Address, Change, Declaration, Declarations, Field, KindInfo, Object, Origin, Recorded,
    RemoteId, Snapshot, Value,
};
use kplan_providers::digitalocean::Discovered;
use std::collections::{BTreeMap, BTreeSet};

/// How sure a binding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It has the name, is the only one, and nothing differs that could not be changed.
    Certain,
    /// It is the only one that fits, and somebody should look.
    Likely,
}

/// A binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The id.
    pub id: String,
    /// How sure.
    pub confidence: Confidence,
    /// What agrees.
    pub because: String,
    /// The fields in which it is otherwise than the file says.
    pub differs: Vec<String>,
}

/// Matches what the file asks for and nobody has on record with what exists. `taken` are imports
/// that the file has already.
pub fn matched(
    declarations: &Declarations,
    kinds: &Kinds,
    snapshot: &Snapshot,
    existing: &[Discovered],
    taken: &BTreeMap<Address, String>,
) -> Found {
    let mut found = Found::default();
    let mut known = snapshot.clone();
    for (address, id) in taken {
        stand_in(&mut known, address, id);
    }
    let used: BTreeSet<(String, String)> = known
        .resources
        .values()
        .chain(&known.deposed)
        .map(|record| (record.address.kind().to_string(), record.id.to_string()))
        .collect();
    let free: Vec<&Discovered> = existing
        .iter()
        .filter(|it| !used.contains(&(it.kind.to_owned(), it.id.clone())))
        .collect();
    let open: Vec<(&Declaration, &'static KindInfo)> = declarations
        .resources
        .iter()
        .filter(|it| !known.resources.contains_key(&it.address))
        // What kplan makes of its own accord, such as its tags, is nothing that somebody has.
        .filter(|it| matches!(it.origin, Origin::File { .. }))
        .filter_map(|it| Some((it, *kinds.get(it.address.kind())?)))
        .filter(|(_, info)| info.import.is_some())
        .collect();
    // The second time what refers to something found the first time knows its id.
    for _ in 0..2 {
        found = Found::default();
        by_identity(&mut found, &open, &free, &known);
        by_likeness(&mut found, &open, &free, &known);
        for (address, proposal) in &found.proposals {
            stand_in(&mut known, address, &proposal.id);
        }
    }
    let bound: BTreeSet<(&str, &str)> = found
        .proposals
        .iter()
        .map(|(address, it)| (address.kind().as_str(), it.id.as_str()))
        .collect();
    for other in free {
        if !bound.contains(&(other.kind, other.id.as_str())) {
            *found.others.entry(other.kind).or_default() += 1;
        }
    }
    found
}

/// A record of which only the id is known, for references to it, where there is none yet.
pub fn stand_in(snapshot: &mut Snapshot, address: &Address, id: &str) {
    let bare = || Recorded::bare(address.clone(), RemoteId::new(id.to_owned()));
    snapshot
        .resources
        .entry(address.clone())
        .or_insert_with(bare);
}

/// What the file says of a field, and what is there, where both are known.
fn both<'a>(asked: &'a Object, one: &'a Discovered, name: &str) -> Option<(&'a Value, &'a Value)> {
    let set = |value: &&Value| value.is_known() && !value.is_null();
    let asked = asked.get(name).filter(set)?;
    Some((asked, one.attrs.get(name).filter(set)?))
}

fn agrees(field: &Field, asked: &Value, real: &Value) -> bool {
    compare(field.compare, asked, real) != Likeness::Different
}

/// Whether two agree on all of those fields that both say, and say at least one; which those are.
fn agreed(
    info: &KindInfo,
    names: &[&'static str],
    asked: &Object,
    one: &Discovered,
) -> Option<Vec<&'static str>> {
    let mut said = Vec::new();
    for name in names {
        let (Some(field), Some((asked, real))) = (info.field(name), both(asked, one, name)) else {
            continue;
        };
        if !agrees(field, asked, real) {
            return None;
        }
        said.push(*name);
    }
    (!said.is_empty()).then_some(said)
}

/// The fields in which what exists is otherwise, and whether one of them cannot be changed.
fn differences(info: &KindInfo, asked: &Object, one: &Discovered) -> (Vec<String>, bool) {
    let mut names = Vec::new();
    let mut fixed = false;
    for field in info.fields {
        if matches!(field.change, Change::Computed | Change::Ignored) {
            continue;
        }
        let same = if field.name == "tags" {
            same_tags(asked, one)
        } else {
            let pending = asked.get(field.name).is_some_and(is_pending);
            match both(asked, one, field.name) {
                Some((asked, real)) => agrees(field, asked, real),
                // What the file wants there does not exist yet, and something else is there.
                None => !(pending && one.attrs.get(field.name).is_some_and(|it| !it.is_null())),
            }
        };
        if !same {
            names.push(field.name.to_owned());
            fixed |= !matches!(field.change, Change::InPlace { .. });
        }
    }
    (names, fixed)
}

/// Whether a value is nothing but a reference to what is not there yet.
fn is_pending(value: &Value) -> bool {
    !value.is_known() && !matches!(value, Value::List(_) | Value::Map(_))
}

/// Whether it carries the tags that the file gives, and no others; owners' do not count.
fn same_tags(asked: &Object, one: &Discovered) -> bool {
    let Some(wanted) = wanted_tags(asked) else {
        return true;
    };
    let owner = |tag: &&String| tag.starts_with(OWNER);
    let real: BTreeSet<&String> = one.tags.iter().filter(|tag| !owner(tag)).collect();
    wanted.iter().collect::<BTreeSet<&String>>() == real
}

/// What the tags of owners begin with.
const OWNER: &str = "kplan:";

/// The tags that the file gives.
fn wanted_tags(asked: &Object) -> Option<Vec<String>> {
    let Some(Value::List(tags)) = asked.get("tags") else {
        return None;
    };
    let text = |tag: &Value| match tag {
        Value::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let given = tags.iter().filter_map(text);
    Some(given.filter(|tag| !tag.starts_with(OWNER)).collect())
}

/// A node of somebody else's has the name it has; what the file would call it says nothing.
fn is_named(address: &Address) -> bool {
    !(address.kind().as_str() == "droplet" && address.index().is_some())
}

fn by_identity(
    found: &mut Found,
    open: &[(&Declaration, &'static KindInfo)],
    free: &[&Discovered],
    known: &Snapshot,
) {
    for (declaration, info) in open.iter().filter(|(it, _)| is_named(&it.address)) {
        // Where it stands tells nothing from its neighbours.
        if info.identity == ["region"] {
            continue;
        }
        let address = &declaration.address;
        let asked = declaration.filled(known);
        let fitting: Vec<(&Discovered, Vec<&str>)> = free
            .iter()
            .filter(|one| one.kind == address.kind().as_str())
            .filter_map(|one| Some((*one, agreed(info, info.identity, &asked, one)?)))
            .filter(|(_, said)| said.len() == info.identity.len())
            .collect();
        match &fitting[..] {
            [] => {}
            [(one, said)] => {
                let (differs, fixed) = differences(info, &asked, one);
                let proposal = Proposal {
                    id: one.id.clone(),
                    // Another droplet has it: binding it moves it in the next apply.
                    confidence: if fixed || differs.iter().any(|name| name == "droplet_id") {
                        Confidence::Likely
                    } else {
                        Confidence::Certain
                    },
                    because: said.join(", "),
                    differs,
                };
                found.proposals.insert(address.clone(), proposal);
            }
            several => {
                let all = several.iter().map(|(one, _)| candidate(one)).collect();
                found.ambiguous.insert(address.clone(), all);
            }
        }
    }
}

/// Who asks for something, the fields that agree, and what is asked for.
type Asking<'a> = (Address, Vec<&'a str>, Object);

/// Whether something of another name could be what the file asks for: nothing that tells it from others
/// is otherwise, and nothing differs that only a new one could have.
fn is_alike<'f>(info: &'static KindInfo, asked: &Object, one: &Discovered) -> Option<Vec<&'f str>> {
    let kind = info.kind.as_str();
    let fields: &[&'static str] = match kind {
        "vpc" => &["region", "ip_range"],
        "reserved_ip" => &["region", "droplet_id"],
        _ => info.alike,
    };
    let said = agreed(info, fields, asked, one)?;
    let (differs, fixed) = differences(info, asked, one);
    // Machines are many and alike; of everything else all but the name has to be as the file says.
    let whole = kind == "droplet" || differs.iter().all(|name| name == "name");
    let complete = kind != "vpc" || said.len() == fields.len();
    (!fixed && whole && complete && !one.is_default_vpc()).then_some(said)
}

/// What has another name, and otherwise is as the file says: only where nobody else asks for it, or the
/// nodes of one pool do, of which it does not matter which is which.
fn by_likeness(
    found: &mut Found,
    open: &[(&Declaration, &'static KindInfo)],
    free: &[&Discovered],
    known: &Snapshot,
) {
    let bound: BTreeSet<(String, String)> = found
        .proposals
        .iter()
        .map(|(address, it)| (address.kind().to_string(), it.id.clone()))
        .collect();
    // By the set of what fits: those who ask for it.
    let mut groups: BTreeMap<Vec<usize>, Vec<Asking<'_>>> = BTreeMap::new();
    for (declaration, info) in open {
        let address = &declaration.address;
        if found.proposals.contains_key(address) || found.ambiguous.contains_key(address) {
            continue;
        }
        let asked = declaration.filled(known);
        let mut said: Vec<&str> = Vec::new();
        let fitting: Vec<usize> = (0..free.len())
            .filter(|at| {
                let one = free[*at];
                let is_free = !bound.contains(&(one.kind.to_owned(), one.id.clone()));
                let fits = one.kind == address.kind().as_str() && is_free && tagged(&asked, one);
                let alike = fits.then(|| is_alike(info, &asked, one)).flatten();
                if let Some(fields) = alike {
                    said = fields;
                    return true;
                }
                false
            })
            .collect();
        if fitting.is_empty() {
            found.nothing.push(address.clone());
            continue;
        }
        let asking = groups.entry(fitting).or_default();
        asking.push((address.clone(), said, asked));
    }
    for (fitting, asking) in groups {
        let first = &asking[0].0;
        let is_pool = first.index().is_some()
            && asking
                .iter()
                .all(|(address, _, _)| address.name() == first.name());
        if fitting.len() != asking.len() || !(is_pool || asking.len() == 1) {
            for (address, _, _) in asking {
                let all = fitting.iter().map(|at| candidate(free[*at])).collect();
                found.ambiguous.insert(address, all);
            }
            continue;
        }
        let mut all: Vec<&Discovered> = fitting.iter().map(|at| free[*at]).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        for (one, (address, said, asked)) in all.into_iter().zip(asking) {
            let info = open.iter().find(|(it, _)| it.address == address);
            let differs = info.map(|(_, info)| differing(info, &address, &asked, one));
            let proposal = Proposal {
                id: one.id.clone(),
                confidence: Confidence::Likely,
                because: printable(&format!(
                    "{}, and {}; it is called {}",
                    said.join(", "),
                    if is_pool {
                        "so do as many as the pool has"
                    } else {
                        "no other does"
                    },
                    one.name
                )),
                differs: differs.unwrap_or_default(),
            };
            found.proposals.insert(address, proposal);
        }
    }
}

/// Whether it carries the tags that the file gives.
fn tagged(asked: &Object, one: &Discovered) -> bool {
    let wanted = wanted_tags(asked).unwrap_or_default();
    wanted.iter().all(|tag| one.tags.contains(tag))
}

/// One of several, for whoever has to choose.
fn candidate(one: &Discovered) -> Candidate {
    let rest = [&one.region, &one.size, &one.vpc].into_iter().flatten();
    let rest: Vec<&str> = rest.map(String::as_str).collect();
    // A name in the account is somebody's text, and stands in a comment of the file.
    let text = printable(&format!("{} ({}; {})", one.id, one.name, rest.join(", ")));
    Candidate {
        id: one.id.clone(),
        text,
    }
}

/// The fields in which what exists is otherwise than a declaration says, for which every reference is
/// known. A node has the name it has.
pub fn differing(info: &KindInfo, at: &Address, asked: &Object, one: &Discovered) -> Vec<String> {
    let mut names = differences(info, asked, one).0;
    names.retain(|name| name != "name" || is_named(at));
    names
}
