//! The budgets of the design as benchmarks: `cargo bench -p kplan-bench`. What they gave, on which
//! machine, is in `docs/benchmarks.md`.
//!
//! `cargo bench -p kplan-bench -- no-op` runs those whose name fits; `cargo bench -p kplan-bench --
//! --memory 100000` prints the peak memory of one plan instead.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "benchmarks: what fails here fails the benchmark"
)]

mod apply;
mod kinds;
mod memory;
mod plan;
mod process;
mod world;

use criterion::Criterion;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|one| one == "--memory") {
        let resources = arguments.get(at + 1).and_then(|text| text.parse().ok());
        memory::print(resources.expect("a number of resources after --memory"));
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    apply::all(&mut criterion);
    plan::all(&mut criterion);
    process::all(&mut criterion);
    criterion.final_summary();
}
