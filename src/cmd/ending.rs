//! How a destroy ends: the account is listed once more, and it is said that nothing of the cluster is
//! left but what stays by design, or what is left, with its ids.

use crate::cli::Global;
use crate::cmd::leavings::Left;
use crate::cmd::session::Session;
use crate::cmd::traces::{self, Trail, called};
use crate::compose::leavings::made_by_clusters;
use crate::error::Problem;
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::price;
use crate::render::remainder::{Remainder, name, named, sentence, unlisted};
use crate::render::{Terminal, events, problem};
use kplan_engine::Planned;
use kplan_model::{ErrorKind, Kind, Known, ProviderError, Recorded, Snapshot};
use kplan_providers::digitalocean::{Remnant, Seen, TracedKept, remainder};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the account is listed until it shows nothing any more: lists lag behind a delete.
const LOOKS: u32 = 4;
/// Between two of them, of the cloud's time.
const PAUSE: Duration = Duration::from_secs(5);

/// What a destroy began with.
pub struct Began {
    cluster: String,
    trail: Trail,
}

/// How it ended.
pub struct Ended {
    /// With what the command ends.
    pub exit: Exit,
    /// Whether everything was seen gone that a next destroy would look for.
    pub is_proven: bool,
}

impl Ended {
    fn unproven(exit: Exit) -> Self {
        Self {
            exit,
            is_proven: false,
        }
    }
}

impl Began {
    /// Of the plan, made from the state with everything found on record.
    pub fn of(session: &Session, planned: &Planned, left: &Left) -> Self {
        Self {
            cluster: planned.snapshot.owner.cluster.clone(),
            trail: Trail::of(session, planned, left),
        }
    }

    /// Puts into a state that is about to be written what is looked for at the end. Whether that changed it.
    pub fn put(&self, snapshot: &mut Snapshot) -> bool {
        self.trail.put(snapshot)
    }

    /// Ends it: lists the account, says what came of it, and with what the command ends.
    pub async fn ended(
        &self,
        (session, interrupts): (&Session, &Interrupts),
        (exit, now): (Exit, Option<&Snapshot>),
        (global, terminal): (&Global, &mut Terminal),
    ) -> Ended {
        if !matches!(exit, Exit::Ok | Exit::Partial) {
            return Ended::unproven(exit);
        }
        let looking = async { Ok(self.remainder(session, exit, now).await) };
        let said =
            "interrupted while the account was listed once more; all that was done is recorded";
        let Ok(found) = interrupts.until(said, looking).await else {
            return Ended::unproven(Exit::Interrupted);
        };
        if global.json {
            let line = events::remainder(&self.cluster, &found);
            terminal.line(&line.to_string());
        } else {
            self.tell(&found, (exit, now), terminal);
        }
        if found.is_proven() || exit == Exit::Partial {
            return Ended {
                exit,
                is_proven: exit == Exit::Ok,
            };
        }
        if !global.json {
            problem::print(terminal, &[self.unproven(&found)], false);
        }
        Ended::unproven(Exit::Partial)
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
        let mut traces = self.trail.marks.clone();
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
        let needed: Vec<&'static str> = seen.unlisted.clone();
        let needed = needed.into_iter().filter(|what| self.needs(what, &seen));
        seen.unlisted = needed.collect();
        let listed = seen.left.iter().chain(&seen.others);
        let listed: BTreeSet<String> = listed.map(|one| one.id.clone()).collect();
        for (kind, known) in &self.trail.records {
            match self.on_record(session, kind, known).await {
                Ok(mut left) => {
                    left.retain(|one| !listed.contains(&one.id) && !traces.kept.contains(&one.id));
                    // What the cluster made and nothing proves any more was taken over by somebody: it
                    // was let be.
                    if made_by_clusters(kind) {
                        let known: BTreeSet<String> =
                            seen.alike.iter().map(|one| one.id.clone()).collect();
                        left.retain(|one| !known.contains(&one.id));
                        seen.alike.extend(left);
                    } else {
                        seen.left.extend(left);
                    }
                }
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
        let trail = &self.trail;
        let still = trail
            .earlier
            .iter()
            .filter(|one| seen.kept.contains(&one.id));
        let staying = trail.made.iter().chain(&trail.given).chain(still);
        let told = staying.clone().map(|one| one.told.clone());
        Remainder {
            kept: kept.chain(told).collect(),
            staying: staying.map(traces::staying).collect(),
            seen,
            unread,
        }
    }

    /// Whether a list that the token has no right to could show something of the cluster's. What only
    /// stands in a VPC is gone where the VPC is: DigitalOcean deletes none with members.
    fn needs(&self, what: &str, seen: &Seen) -> bool {
        let mut kinds = self.trail.records.keys();
        let was_there = kinds.any(|kind| called(kind.as_str()) == Some(what));
        let is_vpc = |one: &Remnant| one.what == "VPC";
        let no_vpc = self.trail.marks.vpcs.is_empty()
            || !(seen.unlisted.contains(&"VPC") || seen.left.iter().any(is_vpc));
        was_there || !no_vpc || !matches!(what, "database" | "load balancer")
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
        let still = self.trail.earlier.iter();
        let still: Vec<TracedKept> = still
            .filter(|one| found.seen.kept.contains(&one.id))
            .cloned()
            .collect();
        for (kept, why) in [
            (&self.trail.made, "what the cluster's programs stored"),
            (
                &self.trail.given,
                "the file lets it go and keeps it ([[removed]])",
            ),
            (&still, "an earlier run of destroy kept it"),
        ] {
            if !kept.is_empty() {
                let told: Vec<&str> = kept.iter().map(|one| one.told.as_str()).collect();
                terminal.line(&format!(
                    "Kept: {} ({why}; nothing on record leads there any more).",
                    told.join(", ")
                ));
            }
        }
        terminal.line(&sentence(&self.cluster, found));
        for one in &found.seen.alike {
            terminal.line(&format!(
                "Note: {} stays: it is called like one of {}'s, and nothing proves that it is.",
                name(one),
                self.cluster
            ));
        }
        if !found.seen.left.is_empty() {
            let unknown = found.unread.iter().cloned().chain(unlisted(found));
            for why in unknown {
                terminal.line(&format!("Note: not looked at: {why}."));
            }
        }
        for one in &found.seen.others {
            terminal.line(&format!(
                "Note: {} is not {}'s. It was left as it is, and the VPC stays until it is gone.",
                name(one),
                self.cluster
            ));
        }
        if let (Exit::Ok, Some(now)) = (exit, now) {
            let mut prices = price::standing(now).beside(&found.staying);
            prices.ends = true;
            terminal.line(&price::goes_on(&prices));
        }
    }

    fn unproven(&self, found: &Remainder) -> Problem {
        let mut what: Vec<String> = found.seen.left.iter().map(named).collect();
        let unread = found.unread.iter();
        what.extend(unread.map(|why| format!("what could not be read: {why}")));
        what.extend(unlisted(found));
        let message = format!(
            "everything on record is destroyed, and it is not proven that nothing of {} is left: {}",
            self.cluster,
            what.join(", ")
        );
        Problem::error("destroy::remainder", message).help(
            "look at each in the control panel and delete what you do not need, and give the token what it \
             lacks; then run destroy again: what it looked for is kept, and it lists the account once more",
        )
    }
}
