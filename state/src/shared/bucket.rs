//! A store of objects in memory, for tests: several connections to one bucket, each of which can go
//! wrong at a chosen call, once or for good, and a clock that moves when it is told to.

use super::clock::{Clock, Moment};
use kplan_model::{ErrorKind, Listed, Listing, ObjectStore, ProviderError, Put, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done, and the next call works again.
    NotSent,
    /// It is done, the answer is lost, and the next call works again.
    Lost,
    /// Nothing is done from here on, and nothing is answered: an outage.
    Outage,
    /// It is done, and nothing is answered from here on.
    LostThenOutage,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [
        Self::NotSent,
        Self::Lost,
        Self::Outage,
        Self::LostThenOutage,
    ];
}

#[derive(Default)]
struct World {
    objects: BTreeMap<String, (Vec<u8>, i64)>,
    now: i64,
    /// A store that ignores `If-None-Match`.
    overwrites: bool,
}

/// The bucket.
#[derive(Clone, Default)]
pub(crate) struct Bucket(Arc<Mutex<World>>);

/// One process's connection.
#[derive(Clone, Default)]
pub(crate) struct Connection {
    bucket: Bucket,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    calls: usize,
    at: Option<(usize, Fault)>,
    out: bool,
}

impl Bucket {
    pub(crate) fn ignoring_conditions() -> Self {
        let bucket = Self::default();
        bucket.world().overwrites = true;
        bucket
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// A connection without faults.
    pub(crate) fn connect(&self) -> Arc<Connection> {
        Arc::new(Connection {
            bucket: self.clone(),
            plan: Arc::default(),
        })
    }

    /// A connection on which the call of that number, counted from 0, goes wrong.
    pub(crate) fn faulty(&self, call: usize, fault: Fault) -> Arc<Connection> {
        let connection = self.connect();
        connection.plan.lock().unwrap().at = Some((call, fault));
        connection
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.world().now += i64::try_from(by.as_millis()).unwrap();
    }

    /// A clock that agrees with the store's.
    pub(crate) fn clock(&self) -> Clock {
        let bucket = self.clone();
        Arc::new(move || {
            let now = bucket.world().now;
            Moment {
                monotonic: Duration::from_millis(now.unsigned_abs()),
                wall: now,
            }
        })
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.world().objects.keys().cloned().collect()
    }

    pub(crate) fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let world = self.world();
        let objects = world.objects.iter();
        objects
            .map(|(key, (bytes, _))| (key.clone(), bytes.clone()))
            .collect()
    }

    pub(crate) fn remove(&self, key: &str) {
        assert!(self.world().objects.remove(key).is_some(), "no {key}");
    }

    /// Changes an object as no writer of ours would.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let mut world = self.world();
        let now = world.now;
        world.objects.insert(key.to_owned(), (bytes.to_vec(), now));
    }
}

impl Connection {
    pub(crate) fn calls(&self) -> usize {
        self.plan.lock().unwrap().calls
    }

    /// Nothing is answered any more.
    pub(crate) fn cut(&self) {
        self.plan.lock().unwrap().out = true;
    }

    fn call<T>(
        &self,
        changes: bool,
        act: impl FnOnce(&mut World) -> T,
    ) -> Result<T, ProviderError> {
        let mut plan = self.plan.lock().unwrap();
        let transient = || ProviderError::new(ErrorKind::Transient, "nothing was sent");
        if plan.out {
            return Err(transient());
        }
        let number = plan.calls;
        plan.calls += 1;
        let fault = plan
            .at
            .filter(|(at, _)| *at == number)
            .map(|(_, fault)| fault);
        plan.out = matches!(fault, Some(Fault::Outage | Fault::LostThenOutage));
        if matches!(fault, Some(Fault::NotSent | Fault::Outage)) {
            return Err(transient());
        }
        let mut world = self.bucket.world();
        world.now += 1;
        let done = act(&mut world);
        match fault {
            Some(Fault::Lost | Fault::LostThenOutage) if changes => Err(ProviderError::new(
                ErrorKind::OutcomeUnknown,
                "the answer was lost",
            )),
            Some(_) => Err(transient()),
            None => Ok(done),
        }
    }
}

impl ObjectStore for Connection {
    fn name(&self) -> String {
        "s3://bucket/demo".to_owned()
    }

    fn put_new(&self, key: &str, bytes: &[u8]) -> Result<Put, ProviderError> {
        self.call(true, |world| {
            if world.objects.contains_key(key) && !world.overwrites {
                return Put::Exists;
            }
            let now = world.now;
            world.objects.insert(key.to_owned(), (bytes.to_vec(), now));
            Put::Created
        })
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ProviderError> {
        self.call(false, |world| {
            world.objects.get(key).map(|(bytes, _)| bytes.clone())
        })
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, ProviderError> {
        self.call(false, |world| {
            let objects = world
                .objects
                .iter()
                .filter(|(key, _)| key.starts_with(prefix))
                .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
                .map(|(key, (_, modified))| Listed {
                    key: key.clone(),
                    modified: Timestamp(*modified),
                });
            Listing {
                objects: objects.collect(),
                now: Timestamp(world.now),
            }
        })
    }

    fn delete(&self, keys: &[String]) -> Result<(), ProviderError> {
        self.call(true, |world| {
            for key in keys {
                world.objects.remove(key);
            }
        })
    }
}
