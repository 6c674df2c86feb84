//! `[[removed]]`: what leaves the file on purpose, and whether it stays in the account.

use super::places::is_place;
use super::{Arranged, meant, refused};
use crate::cmd::session::Session;
use crate::error::{Failure, Problem};
use crate::load::origin;
use kplan_engine::PlanOptions;
use kplan_model::{Address, Snapshot};
use kplan_schema::Spec;
use kplan_schema::spec::Removal;
use std::collections::BTreeMap;

/// Why something is let go.
const LET_GO: &str = "the file says so ([[removed]]); it stays in the account";

/// What stays in the account, with why it is let go.
fn kept(spec: &Spec, snapshot: &Snapshot) -> BTreeMap<Address, String> {
    let blocks = spec.removals.iter().filter(|block| block.keep.value);
    let all = blocks.flat_map(|block| on_record(block, snapshot));
    all.map(|address| (address, LET_GO.to_owned())).collect()
}

/// The same where everything else is to go: the network or domain of what stays has to stay, too.
pub fn kept_from_all(spec: &Spec, snapshot: &Snapshot) -> BTreeMap<Address, String> {
    let mut kept = kept(spec, snapshot);
    for address in before_a_move(spec, snapshot) {
        kept.entry(address).or_insert_with(|| LET_GO.to_owned());
    }
    for address in kept.keys().cloned().collect::<Vec<_>>() {
        let record = snapshot.resources.get(&address);
        let needs = record.into_iter().flat_map(|record| &record.depends_on);
        let places = needs.filter(|it| is_place(it));
        for place in places {
            let why = format!("{address} stands in it, and stays");
            kept.entry(place.clone()).or_insert(why);
        }
    }
    kept
}

/// Every resource on record that a block is about.
fn on_record(block: &Removal, snapshot: &Snapshot) -> Vec<Address> {
    let from = block.from.as_str().parse::<Address>();
    let all = from.map(|from| meant(snapshot, &from).into_iter().cloned().collect());
    all.unwrap_or_default()
}

/// The same of what is still on record where it was before a move that was not applied yet.
fn before_a_move(spec: &Spec, snapshot: &Snapshot) -> Vec<Address> {
    let kept = spec.removals.iter().filter(|block| block.keep.value);
    let kept: Vec<Address> = kept
        .filter_map(|block| block.from.as_str().parse().ok())
        .collect();
    let moves = super::moves::pending(&spec.moves, snapshot);
    let leads = moves
        .into_iter()
        .filter(|(_, to)| kept.iter().any(|block| block.covers(to)));
    leads.map(|(from, _)| from).collect()
}

/// Notes what is forgotten, and allows the destruction of the rest.
pub(super) fn of(
    session: &Session,
    arranged: &mut Arranged,
    options: &mut PlanOptions,
) -> Result<(), Failure> {
    let spec = &session.loaded.spec;
    let mut problems = Vec::new();
    for block in &spec.removals {
        let Ok(from) = block.from.as_str().parse::<Address>() else {
            continue;
        };
        let mut declared = arranged.declarations.resources.iter();
        let still = declared.find(|declaration| from.covers(&declaration.address));
        if let Some(still) = still {
            let message = format!(
                "`{from}` is removed, and {} is still in the file",
                still.address
            );
            let problem = Problem::error("removed::still_there", message).help(
                "take its block out of the file, or take out the [[removed]]; nothing was changed",
            );
            problems.push(session.at(problem, origin(block.from.span)));
        } else if !block.keep.value {
            options
                .allow_destroy
                .extend(on_record(block, &arranged.snapshot));
        }
    }
    refused(problems)?;
    let kept = kept(spec, &arranged.snapshot);
    arranged.declarations.forgotten.extend(kept);
    Ok(())
}
