//! Recover: clears up what an earlier run left in doubt, before anything is planned or done. It
//! looks, and never waits for anything to become ready: what is planned next may be what makes it
//! ready, or destroys it.
//!
//! | left behind | found | becomes |
//! |---|---|---|
//! | create, id known | ready / not ready yet / failed | on record as ready / unfinished / tainted |
//! | | gone | nothing |
//! | create, no id | exactly one new thing that fits | adopted, then as above |
//! | | nothing, twice where it is recent | nothing: the next plan makes it |
//! | | anything else | a problem: somebody has to look |
//! | update | there | its record, with what was seen and the *old* arguments |
//! | delete | gone (looked for twice where it is recent) / there | nothing / its record |

use super::Run;
use super::adopt::{self, Lost, Verdict};
use super::cancel::Level;
use super::discipline::{Discipline, Rule};
use crate::attrs;
use crate::event::Event;
use crate::observe::{self, Observers, YOUNG_MILLIS, confirm, retry};
use futures_util::stream::{self, StreamExt as _};
use kplan_model::{
    Action, Address, BoxFuture, ErrorKind, Found, InDoubt, Journal, JournalEntry, JournalError,
    JournalEvent, Kind, KindInfo, Known, Object, Observe, ProviderError, Readiness, Recorded,
    Registry, RemoteId, Snapshot, Status, Timestamp, Wanted,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::sleep;

/// How one step that was in doubt was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The resource.
    pub address: Address,
    /// What was being done.
    pub action: Action,
    /// What was found, in words; or why it could not be cleared up.
    pub outcome: Result<String, ProviderError>,
}

/// What came of recovering.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Recovered {
    /// What exists now. Steps that could not be cleared up are still in doubt in it.
    pub snapshot: Snapshot,
    /// One note per step, in address order.
    pub notes: Vec<Note>,
    /// Why the journal could not be written, if it could not: nothing may go on then.
    pub journal: Option<JournalError>,
}

impl Recovered {
    /// Whether everything was cleared up, so that a run may follow.
    pub fn is_clear(&self) -> bool {
        self.journal.is_none() && self.snapshot.in_doubt.is_empty()
    }
}

/// Clears up what is in doubt, and writes it down. Needs the state's lock.
pub async fn recover(
    run: Run<'_>,
    mut snapshot: Snapshot,
    journal: &mut dyn Journal,
    events: &mut (dyn FnMut(Event) + Send),
) -> Recovered {
    for doubt in snapshot.in_doubt.values() {
        events(Event::Recovering {
            address: doubt.address.clone(),
            action: doubt.action,
        });
    }
    let observers = observe::observers(run.registry);
    let observing = observe::Options {
        refresh: true,
        parallelism: run.options.parallelism,
        now: run.clock.now(),
        pace: run.options.pace,
        seed: run.options.seed,
    };
    let findings = tokio::select! {
        biased;
        _ = run.cancel.harder_than(Level::None) => Vec::new(),
        findings = look_at_all(&observers, run.registry, &snapshot, &observing, run.options.discipline) => findings,
    };
    let mut notes = Vec::new();
    let mut entries = Vec::new();
    for (doubt, finding) in findings {
        let outcome = finding.map(|finding| {
            entries.push(JournalEntry {
                run: run.options.run.clone(),
                at: run.clock.now(),
                event: JournalEvent::Resolved {
                    address: doubt.address.clone(),
                    record: finding.record,
                },
            });
            finding.words
        });
        let words = match &outcome {
            Ok(words) => words.clone(),
            Err(error) => error.to_string(),
        };
        events(Event::Recovered {
            address: doubt.address.clone(),
            outcome: words,
        });
        notes.push(Note {
            address: doubt.address,
            action: doubt.action,
            outcome,
        });
    }
    let written = if entries.is_empty() {
        Ok(())
    } else {
        journal.append(&entries)
    };
    if written.is_ok() {
        for entry in &entries {
            snapshot.apply(entry);
        }
    }
    Recovered {
        snapshot,
        notes,
        journal: written.err(),
    }
}

/// What [`recover`] would make of the snapshot, without writing: for plans.
pub(crate) async fn preview(
    observers: &Observers,
    registry: &Registry,
    mut snapshot: Snapshot,
    observing: &observe::Options,
) -> (Snapshot, Vec<Note>) {
    let serial = snapshot.serial;
    let kept = Discipline::default();
    let findings = look_at_all(observers, registry, &snapshot, observing, kept).await;
    let mut notes = Vec::new();
    for (doubt, finding) in findings {
        let outcome = finding.map(|finding| {
            snapshot.apply(&JournalEntry {
                run: kplan_model::RunId("preview".to_owned()),
                at: observing.now,
                event: JournalEvent::Resolved {
                    address: doubt.address.clone(),
                    record: finding.record,
                },
            });
            finding.words
        });
        notes.push(Note {
            address: doubt.address,
            action: doubt.action,
            outcome,
        });
    }
    // A plan pins the state as it is stored, not as it was looked at.
    snapshot.serial = serial;
    (snapshot, notes)
}

/// How often something that has no answer yet is looked at, 10 s apart: what is on its way arrives
/// within seconds, and nobody waits longer than two minutes for what does not.
const BUSY_LOOKS: u32 = 12;

/// What a list showed.
type Listed = BTreeMap<RemoteId, Object>;

/// What came of one look.
type Outcome = Result<Finding, ProviderError>;

struct Finding {
    record: Option<Recorded>,
    words: String,
}

fn finding(record: Option<Recorded>, words: impl Into<String>) -> Finding {
    Finding {
        record,
        words: words.into(),
    }
}

async fn look_at_all(
    observers: &Observers,
    registry: &Registry,
    snapshot: &Snapshot,
    observing: &observe::Options,
    discipline: Discipline,
) -> Vec<(InDoubt, Outcome)> {
    let listed = list(observers, snapshot, observing).await;
    let mut looks: Vec<BoxFuture<'_, (InDoubt, Option<Look<'_>>, Outcome)>> = Vec::new();
    for doubt in snapshot.in_doubt.values() {
        let kind = doubt.address.kind();
        let look = observers
            .get(kind)
            .zip(registry.info(kind))
            .map(|(observer, info)| Look {
                observer: observer.as_ref(),
                info,
                snapshot,
                observing,
                discipline,
                listed: listed.get(kind),
                taken: Vec::new(),
            });
        looks.push(Box::pin(async move {
            let found = match &look {
                Some(look) => look.at(doubt).await,
                None => Err(ProviderError::new(
                    ErrorKind::Bug,
                    format!("no provider knows {}", doubt.address.kind()),
                )),
            };
            (doubt.clone(), look, found)
        }));
    }
    let width = observing.parallelism.max(1);
    let mut all: Vec<_> = stream::iter(looks).buffer_unordered(width).collect().await;
    all.sort_by(|a, b| a.0.address.cmp(&b.0.address));
    one_each(all).await
}

/// Reads what is in doubt and on record, where there is more than one of a kind: a run that was
/// killed while it waited for three hundred droplets costs two pages then, not three hundred
/// reads. What a list does not show, or cannot be listed, is read on its own.
async fn list(
    observers: &Observers,
    snapshot: &Snapshot,
    observing: &observe::Options,
) -> BTreeMap<Kind, Listed> {
    let mut known: BTreeMap<Kind, Vec<Known>> = BTreeMap::new();
    for doubt in snapshot.in_doubt.values() {
        if let Some(record) = subject(snapshot, doubt) {
            let kind = doubt.address.kind().clone();
            known.entry(kind).or_default().push(record.known());
        }
    }
    known.retain(|_, known| known.len() > 1);
    let mut reads: Vec<BoxFuture<'_, Option<(Kind, Listed)>>> = Vec::new();
    for (kind, known) in known {
        let observer = observers.get(&kind);
        reads.push(Box::pin(async move {
            let observer = observer?;
            let listed = retry(observing, 2, || observer.read_all(&known)).await;
            Some((kind, listed.ok()?))
        }));
    }
    let all: Vec<_> = stream::iter(reads)
        .buffer_unordered(observing.parallelism.max(1))
        .collect()
        .await;
    all.into_iter().flatten().collect()
}

/// The record a doubt is about, by its remote id.
fn subject<'a>(snapshot: &'a Snapshot, doubt: &InDoubt) -> Option<&'a Recorded> {
    let id = doubt.id.as_ref()?;
    let deposed = snapshot
        .deposed
        .iter()
        .filter(|old| old.address == doubt.address);
    let current = snapshot.resources.get(&doubt.address);
    current
        .into_iter()
        .chain(deposed)
        .find(|record| record.id == *id)
}

/// Lost creates of one kind were looked for at once, so two of them may have found the same thing.
/// The first keeps it; the other looks again for what is not taken.
async fn one_each(all: Vec<(InDoubt, Option<Look<'_>>, Outcome)>) -> Vec<(InDoubt, Outcome)> {
    let mut taken: BTreeMap<Kind, Vec<RemoteId>> = BTreeMap::new();
    let mut settled = Vec::with_capacity(all.len());
    for (doubt, look, mut found) in all {
        if doubt.action == Action::Create && doubt.id.is_none() {
            let taken = taken.entry(doubt.address.kind().clone()).or_default();
            let made = |found: &Outcome| {
                let record = found.as_ref().ok().and_then(|found| found.record.as_ref());
                record.map(|record| record.id.clone())
            };
            if let (Some(id), Some(look)) = (made(&found), look)
                && taken.contains(&id)
            {
                let look = Look {
                    taken: taken.clone(),
                    ..look
                };
                found = look.at(&doubt).await;
            }
            taken.extend(made(&found));
        }
        settled.push((doubt, found));
    }
    settled
}

/// One look at one doubt.
struct Look<'a> {
    observer: &'a dyn Observe,
    info: &'static KindInfo,
    snapshot: &'a Snapshot,
    observing: &'a observe::Options,
    discipline: Discipline,
    /// What a list of the kind showed of what is in doubt and on record.
    listed: Option<&'a Listed>,
    /// What other lost creates of the kind were found to have made.
    taken: Vec<RemoteId>,
}

impl Look<'_> {
    /// How many other lost creates are exactly like this one.
    fn twins(&self, doubt: &InDoubt) -> usize {
        let others = self.snapshot.in_doubt.values();
        let alike = others.filter(|other| {
            other.address != doubt.address
                && other.address.kind() == doubt.address.kind()
                && other.action == Action::Create
                && other.id.is_none()
                && other.args == doubt.args
                && adopt::are_rivals(self.info, &other.args, &doubt.args)
        });
        alike.count()
    }

    async fn at(&self, doubt: &InDoubt) -> Result<Finding, ProviderError> {
        match (doubt.action, &doubt.id) {
            (Action::Create, None) if !self.discipline.keeps(Rule::Adoption) => {
                Ok(self.nothing_came_of_it(doubt))
            }
            (Action::Create, None) => self.lost_create(doubt).await,
            (Action::Create, Some(_)) => self.answered_create(doubt).await,
            (Action::Update | Action::Delete, _) => self.change(doubt).await,
            // These come to their end with the record alone: as long as it stands there, they are
            // begun again.
            (Action::Forget | Action::Record | Action::Operate, _) => {
                let record = self.current(doubt).cloned();
                Ok(finding(record, "nothing had happened"))
            }
        }
    }

    fn current(&self, doubt: &InDoubt) -> Option<&Recorded> {
        self.snapshot.resources.get(&doubt.address)
    }

    fn subject(&self, doubt: &InDoubt) -> Option<&Recorded> {
        subject(self.snapshot, doubt)
    }

    fn is_young(&self, since: Timestamp) -> bool {
        (0..YOUNG_MILLIS).contains(&self.observing.now.since(since))
    }

    /// Nothing new exists. What was on record at the address before (the old half of a
    /// replacement) still does, and stays.
    fn nothing_came_of_it(&self, doubt: &InDoubt) -> Finding {
        finding(self.current(doubt).cloned(), "nothing had been created")
    }

    async fn lost_create(&self, doubt: &InDoubt) -> Result<Finding, ProviderError> {
        let lost = Lost {
            info: self.info,
            args: &doubt.args,
            seen: &doubt.seen,
            started_at: doubt.started_at,
            taken: &self.taken,
            twins: self.twins(doubt),
        };
        let looks = if self.is_young(doubt.started_at) {
            2
        } else {
            1
        };
        for look in 0..looks {
            if look > 0 {
                sleep(observe::SECOND_LOOK.mul_f64(self.observing.pace)).await;
            }
            let found = self.look_for(doubt).await?;
            match adopt::judge(lost, found, self.snapshot) {
                Verdict::Nothing => {}
                Verdict::Unclear(error) => return Err(error),
                Verdict::Ours(found) => {
                    let record = Recorded {
                        id: found.id,
                        attrs: attrs::merge_new(&found.attrs),
                        created_at: found.created_at.unwrap_or(doubt.started_at),
                        ..Self::made(doubt)
                    };
                    let (record, words) = self.settle(record).await?;
                    return Ok(finding(record, format!("it had been created: {words}")));
                }
            }
        }
        Ok(self.nothing_came_of_it(doubt))
    }

    /// What the doubt's create may have made. What has no answer yet is looked at again.
    async fn look_for(&self, doubt: &InDoubt) -> Result<Vec<Found<Object>>, ProviderError> {
        let find = || {
            let wanted = Wanted {
                owner: &self.snapshot.owner,
                address: &doubt.address,
                args: &doubt.args,
            };
            self.observer.find(wanted)
        };
        let mut looks = 0;
        loop {
            looks += 1;
            match retry(self.observing, 1, find).await {
                Err(error) if error.kind == ErrorKind::Busy && looks < BUSY_LOOKS => {
                    sleep(observe::SECOND_LOOK.mul_f64(self.observing.pace)).await;
                }
                answer => return answer,
            }
        }
    }

    /// The record that the doubt's create would leave, but for what only the answer tells.
    fn made(doubt: &InDoubt) -> Recorded {
        Recorded {
            address: doubt.address.clone(),
            id: doubt
                .id
                .clone()
                .unwrap_or_else(|| kplan_model::RemoteId::new("")),
            args: doubt.args.clone(),
            attrs: Object::new(),
            meta: doubt.meta.clone(),
            depends_on: doubt.depends_on.clone(),
            status: Status::Tainted,
            created_at: doubt.started_at,
            operations: BTreeSet::new(),
            version: 0,
        }
    }

    async fn answered_create(&self, doubt: &InDoubt) -> Result<Finding, ProviderError> {
        let known = self
            .subject(doubt)
            .cloned()
            .unwrap_or_else(|| Self::made(doubt));
        let (record, words) = self.settle(known).await?;
        Ok(finding(record, words))
    }

    /// Whether something created is ready, on its way, failed or gone.
    async fn settle(
        &self,
        mut record: Recorded,
    ) -> Result<(Option<Recorded>, String), ProviderError> {
        let known = record.known();
        let Some(attrs) = self.read(&known, record.created_at).await? else {
            return Ok((None, "it is gone again".to_owned()));
        };
        record.attrs = attrs::merge(self.info, &record.attrs, &attrs);
        let (status, words) = match self.observer.readiness(&record.attrs)? {
            Readiness::Ready => (Status::Ready, "it is ready".to_owned()),
            Readiness::Waiting(_) => (Status::Unfinished, "it is not ready yet".to_owned()),
            Readiness::Failed(why) => {
                let words = format!("it failed and is to be replaced: {why}");
                (Status::Tainted, words)
            }
        };
        record.status = status;
        Ok((Some(record), words))
    }

    /// An update or a delete that may or may not have happened.
    async fn change(&self, doubt: &InDoubt) -> Result<Finding, ProviderError> {
        let Some(record) = self.subject(doubt) else {
            return Ok(finding(
                self.current(doubt).cloned(),
                "it is no longer on record",
            ));
        };
        let outside = |container: &Address| !self.snapshot.resources.contains_key(container);
        if doubt.action == Action::Delete && record.meta.inside.as_ref().is_some_and(outside) {
            return Ok(finding(None, "it went with its container"));
        }
        let known = record.known();
        let mut seen = self.read(&known, record.created_at).await?;
        // A delete that was accepted may take a while to show.
        let recent = doubt.action == Action::Delete && self.is_young(doubt.started_at);
        if recent && seen.is_some() {
            sleep(observe::SECOND_LOOK.mul_f64(self.observing.pace)).await;
            seen = self.read_again(&known, record.created_at).await?;
        }
        let Some(attrs) = seen else {
            // `Resolved` without a record drops exactly the doubt's remote id.
            return Ok(finding(None, "it is gone"));
        };
        let seen = Recorded {
            attrs: attrs::merge(self.info, &record.attrs, &attrs),
            ..record.clone()
        };
        let is_current = self
            .current(doubt)
            .is_some_and(|current| current.id == record.id);
        let words = match doubt.action {
            Action::Delete => "it is still there",
            _ => "it is as far as it came; the plan shows what is left",
        };
        // What stands at the address stays there, and a deposed one deposed; where nothing does,
        // the one that is still there is what the address stands for.
        let keep = match self.current(doubt) {
            Some(current) if !is_current => current.clone(),
            _ => seen,
        };
        Ok(finding(Some(keep), words))
    }

    async fn read(
        &self,
        known: &Known,
        created_at: Timestamp,
    ) -> Result<Option<Object>, ProviderError> {
        match self.listed.and_then(|listed| listed.get(&known.id)) {
            Some(attrs) => Ok(Some(attrs.clone())),
            None => self.read_again(known, created_at).await,
        }
    }

    async fn read_again(
        &self,
        known: &Known,
        created_at: Timestamp,
    ) -> Result<Option<Object>, ProviderError> {
        confirm(
            self.observer,
            known,
            self.is_young(created_at),
            self.observing,
        )
        .await
    }
}
