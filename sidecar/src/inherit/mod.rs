//! Listening sockets that were there before this process: systemd's, or those of the process that it replaces.

pub mod systemd;

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::sockopt;

/// Sockets that wait for the listener that wants them.
#[derive(Debug)]
pub struct Inherited<L>(Vec<Socket<L>>);

/// One of them.
#[derive(Debug)]
pub struct Socket<L> {
    /// What it served so far: a listener's scheme, or another service's name. `None` where nobody says.
    pub service: Option<String>,
    /// Where it is bound.
    pub addr: SocketAddr,
    pub listener: L,
    /// Whether whoever gave it holds it too, and will give it to the next process.
    pub shared: bool,
}

impl<L> Inherited<L> {
    pub fn none() -> Self {
        Self(Vec::new())
    }

    pub fn add(&mut self, socket: Socket<L>) {
        self.0.push(socket);
    }

    /// The socket for a listener at `addr`: the one that is bound to just this address, whatever it served so far.
    /// `0.0.0.0` and `[::]` are addresses as any other: a narrower or a wider one is another listener.
    ///
    /// Port 0 means any port: it takes the first of the same IP address that has served the same, or of which nobody
    /// says what it served. So ask for addresses with ports first.
    pub fn take(&mut self, service: &str, addr: SocketAddr) -> Option<Socket<L>> {
        let fits = |socket: &Socket<L>| {
            if addr.port() != 0 {
                return socket.addr == addr;
            }
            socket.addr.ip() == addr.ip() && socket.service.as_deref().is_none_or(|served| served == service)
        };
        let place = self.0.iter().position(fits)?;
        Some(self.0.remove(place))
    }

    /// As [`Inherited::take`], but port 0 takes only what is known to have served the same.
    pub fn take_known(&mut self, service: &str, addr: SocketAddr) -> Option<Socket<L>> {
        let known = |socket: &Socket<L>| socket.service.as_deref() == Some(service) && socket.addr.ip() == addr.ip();
        if addr.port() != 0 {
            return self.take(service, addr);
        }
        let place = self.0.iter().position(known)?;
        Some(self.0.remove(place))
    }

    /// What nobody has taken.
    pub fn left(&self) -> &[Socket<L>] {
        &self.0
    }
}

/// Where a socket listens; an error if it does not.
pub(crate) fn listens_at(listener: &TcpListener) -> io::Result<SocketAddr> {
    if !sockopt::socket_acceptconn(listener)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    let addr = listener.local_addr()?;
    if addr.is_ipv6() && addr.ip().is_unspecified() && !sockopt::ipv6_v6only(listener)? {
        tracing::warn!(
            %addr,
            "an inherited socket takes IPv4 as well, whose clients look like ::ffff:10.1.2.3 to trusted_proxies; \
             write BindIPv6Only=ipv6-only in the socket unit"
        );
    }
    Ok(addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(sockets: &[(Option<&str>, &str)]) -> Inherited<usize> {
        let mut inherited = Inherited::none();
        for (listener, (service, addr)) in sockets.iter().enumerate() {
            let (service, addr) = (service.map(str::to_owned), addr.parse().unwrap());
            inherited.add(Socket { service, addr, listener, shared: false });
        }
        inherited
    }

    fn take(inherited: &mut Inherited<usize>, service: &str, addr: &str) -> Option<usize> {
        inherited.take(service, addr.parse().unwrap()).map(|socket| socket.listener)
    }

    #[test]
    fn an_address_is_taken_once_and_whatever_it_served() {
        let mut inherited = pool(&[(Some("http"), "127.0.0.1:80"), (None, "127.0.0.1:81")]);
        assert_eq!(take(&mut inherited, "https", "127.0.0.1:80"), Some(0));
        assert_eq!(take(&mut inherited, "http", "127.0.0.1:80"), None);
        assert_eq!(take(&mut inherited, "http", "127.0.0.1:81"), Some(1));
        assert!(inherited.left().is_empty());
    }

    #[test]
    fn narrower_and_wider_addresses_are_others() {
        let mut inherited = pool(&[(None, "0.0.0.0:80"), (None, "[::]:81"), (None, "127.0.0.1:82")]);
        for addr in ["127.0.0.1:80", "[::]:80", "0.0.0.0:81", "[::1]:81", "0.0.0.0:82", "0.0.0.0:8080"] {
            assert_eq!(take(&mut inherited, "http", addr), None, "{addr}");
        }
        assert_eq!(take(&mut inherited, "http", "[::]:81"), Some(1));
        assert_eq!(inherited.left().len(), 2);
    }

    #[test]
    fn any_port_takes_what_served_the_same() {
        let sockets =
            [(Some("admin"), "127.0.0.1:1"), (Some("https"), "127.0.0.1:2"), (None, "127.0.0.1:3"), (None, "[::1]:4")];
        let mut inherited = pool(&sockets);
        assert_eq!(take(&mut inherited, "https", "127.0.0.1:0"), Some(1));
        assert_eq!(take(&mut inherited, "https", "127.0.0.1:0"), Some(2));
        assert_eq!(take(&mut inherited, "https", "127.0.0.1:0"), None);
        assert_eq!(take(&mut inherited, "admin", "127.0.0.1:0"), Some(0));
    }

    #[test]
    fn any_port_of_a_known_service_takes_nothing_else() {
        let mut inherited =
            pool(&[(None, "127.0.0.1:1"), (Some("http"), "127.0.0.1:2"), (Some("admin"), "127.0.0.1:3")]);
        let mut known = |addr: &str| inherited.take_known("admin", addr.parse().unwrap()).map(|socket| socket.listener);
        assert_eq!(known("127.0.0.2:0"), None);
        assert_eq!(known("127.0.0.1:0"), Some(2));
        assert_eq!(known("127.0.0.1:0"), None);
        assert_eq!(known("127.0.0.1:1"), Some(0));
    }
}
