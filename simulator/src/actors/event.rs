//! What actors tell of themselves: the raw material of figures, history and checks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use outrigger_shared::close::Side;

use super::wire::Wire;

/// Takes every event, at the moment it happens and in the task it happens in. Times are virtual microseconds since
/// the world's epoch.
pub trait Observer: Send + Sync + 'static {
    fn client(&self, at_us: u64, client: u32, event: &ClientEvent);
    fn app(&self, at_us: u64, app: u32, event: &AppEvent);
    fn feed(&self, at_us: u64, feed: u32, event: &FeedEvent);

    /// Who wants to hear the bytes of a session at one of its ends, by that end's number. `key` is that of its
    /// handshake, which both ends know: a client asks before it sends its request, an app when the session begins.
    fn wire(&self, _end: Side, _who: u32, _key: &str) -> Option<Arc<dyn Wire>> {
        None
    }

    /// An app answers a request for `target` with a body, whole.
    fn body_given(&self, _target: &str, _body: &Bytes) {}

    /// A client has got this body, whole, with the status 200.
    fn body_got(&self, _target: &str, _body: &Bytes) {}

    /// Who wants to hear the bytes of an event stream at one of its ends: an app asks when it begins one, a client when
    /// it has the head of the answer.
    fn stream(&self, _end: Side, _target: &str) -> Option<Arc<dyn Wire>> {
        None
    }
}

/// What a client did and saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// It lives, listens to `feed`, and wants what comes after the update `since`.
    Started { feed: u32, since: u64 },
    /// A connection to the first host on the path stands, after so long.
    Connected { took: Duration },
    /// The TLS handshake on it is done, after so long.
    TlsDone { took: Duration },
    /// No connection came about.
    ConnectFailed { why: ConnectFailure },
    /// A request is handed to the connection; upgrades are requests too.
    RequestSent { request: RequestKind },
    /// An answer is there whole; of a stream and of an upgrade only its head, with no bytes.
    AnswerReceived { status: u16, empty: bool, bytes: u64, took: Duration },
    /// No answer came, or none that could be used.
    RequestFailed { why: RequestFailure },
    /// A session (WebSocket or event stream) is open, so long after the dialling began.
    HandshakeDone { took: Duration },
    /// An update arrived; it may have arrived before.
    UpdateReceived { seq: u64, created_us: u64, delay: Duration },
    /// A session ended; exactly one for each [`ClientEvent::HandshakeDone`], unless the client is dropped.
    Closed { how: Ending, code: Option<u16>, reason: String, lived: Duration },
    /// The client waits before it dials again.
    ReconnectIn(Duration),
    /// Message `n` is on its way.
    MessageSent { n: u64 },
    /// The app has acknowledged message `n`.
    Acked { n: u64, took: Duration },
    /// The session of message `n` ended, or its time ran out, without an acknowledgement.
    AckMissing { n: u64 },
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    Poll,
    LongPoll,
    Events,
    Upgrade,
}

/// Why no connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectFailure {
    Resolve(io::ErrorKind),
    Connect(io::ErrorKind),
    Timeout,
    Tls,
    TlsTimeout,
}

/// Why no answer came, or none of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestFailure {
    /// Not within the client's answer timeout.
    Timeout,
    /// The connection ended before the answer did.
    Cut,
    /// The answer's status says so, 400 or above; [`ClientEvent::AnswerReceived`] has told it.
    Refused,
    /// An answer that is none to this request: no 101, or not the one asked for, or an unreadable body.
    Unusable,
}

impl RequestFailure {
    /// Of an answer that opens no session.
    pub(super) fn by_status(status: StatusCode) -> Self {
        if status >= StatusCode::BAD_REQUEST { Self::Refused } else { Self::Unusable }
    }
}

/// How a session ended, as one of its ends saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// This end left by itself.
    Left,
    /// The other end sent a Close.
    Close,
    /// The stream ended without a Close; for an event stream this is how a server ends it.
    Eof,
    /// A reset, or bytes that are no WebSocket.
    Error,
    /// The other end was silent, or took nothing, for too long.
    Timeout,
}

/// What an app did and saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppEvent {
    /// A request is answered; an upgrade with status 101.
    RequestServed {
        status: u16,
    },
    SessionOpened {
        client: u32,
        since: u64,
    },
    /// `code` is what the client's Close said, or what ours did if this end closed first.
    SessionClosed {
        client: u32,
        how: Ending,
        code: Option<u16>,
    },
    /// Message `n` of a client arrived; it is on record before it is acknowledged.
    MessageReceived {
        client: u32,
        n: u64,
    },
    /// The acknowledgement of message `n` is written.
    AckSent {
        client: u32,
        n: u64,
    },
}

/// What became of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEvent {
    /// An update exists from now on; sequence numbers count up from 1 without gaps.
    UpdateCreated { seq: u64, bytes: usize },
}
