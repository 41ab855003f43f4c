//! How much virtual time a CPU plays: sessions that do little but live, which is what most of them do.
//!
//! `cargo bench -p outrigger-sim` plays 1,000 seeds; `-- --seeds 50` fewer, `-- --jobs 1` one at a time. What it tells
//! and what it is to reach: docs/BENCHMARKS.md. Linux only, for its clocks.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outrigger_sim::scenario::{self, Scenario};
use outrigger_sim::world::{self, Options};
use rustix::time::{ClockId, clock_gettime};

const SEEDS: u64 = 1_000;
const CLIENTS: u32 = 100;
const MINUTES: u64 = 10;
/// What an hour costs is the difference of two runs, on so many seeds of the thousand.
const SEEDS_PER_HOUR_SEED: u64 = 50;
/// For the whole thousand, on two CPUs that have nothing else to do.
const TARGET: Duration = Duration::from_mins(1);
/// A sign of life each time so many hundredths are done.
const STEP_PERCENT: u64 = 10;

/// Push clients behind one sidecar, without updates.
fn sessions(minutes: u64, keepalive: &str) -> Scenario {
    let text = format!(
        r#"
name = "throughput"
duration = "{minutes}m"
[[apps]]
name = "feed"
[[sidecars]]
name = "edge"
[sidecars.config]
keepalive = "{keepalive}"
proxy_read_timeout = "14m"
[[clients]]
name = "web"
kind = "push"
count = {CLIENTS}
start_spread = "30s"
[workload]
updates = "none"
[expect]
reconnects = 0
"#
    );
    let text = if keepalive == "off" { text.replace("14m", "3h") } else { text };
    scenario::parse("throughput.toml", &text).unwrap_or_else(|report| panic!("{report}")).0
}

/// One ping to each end of each session every 30 s.
fn busy(minutes: u64) -> Scenario {
    sessions(minutes, "30s")
}

/// Nothing at all happens between the first second and the last.
fn idle(minutes: u64) -> Scenario {
    sessions(minutes, "off")
}

/// What a series of runs took.
struct Took {
    wall: Duration,
    cpu: Duration,
    /// Virtual time that clients' connections were open, summed up.
    connected: Duration,
    /// Times that tasks were polled.
    turns: u64,
}

/// Plays seeds 1 to `seeds`, on so many threads.
fn play(scenario: &Scenario, seeds: u64, jobs: usize, tell: bool) -> Took {
    let (next, done, turns) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
    let connected = Mutex::new(0.0);
    let before = [ClockId::Monotonic, ClockId::ProcessCPUTime].map(clock);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    let run = world::run(scenario, seed, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
                    assert!(run.is_good(), "seed {seed}: {:#?}\n{:#?}", run.violations, run.failures);
                    let us = run.metrics[&(String::new(), "connection_time".to_owned())];
                    *connected.lock().expect("no thread panics with it") += us / 1e6;
                    turns.fetch_add(run.stats.turns, Ordering::Relaxed);
                    let so_far = done.fetch_add(1, Ordering::Relaxed) + 1;
                    let step = |done: u64| done * 100 / seeds / STEP_PERCENT;
                    if tell && step(so_far) > step(so_far - 1) {
                        eprintln!("{so_far}/{seeds} seeds");
                    }
                }
            });
        }
    });
    let [wall, cpu] = [ClockId::Monotonic, ClockId::ProcessCPUTime].map(clock);
    let connected = Duration::from_secs_f64(connected.into_inner().expect("no thread panics with it"));
    let [wall, cpu] = [wall.saturating_sub(before[0]), cpu.saturating_sub(before[1])];
    Took { wall, cpu, connected, turns: turns.into_inner() }
}

fn clock(id: ClockId) -> Duration {
    let now = clock_gettime(id);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("less than a second"))
}

/// CPU time of a virtual hour of all clients, in seconds: what a run of `MINUTES` and an hour takes more than one
/// without that hour.
fn hour(kind: fn(u64) -> Scenario, seeds: u64) -> f64 {
    // One at a time: threads that wait for each other's memory would be counted as busy.
    let [short, long] = [MINUTES, MINUTES + 60].map(|minutes| play(&kind(minutes), seeds, 1, false).cpu);
    long.saturating_sub(short).as_secs_f64() / Duration::from_secs(seeds).as_secs_f64()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` builds this too and has nothing to wait for.
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run it with `cargo bench -p outrigger-sim`");
        return ExitCode::SUCCESS;
    }
    let number = |name: &str| {
        let value = args.iter().skip_while(|arg| *arg != name).nth(1)?;
        Some(value.parse::<u64>().unwrap_or_else(|_| panic!("`{name}` takes a number, not `{value}`")).max(1))
    };
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let seeds = number("--seeds").unwrap_or(SEEDS);
    let jobs = number("--jobs").map_or(cpus, |jobs| usize::try_from(jobs).unwrap_or(cpus));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    println!("{seeds} seeds × {CLIENTS} clients × {MINUTES} virtual minutes, a ping each 30 s to both ends;");
    println!("{jobs} jobs on {cpus} CPUs, load {load} before");

    let took = play(&busy(MINUTES), seeds, jobs, true);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand seeds")]
    let per_seed = took.cpu.as_secs_f64() * 1e3 / seeds as f64;
    let hours = took.connected.as_secs_f64() / 3600.0;
    let met = match took.wall <= TARGET {
        _ if seeds != SEEDS => "",
        true => " (60 s at most: met)",
        false => " (60 s at most: missed)",
    };
    println!("wall time                    {:.1} s{met}", took.wall.as_secs_f64());
    println!("CPU time                     {:.1} s, {per_seed:.1} ms a seed", took.cpu.as_secs_f64());
    println!("turns of tasks, a seed       {}", took.turns / seeds);
    println!("virtual connection-hours     {hours:.0}");
    println!("  a second of wall time      {:.0}", hours / took.wall.as_secs_f64());
    println!("  a second of CPU time       {:.0}", hours / took.cpu.as_secs_f64());

    let seeds = seeds.div_ceil(SEEDS_PER_HOUR_SEED);
    let (busy, idle) = (hour(busy, seeds), hour(idle, seeds));
    println!("an hour of {CLIENTS} sessions, CPU  {:.1} ms with pings, {:.1} ms idle", busy * 1e3, idle * 1e3);
    println!("  idle, of one with pings    {:.2}%", 100.0 * idle / busy);
    ExitCode::SUCCESS
}
