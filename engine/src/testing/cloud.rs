//! The scripted cloud: objects that take time to become ready and to go, lists that lag, calls
//! that fail on request. It keeps real clouds' rules: what others stand in cannot be deleted,
//! what a create refers to must exist, and names may repeat.

use crate::clock::Clock;
use kplan_model::{
    Address, CreateFailed, ErrorKind, FieldSet, Found, FoundOrNot, Kind, Known, Object, Owner,
    ProviderError, RemoteId, Timestamp, Value,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Reads one.
    Read,
    /// Lists all of a kind.
    List,
    /// Looks for one by owner and address.
    Find,
    /// Makes one.
    Create,
    /// Changes one.
    Update,
    /// Destroys one.
    Delete,
    /// Takes the owner's mark off one.
    Release,
    /// Does an operation on one.
    Operate,
}

/// One call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What.
    pub verb: Verb,
    /// Of which kind.
    pub kind: Kind,
    /// For which resource; `None` for lists.
    pub address: Option<Address>,
}

/// How a call goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It fails with this kind of error and has no effect.
    Refuse(ErrorKind),
    /// It is throttled; try again after this many seconds.
    Throttle(u32),
    /// It takes effect, and the answer is lost.
    LoseAnswer,
    /// A create of several requests is cut off after the first: this field, where the object has
    /// it, still has this value, and the answer is lost.
    CutOff(&'static str, Value),
    /// A create makes the object and then fails.
    HalfMade,
    /// A create makes an object that never becomes ready but reports failure.
    Errored,
    /// The call never ends.
    Hang,
}

#[derive(Clone, Debug)]
struct Thing {
    kind: Kind,
    owner: String,
    address: Address,
    attrs: Object,
    created: Instant,
    created_at: Timestamp,
    ready: Instant,
    gone: Option<Instant>,
    /// When it was switched off last, and when it is back.
    off: Option<(Instant, Instant)>,
    /// Since when it is drained, or when it will be.
    drained: Option<Instant>,
    /// Whether it left the others.
    left: bool,
    errored: bool,
}

type Script = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

struct Inner {
    things: BTreeMap<RemoteId, Thing>,
    by_address: BTreeMap<Address, Vec<RemoteId>>,
    going: usize,
    next: u64,
    calls: Vec<Call>,
    script: Script,
    epoch: Instant,
    latency: Duration,
    boot: BTreeMap<Kind, Duration>,
    reboot: Duration,
    down: usize,
    vanish: Duration,
    lag: Duration,
    running: usize,
    peak: usize,
}

/// The cloud. Clones are the same cloud.
#[derive(Clone)]
pub struct Cloud(Arc<Mutex<Inner>>);

/// Tells the cloud's time.
#[derive(Clone)]
pub struct CloudClock(Cloud);

impl Clock for CloudClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// How long draining takes.
const DRAINING: Duration = Duration::from_secs(12);

/// The cloud's time begins here (2026-01-01T00:00:00Z).
const EPOCH: i64 = 1_767_225_600;

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

impl Cloud {
    /// An empty cloud that answers after 10 ms, in which everything is ready at once.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            things: BTreeMap::new(),
            by_address: BTreeMap::new(),
            going: 0,
            next: 1,
            calls: Vec::new(),
            script: Box::new(|_| None),
            epoch: Instant::now(),
            latency: Duration::from_millis(10),
            boot: BTreeMap::new(),
            reboot: Duration::ZERO,
            down: 0,
            vanish: Duration::ZERO,
            lag: Duration::ZERO,
            running: 0,
            peak: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long objects of a kind take to become ready.
    #[must_use]
    pub fn boots(self, kind: &'static str, seconds: u64) -> Self {
        self.lock()
            .boot
            .insert(Kind::new(kind), Duration::from_secs(seconds));
        self
    }

    /// How long every call takes.
    #[must_use]
    pub fn answers_after(self, latency: Duration) -> Self {
        self.lock().latency = latency;
        self
    }

    /// How long nothing that runs on a machine gives a sign of life after the machine changed its
    /// size. The machine itself is active at once.
    #[must_use]
    pub fn reboots(self, seconds: u64) -> Self {
        self.lock().reboot = Duration::from_secs(seconds);
        self
    }

    /// How many machines were down at once at most.
    pub fn most_down(&self) -> usize {
        self.lock().down
    }

    /// How long deleted objects are still shown.
    #[must_use]
    pub fn vanishes(self, after: Duration) -> Self {
        self.lock().vanish = after;
        self
    }

    /// How long new objects are not shown by lists, looks and reads.
    #[must_use]
    pub fn lags(self, by: Duration) -> Self {
        self.lock().lag = by;
        self
    }

    /// Decides for each call how it goes wrong, if it does.
    pub fn script(&self, script: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.lock().script = Box::new(script);
    }

    /// Every call goes well from now on.
    pub fn heal(&self) {
        self.script(|_| None);
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        let elapsed = self.lock().epoch.elapsed().as_millis();
        Timestamp(EPOCH * 1000 + i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    /// A clock that tells the cloud's time.
    pub fn clock(&self) -> CloudClock {
        CloudClock(self.clone())
    }

    /// The calls made so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many calls of a verb were made so far.
    pub fn count(&self, verb: Verb) -> usize {
        self.lock()
            .calls
            .iter()
            .filter(|call| call.verb == verb)
            .count()
    }

    /// Forgets the calls made so far.
    pub fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// How many calls ran at once at most.
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    /// What exists: address and id of every living object, in address order.
    pub fn living(&self) -> Vec<(Address, RemoteId)> {
        let mut inner = self.lock();
        inner.sweep(Instant::now());
        let alive = inner
            .things
            .iter()
            .filter(|(_, thing)| thing.gone.is_none());
        let mut living: Vec<_> = alive
            .map(|(id, thing)| (thing.address.clone(), id.clone()))
            .collect();
        living.sort();
        living
    }

    /// Something outside removes an object.
    pub fn lose(&self, address: &Address) {
        self.lock()
            .things
            .retain(|_, thing| thing.address != *address);
    }

    /// An object reports failure from now on.
    pub fn spoil(&self, address: &Address) {
        let mut inner = self.lock();
        let things = inner.things.values_mut();
        for thing in things.filter(|thing| thing.address == *address) {
            thing.errored = true;
        }
    }

    /// Something outside changes an attribute.
    pub fn meddle(&self, address: &Address, field: &str, value: Value) {
        for thing in self
            .lock()
            .things
            .values_mut()
            .filter(|thing| thing.address == *address)
        {
            thing.attrs.insert(field.to_owned(), value.clone());
        }
    }

    /// Somebody else makes an object that looks like the one at `address`.
    pub fn plant(&self, owner: &Owner, address: &Address) -> RemoteId {
        let now = self.now();
        self.lock().make(owner, address, &Object::new(), now).0
    }

    async fn call(&self, verb: Verb, kind: &Kind, address: Option<&Address>) -> Option<Fault> {
        let call = Call {
            verb,
            kind: kind.clone(),
            address: address.cloned(),
        };
        let (fault, latency) = {
            let mut inner = self.lock();
            inner.calls.push(call.clone());
            inner.running += 1;
            inner.peak = inner.peak.max(inner.running);
            ((inner.script)(&call), inner.latency)
        };
        let _running = Running(self.clone());
        if fault == Some(Fault::Hang) {
            std::future::pending::<()>().await;
        }
        sleep(latency).await;
        fault
    }

    pub(super) async fn read(&self, known: &Known) -> Result<Option<Object>, ProviderError> {
        let kind = known.address.kind();
        refuse(self.call(Verb::Read, kind, Some(&known.address)).await)?;
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        let lag = inner.lag;
        let thing = inner.things.get(&known.id);
        Ok(thing
            .filter(|thing| thing.shown(now, lag))
            .map(|thing| inner.attributes(thing, now)))
    }

    pub(super) async fn list(
        &self,
        kind: &Kind,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, Object>, ProviderError> {
        refuse(self.call(Verb::List, kind, None).await)?;
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        let lag = inner.lag;
        let listed = known.iter().filter_map(|known| {
            let thing = inner.things.get(&known.id)?;
            thing
                .shown(now, lag)
                .then(|| (known.id.clone(), inner.attributes(thing, now)))
        });
        Ok(listed.collect())
    }

    pub(super) async fn find(
        &self,
        owner: &Owner,
        address: &Address,
    ) -> Result<Vec<Found<Object>>, ProviderError> {
        refuse(self.call(Verb::Find, address.kind(), Some(address)).await)?;
        Ok(self.found(owner, address))
    }

    /// Looks for many with one call.
    pub(super) async fn find_all(
        &self,
        kind: &Kind,
        wanted: &[(&Owner, &Address)],
    ) -> Vec<FoundOrNot<Object>> {
        let refused = refuse(self.call(Verb::Find, kind, None).await);
        let found = |(owner, address): &(&Owner, &Address)| {
            refused.clone()?;
            Ok(self.found(owner, address))
        };
        wanted.iter().map(found).collect()
    }

    fn found(&self, owner: &Owner, address: &Address) -> Vec<Found<Object>> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        let lag = inner.lag;
        let ids = inner.by_address.get(address).into_iter().flatten();
        let ours = ids
            .filter_map(|id| Some((id, inner.things.get(id)?)))
            .filter(|(_, thing)| thing.owner == owner.id() && thing.shown(now, lag));
        ours.map(|(id, thing)| Found {
            id: id.clone(),
            created_at: Some(thing.created_at),
            attrs: thing.attributes(now),
            role: kplan_model::FoundAs::Asked,
        })
        .collect()
    }

    pub(super) async fn create(
        &self,
        owner: &Owner,
        address: &Address,
        args: &Object,
    ) -> Result<Found<Object>, CreateFailed<Object>> {
        let fault = self.call(Verb::Create, address.kind(), Some(address)).await;
        refuse(fault.clone())?;
        let created_at = self.now();
        let mut inner = self.lock();
        inner.check_references(args)?;
        let (id, mut attrs) = inner.make(owner, address, args, created_at);
        if address.kind().as_str() == "db" {
            // Shown by the answer to the create and never again.
            attrs.insert(
                "password".to_owned(),
                Value::Secret(kplan_model::Secret::new("pw")),
            );
        }
        if fault == Some(Fault::Errored)
            && let Some(thing) = inner.things.get_mut(&id)
        {
            thing.errored = true;
            attrs.insert("status".to_owned(), Value::str("new"));
        }
        if let Some(Fault::CutOff(field, still)) = &fault
            && let Some(thing) = inner.things.get_mut(&id)
            && let Some(value) = thing.attrs.get_mut(field)
        {
            value.clone_from(still);
        }
        let found = Found {
            id,
            created_at: Some(created_at),
            attrs,
            role: kplan_model::FoundAs::Asked,
        };
        match fault {
            Some(Fault::LoseAnswer | Fault::CutOff(..)) => {
                Err(error(ErrorKind::OutcomeUnknown).into())
            }
            Some(Fault::HalfMade) => Err(CreateFailed {
                error: error(ErrorKind::Failed),
                partial: Some(found),
            }),
            _ => Ok(found),
        }
    }

    pub(super) async fn update(
        &self,
        known: &Known,
        args: &Object,
        changed: &FieldSet,
    ) -> Result<Object, ProviderError> {
        let kind = known.address.kind();
        let fault = self.call(Verb::Update, kind, Some(&known.address)).await;
        refuse(fault.clone())?;
        let now = Instant::now();
        let mut inner = self.lock();
        inner.check_references(args)?;
        let back = now + inner.reboot;
        let Some(thing) = inner.things.get_mut(&known.id) else {
            return Err(error(ErrorKind::NotFound));
        };
        if changed.contains("size") {
            thing.off = Some((now, back));
        }
        for field in changed.iter() {
            match args.get(field).filter(|_| field != "note") {
                Some(value) => thing.attrs.insert(field.to_owned(), value.clone()),
                None => thing.attrs.remove(field),
            };
        }
        let attrs = thing.attributes(now);
        let off = |thing: &&Thing| thing.off.is_some_and(|(_, back)| now < back);
        inner.down = inner.down.max(inner.things.values().filter(off).count());
        match fault {
            Some(Fault::LoseAnswer) => Err(error(ErrorKind::OutcomeUnknown)),
            _ => Ok(attrs),
        }
    }

    /// Whether it is drained, or not at all; `None` where there is no such thing.
    pub(super) async fn is_operated(
        &self,
        known: &Known,
        undone: bool,
    ) -> Result<Option<bool>, ProviderError> {
        let kind = known.address.kind();
        refuse(self.call(Verb::Read, kind, Some(&known.address)).await)?;
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        let thing = inner.things.get(&known.id);
        Ok(thing.map(|thing| match thing.drained {
            Some(drained) => !undone && drained <= now,
            None => undone,
        }))
    }

    pub(super) async fn operate(&self, known: &Known, undone: bool) -> Result<(), ProviderError> {
        let kind = known.address.kind();
        let fault = self.call(Verb::Operate, kind, Some(&known.address)).await;
        refuse(fault.clone())?;
        let drained = Instant::now() + DRAINING;
        let mut inner = self.lock();
        let Some(thing) = inner.things.get_mut(&known.id) else {
            return Err(error(ErrorKind::NotFound));
        };
        if undone {
            thing.drained = None;
        } else {
            thing.drained.get_or_insert(drained);
        }
        match fault {
            Some(Fault::LoseAnswer) => Err(error(ErrorKind::OutcomeUnknown)),
            _ => Ok(()),
        }
    }

    /// Whether it left the others; what is not there did.
    pub(super) async fn has_left(&self, known: &Known) -> Result<bool, ProviderError> {
        let kind = known.address.kind();
        refuse(self.call(Verb::Read, kind, Some(&known.address)).await)?;
        let mut inner = self.lock();
        inner.sweep(Instant::now());
        Ok(inner.things.get(&known.id).is_none_or(|thing| thing.left))
    }

    pub(super) async fn leave(&self, known: &Known) -> Result<(), ProviderError> {
        let kind = known.address.kind();
        let fault = self.call(Verb::Operate, kind, Some(&known.address)).await;
        refuse(fault.clone())?;
        if let Some(thing) = self.lock().things.get_mut(&known.id) {
            thing.left = true;
        }
        match fault {
            Some(Fault::LoseAnswer) => Err(error(ErrorKind::OutcomeUnknown)),
            _ => Ok(()),
        }
    }

    /// What left the others and stands all the same.
    pub fn left(&self) -> Vec<Address> {
        let inner = self.lock();
        let left = inner.things.values().filter(|thing| thing.left);
        left.map(|thing| thing.address.clone()).collect()
    }

    /// What is drained, or about to be.
    pub fn drained(&self) -> Vec<Address> {
        let inner = self.lock();
        let drained = inner
            .things
            .values()
            .filter(|thing| thing.drained.is_some());
        drained.map(|thing| thing.address.clone()).collect()
    }

    pub(super) async fn release(&self, known: &Known) -> Result<(), ProviderError> {
        let kind = known.address.kind();
        let fault = self.call(Verb::Release, kind, Some(&known.address)).await;
        refuse(fault.clone())?;
        match fault {
            Some(Fault::LoseAnswer) => Err(error(ErrorKind::OutcomeUnknown)),
            _ => Ok(()),
        }
    }

    pub(super) async fn delete(&self, known: &Known) -> Result<(), ProviderError> {
        let kind = known.address.kind();
        let fault = self.call(Verb::Delete, kind, Some(&known.address)).await;
        refuse(fault.clone())?;
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        let members = Value::str(known.id.as_str());
        let inside = |thing: &&Thing| thing.attrs.get("net") == Some(&members);
        if let Some(member) = inner.things.values().find(inside) {
            let message = format!("{} still stands in it", member.address);
            return Err(ProviderError::new(ErrorKind::Busy, message));
        }
        let gone = now + inner.vanish;
        if let Some(thing) = inner.things.get_mut(&known.id) {
            thing.gone.get_or_insert(gone);
            inner.going += 1;
        }
        inner.empty_container(&known.id);
        inner.sweep(now);
        match fault {
            Some(Fault::LoseAnswer) => Err(error(ErrorKind::OutcomeUnknown)),
            _ => Ok(()),
        }
    }
}

impl Inner {
    fn make(
        &mut self,
        owner: &Owner,
        address: &Address,
        args: &Object,
        created_at: Timestamp,
    ) -> (RemoteId, Object) {
        let now = Instant::now();
        let kind = address.kind();
        let id = RemoteId::new(format!("{kind}-{}", self.next));
        let number = self.next;
        self.next += 1;
        let mut attrs = args.clone();
        // What the remote side does not report.
        for unreported in ["note", "boot", "admin"] {
            attrs.remove(unreported);
        }
        attrs.insert("urn".to_owned(), Value::str(format!("urn:{id}")));
        match kind.as_str() {
            "vm" | "lb" => {
                attrs.insert("ip".to_owned(), Value::str(format!("10.0.0.{number}")));
            }
            "box" | "cell" => {
                attrs.insert("endpoint".to_owned(), Value::str(id.as_str()));
            }
            _ => {}
        }
        let thing = Thing {
            kind: kind.clone(),
            owner: owner.id(),
            address: address.clone(),
            attrs,
            created: now,
            created_at,
            ready: now + self.boot.get(kind).copied().unwrap_or_default(),
            gone: None,
            off: None,
            drained: None,
            left: false,
            errored: false,
        };
        let shown = thing.attributes(now);
        self.things.insert(id.clone(), thing);
        self.by_address
            .entry(address.clone())
            .or_default()
            .push(id.clone());
        (id, shown)
    }

    fn sweep(&mut self, now: Instant) {
        if self.going == 0 {
            return;
        }
        let over = |thing: &Thing| thing.gone.is_some_and(|gone| gone <= now);
        let ids: Vec<RemoteId> = self
            .things
            .iter()
            .filter(|(_, thing)| over(thing))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.things.remove(&id);
            self.empty_container(&id);
        }
        self.going = self
            .things
            .values()
            .filter(|thing| thing.gone.is_some())
            .count();
    }

    /// What runs on a machine that is off gives no sign of life since.
    fn attributes(&self, thing: &Thing, now: Instant) -> Object {
        let mut attrs = thing.attributes(now);
        let host = thing.attrs.get("host").and_then(Value::as_str);
        if let Some(host) = host {
            let machine = self.things.get(&RemoteId::new(host));
            let seen = match machine.and_then(|machine| machine.off) {
                Some((off, back)) if now < back => off,
                _ => now,
            };
            let beat = seen.duration_since(self.epoch).as_millis();
            let beat = i64::try_from(beat).unwrap_or(i64::MAX);
            attrs.insert("beat".to_owned(), Value::Int(beat));
        }
        attrs
    }

    /// What a text names that looks like an id must exist.
    fn check_references(&self, args: &Object) -> Result<(), ProviderError> {
        let Some(Value::Str(net)) = args.get("net") else {
            return Ok(());
        };
        let alive = self.things.get(&RemoteId::new(net.clone()));
        if alive.is_some_and(|thing| thing.gone.is_none()) {
            Ok(())
        } else {
            Err(ProviderError::new(
                ErrorKind::Invalid,
                format!("{net} does not exist"),
            ))
        }
    }

    /// What stands in a container goes with it, and what runs on a machine with that.
    fn empty_container(&mut self, id: &RemoteId) {
        let container = Some(Value::str(id.as_str()));
        self.things.retain(|_, thing| {
            let at = match thing.kind.as_str() {
                "app" => "endpoint",
                "agent" => "host",
                _ => return true,
            };
            thing.attrs.get(at) != container.as_ref()
        });
    }
}

impl Thing {
    fn shown(&self, now: Instant, lag: Duration) -> bool {
        now.duration_since(self.created) >= lag
    }

    fn attributes(&self, now: Instant) -> Object {
        let status = match (self.errored, now >= self.ready) {
            (true, _) => "errored",
            (_, true) => "active",
            _ => "new",
        };
        let mut attrs = self.attrs.clone();
        attrs.insert("status".to_owned(), Value::str(status));
        attrs
    }
}

fn error(kind: ErrorKind) -> ProviderError {
    ProviderError::new(kind, format!("scripted: {kind:?}"))
}

fn refuse(fault: Option<Fault>) -> Result<(), ProviderError> {
    match fault {
        Some(Fault::Refuse(kind)) => Err(error(kind)),
        Some(Fault::Throttle(seconds)) => Err(ProviderError {
            retry_after: Some(seconds),
            ..error(ErrorKind::Throttled)
        }),
        _ => Ok(()),
    }
}

/// Counts a call as running until it is answered or dropped.
struct Running(Cloud);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}
