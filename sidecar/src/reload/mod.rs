//! Another configuration for a sidecar that runs: who asks for it, and what becomes of it.
//!
//! [`Control::put_into_force`](crate::control::Control::put_into_force) does it. Reading the sources again is the
//! binary's matter: [`source`] reads, [`watch`] hears of files that change, [`serve`] does what is asked.

pub mod serve;
pub mod source;
pub mod watch;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::settings::SettingsError;

/// Requests that wait while another one is served; whoever comes then can as well come back.
const MAX_WAITING: usize = 16;

/// Why a configuration was not put into force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("this process is on its way out; the next one starts with the configuration as it is then")]
    Stopping,
}

/// A configuration was read again and is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    pub warnings: Vec<String>,
    /// Settings that keep their old values until the sidecar starts anew.
    pub needs_restart: Vec<&'static str>,
}

/// The configuration in force is still the one before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Everything that is wrong with the new one, as a person reads it.
    #[error("{0}")]
    Faulty(String),
    /// Nothing is wrong with the new one as such: it may do at another time, as it is.
    #[error("{0}")]
    NotNow(String),
    #[error("{MAX_WAITING} others wait for a reload; ask again when they are done")]
    Busy,
    #[error("this sidecar was started by a program that gave it its configuration: there is nothing to read again")]
    NoSource,
}

type Answer = oneshot::Sender<Result<Reloaded, Refused>>;

/// The way from whoever asks for a reload to whoever can read the configuration.
#[derive(Debug)]
pub struct Reloads {
    queue: mpsc::Sender<Answer>,
    /// Until somebody serves them.
    requests: Mutex<Option<Requests>>,
}

/// What was asked for and not served yet.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Answer>);

impl Default for Reloads {
    fn default() -> Self {
        let (queue, requests) = mpsc::channel(MAX_WAITING);
        Self { queue, requests: Mutex::new(Some(Requests(requests))) }
    }
}

impl Reloads {
    /// Has the configuration read again, and says what came of it.
    pub async fn ask(&self) -> Result<Reloaded, Refused> {
        if self.requests.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(Refused::NoSource);
        }
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(answer).map_err(|_| Refused::Busy)?;
        outcome.await.unwrap_or(Err(Refused::NoSource))
    }

    /// For the one who serves the requests; `None` for a second one.
    pub fn take_requests(&self) -> Option<Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Settings in which `wanted` differs from `start`, and that are fixed while the process lives.
pub(crate) fn needs_restart(start: &Config, wanted: &Config) -> Vec<&'static str> {
    let differ = [
        ("listen", start.listeners != wanted.listeners),
        ("handover", start.handover != wanted.handover),
        ("reuseport", start.reuse_port != wanted.reuse_port),
        ("worker_threads", start.worker_threads != wanted.worker_threads),
        ("log_format", start.log.format != wanted.log.format),
        ("access_log", start.access_log.lines != wanted.access_log.lines),
        ("access_log_format", start.access_log.format != wanted.access_log.format),
        ("admin", start.admin.as_ref().map(|admin| admin.addr) != wanted.admin.as_ref().map(|admin| admin.addr)),
        ("admin_token_file", token_file(start) != token_file(wanted)),
        ("otlp", start.otlp != wanted.otlp || start.tracing != wanted.tracing),
    ];
    differ.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

fn token_file(config: &Config) -> Option<&PathBuf> {
    config.admin.as_ref()?.token_file.as_ref()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn without_a_source_there_is_nothing_to_reload() {
        assert_eq!(Reloads::default().ask().await, Err(Refused::NoSource));
    }

    #[tokio::test]
    async fn whoever_asks_while_too_many_wait_is_told_so() {
        let reloads = Reloads::default();
        let mut requests = reloads.take_requests().expect("nobody has them");
        assert!(reloads.take_requests().is_none());
        let waiting = std::iter::repeat_with(|| Box::pin(reloads.ask())).take(MAX_WAITING);
        let mut waiting: Vec<_> = waiting.collect();
        for one in &mut waiting {
            assert!(timeout(Duration::ZERO, one).await.is_err());
        }
        assert_eq!(reloads.ask().await, Err(Refused::Busy));
        let answer = requests.0.recv().await.expect("many asked");
        let outcome = Ok(Reloaded { warnings: Vec::new(), needs_restart: vec!["listen"] });
        answer.send(outcome.clone()).expect("it waits");
        assert_eq!(waiting.remove(0).await, outcome);
    }
}
