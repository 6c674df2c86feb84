//! Nothing: the benchmarks are the target `engine`, run by `cargo bench -p kplan-bench`.
