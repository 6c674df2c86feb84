//! How many calls an apply and a plan spend, and how long the rate limits make them wait: the
//! engine over the real kinds and the embedded cloud at DigitalOcean's own pace, on a clock that
//! jumps from event to event.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests stand outside test functions; a failing one fails its test"
)]

use kplan_engine::clock::Clock as _;
use kplan_engine::{
    Cancel, ExecuteOptions, Outcome, PlanOptions, Planned, Planning, Report, Run, observe,
};
use kplan_model::codec::ObjectCodec as _;
use kplan_model::{
    Address, Approval, BoxFuture, Declaration, Declarations, Input, Journal, JournalEntry,
    JournalError, Origin, Owner, PlanMode, Ref, Registry, RunId, Secret, Snapshot, Timestamp,
};
use kplan_providers::digitalocean::{DigitalOcean, DropletArgs, TagArgs, VolumeArgs, VpcArgs};
use kplan_providers::http::{
    ClientConfig, Rate, ServiceTransport, Statistics, Transport, TransportError,
};
use kplan_providers::registry;
use kplan_providers::spaces::{Spaces, SpacesConfig};
use kplan_sandbox::{Config, Sandbox};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is on its way: a look, and a change. Orders of magnitude of what the real
/// API takes.
const ANSWERS: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(900));
/// DigitalOcean's limit: requests in any minute.
const PER_MINUTE: f64 = 250.0;
/// How long the embedded cloud takes to make a droplet active.
const BOOT: f64 = 45.0;

/// One request: when it was sent, whether it changes something, what came of it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    changes: bool,
    status: u16,
}

/// Carries requests as slowly as a network, and writes them down.
struct Network {
    inner: Arc<dyn Transport>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Transport for Network {
    fn call(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<bytes::Bytes>, TransportError>> {
        let changes = request.method() != http::Method::GET;
        let (at, sent) = (Instant::now(), Arc::clone(&self.sent));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let way = if changes { ANSWERS.1 } else { ANSWERS.0 };
            tokio::time::sleep(way / 2).await;
            let answer = answer.await;
            tokio::time::sleep(way / 2).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push(Sent {
                at,
                changes,
                status,
            });
            answer
        })
    }
}

struct Clock(kplan_sandbox::Clock);

impl kplan_engine::Clock for Clock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.now().as_millisecond())
    }
}

/// A state that nothing can happen to.
struct Memory;

impl Journal for Memory {
    fn append(&mut self, _: &[JournalEntry]) -> Result<(), JournalError> {
        Ok(())
    }
}

/// An account with DigitalOcean's limits, and an engine.
struct Account {
    registry: Registry,
    clock: Clock,
    sent: Arc<Mutex<Vec<Sent>>>,
    begun: Instant,
}

/// What a run cost.
struct Cost {
    changing: usize,
    others: usize,
    refused: usize,
    last_change: f64,
    seconds: f64,
}

impl Account {
    fn new() -> Self {
        let start: jiff::Timestamp = "2026-08-01T00:00:00Z".parse().expect("a moment");
        let config = Config {
            time_scale: 1.0,
            seed: 3,
            token: "dop_v1_frugal".to_owned(),
            ..Config::default()
        };
        let clock = kplan_sandbox::Clock::starting_at(1.0, start);
        let sandbox = Sandbox::open_at(&config, clock.clone()).expect("a cloud");
        let sent = Arc::new(Mutex::new(Vec::new()));
        let transport = Arc::new(Network {
            inner: Arc::new(ServiceTransport::new(sandbox.service())),
            sent: Arc::clone(&sent),
        });
        let now_clock = clock.clone();
        let now: kplan_providers::http::Now =
            Arc::new(move || Timestamp(now_clock.now().as_millisecond()));
        let statistics = Arc::new(Statistics::default());
        let cloud = DigitalOcean::new(ClientConfig {
            base_url: "https://api.digitalocean.com".to_owned(),
            token: Secret::new("dop_v1_frugal"),
            transport: Arc::clone(&transport) as _,
            rate: Rate::DIGITALOCEAN,
            scale: 1,
            statistics: Arc::clone(&statistics),
            now: Arc::clone(&now),
            on_event: None,
            per_page: 200,
            seed: 5,
        });
        let spaces = Spaces::new(SpacesConfig {
            endpoint: None,
            keys: None,
            transport,
            statistics,
            now,
            scale: 1,
        });
        Self {
            registry: registry::cloud(&cloud, &spaces),
            clock: Clock(clock),
            sent,
            begun: Instant::now(),
        }
    }

    async fn plan(&self, declarations: &Declarations, snapshot: &Snapshot) -> Planned {
        let observing = observe::Options::new(self.clock.now());
        let planning = Planning {
            declarations,
            snapshot: snapshot.clone(),
            registry: &self.registry,
            options: &PlanOptions::new(PlanMode::Apply),
            observing: &observing,
        };
        kplan_engine::plan(planning).await.expect("a plan")
    }

    async fn apply(&self, declarations: &Declarations) -> Report {
        let owner = Owner {
            cluster: "frugal".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        };
        let snapshot = Snapshot::empty("lineage", owner);
        let planned = self.plan(declarations, &snapshot).await;
        let approved = planned.plan.approve(Approval {
            how: "test".to_owned(),
            at: self.clock.now(),
        });
        let cancel = Cancel::new();
        let run = Run {
            registry: &self.registry,
            clock: &self.clock,
            cancel: &cancel,
            options: &ExecuteOptions::new(RunId("run".to_owned())),
        };
        let outcome =
            kplan_engine::apply(run, &approved, planned.snapshot, &mut Memory, &mut |_| ()).await;
        match outcome {
            Outcome::Completed(report) | Outcome::Interrupted(report) => report,
        }
    }

    /// What was spent since the last time this was asked.
    fn cost(&mut self) -> Cost {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner));
        let begun = std::mem::replace(&mut self.begun, Instant::now());
        let changes = || sent.iter().filter(|call| call.changes);
        let last = changes().map(|call| call.at).max();
        let since = |at: Instant| at.duration_since(begun).as_secs_f64();
        Cost {
            changing: changes().count(),
            others: sent.len() - changes().count(),
            refused: sent.iter().filter(|call| call.status == 429).count(),
            last_change: last.map_or(0.0, since),
            seconds: since(Instant::now()),
        }
    }
}

fn at(text: &str) -> Address {
    text.parse().expect("an address")
}

fn to(address: &str, attribute: &str) -> Input<String> {
    Input::Ref(Ref {
        address: at(address),
        attribute: attribute.into(),
    })
}

fn declare(address: &str, args: kplan_model::Object) -> Declaration {
    Declaration::new(at(address), args, Origin::Default)
}

/// What every file with something free-standing has: the owner's tag and a VPC.
fn ground() -> Vec<Declaration> {
    let vpc = VpcArgs {
        name: "frugal".to_owned(),
        region: "fra1".to_owned(),
        ip_range: Some("10.20.0.0/20".to_owned()),
        description: None,
    };
    vec![
        declare("tag.owner", TagArgs { name: None }.to_object()),
        declare("vpc.main", vpc.to_object()),
    ]
}

/// So many free-standing droplets, as the file's `[[droplet]]` declares them.
fn droplets(count: usize) -> Declarations {
    let one = |n: usize| {
        let name = format!("web-{n}");
        let args = DropletArgs {
            name: name.clone(),
            region: "fra1".to_owned(),
            size: "s-1vcpu-2gb".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            vpc_uuid: Some(to("vpc.main", "id")),
            ssh_keys: Vec::new(),
            tags: vec![to("tag.owner", "name")],
            user_data: None,
            boot: None,
            monitoring: true,
            backups: false,
            ipv6: false,
            droplet_agent: None,
            resize_disk: None,
            power: Some("on".to_owned()),
        };
        declare(&format!("droplet.{name}"), args.to_object())
    };
    Declarations {
        resources: ground().into_iter().chain((0..count).map(one)).collect(),
        ..Declarations::default()
    }
}

fn volumes(count: usize) -> Declarations {
    let one = |n: usize| {
        let name = format!("data-{n}");
        let args = VolumeArgs {
            name: name.clone(),
            region: "fra1".to_owned(),
            size: 10,
            description: None,
            initial_filesystem_type: None,
            initial_filesystem_label: None,
            snapshot_id: None,
            tags: vec![to("tag.owner", "name")],
            droplet_id: None,
        };
        declare(&format!("volume.{name}"), args.to_object())
    };
    Declarations {
        resources: ground().into_iter().chain((0..count).map(one)).collect(),
        ..Declarations::default()
    }
}

/// Applies, prints the figures, and holds them against the budget; gives what was made.
#[track_caller]
fn check(what: &str, cost: &Cost, report: &Report) {
    let least = f64::from(u32::try_from(cost.changing).expect("few")) / PER_MINUTE * 60.0;
    println!(
        "apply of {what}: {} changing calls, {} others, {} refused; the last change was sent after \
         {:.1} s of {:.1} s that the budget takes; done after {:.1} s",
        cost.changing, cost.others, cost.refused, cost.last_change, least, cost.seconds
    );
    assert!(report.is_complete(), "{:#?}", report.failed);
    assert_eq!(cost.refused, 0, "DigitalOcean refused calls");
    assert!(cost.last_change <= 1.1 * least, "changes were held up");
    assert!(
        10 * cost.others <= cost.changing,
        "more than a tenth of it is looking"
    );
}

#[tokio::test(start_paused = true)]
async fn an_apply_of_300_droplets_takes_as_long_as_its_changes() {
    let mut account = Account::new();
    let report = account.apply(&droplets(300)).await;
    let cost = account.cost();
    check("300 droplets", &cost, &report);
    // The last one has to boot; the run notices a twentieth later at most.
    let ready = cost.last_change + ANSWERS.1.as_secs_f64() + BOOT;
    // Two pages that tell.
    let most = ready * 1.05 + 2.0 * ANSWERS.0.as_secs_f64();
    assert!(cost.seconds <= most, "{} s, not {most} s", cost.seconds);
}

#[tokio::test(start_paused = true)]
async fn an_apply_of_300_volumes_takes_as_long_as_its_changes() {
    let mut account = Account::new();
    let report = account.apply(&volumes(300)).await;
    check("300 volumes", &account.cost(), &report);
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_1000_droplets_without_changes_takes_a_dozen_calls() {
    let mut account = Account::new();
    let declarations = droplets(1000);
    let report = account.apply(&declarations).await;
    check("1,000 droplets", &account.cost(), &report);
    let planned = account.plan(&declarations, &report.snapshot).await;
    assert!(planned.plan.steps.is_empty(), "{:?}", planned.plan.steps);
    let cost = account.cost();
    println!(
        "plan of 1,000 droplets without changes: {} calls",
        cost.others
    );
    assert_eq!(cost.changing, 0);
    assert!(cost.others <= 15, "{} calls", cost.others);
}
