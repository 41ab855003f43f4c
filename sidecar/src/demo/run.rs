//! The demo as a whole: the app, the real sidecar in front of it, and a certificate made on the spot.

use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Links, serve};
use crate::cli::Demo;
use crate::config::{self, Config, Scheme, Sources};
use crate::descriptors::connections_that_fit;
use crate::net::{Net, TokioNet};
use crate::server::{Server, StartError, Surroundings};
use crate::telemetry;
use crate::tls::{Crypto, ServerSide};

/// Where the app listens: on loopback, at a port of the kernel's choice.
const APP_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the demo's app cannot listen on loopback: {0}")]
    App(io::Error),
    #[error("the demo's certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the demo's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{0}; try --http 127.0.0.1:0 and --https 127.0.0.1:0")]
    Start(#[from] StartError),
}

/// Runs until `shutdown` is done. Tells `out` where the page is. `hurry` cuts the goodbye short.
pub async fn run(
    demo: Demo,
    out: &mut impl Write,
    shutdown: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let net = TokioNet::default();
    let listener = TcpListener::bind(APP_ADDR).await.map_err(DemoError::App)?;
    let app = listener.local_addr().map_err(DemoError::App)?;
    let crypto = Crypto::new(net);
    let tls = self_signed(&[demo.http.ip(), demo.https.ip()], &crypto)?;
    let surroundings = Surroundings {
        crypto,
        tls: Some(tls),
        max_connections: connections_that_fit(),
        observer: Arc::new(telemetry::Log),
        tracer: None,
        metrics: false,
    };
    let server = Server::start(net, &config(&demo, app), surroundings).await?;

    let links = Links { http: origin(&server, Scheme::Http), https: origin(&server, Scheme::Https) };
    // Nobody reads it when stdout is closed, and the page is there all the same.
    let _ = write!(out, "{}", greeting(&links, app, demo.color)).and_then(|()| out.flush());

    let (stop_app, stopped) = oneshot::channel::<()>();
    net.spawn(async move {
        // Both a word and a dropped sender mean that the sidecar is gone.
        let until = async { drop(stopped.await) };
        if let Err(error) = serve(listener, links, wall_clock, until).await {
            tracing::error!("the demo's app stopped: {error}");
        }
    });
    server.run(shutdown, hurry).await;
    drop(stop_app);
    Ok(())
}

fn wall_clock() -> std::time::SystemTime {
    TokioNet::default().wall_clock()
}

/// What a user would have written, but for the certificate's files: there are none.
fn config(demo: &Demo, app: SocketAddr) -> Config {
    let flag = |key: &str, value: String| (key.to_owned(), value);
    let flags = vec![
        flag("listen", format!("http://{}", demo.http)),
        flag("listen", format!("https://{}", demo.https)),
        flag("tls_cert", "made on the spot".into()),
        flag("tls_key", "made on the spot".into()),
        flag("upstream", app.to_string()),
        // Pages reload and reconnect by themselves; nobody waits for a demo to drain.
        flag("shutdown_grace", "0s".into()),
        // Whatever runs on this host already stays undisturbed.
        flag("admin", "off".into()),
    ];
    let sources = Sources { flags, ..Sources::default() };
    config::resolve(&sources, None).expect("the demo's own settings are right").0
}

fn self_signed(listening: &[IpAddr], crypto: &Crypto) -> Result<ServerSide, DemoError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for ip in listening.iter().map(IpAddr::to_string) {
        if !names.contains(&ip) {
            names.push(ip);
        }
    }
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new(names)?.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|why| rustls::Error::General(why.into()))?;
    Ok(ServerSide::with_certificate(vec![cert.der().clone()], key, crypto)?)
}

/// The origin of a listener, as a browser on this machine reaches it.
fn origin<N: Net>(server: &Server<N>, scheme: Scheme) -> String {
    let found = server.addresses().iter().find(|(s, _)| *s == scheme);
    let (_, mut addr) = *found.expect("the demo has a listener of each");
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("{}://{addr}", scheme.as_str())
}

fn greeting(links: &Links, app: SocketAddr, color: bool) -> String {
    let (bold, off) = if color { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!(
        "The same updates by polling and by push, through a real sidecar. Open either page:\n\n    \
         {bold}{}/{off}    over ws://\n    {bold}{}/{off}   over wss:// (made-up certificate: the browser asks once)\n\n\
         The app behind it listens on http://{app}. Ctrl-C ends the demo.\n",
        links.http, links.https
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_settings_are_right() {
        let demo = Demo { http: APP_ADDR, https: APP_ADDR, color: false };
        let config = config(&demo, "127.0.0.1:3000".parse().unwrap());
        assert_eq!(config.listeners.len(), 2);
        assert!(config.tls.is_some());
    }

    #[test]
    fn the_greeting_has_both_addresses_and_no_colour_unless_asked() {
        let links = Links { http: "http://127.0.0.1:1".into(), https: "https://127.0.0.1:2".into() };
        let plain = greeting(&links, APP_ADDR, false);
        assert!(plain.contains("http://127.0.0.1:1/ ") && plain.contains("https://127.0.0.1:2/ "));
        assert!(!plain.contains('\x1b'));
        assert!(greeting(&links, APP_ADDR, true).contains('\x1b'));
    }
}
