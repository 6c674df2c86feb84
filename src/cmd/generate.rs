//! `kplan import --generate`: prints a file for what exists and has no place in one. Its clients send
//! nothing but reads, and nothing is written.

use crate::cli::{Global, ImportArgs};
use crate::cmd::import::nothing_like;
use crate::cmd::session::Session;
use crate::compose;
use crate::discover::{self, Account, Found, Only};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::generate::{self, Draft, Generated, Ground, Key};
use crate::load::{self, Loaded, Secrets};
use crate::relocate;
use crate::render::Terminal;
use crate::wire::StatePlace;
use kplan_model::{Address, Snapshot};
use kplan_providers::digitalocean::{Discovered, KINDS};
use kplan_schema::Spec;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file that says nothing yet; what it stands for gets a name and a region of its own.
const NOTHING: &str = "[cluster]\nname = \"imported\"\nregion = \"fra1\"\n";

/// Runs it.
pub async fn run(global: &Global, args: &ImportArgs, terminal: &mut Terminal) -> CommandResult {
    let file = existing(&global.file)?;
    let is_new = file.is_empty();
    let text = if is_new { NOTHING } else { &file };
    let loaded = load::text(&global.file, text)?;
    if is_new {
        not_recorded(global, &loaded)?;
    }
    let session = Session::reading_as(global, loaded, terminal).await?;
    let snapshot = session.recorded(terminal)?;
    if is_new && !snapshot.resources.is_empty() {
        return Err(recorded(
            session.place.cluster.as_str(),
            snapshot.resources.len(),
        ));
    }
    let account = discover::look(&session, terminal).await;
    let only = Only::of_arguments(args);
    nothing_like(&only, &account.existing)?;
    let open = only.of(account.existing.clone());
    let lists = lists(&file);
    if lists.get("import") == Some(&Written::Inline) {
        let problem = Problem::error(
            "import::inline",
            "`import = [...]` stands in the file, and no [[import]] can stand behind it",
        );
        return Err(problem.help("write it as [[import]] blocks first").into());
    }
    let ground = ground(&session, &snapshot, (&account, &open), (is_new, &lists));
    let (all, unread) = (&account.existing, &account.unread);
    let mut generated = generate::generate(&ground, all, &open, &file).map_err(unwritable)?;
    differences(&session, &snapshot, &ground, all, &mut generated);
    let text = generate::text(&ground, &generated.draft, unread);
    if global.json {
        let document = generate::document(&text, &generated.draft, unread);
        terminal.line(&document.to_string());
    } else {
        terminal.out(&text);
    }
    Ok(if unread.is_empty() {
        Exit::Ok
    } else {
        Exit::Error
    })
}

/// What the file holds; nothing where there is none. The shell makes an empty one for
/// `kplan import --generate > cluster.toml`, before kplan looks.
fn existing(file: &Path) -> Result<String, Failure> {
    if !file.exists() {
        return Ok(String::new());
    }
    let text = load::read(file)?;
    Ok(if text.trim().is_empty() {
        String::new()
    } else {
        text
    })
}

/// Where there is no file, nothing is on record beside it.
fn not_recorded(global: &Global, loaded: &Loaded) -> Result<(), Failure> {
    let identified = loaded.identified();
    let place = StatePlace::of(global, &identified)?;
    match place.renamed_from(global, &identified)? {
        Some((cluster, count)) => Err(recorded(&cluster, count)),
        None => Ok(()),
    }
}

fn recorded(cluster: &str, count: usize) -> Failure {
    let message =
        format!("the file is not there, and {count} resources of {cluster} are on record here");
    let problem = Problem::error("import::recorded", message).help(
        "a new file would not have their addresses, and its plan would destroy them: bring the old one \
         back (version control, or the recovery kit in the backup bucket). `kplan state list` names what \
         it had; in an empty folder `kplan import --generate` writes what the account has",
    );
    Failure::with(Exit::Refused, problem)
}

fn unwritable(why: String) -> Failure {
    let message = format!("no file can be written for what there is: {why}");
    let problem = Problem::error("import::unwritable", message);
    problem
        .help("look at a part of the account with --vpc, --tag or --name")
        .into()
}

/// What the file and the record have already, and what is for `--discover` to bind.
fn ground<'a>(
    session: &'a Session,
    snapshot: &'a Snapshot,
    (account, open): (&Account, &[Discovered]),
    (is_new, lists): (bool, &BTreeMap<String, Written>),
) -> Ground<'a> {
    let spec = &session.loaded.spec;
    let declarations = session.references(snapshot);
    let taken: BTreeMap<Address, String> = relocate::in_file(spec)
        .into_iter()
        .map(|one| (one.to, one.id.to_string()))
        .collect();
    let kinds = session.kinds();
    let found = discover::matched(&declarations, &kinds, snapshot, open, &taken);
    let declared = declarations.resources.iter().map(|it| &it.address);
    let asked: BTreeSet<Address> = declared.cloned().collect();
    let moves = spec.moves.iter().map(|it| it.from.as_str());
    let left = moves.chain(spec.removals.iter().map(|it| it.from.as_str()));
    let left = left.filter_map(|from| from.parse::<Address>().ok());
    let addresses = asked.iter().chain(snapshot.resources.keys()).cloned();
    let records = snapshot.resources.values().chain(&snapshot.deposed);
    let known = records.map(|it| (it.address.clone(), it.id.to_string()));
    let known = known.chain(taken);
    let known = known.map(|(address, id)| ((address.kind().to_string(), id), address));
    Ground {
        spec,
        is_new,
        owner: &snapshot.owner,
        addresses: addresses.chain(left).collect(),
        asked,
        inline: KINDS
            .into_iter()
            .filter(|kind| lists.get(*kind) == Some(&Written::Inline))
            .collect(),
        known: known.collect(),
        access_key: account.access_key.clone(),
        balancers_are_listed: lists.contains_key("load_balancer"),
        claimed: claimed(&found, open),
    }
}

/// How a file writes a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// As `[[name]]` blocks.
    Blocks,
    /// Within brackets: no block can stand behind it.
    Inline,
}

/// The lists of a file, by name.
fn lists(file: &str) -> BTreeMap<String, Written> {
    let table: toml::Table = toml::from_str(file).unwrap_or_default();
    let lists = table.into_iter().filter(|(_, value)| value.is_array());
    let written = lists.map(|(name, _)| {
        let header = format!("[[{name}]]");
        let mut lines = file.lines();
        let how = if lines.any(|line| line.trim_start().starts_with(&header)) {
            Written::Blocks
        } else {
            Written::Inline
        };
        (name, how)
    });
    written.collect()
}

fn by_id(all: &[Discovered]) -> BTreeMap<(&str, &str), &Discovered> {
    let all = all.iter();
    all.map(|one| ((one.kind, one.id.as_str()), one)).collect()
}

/// What fits something that the file describes is no new block.
fn claimed(found: &Found, open: &[Discovered]) -> BTreeMap<Key, String> {
    let mut claimed = BTreeMap::new();
    let open = by_id(open);
    let mut claim = |address: &Address, id: &str, reason: &str| {
        if let Some(one) = open.get(&(address.kind().as_str(), id)) {
            let reason = format!("{reason} {address}; see `kplan import --discover`");
            claimed.insert((one.kind, one.id.clone()), reason);
        }
    };
    for (address, proposal) in &found.proposals {
        claim(address, &proposal.id, "fits");
    }
    for (address, candidates) in &found.ambiguous {
        for candidate in candidates {
            claim(address, &candidate.id, "could be");
        }
    }
    claimed
}

/// Says above each block in what it is otherwise than what exists, as far as that is known: what no
/// block can say.
fn differences(
    session: &Session,
    snapshot: &Snapshot,
    ground: &Ground<'_>,
    all: &[Discovered],
    generated: &mut Generated,
) {
    let holds = generated.draft.blocks.iter().flat_map(|it| &it.holds);
    let new: BTreeMap<Address, Key> = holds
        .filter_map(|(key, address)| Some((address.parse().ok()?, key.clone())))
        .collect();
    let mut standing = snapshot.clone();
    for ((_, id), address) in &ground.known {
        discover::stand_in(&mut standing, address, id);
    }
    for (address, (_, id)) in &new {
        discover::stand_in(&mut standing, address, id);
    }
    let asked = asked(session, &generated.spec, &standing, &new);
    let kinds = session.kinds();
    let mut differs: BTreeMap<&Key, BTreeSet<String>> = BTreeMap::new();
    let all = by_id(all);
    for (address, key) in &new {
        let one = all.get(&(key.0, key.1.as_str()));
        let (Some(one), Some(info)) = (one, kinds.get(address.kind())) else {
            continue;
        };
        if let Some(object) = asked.get(address) {
            let fields = discover::differing(info, address, object, one);
            differs.entry(key).or_default().extend(fields);
        }
    }
    note(&mut generated.draft, &differs);
}

fn asked(
    session: &Session,
    spec: &Spec,
    standing: &Snapshot,
    new: &BTreeMap<Address, Key>,
) -> BTreeMap<Address, kplan_model::Object> {
    let inputs = session.inputs(standing, Secrets::new());
    let declared = compose::compose(spec, &inputs).resources.into_iter();
    let declared = declared.filter(|it| new.contains_key(&it.address));
    declared
        .map(|it| (it.address.clone(), it.filled(standing)))
        .collect()
}

fn note(draft: &mut Draft, differs: &BTreeMap<&Key, BTreeSet<String>>) {
    for block in &mut draft.blocks {
        let fields = block.holds.iter().filter_map(|(key, _)| differs.get(key));
        let fields: BTreeSet<&str> = fields.flatten().map(String::as_str).collect();
        if !fields.is_empty() {
            let fields: Vec<&str> = fields.into_iter().collect();
            block.notes.push(format!(
                "It is otherwise in {}, which no block can say as it is: the plan shows it.",
                fields.join(", ")
            ));
        }
    }
}
