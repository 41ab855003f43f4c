//! Many runs at once, with a sign of life.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::ArgMatches;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Screen;

/// Without a bar, a line is written each time so many hundredths are done.
const STEP_PERCENT: usize = 10;
/// How often the bar is drawn while no run ends.
const TICK: Duration = Duration::from_millis(500);
/// Not a line longer than 80 columns, whatever the numbers.
const BAR: &str = "[{bar:30}] {pos}/{len} runs {speed}";
const COLORED_BAR: &str = "[{bar:30.green}] {pos}/{len} runs {speed}";

/// How runs are done and what is told meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    jobs: usize,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Bar { color: bool },
    Lines,
    Nothing,
}

impl Told {
    /// The same without a sign of life.
    pub(super) fn quietly(self) -> Self {
        Self { progress: Progress::Nothing, ..self }
    }
}

/// What the flags say.
pub(super) fn told(matches: &ArgMatches, screen: &Screen) -> Told {
    let jobs = usize::try_from(*matches.get_one::<u64>("jobs").expect("it has a default")).unwrap_or(1);
    let progress = match (matches.get_flag("no-progress"), screen.bar) {
        (true, _) => Progress::Nothing,
        (false, true) => Progress::Bar { color: screen.color },
        (false, false) => Progress::Lines,
    };
    Told { jobs, progress }
}

/// Does `work` for each number below `count`, on so many threads; the results are in the order of the numbers.
pub(super) fn all<R: Send>(
    count: usize,
    told: &Told,
    err: &mut (dyn Write + Send),
    work: impl Fn(usize) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..count).map(|_| None).collect::<Vec<Option<R>>>());
    let bar = bar(count, told.progress);
    let done = Mutex::new((0, err));
    std::thread::scope(|scope| {
        for _ in 0..told.jobs.min(count) {
            scope.spawn(|| {
                loop {
                    let mine = next.fetch_add(1, Ordering::Relaxed);
                    if mine >= count {
                        return;
                    }
                    let result = work(mine);
                    results.lock().expect("no worker panics with it")[mine] = Some(result);
                    let (done, err) = &mut *done.lock().expect("no worker panics with it");
                    *done += 1;
                    if let Some(bar) = &bar {
                        bar.inc(1);
                    }
                    if told.progress == Progress::Lines {
                        step(*done, count, *err);
                    }
                }
            });
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let results = results.into_inner().expect("no worker panics with it");
    results.into_iter().map(|result| result.expect("every number was taken")).collect()
}

/// None unless it is wanted and there is something to wait for: even a hidden one draws from the system's randomness.
fn bar(count: usize, progress: Progress) -> Option<ProgressBar> {
    let (Progress::Bar { color }, 2..) = (progress, count) else { return None };
    let style = ProgressStyle::with_template(if color { COLORED_BAR } else { BAR }).expect("the template is right");
    let speed = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // Before the first run has ended, nobody knows.
        if state.pos() > 0 {
            let _ = write!(text, "{:.1} runs/s, {:#} left", state.per_sec(), HumanDuration(state.eta()));
        }
    };
    let length = u64::try_from(count).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("##.").with_key("speed", speed));
    bar.enable_steady_tick(TICK);
    Some(bar)
}

/// A line for each tenth.
fn step(done: usize, count: usize, err: &mut dyn Write) {
    if count > 1 && done * 100 / count / STEP_PERCENT > (done - 1) * 100 / count / STEP_PERCENT {
        // Whoever reads along may be gone; the runs go on.
        let _ = writeln!(err, "{done}/{count} runs");
    }
}
