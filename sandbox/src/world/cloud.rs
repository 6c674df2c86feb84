//! The account behind its mutex: takes requests, keeps them durable, tells others what happened.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::sync::Notify;

use super::tokens::{self, Access};
use super::{Bent, Event, World};
use crate::clock::Clock;
use crate::digitalocean::{actions, databases, domains, droplets, inspect, routes, spaces_keys};
use crate::facts::{CloudFacts, DatabaseFacts, SpacesKeyFacts};
use crate::fault::{self, Fault, FaultRule, Faults};
use crate::http::{ApiError, Limiters, Request, Response, Verdict};
use crate::kubernetes::CloudApi;
use crate::record::{self, Lines};
use crate::rng::Rng;
use crate::store::{Store, StoreError};

/// Longer than any client waits for an answer.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Hears what becomes of droplets. Called outside the world's lock, in the order of the events.
pub(crate) trait Hooks: Send + Sync {
    /// A droplet runs now.
    fn active(&self, droplet: &droplets::Droplet) -> Result<(), StoreError>;
    /// A droplet was powered off; its disk stays.
    fn stopped(&self, id: u64) -> Result<(), StoreError>;
    /// A droplet was destroyed with its disk.
    fn gone(&self, id: u64) -> Result<(), StoreError>;
}

/// How the answer leaves.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// After a while, as a response.
    Respond(Duration, Response),
    /// After a while, the connection is closed without a word.
    Drop(Duration),
}

/// How a request was answered, and what befell it on the way.
#[derive(Debug)]
pub(crate) struct Handled {
    pub(crate) outcome: Outcome,
    /// The kinds of faults.
    pub(crate) faults: Vec<&'static str>,
}

/// What the cloud is made of.
pub(crate) struct Parts {
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) token: String,
    pub(crate) limiters: Limiters,
    pub(crate) faults: Faults,
    pub(crate) record: Option<Lines>,
}

struct Inner {
    world: Mutex<World>,
    store: Store,
    clock: Clock,
    rng: Rng,
    token: String,
    limiters: Mutex<Limiters>,
    faults: Mutex<Faults>,
    record: Option<Lines>,
    hooks: OnceLock<Arc<dyn Hooks>>,
    /// Held while events are taken and delivered, so that they arrive in order.
    delivery: Mutex<()>,
    wake: Notify,
}

/// The DigitalOcean account; clones share it.
#[derive(Clone)]
pub(crate) struct Cloud {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").finish_non_exhaustive()
    }
}

impl Cloud {
    pub(crate) fn new(parts: Parts) -> Cloud {
        let Parts {
            world,
            store,
            clock,
            rng,
            token,
            limiters,
            faults,
            record,
        } = parts;
        Cloud {
            inner: Arc::new(Inner {
                world: Mutex::new(world),
                store,
                clock,
                rng,
                token,
                limiters: Mutex::new(limiters),
                faults: Mutex::new(faults),
                record,
                hooks: OnceLock::new(),
                delivery: Mutex::new(()),
                wake: Notify::new(),
            }),
        }
    }

    /// Names who hears of droplets; only the first call counts. Droplets that already run are
    /// announced at once, so that a restarted sandbox boots them again.
    pub(crate) fn set_hooks(&self, hooks: Arc<dyn Hooks>) -> Result<(), StoreError> {
        let _delivery = lock(&self.inner.delivery);
        let running: Vec<droplets::Droplet> = {
            let mut world = self.world();
            world.advance();
            // Covered by the announcement below.
            drop(world.take_events());
            let active = droplets::Status::Active;
            world
                .droplets
                .filtered(|d| d.status == active)
                .into_iter()
                .cloned()
                .collect()
        };
        for droplet in &running {
            hooks.active(droplet)?;
        }
        drop(self.inner.hooks.set(hooks));
        Ok(())
    }

    /// Whether a request has the account's own token, which may do everything.
    pub(crate) fn authorized(&self, request: &Request) -> bool {
        request.token() == Some(self.inner.token.as_str())
    }

    /// What the token of a request may do; nothing for a token nobody made.
    fn access(&self, token: &str) -> Option<Access> {
        if token == self.inner.token {
            return Some(Access::Full);
        }
        let world = self.world();
        let row = world.tokens.get(token)?;
        Some(Access::Scopes(row.scopes.clone()))
    }

    /// Makes a token that may do what its scopes say, and no more.
    pub(crate) fn create_token(&self, scopes: BTreeSet<String>) -> Result<String, ApiError> {
        self.commit(Bent::default(), |world| tokens::create(world, scopes))
    }

    /// Revokes a token; 404 where there is none.
    pub(crate) fn delete_token(&self, token: &str) -> Result<(), ApiError> {
        self.commit(Bent::default(), |world| {
            let gone = world.tokens.remove(token);
            gone.map(drop).ok_or_else(ApiError::not_found)
        })?;
        lock(&self.inner.limiters).forget(token);
        Ok(())
    }

    /// Answers a request of the API.
    pub(crate) fn handle(&self, mut request: Request) -> Handled {
        let request_id = self.inner.rng.uuid();
        let mut faults = Vec::new();
        let outcome = self.outcome(&mut request, &request_id, &mut faults);
        if let Outcome::Respond(_, response) = &outcome
            && let Some(record) = &self.inner.record
        {
            record.write(&record::exchange(&request, response));
        }
        Handled { outcome, faults }
    }

    fn outcome(
        &self,
        request: &mut Request,
        request_id: &str,
        befell: &mut Vec<&'static str>,
    ) -> Outcome {
        let finish = |mut response: Response, limits: Vec<(&'static str, String)>| {
            response.headers.extend(limits);
            response
                .headers
                .push(("x-request-id", request_id.to_owned()));
            response
        };
        let token = request.token().unwrap_or_default().to_owned();
        let Some(access) = self.access(&token) else {
            let refused = ApiError::unauthorized().into_response(request_id);
            return Outcome::Respond(Duration::ZERO, finish(refused, Vec::new()));
        };
        request.access = access;
        let ssh_key_list =
            request.method == http::Method::GET && request.path == "/v2/account/keys";
        let Verdict { headers, refused } =
            lock(&self.inner.limiters).admit(&token, &self.inner.clock, ssh_key_list);
        if let Some(refused) = refused {
            let refused = refused.into_response(request_id);
            return Outcome::Respond(Duration::ZERO, finish(refused, headers));
        }
        let faults = lock(&self.inner.faults).decide(request.method.as_str(), &request.path);
        let mut plan = Plan::default();
        for fault in faults {
            befell.push(fault.kind());
            plan.add(fault, self);
        }
        let delay = plan.delay;
        if plan.drop_before {
            return Outcome::Drop(delay);
        }
        if let Some(refused) = plan.refused {
            return Outcome::Respond(delay, finish(refused.into_response(request_id), headers));
        }
        request.visible_before = plan.visible_before;
        let reply = self.commit(plan.bent(), |world| routes::answer(world, request));
        let reply = reply.and_then(
            |response| match (plan.visible_before, response.created_at) {
                (Some(horizon), Some(created)) if created > horizon => Err(ApiError::not_found()),
                _ => Ok(response),
            },
        );
        if plan.drop_after {
            return Outcome::Drop(delay);
        }
        let response = reply.unwrap_or_else(|error| error.into_response(request_id));
        Outcome::Respond(delay, finish(response, headers))
    }

    /// Lets a handler change the world; what it changed is on disk when this returns.
    fn commit<T>(
        &self,
        bent: Bent,
        handler: impl FnOnce(&mut World) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let reply = {
            let mut world = self.world();
            world.advance();
            world.bent = bent;
            let reply = handler(&mut world);
            world.bent = Bent::default();
            self.append(&mut world).map(|()| reply)
        };
        // Also for reads: what they show may have been changed by somebody still waiting here.
        let written = reply.and_then(|reply| self.inner.store.sync().map(|()| reply));
        self.inner.wake.notify_one();
        let written = written.and_then(|reply| self.deliver().map(|()| reply));
        written.unwrap_or_else(|error| Err(ApiError::server(error.to_string())))
    }

    fn append(&self, world: &mut World) -> Result<(), StoreError> {
        let batch = world.flush()?;
        self.inner.store.append(batch)
    }

    /// Does what is due, and says when the next thing is.
    pub(crate) fn tick(&self) -> Result<Option<jiff::Timestamp>, StoreError> {
        let next = {
            let mut world = self.world();
            world.advance();
            self.append(&mut world)?;
            world.next_due()
        };
        self.inner.store.sync()?;
        self.deliver()?;
        Ok(next)
    }

    /// Keeps doing what is due, until the store fails.
    pub(crate) async fn run(self) -> StoreError {
        loop {
            let next = match self.tick() {
                Ok(next) => next,
                Err(error) => return error,
            };
            let due = async {
                match next {
                    Some(moment) => self.inner.clock.sleep_until(moment).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.inner.wake.notified() => {}
                () = due => {}
            }
        }
    }

    fn deliver(&self) -> Result<(), StoreError> {
        let Some(hooks) = self.inner.hooks.get() else {
            return Ok(());
        };
        let _delivery = lock(&self.inner.delivery);
        loop {
            let news: Vec<(Event, Option<droplets::Droplet>)> = {
                let mut world = self.world();
                let events = world.take_events();
                events
                    .into_iter()
                    .map(|event| {
                        let Event::Active(id) = event else {
                            return (event, None);
                        };
                        let droplet = droplets::find(&world, id).ok().cloned();
                        (event, droplet)
                    })
                    .collect()
            };
            if news.is_empty() {
                return Ok(());
            }
            for (event, droplet) in news {
                match (event, droplet) {
                    (Event::Active(_), Some(droplet)) => hooks.active(&droplet)?,
                    (Event::Active(_), None) => {}
                    (Event::Stopped(id), _) => hooks.stopped(id)?,
                    (Event::Gone(id), _) => hooks.gone(id)?,
                }
            }
        }
    }

    /// Puts fault rules in force.
    pub(crate) fn set_faults(&self, rules: Vec<FaultRule>, seed: Option<u64>) {
        lock(&self.inner.faults).replace(rules, seed);
    }

    /// Whether changes wait for a disk.
    pub(crate) fn on_disk(&self) -> bool {
        self.inner.store.on_disk()
    }

    /// Whether there is a droplet with this id.
    pub(crate) fn has_droplet(&self, id: u64) -> bool {
        droplets::find(&self.world(), id).is_ok()
    }

    /// A summary of everything that did not come with the account.
    pub(crate) fn inspect(&self) -> std::collections::BTreeMap<String, Vec<Value>> {
        let mut world = self.world();
        world.advance();
        inspect::resources(&world)
    }

    /// Whether an action is in progress that a fault lets fail.
    pub(crate) fn has_doomed_actions(&self) -> bool {
        let mut world = self.world();
        world.advance();
        actions::any_doomed(&world)
    }

    /// The droplets whose creation a fault let fail, and which are still there.
    pub(crate) fn stillborn_droplets(&self) -> Vec<u64> {
        let mut world = self.world();
        world.advance();
        actions::stillborn(&world)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.inner.world)
    }
}

/// What the faults of one request add up to.
#[derive(Default)]
struct Plan {
    delay: Duration,
    slower: Duration,
    failing: bool,
    drop_before: bool,
    drop_after: bool,
    refused: Option<ApiError>,
    visible_before: Option<jiff::Timestamp>,
}

impl Plan {
    fn bent(&self) -> Bent {
        Bent {
            slower: self.slower,
            failing: self.failing,
        }
    }

    fn add(&mut self, fault: Fault, cloud: &Cloud) {
        let clock = &cloud.inner.clock;
        match fault {
            Fault::LostResponse => self.drop_after = true,
            Fault::Reset => self.drop_before = true,
            Fault::Timeout { committed } => {
                self.delay += clock.scaled(TIMEOUT);
                self.drop_after |= committed;
                self.drop_before |= !committed;
            }
            Fault::TooManyRequests { retry_after } => {
                let error = ApiError::new(429, "too_many_requests", "API Rate limit exceeded.");
                self.refused = Some(error.with_header("retry-after", retry_after.to_string()));
            }
            Fault::Status { status } => {
                let (status, id, message) = match status {
                    403 => (403, "forbidden", "You are missing the required permission."),
                    502 => (502, "bad_gateway", "Bad Gateway"),
                    503 => (503, "service_unavailable", "Service Unavailable"),
                    504 => (504, "gateway_timeout", "Gateway Timeout"),
                    _ => (500, "server_error", "Unexpected server-side error"),
                };
                self.refused = Some(ApiError::new(status, id, message));
            }
            Fault::Delay { seconds } => self.delay += clock.scaled(fault::seconds(seconds)),
            Fault::Stale { seconds } => {
                let age = clock.scaled(fault::seconds(seconds));
                let horizon = clock.now().saturating_sub(age);
                self.visible_before = Some(horizon.unwrap_or(jiff::Timestamp::MIN));
            }
            Fault::SlowActions { seconds } => self.slower += fault::seconds(seconds),
            Fault::FailedActions => self.failing = true,
        }
    }
}

impl CloudFacts for Cloud {
    fn database_by_private_host(&self, host: &str) -> Option<DatabaseFacts> {
        let mut world = self.world();
        world.advance();
        databases::facts(&world, host)
    }

    fn let_create(&self, host: &str, database: &str, user: &str) -> Result<(), StoreError> {
        {
            let mut world = self.world();
            world.advance();
            databases::let_create(&mut world, host, database, user);
            self.append(&mut world)?;
        }
        self.inner.store.sync()
    }

    fn load_balancer_targets(&self, ip: Ipv4Addr) -> Option<Vec<Ipv4Addr>> {
        let mut world = self.world();
        world.advance();
        let balancer = world.load_balancers.values().find(|balancer| {
            balancer.ready_at.is_none() && (balancer.ip == ip || balancer.private_ip == Some(ip))
        })?;
        let running = |droplet: &droplets::Droplet| {
            droplet.status == droplets::Status::Active && balancer.targets(droplet)
        };
        Some(
            world
                .droplets
                .values()
                .filter(|droplet| running(droplet))
                .map(|droplet| droplet.public_ip.unwrap_or(droplet.private_ip))
                .collect(),
        )
    }

    fn droplet_by_ip(&self, ip: Ipv4Addr) -> Option<u64> {
        let mut world = self.world();
        world.advance();
        let reserved = world
            .reserved_ips
            .get(&ip.to_string())
            .and_then(|row| row.droplet);
        reserved.or_else(|| {
            world
                .droplets
                .values()
                .find(|droplet| droplet.public_ip == Some(ip) || droplet.private_ip == ip)
                .map(|droplet| droplet.id)
        })
    }

    fn addresses_of(&self, name: &str) -> Vec<Ipv4Addr> {
        domains::addresses(&self.world(), name)
    }

    fn spaces_keys(&self) -> Vec<SpacesKeyFacts> {
        spaces_keys::facts(&self.world())
    }
}

impl CloudApi for Cloud {
    fn call(
        &self,
        token: &str,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), String> {
        let mut request = Request::new(method, target);
        request.authorization = Some(format!("Bearer {token}"));
        request.raw_body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        match self.handle(request).outcome {
            // Controllers work one pass after the other: none of them is made to wait for an answer.
            Outcome::Respond(_, response) => {
                Ok((response.status, response.body.unwrap_or_default()))
            }
            Outcome::Drop(_) => Err("the connection was closed".to_owned()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
