//! `[[moved]]`: which records get which address.

use super::imports::is_of_pool;
use super::{meant, refused};
use crate::cmd::session::Session;
use crate::error::{Failure, Problem};
use crate::load::origin;
use kplan_model::{Address, Declarations, Origin, Snapshot};
use kplan_schema::spec::{Move, SERVERS_POOL};
use std::collections::{BTreeMap, BTreeSet};

/// Every record that moves. A block whose resource is at its new place already, or was never
/// anywhere, says nothing any more.
pub(super) fn of(
    session: &Session,
    snapshot: &Snapshot,
) -> Result<BTreeMap<Address, Address>, Failure> {
    let spec = &session.loaded.spec;
    let moves = pending(&spec.moves, snapshot);
    let mut problems = Vec::new();
    for (from, to) in &moves {
        if let Some(problem) = another_part(session, snapshot, from, to) {
            problems.push(session.at(problem, at_block(session, snapshot, from)));
        }
        if !snapshot.resources.contains_key(to) || moves.contains_key(to) {
            continue;
        }
        let message =
            format!("{from} cannot be moved to {to}, which is on record and is another resource");
        let problem = Problem::error("moved::taken", message).help(
            "nothing was changed. Take the block out, or say where the resource at the new address \
             goes: [[moved]] or [[removed]]",
        );
        problems.push(session.at(problem, at_block(session, snapshot, from)));
    }
    refused(problems)?;
    Ok(moves)
}

/// Where the file says that something moves.
fn at_block(session: &Session, snapshot: &Snapshot, from: &Address) -> Origin {
    let mut blocks = session.loaded.spec.moves.iter();
    let block = blocks
        .find(|block| ends(block).is_some_and(|(old, _)| meant(snapshot, &old).contains(&from)));
    origin(block.and_then(|block| block.to.span))
}

/// What a droplet is in the cluster is decided at its first boot, and no address changes that.
fn another_part(
    session: &Session,
    snapshot: &Snapshot,
    from: &Address,
    to: &Address,
) -> Option<Problem> {
    let spec = &session.loaded.spec;
    let record = snapshot.resources.get(from)?;
    if !spec.runs_k3s() || from.kind().as_str() != "droplet" {
        return None;
    }
    let was = match (record.args.contains_key("boot"), from.name()) {
        (false, _) => "no node",
        (true, SERVERS_POOL) => "a server",
        (true, _) => "an agent",
    };
    let will = match (is_of_pool(spec, to), to.name()) {
        (false, _) => "no node",
        (true, SERVERS_POOL) => "a server",
        (true, _) => "an agent",
    };
    if was == will {
        return None;
    }
    let message = format!("{from} is {was} of the cluster, and {to} would be {will}");
    Some(Problem::error("moved::another_part", message).help(
        "nothing was changed. A droplet becomes a server or an agent at its first boot and stays that: \
         make a new one there, and take the old one out once its work has moved",
    ))
}

/// The same, whether it can be done or not.
pub(super) fn pending(blocks: &[Move], snapshot: &Snapshot) -> BTreeMap<Address, Address> {
    let mut moves = BTreeMap::new();
    for (from, to) in blocks.iter().filter_map(ends) {
        for address in meant(snapshot, &from) {
            moves.insert(address.clone(), at(address, &to));
        }
    }
    moves
}

/// The address under which a record goes on: what is inside keeps its kind, and what the block does
/// not number keeps its number.
fn at(address: &Address, to: &Address) -> Address {
    let name = to.name().to_owned();
    match to.index().or(address.index()) {
        Some(index) => Address::indexed(address.kind().clone(), name, index),
        None => Address::new(address.kind().clone(), name),
    }
}

/// Both addresses; the schema read them already.
fn ends(block: &Move) -> Option<(Address, Address)> {
    let from = block.from.as_str().parse().ok()?;
    Some((from, block.to.as_str().parse().ok()?))
}

/// What is moved is no longer asked for at the old address, and is at the new one.
pub(super) fn lead_somewhere(
    session: &Session,
    declarations: &Declarations,
) -> Result<(), Failure> {
    let asked = declarations.resources.iter();
    let asked: BTreeSet<&Address> = asked.map(|declaration| &declaration.address).collect();
    let blocks = session.loaded.spec.moves.iter();
    let blocks: Vec<(&Move, Address, Address)> = blocks
        .filter_map(|block| ends(block).map(|(from, to)| (block, from, to)))
        .collect();
    let mut problems = Vec::new();
    for (block, from, _) in &blocks {
        let comes = |address: &Address| blocks.iter().any(|(_, _, to)| to.covers(address));
        let still = asked.iter().find(|it| from.covers(it) && !comes(it));
        let Some(still) = still else { continue };
        let message = format!(
            "`{from}` is moved to `{}`, and {still} is still in the file",
            block.to
        );
        let problem = Problem::error("moved::contradiction", message).help(
            "a second one would be made there. Take its block out, or give it another name; where the \
             move was applied long ago, take the [[moved]] out",
        );
        problems.push(session.at(problem, origin(block.from.span)));
    }
    for (from, to) in declarations
        .moved
        .iter()
        .filter(|(_, to)| !asked.contains(to))
    {
        let message = format!("{from} is moved to {to}, which is not in the file");
        let problem = Problem::error("moved::contradiction", message).help(
            "without its block there it would be destroyed: write it, or correct the address; nothing \
             was changed",
        );
        let block = blocks.iter().find(|(_, block, _)| block.covers(from));
        problems.push(session.at(problem, origin(block.and_then(|(it, _, _)| it.to.span))));
    }
    refused(problems)
}
