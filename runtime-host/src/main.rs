//! The binary `sschat`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sschat::cli::run()
}
