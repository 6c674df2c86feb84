//! Observe: reads everything on record from the remote side, by list calls, without changing
//! anything. *Unreadable* is never *absent*: absent is missing from the list and 404 on its own,
//! twice where the resource is young.

use crate::backoff::Jitter;
use crate::diff::stands_in_deposed;
use futures_util::stream::{self, StreamExt as _};
use kplan_model::{
    Address, BoxFuture, Declarations, ErrorKind, Kind, KindInfo, Known, Object, Observation,
    Observe, ProviderError, Recorded, Ref, Registry, RemoteId, Snapshot, Status, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// The reading halves of all kinds: all that observing may use.
pub type Observers = BTreeMap<Kind, Arc<dyn Observe>>;

/// The reading halves of a registry.
pub fn observers(registry: &Registry) -> Observers {
    registry
        .iter()
        .map(|entry| (entry.info.kind.clone(), Arc::clone(&entry.observe)))
        .collect()
}

/// How to observe.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to read at all (`--refresh=false` does not).
    pub refresh: bool,
    /// How many single reads of one kind may run at once.
    pub parallelism: usize,
    /// Now, for telling young resources.
    pub now: Timestamp,
    /// Multiplies every pause; the sandbox's clock runs faster than ours.
    pub pace: f64,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Options {
    /// Reads everything, ten at a time, at the real clock's pace.
    pub fn new(now: Timestamp) -> Self {
        Self {
            refresh: true,
            parallelism: 10,
            now,
            pace: 1.0,
            seed: 0,
        }
    }
}

/// A 404 within this time of a create may be replication lag (DigitalOcean shows it for up to
/// about two minutes).
pub(crate) const YOUNG_MILLIS: i64 = 120_000;
/// How far apart the two looks at a young resource are at least.
pub(crate) const SECOND_LOOK: Duration = Duration::from_secs(10);
/// How often a read is tried.
const ATTEMPTS: u32 = 5;
/// First and longest pause between them.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// How resources are reached now, where the file says it by reference: values of the fields that
/// [`kplan_model::Field::reaches`] marks. A key that was made again, or a load balancer's new
/// address, is on record before what is reached by it was told; without this nothing behind it
/// could be read, and so nothing repaired.
pub type Ways = BTreeMap<Address, Object>;

/// The ways of what is declared, as far as the records of what they refer to give them.
pub fn ways(
    declarations: &Declarations,
    snapshot: &Snapshot,
    kinds: &BTreeMap<Kind, &'static KindInfo>,
) -> Ways {
    let fill = |reference: &Ref| {
        let record = snapshot.resources.get(&reference.address)?;
        record.attribute(&reference.attribute)
    };
    let mut ways = Ways::new();
    for declaration in &declarations.resources {
        let fields = kinds
            .get(declaration.address.kind())
            .map(|info| info.fields);
        let reaching = fields.into_iter().flatten().filter(|field| field.reaches);
        let way: Object = reaching
            .filter_map(|field| {
                let value = declaration.args.get(field.name)?.fill(&fill);
                (value.is_known() && !value.is_null()).then(|| (field.name.to_owned(), value))
            })
            .collect();
        if !way.is_empty() {
            ways.insert(declaration.address.clone(), way);
        }
    }
    ways
}

/// What was seen of each resource on record.
pub type Observations = BTreeMap<Address, Observation>;

/// Reads everything on record. Kinds are read concurrently; what lives inside a container is
/// read after the container, or not at all when that is absent. Deposed resources are not read:
/// whatever is seen of them, they are to be destroyed.
pub async fn observe(
    snapshot: &Snapshot,
    ways: &Ways,
    observers: &Observers,
    options: &Options,
) -> Observations {
    let mut seen = Observations::new();
    if !options.refresh {
        let all = snapshot.resources.keys();
        return all
            .map(|address| (address.clone(), Observation::NotRead))
            .collect();
    }
    for layer in layers(snapshot) {
        let mut batches: BTreeMap<&Kind, Vec<&Recorded>> = BTreeMap::new();
        for record in layer {
            match fate(record, snapshot, &seen) {
                Some(observation) => {
                    seen.insert(record.address.clone(), observation);
                }
                None => batches
                    .entry(record.address.kind())
                    .or_default()
                    .push(record),
            }
        }
        // Boxed one by one: a stream of async closures would not be `Send`.
        let mut reads: Vec<BoxFuture<'_, Vec<(Address, Observation)>>> = Vec::new();
        for (kind, records) in batches {
            let observer = observers.get(kind);
            reads.push(Box::pin(read_kind(observer, records, ways, options)));
        }
        let results: Vec<_> = stream::iter(reads).buffer_unordered(64).collect().await;
        // Made as a whole its nodes are full; one by one half of them would stay empty.
        seen.append(&mut results.into_iter().flatten().collect());
    }
    seen
}

/// Records by how many containers they stand in. A circle of containers (a damaged state) ends
/// up in the first layer.
fn layers(snapshot: &Snapshot) -> Vec<Vec<&Recorded>> {
    const DEEPEST: usize = 16;
    let mut layers: Vec<Vec<&Recorded>> = Vec::new();
    for record in snapshot.resources.values() {
        let mut depth = 0;
        let mut container = record.meta.inside.as_ref();
        while let Some(outer) = container.and_then(|address| snapshot.resources.get(address)) {
            depth += 1;
            if depth > DEEPEST {
                depth = 0;
                break;
            }
            container = outer.meta.inside.as_ref();
        }
        if layers.len() <= depth {
            layers.resize_with(depth + 1, Vec::new);
        }
        layers[depth].push(record);
    }
    layers
}

/// What is known of a record without reading it, from its container. What stands in the container's
/// old half is not gone with the new one: it goes with the old half, which is not read either.
fn fate(record: &Recorded, snapshot: &Snapshot, seen: &Observations) -> Option<Observation> {
    let inside = record.meta.inside.as_ref()?;
    let without_it = || {
        if stands_in_deposed(snapshot, record) {
            Observation::NotRead
        } else {
            Observation::Gone
        }
    };
    let Some(container) = snapshot.resources.get(inside) else {
        return Some(without_it());
    };
    match seen.get(inside) {
        Some(Observation::Absent | Observation::Gone) => Some(without_it()),
        // It will be replaced and takes its contents along; there may be nothing to ask.
        _ if container.status == Status::Tainted => Some(Observation::NotRead),
        // It is not ready, so it may not answer; what is older stands, or stood, in the one that
        // it replaces.
        _ if container.status == Status::Unfinished && record.created_at < container.created_at => {
            Some(without_it())
        }
        Some(Observation::NotRead) => Some(Observation::NotRead),
        _ => None,
    }
}

async fn read_kind(
    observer: Option<&Arc<dyn Observe>>,
    records: Vec<&Recorded>,
    ways: &Ways,
    options: &Options,
) -> Vec<(Address, Observation)> {
    let Some(observer) = observer else {
        let error = ProviderError::new(ErrorKind::Bug, "no provider knows this kind");
        return all_unreadable(&records, &error);
    };
    let reached = |record: &&Recorded| {
        let mut known = record.known();
        let way = ways.get(&record.address).cloned();
        known.args.extend(way.unwrap_or_default());
        known
    };
    let known: Vec<Known> = records.iter().map(reached).collect();
    let listed = match retry(options, 0, || observer.read_all(&known)).await {
        Ok(listed) => listed,
        Err(error) => return all_unreadable(&records, &error),
    };
    let mut seen = Vec::with_capacity(records.len());
    let mut missing = Vec::new();
    for (record, known) in records.into_iter().zip(&known) {
        match listed.get(&known.id) {
            Some(attrs) => {
                // Mostly nothing changed: then nothing is held twice.
                let same = *attrs == record.attrs;
                let attrs = if same { &record.attrs } else { attrs };
                seen.push((record.address.clone(), Observation::Present(attrs.clone())));
            }
            None => missing.push((record, known)),
        }
    }
    let mut confirmations: Vec<BoxFuture<'_, (Address, Observation)>> = Vec::new();
    for (record, known) in missing {
        confirmations.push(Box::pin(confirm_recorded(
            observer.as_ref(),
            record,
            known,
            options,
        )));
    }
    let width = options.parallelism.max(1);
    let confirmed: Vec<_> = stream::iter(confirmations)
        .buffer_unordered(width)
        .collect()
        .await;
    seen.extend(confirmed);
    seen
}

async fn confirm_recorded(
    observer: &dyn Observe,
    record: &Recorded,
    known: &Known,
    options: &Options,
) -> (Address, Observation) {
    let age = options.now.since(record.created_at);
    let young = (0..YOUNG_MILLIS).contains(&age);
    let observation = match confirm(observer, known, young, options).await {
        Ok(Some(attrs)) => Observation::Present(attrs),
        Ok(None) => Observation::Absent,
        Err(error) => Observation::Unreadable(Box::new(error)),
    };
    (record.address.clone(), observation)
}

fn all_unreadable(records: &[&Recorded], error: &ProviderError) -> Vec<(Address, Observation)> {
    let unreadable = || Observation::Unreadable(Box::new(error.clone()));
    records
        .iter()
        .map(|record| (record.address.clone(), unreadable()))
        .collect()
}

/// Reads one resource that no list shows. A young one that is missing is looked at again, at
/// least [`SECOND_LOOK`] later.
pub(crate) async fn confirm(
    observer: &dyn Observe,
    known: &Known,
    young: bool,
    options: &Options,
) -> Result<Option<Object>, ProviderError> {
    let first = Instant::now();
    let salt = salt(&known.id);
    let found = retry(options, salt, || read_one(observer, known)).await?;
    if found.is_some() || !young {
        return Ok(found);
    }
    sleep_until(first + SECOND_LOOK.mul_f64(options.pace)).await;
    retry(options, salt, || read_one(observer, known)).await
}

/// `NotFound` as an error means the same as `None`.
pub(crate) async fn read_one(
    observer: &dyn Observe,
    known: &Known,
) -> Result<Option<Object>, ProviderError> {
    match observer.read(known).await {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

fn salt(id: &RemoteId) -> u64 {
    id.as_str().bytes().fold(17, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    })
}

/// Runs a read up to [`ATTEMPTS`] times where trying again may help.
pub(crate) async fn retry<T, F>(
    options: &Options,
    salt: u64,
    mut call: impl FnMut() -> F,
) -> Result<T, ProviderError>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let mut jitter = Jitter::new(options.seed ^ salt);
    let mut attempt = 0;
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        attempt += 1;
        let again = matches!(
            error.kind,
            ErrorKind::Transient
                | ErrorKind::Throttled
                | ErrorKind::Busy
                | ErrorKind::OutcomeUnknown
        );
        if !again || attempt >= ATTEMPTS {
            return Err(error);
        }
        let paced = |pause: Duration| pause.mul_f64(options.pace);
        let bounds = (paced(PAUSES.0), paced(PAUSES.1));
        let pause = jitter.pause(attempt - 1, bounds, error.retry_after);
        sleep(pause).await;
    }
}
