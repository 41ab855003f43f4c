//! Spans, as OpenTelemetry has them.

use std::borrow::Cow;
use std::time::SystemTime;

use outrigger_shared::trace_context::SpanContext;

/// Nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nanos(pub u64);

impl From<SystemTime> for Nanos {
    /// What is before 1970 is 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// What a span is to its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    Internal,
    Server,
    Client,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attr {
    Text(Cow<'static, str>),
    Int(i64),
    Bool(bool),
    Double(f64),
}

impl Attr {
    /// Counts do not reach what is cut here.
    pub fn count(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<&'static str> for Attr {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Attr {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

pub type Attributes = Vec<(&'static str, Attr)>;

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanEvent {
    pub at: Nanos,
    pub name: &'static str,
    pub attributes: Attributes,
}

/// A span that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub context: SpanContext,
    pub parent: Option<[u8; 8]>,
    /// The `tracestate` that came with the parent.
    pub state: Option<Box<str>>,
    pub kind: SpanKind,
    pub name: Cow<'static, str>,
    pub start: Nanos,
    pub end: Nanos,
    pub attributes: Attributes,
    pub events: Vec<SpanEvent>,
    /// Events for which there was no room.
    pub events_lost: u32,
    pub links: Vec<SpanContext>,
    /// Why it failed, as a word; `None` if it did not.
    pub error: Option<&'static str>,
}
