//! Groups of machines with agents on them: random sizes, random edits that replace, failures and
//! kills anywhere. Whatever happens, enough members of each group stay ready after every run.

use super::{apply_options, block_on, nothing_left};
use crate::testing::{
    Build as _, Call, Cloud, Dying, Fault, Lab, Life, Verb, decl, declare, reference, string,
};
use kplan_model::{Address, Declaration, Declarations, ErrorKind, Kind, Status};
use proptest::prelude::*;
use std::time::Duration;

/// One version of the file.
#[derive(Clone, Debug)]
struct File {
    servers: u32,
    workers: u32,
    /// By server: its image. More servers have the first one's.
    images: [bool; 5],
    worker_image: bool,
    database: bool,
}

impl File {
    fn min_ready(&self) -> u32 {
        if self.servers > 1 {
            self.servers / 2 + 1
        } else {
            0
        }
    }

    fn width(&self) -> u32 {
        self.workers.div_ceil(4).max(1)
    }

    /// What it says while the server `join` is known to live.
    fn declarations(&self, join: u32) -> Declarations {
        let database = decl("box.db")
            .with("name", string("db"))
            .with("config", string(if self.database { "17" } else { "16" }));
        let user = decl("app.user")
            .with("name", string("user"))
            .with("endpoint", reference("box.db", "endpoint"))
            .inside("box.db");
        let net = decl("net.main").with("name", string("n"));
        let servers = (0..self.servers).flat_map(|at| {
            let image = self.images[at as usize % self.images.len()];
            let [machine, agent] = member("s", at, image, self.min_ready(), 1);
            [machine, agent.after("app.user")]
        });
        let joined = format!("vm.s[{}]", join.min(self.servers - 1));
        let workers = (0..self.workers).flat_map(|at| {
            let [machine, agent] = member("w", at, self.worker_image, 0, self.width());
            [machine, agent.with("join", reference(&joined, "ip"))]
        });
        declare(
            [net, database, user]
                .into_iter()
                .chain(servers)
                .chain(workers),
        )
    }
}

fn member(pool: &str, at: u32, image: bool, min_ready: u32, width: u32) -> [Declaration; 2] {
    let host = format!("vm.{pool}[{at}]");
    let machine = decl(&host)
        .with("name", string(&host))
        .with("net", reference("net.main", "id"))
        .with("image", string(if image { "new" } else { "old" }))
        .group(pool, min_ready, width);
    let agent = decl(&format!("agent.{pool}[{at}]"))
        .with("name", string(&host))
        .with("host", reference(&host, "id"))
        .inside(&host)
        .group(pool, min_ready, width);
    let agent = match pool {
        "s" => agent.with("role", string("voter")),
        _ => agent,
    };
    [machine, agent]
}

fn edits() -> impl Strategy<Value = Vec<File>> {
    let sizes = (prop::sample::select(vec![1_u32, 3, 5]), 0..7_u32);
    let edit = (any::<[bool; 5]>(), any::<bool>(), any::<bool>());
    (sizes, prop::collection::vec(edit, 2..5)).prop_map(|((servers, workers), edits)| {
        let file = |(images, worker_image, database)| File {
            servers,
            workers,
            images,
            worker_image,
            database,
        };
        edits.into_iter().map(file).collect()
    })
}

/// How many members of a pool are whole: on record as ready, and there.
fn ready(lab: &Lab, pool: &str) -> u32 {
    let living = lab.cloud.living();
    let whole = |kind: &'static str, at: u32| {
        let address = Address::indexed(Kind::new(kind), pool, at);
        let record = lab.state().resources.get(&address);
        let record = record.filter(|record| record.status == Status::Ready);
        record.is_some_and(|record| living.contains(&(address, record.id.clone())))
    };
    let members = (0..8).filter(|at| whole("vm", *at) && whole("agent", *at));
    members.map(|_| 1).sum()
}

/// The first server that became one.
fn living_server(lab: &Lab) -> u32 {
    let lives = |at: &u32| {
        let address = Address::indexed(Kind::new("agent"), "s", *at);
        let record = lab.state().resources.get(&address);
        record.is_some_and(|record| record.status == Status::Ready)
    };
    (0..8).find(lives).unwrap_or(0)
}

fn assert_enough(lab: &Lab, file: &File) {
    let records = &lab.state().resources;
    assert!(ready(lab, "s") >= file.min_ready(), "{file:?} {records:#?}");
    let down = file.workers - ready(lab, "w");
    assert!(down <= file.width(), "{file:?} {records:#?}");
}

/// Fails for good: every create of some kind, or every update.
fn breaks(seed: u8) -> impl FnMut(&Call) -> Option<Fault> {
    let mut calls = u32::from(seed >> 3);
    move |call| {
        let hit = match seed % 4 {
            0 => call.verb == Verb::Create && call.kind.as_str() == "vm",
            1 => call.verb == Verb::Create && call.kind.as_str() == "agent",
            2 => call.verb == Verb::Update,
            _ => matches!(call.verb, Verb::Create | Verb::Update | Verb::Delete),
        };
        if !hit {
            return None;
        }
        calls = calls.saturating_sub(1);
        let half = seed & 4 != 0 && call.verb == Verb::Create;
        let fault = if half {
            Fault::HalfMade
        } else {
            Fault::Refuse(ErrorKind::Failed)
        };
        (calls < 4).then_some(fault)
    }
}

fn cloud() -> Cloud {
    Cloud::new()
        .boots("vm", 45)
        .boots("agent", 30)
        .reboots(30)
        .vanishes(Duration::from_secs(3))
        .lags(Duration::from_millis(500))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn failures_and_kills_never_cost_a_group_more_than_it_can_spare(
        files in edits(),
        turns in prop::collection::vec((0..5_usize, any::<u8>(), 0..60_usize, 0..400_u64), 1..6),
    ) {
        block_on(async {
            let mut lab = Lab::new(cloud());
            let life = lab.apply(&files[0].declarations(0)).await;
            assert!(life.is_complete(), "{life:#?}");
            for (file, seed, entry, seconds) in turns {
                let file = &files[file % files.len()];
                let wanted = file.declarations(living_server(&lab));
                lab.cloud.script(breaks(seed));
                // It dies at an entry of the journal, or is killed at some moment, or neither.
                let dying = (entry < 30).then_some(Dying::After(entry + 1));
                let moment = Duration::from_secs(if seconds < 200 { seconds } else { 100_000 });
                let options = apply_options();
                let life = lab.live(&wanted, &options, dying);
                if let Ok(Life::NoPlan(error)) = tokio::time::timeout(moment, life).await {
                    panic!("{error}");
                }
                assert_enough(&lab, file);
            }
            lab.cloud.heal();
            let file = &files[files.len() - 1];
            let mut life = Life::Died;
            // A worker stays with the server it joined, also when another comes first again.
            let mut wanted = declare([]);
            for _ in 0..3 {
                wanted = file.declarations(living_server(&lab));
                life = lab.apply(&wanted).await;
                assert_enough(&lab, file);
                if life.is_complete() {
                    break;
                }
            }
            assert!(life.is_complete(), "{life:#?}");
            assert_eq!(lab.disagreements(), Vec::<String>::new());
            assert_eq!(lab.cloud.left(), Vec::new());
            nothing_left(&lab, &wanted).await;
        });
    }
}
