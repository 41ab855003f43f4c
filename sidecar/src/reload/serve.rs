//! Reads the configuration again whenever it is asked for: by a signal, by a file that changed, or by the admin API.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::sleep;

use super::source::{Files, Reading, Source};
use super::watch::{Watch, off_the_runtime};
use super::{Answer, Refused, ReloadError, Reloaded, Requests};
use crate::cli::Command;
use crate::config::{Config, Finding, Shown};
use crate::control::Control;
use crate::lifecycle::Stage;
use crate::net::Net;
use crate::telemetry::Level;
use crate::tls::{Crypto, ServerSide};

/// What people are told once another configuration is in force.
pub const RELOADED: &str = "reloaded: what begins from now on goes by the new configuration";

/// From one attempt to the next with a configuration that may only have come too early.
const PAUSE: Duration = Duration::from_secs(30);

/// What it takes to read a configuration again and to put it into force.
pub struct Reloader<N: Net> {
    pub source: Source,
    pub control: Arc<Control<N>>,
    pub crypto: Crypto,
    pub level: Level,
    /// The configuration in force, and the files that it came from.
    pub config: Config,
    pub files: Files,
}

/// Who wants it.
enum Asker {
    Signal,
    FileChange,
    /// It was refused, but perhaps not for good.
    Patience,
    Request(Answer),
}

impl<N: Net> Reloader<N> {
    /// Serves until the process is on its way out. Each of `signals` asks too.
    pub async fn serve(mut self, mut requests: Requests, mut signals: Signal) {
        let control = Arc::clone(&self.control);
        let mut stopping = std::pin::pin!(control.lifecycle().reached(Stage::Stopping));
        let mut watch = self.watch();
        let mut again = false;
        loop {
            let asker = tokio::select! {
                biased;
                () = &mut stopping => return,
                Some(()) = signals.recv() => Asker::Signal,
                Some(answer) = requests.0.recv() => Asker::Request(answer),
                () = changed(&mut watch) => Asker::FileChange,
                () = sleep(PAUSE), if again => Asker::Patience,
            };
            let outcome = self.reload().await;
            tell(&asker, &outcome);
            // Where files are watched nobody may be there to ask again.
            again = self.config.watch && matches!(outcome, Err(Refused::NotNow(_)));
            if again {
                tracing::info!("the new configuration may do later: trying again in {} s", PAUSE.as_secs());
            }
            if let Asker::Request(answer) = asker {
                // Who asked may be gone; it is done all the same.
                let _ = answer.send(outcome);
            }
            watch = self.watch();
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, Refused> {
        let (source, crypto) = (self.source.clone(), self.crypto.clone());
        let (outcome, files) = off_the_runtime(move || read(&source, &crypto)).await;
        // Those of a faulty configuration too: one of them will be mended.
        self.files = files;
        let (config, warnings, shown, tls) = outcome?;
        let in_force = self.control.put_into_force(&config, tls).await;
        let needs_restart = in_force.map_err(|error| match &error {
            ReloadError::Settings(settings) if settings.may_pass() => Refused::NotNow(error.to_string()),
            _ => Refused::Faulty(error.to_string()),
        })?;
        self.control.show_config(shown, &needs_restart);
        if config.log.level != self.config.log.level {
            self.level.set(config.log.level);
        }
        self.config = *config;
        Ok(Reloaded { warnings: warnings.iter().map(ToString::to_string).collect(), needs_restart })
    }

    /// `None` where files are not to be watched.
    fn watch(&self) -> Option<Watch> {
        if !self.config.watch || self.files.paths().next().is_none() {
            return None;
        }
        Some(Watch::new(self.files.clone()))
    }
}

/// A configuration with its warnings, how it is shown, and its certificates; and the files that had a part in it.
type Read = (Result<(Box<Config>, Vec<Finding>, Vec<Shown>, Option<ServerSide>), Refused>, Files);

fn read(source: &Source, crypto: &Crypto) -> Read {
    let Reading { command, files } = source.read();
    let outcome = match command {
        Ok(Command::Run { config, warnings, shown }) => {
            let tls = config.tls.as_ref().map(|files| ServerSide::load(files, crypto)).transpose();
            tls.map(|tls| (config, warnings, shown, tls)).map_err(|error| Refused::Faulty(error.to_string()))
        }
        Ok(_) => Err(Refused::NoSource),
        Err(exit) => Err(Refused::Faulty(exit.err.trim_end().to_owned())),
    };
    (outcome, files)
}

/// Done once a file has changed; never where none is watched.
async fn changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

fn tell(asker: &Asker, outcome: &Result<Reloaded, Refused>) {
    let why = match asker {
        Asker::Signal => "SIGHUP",
        Asker::FileChange => "a file changed",
        Asker::Patience => "another attempt",
        Asker::Request(_) => "the admin API",
    };
    match outcome {
        Ok(Reloaded { warnings, needs_restart }) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            for key in needs_restart {
                tracing::warn!(key, "{key} stays as it is until the sidecar is started anew");
            }
            tracing::info!(why, "{RELOADED}");
        }
        Err(refused) => tracing::error!(why, "not reloaded, the configuration before stays in force: {refused}"),
    }
}

#[cfg(test)]
mod tests;
