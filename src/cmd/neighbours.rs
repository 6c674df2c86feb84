//! Who else stands in the networks and domains that a destroy is to take: DigitalOcean deletes no VPC
//! with members, whoever they belong to, and kplan no domain with records of others. They are named
//! before anybody agrees, and nothing is done to them.

use crate::cmd::session::Session;
use crate::cmd::traces;
use crate::relocate;
use crate::render::value::some;
use kplan_model::{Address, Snapshot, Value};
use kplan_providers::digitalocean::{Look, Member};
use std::collections::{BTreeMap, BTreeSet};

/// How many of them a note names.
const NAMED: usize = 20;

/// What stands in them and is neither on record nor the cluster's own.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// By the address of the VPC, or of the domain.
    inside: BTreeMap<Address, Vec<Member>>,
    /// Of which of them that could not be read, and why.
    unread: Vec<String>,
}

/// Asks for the members of every VPC, and the records of every domain, that a destroy takes. `look` are
/// what was found as the cluster's, and the load balancers that are told apart. Changes nothing.
pub async fn of_all(session: &Session, snapshot: &Snapshot, look: &Look) -> Neighbours {
    let stays = relocate::kept_from_all(&session.loaded.spec, snapshot);
    let going = |address: &Address| !stays.contains_key(address);
    among(session, (snapshot, Known::of(snapshot, look)), going).await
}

/// The same of those at these addresses.
pub async fn of_some(
    session: &Session,
    snapshot: &Snapshot,
    going: &BTreeSet<Address>,
) -> Neighbours {
    let known = Known::of(snapshot, &Look::default());
    among(session, (snapshot, known), |address| {
        going.contains(address)
    })
    .await
}

async fn among(
    session: &Session,
    (snapshot, known): (&Snapshot, Known),
    going: impl Fn(&Address) -> bool,
) -> Neighbours {
    let mut neighbours = Neighbours::default();
    let records = snapshot.resources.values().chain(&snapshot.deposed);
    for place in records.filter(|it| going(&it.address)) {
        let id = place.id.as_str();
        let is_known = |one: &Member| known.has(one);
        let listed = match place.address.kind().as_str() {
            "vpc" => session.adapters.strangers_in(id, is_known).await,
            "domain" => session.adapters.strange_records(id, is_known).await,
            _ => continue,
        };
        match listed {
            Ok(others) => {
                let inside = neighbours.inside.entry(place.address.clone()).or_default();
                inside.extend(others);
            }
            Err(error) => neighbours
                .unread
                .push(format!("{}: {error}", place.address)),
        }
    }
    neighbours.inside.retain(|_, members| !members.is_empty());
    neighbours
}

/// What is on record, was, or was found as the cluster's.
struct Known {
    ids: BTreeSet<String>,
    /// Names of its droplets.
    droplets: BTreeSet<String>,
}

impl Known {
    fn of(snapshot: &Snapshot, look: &Look) -> Self {
        let records = || snapshot.resources.values().chain(&snapshot.deposed);
        let mut ids: BTreeSet<String> = records().map(|record| record.id.to_string()).collect();
        let doubts = snapshot.in_doubt.values();
        ids.extend(doubts.filter_map(|doubt| Some(doubt.id.as_ref()?.to_string())));
        ids.extend(look.found.iter().map(|one| one.attrs.id.clone()));
        ids.extend(look.strangers.iter().map(|one| one.id.clone()));
        // What an earlier destroy looks for is told at the end, and is nobody else's.
        let earlier = traces::earlier(snapshot).into_iter();
        ids.extend(earlier.flat_map(|it| it.records).map(|one| one.id));
        let droplets = records().filter(|it| it.address.kind().as_str() == "droplet");
        let names = droplets.filter_map(|record| match record.attribute("name") {
            Some(Value::Str(name)) => Some(name.to_string()),
            _ => None,
        });
        Self {
            ids,
            droplets: names.collect(),
        }
    }

    /// Droplets are listed by their number. DigitalOcean's document also shows one by a UUID, which is on
    /// nobody's record: such a one is told by its name.
    fn has(&self, one: &Member) -> bool {
        let by_name = one.what == "droplet" && one.id.parse::<u64>().is_err();
        self.ids.contains(&one.id) || (by_name && self.droplets.contains(&one.name))
    }
}

impl Neighbours {
    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        let all = self.inside.values().flatten();
        all.map(|one| one.id.clone())
    }

    /// What is told of them before anybody agrees to `command`: `destroy` or `apply`.
    pub fn notes(&self, command: &str) -> Vec<String> {
        let each = self.inside.iter();
        let note = |(place, members): (&Address, &Vec<Member>)| note(place, members, command);
        let mut notes: Vec<String> = each.map(note).collect();
        if !self.unread.is_empty() {
            notes.push(format!(
                "whether anything of somebody else's stands in what is destroyed could not be read ({}); if \
                 so, it stays as it is, and that with it",
                self.unread.join("; ")
            ));
        }
        notes
    }
}

fn note(place: &Address, members: &[Member], command: &str) -> String {
    let rest = if command == "destroy" {
        "destroyed"
    } else {
        "done"
    };
    format!(
        "{place} stays until these are gone that stand in it and are on no record of kplan's: {}. \
         Nothing is done to them; everything else is {rest}, and {command} ends with 3. Once they are \
         deleted, run {command} again: it removes {place}",
        some(members, NAMED)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::{Kind, Owner, Recorded, RemoteId};

    #[test]
    fn a_note_names_some_and_counts_the_rest() {
        let member = |at: usize| Member {
            what: "droplet".to_owned(),
            name: format!("web-{at}"),
            id: at.to_string(),
        };
        let vpc = Address::new(Kind::new("vpc"), "main");
        let all: Vec<Member> = (0..23).map(member).collect();
        let said = note(&vpc, &all[..1], "destroy");
        assert!(said.starts_with("vpc.main stays until"), "{said}");
        assert!(said.contains("droplet web-0 (0). Nothing"), "{said}");
        let said = note(&vpc, &all, "apply");
        assert!(said.contains("droplet web-19 (19) and 3 more."), "{said}");
    }

    #[test]
    fn what_is_on_record_is_known_by_its_id_and_an_odd_droplet_by_its_name() {
        let owner = Owner {
            cluster: "demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        };
        let mut snapshot = Snapshot::empty("lineage".to_owned(), owner);
        let address: Address = "droplet.servers[0]".parse().unwrap();
        let mut record = Recorded::bare(address.clone(), RemoteId::new("7"));
        record.args.insert("name", Value::str("demo-servers-0"));
        snapshot.resources.insert(address, record);
        let known = Known::of(&snapshot, &Look::default());
        let member = |what: &str, name: &str, id: &str| Member {
            what: what.to_owned(),
            name: name.to_owned(),
            id: id.to_owned(),
        };
        assert!(known.has(&member("droplet", "x", "7")));
        let uuid = "86e29982-03a7-4946-8a07-a0114dff8754";
        assert!(known.has(&member("droplet", "demo-servers-0", uuid)));
        // Somebody else's of that name has a number of its own.
        assert!(!known.has(&member("droplet", "demo-servers-0", "8")));
        assert!(!known.has(&member("database", "demo-servers-0", uuid)));
    }
}
