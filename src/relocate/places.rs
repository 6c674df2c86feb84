//! What other things stand in and is to go: networks and domains. A domain has one name for good, and
//! is not taken away from under records that the file goes on asking for.

use super::{Arranged, refused};
use crate::cmd::neighbours;
use crate::cmd::session::Session;
use crate::error::{Failure, Problem};
use kplan_model::{Address, Declaration, Object};
use std::collections::BTreeSet;

/// Refuses what cannot be done, and notes who else stands in what goes.
pub(super) async fn check(
    session: &Session,
    arranged: &mut Arranged,
    refresh: bool,
) -> Result<(), Failure> {
    let mut problems: Vec<Problem> = renamed(session, arranged).collect();
    let going = going(arranged);
    problems.extend(needed(session, arranged, &going));
    refused(problems)?;
    if refresh && !going.is_empty() {
        let look = neighbours::of_some(session, &arranged.snapshot, &going).await;
        arranged.notes.extend(look.notes("apply"));
    }
    Ok(())
}

/// Whether it is something that other things stand in, and that does not go from under them.
pub(super) fn is_place(address: &Address) -> bool {
    matches!(address.kind().as_str(), "vpc" | "domain")
}

/// Networks and domains on record that the file neither asks for nor lets go.
fn going(arranged: &Arranged) -> BTreeSet<Address> {
    let forgotten = &arranged.declarations.forgotten;
    let places = arranged.snapshot.resources.keys();
    let places = places.filter(|it| is_place(it) && !forgotten.contains_key(*it));
    // Places are few, and what is declared is much.
    let mut going: BTreeSet<Address> = places.cloned().collect();
    for declared in &arranged.declarations.resources {
        going.remove(&declared.address);
    }
    going
}

fn text<'a>(args: &'a Object, field: &str) -> Option<&'a str> {
    args.get(field)?.as_str()
}

/// The name that a domain has on record.
fn name<'a>(arranged: &'a Arranged, address: &Address) -> Option<&'a str> {
    text(&arranged.snapshot.resources.get(address)?.args, "name")
}

fn of_kind<'a>(
    arranged: &'a Arranged,
    kind: &'static str,
) -> impl Iterator<Item = &'a Declaration> {
    let declared = arranged.declarations.resources.iter();
    declared.filter(move |it| it.address.kind().as_str() == kind)
}

/// Domains that would be others under their old address.
fn renamed(session: &Session, arranged: &Arranged) -> impl Iterator<Item = Problem> {
    of_kind(arranged, "domain").filter_map(|declared| {
        let address = &declared.address;
        let was = name(arranged, address)?;
        let will = text(&declared.args, "name")?;
        if was.eq_ignore_ascii_case(will) {
            return None;
        }
        let message = format!("{address} is `{was}`, and the file says `{will}`");
        let problem = Problem::error("domain::renamed", message).help(format!(
            "nothing was changed. A domain has its name for good. Give `{will}` a `label` of its own: it is \
             made then, and `{was}` goes where it is in the file no more"
        ));
        Some(session.at(problem, declared.origin))
    })
}

/// Domains that go while the file has records in them.
fn needed(session: &Session, arranged: &Arranged, going: &BTreeSet<Address>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for address in going.iter().filter(|it| it.kind().as_str() == "domain") {
        let within = |it: &&Declaration| text(&it.args, "domain") == name(arranged, address);
        // Under another label it is a domain that moved, which is told elsewhere.
        let mut domains = of_kind(arranged, "domain");
        if domains.any(|it| text(&it.args, "name") == name(arranged, address)) {
            continue;
        }
        let Some(record) = of_kind(arranged, "domain_record").find(within) else {
            continue;
        };
        let message = format!(
            "{address} is to go, and {} is in it and stays in the file",
            record.address
        );
        let problem = Problem::error("domain::needed", message).help(format!(
            "nothing was changed. A domain goes with all its records: take those out, too. To keep the \
             domain, and no longer have kplan see to it, write\n\n    [[removed]]\n    from = \"{address}\"\n    \
             keep = true"
        ));
        problems.push(session.at(problem, record.origin));
    }
    problems
}
