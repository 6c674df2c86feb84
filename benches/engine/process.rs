//! The program's start, and its reader of files. Budget: 10 ms for `kplan --version`.

use criterion::{Criterion, Throughput};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A file with so many pools.
fn file(pools: u32) -> String {
    let mut text = "[cluster]\nname = \"big\"\nregion = \"fra1\"\n\n[servers]\nsize = \
                    \"s-2vcpu-4gb\"\n"
        .to_owned();
    for pool in 0..pools {
        write!(
            text,
            "\n[[agents]]\nname   = \"pool-{pool}\"\ncount  = 2\nsize   = \"s-2vcpu-4gb\"\nlabels \
             = {{ tier = \"app\", pool = \"{pool}\" }}\n"
        )
        .expect("a string grows");
    }
    text
}

/// Both.
pub(crate) fn all(criterion: &mut Criterion) {
    start(criterion);
    reader(criterion);
}

/// The release build beside this benchmark.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("this program");
    let release = own.parent().and_then(std::path::Path::parent);
    release.expect("a target folder").join("kplan")
}

fn start(criterion: &mut Criterion) {
    let program = program();
    if !program.exists() {
        println!(
            "skipped: needs {}: cargo build --release",
            program.display()
        );
        return;
    }
    let mut group = criterion.benchmark_group("process");
    group.bench_function("kplan --version", |bencher| {
        bencher.iter(|| {
            let status = Command::new(&program)
                .arg("--version")
                .stdout(Stdio::null())
                .status();
            assert!(status.expect("it runs").success());
        });
    });
    group.finish();
}

fn reader(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cluster.toml");
    for pools in [10, 1_000] {
        let text = file(pools);
        let bytes = text.len() as u64;
        let source = kplan_schema::Source::new("cluster.toml", text);
        assert!(kplan_schema::parse(&source).spec.is_some(), "a good file");
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(format!("{pools} pools, {bytes} bytes"), |bencher| {
            bencher.iter(|| kplan_schema::parse(&source));
        });
    }
    group.finish();
}
