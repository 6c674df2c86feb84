//! The simulated account: every resource, what is under way, and when it will be done.

pub(crate) mod catalogue;
pub(crate) mod cloud;
pub(crate) mod lag;
pub(crate) mod net;
pub(crate) mod table;
pub(crate) mod tokens;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::digitalocean as api;
use crate::rng::Rng;
use crate::store::{Batch, Store, StoreError};
use table::{Row, Table};

/// Something that will be done later, ordered by kind and key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Action(String),
    Backup(String),
    Certificate(String),
    Firewall(String),
    LoadBalancer(String),
    Database(String),
    Destruction(String),
    Member(String),
}

/// What the world tells whoever boots droplets.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A droplet runs now.
    Active(u64),
    /// A droplet was powered off; its disk stays.
    Stopped(u64),
    /// A droplet was destroyed with its disk.
    Gone(u64),
}

/// How the account is when it is new.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountOptions {
    /// Whether every region already has its default VPC, as in an account that has been used.
    pub(crate) default_vpcs: bool,
    /// Most droplets the account may have.
    pub(crate) droplet_limit: u32,
}

/// Running numbers, so that ids and addresses are never given twice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counters {
    ids: u64,
    public_ips: u32,
    /// Set once the account's built-in resources exist.
    founded: bool,
    pub(crate) account_uuid: String,
    pub(crate) team_uuid: String,
}

impl Row for Counters {
    fn created_at(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// How faults bend what one request starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bent {
    /// Added to every lag.
    pub(crate) slower: Duration,
    /// Whether its actions end as `errored`.
    pub(crate) failing: bool,
}

/// Everything there is, guarded by one mutex in [`cloud::Cloud`].
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) options: AccountOptions,
    counters: Table<Counters>,
    pub(crate) actions: Table<api::actions::Action>,
    pub(crate) certificates: Table<api::certificates::Certificate>,
    pub(crate) databases: Table<api::databases::Database>,
    pub(crate) database_ca: Table<api::databases::Authority>,
    pub(crate) destructions: Table<api::droplets::destroy::Destruction>,
    pub(crate) domains: Table<api::domains::Domain>,
    pub(crate) droplets: Table<api::droplets::Droplet>,
    pub(crate) firewalls: Table<api::firewalls::Firewall>,
    pub(crate) lingering: Table<api::vpcs::Lingering>,
    pub(crate) load_balancers: Table<api::load_balancers::LoadBalancer>,
    pub(crate) project_resources: Table<api::projects::Assignment>,
    pub(crate) projects: Table<api::projects::Project>,
    pub(crate) reserved_ips: Table<api::reserved_ips::ReservedIp>,
    pub(crate) snapshots: Table<api::snapshots::Snapshot>,
    pub(crate) spaces_keys: Table<api::spaces_keys::SpacesKey>,
    pub(crate) ssh_keys: Table<api::ssh_keys::SshKey>,
    pub(crate) tags: Table<api::tags::Tag>,
    pub(crate) tokens: Table<tokens::Token>,
    pub(crate) volumes: Table<api::volumes::Volume>,
    pub(crate) vpcs: Table<api::vpcs::Vpc>,
    /// In force while a request with such a fault is handled.
    bent: Bent,
    schedule: BTreeSet<(Timestamp, Due)>,
    events: Vec<Event>,
}

impl World {
    /// Loads the account, or founds a new one.
    pub(crate) fn open(
        store: &Store,
        clock: Clock,
        rng: Rng,
        options: AccountOptions,
    ) -> Result<World, StoreError> {
        let mut world = World {
            clock,
            rng,
            options,
            counters: Table::load(store, "counters")?,
            actions: Table::load(store, "actions")?,
            certificates: Table::load(store, "certificates")?,
            databases: Table::load(store, "databases")?,
            database_ca: Table::load(store, "database_ca")?,
            destructions: Table::load(store, "destructions")?,
            domains: Table::load(store, "domains")?,
            droplets: Table::load(store, "droplets")?,
            firewalls: Table::load(store, "firewalls")?,
            lingering: Table::load(store, "lingering")?,
            load_balancers: Table::load(store, "load_balancers")?,
            project_resources: Table::load(store, "project_resources")?,
            projects: Table::load(store, "projects")?,
            reserved_ips: Table::load(store, "reserved_ips")?,
            snapshots: Table::load(store, "snapshots")?,
            spaces_keys: Table::load(store, "spaces_keys")?,
            ssh_keys: Table::load(store, "ssh_keys")?,
            tags: Table::load(store, "tags")?,
            tokens: Table::load(store, "tokens")?,
            volumes: Table::load(store, "volumes")?,
            vpcs: Table::load(store, "vpcs")?,
            bent: Bent::default(),
            schedule: BTreeSet::new(),
            events: Vec::new(),
        };
        if !world.counters().founded {
            world.found();
        }
        world.reschedule();
        api::droplets::plan_missing(&mut world);
        Ok(world)
    }

    /// Makes what every account has from the start.
    fn found(&mut self) {
        let (account_uuid, team_uuid) = (self.rng.uuid(), self.rng.uuid());
        let ids = 400_000_000 + self.rng.below(50_000_000);
        let first = Counters {
            ids,
            public_ips: 0,
            founded: true,
            account_uuid,
            team_uuid,
        };
        self.counters.insert("all".to_owned(), first);
        api::projects::found(self);
        if self.options.default_vpcs {
            for (region, _) in catalogue::REGIONS {
                api::vpcs::found(self, region);
            }
        }
    }

    /// Puts everything under way back on the schedule after a restart.
    fn reschedule(&mut self) {
        let actions = self
            .actions
            .iter()
            .map(|(k, a)| (a.ready_at, Due::Action(k.to_owned())));
        let backups = self
            .droplets
            .iter()
            .map(|(k, d)| (d.next_backup, Due::Backup(k.to_owned())));
        let certificates = self
            .certificates
            .iter()
            .map(|(k, c)| (c.ready_at, Due::Certificate(k.to_owned())));
        let firewalls = self
            .firewalls
            .iter()
            .map(|(k, f)| (f.ready_at, Due::Firewall(k.to_owned())));
        let balancers = self
            .load_balancers
            .iter()
            .map(|(k, l)| (l.ready_at, Due::LoadBalancer(k.to_owned())));
        let databases = self
            .databases
            .iter()
            .map(|(k, d)| (d.ready_at, Due::Database(k.to_owned())));
        let destructions = self
            .destructions
            .iter()
            .map(|(k, d)| (d.ready_at, Due::Destruction(k.to_owned())));
        let members = self
            .lingering
            .iter()
            .map(|(k, m)| (Some(m.until), Due::Member(k.to_owned())));
        self.schedule = actions
            .chain(backups)
            .chain(certificates)
            .chain(firewalls)
            .chain(balancers)
            .chain(databases)
            .chain(destructions)
            .chain(members)
            .filter_map(|(at, due)| Some((at?, due)))
            .collect();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether an action that is started now is going to fail.
    pub(crate) fn actions_fail(&self) -> bool {
        self.bent.failing
    }

    /// Schedules something for when a lag of the cloud is over, and says when that is.
    pub(crate) fn schedule(&mut self, lag: Duration, due: Due) -> Timestamp {
        let at = self.clock.after(lag + self.bent.slower);
        self.schedule_at(at, due);
        at
    }

    /// Schedules something for a moment of the clock on the wall.
    pub(crate) fn schedule_at(&mut self, at: Timestamp, due: Due) {
        self.schedule.insert((at, due));
    }

    /// When the next thing is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.schedule.first().map(|(at, _)| *at)
    }

    /// Does everything that is due by now, in order.
    pub(crate) fn advance(&mut self) {
        let now = self.now();
        while self.schedule.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, due)) = self.schedule.pop_first() else {
                break;
            };
            match due {
                Due::Action(key) => api::actions::settle(self, &key, at),
                Due::Backup(key) => api::droplets::settle_backup(self, &key, at),
                Due::Certificate(key) => api::certificates::settle(self, &key, at),
                Due::Firewall(key) => api::firewalls::settle(self, &key, at),
                Due::LoadBalancer(key) => api::load_balancers::settle(self, &key, at),
                Due::Database(key) => api::databases::settle(self, &key, at),
                Due::Destruction(key) => api::droplets::destroy::settle(self, &key, at),
                Due::Member(key) => {
                    self.lingering.remove(&key);
                }
            }
        }
    }

    /// A number no other resource has had.
    pub(crate) fn new_id(&mut self) -> u64 {
        // Gaps, so that a client cannot guess neighbours' ids.
        let step = 1 + self.rng.below(97);
        self.counters.get_mut("all").map_or(0, |counters| {
            counters.ids += step;
            counters.ids
        })
    }

    /// A public address nobody has.
    pub(crate) fn new_public_ip(&mut self) -> Ipv4Addr {
        let n = self.counters.get_mut("all").map_or(0, |counters| {
            counters.public_ips += 1;
            counters.public_ips
        });
        net::public_ipv4(n)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.get("all").cloned().unwrap_or_default()
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The events since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What has changed since the last call, as one batch.
    pub(crate) fn flush(&mut self) -> Result<Batch, StoreError> {
        let mut batch = Batch::default();
        self.counters.flush(&mut batch)?;
        self.actions.flush(&mut batch)?;
        self.certificates.flush(&mut batch)?;
        self.databases.flush(&mut batch)?;
        self.database_ca.flush(&mut batch)?;
        self.destructions.flush(&mut batch)?;
        self.domains.flush(&mut batch)?;
        self.droplets.flush(&mut batch)?;
        self.firewalls.flush(&mut batch)?;
        self.lingering.flush(&mut batch)?;
        self.load_balancers.flush(&mut batch)?;
        self.project_resources.flush(&mut batch)?;
        self.projects.flush(&mut batch)?;
        self.reserved_ips.flush(&mut batch)?;
        self.snapshots.flush(&mut batch)?;
        self.spaces_keys.flush(&mut batch)?;
        self.ssh_keys.flush(&mut batch)?;
        self.tags.flush(&mut batch)?;
        self.tokens.flush(&mut batch)?;
        self.volumes.flush(&mut batch)?;
        self.vpcs.flush(&mut batch)?;
        Ok(batch)
    }
}
