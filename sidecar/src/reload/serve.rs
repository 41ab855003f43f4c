//! Reads the configuration again whenever it is asked for: by a signal, by a file that changed, or by the admin API.

use std::sync::Arc;

use tokio::signal::unix::Signal;

use super::source::{Files, Source};
use super::watch::Watch;
use super::{Answer, Refused, Reloaded, Requests};
use crate::cli::Command;
use crate::config::Config;
use crate::control::Control;
use crate::lifecycle::Stage;
use crate::net::Net;
use crate::telemetry::Level;
use crate::tls::{Crypto, ServerSide};

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
    Request(Answer),
}

impl<N: Net> Reloader<N> {
    /// Serves until the process is on its way out. Each of `signals` asks too.
    pub async fn serve(mut self, mut requests: Requests, mut signals: Signal) {
        let control = Arc::clone(&self.control);
        let mut stopping = std::pin::pin!(control.lifecycle().reached(Stage::Stopping));
        let mut watch = self.watch();
        loop {
            let asker = tokio::select! {
                biased;
                () = &mut stopping => return,
                Some(()) = signals.recv() => Asker::Signal,
                Some(answer) = requests.0.recv() => Asker::Request(answer),
                () = changed(&mut watch) => Asker::FileChange,
            };
            let outcome = self.reload().await;
            tell(&asker, &outcome);
            if let Asker::Request(answer) = asker {
                // Who asked may be gone; it is done all the same.
                let _ = answer.send(outcome);
            }
            watch = self.watch();
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, Refused> {
        let reading = self.source.read();
        // Those of a faulty configuration too: one of them will be mended.
        self.files = reading.files;
        let (config, warnings, shown) = match reading.command {
            Ok(Command::Run { config, warnings, shown }) => (config, warnings, shown),
            Ok(Command::Demo(_) | Command::Drain(_) | Command::Manifests(_)) => return Err(Refused::NoSource),
            Err(exit) => return Err(Refused::Faulty(exit.err.trim_end().to_owned())),
        };
        let faulty = |error: &dyn std::error::Error| Refused::Faulty(error.to_string());
        let tls = config.tls.as_ref().map(|files| ServerSide::load(files, &self.crypto)).transpose();
        let tls = tls.map_err(|error| faulty(&error))?;
        let needs_restart = self.control.put_into_force(&config, tls).await.map_err(|error| faulty(&error))?;
        self.control.show_config(shown, &needs_restart);
        if config.log.level != self.config.log.level {
            self.level.set(config.log.level);
        }
        self.config = *config;
        Ok(Reloaded { warnings: warnings.iter().map(ToString::to_string).collect(), needs_restart })
    }

    /// `None` where files are not to be watched or cannot be.
    fn watch(&self) -> Option<Watch> {
        if !self.config.watch || self.files.paths().next().is_none() {
            return None;
        }
        Watch::new(self.files.clone()).inspect_err(not_watched).ok()
    }
}

/// Done once a file has changed; never where none is watched.
async fn changed(watch: &mut Option<Watch>) {
    if let Some(watched) = watch {
        match watched.changed().await {
            Ok(()) => return,
            Err(error) => not_watched(&error),
        }
        *watch = None;
    }
    std::future::pending::<()>().await;
}

fn not_watched(error: &notify::Error) {
    tracing::warn!("files of the configuration are not watched: {error}; SIGHUP has them read again");
}

fn tell(asker: &Asker, outcome: &Result<Reloaded, Refused>) {
    let why = match asker {
        Asker::Signal => "SIGHUP",
        Asker::FileChange => "a file changed",
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
            tracing::info!(why, "reloaded: what begins from now on goes by the new configuration");
        }
        Err(refused) => tracing::error!(why, "not reloaded, the configuration before stays in force: {refused}"),
    }
}
