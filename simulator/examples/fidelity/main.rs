//! The same conversations through the sidecar, over the simulated network or over a real one: what
//! `tests/fidelity/run` compares. App and clients are the same code on both sides, so that what differs is the network
//! under them and, on the real side, the released binary between them.
//!
//! ```text
//! fidelity app IP:PORT                              the app, for ever
//! fidelity client PLAN HTTP HTTPS METER             the conversations, over the real network; figures as JSON
//! fidelity simulated PLAN LATENCY_US LOSS_PPM BPS RUNS    the same in simulated worlds
//! ```

mod app;
mod plan;
mod play;
mod real;
mod simulated;
mod wire;

use std::process::ExitCode;

use self::plan::{Figures, Plan};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fidelity: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<(), String> {
    match args {
        ["app", addr] => real::app(parsed(addr)?),
        ["client", plan, http, https, meter] => {
            print(&real::client(Plan::read(plan)?, [parsed(http)?, parsed(https)?], (*meter).into()))
        }
        ["simulated", plan, latency_us, loss_ppm, bps, runs] => {
            let link = outrigger_sim::wan::Link::latency(parsed(latency_us)?).loss(parsed(loss_ppm)?);
            print(&simulated::all(&Plan::read(plan)?, link.bandwidth(parsed(bps)?), parsed(runs)?)?)
        }
        _ => Err("what is wanted is told at the top of simulator/examples/fidelity/main.rs".to_owned()),
    }
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} cannot be read"))
}

fn print(figures: &Figures) -> Result<(), String> {
    println!("{}", serde_json::to_string(figures).map_err(|error| error.to_string())?);
    Ok(())
}
