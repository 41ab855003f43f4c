//! An app whose connections the test itself holds: for conversations in which both ends take turns.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::PATIENCE;
use crate::http::Head;
use crate::wire::Wire;
use crate::ws::switching;

/// A listening app without a will of its own. Drop stops it.
pub struct Held {
    addr: SocketAddr,
    accepted: Mutex<Receiver<TcpStream>>,
    stop: Arc<AtomicBool>,
}

impl Held {
    pub fn listen() -> Held {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, accepted) = channel();
        let stopped = stop.clone();
        thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) || sender.send(tcp).is_err() {
                    return;
                }
            }
        });
        Held { addr, accepted: Mutex::new(accepted), stop }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection from the sidecar.
    #[track_caller]
    pub fn accept(&self) -> Wire {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let tcp = accepted.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nobody connected within {PATIENCE:?}"));
        Wire::over(Box::new(tcp), None)
    }

    /// The next connection, its upgrade answered with a right 101 and these extra lines.
    #[track_caller]
    pub fn upgrade(&self, extra: &[&str]) -> (Wire, Head) {
        let mut wire = self.accept();
        let request = wire.head();
        wire.send(switching(&request, extra));
        (wire, request)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees the flag.
        let _ = TcpStream::connect(self.addr);
    }
}
