//! A load balancer's worst habit, in small: a TCP hop that cuts with RST what has been idle for too long.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::set_reset_on_close;

/// How often a quiet direction looks at the clock.
const LOOK: Duration = Duration::from_millis(20);

/// A hop in front of one address. Drop stops it from accepting; what it carries ends with its peers.
pub struct Hop {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Hop {
    /// Cuts a connection on which no byte went either way for `idle`.
    pub fn cutting(target: SocketAddr, idle: Duration) -> Hop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        thread::spawn(move || {
            for front in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(back) = TcpStream::connect(target) else { continue };
                carry(front, back, idle);
            }
        });
        Hop { addr, stop }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

/// One connection's two sockets and the last time that a byte went through.
struct Carried {
    sockets: [TcpStream; 2],
    last: Mutex<Instant>,
    cut: AtomicBool,
}

fn carry(front: TcpStream, back: TcpStream, idle: Duration) {
    for socket in [&front, &back] {
        socket.set_read_timeout(Some(LOOK)).expect("a timeout that is not zero");
        socket.set_nodelay(true).expect("a TCP socket");
    }
    let last = Mutex::new(Instant::now());
    let carried = Arc::new(Carried { sockets: [front, back], last, cut: AtomicBool::new(false) });
    for (from, to) in [(0, 1), (1, 0)] {
        let carried = carried.clone();
        thread::spawn(move || carried.copy(from, to, idle));
    }
}

impl Carried {
    /// Copies one direction to its end. The sockets close, by RST after a cut, when both directions are done.
    fn copy(&self, from: usize, to: usize, idle: Duration) {
        let (mut from, mut to) = (&self.sockets[from], &self.sockets[to]);
        let mut chunk = [0; 16 * 1024];
        while !self.cut.load(Ordering::SeqCst) {
            match from.read(&mut chunk) {
                Ok(0) => {
                    let _ = to.shutdown(std::net::Shutdown::Write);
                    return;
                }
                Ok(n) => {
                    *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    if to.write_all(&chunk[..n]).is_err() {
                        return self.cut_both();
                    }
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= idle {
                        return self.cut_both();
                    }
                }
                Err(_) => return self.cut_both(),
            }
        }
    }

    fn cut_both(&self) {
        self.sockets.iter().for_each(set_reset_on_close);
        self.cut.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{App, End, Wire};

    #[test]
    fn a_hop_carries_until_it_is_idle_and_then_resets() {
        let app = App::echo();
        let hop = Hop::cutting(app.addr(), Duration::from_millis(300));
        let mut client = Wire::plain(hop.addr());
        client.open("/", &[]);
        client.echo("through the hop");
        assert_eq!(client.expect_end(), End::Reset);
    }
}
