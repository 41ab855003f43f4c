//! rustls' unbuffered API, made the same for both ends of a connection.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error};

/// What the connection is ready for after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to do with the bytes at hand.
    Again,
    /// It needs bytes from the peer before it can go on.
    NeedsInput,
    /// It can encrypt; what is left of the input is an incomplete record.
    Traffic,
    /// The peer said `close_notify`.
    PeerClosed,
    /// Both sides said `close_notify`.
    Closed,
}

/// Either end of a TLS connection.
pub(super) enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

impl Connection {
    pub(super) fn state(&self) -> &CommonState {
        match self {
            Self::Client(c) => c,
            Self::Server(c) => c,
        }
    }

    /// Works on the records at the front of `input`. Plaintext goes to `deliver`, records to be sent are appended
    /// to `out`. Returns how many bytes of `input` are used up, also when the step failed.
    pub(super) fn step(
        &mut self,
        input: &mut [u8],
        out: &mut Outbox,
        deliver: &mut dyn FnMut(&[u8]),
    ) -> (usize, Result<Step, Error>) {
        match self {
            Self::Client(c) => step(c.as_mut(), input, out, deliver),
            Self::Server(c) => step(c.as_mut(), input, out, deliver),
        }
    }

    /// After a failed step: appends whatever is queued, the alert that tells the peer why last of all. It looks at
    /// no input, for rustls must not be shown again what it has failed on.
    pub(super) fn last_words(&mut self, out: &mut Outbox) {
        while self.state().wants_write() {
            if let (_, Err(_)) = self.step(&mut [], out, &mut |_| {}) {
                return;
            }
        }
    }

    /// Appends `plain` to `out` as records. `carry` is the input that is not used up: rustls remembers positions in
    /// it (the start of a handshake message whose end is in a later record) and must see it again.
    pub(super) fn seal(&mut self, carry: &mut Vec<u8>, plain: &[u8], out: &mut Outbox) -> Result<(), Error> {
        match self {
            Self::Client(c) => send(c.as_mut(), carry, Some(plain), out),
            Self::Server(c) => send(c.as_mut(), carry, Some(plain), out),
        }
    }

    /// Appends our `close_notify` to `out`; `carry` as for [`Connection::seal`].
    pub(super) fn close(&mut self, carry: &mut Vec<u8>, out: &mut Outbox) -> Result<(), Error> {
        match self {
            Self::Client(c) => send(c.as_mut(), carry, None, out),
            Self::Server(c) => send(c.as_mut(), carry, None, out),
        }
    }
}

/// The method that both of rustls' unbuffered connections have, but no trait of its own names.
trait Records {
    type Data;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
}

impl Records for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
}

fn step<R: Records>(
    conn: &mut R,
    input: &mut [u8],
    out: &mut Outbox,
    deliver: &mut dyn FnMut(&[u8]),
) -> (usize, Result<Step, Error>) {
    let status = conn.process(input);
    let mut used = status.discard;
    let step = match status.state {
        Err(e) => Err(e),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Again),
                Some(Err(e)) => break Err(e),
                Some(Ok(record)) => {
                    used += record.discard;
                    deliver(record.payload);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out).map(|()| Step::Again),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // What is in `out` leaves before anything else is written, which is what rustls wants to hear.
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::NeedsInput),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::Traffic),
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::Closed) => Ok(Step::Closed),
        Ok(_) => Err(Error::General("a TLS state that is not offered (early data)".into())),
    };
    (used, step)
}

/// Encrypts `plain`, or says `close_notify` where there is none, behind whatever rustls itself still has to send.
fn send<R: Records>(conn: &mut R, carry: &mut Vec<u8>, plain: Option<&[u8]>, out: &mut Outbox) -> Result<(), Error> {
    loop {
        let status = conn.process(carry);
        let used = status.discard;
        let done = match status.state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                out.fill(|room| {
                    let wrote = match plain {
                        Some(plain) => traffic.encrypt(plain, room),
                        None => traffic.queue_close_notify(room),
                    };
                    wrote.map_err(|e| match e {
                        EncryptError::InsufficientSize(e) => Short::Needs(e.required_size),
                        e @ EncryptError::EncryptExhausted => Short::Failed(Error::General(e.to_string())),
                    })
                })?;
                true
            }
            ConnectionState::EncodeTlsData(data) => {
                encode(data, out)?;
                false
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                false
            }
            ConnectionState::PeerClosed => false,
            _ if plain.is_none() => true,
            _ => return Err(Error::General("the TLS connection cannot send now".into())),
        };
        carry.drain(..used);
        if done {
            return Ok(());
        }
    }
}

fn encode<Data>(mut data: rustls::unbuffered::EncodeTlsData<'_, Data>, out: &mut Outbox) -> Result<(), Error> {
    out.fill(|room| match data.encode(room) {
        Ok(n) => Ok(n),
        Err(EncodeError::InsufficientSize(e)) => Err(Short::Needs(e.required_size)),
        Err(e @ EncodeError::AlreadyEncoded) => Err(Short::Failed(Error::General(e.to_string()))),
    })
}

/// Records that wait to be written. Its room is kept initialised, so that filling it again costs no zeroing.
#[derive(Default)]
pub(super) struct Outbox {
    room: Vec<u8>,
    filled: usize,
}

enum Short {
    Needs(usize),
    Failed(Error),
}

impl Outbox {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.room[..self.filled]
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Lets `write` fill the room that is left, and grows it once to the size that `write` asks for.
    fn fill(&mut self, mut write: impl FnMut(&mut [u8]) -> Result<usize, Short>) -> Result<(), Error> {
        loop {
            match write(&mut self.room[self.filled..]) {
                Ok(n) => {
                    self.filled += n;
                    return Ok(());
                }
                Err(Short::Needs(size)) if self.filled + size > self.room.len() => {
                    self.room.resize(self.filled + size, 0);
                }
                Err(Short::Needs(_)) => return Err(Error::General("rustls asked for less room than it had".into())),
                Err(Short::Failed(e)) => return Err(e),
            }
        }
    }
}
