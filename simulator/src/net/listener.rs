//! Simulated listeners.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};

use outrigger::net::Listener;
use turmoil_net::set_current;
use turmoil_net::shim::tokio::net as shim;

use super::{SimNet, SimStream};
use crate::engine::{mark_dirty, try_with};

/// A listener of a simulated host.
#[derive(Debug)]
pub struct SimListener {
    inner: Option<shim::TcpListener>,
    net: SimNet,
    addr: SocketAddr,
}

impl SimListener {
    pub(super) fn new(inner: shim::TcpListener, net: SimNet, outer: IpAddr) -> io::Result<Self> {
        set_current(net.kernel);
        let bound = inner.local_addr()?;
        let ip = if bound.ip().is_unspecified() { bound.ip() } else { outer };
        Ok(Self { inner: Some(inner), net, addr: SocketAddr::new(ip, bound.port()) })
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let inner = self.inner.as_ref().expect("it is taken only by drop");
        let accepted = poll_fn(|cx| {
            set_current(self.net.kernel);
            inner.poll_accept(cx)
        });
        let (stream, peer) = accepted.await?;
        Ok((SimStream::new(stream, &self.net), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let inner = self.inner.take();
        if try_with(|_| ()).is_some() {
            set_current(self.net.kernel);
            drop(inner);
            mark_dirty();
        } else {
            std::mem::forget(inner);
        }
    }
}
