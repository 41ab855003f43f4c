//! The `outrigger-sim` binary. Exit codes: 0 all holds, 1 something does not, 2 it was told wrongly.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use outrigger_sim::cli::{self, Screen};
use terminal_size::{Width, terminal_size_of};

/// Where nobody says how wide it is: a pipe, a file, a log.
const DEFAULT_WIDTH: usize = 80;

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let width = terminal_size_of(io::stdout()).map_or(DEFAULT_WIDTH, |(Width(columns), _)| usize::from(columns));
    let screen = Screen {
        bar: io::stderr().is_terminal() && !is_set("CI"),
        color: !is_set("NO_COLOR"),
        asks: io::stdin().is_terminal(),
        width,
    };
    let mut stdout = io::stdout().lock();
    let code = cli::main(std::env::args_os(), &screen, &mut stdout, &mut io::stderr());
    // A closed pipe on the other end is no reason to panic.
    let _ = stdout.flush();
    ExitCode::from(code)
}
