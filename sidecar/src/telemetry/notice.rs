//! What happens around sessions: connections, handshakes, requests, dials.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use outrigger_shared::choose::Change;

use super::Asked;

/// Something that belongs to no session.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A listener of this scheme took a connection.
    Accepted { scheme: &'static str },
    /// A connection over `max_connections`.
    TurnedAway { scheme: &'static str },
    /// A client's TLS handshake is over: with `1.2` or `1.3`, or with what was wrong.
    TlsHandshake { result: Result<&'static str, &'static str>, took: Duration },
    /// A request is over, the body of its answer included; for an upgrade, the 101 is out.
    Answered(&'a Exchange),
    /// One attempt to reach the app is over; the error is a short word.
    Dialled { upstream: &'a str, result: Result<(), &'static str>, took: Duration },
    /// A request went out on a connection that was kept.
    Reused { upstream: &'a str },
    /// An upgrade that was to wait for the app does not, or not any longer; `why` is a short word.
    NotHeld { upstream: &'a str, why: &'static str },
    /// One of several upstreams is ejected or well again, or new connections go elsewhere.
    Upstream(&'a Change),
}

/// One request and its answer. Paths are without the query, which may hold secrets.
#[derive(Debug)]
pub struct Exchange {
    pub client: SocketAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    pub method: Method,
    pub host: Box<str>,
    pub path: Box<str>,
    /// What else of the request may be shown, where that is wanted.
    pub asked: Option<Arc<Asked>>,
    /// The name of the upstream that has answered, where there are several.
    pub upstream: Option<Arc<str>>,
    /// As the client got it; 499 where it left before (nginx's number for that).
    pub status: StatusCode,
    /// Whether it asked for a session.
    pub upgrade: bool,
    /// Why it was not the app that gave the answer.
    pub fault: Option<Fault>,
    /// From the whole header of the request to the end of the answer.
    pub took: Duration,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// The whole body of the answer came; it was not cut by the app or the client.
    pub whole: bool,
}

/// Why it was not the app that answered a request; a label out of a bounded set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    TooManyConnections,
    BadRequest,
    ForbiddenOrigin,
    /// There is no upstream for it.
    NoRoute,
    Draining,
    TooLarge,
    /// The request's body did not come whole, or too slowly.
    RequestBody,
    Unreachable,
    /// The app took too long to accept, to read or to answer.
    Timeout,
    /// It could not be reached for as long as upgrades wait for it.
    Away,
    /// Too many wait for a connection to it.
    Busy,
    /// Its answer is none, or not one to what was asked.
    BadAnswer,
    /// The client left before there was an answer.
    ClientLeft,
}

impl Fault {
    pub const ALL: [Self; 13] = [
        Self::TooManyConnections,
        Self::BadRequest,
        Self::ForbiddenOrigin,
        Self::NoRoute,
        Self::Draining,
        Self::TooLarge,
        Self::RequestBody,
        Self::Unreachable,
        Self::Timeout,
        Self::Away,
        Self::Busy,
        Self::BadAnswer,
        Self::ClientLeft,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too_many_connections",
            Self::BadRequest => "bad_request",
            Self::ForbiddenOrigin => "forbidden_origin",
            Self::NoRoute => "no_route",
            Self::Draining => "draining",
            Self::TooLarge => "too_large",
            Self::RequestBody => "request_body",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::BadAnswer => "bad_answer",
            Self::ClientLeft => "client_left",
        }
    }
}

impl Exchange {
    /// Whether a session has come out of it.
    pub fn has_session(&self) -> bool {
        self.fault.is_none() && self.status == StatusCode::SWITCHING_PROTOCOLS
    }

    /// What became of a request for a session: `accepted`, `refused` by the app, or the word of the fault.
    pub fn outcome(&self) -> &'static str {
        match self.fault {
            Some(fault) => fault.as_str(),
            None if self.has_session() => "accepted",
            None => "refused",
        }
    }
}
