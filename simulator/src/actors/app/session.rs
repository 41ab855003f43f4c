//! The app's end of a WebSocket: each update once, as one text message.

use std::pin::pin;

use outrigger::net::Net;
use outrigger_shared::close::Side;
use tokio::time::{Instant, sleep_until, timeout};
use tokio::{join, select};

use super::Shared;
use super::answer::Upgrade;
use super::control::Watch;
use crate::actors::Actor;
use crate::actors::event::{AppEvent, Ending};
use crate::actors::queue::{Receiver, Sender, queue};
use crate::actors::ws::{self, Broken, Incoming, Outgoing, Reader, Writer};

/// Acknowledgements and pongs that wait for the connection to take them; past that, the reading waits.
const MAX_QUEUED_FRAMES: usize = 16;
/// Updates taken from the feed at once. A client that reads slowly does not hold more of them here.
const BATCH_BYTES: usize = 64 * 1024;

/// How a session ended.
type End = (Ending, Option<u16>);

/// Sends the updates after `upgrade.since` until the client closes or is gone, or the app is told to close; in each
/// case with one Close, if the connection still takes it.
pub(super) async fn run<N: Net>(shared: &Shared<N>, upgrade: Upgrade) {
    let Upgrade { connection, client, since, key, watch } = upgrade;
    let Ok(upgraded) = connection.await else { return };
    shared.actor.app_event(&AppEvent::SessionOpened { client, since });
    let wire = shared.actor.observer.wire(Side::App, shared.actor.id, &key);
    let (reader, writer) = ws::server(upgraded, wire, shared.options.write_timeout);
    let (how, code) = select! {
        biased;
        () = watch.cut() => (Ending::Left, None),
        end = converse(shared, client, since, (reader, writer), &watch) => end,
    };
    shared.actor.app_event(&AppEvent::SessionClosed { client, how, code });
}

async fn converse<N: Net>(
    shared: &Shared<N>,
    client: u32,
    since: u64,
    (reader, writer): (Reader, Writer),
    watch: &Watch,
) -> End {
    let (frames, queued) = queue(MAX_QUEUED_FRAMES);
    let mut reading = pin!(read(&shared.actor, client, reader, frames.clone()));
    let mut writing = pin!(write(shared, client, writer, queued, since));
    let close_timeout = shared.options.close_timeout;
    let (end, close) = select! {
        biased;
        (end, close) = &mut reading => (end, close),
        written = &mut writing => return (written.err().unwrap_or(Ending::Error), None),
        code = watch.close() => {
            let close = Outgoing::Close { code: Some(code), reason: String::new() };
            let goodbye = async { join!(biased; frames.send(close), &mut reading, &mut writing) };
            if let Ok((_, _, Ok(writer))) = timeout(close_timeout, goodbye).await {
                writer.shutdown(close_timeout).await;
            }
            return (Ending::Left, Some(code));
        }
    };
    if let Some(close) = close {
        let goodbye = async { join!(biased; frames.send(close), &mut writing) };
        if let Ok((_, Ok(writer))) = timeout(close_timeout, goodbye).await {
            writer.shutdown(close_timeout).await;
        }
    }
    end
}

/// Reads to the end: what a client says is put on record, and then acknowledged. Returns how it ended and the Close
/// to answer with.
async fn read<N: Net>(
    actor: &Actor<N>,
    client: u32,
    mut reader: Reader,
    queue: Sender<Outgoing>,
) -> (End, Option<Outgoing>) {
    loop {
        let answer = match reader.next().await {
            Ok(Incoming::Message(text)) => number(&text).map(|n| {
                actor.app_event(&AppEvent::MessageReceived { client, n });
                Outgoing::Text(format!("ack:{n}").into_bytes())
            }),
            Ok(Incoming::Ping(payload)) => Some(Outgoing::Pong(payload)),
            Ok(Incoming::Pong(_)) => None,
            Ok(Incoming::Close { code, .. }) => {
                let answer = Outgoing::Close { code, reason: String::new() };
                return ((Ending::Close, code), Some(answer));
            }
            Err(Broken { how, answer }) => {
                let close = answer.map(|code| Outgoing::Close { code: Some(code), reason: String::new() });
                return ((how, answer), close);
            }
        };
        if let Some(answer) = answer {
            // Fails only once the writing is over, and the session with it.
            let _ = queue.send(answer).await;
        }
    }
}

/// Writes what is queued, what the feed brings and, into a silence, pings, up to and including a Close.
async fn write<N: Net>(
    shared: &Shared<N>,
    client: u32,
    mut writer: Writer,
    mut queued: Receiver<Outgoing>,
    since: u64,
) -> Result<Writer, Ending> {
    let Shared { actor, feed, options, .. } = shared;
    let mut sent = since;
    let mut wrote = Instant::now();
    let mut batch = Vec::new().into_iter();
    loop {
        // What is queued goes between any two updates.
        let frame = select! {
            biased;
            Some(frame) = queued.recv() => frame,
            () = feed.beyond(client, sent) => {
                let update = if let Some(update) = batch.next() { update } else {
                    batch = feed.after(client, sent, BATCH_BYTES).into_iter();
                    let Some(update) = batch.next() else { continue };
                    update
                };
                sent = update.seq;
                Outgoing::Text(update.json.to_vec())
            }
            () = sleep_until(wrote + options.ping.unwrap_or_default()), if options.ping.is_some() => {
                Outgoing::Ping(Vec::new())
            }
        };
        let last = matches!(frame, Outgoing::Close { .. });
        let acknowledged = if let Outgoing::Text(text) = &frame { ack_number(text) } else { None };
        writer.send(frame).await?;
        wrote = Instant::now();
        if let Some(n) = acknowledged {
            actor.app_event(&AppEvent::AckSent { client, n });
        }
        if last {
            return Ok(writer);
        }
    }
}

/// The number in `msg:<n>`, whatever comes after it.
fn number(text: &[u8]) -> Option<u64> {
    let rest = std::str::from_utf8(text.strip_prefix(b"msg:")?).ok()?;
    rest.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok()
}

fn ack_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.strip_prefix(b"ack:")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_number_of_a_message() {
        assert_eq!(number(b"msg:17"), Some(17));
        assert_eq!(number(b"msg:17 xxxx"), Some(17));
        assert_eq!(number(b"msg:"), None);
        assert_eq!(number(b"17"), None);
    }
}
