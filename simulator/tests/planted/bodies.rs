//! Sidecars that do something wrong with the body of an answer or with an event stream.

use outrigger_shared::close::Side;
use outrigger_sim::world::tamper::{Meddler, Tamper};

use crate::catch::caught_by;
use crate::worlds;

/// Something wrong with what goes to clients, chunk by chunk as the sidecar writes it.
struct ToClients<F>(F);

impl<F: Fn() -> Box<dyn Meddler> + Send + Sync> Tamper for ToClients<F> {
    fn stream(&self, side: Side) -> Option<Box<dyn Meddler>> {
        (side == Side::Client).then(&self.0)
    }
}

/// Changes writes by their number, counted from 0, among those that hold an update.
struct Updates<F> {
    seen: usize,
    change: F,
}

impl<F: FnMut(usize, Vec<u8>) -> Vec<u8> + Send> Meddler for Updates<F> {
    fn write(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if padding(&bytes).is_none() {
            return bytes;
        }
        self.seen += 1;
        (self.change)(self.seen - 1, bytes)
    }
}

fn updates<F>(change: impl Fn() -> F + Send + Sync + 'static) -> ToClients<impl Fn() -> Box<dyn Meddler> + Send + Sync>
where
    F: FnMut(usize, Vec<u8>) -> Vec<u8> + Send + 'static,
{
    ToClients(move || -> Box<dyn Meddler> { Box::new(Updates { seen: 0, change: change() }) })
}

/// Where an update is filled up to its size; nobody reads that.
fn padding(bytes: &[u8]) -> Option<usize> {
    const BEFORE: &[u8] = b"\"pad\":\"";
    let at = bytes.windows(BEFORE.len()).position(|window| window == BEFORE)?;
    Some(at + BEFORE.len()).filter(|at| *at < bytes.len())
}

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = padding(&bytes).expect("there is an update");
    bytes[at] ^= 1;
    bytes
}

#[test]
fn a_byte_is_flipped_in_the_answer_to_a_poll() {
    caught_by("bytes", "byte flipped in a polled body", &worlds::polls(), || updates(|| |_, bytes| flipped(bytes)));
}

#[test]
fn a_byte_is_flipped_in_an_event() {
    caught_by("bytes", "byte flipped in an event", &worlds::events(), || {
        updates(|| |n, bytes| if n == 4 { flipped(bytes) } else { bytes })
    });
}

#[test]
fn a_chunk_of_an_event_stream_is_dropped() {
    caught_by("bytes", "chunk of events dropped", &worlds::events(), || {
        updates(|| |n, bytes| if n == 4 { Vec::new() } else { bytes })
    });
}

/// The sixth chunk goes before the fifth.
#[test]
fn chunks_of_an_event_stream_change_places() {
    let swap = || {
        let mut kept = Vec::new();
        move |n, bytes| match n {
            4 => {
                kept = bytes;
                Vec::new()
            }
            5 => [bytes, std::mem::take(&mut kept)].concat(),
            _ => bytes,
        }
    };
    caught_by("bytes", "chunks of events reordered", &worlds::events(), move || updates(swap));
}

/// The stream is cut, and told to have come to its end.
#[test]
fn a_cut_event_stream_is_ended_properly() {
    let end = || {
        |n, bytes| match n {
            4 => b"0\r\n\r\n".to_vec(),
            5.. => Vec::new(),
            _ => bytes,
        }
    };
    caught_by("bytes", "cut stream passed off as whole", &worlds::events(), move || updates(end));
}

/// The first answer of each connection, instead of each that is as long.
#[test]
fn an_answer_comes_twice() {
    let again = || {
        let mut first: Option<Vec<u8>> = None;
        move |_, bytes: Vec<u8>| {
            let first = first.get_or_insert_with(|| bytes.clone());
            if first.len() == bytes.len() { first.clone() } else { bytes }
        }
    };
    caught_by("bytes", "old answer given again", &worlds::polls(), move || updates(again));
}
