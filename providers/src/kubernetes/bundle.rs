//! A set of objects that belong together: labelled, applied in order, pruned, found again.

use super::by_hand;
use super::connect::Kubernetes;
use super::managed::Managed;
use super::manifest::is_built_in;
use super::object::{self, Object, Type, digest};
use super::parallel;
use super::session::{Ownership, Session};
use super::wait;
use kplan_model::{Address, BoxFuture, ErrorKind, Permit, ProviderError, Readiness};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

mod claims;
#[cfg(test)]
mod tests;

use claims::Claim;
pub use claims::{Basis, ByHand};

/// The label that says whose an object is.
pub const OWNER: &str = "kplan.dev/owner";
/// The label that says which resource of kplan's an object belongs to.
pub const BUNDLE: &str = "kplan.dev/bundle";
/// The annotation with the digest of what was applied.
pub const DIGEST: &str = "kplan.dev/digest";

/// How many requests one bundle has under way.
const PARALLEL: usize = 8;
/// How often a bundle looks for definitions, or for objects that go: about five minutes.
const LOOKS: u32 = 40;
/// The longest pause between two looks; the first is a half second.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How many names a message holds.
const NAMES: usize = 3;

/// Stamped objects of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    owner: String,
    name: String,
    objects: BTreeMap<Object, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: Value,
    digest: String,
}

/// One line of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The object.
    pub object: Object,
    /// The digest of what was applied.
    pub digest: String,
    /// A digest of which fields were kplan's then by the server's book; `None` where that is not
    /// known.
    pub fields: Option<String>,
}

/// What the server's book says of what was applied, by object.
pub type Marks = BTreeMap<Object, String>;

/// What is there of an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `applied`, or what differs.
    pub objects: String,
    /// Whether it works.
    pub state: Readiness,
}

/// An address as a label's value: brackets are not allowed there.
pub fn label_of(address: &Address) -> String {
    address.to_string().replace('[', "-").replace(']', "")
}

/// Reads an inventory; lines it does not understand are an error, because what they name would
/// never be pruned.
pub fn read_inventory(lines: &[String]) -> Result<Vec<Line>, ProviderError> {
    lines
        .iter()
        .map(|line| {
            // Version, kind and name; the digest; the mark.
            let parts: Vec<&str> = line.split(' ').collect();
            let (object, [digest, mark @ ..]) = parts.split_at_checked(3)? else {
                return None;
            };
            let is_read = mark.len() <= 1;
            is_read.then_some(())?;
            Some(Line {
                object: Object::parse(&object.join(" "))?,
                digest: (*digest).to_owned(),
                fields: mark.first().map(|mark| (*mark).to_owned()),
            })
        })
        .collect::<Option<Vec<Line>>>()
        .ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Bug,
                "the recorded inventory of a bundle cannot be read",
            )
        })
}

/// In which stage an object is applied: definitions, namespaces, what others refer to, what runs,
/// objects of the definitions.
fn stage(of: &Type) -> usize {
    match of.kind.as_str() {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob" => 3,
        _ if is_built_in(of) => 2,
        _ => 4,
    }
}
const STAGES: usize = 5;

/// What is never pruned, because more would go with it than what left the set.
fn stays(of: &Type) -> bool {
    matches!(
        of.kind.as_str(),
        "CustomResourceDefinition" | "Namespace" | "PersistentVolumeClaim"
    )
}

impl Bundle {
    /// Stamps the objects of a resource with its labels and digests.
    pub fn new(owner: &str, address: &Address, objects: Vec<Value>) -> Result<Self, ProviderError> {
        let name = label_of(address);
        let mut entries = BTreeMap::new();
        for mut value in objects {
            let object = Object::of(&value)?;
            let digest = digest(&value);
            let broken = || {
                ProviderError::new(
                    ErrorKind::Invalid,
                    format!("{object} has metadata of another shape"),
                )
            };
            let labels = object::metadata(&mut value, "labels").ok_or_else(broken)?;
            labels.insert(OWNER.to_owned(), Value::from(owner));
            labels.insert(BUNDLE.to_owned(), Value::from(name.as_str()));
            let annotations = object::metadata(&mut value, "annotations").ok_or_else(broken)?;
            annotations.insert(DIGEST.to_owned(), Value::from(digest.as_str()));
            if entries
                .insert(object.clone(), Entry { value, digest })
                .is_some()
            {
                return Err(ProviderError::new(
                    ErrorKind::Invalid,
                    format!("{object} stands twice in one manifest"),
                ));
            }
        }
        Ok(Self {
            owner: owner.to_owned(),
            name,
            objects: entries,
        })
    }

    /// What is in it: one line per object.
    pub fn inventory(&self) -> Vec<String> {
        self.marked(&Marks::new())
    }

    /// The same, with what the server's book said when each was applied.
    pub fn marked(&self, marks: &Marks) -> Vec<String> {
        // A job that goes by itself once it is over is not missed.
        let goes = |entry: &Entry| {
            entry.value["kind"] == "Job" && entry.value["spec"]["ttlSecondsAfterFinished"].is_i64()
        };
        self.objects
            .iter()
            .filter(|(_, entry)| !goes(entry))
            .map(|(object, entry)| {
                let line = format!("{object} {}", entry.digest);
                match marks.get(object) {
                    Some(mark) => format!("{line} {mark}"),
                    None => line,
                }
            })
            .collect()
    }

    /// The stamped objects.
    pub fn iter(&self) -> impl Iterator<Item = (&Object, &Value, &str)> {
        self.objects
            .iter()
            .map(|(object, entry)| (object, &entry.value, entry.digest.as_str()))
    }

    /// Whether anything but a secret differs from a recorded inventory.
    pub fn differs_from(&self, before: &[Line]) -> bool {
        let plain = |object: &&Object| !object.is_secret();
        let recorded = before.iter().filter(|line| plain(&&line.object));
        let recorded: BTreeMap<&Object, &str> = recorded
            .map(|line| (&line.object, line.digest.as_str()))
            .collect();
        let own = self.objects.iter().filter(|(object, _)| plain(object));
        let own: BTreeMap<&Object, &str> = own
            .map(|(object, entry)| (object, entry.digest.as_str()))
            .collect();
        own != recorded
    }

    /// What of it belongs to another bundle of the owner's already, and to which.
    pub async fn taken(
        &self,
        session: &Session,
    ) -> Result<Option<(Object, String)>, ProviderError> {
        let types: BTreeSet<&Type> = self.objects.keys().map(|object| &object.of).collect();
        for of in types {
            for value in session
                .list(of, &format!("{OWNER}={}", self.owner))
                .await?
                .iter()
            {
                let object = Object::of(value)?;
                let other = value["metadata"]["labels"][BUNDLE].as_str();
                if let Some(other) = other.filter(|other| *other != self.name)
                    && self.objects.contains_key(&object)
                {
                    return Ok(Some((object, other.to_owned())));
                }
            }
        }
        Ok(None)
    }

    fn selector(&self) -> String {
        format!("{OWNER}={},{BUNDLE}={}", self.owner, self.name)
    }

    /// Applies the objects for which `which` says so, stage by stage. Definitions are waited for
    /// before anything else is applied.
    pub async fn apply(
        &self,
        to: &Target<'_>,
        which: impl Fn(&Object, &str) -> bool,
        ownership: Ownership,
    ) -> Result<Marks, ProviderError> {
        let due = self.objects.iter();
        let due = due.filter(|(object, entry)| which(object, &entry.digest));
        let due = due.map(|(object, entry)| (object, Claim::of(&entry.value, ownership)));
        self.apply_claims(to, &due.collect()).await
    }

    async fn apply_claims(
        &self,
        to: &Target<'_>,
        claims: &BTreeMap<&Object, Claim>,
    ) -> Result<Marks, ProviderError> {
        let mut marks = Marks::new();
        for now in 0..STAGES {
            let mut due: Vec<BoxFuture<'_, Result<_, ProviderError>>> = Vec::new();
            for (object, claim) in claims.iter().filter(|(object, _)| stage(&object.of) == now) {
                due.push(Box::pin(async move {
                    let applied = to.apply(&claim.value, claim.ownership, now == STAGES - 1);
                    let mark = claim.mark(&applied.await?);
                    Ok(mark.map(|mark| ((*object).clone(), mark)))
                }));
            }
            let any = !due.is_empty();
            marks.extend(parallel::all(PARALLEL, due).await?.into_iter().flatten());
            if now == 0 && any {
                self.established(to).await?;
            }
        }
        Ok(marks)
    }

    async fn established(&self, to: &Target<'_>) -> Result<(), ProviderError> {
        let of = Type::new("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        let wanted: BTreeSet<&Object> = self
            .objects
            .keys()
            .filter(|object| object.of == of)
            .collect();
        let mut last = String::new();
        for look in 0..LOOKS {
            let listed = to.session.list(&of, &self.selector()).await?;
            let ours: Vec<&Value> = listed
                .iter()
                .filter(|value| Object::of(value).is_ok_and(|object| wanted.contains(&object)))
                .collect();
            match wait::all(ours.iter().copied()) {
                Readiness::Ready if ours.len() == wanted.len() => return Ok(()),
                Readiness::Ready => "some are not listed yet".clone_into(&mut last),
                Readiness::Waiting(what) => last = what,
                Readiness::Failed(why) => return Err(ProviderError::new(ErrorKind::Failed, why)),
            }
            to.pause(look).await;
        }
        Err(ProviderError::new(
            ErrorKind::Busy,
            format!("definitions are not established: {last}"),
        ))
    }

    /// The same, with the values that are there in the objects that are left to others.
    pub(super) async fn with_others_values(
        mut self,
        session: &Session,
        is_left: impl Fn(&Object) -> bool,
    ) -> Result<Self, ProviderError> {
        for (object, entry) in self
            .objects
            .iter_mut()
            .filter(|(object, _)| is_left(object))
        {
            let Some(live) = session.get(object).await? else {
                continue;
            };
            let ours = entry.value["data"].as_object_mut();
            for (name, value) in ours.into_iter().flatten() {
                if let Some(theirs) = live["data"].get(name) {
                    value.clone_from(theirs);
                }
            }
        }
        Ok(self)
    }

    /// Brings what is there to what the bundle says: applies what is missing or differs, and every
    /// secret, then prunes. Gives the new inventory.
    pub async fn update(
        &self,
        to: &Target<'_>,
        basis: &Basis<'_>,
    ) -> Result<Vec<String>, ProviderError> {
        let managed = basis.managed;
        let live = self.live(to.session).await?;
        let mut marks = self.kept_marks(basis.lines, &live);
        let taken = match basis.by_hand {
            ByHand::Undo => self.taken_by_hand(basis.lines, &live),
            ByHand::Leave => BTreeMap::new(),
        };
        let is_due = |object: &Object, digest: &str| {
            let other = |value: &Value| value["metadata"]["annotations"][DIGEST] != digest;
            let edited = taken.get(object).is_some_and(|edits| !edits.is_empty());
            object.is_secret()
                || !managed.covers(object) && (edited || live.get(object).is_none_or(other))
        };
        let due = self.objects.iter();
        let due = due.filter(|(object, entry)| is_due(object, &entry.digest));
        let due = due.map(|(object, _)| (object, self.claim(object, live.get(object), basis)));
        let due: BTreeMap<&Object, Claim> = due
            .filter_map(|(object, claim)| Some((object, claim?)))
            .collect();
        marks.extend(self.apply_claims(to, &due).await?);
        self.prune(to, basis.lines, managed).await?;
        Ok(self.marked(&marks))
    }

    fn lines(&self) -> Vec<Line> {
        let lines = self.objects.iter().map(|(object, entry)| Line {
            object: object.clone(),
            digest: entry.digest.clone(),
            fields: None,
        });
        lines.collect()
    }

    /// What the book said of those objects that need not be applied. Of one that nobody noted, what
    /// it says now, where it is as it would be applied.
    fn kept_marks(&self, before: &[Line], live: &BTreeMap<Object, Value>) -> Marks {
        let mut marks = self.seen_marks(live);
        for line in before {
            let kept = self.objects.get(&line.object);
            if let (Some(mark), true) = (
                &line.fields,
                kept.is_some_and(|entry| entry.digest == line.digest),
            ) {
                marks.insert(line.object.clone(), mark.clone());
            }
        }
        marks
    }

    /// What the book says of those that are as they would be applied.
    pub(super) fn seen_marks(&self, live: &BTreeMap<Object, Value>) -> Marks {
        let mut marks = Marks::new();
        for (object, entry) in &self.objects {
            if let Some(value) = live.get(object)
                && value["metadata"]["annotations"][DIGEST] == entry.digest.as_str()
                && by_hand::edits(&entry.value, value).is_empty()
                && let Some(mark) = by_hand::mark(value)
            {
                marks.insert(object.clone(), mark);
            }
        }
        marks
    }

    /// Deletes what carries the bundle's labels and is not in it any more. What stays all the same is
    /// nobody's from then on: it may hold what others made. `before` is the recorded inventory: it
    /// says where to look.
    pub async fn prune(
        &self,
        to: &Target<'_>,
        before: &[Line],
        managed: &Managed,
    ) -> Result<(), ProviderError> {
        let types: BTreeSet<&Type> = before
            .iter()
            .map(|line| &line.object.of)
            .chain(self.objects.keys().map(|o| &o.of))
            .collect();
        for of in types {
            for value in to.session.list(of, &self.selector()).await?.iter() {
                let object = Object::of(value)?;
                if self.objects.contains_key(&object) || managed.covers(&object) {
                    continue;
                }
                if stays(of) {
                    to.session.merge(to.permit, &object, &nobodys()).await?;
                } else {
                    to.session.delete(to.permit, &object).await?;
                }
            }
        }
        Ok(())
    }
}

/// What takes kplan's marks off an object.
fn nobodys() -> Value {
    serde_json::json!({ "metadata": {
        "labels": { OWNER: null, BUNDLE: null },
        "annotations": { DIGEST: null },
    } })
}

/// A cluster that may be changed.
pub struct Target<'a> {
    /// Its connections, for pauses.
    pub kubernetes: &'a Kubernetes,
    /// The session.
    pub session: &'a Session,
    /// The right to change it.
    pub permit: &'a Permit,
}

impl Target<'_> {
    async fn pause(&self, look: u32) {
        let pause = Duration::from_millis(500) * 2_u32.saturating_pow(look.min(8));
        self.kubernetes.pause(pause.min(LONGEST_PAUSE)).await;
    }

    /// Applies one object. One of a new definition is tried again for a while: a server serves a
    /// type a moment after it says that it is established, and what judges its objects may have been
    /// applied just before them.
    async fn apply(
        &self,
        value: &Value,
        ownership: Ownership,
        new: bool,
    ) -> Result<Value, ProviderError> {
        let mut look = 0;
        loop {
            let applied = async {
                self.is_placed(value).await?;
                self.session.apply(self.permit, value, ownership).await
            };
            let error = match applied.await {
                Ok(applied) => return Ok(applied),
                Err(error) => error,
            };
            let looks = match error.kind {
                ErrorKind::NotFound => LOOKS / 4,
                _ if is_unjudged(&error) => LOOKS,
                _ => 0,
            };
            if !new || look >= looks {
                return Err(error);
            }
            self.pause(look).await;
            look += 1;
        }
    }

    /// What lives in a namespace and names none would never be found again.
    async fn is_placed(&self, value: &Value) -> Result<(), ProviderError> {
        let object = Object::of(value)?;
        if object.namespace.is_some() || !self.session.resource(&object.of).await?.namespaced {
            return Ok(());
        }
        let message = format!("{object} lives in a namespace and names none");
        Err(ProviderError::new(ErrorKind::Invalid, message)
            .help("write its namespace into the manifest"))
    }
}

/// Whether an object was refused because what has to judge it does not run yet.
fn is_unjudged(error: &ProviderError) -> bool {
    error.message.contains("failed calling webhook")
}

/// Everything labelled as the owner's, of the types of an inventory, by identity.
pub(super) async fn labelled(
    session: &Session,
    owner: &str,
    name: &str,
    inventory: &[Line],
) -> Result<BTreeMap<Object, Value>, ProviderError> {
    let types: BTreeSet<&Type> = inventory.iter().map(|line| &line.object.of).collect();
    // By owner alone, so that all bundles of a cluster share one list per type.
    let labels = format!("{OWNER}={owner}");
    let mut calls: Vec<BoxFuture<'_, Result<_, ProviderError>>> = Vec::new();
    for of in types {
        calls.push(Box::pin(session.list(of, &labels)));
    }
    let lists = parallel::all(PARALLEL, calls).await?;
    let mut found = BTreeMap::new();
    for value in lists.iter().flat_map(|list| list.iter()) {
        if value["metadata"]["labels"][BUNDLE] == name {
            found.insert(Object::of(value)?, value.clone());
        }
    }
    Ok(found)
}

/// Holds what was found against what an inventory names; `None` when nothing of it is left.
/// `by_hand` says of objects what of them was changed by hand.
pub fn look(
    found: &BTreeMap<Object, Value>,
    inventory: &[Line],
    managed: &Managed,
    by_hand: &BTreeMap<Object, String>,
) -> Option<Seen> {
    let (mut missing, mut changed, mut present) = (Vec::new(), Vec::new(), Vec::new());
    let mut edited = Vec::new();
    for line in inventory {
        let object = &line.object;
        match found.get(object) {
            None if managed.covers(object) => {}
            None => missing.push(object.to_string()),
            Some(value) => {
                present.push(value);
                if managed.covers(object) {
                    continue;
                }
                if value["metadata"]["annotations"][DIGEST] != line.digest.as_str() {
                    changed.push(object.to_string());
                } else if let Some(words) = by_hand.get(object) {
                    edited.push(words.clone());
                }
            }
        }
    }
    if present.is_empty() {
        return None;
    }
    // Of those changed by hand several fields are named.
    let groups = [
        ("missing", missing, ", "),
        ("changed", changed, ", "),
        ("changed by hand", edited, "; "),
    ];
    let differences: Vec<String> = groups
        .into_iter()
        .filter(|(_, objects, _)| !objects.is_empty())
        .map(|(word, objects, comma)| {
            let names = objects.iter().take(NAMES).map(String::as_str);
            let names: Vec<&str> = names.collect();
            let mut named = names.join(comma);
            if objects.len() > NAMES {
                named.push_str(comma);
                named.push('…');
            }
            format!("{} {word} ({named})", objects.len())
        })
        .collect();
    let objects = if differences.is_empty() {
        APPLIED.to_owned()
    } else {
        differences.join(", ")
    };
    Some(Seen {
        objects,
        state: wait::all(present),
    })
}

/// The text for an inventory that is there as it was applied.
pub const APPLIED: &str = "applied";

/// Deletes everything of an inventory that carries the bundle's labels, what runs first and
/// definitions last, and waits until it is gone.
pub async fn delete(
    to: &Target<'_>,
    owner: &str,
    name: &str,
    inventory: &[Line],
    managed: &Managed,
) -> Result<(), ProviderError> {
    let mut left = BTreeMap::new();
    for look in 0..LOOKS {
        left = labelled(to.session, owner, name, inventory).await?;
        // What Argo CD manages is not ours to take away: it is nobody's from now on.
        for object in left.keys().filter(|object| managed.covers(object)) {
            to.session.merge(to.permit, object, &nobodys()).await?;
        }
        left.retain(|object, _| !managed.covers(object));
        if left.is_empty() {
            return Ok(());
        }
        // Objects of definitions first, then the rest: a controller that is gone removes no
        // finalizer.
        let last = left
            .keys()
            .map(|object| stage(&object.of))
            .max()
            .unwrap_or(0);
        let mut due: Vec<BoxFuture<'_, Result<(), ProviderError>>> = Vec::new();
        for (object, value) in &left {
            let turn = stage(&object.of) == last || last < STAGES - 1;
            if turn && value["metadata"].get("deletionTimestamp").is_none() {
                due.push(Box::pin(to.session.delete(to.permit, object)));
            }
        }
        parallel::all(PARALLEL, due).await?;
        to.pause(look).await;
    }
    let names: Vec<String> = left.keys().take(NAMES).map(ToString::to_string).collect();
    Err(ProviderError::new(
        ErrorKind::Busy,
        format!(
            "{} objects are still being deleted: {}",
            left.len(),
            names.join(", ")
        ),
    )
    .help("something holds them, such as a finalizer whose controller is gone"))
}
