//! The seam over the simulated network.

mod listener;
mod stream;
mod task;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use outrigger::net::{Endpoint, Net};
use turmoil_net::shim::tokio::net as shim;
use turmoil_net::{HostId, set_current};

pub use self::listener::SimListener;
pub use self::stream::SimStream;
use crate::engine::{call, mark_dirty, pass_now, with};

/// When a kernel gives a dial up that nobody answers: after its sixth repeated SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

/// One process on a host, as [`Net`]. Clones are the same process.
#[derive(Debug, Clone)]
pub struct SimNet {
    host: u16,
    life: u16,
    process: u32,
    kernel: HostId,
    label: Arc<str>,
}

impl SimNet {
    pub(crate) fn current(host: u16) -> Self {
        with(|s| {
            let found = s.host(host);
            let kernel = found.lives[usize::from(found.life)].0;
            Self { host, life: found.life, process: found.process, kernel, label: "".into() }
        })
    }

    /// The same process; connections that it dials are counted under this label.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Self {
        Self { label: Arc::from(label), ..self.clone() }
    }

    /// The host's place in [`crate::engine::Options::hosts`].
    pub fn index(&self) -> u16 {
        self.host
    }

    /// The host's address, the same over restarts.
    pub fn ip(&self) -> IpAddr {
        with(|s| IpAddr::V4(s.host(self.host).ip))
    }

    /// An address on this host.
    pub fn addr(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(), port)
    }

    /// Appends to the history in this host's name.
    pub fn log(&self, text: impl Into<String>) {
        with(|s| {
            let (now, name) = (s.now(), s.host(self.host).name.clone());
            s.log.push(now, name, text.into());
        });
    }

    async fn bind_once(&self, addr: SocketAddr) -> io::Result<shim::TcpListener> {
        Scoped::new(self.kernel, shim::TcpListener::bind(addr)).await
    }

    /// What the kernel knows this host's outer address as.
    fn inner(&self) -> Ipv4Addr {
        with(|s| s.inner(self.host, self.life))
    }

    /// This host's own addresses, loopback too, are one to its kernel: a listener on 127.0.0.1 can be reached from
    /// other hosts as well.
    fn to_inner(&self, addr: SocketAddr) -> SocketAddr {
        if addr.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            // A listener on [::] takes IPv4 too, and there is nothing else here.
            return SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port());
        }
        let own = addr.ip() == self.ip() || addr.ip().is_loopback();
        if own { SocketAddr::new(self.inner().into(), addr.port()) } else { addr }
    }

    /// Whether the process is still there.
    fn lives(&self) -> bool {
        with(|s| {
            let host = s.host(self.host);
            host.up && host.process == self.process
        })
    }
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;

    async fn bind(&self, addr: SocketAddr) -> io::Result<SimListener> {
        let outer = self.ip();
        let inner = self.to_inner(addr);
        let mut bound = self.bind_once(inner).await;
        if matches!(&bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            call(|s| s.evict(self.host, self.life, addr.port()));
            pass_now();
            bound = self.bind_once(inner).await;
        }
        SimListener::new(bound?, self.clone(), outer)
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<SimStream> {
        let Endpoint::Tcp(to) = to else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "simulated hosts have no Unix sockets"));
        };
        let to = self.to_inner(*to);
        if to.is_ipv6() {
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, "the simulated network is IPv4 alone"));
        }
        let dial = Scoped::new(self.kernel, shim::TcpStream::connect(to));
        match tokio::time::timeout(CONNECT_TIMEOUT, dial).await {
            Ok(stream) => Ok(SimStream::new(stream?, self)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = with(|s| s.names.get(host).cloned()).unwrap_or_default();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no host has this name"));
        }
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip.into(), port)).collect())
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        if self.lives() {
            task::spawn(self.host, task);
        }
    }

    fn wall_clock(&self) -> SystemTime {
        let since = with(|s| {
            let now = s.epoch + Duration::from_micros(s.now());
            let skew = s.host(self.host).skew_us;
            let offset = Duration::from_micros(skew.unsigned_abs());
            if skew < 0 { now.saturating_sub(offset) } else { now + offset }
        });
        SystemTime::UNIX_EPOCH + since
    }

    fn entropy(&self, out: &mut [u8]) {
        with(|s| s.host_mut(self.host).entropy.fill(out));
    }
}

/// Makes a new kernel begin with a later port. Each one gives out the same ports in the same order, and peers of the life
/// before still have connections from those, to which a SYN says nothing; a real kernel begins anywhere.
pub(crate) fn pass_over_ports(kernel: HostId, ports: u16) {
    set_current(kernel);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..ports {
        // It is bound when it is first polled, and gives its port back at once.
        let Poll::Ready(Ok(_)) = pin!(shim::UdpSocket::bind("0.0.0.0:0")).poll(&mut cx) else {
            panic!("a kernel that is new has a port left");
        };
    }
}

/// A future that runs, and is dropped, with its host's kernel current.
struct Scoped<F> {
    future: Option<Pin<Box<F>>>,
    kernel: HostId,
}

impl<F: Future> Scoped<F> {
    fn new(kernel: HostId, future: F) -> Self {
        Self { future: Some(Box::pin(future)), kernel }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        set_current(self.kernel);
        mark_dirty();
        self.future.as_mut().expect("it is taken only by drop").as_mut().poll(cx)
    }
}

impl<F> Drop for Scoped<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        if crate::engine::try_with(|_| ()).is_some() {
            set_current(self.kernel);
            mark_dirty();
            drop(future);
        } else {
            // The kernels are gone, and closing a socket without one panics.
            std::mem::forget(future);
        }
    }
}
