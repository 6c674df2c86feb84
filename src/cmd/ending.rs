//! How a destroy ends: the account is listed once more, and it is said that nothing of the cluster is
//! left but what stays by design, or what is left, with its ids.

use crate::cli::Global;
use crate::cmd::leavings::{Left, told};
use crate::cmd::session::Session;
use crate::compose::leavings::is_no_resource;
use crate::error::Problem;
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::price::{self, Staying};
use crate::relocate;
use crate::render::remainder::{Remainder, name, named, sentence};
use crate::render::{Terminal, events, problem};
use kplan_model::{ErrorKind, Kind, Known, ProviderError, Recorded, Snapshot, Value};
use kplan_providers::digitalocean::{Remnant, Seen, Traces, remainder};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often the account is listed until it shows nothing any more: lists lag behind a delete.
const LOOKS: u32 = 4;
/// Between two of them, of the cloud's time.
const PAUSE: Duration = Duration::from_secs(5);

/// What a destroy began with.
pub struct Began {
    cluster: String,
    traces: Traces,
    /// Everything on record that exists in the account, by kind.
    records: BTreeMap<Kind, Vec<Known>>,
    /// What stays that is on no record.
    kept: Vec<String>,
    staying: Vec<Staying>,
}

impl Began {
    /// Of the state with everything found on record.
    pub fn of(session: &Session, snapshot: &Snapshot, left: &Left) -> Self {
        let kinds = session.kinds();
        let exists = |record: &&Recorded| {
            let info = kinds.get(record.address.kind());
            let in_account = info.is_some_and(|info| info.terraform.starts_with("digitalocean_"));
            // A bucket is only shown to its key, which goes with it. That it is gone was seen then.
            in_account
                && record.address.kind().as_str() != "bucket"
                && !is_no_resource(&record.address)
        };
        let released = relocate::kept_from_all(&session.loaded.spec, snapshot);
        let stays = |record: &&Recorded| released.contains_key(&record.address);
        let all = || {
            let all = snapshot.resources.values().chain(&snapshot.deposed);
            all.filter(move |record| !stays(record))
        };
        // What the file gives away stays, and is no remainder.
        let given = snapshot.resources.values().filter(stays);
        let given: Vec<&Recorded> = given.filter(exists).collect();
        let ids = given.iter().map(|record| record.id.to_string());
        let made = left.kept.iter().map(|one| one.attrs.id.clone());
        let mut traces = Traces {
            tag: snapshot.owner.tag(),
            kept: made.chain(ids).collect(),
            ..Traces::default()
        };
        let said = |record: &&Recorded| format!("{} ({})", record.address, record.id);
        let billed =
            |record: &&Recorded| Staying::of(said(record), record.address.kind(), &record.args);
        let mut records: BTreeMap<Kind, Vec<Known>> = BTreeMap::new();
        for record in all().filter(exists) {
            let kind = record.address.kind();
            if kind.as_str() == "vpc" {
                traces.vpcs.insert(record.id.as_str().to_owned());
            }
            if let (Some(what), Some(Value::Str(name))) =
                (called(kind.as_str()), record.attribute("name"))
            {
                let names = traces.names.entry(what).or_default();
                names.insert(name.as_str().to_owned());
            }
            records
                .entry(kind.clone())
                .or_default()
                .push(record.known());
        }
        Self {
            cluster: snapshot.owner.cluster.clone(),
            traces,
            records,
            kept: left
                .kept
                .iter()
                .map(told)
                .chain(given.iter().map(said))
                .collect(),
            staying: left
                .staying()
                .into_iter()
                .chain(given.iter().map(billed))
                .collect(),
        }
    }

    /// Ends it: lists the account, says what came of it, and with what the command ends.
    pub async fn ended(
        &self,
        (session, interrupts): (&Session, &Interrupts),
        (exit, now): (Exit, Option<&Snapshot>),
        (global, terminal): (&Global, &mut Terminal),
    ) -> Exit {
        if !matches!(exit, Exit::Ok | Exit::Partial) {
            return exit;
        }
        let looking = async { Ok(self.remainder(session, exit, now).await) };
        let said =
            "interrupted while the account was listed once more; all that was done is recorded";
        let Ok(found) = interrupts.until(said, looking).await else {
            return Exit::Interrupted;
        };
        if global.json {
            let line = events::remainder(&self.cluster, &found);
            terminal.line(&line.to_string());
        } else {
            self.tell(&found, (exit, now), terminal);
        }
        if found.is_proven() || exit == Exit::Partial {
            return exit;
        }
        if !global.json {
            problem::print(terminal, &[self.unproven(&found)], false);
        }
        Exit::Partial
    }

    /// Lists the account until it shows nothing more that should not be there, a few times.
    async fn remainder(&self, session: &Session, exit: Exit, now: Option<&Snapshot>) -> Remainder {
        let looks = if exit == Exit::Ok { LOOKS } else { 1 };
        let mut found = self.look(session, now).await;
        for _ in 1..looks {
            if found.is_proven() {
                break;
            }
            session.adapters.clusters.pause(PAUSE).await;
            found = self.look(session, now).await;
        }
        found
    }

    async fn look(&self, session: &Session, now: Option<&Snapshot>) -> Remainder {
        let stays = now.into_iter().flat_map(|now| now.resources.values());
        let stays: Vec<&Recorded> = stays.filter(|record| record.meta.keep).collect();
        let mut traces = self.traces.clone();
        let ids = stays.iter().map(|record| record.id.as_str().to_owned());
        traces.kept.extend(ids);
        let mut unread = Vec::new();
        let mut seen = match remainder(&session.adapters.digitalocean, &traces).await {
            Ok(seen) => seen,
            Err(error) => {
                unread.push(format!("the account: {error}"));
                Seen::default()
            }
        };
        let listed: BTreeSet<String> = seen.left.iter().map(|one| one.id.clone()).collect();
        for (kind, known) in &self.records {
            match self.on_record(session, kind, known).await {
                Ok(left) => seen.left.extend(
                    left.into_iter()
                        .filter(|one| !listed.contains(&one.id) && !traces.kept.contains(&one.id)),
                ),
                Err(error) => unread.push(format!("{kind}: {error}")),
            }
        }
        seen.left.sort();
        let recorded: BTreeSet<&str> = seen.left.iter().map(|one| one.id.as_str()).collect();
        seen.alike.retain(|one| !recorded.contains(one.id.as_str()));
        let kinds = session.kinds();
        let in_account = |record: &&&Recorded| {
            let info = kinds.get(record.address.kind());
            info.is_some_and(|info| info.terraform.starts_with("digitalocean_"))
        };
        let kept = stays.iter().filter(in_account);
        let kept = kept.map(|record| format!("{} ({})", record.address, record.id));
        Remainder {
            seen,
            kept: kept.chain(self.kept.iter().cloned()).collect(),
            unread,
        }
    }

    /// Those of a kind that were on record and are there.
    async fn on_record(
        &self,
        session: &Session,
        kind: &Kind,
        known: &[Known],
    ) -> Result<Vec<Remnant>, ProviderError> {
        let Some(entry) = session.adapters.registry.get(kind) else {
            return Ok(Vec::new());
        };
        let there = match entry.observe.read_all(known).await {
            Ok(there) => there,
            // What it stands in is gone, and with that its list.
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut left = Vec::new();
        for one in known.iter().filter(|one| there.contains_key(&one.id)) {
            // A list may lag behind; what is asked for by its id is there or not.
            if entry.observe.read(one).await?.is_some() {
                left.push(Remnant {
                    what: called(kind.as_str()).unwrap_or(kind.as_str()).to_owned(),
                    id: one.id.to_string(),
                    name: one.address.to_string(),
                    why: "was on record".to_owned(),
                });
            }
        }
        Ok(left)
    }

    fn tell(
        &self,
        found: &Remainder,
        (exit, now): (Exit, Option<&Snapshot>),
        terminal: &mut Terminal,
    ) {
        if exit == Exit::Ok && !self.kept.is_empty() {
            terminal.line(&format!(
                "Kept: {} (what the cluster's programs stored; nothing on record leads there any more).",
                self.kept.join(", ")
            ));
        }
        terminal.line(&sentence(&self.cluster, found));
        for one in &found.seen.alike {
            terminal.line(&format!(
                "Note: {} stays: it is called like one of {}'s, and nothing proves that it is.",
                name(one),
                self.cluster
            ));
        }
        if !found.seen.unlisted.is_empty() {
            terminal.line(&format!(
                "Note: the token has no right to list these, so only what was on record was looked for: {}.",
                found.seen.unlisted.join(", ")
            ));
        }
        if let (Exit::Ok, Some(now)) = (exit, now) {
            let mut prices = price::standing(now).beside(&self.staying);
            prices.ends = true;
            terminal.line(&price::goes_on(&prices));
        }
    }

    fn unproven(&self, found: &Remainder) -> Problem {
        let mut what: Vec<String> = found.seen.left.iter().map(named).collect();
        let unread = found.unread.iter();
        what.extend(unread.map(|why| format!("what could not be read: {why}")));
        let message = format!(
            "everything on record is destroyed, and it is not proven that nothing of {} is left: {}",
            self.cluster,
            what.join(", ")
        );
        Problem::error("destroy::remainder", message).help(
            "look at each in the control panel and delete what you do not need: what is on no record \
             any more no kplan destroys",
        )
    }
}

/// What [`Traces`] call what has names.
fn called(kind: &str) -> Option<&'static str> {
    match kind {
        "droplet" => Some("droplet"),
        "load_balancer" | "cluster_load_balancer" => Some("load balancer"),
        "volume" | "cluster_volume" => Some("volume"),
        "cluster_snapshot" => Some("snapshot"),
        "database" => Some("database"),
        "firewall" => Some("firewall"),
        "vpc" => Some("VPC"),
        "tag" => Some("tag"),
        _ => None,
    }
}
