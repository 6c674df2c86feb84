//! The durable apply: 2,000 instant resources through the engine with the writer that `kplan apply`
//! uses, on the disk of the temporary folder, every entry of the journal durable before the call it
//! announces. Budget: 2 s.

use super::kinds::registry;
use super::world::{LINEAGE, Shape, Still, declarations};
use criterion::{BatchSize, Criterion};
use kplan_engine::{Cancel, ExecuteOptions, PlanOptions, Planning, Run, observe};
use kplan_model::{Approval, PlanMode, RunId, Timestamp};
use kplan_state::{Identity, LocalWriter, WriteOptions};
use std::path::Path;
use tokio::runtime::{Builder, Runtime};

const RESOURCES: u32 = 2_000;

/// The runtime a command has.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn open(dir: &Path) -> LocalWriter {
    let mut options = WriteOptions::new("bench");
    options.lineage = Some(LINEAGE.to_owned());
    LocalWriter::open(dir, "bench", &Identity::generate(), &options).expect("a writer")
}

async fn apply(mut writer: LocalWriter, shape: Shape, parallelism: usize) {
    let (registry, declarations) = (registry(), declarations(RESOURCES, shape));
    let observing = observe::Options::new(Timestamp(0));
    let options = PlanOptions::new(PlanMode::Apply);
    let planned = kplan_engine::plan(Planning {
        declarations: &declarations,
        snapshot: writer.snapshot().clone(),
        registry: &registry,
        options: &options,
        observing: &observing,
    });
    let planned = planned.await.expect("a plan");
    let approved = planned.plan.approve(Approval {
        how: "bench".to_owned(),
        at: Timestamp(0),
    });
    let mut options = ExecuteOptions::new(RunId("bench".to_owned()));
    options.parallelism = parallelism;
    let run = Run {
        registry: &registry,
        clock: &Still,
        cancel: &Cancel::new(),
        options: &options,
    };
    let outcome =
        kplan_engine::apply(run, &approved, planned.snapshot, &mut writer, &mut |_| {}).await;
    assert!(outcome.report().is_complete(), "not everything was done");
    assert_eq!(writer.snapshot().resources.len(), RESOURCES as usize);
    writer.close("bench", Timestamp(0)).expect("closed");
}

/// Flat and in layers, with ten calls at once (the command's default) and with 64.
pub(crate) fn all(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("durable apply of 2,000");
    group.sample_size(10);
    for (name, shape, parallelism) in [
        ("flat, 10 at once", Shape::Flat, 10),
        ("layers of 100, 10 at once", Shape::Layers, 10),
        ("flat, 64 at once", Shape::Flat, 64),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let dir = tempfile::tempdir().expect("a folder");
                    let writer = open(&dir.path().join("bench"));
                    (dir, writer)
                },
                |(dir, writer)| {
                    runtime.block_on(apply(writer, shape, parallelism));
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
