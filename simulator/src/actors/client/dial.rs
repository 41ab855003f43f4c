//! From a name to a connection.

use std::io;

use outrigger::net::{Endpoint, Net};
use outrigger::tls;
use outrigger::transport::Transport;
use tokio::time::{Instant, timeout};

use super::ClientSettings;
use super::read_rate::{ReadRate, Throttled};
use crate::actors::Actor;
use crate::actors::event::{ClientEvent, ConnectFailure};

/// What clients speak through. The throttle is below TLS, where it holds back the sender.
pub(super) type Connection<N> = Transport<Throttled<<N as Net>::Stream>>;

/// Resolves, connects and does the TLS handshake, and tells the observer how it went.
pub(super) async fn dial<N: Net>(
    actor: &Actor<N>,
    settings: &ClientSettings,
    rate: &ReadRate,
) -> Result<Connection<N>, ConnectFailure> {
    let dialled = connect_and_secure(actor, settings, rate).await;
    if let Err(why) = dialled {
        actor.client_event(&ClientEvent::ConnectFailed { why });
        return Err(why);
    }
    dialled
}

async fn connect_and_secure<N: Net>(
    actor: &Actor<N>,
    settings: &ClientSettings,
    rate: &ReadRate,
) -> Result<Connection<N>, ConnectFailure> {
    let (target, timeouts) = (&settings.target, &settings.timeouts);
    let began = Instant::now();
    let stream = timeout(timeouts.connect, connect(&actor.net, &target.host, target.port))
        .await
        .map_err(|_| ConnectFailure::Timeout)??;
    actor.client_event(&ClientEvent::Connected { took: began.elapsed() });
    let stream = Throttled::new(stream, rate.clone());
    let Some(client_tls) = &target.tls else { return Ok(Transport::Plain(stream)) };

    let began = Instant::now();
    let handshake = tls::connect(stream, client_tls.config.clone(), client_tls.name.clone());
    let stream = timeout(timeouts.tls_handshake, handshake)
        .await
        .map_err(|_| ConnectFailure::TlsTimeout)?
        .map_err(|_| ConnectFailure::Tls)?;
    actor.client_event(&ClientEvent::TlsDone { took: began.elapsed() });
    Ok(Transport::Tls(Box::new(stream)))
}

/// Tries the addresses of a name, one after the other.
async fn connect<N: Net>(net: &N, host: &str, port: u16) -> Result<N::Stream, ConnectFailure> {
    let addresses = net.resolve(host, port).await.map_err(|why| ConnectFailure::Resolve(why.kind()))?;
    let mut last = io::ErrorKind::NotFound;
    for address in addresses {
        match net.connect(&Endpoint::Tcp(address)).await {
            Ok(stream) => return Ok(stream),
            Err(why) => last = why.kind(),
        }
    }
    Err(ConnectFailure::Connect(last))
}
