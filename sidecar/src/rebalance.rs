//! Sessions come home: those that began elsewhere because the nearest upstreams were away are asked to close, spread
//! over a window and each at a quiet moment, so that their clients come back to where new sessions go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use outrigger_shared::close::{Cause, CloseCode};
use tokio::time::{Instant, sleep, sleep_until};

use crate::drain::{shift, shuffled};
use crate::http::Proxy;
use crate::lifecycle::Stage;
use crate::net::Net;
use crate::registry::Closing;

/// How often it is looked whether there are any.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long new sessions have to go to the same place before others follow: one that flaps gets none back.
const SETTLED: Duration = Duration::from_secs(30);
/// How much of its share of the window each session is moved by chance.
const JITTER_PERCENT: u8 = 100;

/// Brings sessions home for as long as the configuration in force says so and the process runs.
pub(crate) async fn run<N: Net>(proxy: Weak<Proxy<N>>) {
    loop {
        sleep(LOOK_EVERY).await;
        let Some(proxy) = proxy.upgrade() else { return };
        if proxy.lifecycle().stage() != Stage::Running {
            return;
        }
        let Some(window) = proxy.settings().rebalance else { continue };
        let astray = astray(&proxy);
        if !astray.is_empty() {
            bring_home(&proxy, window, astray).await;
        }
    }
}

/// The numbers of sessions that are not where new ones go.
fn astray<N: Net>(proxy: &Proxy<N>) -> Vec<u64> {
    let upstreams = proxy.settings().upstreams.strays(SETTLED);
    if upstreams.is_empty() {
        return Vec::new();
    }
    let is_at = |id: &u64| {
        let handle = proxy.registry().get(*id);
        handle.is_some_and(|handle| handle.who().upstream.as_ref().is_some_and(|at| upstreams.contains(at)))
    };
    proxy.registry().ids().into_iter().filter(is_at).collect()
}

async fn bring_home<N: Net>(proxy: &Arc<Proxy<N>>, window: Duration, astray: Vec<u64>) {
    tracing::info!(sessions = astray.len(), window_s = window.as_secs_f64(), "rebalance begins");
    let began = Instant::now();
    let count = u32::try_from(astray.len()).unwrap_or(u32::MAX);
    let share = window / count;
    let mut asked = 0u32;
    for (place, (id, chance)) in (0..).zip(shuffled(astray, proxy.net().seed())) {
        let start = began + window.mul_f64(f64::from(place) / f64::from(count));
        sleep_until(start + shift(share, JITTER_PERCENT, chance)).await;
        let settings = proxy.settings();
        if proxy.lifecycle().stage() != Stage::Running || settings.rebalance.is_none() {
            break;
        }
        let Some(session) = proxy.registry().get(id) else { continue };
        // Home may have failed since, and then there is nowhere to go.
        let strays = settings.upstreams.strays(SETTLED);
        if session.who().upstream.as_ref().is_none_or(|at| !strays.contains(at)) {
            continue;
        }
        let quiet_until = Some(Instant::now() + settings.drain.quiet);
        session.close(Closing { cause: Cause::Rebalance, code: CloseCode::SERVICE_RESTART, quiet_until });
        asked += 1;
    }
    tracing::info!(asked, elapsed_s = began.elapsed().as_secs_f64(), "rebalanced");
}
