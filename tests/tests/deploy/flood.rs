//! Clients that connect, ask once, and go, one after the other: who of them is refused, reset or left without an answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use outrigger_tests::PATIENCE;
use outrigger_tests::http::{find, get};
use outrigger_tests::ws::upgrade;
use rustix::net::sockopt::set_socket_linger;

/// Bytes of an answer after which its head must have ended.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
/// How often over the connects are made at most.
const MOST_ROUNDS: usize = 100;

/// What became of the connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// 200, or 101 where that was asked for.
    pub(crate) served: usize,
    /// 503 to an upgrade: another connect may be served.
    pub(crate) turned_away: usize,
    /// Nobody listened.
    pub(crate) refused: usize,
    /// The connection ended without an answer.
    pub(crate) reset: usize,
    /// What else went wrong, in words.
    pub(crate) other: Vec<String>,
}

impl Outcome {
    /// Checks that so many connects at least were made, and each was served.
    #[track_caller]
    pub(crate) fn expect_all_served(&self, connects: usize) {
        assert!(self.served >= connects, "{connects} connects expected: {self:?}");
        assert_eq!(*self, Outcome { served: self.served, ..Outcome::default() });
    }

    fn add(&mut self, other: Outcome) {
        self.served += other.served;
        self.turned_away += other.turned_away;
        self.refused += other.refused;
        self.reset += other.reset;
        self.other.extend(other.other);
    }
}

/// Connects that are being made.
pub(crate) struct Flood {
    clients: Vec<JoinHandle<Outcome>>,
    quarters: Receiver<()>,
    enough: Arc<AtomicBool>,
}

impl Flood {
    /// `clients` at once, each of which makes `connects` one after the other: a GET, an upgrade, a GET … Then they go
    /// on until [`Flood::finish`], so that whatever the test does in between has its share; but not for ever.
    pub(crate) fn start(addr: SocketAddr, clients: usize, connects: usize) -> Self {
        let (passed, quarters) = channel();
        let enough = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|client| {
            let (passed, enough) = (passed.clone(), Arc::clone(&enough));
            thread::spawn(move || {
                let mut outcome = Outcome::default();
                for number in 0..connects * MOST_ROUNDS {
                    if number >= connects && enough.load(Ordering::SeqCst) {
                        break;
                    }
                    // The first client tells for all.
                    if client == 0 && number > 0 && number % (connects / 4).max(1) == 0 {
                        let _ = passed.send(());
                    }
                    outcome.add(ask(addr, number % 2 == 1));
                }
                outcome
            })
        });
        Flood { clients: clients.collect(), quarters, enough }
    }

    /// Waits until a further quarter of the connects is made.
    #[track_caller]
    pub(crate) fn wait_quarter(&self) {
        self.quarters.recv_timeout(PATIENCE).expect("a client that goes on");
    }

    pub(crate) fn finish(self) -> Outcome {
        self.enough.store(true, Ordering::SeqCst);
        let mut outcome = Outcome::default();
        for client in self.clients {
            outcome.add(client.join().expect("a client does not panic"));
        }
        outcome
    }
}

/// One connect and its one question.
fn ask(addr: SocketAddr, session: bool) -> Outcome {
    let mut outcome = Outcome::default();
    match answer(addr, session) {
        Ok(200 | 101) => outcome.served = 1,
        Ok(503) => outcome.turned_away = 1,
        Ok(status) => outcome.other.push(format!("status {status}")),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => outcome.refused = 1,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => outcome.reset = 1,
            _ => outcome.other.push(error.to_string()),
        },
    }
    outcome
}

fn answer(addr: SocketAddr, session: bool) -> std::io::Result<u16> {
    let mut tcp = TcpStream::connect_timeout(&addr, PATIENCE)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_nodelay(true)?;
    // An RST at the end leaves no TIME_WAIT behind, of which thousands would use up the ports.
    set_socket_linger(&tcp, Some(Duration::ZERO))?;
    let request = if session { upgrade("/", &[]) } else { get("/", &["Connection: close"]) };
    tcp.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while find(&head, b"\r\n\r\n").is_none() {
        let mut chunk = [0; 4096];
        let length = tcp.read(&mut chunk)?;
        if length == 0 || head.len() > HEAD_LIMIT_BYTES {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..length]);
    }
    let status = head.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    status.ok_or_else(|| std::io::Error::other(format!("no status in {}", outrigger_tests::show(&head))))
}
