//! What can be asked of a running sidecar as a whole: to take a new configuration, to stop, or to leave its place to
//! another process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_shared::close::Cause;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::{Config, Shown};
use crate::drain::{Drain, Plan, Progress};
use crate::http::Proxy;
use crate::lifecycle::{Lifecycle, Stage};
use crate::listen::Places;
use crate::net::Net;
use crate::rebalance;
use crate::registry::Closing;
use crate::reload::{ReloadError, Reloads, needs_restart};
use crate::settings::{Settings, SettingsError};
use crate::telemetry::metrics::Now;
use crate::telemetry::{Level, Metrics};
use crate::tls::{Crypto, LoadError, ServerSide};

/// How long sessions have, once they were asked to close, on top of the time that both of their sides may take one after
/// the other: the linger behind the Closes, and a turn to notice.
const CLOSING_MARGIN: Duration = Duration::from_secs(2);

/// The handle of a running sidecar; clones of the `Arc` are the same sidecar.
pub struct Control<N: Net> {
    proxy: Arc<Proxy<N>>,
    places: Places,
    metrics: Option<Arc<Metrics>>,
    start: Start,
    /// Held while a configuration is put into force, so that this is done by one at a time.
    reloading: Mutex<()>,
    reloads: Reloads,
    /// There is one in the life of a process: who asks again hears of the one that is underway.
    drain: std::sync::Mutex<Option<Arc<Drain>>>,
    /// The configuration in force as people read it.
    shown: ArcSwap<Vec<Shown>>,
    log: OnceLock<Level>,
    /// Whether somebody brings sessions to nearer upstreams where the configuration wants it.
    rebalances: AtomicBool,
}

/// What the sidecar was started with, and goes on with until it ends.
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) crypto: Crypto,
    /// How many connections there may be where a configuration leaves it open.
    pub(crate) max_connections: usize,
}

impl<N: Net> Control<N> {
    /// `metrics` is where the proxy's observers count, if they do.
    pub(crate) fn new(proxy: Arc<Proxy<N>>, places: Places, metrics: Option<Arc<Metrics>>, start: Start) -> Arc<Self> {
        Arc::new(Self {
            proxy,
            places,
            metrics,
            start,
            reloading: Mutex::default(),
            reloads: Reloads::default(),
            drain: std::sync::Mutex::default(),
            shown: ArcSwap::default(),
            log: OnceLock::new(),
            rebalances: AtomicBool::new(false),
        })
    }

    /// What is counted; `None` where nobody could ask for it.
    pub fn metrics(&self) -> Option<&Arc<Metrics>> {
        self.metrics.as_ref()
    }

    /// The figures that nobody counts as they change.
    pub fn now(&self) -> Now {
        let upstream = &self.proxy.settings().upstreams;
        Now {
            stage: self.lifecycle().stage(),
            drain: self.drain_progress(),
            connections: self.places.taken(),
            max_connections: self.places.limit(),
            held: (upstream.name().to_owned(), upstream.held()),
            upstreams: upstream.snapshot(),
        }
    }

    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        self.proxy.lifecycle()
    }

    pub(crate) fn proxy(&self) -> &Arc<Proxy<N>> {
        &self.proxy
    }

    /// Tells what the configuration in force looks like, apart from the keys that stay as they were.
    pub fn show_config(&self, mut shown: Vec<Shown>, stay: &[&str]) {
        let before = self.shown.load();
        for one in shown.iter_mut().filter(|one| stay.contains(&one.key)) {
            if let Some(stays) = before.iter().find(|stays| stays.key == one.key) {
                one.clone_from(stays);
            }
        }
        self.shown.store(Arc::new(shown));
    }

    /// The configuration in force, key by key; empty where nobody has told.
    pub fn shown_config(&self) -> Arc<Vec<Shown>> {
        self.shown.load_full()
    }

    pub fn net(&self) -> &N {
        self.proxy.net()
    }

    /// The way to have the configuration read again.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// Puts another configuration in the place of the one in force: what begins from now on goes by it, and what has
    /// begun keeps its own. All of it or, on an error, nothing. `tls` is what [`ServerSide::load`] made of its files.
    ///
    /// Says which settings stay as they were until the sidecar starts anew, though `config` has them otherwise.
    pub async fn put_into_force(
        &self,
        config: &Config,
        tls: Option<ServerSide>,
    ) -> Result<Vec<&'static str>, ReloadError> {
        let _alone = self.reloading.lock().await;
        if self.lifecycle().stage() != Stage::Running {
            return Err(ReloadError::Stopping);
        }
        let before = self.proxy.settings();
        // The listeners stay, and some of them may need what the new configuration has no use for.
        let tls = tls.or_else(|| before.tls.clone());
        if let Some(wrong) = tls.as_ref().and_then(|tls| self.out_of_date(tls, before.tls.as_ref())) {
            return Err(SettingsError::from(wrong).into());
        }
        let (net, crypto, observer) = (self.proxy.net(), &self.start.crypto, self.proxy.observer());
        let settings = Settings::new(net, config, crypto, tls, Some(&before), observer).await?;
        if self.lifecycle().stage() != Stage::Running {
            // It has begun while a name was looked up, and goes by the settings of its beginning.
            return Err(ReloadError::Stopping);
        }
        self.proxy.put_into_force(settings);
        if config.choice.rebalance.is_some() {
            self.rebalance();
        }
        self.places.resize(config.max_connections.unwrap_or(self.start.max_connections));
        Ok(needs_restart(&self.start.config, config))
    }

    /// Sees to it that sessions are brought to nearer upstreams, from the first time that the configuration wants it.
    pub(crate) fn rebalance(&self) {
        if !self.rebalances.swap(true, Ordering::Relaxed) {
            self.net().spawn(rebalance::run(Arc::downgrade(&self.proxy)));
        }
    }

    fn out_of_date(&self, tls: &ServerSide, known: Option<&ServerSide>) -> Option<LoadError> {
        tls.out_of_date(self.proxy.net().wall_clock(), known).into_iter().next()
    }

    /// Gives the level of the log to whoever may change it. The first one holds.
    pub fn give_log(&self, level: Level) {
        let _ = self.log.set(level);
    }

    /// `None` where nobody has given it.
    pub fn log(&self) -> Option<&Level> {
        self.log.get()
    }

    /// Begins to drain without an end of the process, over `window` instead of the configured one if that is given.
    /// Where a drain is underway it goes on as it is. `true` if this call began it.
    pub fn drain(&self, window: Option<Option<Duration>>) -> bool {
        let plan = self.proxy.settings().drain;
        self.begin_drain(Plan { window: window.unwrap_or(plan.window), ..plan }).1
    }

    /// How far the drain is, if one has begun.
    pub fn drain_progress(&self) -> Option<Progress> {
        self.drain.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|drain| drain.progress())
    }

    fn begin_drain(&self, plan: Plan) -> (Arc<Drain>, bool) {
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(drain) = &*drain {
            return (Arc::clone(drain), false);
        }
        self.lifecycle().advance(Stage::Draining);
        let begun = drain.insert(Drain::begin(self.proxy.net(), self.proxy.registry(), plan));
        (Arc::clone(begun), true)
    }

    /// Another process has the listening sockets: none accepts here any more when this is done, and the process drains
    /// and ends by itself.
    pub async fn hand_over(&self) {
        self.lifecycle().hand_over();
        self.lifecycle().deaf().await;
    }

    /// After a signal: drains, lets what is there finish for the grace period, and closes the rest. `hurry` done ends
    /// the grace period early.
    pub(crate) async fn stop(&self, hurry: impl Future<Output = ()>) {
        let settings = self.proxy.settings();
        let (grace, plan) = (settings.shutdown_grace, settings.drain);
        tracing::info!(live = self.lifecycle().live(), grace_s = grace.as_secs(), "stopping");
        if self.start.config.reuse_port {
            // Another process accepts at the same ports: sessions that it could have must not be refused here.
            self.lifecycle().succeed();
        }
        // A session that waits for a quiet moment has to get its Close before the rest is cut.
        let window = plan.window.map(|window| window.min(grace.saturating_sub(plan.quiet)));
        self.finish(Plan { window, ..plan }, grace, hurry).await;
    }

    /// After a handover: drains as configured, since nobody waits for the end of this process, and closes the rest.
    /// `hurry` as for [`Control::stop`].
    pub(crate) async fn leave(&self, hurry: impl Future<Output = ()>) {
        let settings = self.proxy.settings();
        let plan = settings.drain;
        let patience = settings.shutdown_grace.max(plan.window.unwrap_or_default() + plan.quiet);
        tracing::info!(live = self.lifecycle().live(), patience_s = patience.as_secs(), "handed over; stopping");
        self.finish(plan, patience, hurry).await;
    }

    async fn finish(&self, plan: Plan, patience: Duration, hurry: impl Future<Output = ()>) {
        let settings = self.proxy.settings();
        let (lifecycle, registry) = (self.lifecycle(), self.proxy.registry());
        let over = Instant::now() + patience;
        let (drain, begun) = self.begin_drain(plan);
        if let Some(window) = plan.window.filter(|_| !begun) {
            // It began when nobody waited for the end of the process yet.
            drain.shorten(self.proxy.net(), Instant::now() + window);
        }
        let patience = async {
            tokio::select! {
                biased;
                () = hurry => {}
                () = sleep_until(over) => {}
            }
        };
        tokio::pin!(patience);
        // As long as there are sessions, their clients may come back to this port: they are told to go elsewhere.
        let in_time = tokio::select! {
            biased;
            () = registry.emptied() => true,
            () = &mut patience => false,
        };
        lifecycle.advance(Stage::Stopping);
        lifecycle.deaf().await;
        if in_time {
            tokio::select! {
                biased;
                () = lifecycle.emptied() => {}
                () = &mut patience => {}
            }
        }
        lifecycle.advance(Stage::Closing);
        registry.close_all(Closing { cause: Cause::Shutdown, code: settings.shutdown_code, quiet_until: None });
        if timeout(2 * settings.close_timeout + CLOSING_MARGIN, lifecycle.emptied()).await.is_err() {
            tracing::warn!(live = lifecycle.live(), "what is left is cut");
        }
        tracing::info!("stopped");
    }
}
