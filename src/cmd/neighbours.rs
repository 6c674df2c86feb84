//! Who else stands in the networks that a destroy is to take: DigitalOcean deletes no VPC with members,
//! whoever they belong to. They are named before anybody agrees, and nothing is done to them.

use crate::cmd::session::Session;
use crate::relocate;
use kplan_model::{Address, Snapshot};
use kplan_providers::digitalocean::{Look, Member};
use std::collections::{BTreeMap, BTreeSet};

/// How many of them a note names.
const NAMED: usize = 20;

/// What stands in them and is neither on record nor the cluster's own.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// By the address of the VPC.
    inside: BTreeMap<Address, Vec<Member>>,
    /// Of which VPC that could not be read, and why.
    unread: Vec<String>,
}

/// Asks for the members of every VPC that goes. `look` are what was found as the cluster's, and the
/// load balancers that are told apart. Changes nothing.
pub async fn look(session: &Session, snapshot: &Snapshot, look: &Look) -> Neighbours {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let records = || snapshot.resources.values().chain(&snapshot.deposed);
    known.extend(records().map(|record| record.id.as_str()));
    let doubts = snapshot.in_doubt.values();
    known.extend(doubts.filter_map(|doubt| Some(doubt.id.as_ref()?.as_str())));
    known.extend(look.found.iter().map(|one| one.attrs.id.as_str()));
    known.extend(look.strangers.iter().map(|one| one.id.as_str()));
    let stays = relocate::kept_from_all(&session.loaded.spec, snapshot);
    let mut neighbours = Neighbours::default();
    for vpc in records().filter(|it| it.address.kind().as_str() == "vpc") {
        if stays.contains_key(&vpc.address) {
            continue;
        }
        match session.adapters.members(vpc.id.as_str()).await {
            Ok(members) => {
                let others = members.into_iter();
                let others = others.filter(|one| !known.contains(one.id.as_str()));
                let inside = neighbours.inside.entry(vpc.address.clone()).or_default();
                inside.extend(others);
            }
            Err(error) => neighbours.unread.push(format!("{}: {error}", vpc.address)),
        }
    }
    neighbours.inside.retain(|_, members| !members.is_empty());
    neighbours
}

impl Neighbours {
    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        let all = self.inside.values().flatten();
        all.map(|one| one.id.clone())
    }

    /// What is told of them before anybody agrees.
    pub fn notes(&self) -> Vec<String> {
        let each = self.inside.iter();
        let mut notes: Vec<String> = each.map(|(vpc, members)| note(vpc, members)).collect();
        if !self.unread.is_empty() {
            notes.push(format!(
                "whether anybody else's stands in the cluster's network could not be read ({}); if so, it \
                 stays as it is, and the network with it",
                self.unread.join("; ")
            ));
        }
        notes
    }
}

fn note(vpc: &Address, members: &[Member]) -> String {
    let named: Vec<String> = members
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let more = match members.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{vpc} stays until these are gone that stand in it and are on no record of kplan's: {}{more}. \
         Nothing is done to them; everything else is destroyed, and destroy ends with 3. Once they are \
         deleted, run destroy again: it removes {vpc}",
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Kind;

    #[test]
    fn a_note_names_some_and_counts_the_rest() {
        let member = |at: usize| Member {
            what: "droplet".to_owned(),
            name: format!("web-{at}"),
            id: at.to_string(),
        };
        let vpc = Address::new(Kind::new("vpc"), "main");
        let all: Vec<Member> = (0..23).map(member).collect();
        let said = note(&vpc, &all[..1]);
        assert!(said.starts_with("vpc.main stays until"), "{said}");
        assert!(said.contains("droplet web-0 (0). Nothing"), "{said}");
        let said = note(&vpc, &all);
        assert!(said.contains("droplet web-19 (19) and 3 more."), "{said}");
    }
}
