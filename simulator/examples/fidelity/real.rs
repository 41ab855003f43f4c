//! The real network.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use outrigger::net::{Endpoint, Net as _, Socket, TokioNet};
use outrigger::tls::Crypto;
use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::{Builder, Runtime};

use crate::app;
use crate::plan::{Figures, Plan};
use crate::play::{self, Place};

pub(crate) fn app(addr: SocketAddr) -> Result<(), String> {
    runtime().block_on(app::serve(TokioNet::default(), addr)).map_err(|error| error.to_string())
}

/// The meter is the Unix socket at which the forwarder says what a connection has cost.
pub(crate) fn client(plan: Plan, targets: [SocketAddr; 2], meter: PathBuf) -> Figures {
    let tls = outrigger_sim::crypto::client_config(&Crypto::new(TokioNet::default()));
    let place = Real { meter: Arc::new(meter), tls };
    runtime().block_on(play::all(&place, plan, targets.map(Endpoint::Tcp)))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the kernel has epoll")
}

#[derive(Clone)]
struct Real {
    meter: Arc<PathBuf>,
    tls: ClientConfig,
}

impl Place for Real {
    type Net = TokioNet;

    fn net(&self, _: u32) -> TokioNet {
        TokioNet::default()
    }

    fn key(&self, _: u32, stream: &Socket) -> u32 {
        let Socket::Tcp(stream) = stream else { unreachable!("the targets are TCP") };
        stream.local_addr().map_or(0, |addr| u32::from(addr.port()))
    }

    async fn wire_bytes(&self, key: u32) -> io::Result<[u64; 2]> {
        let mut meter = BufReader::new(TokioNet::default().connect(&Endpoint::Unix(self.meter.to_path_buf())).await?);
        meter.write_all(format!("{key}\n").as_bytes()).await?;
        let mut line = String::new();
        meter.read_line(&mut line).await?;
        let found: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        found.try_into().map_err(|_| io::Error::other(format!("the meter says {line:?}")))
    }

    fn tls(&self) -> ClientConfig {
        self.tls.clone()
    }
}
