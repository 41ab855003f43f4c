//! A network in memory: no latency, no loss, and no clock of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use outrigger::net::{Endpoint, Listener, Net};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// What a stream holds in each direction before a write waits.
const BUFFER_BYTES: usize = 16 * 1024;
const BACKLOG: usize = 64;
const FIRST_PORT: u16 = 10_000;

type Connections = mpsc::Sender<(DuplexStream, SocketAddr)>;

#[derive(Clone, Default)]
pub(crate) struct MemoryNet(Arc<Mutex<BTreeMap<SocketAddr, Connections>>>);

pub(crate) struct MemoryListener {
    addr: SocketAddr,
    connections: tokio::sync::Mutex<mpsc::Receiver<(DuplexStream, SocketAddr)>>,
    net: MemoryNet,
}

impl Net for MemoryNet {
    type Stream = DuplexStream;
    type Listener = MemoryListener;

    async fn bind(&self, mut addr: SocketAddr) -> io::Result<MemoryListener> {
        let mut bound = self.0.lock().unwrap();
        if addr.port() == 0 {
            let free = (FIRST_PORT..=u16::MAX).find(|&port| !bound.contains_key(&SocketAddr::new(addr.ip(), port)));
            addr.set_port(free.unwrap());
        }
        if bound.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        bound.insert(addr, sender);
        Ok(MemoryListener { addr, connections: tokio::sync::Mutex::new(receiver), net: self.clone() })
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<DuplexStream> {
        let Endpoint::Tcp(addr) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        let listener = self.0.lock().unwrap().get(addr).cloned();
        let (ours, theirs) = duplex(BUFFER_BYTES);
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        match listener {
            Some(listener) if listener.send((theirs, from)).await.is_ok() => Ok(ours),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// `localhost` and addresses; nothing else has a name here.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        let ip = host.parse().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(vec![SocketAddr::new(ip, port)])
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        #[expect(clippy::disallowed_methods, reason = "this is what the rule points to")]
        drop(tokio::spawn(task));
    }

    /// Always the same moment of 2026, when the test's certificates are valid.
    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000)
    }

    fn entropy(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

impl Listener for MemoryListener {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        self.connections.lock().await.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.net.0.lock().unwrap().remove(&self.addr);
    }
}
