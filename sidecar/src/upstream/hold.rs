//! Upgrades that wait for an app that cannot be reached, as while it restarts.
//!
//! They stand in line, and only the first dials. Whoever reaches the app goes on with that very connection and lets the
//! next one dial. So a dead app is asked by one at a time, and a restarted one meets the herd dial after dial.
//! No byte of a request is sent before its dial has succeeded, so nothing can reach the app twice.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outrigger_shared::entropy::Entropy;
use tokio::time::{Instant, sleep_until, timeout};

use super::shown::Held;
use super::{DialError, SendError};
use crate::config;

/// From the first failure to the next dial; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest time between two dials, and so the longest that a restarted app goes unnoticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why an upgrade is not held, or not any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    #[error("{0} upgrades wait for the app already (hold_max)")]
    Full(usize),
    #[error("the app could not be reached for {0:?} (hold)")]
    TooLong(Duration),
    #[error("the process began to drain")]
    Draining,
}

impl HoldError {
    /// A label for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::TooLong(_) => "too_long",
            Self::Draining => "draining",
        }
    }
}

/// The line of those that wait.
#[derive(Debug)]
pub(super) struct Hold {
    limits: config::Hold,
    /// Whoever has it dials. It is fair: first come, first served.
    turn: tokio::sync::Mutex<()>,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    held: usize,
    /// No dial before this.
    next_dial: Instant,
    /// From the dial after that to the one that follows it, before jitter.
    pause: Duration,
    chance: Entropy,
    away: Option<Away>,
}

/// An app that is away: from the first dial that failed to the first that succeeds.
#[derive(Debug)]
struct Away {
    since: Instant,
    /// How many have been held, and how many of all that came were refused.
    held: usize,
    refused: usize,
}

impl Hold {
    pub(super) fn new(limits: config::Hold, seed: u64) -> Self {
        let line = Line { held: 0, next_dial: Instant::now(), pause: FIRST_PAUSE, chance: Entropy(seed), away: None };
        Self { limits, turn: tokio::sync::Mutex::new(()), line: Mutex::new(line) }
    }

    /// Whether these are its limits.
    pub(super) fn has(&self, limits: config::Hold) -> bool {
        self.limits == limits
    }

    /// How many wait now.
    pub(super) fn held(&self) -> usize {
        self.line().held
    }

    pub(super) fn snapshot(&self) -> Held {
        let line = self.line();
        let away_s = line.away.as_ref().map(|away| away.since.elapsed().as_secs_f64());
        Held { waiting: line.held, max: self.limits.max, away_s }
    }

    /// What `dial` yields, as soon as it yields something. It ends with an error at once when the failure is none that
    /// passes, and when `draining` is done. Dropped while it waits, it leaves the line and dials no more.
    pub(super) async fn connection<T, D>(
        &self,
        dial: impl Fn() -> D,
        draining: impl Future<Output = ()>,
    ) -> Result<T, SendError>
    where
        D: Future<Output = Result<T, DialError>>,
    {
        // Nobody overtakes those that wait.
        if self.held() == 0
            && let Some(connection) = self.attempt(&dial).await?
        {
            return Ok(connection);
        }
        let _place = self.enter().map_err(|why| self.refused(why))?;
        tokio::select! {
            biased;
            () = draining => Err(self.refused(HoldError::Draining)),
            outcome = timeout(self.limits.patience, self.in_turn(&dial)) => {
                outcome.unwrap_or_else(|_| Err(self.refused(HoldError::TooLong(self.limits.patience))))
            }
        }
    }

    /// Waits to be the first in line, and then for the app.
    async fn in_turn<T, D>(&self, dial: &impl Fn() -> D) -> Result<T, SendError>
    where
        D: Future<Output = Result<T, DialError>>,
    {
        let _turn = self.turn.lock().await;
        loop {
            let next_dial = self.line().next_dial;
            sleep_until(next_dial).await;
            // Before the dial and not behind it: a client that leaves in the middle leaves the pause to the next one.
            self.line().back_off();
            if let Some(connection) = self.attempt(dial).await? {
                return Ok(connection);
            }
        }
    }

    /// Dials once; `None` after a failure that may pass.
    async fn attempt<T, D>(&self, dial: &impl Fn() -> D) -> Result<Option<T>, DialError>
    where
        D: Future<Output = Result<T, DialError>>,
    {
        match dial().await {
            Ok(connection) => {
                self.reached();
                Ok(Some(connection))
            }
            Err(error) if error.may_pass() => {
                self.missed(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn enter(&self) -> Result<Place<'_>, HoldError> {
        let mut line = self.line();
        if line.held >= self.limits.max {
            return Err(HoldError::Full(line.held));
        }
        if line.held == 0 {
            // Its own dial has failed this moment.
            line.pause = FIRST_PAUSE;
            line.back_off();
        }
        line.held += 1;
        if let Some(away) = &mut line.away {
            away.held += 1;
        }
        let held = line.held;
        drop(line);
        tracing::debug!(held, "an upgrade waits");
        Ok(Place(self))
    }

    fn reached(&self) {
        let away = {
            let mut line = self.line();
            (line.pause, line.next_dial) = (FIRST_PAUSE, Instant::now());
            line.away.take()
        };
        if let Some(Away { since, held, refused }) = away {
            let away_s = since.elapsed().as_secs_f64();
            tracing::info!(held, refused, away_s, "the app is back");
        }
    }

    fn missed(&self, error: &DialError) {
        let mut line = self.line();
        if line.away.is_none() {
            line.away = Some(Away { since: Instant::now(), held: line.held, refused: 0 });
            drop(line);
            let Self { limits: config::Hold { patience, max }, .. } = self;
            tracing::warn!(%error, hold_s = patience.as_secs_f64(), hold_max = max, "the app is away, upgrades wait for it");
        }
    }

    /// The first refusal while the app is away is a warning; how many there were is said when the app is back.
    fn refused(&self, why: HoldError) -> SendError {
        let first = match &mut self.line().away {
            Some(away) if why != HoldError::Draining => {
                away.refused += 1;
                away.refused == 1
            }
            _ => false,
        };
        if first {
            tracing::warn!(%why, "the app is still away, upgrades are refused");
        } else {
            tracing::debug!(%why, "an upgrade is refused");
        }
        why.into()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Moves the next dial by the pause, of which up to half is taken off by chance: sidecars beside the same app do not
    /// keep time with each other.
    fn back_off(&mut self) {
        let half = self.pause / 2;
        let spread = self.chance.up_to(u64::try_from(half.as_micros()).unwrap_or(u64::MAX));
        self.next_dial = Instant::now() + half + Duration::from_micros(spread);
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
    }
}

/// A place in the line, free again when it is dropped.
struct Place<'a>(&'a Hold);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.line().held -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio::task::JoinSet;
    use tokio::time::sleep;

    use super::*;

    const DIAL: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// An app that takes connections from a certain moment on, and numbers them.
    struct App {
        back: Instant,
        dialling: AtomicUsize,
        dialling_at_most: AtomicUsize,
        dials: Mutex<Vec<Instant>>,
    }

    impl App {
        fn back_in(away: Duration) -> Arc<Self> {
            let (dialling, dialling_at_most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Self { back: Instant::now() + away, dialling, dialling_at_most, dials: Mutex::default() })
        }

        async fn dial(&self) -> Result<usize, DialError> {
            let (nth, begun) = {
                let mut dials = self.dials.lock().unwrap();
                dials.push(Instant::now());
                (dials.len(), Dialling::begin(&self.dialling))
            };
            self.dialling_at_most.fetch_max(self.dialling.load(Ordering::Relaxed), Ordering::Relaxed);
            sleep(DIAL).await;
            drop(begun);
            if Instant::now() < self.back { Err(refused()) } else { Ok(nth) }
        }
    }

    struct Dialling<'a>(&'a AtomicUsize);

    impl<'a> Dialling<'a> {
        fn begin(count: &'a AtomicUsize) -> Self {
            count.fetch_add(1, Ordering::Relaxed);
            Self(count)
        }
    }

    impl Drop for Dialling<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn refused() -> DialError {
        DialError::Connect(io::ErrorKind::ConnectionRefused.into())
    }

    fn hold(patience: Duration, max: usize, seed: u64) -> Arc<Hold> {
        Arc::new(Hold::new(config::Hold { patience, max }, seed))
    }

    async fn ask(hold: Arc<Hold>, app: Arc<App>) -> Result<usize, SendError> {
        hold.connection(|| app.dial(), std::future::pending()).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_restarted_app_meets_the_herd_one_dial_at_a_time_and_first_come_is_first_served() {
        const HERD: usize = 50;
        let (hold, app) = (hold(10 * SECOND, HERD, 1), App::back_in(3 * SECOND));
        let mut herd = JoinSet::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        for n in 0..HERD {
            let (hold, app, order) = (Arc::clone(&hold), Arc::clone(&app), Arc::clone(&order));
            herd.spawn(async move {
                let connection = ask(hold, app).await.unwrap();
                order.lock().unwrap().push((n, connection));
            });
            sleep(2 * DIAL).await;
        }
        assert_eq!(hold.held(), HERD);
        herd.join_all().await;
        let took = Instant::now() - app.back;
        assert!(took <= LONGEST_PAUSE + DIAL * 51, "{took:?}");
        let dials = app.dials.lock().unwrap().len();
        assert!(dials < HERD + 15, "{dials} dials");
        let order = order.lock().unwrap();
        assert!(order.iter().map(|(n, _)| *n).eq(0..HERD), "{order:?}");
        // One after the other, and each kept the connection of its own dial.
        assert!(order.is_sorted_by_key(|(_, connection)| *connection), "{order:?}");
        assert_eq!((app.dialling_at_most.load(Ordering::Relaxed), hold.held()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_lose_at_most_half_by_chance() {
        let (hold, app) = (hold(60 * SECOND, 1, 7), App::back_in(20 * SECOND));
        ask(Arc::clone(&hold), Arc::clone(&app)).await.unwrap();
        let dials = app.dials.lock().unwrap();
        let mut full = FIRST_PAUSE;
        for pair in dials.windows(2) {
            let pause = pair[1] - pair[0];
            // A timer may be late by a millisecond, the first pause begins when a dial has failed.
            assert!(pause >= full / 2 && pause <= full + 3 * DIAL, "{pause:?} of {full:?}");
            full = (2 * full).min(LONGEST_PAUSE);
        }
        assert_eq!(full, LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_the_line_is_full_is_refused_at_once_and_dials_nothing() {
        let (hold, app) = (hold(10 * SECOND, 1, 1), App::back_in(SECOND));
        let mut first = JoinSet::new();
        first.spawn(ask(Arc::clone(&hold), Arc::clone(&app)));
        sleep(2 * DIAL).await;
        let (before, dials) = (Instant::now(), app.dials.lock().unwrap().len());
        let second = ask(Arc::clone(&hold), Arc::clone(&app)).await;
        assert!(matches!(second, Err(SendError::Held(HoldError::Full(1)))), "{second:?}");
        assert_eq!((Instant::now(), app.dials.lock().unwrap().len()), (before, dials));
        first.join_next().await.unwrap().unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_the_wait_at_once() {
        let (hold, app, drain) = (hold(10 * SECOND, 9, 1), App::back_in(60 * SECOND), Arc::new(Notify::new()));
        let mut waiting = JoinSet::new();
        for _ in 0..3 {
            let (hold, app, drain) = (Arc::clone(&hold), Arc::clone(&app), Arc::clone(&drain));
            waiting.spawn(async move { hold.connection(|| app.dial(), drain.notified()).await });
        }
        sleep(SECOND).await;
        assert_eq!(hold.held(), 3);
        let before = Instant::now();
        drain.notify_waiters();
        for outcome in waiting.join_all().await {
            assert!(matches!(outcome, Err(SendError::Held(HoldError::Draining))), "{outcome:?}");
        }
        assert_eq!((Instant::now(), hold.held()), (before, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_does_not_pass_is_told_at_once() {
        let hold = hold(10 * SECOND, 9, 1);
        let denied = || async { Err(DialError::Connect(io::ErrorKind::PermissionDenied.into())) };
        let outcome: Result<(), _> = hold.connection(denied, std::future::pending()).await;
        assert!(matches!(outcome, Err(SendError::Dial(DialError::Connect(_)))), "{outcome:?}");
        // Also one that comes up while others wait.
        let dials = AtomicUsize::new(0);
        let first_refused = || async {
            match dials.fetch_add(1, Ordering::Relaxed) {
                0 => Err(refused()),
                _ => Err(DialError::TlsTimeout(SECOND)),
            }
        };
        let outcome: Result<(), _> = hold.connection(first_refused, std::future::pending()).await;
        assert!(matches!(outcome, Err(SendError::Dial(DialError::TlsTimeout(_)))), "{outcome:?}");
        assert_eq!(hold.held(), 0);
    }

    /// Whatever comes and goes: never more are held than may be, nobody waits longer than the patience, whoever has a
    /// second of it left when the app is back gets a connection, and in the end the line is empty.
    #[tokio::test(start_paused = true)]
    async fn every_history_keeps_the_promises() {
        for seed in 0..300 {
            let mut chance = Entropy(seed);
            let mut draw = |max: u64| chance.up_to(max);
            let patience = Duration::from_millis(200 + draw(4000));
            let (max, away) = (1 + draw(20), Duration::from_millis(draw(5000)));
            let (max, began) = (usize::try_from(max).unwrap(), Instant::now());
            let (hold, app) = (hold(patience, max, seed), App::back_in(away));
            let mut asked = JoinSet::new();
            let mut leaving = Vec::new();
            for _ in 0..30 {
                sleep(Duration::from_millis(draw(200))).await;
                assert!(hold.held() <= max, "seed {seed}");
                let (hold, app) = (Arc::clone(&hold), Arc::clone(&app));
                let task = asked.spawn(async move {
                    let came = Instant::now();
                    (came, ask(hold, app).await, Instant::now())
                });
                if draw(2) == 0 {
                    leaving.push(task);
                }
                if draw(3) == 0 && !leaving.is_empty() {
                    leaving.swap_remove(usize::try_from(draw(1000)).unwrap() % leaving.len()).abort();
                }
            }
            while let Some(outcome) = asked.join_next().await {
                let Ok((came, outcome, told)) = outcome else { continue };
                let waited = told - came;
                // A dial of its own comes before the wait, and timers are late by up to a millisecond each.
                assert!(waited <= patience + 4 * DIAL, "seed {seed}: {waited:?} of {patience:?}");
                match outcome {
                    Ok(_) => assert!(told >= app.back, "seed {seed}"),
                    Err(SendError::Held(HoldError::Full(waiting))) => assert_eq!(waiting, max, "seed {seed}"),
                    Err(SendError::Held(HoldError::TooLong(_))) => {
                        let over = came + patience;
                        assert!(over < app.back + LONGEST_PAUSE + 60 * DIAL, "seed {seed}: forgotten");
                    }
                    Err(other) => panic!("seed {seed}: {other}"),
                }
            }
            assert_eq!((hold.held(), app.dialling.load(Ordering::Relaxed)), (0, 0), "seed {seed}");
            let dials = app.dials.lock().unwrap().len();
            assert!(dials <= 70 + usize::try_from(began.elapsed().as_millis() / 25).unwrap(), "seed {seed}: {dials}");
        }
    }
}
