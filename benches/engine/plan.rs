//! The no-op plan: the pure stages with the observation given, and all of it from the files of a
//! state on disk. Budget: 100 ms of CPU for 10,000 resources, linear growth to 100,000.

use super::apply::runtime;
use super::kinds::registry;
use super::world::{LINEAGE, Shape, applied, declarations, observations};
use criterion::{BenchmarkId, Criterion, Throughput};
use kplan_engine::{PlanOptions, Planning, diff, graph, observe, plan};
use kplan_model::{
    Address, Declarations, Kind, KindInfo, Observation, Plan, PlanMode, Snapshot, Timestamp,
};
use kplan_state::{Identity, LocalReader, LocalWriter, WriteOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the pure stages are given.
pub(crate) struct Given {
    declarations: Declarations,
    snapshot: Snapshot,
    observations: BTreeMap<Address, Observation>,
    kinds: BTreeMap<Kind, &'static KindInfo>,
    options: PlanOptions,
}

impl Given {
    /// So many resources, all as the file asks for them.
    pub(crate) fn new(count: u32, shape: Shape) -> Self {
        let snapshot = applied(count, shape);
        Self {
            declarations: declarations(count, shape),
            observations: observations(&snapshot),
            snapshot,
            kinds: registry().kinds(),
            options: PlanOptions::new(PlanMode::Apply),
        }
    }

    /// Graph, diff, plan and linter.
    pub(crate) fn plan(&self) -> Plan {
        let graph = graph::build(&self.declarations, &self.snapshot, &self.kinds).expect("a graph");
        let nothing = BTreeSet::new();
        let late = kplan_engine::late::Late::default();
        let diff = diff::compute(&diff::Inputs {
            late: &late,
            declarations: &self.declarations,
            snapshot: &self.snapshot,
            graph: &graph,
            observations: &self.observations,
            kinds: &self.kinds,
            mode: PlanMode::Apply,
            replace: &nothing,
            delete_kept: false,
        });
        let (plan, _) = plan::make(&plan::Inputs {
            declarations: &self.declarations,
            snapshot: &self.snapshot,
            graph: &graph,
            diff: &diff,
            kinds: &self.kinds,
            options: &self.options,
        })
        .expect("a plan");
        assert!(plan::lint(&plan, &self.snapshot, &self.kinds).is_empty());
        assert!(plan.steps.is_empty());
        plan
    }
}

pub(crate) fn written(dir: &Path, identity: &Identity, snapshot: Snapshot) {
    let mut options = WriteOptions::new("bench");
    options.lineage = Some(LINEAGE.to_owned());
    let mut writer = LocalWriter::open(dir, "bench", identity, &options).expect("a writer");
    writer.replace(snapshot).expect("replaced");
    writer.close("bench", Timestamp(0)).expect("closed");
}

/// Reads the state from its files, opens every secret, reads the remote side (which answers at
/// once), and plans.
pub(crate) async fn from_disk(dir: &Path, identity: &Identity, declarations: &Declarations) {
    let loaded = LocalReader::open(dir, "bench", Some(identity)).read();
    let snapshot = loaded.expect("a readable state").snapshot.expect("a state");
    let (registry, options) = (registry(), PlanOptions::new(PlanMode::Apply));
    let observing = observe::Options::new(Timestamp(0));
    let planned = kplan_engine::plan(Planning {
        declarations,
        snapshot,
        registry: &registry,
        options: &options,
        observing: &observing,
    });
    let planned = planned.await.expect("a plan");
    assert!(planned.plan.steps.is_empty());
}

/// Both, for three sizes.
pub(crate) fn all(criterion: &mut Criterion) {
    const SIZES: [u32; 3] = [2_000, 10_000, 100_000];
    let mut group = criterion.benchmark_group("no-op plan, observation given");
    group.sample_size(10);
    for (name, shape) in [("flat", Shape::Flat), ("layers of 100", Shape::Layers)] {
        for count in SIZES {
            group.throughput(Throughput::Elements(u64::from(count)));
            let given = Given::new(count, shape);
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| given.plan());
            });
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("no-op plan, from disk");
    group.sample_size(10);
    let runtime = runtime();
    for count in SIZES {
        group.throughput(Throughput::Elements(u64::from(count)));
        let dir = tempfile::tempdir().expect("a folder");
        let (path, identity) = (dir.path().join("bench"), Identity::generate());
        written(&path, &identity, applied(count, Shape::Flat));
        let declarations = declarations(count, Shape::Flat);
        group.bench_function(BenchmarkId::new("flat", count), |bencher| {
            bencher.iter(|| runtime.block_on(from_disk(&path, &identity, &declarations)));
        });
    }
    group.finish();
}
