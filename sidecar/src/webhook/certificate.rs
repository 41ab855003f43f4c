//! The server's certificate, which is renewed while it serves: cert-manager writes another Secret, and the kubelet the files.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::sleep;

use super::serve::Hook;
use crate::config::{CertPair, ClientAuth, TlsFiles, TlsProtocols};
use crate::lifecycle::Stage;
use crate::net::Net;
use crate::reload::source::Files;
use crate::reload::watch::{Watch, off_the_runtime};
use crate::tls::{Crypto, LoadError, ServerSide};

/// From one attempt to the next with a certificate that is not valid, and may become so.
const PAUSE: Duration = Duration::from_secs(30);

/// A certificate and the files that it came from, as they were before it was read.
pub(super) struct Loaded {
    pub(super) files: Files,
    pub(super) tls: Result<ServerSide, LoadError>,
}

pub(super) fn load(pair: &CertPair, crypto: &Crypto) -> Loaded {
    // In this order a change in between is one that is still to be seen.
    let files = Files::of([pair.cert.as_path(), pair.key.as_path()]);
    // Whoever asks learns nothing that is not in the question: clients need not say who they are.
    let wanted = TlsFiles {
        certs: vec![pair.clone()],
        client_auth: ClientAuth::Off,
        protocols: TlsProtocols::Both,
        ciphers: None,
    };
    Loaded { files, tls: ServerSide::load(&wanted, crypto) }
}

/// Puts another certificate into force when the files change, or when one of `signals` asks for it, until the process stops. One that
/// cannot be used leaves that before in force.
pub(super) async fn renew<N: Net>(
    hook: Arc<Hook<N>>,
    pair: CertPair,
    crypto: Crypto,
    mut files: Files,
    mut signals: Signal,
) {
    let mut stopping = pin!(hook.lifecycle.reached(Stage::Stopping));
    let mut again = false;
    loop {
        let mut watch = Watch::new(files.clone());
        tokio::select! {
            biased;
            () = &mut stopping => return,
            Some(()) = signals.recv() => {}
            () = watch.changed() => {}
            () = sleep(PAUSE), if again => {}
        }
        let (pair, crypto) = (pair.clone(), crypto.clone());
        let loaded = off_the_runtime(move || load(&pair, &crypto)).await;
        files = loaded.files;
        let refused = match loaded.tls {
            Ok(tls) => match tls.out_of_date(hook.net.wall_clock(), Some(&hook.tls.load())).into_iter().next() {
                None => {
                    hook.tls.store(Arc::new(tls));
                    None
                }
                wrong => wrong,
            },
            Err(error) => Some(error),
        };
        again = matches!(refused, Some(LoadError::OutOfDate { .. }));
        match refused {
            None => tracing::info!("the certificate was read again and is in force"),
            Some(error) => tracing::error!("the certificate before stays in force: {error}"),
        }
    }
}
