//! The kplan binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    kplan::main(std::env::args_os())
}
