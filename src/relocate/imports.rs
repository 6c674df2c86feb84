//! `[[import]]` and `kplan import`: what exists, read by its id, as it is put on record.

use super::{Arranged, refused};
use crate::cmd::session::Session;
use crate::error::{Failure, Problem};
use crate::load::{Secrets, origin};
use crate::render::value::some;
use crate::wire::SystemClock;
use kplan_engine::clock::Clock as _;
use kplan_engine::import::{self, Existing};
use kplan_engine::observe;
use kplan_model::{
    Address, Declaration, KindInfo, Object, Observation, Origin, Recorded, RemoteId, Snapshot,
    Timestamp, Value,
};
use kplan_schema::Spec;
use kplan_schema::spec::SERVERS_POOL;
use std::collections::BTreeMap;

/// One resource that is to come on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The address it gets.
    pub to: Address,
    /// Its id.
    pub id: RemoteId,
    /// Where the file says so.
    pub origin: Origin,
}

impl Wanted {
    /// An import. Names of domains have no case, and DigitalOcean has them in lower case.
    pub fn new(to: Address, id: &str, origin: Origin) -> Self {
        let is_named = matches!(to.kind().as_str(), "domain" | "domain_record");
        let id = if is_named {
            id.to_lowercase()
        } else {
            id.to_owned()
        };
        Self {
            to,
            id: RemoteId::new(id),
            origin,
        }
    }
}

/// The file's own.
pub fn in_file(spec: &Spec) -> Vec<Wanted> {
    let blocks = spec.imports.iter();
    let wanted = blocks.filter_map(|block| {
        let to = block.to.as_str().parse().ok()?;
        Some(Wanted::new(to, &block.id.value, origin(block.to.span)))
    });
    wanted.collect()
}

/// Puts everything wanted on record that is not yet; gives what that is.
pub(super) async fn take(
    session: &Session,
    arranged: &mut Arranged,
    wanted: &[Wanted],
    secrets: &Secrets,
) -> Result<Vec<(Address, RemoteId)>, Failure> {
    let new = new(session, arranged, wanted)?;
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let kinds = session.kinds();
    let seen = look(session, arranged, &new).await?;
    // First everything is on record, so that what refers to another finds it; then what the file
    // asks for is known, names that stay as they are included; then the arguments.
    for _ in 0..2 {
        for one in &new {
            let found = seen.get(&one.to);
            let declared = declaration(arranged, &one.to);
            let info = kinds.get(one.to.kind()).copied();
            if let (Some(attrs), Some(declared), Some(info)) = (found, declared, info) {
                let record = record(info, declared, &arranged.snapshot, (one, attrs));
                arranged.snapshot.resources.insert(one.to.clone(), record);
            }
        }
        let declared = session.declared(&arranged.snapshot, secrets.clone());
        arranged.declarations = declared;
    }
    let notes = notes(session, &arranged.snapshot, &new);
    arranged.notes.extend(notes);
    let imported = new.iter().map(|one| (one.to.clone(), one.id.clone()));
    Ok(imported.collect())
}

/// So many addresses are named in one note.
const NAMED: usize = 3;

/// What a reader of the plan has to know: what nobody could look at, and where kplan's part ends.
fn notes(session: &Session, snapshot: &Snapshot, new: &[Wanted]) -> Vec<String> {
    let kinds = session.kinds();
    let mut unread: BTreeMap<Vec<&str>, Vec<&Address>> = BTreeMap::new();
    for one in new {
        let record = snapshot.resources.get(&one.to);
        let info = kinds.get(one.to.kind());
        if let (Some(record), Some(info)) = (record, info) {
            let fields = import::assumed(info, record);
            unread.entry(fields).or_default().push(&one.to);
        }
    }
    unread.remove(&Vec::new());
    let notes = unread.into_iter().map(|(fields, all)| {
        let (be, them) = if fields.len() == 1 {
            ("is", "it")
        } else {
            ("are", "they")
        };
        format!(
            "{}: {} cannot be read, and {be} taken to be as the file says {them} {be}",
            some(&all, NAMED),
            fields.join(", ")
        )
    });
    let mut notes: Vec<String> = notes.collect();
    let spec = &session.loaded.spec;
    let nodes = new.iter().map(|one| &one.to);
    let nodes: Vec<&Address> = nodes.filter(|to| is_of_pool(spec, to)).collect();
    if !spec.runs_k3s() && !nodes.is_empty() {
        notes.push(format!(
            "{}: kplan manages the droplets (size, tags, backups, power) and not the K3s on them, which \
             it did not install: neither its version, its configuration and its certificates nor what \
             runs in the cluster",
            some(&nodes, NAMED)
        ));
    }
    notes
}

/// Whether it is the droplet of a server or agent.
pub(super) fn is_of_pool(spec: &Spec, to: &Address) -> bool {
    let named = to.name() == SERVERS_POOL && spec.has_servers();
    let named = named || spec.agents.iter().any(|it| it.name.as_str() == to.name());
    to.kind().as_str() == "droplet" && to.index().is_some() && named
}

fn declaration<'a>(arranged: &'a Arranged, address: &Address) -> Option<&'a Declaration> {
    let mut declared = arranged.declarations.resources.iter();
    declared.find(|declaration| declaration.address == *address)
}

/// Those that are not on record yet, every one of which could be.
fn new(session: &Session, arranged: &Arranged, wanted: &[Wanted]) -> Result<Vec<Wanted>, Failure> {
    let kinds = session.kinds();
    let mut known: BTreeMap<(&str, &str), &Address> = BTreeMap::new();
    let records = arranged.snapshot.resources.values();
    for record in records.chain(&arranged.snapshot.deposed) {
        let key = (record.address.kind().as_str(), record.id.as_str());
        known.insert(key, &record.address);
    }
    let mut problems = Vec::new();
    let mut new: Vec<Wanted> = Vec::new();
    for one in wanted {
        let (to, id) = (&one.to, &one.id);
        let there = arranged.snapshot.resources.get(to);
        let again = new.iter().any(|other| other.to == *to && other.id == *id);
        if there.is_some_and(|record| record.id == *id) || again {
            continue;
        }
        let twice = new.iter().find(|other| other.to == *to);
        let importable = kinds.get(to.kind()).and_then(|info| info.import);
        let elsewhere = known.get(&(to.kind().as_str(), id.as_str()));
        let (code, message, help) = if importable.is_none() {
            (
                "import::kind",
                format!("a {} cannot be imported", to.kind()),
                "kplan makes it itself, and nothing that exists outside could become one"
                    .to_owned(),
            )
        } else if let Some(record) = there {
            (
                "import::taken",
                format!("{to} is on record already, with the id {}", record.id),
                "where the import was applied before, and what it was about is gone or was replaced, \
                 take the [[import]] out; else choose another address"
                    .to_owned(),
            )
        } else if let Some(other) = twice {
            (
                "import::taken",
                format!("{to} would be imported with the ids {} and {id}", other.id),
                "one address is one resource: take one of the two out".to_owned(),
            )
        } else if let Some(other) = elsewhere {
            (
                "import::known",
                format!("{id} is {other} already"),
                "one resource has one address; [[moved]] gives it another".to_owned(),
            )
        } else if declaration(arranged, to).is_none() {
            (
                "import::not_declared",
                format!("nothing in the file has the address {to}"),
                "write its block first, or correct the address".to_owned(),
            )
        } else {
            new.push(one.clone());
            // Two addresses of one resource, and removing the one would destroy the other's.
            known.insert((to.kind().as_str(), id.as_str()), to);
            continue;
        };
        problems.push(session.at(Problem::error(code, message).help(help), one.origin));
    }
    refused(problems)?;
    Ok(new)
}

/// Reads them, by list calls of their kinds.
async fn look(
    session: &Session,
    arranged: &Arranged,
    new: &[Wanted],
) -> Result<BTreeMap<Address, Object>, Failure> {
    let mut unread = Snapshot::empty(
        arranged.snapshot.lineage.clone(),
        arranged.snapshot.owner.clone(),
    );
    for one in new {
        let declared = declaration(arranged, &one.to);
        let args = declared.map(|declared| declared.filled(&arranged.snapshot));
        let args = args.unwrap_or_default().into_iter();
        unread.resources.insert(
            one.to.clone(),
            Recorded {
                args: args.filter(|(_, value)| value.is_known()).collect(),
                ..Recorded::bare(one.to.clone(), one.id.clone())
            },
        );
    }
    let kinds = session.kinds();
    let observers = observe::observers(&session.adapters.registry);
    let nothing = observe::Ways::new();
    let seen = observe::observe(&unread, &nothing, &observers, &session.observing()).await;
    let (mut found, mut problems) = (BTreeMap::new(), Vec::new());
    for one in new {
        let (to, id) = (&one.to, &one.id);
        let problem = match seen.get(to) {
            Some(Observation::Present(attrs)) => match node(session, arranged, to, attrs) {
                None => {
                    found.insert(to.clone(), attrs.clone());
                    continue;
                }
                Some(problem) => problem,
            },
            Some(Observation::Unreadable(error)) => {
                let message =
                    format!("{to}: the resource of the id {id} could not be read: {error}");
                Problem::error("import::unreadable", message)
            }
            _ => {
                let what = kinds.get(to.kind()).and_then(|info| info.import);
                let message = format!("there is no {} with the id {id}", to.kind());
                Problem::error("import::not_found", message).help(format!(
                    "the id is {}; `kplan import --discover` prints what there is",
                    what.unwrap_or("what the API calls it")
                ))
            }
        };
        problems.push(session.at(problem, one.origin));
    }
    refused(problems)?;
    Ok(found)
}

/// A droplet of somebody else's cannot become a node of a cluster that kplan installs: that is done
/// at a droplet's first boot.
fn node(session: &Session, arranged: &Arranged, to: &Address, attrs: &Object) -> Option<Problem> {
    let spec = &session.loaded.spec;
    if !spec.runs_k3s() || !is_of_pool(spec, to) || is_ours(&arranged.snapshot, attrs) {
        return None;
    }
    let message = format!("{to} would be a node, and kplan did not install it");
    let problem = Problem::error("import::node", message).help(
        "kplan installs K3s at a droplet's first boot, and touches nothing on one that runs. Import it \
         as a [[droplet]]; add new nodes, and take it out when its work has moved. In a file of its \
         own, with `[k3s] managed = false`, it stays one of the servers or agents it is",
    );
    Some(problem)
}

/// Whether it has the owner's mark: kplan made it, and lost the record.
fn is_ours(snapshot: &Snapshot, attrs: &Object) -> bool {
    attrs.get("owner_tag") == Some(&Value::str(snapshot.owner.tag()))
}

fn record(
    info: &KindInfo,
    declared: &Declaration,
    snapshot: &Snapshot,
    (one, attrs): (&Wanted, &Object),
) -> Recorded {
    let made = match attrs.get("created_at") {
        Some(Value::Str(text)) => text.as_str().parse::<jiff::Timestamp>().ok(),
        _ => None,
    };
    let existing = Existing {
        id: one.id.clone(),
        attrs,
        created_at: made.map_or_else(|| SystemClock.now(), |at| Timestamp(at.as_millisecond())),
        foreign: !is_ours(snapshot, attrs),
    };
    let mut record = import::record(info, declared, snapshot, existing);
    // What is there keeps its name where that cannot change.
    if let Some(name) = attrs.get("name") {
        record.args.insert("name".to_owned(), name.clone());
    }
    record
}
