//! Bodies of answers to polls, and event streams, at both ends of their way: what an app gave is held against what a
//! client got, byte by byte and below what either of them makes of it.
//!
//! Requests carry nothing that would tell one from another, so that their bytes are those of real ones. A whole body is
//! known by the target that was asked for and by all of its bytes: each that a client gets must be one that an app gave,
//! and that nobody else has got. A client listens to one event stream at a time, so its stream is the last that an app
//! began for its target.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use outrigger_shared::close::Side;

use crate::actors;

/// Bodies for one target that no client has got: some never arrive. Beyond, the oldest is forgotten.
const MAX_WAITING: usize = 16_384;
/// Problems that are kept; a broken run has the same one over and over.
const MAX_PROBLEMS: usize = 20;

/// All bodies of a run. Clones are the same.
#[derive(Clone, Default)]
pub(in crate::world) struct Bodies(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By the target of the request.
    given: BTreeMap<String, Given>,
    /// By the target of the request, the last one that an app began.
    last_stream: BTreeMap<String, usize>,
    streams: Vec<Stream>,
    problems: Vec<String>,
}

/// What apps have answered and no client has got yet.
#[derive(Default)]
struct Given {
    bodies: VecDeque<Bytes>,
    forgot: bool,
}

/// An event stream.
#[derive(Default)]
struct Stream {
    target: String,
    /// A client listens to it, or did.
    taken: bool,
    /// Sent, and not got yet; as long as what the network and the sidecar hold.
    underway: VecDeque<Bytes>,
    got: u64,
    /// The app has ended it.
    ended: bool,
    /// Nothing more is compared: the client is gone, or has got something else.
    over: bool,
}

impl Bodies {
    /// An app gives a whole body.
    pub(in crate::world) fn given(&self, target: &str, body: &Bytes) {
        self.with(|state| {
            let given = state.given.entry(target.to_owned()).or_default();
            if given.bodies.len() == MAX_WAITING {
                given.bodies.pop_front();
                given.forgot = true;
            }
            given.bodies.push_back(body.clone());
        });
    }

    /// A client has got a whole body.
    pub(in crate::world) fn got(&self, target: &str, body: &Bytes) {
        self.with(|state| {
            let Some(given) = state.given.get_mut(target) else {
                return state.problem(format!("an answer to {target} of {} bytes, and no app gave any", body.len()));
            };
            if let Some(at) = given.bodies.iter().position(|given| given == body) {
                given.bodies.remove(at);
                if given.bodies.is_empty() && !given.forgot {
                    state.given.remove(target);
                }
            } else if !given.forgot {
                let nearest = given.bodies.iter().map(|given| alike(given, body)).max().unwrap_or(0);
                let told = format!("an answer to {target} of {} bytes is none that an app gave", body.len());
                state.problem(format!("{told}: the nearest is alike up to byte {nearest}"));
            }
        });
    }

    /// One end of an event stream: the app's begins it, the client's is that of the last one.
    pub(in crate::world) fn stream(&self, end: Side, target: &str) -> Option<Arc<dyn actors::Wire>> {
        let stream = self.with(|state| match end {
            Side::App => {
                state.streams.push(Stream { target: target.to_owned(), ..Stream::default() });
                state.last_stream.insert(target.to_owned(), state.streams.len() - 1);
                Some(state.streams.len() - 1)
            }
            Side::Client => {
                let last = state.last_stream.get(target).copied().filter(|last| !state.streams[*last].taken);
                match last {
                    Some(last) => state.streams[last].taken = true,
                    None => state.problem(format!("an event stream for {target} that no app began")),
                }
                last
            }
        })?;
        Some(Arc::new(End { bodies: self.clone(), stream, side: end }))
    }

    pub(in crate::world) fn problems(&self) -> Vec<String> {
        self.with(|state| state.problems.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }
}

/// How many bytes are the same before the first that is not.
fn alike(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Stream {
    /// What is wrong with the next bytes that came, if anything is.
    fn compare(&mut self, mut bytes: &[u8]) -> Option<String> {
        while !bytes.is_empty() {
            let Some(sent) = self.underway.front_mut() else {
                return Some(format!("has {} bytes behind byte {} that were not sent", bytes.len(), self.got));
            };
            let length = sent.len().min(bytes.len());
            let same = alike(&sent[..length], bytes);
            self.got += same as u64;
            if same < length {
                return Some(format!("has another byte {} than was sent", self.got));
            }
            sent.advance(length);
            if sent.is_empty() {
                self.underway.pop_front();
            }
            bytes = &bytes[length..];
        }
        None
    }
}

/// One end of a stream.
struct End {
    bodies: Bodies,
    stream: usize,
    side: Side,
}

impl End {
    /// Looks at the stream until it is over; a problem ends it.
    fn look(&self, look: impl FnOnce(&mut Stream) -> Option<String>) {
        self.bodies.with(|state| {
            let stream = &mut state.streams[self.stream];
            if stream.over {
                return;
            }
            if let Some(problem) = look(stream) {
                (stream.over, stream.underway) = (true, VecDeque::new());
                let told = format!("the event stream for {} {problem}", stream.target);
                state.problem(told);
            }
        });
    }
}

impl actors::Wire for End {
    fn sent(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.look(|stream| {
                stream.underway.push_back(Bytes::copy_from_slice(bytes));
                None
            });
        }
    }

    fn got(&self, bytes: &[u8]) {
        self.look(|stream| stream.compare(bytes));
    }

    fn ended(&self) {
        self.look(|stream| {
            if self.side == Side::App {
                stream.ended = true;
                return None;
            }
            let left: usize = stream.underway.iter().map(Bytes::len).sum();
            (left > 0 || !stream.ended).then(|| format!("ended after byte {}, and not by its app", stream.got))
        });
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.side == Side::Client {
            self.bodies.with(|state| {
                let stream = &mut state.streams[self.stream];
                (stream.over, stream.underway) = (true, VecDeque::new());
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/updates?since=1";

    #[test]
    fn a_body_is_got_once_and_as_it_was_given() {
        let bodies = Bodies::default();
        let body = Bytes::from_static(b"one body");
        bodies.given(TARGET, &body);
        bodies.got(TARGET, &body);
        assert_eq!(bodies.problems(), [""; 0]);
        bodies.got(TARGET, &body);
        bodies.given(TARGET, &body);
        bodies.got(TARGET, &Bytes::from_static(b"one cody"));
        bodies.got("/updates?since=2", &body);
        let problems = bodies.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[1].ends_with("alike up to byte 4"), "{problems:?}");
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        let sent = b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n";
        for at in 0..=sent.len() {
            let bodies = Bodies::default();
            let app = bodies.stream(Side::App, TARGET).unwrap();
            let (head, tail) = sent.split_at(at);
            app.sent(head);
            app.sent(tail);
            app.ended();
            let client = bodies.stream(Side::Client, TARGET).unwrap();
            sent.chunks(7).for_each(|chunk| client.got(chunk));
            client.ended();
            assert_eq!(bodies.problems(), [""; 0], "split at {at}");
        }
    }

    #[test]
    fn a_stream_with_another_end_or_another_byte_is_told() {
        let told = |tell: fn(&dyn actors::Wire)| {
            let bodies = Bodies::default();
            let app = bodies.stream(Side::App, TARGET).unwrap();
            app.sent(b"abc");
            tell(bodies.stream(Side::Client, TARGET).unwrap().as_ref());
            bodies.problems().concat()
        };
        assert!(told(|client| client.got(b"abd")).contains("another byte 2"));
        assert!(told(|client| client.got(b"abcd")).contains("1 bytes behind byte 3"));
        let cut = |client: &dyn actors::Wire| {
            client.got(b"ab");
            client.ended();
        };
        assert!(told(cut).contains("ended after byte 2"));
        assert_eq!(told(|client| client.got(b"ab")), "", "the rest may be underway");
        assert!(Bodies::default().stream(Side::Client, TARGET).is_none());
    }
}
