//! What a destroy finds besides what is on record: what the cluster's own controllers made in the
//! account. It is put on record for the destroy, so that it is shown, approved, journalled and gone on
//! with like everything else.

use crate::cli::Orphans;
use crate::cmd::farewell::{self, Backup, Reached};
use crate::cmd::neighbours::{self, Neighbours};
use crate::cmd::session::Session;
use crate::cmd::traces;
use crate::compose::leavings::{LAST, is_leaving};
use crate::compose::{k3s, network};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::price::Staying;
use kplan_model::{
    Address, Codec as _, Kind, ObjectCodec as _, ProviderError, Recorded, RemoteId, Snapshot, Value,
};
use kplan_providers::digitalocean::{
    LastLookArgs, Leaving, Look, Marks, TracedKept, Traces, TracesArgs, name_for, remainder,
};
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::object::Type;
use kplan_providers::kubernetes::{MadeFor, Role, Session as Cluster, made_for};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the cluster's API may take to say what is whose, in its own time.
pub const ANSWER: Duration = Duration::from_secs(10);
/// The kind of a load balancer that the cluster made.
const BALANCER: &str = "cluster_load_balancer";

/// What is asked of a destroy besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// What becomes of what holds data.
    pub orphans: Option<Orphans>,
    /// Whether a last backup is made; nothing where nobody said.
    pub final_backup: Option<bool>,
    /// Whether the backups go, too.
    pub delete_backups: bool,
}

impl Wishes {
    /// # Errors
    /// `destroy::final_backup` where a backup is to be made in what is to be destroyed.
    pub fn agree(self) -> Result<(), Failure> {
        if !(self.delete_backups && self.final_backup == Some(true)) {
            return Ok(());
        }
        let message =
            "--delete-backups destroys the backups, the one that --final-backup makes, too";
        let problem = Problem::error("destroy::final_backup", message);
        Err(Failure::with(
            Exit::Refused,
            problem.help("leave one of the two out"),
        ))
    }
}

/// What was found, and how it is told.
pub struct Left {
    /// The state, with what was found on record.
    pub snapshot: Snapshot,
    /// Whether that is something the state did not have.
    pub is_new: bool,
    /// What is told of it before anybody agrees.
    pub notes: Vec<String>,
    /// What stays in the account.
    pub kept: Vec<Leaving>,
    /// Ids of what stands in the cluster's VPC and is somebody else's.
    pub others: BTreeSet<String>,
    /// What an earlier destroy looked for and did not see gone.
    pub earlier: Option<TracesArgs>,
    /// What an earlier destroy kept, and is still there.
    pub kept_before: Vec<TracedKept>,
    /// What holds data, where nobody said yet what is to become of it.
    pub unanswered: Vec<String>,
}

impl Left {
    /// What stays, with its price: what this destroy keeps, and what an earlier one kept.
    pub fn staying(&self) -> Vec<Staying> {
        let mut staying = self.priced();
        staying.extend(self.kept_before.iter().map(traces::staying));
        staying
    }

    /// What this destroy keeps of what the cluster made, with its price.
    pub fn priced(&self) -> Vec<Staying> {
        let all = self.kept.iter();
        all.map(|one| Staying::of(told(one), &one.kind, &one.args.to_object()))
            .collect()
    }
}

/// What was seen in the account and in the cluster, before anything is decided.
pub struct Looked {
    look: Look,
    neighbours: Neighbours,
    marks: Marks,
    /// The cluster, where it answers.
    reached: Option<Reached>,
    /// Why it did not.
    silent: Option<ProviderError>,
    /// What an earlier destroy that was not ended went by.
    last: Option<LastLookArgs>,
    orphans: Option<Orphans>,
    /// What an earlier destroy kept, and is still there.
    kept_before: Vec<TracedKept>,
    /// Whether there is a cluster that could have made anything.
    is_cluster: bool,
}

/// Looks for what the cluster made, and puts it on record in a copy of the state.
///
/// # Errors
/// Those of [`look`] and [`Looked::decided`].
pub async fn find(session: &Session, snapshot: Snapshot, wishes: Wishes) -> Result<Left, Failure> {
    let looked = Box::pin(look(session, &snapshot, wishes)).await?;
    looked.decided(snapshot, wishes)
}

/// Looks for what the cluster made. Changes nothing.
///
/// # Errors
/// Where the account cannot be read: nobody would know what is left.
pub async fn look(
    session: &Session,
    snapshot: &Snapshot,
    wishes: Wishes,
) -> Result<Looked, Failure> {
    let last = last_look(snapshot);
    let orphans = wishes.orphans.or_else(|| {
        let kept = last.as_ref().map(|last| last.keeps_data)?;
        Some(if kept { Orphans::Keep } else { Orphans::Delete })
    });
    let (marks, mut silent) = marks(session, snapshot).await;
    let is_cluster = has_cluster(session, snapshot);
    let look = if is_cluster {
        let look = session.adapters.leavings(&marks).await;
        look.map_err(|error| unread(&error))?
    } else {
        Look::default()
    };
    let neighbours = neighbours::of_all(session, snapshot, &look).await;
    let mut reached = None;
    if silent.is_none() {
        let keeps = orphans == Some(Orphans::Keep);
        let goes = look.found.iter().filter(|one| !(keeps && one.holds_data));
        let own = goes.map(|one| one.attrs.id.clone()).collect();
        let earlier = last.as_ref().and_then(|last| last.final_backup.clone());
        match farewell::reach(session, snapshot, &own, earlier.as_deref()).await {
            Ok(found) => reached = found,
            Err(error) => silent = Some(error),
        }
    }
    let found = look.found.iter().map(|one| one.attrs.id.clone()).collect();
    let kept_before = kept_before(session, snapshot, &found).await;
    Ok(Looked {
        look,
        neighbours,
        marks,
        reached,
        silent,
        last,
        orphans,
        kept_before,
        is_cluster,
    })
}

/// What an earlier destroy kept, is on no record any more and was not found as the cluster's: it is told
/// as long as it is there. Where the account cannot be read, all of it may be.
async fn kept_before(
    session: &Session,
    snapshot: &Snapshot,
    found: &BTreeSet<String>,
) -> Vec<TracedKept> {
    let records = snapshot.resources.values().chain(&snapshot.deposed);
    let records: BTreeSet<&str> = records.map(|record| record.id.as_str()).collect();
    let earlier = traces::earlier(snapshot).into_iter();
    let mut kept: Vec<TracedKept> = earlier.flat_map(|it| it.kept).collect();
    kept.retain(|one| !records.contains(one.id.as_str()) && !found.contains(&one.id));
    if kept.is_empty() {
        return kept;
    }
    let marks = Traces {
        tag: snapshot.owner.tag(),
        kept: kept.iter().map(|one| one.id.clone()).collect(),
        ..Traces::default()
    };
    if let Ok(seen) = remainder(&session.adapters.digitalocean, &marks).await
        && seen.unlisted.is_empty()
    {
        kept.retain(|one| seen.kept.contains(&one.id));
    }
    kept
}

/// Whether there is, or was when an earlier destroy began, a cluster of kplan's that could have made
/// anything. What another K3s made on droplets of the file is somebody else's.
pub fn has_cluster(session: &Session, snapshot: &Snapshot) -> bool {
    let on_record = [k3s::cluster(), k3s::pki()];
    session.loaded.spec.runs_k3s()
        || last_look(snapshot).is_some()
        || on_record
            .iter()
            .any(|address| snapshot.resources.contains_key(address))
}

impl Looked {
    /// The cluster, where a last backup of it could be made and nobody said yet whether one is.
    pub fn can_be_backed_up(&self, wishes: Wishes) -> bool {
        let open = wishes.final_backup.is_none() && !wishes.delete_backups;
        let earlier = self.last.as_ref().and_then(|it| it.final_backup.as_ref());
        let reached = self.reached.as_ref();
        open && earlier.is_none() && reached.is_some_and(|it| it.volumes.is_some())
    }

    /// Decides, and puts what was found on record in a copy of the state.
    ///
    /// # Errors
    /// `destroy::final_backup` where one is wanted and cannot be made.
    pub fn decided(self, snapshot: Snapshot, wishes: Wishes) -> Result<Left, Failure> {
        let backup = Backup::of(
            (
                self.last.as_ref(),
                self.reached.as_ref(),
                self.silent.as_ref(),
            ),
            &snapshot,
            wishes,
        )?;
        let keeps = self.orphans == Some(Orphans::Keep);
        let data = self.look.found.iter().filter(|one| one.holds_data);
        let data: Vec<Leaving> = data.cloned().collect();
        let mut notes = notes(
            &self.look,
            self.silent,
            self.orphans.unwrap_or(Orphans::Delete),
        );
        notes.extend(self.neighbours.notes("destroy"));
        notes.extend(backup.note());
        notes.extend(stays_since(&self.kept_before));
        let strangers = self.look.strangers.iter().map(|one| one.id.clone());
        let unanswered = self.orphans.is_none().then(|| data.iter().map(told));
        let mut left = Left {
            notes,
            unanswered: unanswered.into_iter().flatten().collect(),
            kept: if keeps { data } else { Vec::new() },
            others: self.neighbours.ids().chain(strangers).collect(),
            earlier: traces::earlier(&snapshot),
            kept_before: self.kept_before,
            is_new: false,
            snapshot,
        };
        let before = left.snapshot.resources.clone();
        if self.is_cluster {
            record(&mut left, &self.look, &self.marks, (keeps, &backup));
        }
        if let Some(reached) = &self.reached {
            farewell::record(&mut left.snapshot, reached, &backup);
        }
        left.is_new = left.snapshot.resources != before;
        Ok(left)
    }
}

/// Nobody is asked in a run without a prompt, so what is done with data has to be said before.
///
/// # Errors
/// `destroy::orphans`.
pub fn answered(left: &Left) -> Result<(), Failure> {
    if left.unanswered.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the cluster made volumes or snapshots, and nobody said what is to become of what programs \
         stored on them: {}",
        left.unanswered.join(", ")
    );
    let problem = Problem::error("destroy::orphans", message).help(
        "nothing was destroyed. Add --orphans delete, after which nothing brings it back, or --orphans \
         keep, which leaves them in the account, where they are billed",
    );
    Err(Failure::with(Exit::Refused, problem))
}

/// What an earlier destroy that was not ended went by.
fn last_look(snapshot: &Snapshot) -> Option<LastLookArgs> {
    let mut records = snapshot.resources.values();
    let last = records.find(|record| record.address.kind().as_str() == LAST)?;
    LastLookArgs::from_object(&last.args).ok()
}

/// How this cluster's are told from others, and why its API did not help.
pub async fn marks(session: &Session, snapshot: &Snapshot) -> (Marks, Option<ProviderError>) {
    match told_by_the_cluster(session, snapshot).await {
        Ok(Some((made, services))) => {
            let mut marks = marks_of(snapshot, made);
            marks.answered = true;
            marks.services.extend(services);
            (marks, None)
        }
        Ok(None) => (marks_of(snapshot, MadeFor::default()), None),
        Err(error) => (marks_of(snapshot, MadeFor::default()), Some(error)),
    }
}

/// Of what is on record, what the cluster's API says, and what an earlier destroy knew that was not ended.
fn marks_of(snapshot: &Snapshot, made: MadeFor) -> Marks {
    let id = |record: &Recorded| record.id.as_str().to_owned();
    let of_kind = |kind: &'static str| {
        let all = snapshot.resources.values().chain(&snapshot.deposed);
        all.filter(move |record| record.address.kind().as_str() == kind)
    };
    let own = of_kind("volume").chain(of_kind("load_balancer"));
    let MadeFor {
        mut told,
        mut foreign,
    } = made;
    let mut droplets: BTreeSet<String> = of_kind("droplet").map(id).collect();
    let (mut shown, mut services) = (BTreeSet::new(), BTreeSet::new());
    if let Some(last) = last_look(snapshot) {
        foreign.extend(last.foreign);
        shown.extend(last.shown.into_iter().flatten());
        services.extend(last.services.into_iter().flatten());
        // They are gone, and a list that lags behind still shows what was attached to them.
        droplets.extend(last.droplets.into_iter().flatten());
    }
    let is_balancer = |kind: &Kind| kind.as_str() == BALANCER;
    shown.extend(of_kind(BALANCER).map(id));
    let earlier = traces::earlier(snapshot).into_iter();
    let earlier = earlier.flat_map(|it| it.records);
    let earlier = earlier.filter(|one| {
        let address = one.address.parse::<Address>();
        address.is_ok_and(|it| is_balancer(it.kind()))
    });
    shown.extend(earlier.map(|one| one.id));
    // What an earlier destroy was told counts, now that the cluster may be gone.
    for record in snapshot.resources.values() {
        if let Some(Value::Str(made_for)) = record.args.get("made_for")
            && is_leaving(&record.address)
        {
            told.entry(id(record))
                .or_insert_with(|| made_for.to_string());
        }
    }
    Marks {
        tag: snapshot.owner.tag(),
        vpc: snapshot.resources.get(&network::vpc()).map(id),
        droplets,
        ours: own.map(id).collect(),
        told,
        foreign,
        answered: false,
        shown,
        services,
    }
}

/// The names that the load balancers of the cluster's Services have; a Service says only later which one
/// it got.
async fn named_for(cluster: &Cluster) -> Result<BTreeSet<String>, ProviderError> {
    let services = cluster.list(&Type::new("v1", "Service"), "").await?;
    let services = services.iter();
    let balanced = services.filter(|service| service["spec"]["type"] == "LoadBalancer");
    let uids = balanced.filter_map(|service| service["metadata"]["uid"].as_str());
    Ok(uids.map(name_for).collect())
}

/// What the cluster's API says of what it made, and the names of its Services' load balancers; nothing
/// where there is no cluster.
async fn told_by_the_cluster(
    session: &Session,
    snapshot: &Snapshot,
) -> Result<Option<(MadeFor, BTreeSet<String>)>, ProviderError> {
    let record = snapshot.resources.get(&k3s::cluster());
    let access = record.and_then(|record| record.attrs.get("access"));
    let Some(access) = access.and_then(|access| Access::decode(access).ok()) else {
        return Ok(None);
    };
    let cluster = session.adapters.clusters.session(&access, Role::Admin)?;
    let asking = async {
        let made = made_for(&cluster).await?;
        Ok(Some((made, named_for(&cluster).await?)))
    };
    let asked = tokio::time::timeout(ANSWER, asking).await;
    asked.unwrap_or_else(|_| {
        let message = format!("it did not answer within {} s", ANSWER.as_secs());
        Err(ProviderError::new(
            kplan_model::ErrorKind::Transient,
            message,
        ))
    })
}

fn unread(error: &ProviderError) -> Failure {
    let message = format!(
        "nobody knows what the cluster made (volumes, snapshots, load balancers), because the account \
         cannot be read: {error}; nothing was destroyed"
    );
    let problem = Problem::error("destroy::leavings_unread", message);
    problem
        .help(
            "run destroy again when it can be read; the token needs the right to read block storage, \
             snapshots and load balancers",
        )
        .into()
}

/// Its name, id and size, and what it was made for.
pub fn told(one: &Leaving) -> String {
    let size = match (&one.attrs.stored, one.attrs.size) {
        (Some(stored), _) => Some(format!(", {stored} GB stored")),
        (None, size) => size.map(|size| format!(", {size} GiB")),
    };
    let whose = one.args.made_for.as_ref().map(|it| format!(", {it}"));
    format!(
        "{} ({}{}{})",
        one.attrs.name,
        one.attrs.id,
        size.unwrap_or_default(),
        whose.unwrap_or_default()
    )
}

fn notes(look: &Look, silent: Option<ProviderError>, orphans: Orphans) -> Vec<String> {
    let mut notes = Vec::new();
    let data: Vec<String> = look
        .found
        .iter()
        .filter(|one| one.holds_data)
        .map(told)
        .collect();
    if !data.is_empty() {
        let fate = match orphans {
            Orphans::Delete => {
                "are destroyed with what programs stored on them, for good; --orphans keep leaves \
                 them in the account"
            }
            Orphans::Keep => {
                "stay in the account and keep billing; the owner's tag goes, so note their ids"
            }
        };
        notes.push(format!(
            "volumes and snapshots that the cluster made {fate}: {}",
            data.join(", ")
        ));
    }
    if let Some(error) = silent {
        notes.push(format!(
            "the cluster's API did not say what it made, so it was looked for by tag and VPC: {error}"
        ));
    }
    if !look.strangers.is_empty() {
        notes.push(format!(
            "these load balancers stand in the cluster's VPC, and nothing proves that the cluster made \
             them; they stay, and while they do, the VPC cannot go: {}",
            look.strangers()
        ));
    }
    notes
}

/// What an earlier destroy kept stays out of reach: nothing on record leads there, and the tag went.
fn stays_since(kept: &[TracedKept]) -> Option<String> {
    let told: Vec<&str> = kept.iter().map(|one| one.told.as_str()).collect();
    (!told.is_empty()).then(|| {
        format!(
            "an earlier run of destroy kept these, and they stay in the account and keep billing: {}. \
             --orphans delete does not reach them any more; whoever needs them no longer deletes them by \
             their ids",
            told.join(", ")
        )
    })
}

/// Puts what was found on record, in its place in the order: after every droplet, so that no
/// controller makes it again and no droplet holds it; then the last look; then the VPC and the tag by
/// which it is found.
fn record(left: &mut Left, look: &Look, marks: &Marks, (keeps, backup): (bool, &Backup)) {
    let before = left.snapshot.resources.clone();
    // What an earlier destroy put on record and is not found today is gone, or somebody took the marks
    // off it to save it.
    left.snapshot
        .resources
        .retain(|address, _| !is_leaving(address));
    let last = Address::new(Kind::new(LAST), "main");
    let mut behind: Vec<Address> = [network::vpc(), network::owner_tag()]
        .into_iter()
        .filter(|it| before.contains_key(it))
        .collect();
    if behind.is_empty() {
        return;
    }
    // The cluster's controllers take a while to take their records out of a domain.
    let domains = before.keys().filter(|it| it.kind().as_str() == "domain");
    behind.extend(domains.cloned());
    let balancers = look
        .found
        .iter()
        .filter(|one| one.kind.as_str() == BALANCER);
    let mut shown = marks.shown.clone();
    shown.extend(balancers.map(|one| one.attrs.id.clone()));
    let args = LastLookArgs {
        tag: marks.tag.clone(),
        vpc_id: marks.vpc.clone(),
        droplets: Some(marks.droplets.iter().cloned().collect()),
        keeps_data: keeps,
        ours: marks.ours.iter().cloned().collect(),
        foreign: marks.foreign.iter().cloned().collect(),
        shown: Some(shown.into_iter().collect()),
        services: Some(marks.services.iter().cloned().collect()),
        final_backup: backup.name().map(str::to_owned),
    };
    let object = args.to_object();
    let mut records = vec![recorded(
        last.clone(),
        LAST,
        (object.clone(), object),
        behind,
    )];
    for one in look.found.iter().filter(|one| !(keeps && one.holds_data)) {
        let name = if named(&one.attrs.name) {
            &one.attrs.name
        } else {
            &one.attrs.id
        };
        let address = Address::new(one.kind.clone(), name.as_str());
        let objects = (one.args.to_object(), one.attrs.to_object());
        let mut record = recorded(address, &one.attrs.id, objects, vec![last.clone()]);
        record.created_at = one.created_at.unwrap_or(record.created_at);
        records.push(record);
    }
    let resources = &mut left.snapshot.resources;
    resources.extend(records.into_iter().map(|it| (it.address.clone(), it)));
    let first: Vec<Address> = resources
        .keys()
        .filter(|it| is_leaving(it))
        .cloned()
        .collect();
    let records = resources.values_mut().chain(&mut left.snapshot.deposed);
    for record in records.filter(|it| it.address.kind().as_str() == "droplet") {
        record.depends_on.retain(|it| !is_leaving(it));
        record.depends_on.extend(first.iter().cloned());
    }
}

/// Something that stands on record for a destroy alone.
pub fn recorded(
    address: Address,
    id: &str,
    (args, attrs): (kplan_model::Object, kplan_model::Object),
    depends_on: Vec<Address>,
) -> Recorded {
    Recorded {
        args,
        attrs,
        depends_on,
        version: 1,
        ..Recorded::bare(address, RemoteId::new(id))
    }
}

/// Whether a name can be an address's.
fn named(name: &str) -> bool {
    format!("cluster.{name}").parse::<Address>().is_ok() && !name.contains('[')
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Owner;

    #[test]
    fn droplets_that_are_gone_are_still_the_clusters() {
        let owner = Owner {
            cluster: "demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        };
        let mut snapshot = Snapshot::empty("lineage".to_owned(), owner);
        let last = LastLookArgs {
            tag: snapshot.owner.tag(),
            vpc_id: Some("net".to_owned()),
            droplets: Some(vec!["7".to_owned()]),
            keeps_data: false,
            ours: Vec::new(),
            foreign: vec!["theirs".to_owned()],
            shown: Some(vec!["balancer".to_owned()]),
            services: None,
            final_backup: None,
        };
        let address = Address::new(Kind::new(LAST), "main");
        let objects = (last.to_object(), kplan_model::Object::new());
        let record = recorded(address.clone(), LAST, objects, Vec::new());
        snapshot.resources.insert(address.clone(), record);
        let found = marks_of(&snapshot, MadeFor::default());
        assert_eq!(found.droplets, BTreeSet::from(["7".to_owned()]));
        assert_eq!(found.foreign, BTreeSet::from(["theirs".to_owned()]));
        assert_eq!(found.shown, BTreeSet::from(["balancer".to_owned()]));
        // What an earlier kplan put on record says nothing of droplets.
        let record = snapshot.resources.get_mut(&address);
        record.expect("the last look").args.remove("droplets");
        assert!(marks_of(&snapshot, MadeFor::default()).droplets.is_empty());
    }
}
