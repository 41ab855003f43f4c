//! Many runs at once, with a sign of life.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cells of the bar.
const BAR: usize = 30;
/// Without a terminal, a line is written each time so many hundredths are done.
const STEP_PERCENT: usize = 10;

/// Does `work` for each number below `count`, on so many threads; the results are in the order of the numbers.
pub(super) fn all<R: Send>(
    count: usize,
    jobs: usize,
    terminal: bool,
    err: &mut (dyn Write + Send),
    work: impl Fn(usize) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..count).map(|_| None).collect::<Vec<Option<R>>>());
    let progress = Mutex::new(Progress { done: 0, count, terminal, err });
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(count) {
            scope.spawn(|| {
                loop {
                    let mine = next.fetch_add(1, Ordering::Relaxed);
                    if mine >= count {
                        return;
                    }
                    let result = work(mine);
                    results.lock().expect("no worker panics with it")[mine] = Some(result);
                    progress.lock().expect("no worker panics with it").step();
                }
            });
        }
    });
    progress.into_inner().expect("no worker panics with it").finish();
    let results = results.into_inner().expect("no worker panics with it");
    results.into_iter().map(|result| result.expect("every number was taken")).collect()
}

struct Progress<'a> {
    done: usize,
    count: usize,
    terminal: bool,
    err: &'a mut (dyn Write + Send),
}

impl Progress<'_> {
    fn step(&mut self) {
        self.done += 1;
        let Self { done, count, .. } = *self;
        if self.count == 1 {
            return;
        }
        // Whoever reads along may be gone; the runs go on.
        let _ = if self.terminal {
            let full = done * BAR / count;
            let (bar, rest) = ("#".repeat(full), ".".repeat(BAR - full));
            write!(self.err, "\r[{bar}{rest}] {done}/{count} runs").and_then(|()| self.err.flush())
        } else if done * 100 / count / STEP_PERCENT > (done - 1) * 100 / count / STEP_PERCENT {
            writeln!(self.err, "{done}/{count} runs")
        } else {
            Ok(())
        };
    }

    fn finish(self) {
        if self.terminal && self.count > 1 {
            let _ = write!(self.err, "\r\x1b[K").and_then(|()| self.err.flush());
        }
    }
}
