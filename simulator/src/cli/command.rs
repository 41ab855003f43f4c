//! What clap knows.

use std::path::PathBuf;

use clap::builder::{PossibleValue, ValueHint};
use clap::{Arg, ArgAction, Command, ValueEnum, value_parser};
use clap_complete::Shell;

use super::{advise, compare, export, new};
use crate::backend::Backend;
use crate::report::Shard;

const EXAMPLES: &str = "\
Examples:
  outrigger-sim run scenarios/idle-timeout
      Every scenario of a folder, with the seeds that each names.

  outrigger-sim run feed.toml --seeds 1..200 --jobs 2
      Two hundred seeds of one scenario.

  outrigger-sim replay feed.toml --seed 17
      One run, with all that happened in it.

  outrigger-sim run scenarios --seeds 1..2 --backend turmoil
      The same on another network: is it the sidecar that fails, or the network under it?

  outrigger-sim compare before/report.json now/report.json --threshold update_delay_p99=10%
      Did this commit, or this configuration, make anything worse?

  outrigger-sim shrink feed.toml --seed 17
      The fewest faults with which it still fails, as a scenario of its own.

Exit codes: 0 all holds, 1 an expectation or an invariant does not, 2 wrong flags or scenarios.";

const ADVISE_EXAMPLE: &str = "\
Example:
  outrigger-sim advise --hops home-nat,tencent-clb=15m --config outrigger.toml

Exit codes: 0 nothing is cut, 1 something is, 2 wrong flags or configuration.";

const NEW_EXAMPLES: &str = "\
Examples:
  outrigger-sim new
      Asks on a terminal.

  outrigger-sim new --family idle-timeout --hops home-nat,tencent-clb --out quiet.toml
  outrigger-sim new --family multi-region --regions hk,sg,fra --clients 20 --out regions.toml";

/// As in `[prices]`.
const MAX_PRICE: f64 = 1e9;
/// Threads that runs go on, unless told otherwise.
const DEFAULT_JOBS: &str = "2";
/// Parts of a run.
const MAX_SHARDS: usize = 1000;

pub(super) fn command() -> Command {
    Command::new("outrigger-sim")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The sidecar's own code in a deterministic world: same scenario, same seed, same run")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("run").about("Run scenarios and compare their figures with what they expect").args([
                files(),
                seed(),
                seeds(),
                variant(),
                jobs(),
                no_progress(),
                json(),
                report(),
                Arg::new("shard")
                    .long("shard")
                    .value_name("PART/OF")
                    .value_parser(shard)
                    .help("Only one part of all runs, as in 3/10; `merge` joins the reports of all parts"),
                price("price-requests", "For a million requests, instead of the scenario's price"),
                price("price-connections", "For one connection that is open for an hour"),
                price("price-gib", "For 2^30 bytes sent to clients"),
                Arg::new("currency").long("currency").value_name("TEXT").help("What prices are in"),
                backend(),
            ]),
        )
        .subcommands(of_reports())
        .subcommand(Command::new("list").about("Scenarios and what they are about").arg(files().required(false)))
        .subcommand(Command::new("check").about("Everything that is wrong with scenario files, at once").arg(files()))
        .subcommand(
            Command::new("verify").about("Run each seed in two processes and compare all that happened").args([
                files(),
                seed(),
                seeds(),
                variant(),
                jobs(),
                no_progress(),
                backend(),
            ]),
        )
        .subcommand(
            Command::new("replay")
                .about("Run one seed and tell all that happened")
                .args([
                    file(),
                    seed().required(true),
                    variant(),
                    Arg::new("packets").long("packets").action(ArgAction::SetTrue).help("Tell of every packet too"),
                    backend(),
                ])
                .args(export::args()),
        )
        .subcommand(
            Command::new("shrink").about("Find the fewest faults with which a seed still fails").args([
                file(),
                seed().required(true),
                variant(),
                Arg::new("out")
                    .long("out")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .value_hint(ValueHint::FilePath)
                    .help("Where the scenario is written [default: NAME-seed-N.toml]"),
            ]),
        )
        .subcommand(
            Command::new("diff")
                .about("The first difference between two histories, as `replay` writes them")
                .args([path("one").required(true), path("other").required(true)]),
        )
        .subcommand(Command::new("digest").hide(true).about("The digest of one run, as `verify` compares it").args([
            file(),
            seed().required(true),
            variant(),
            backend(),
        ]))
        .subcommand(
            Command::new("schema")
                .about("Print the JSON schema of scenario files")
                .arg(Arg::new("report").long("report").action(ArgAction::SetTrue).help("That of report.json instead")),
        )
        .subcommand(Command::new("reference").about("Print the reference of scenario files"))
        .subcommands(for_shells())
}

/// What is done with reports and scenarios besides running them.
fn of_reports() -> [Command; 4] {
    [
        Command::new("advise")
            .about("What the boxes in front will cut with a configuration, when, and which lines to change")
            .after_help(ADVISE_EXAMPLE)
            .args([
                Arg::new("hops")
                    .long("hops")
                    .value_name("HOP[=IDLE],…")
                    .required(true)
                    .value_delimiter(',')
                    .value_parser(advise::hop)
                    .help("Products on the way, the nearest to the client first; with an idle limit if it was changed"),
                path("config").long("config").required(true).help("The sidecar's configuration"),
                jobs(),
                no_progress(),
            ]),
        Command::new("merge").about("Join the reports of all parts of a sharded run").args([
            path("reports").value_name("FILE|DIR").num_args(1..).required(true).help("What `--report` wrote"),
            json(),
            report(),
        ]),
        Command::new("compare").about("What got worse from one report to another").args([
            path("one").required(true).value_name("A").help("What `--report` wrote: before"),
            path("other").required(true).value_name("B").help("What `--report` wrote: now"),
            Arg::new("threshold")
                .long("threshold")
                .value_name("[FIGURE=]N%")
                .action(ArgAction::Append)
                .value_parser(compare::threshold)
                .help("By how much a figure may get worse; repeat it for single ones [default: 5%]"),
        ]),
        Command::new("new")
            .about("Write a commented scenario to begin with")
            .after_help(NEW_EXAMPLES)
            .args(new::args()),
    ]
}

fn for_shells() -> [Command; 2] {
    [
        Command::new("completions")
            .about("Print a completion script")
            .after_help("Example:\n  outrigger-sim completions bash > /etc/bash_completion.d/outrigger-sim")
            .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell))),
        Command::new("man")
            .about("Print a manual page")
            .after_help("Example:\n  outrigger-sim man run > /usr/local/share/man/man1/outrigger-sim-run.1")
            .arg(Arg::new("command").value_name("COMMAND").help("The one to tell about, instead of all")),
    ]
}

fn path(name: &'static str) -> Arg {
    let parser = value_parser!(PathBuf);
    Arg::new(name).value_name("FILE").value_parser(parser).value_hint(ValueHint::AnyPath)
}

fn file() -> Arg {
    path("file").required(true).help("A scenario")
}

fn files() -> Arg {
    path("files").value_name("FILE|DIR").num_args(1..).required(true).help("Scenarios, or folders of them")
}

fn seed() -> Arg {
    Arg::new("seed").long("seed").value_name("N").value_parser(value_parser!(u64)).help("One seed")
}

fn seeds() -> Arg {
    Arg::new("seeds")
        .long("seeds")
        .value_name("A..B")
        .conflicts_with("seed")
        .value_parser(range)
        .help("Seeds from A to B, both included [default: 1 to the scenario's `seeds`]")
}

fn variant() -> Arg {
    Arg::new("variant")
        .long("variant")
        .value_name("N")
        .value_parser(value_parser!(u64).range(1..))
        .help("Of a scenario with a sweep, the combination of this number, counted from 1")
}

fn jobs() -> Arg {
    Arg::new("jobs")
        .long("jobs")
        .value_name("N")
        .default_value(DEFAULT_JOBS)
        .value_parser(value_parser!(u64).range(1..=64))
        .help("Runs at once")
}

fn no_progress() -> Arg {
    let help = "Do not tell how far it is; the variable CI leaves out the bar, NO_COLOR its colour";
    Arg::new("no-progress").long("no-progress").action(ArgAction::SetTrue).help(help)
}

fn price(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("N").value_parser(money).help(help)
}

fn money(text: &str) -> Result<f64, String> {
    let amount: Option<f64> = text.parse().ok();
    amount.filter(|amount| (0.0..=MAX_PRICE).contains(amount)).ok_or_else(|| "write a number, such as 0.4".to_owned())
}

fn backend() -> Arg {
    Arg::new("backend")
        .long("backend")
        .value_name("NETWORK")
        .default_value(Backend::TurmoilNet.as_str())
        .value_parser(value_parser!(Backend))
        .help("The network under the scenario")
        .long_help(
            "The network under the scenario. The second one shares no code with the first: invariants that hold on \
             both do not hold by a mistake of one. It steps in milliseconds, connects in one way instead of two, and \
             has no hops, no bandwidth, no one-way partitions and no packets whose bytes could be counted. A scenario \
             that needs one of these is refused, or skipped where it is one of a folder; what is expected of bytes and \
             times is listed as not judged.",
        )
}

impl ValueEnum for Backend {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let about = match self {
            Self::TurmoilNet => "Exact to the microsecond, with TCP, links and hops modelled: for figures",
            Self::Turmoil => "Another, simpler network for cross-checks: for invariants, not for bytes and times",
        };
        Some(PossibleValue::new(self.as_str()).help(about))
    }
}

/// The network that was asked for.
pub(super) fn backend_of(matches: &clap::ArgMatches) -> Backend {
    matches.try_get_one::<Backend>("backend").ok().flatten().copied().unwrap_or_default()
}

fn json() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print runs and figures as JSON")
}

fn report() -> Arg {
    Arg::new("report")
        .long("report")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::DirPath)
        .help("Write report.html, .json and .md and junit.xml into this folder")
}

/// `PART/OF`, counted from 1.
fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match parsed {
        Some((part, of)) if (1..=of).contains(&part) && of <= MAX_SHARDS => Ok(Shard { part, of }),
        _ => Err(format!("write it as 3/10, from 1/10 to 10/10, at most {MAX_SHARDS} parts")),
    }
}

/// `A..B`, both included.
pub(super) fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match parsed {
        Some((from, to)) if from <= to => Ok((from, to)),
        _ => Err("write it as 1..200, the smaller number first".to_owned()),
    }
}
