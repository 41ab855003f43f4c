//! The `outrigger-sim` binary. Exit codes: 0 all holds, 1 something does not, 2 it was told wrongly.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use outrigger_sim::cli;

fn main() -> ExitCode {
    let terminal = io::stderr().is_terminal();
    let mut stdout = io::stdout().lock();
    let code = cli::main(std::env::args_os(), terminal, &mut stdout, &mut io::stderr());
    // A closed pipe on the other end is no reason to panic.
    let _ = stdout.flush();
    ExitCode::from(code)
}
