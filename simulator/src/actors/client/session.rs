//! A push client's session, from the 101 to the end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use outrigger::net::Net;
use tokio::time::{Instant, sleep_until, timeout};
use tokio::{join, select};

use super::poller::take_update;
use super::push::{Messages, Pinging, Push};
use super::reconnect::End;
use crate::actors::event::{ClientEvent, Ending};
use crate::actors::feed::Told;
use crate::actors::queue::{Receiver, Sender, queue};
use crate::actors::ws::{Broken, Incoming, Outgoing, Reader, Writer};
use crate::actors::{Actor, Stop};

/// Frames that wait for the connection to take them; then pings and messages are left out, and pongs wait.
const MAX_QUEUED_FRAMES: usize = 16;
/// Messages that wait for their acknowledgement; then no more are sent.
const MAX_UNACKED: usize = 1024;
/// The shortest time between two pings or messages.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
const NORMAL_CLOSURE: u16 = 1000;

/// What a client keeps from one session to the next.
#[derive(Debug)]
pub(super) struct Account {
    /// The newest update it has.
    since: u64,
    sent: u64,
    unacked: BTreeMap<u64, Instant>,
}

impl Account {
    pub(super) fn new(since: u64) -> Self {
        Self { since, sent: 0, unacked: BTreeMap::new() }
    }

    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// What was not acknowledged in its session never will be.
    pub(super) fn give_up_on_acks<N: Net>(&mut self, actor: &Actor<N>) {
        for n in std::mem::take(&mut self.unacked).into_keys() {
            actor.client_event(&ClientEvent::AckMissing { n });
        }
    }
}

/// Runs until the session is over and both ends have said goodbye, or `close_timeout` after it should have been. The
/// client leaves after `stays`, and when it is told to stop.
pub(super) async fn run<N: Net>(
    actor: &Actor<N>,
    push: &Push,
    (stays, close_timeout): (Option<Duration>, Duration),
    (reader, writer): (Reader, Writer),
    account: &mut Account,
    stop: &Stop,
) -> End {
    let leaves_at = stays.map(|stays| Instant::now() + stays);
    let (frames, queued) = queue(MAX_QUEUED_FRAMES);
    let (tell, mut heard) = queue(1);
    let mut reading = pin!(read(actor, reader, frames.clone(), tell));
    let mut writing = pin!(write(writer, queued));
    let mut leaving = pin!(stop.stopped());
    let mut timers = Timers::new(push);
    let end = loop {
        let due = timers.next();
        select! {
            biased;
            (reader, stopped) = &mut reading => {
                drain(&mut heard, actor, account, &mut timers);
                let (end, answer) = parting(stopped);
                if let Some(answer) = answer {
                    let (_, written) = timeout(close_timeout, async { join!(biased; frames.send(answer), &mut writing) })
                        .await
                        .unwrap_or((Ok(()), Err(Ending::Timeout)));
                    if let Ok(writer) = written {
                        part(reader, writer, close_timeout).await;
                    }
                }
                return end;
            }
            Some(news) = heard.recv() => hear(&news, actor, account, &mut timers),
            written = &mut writing => break written.err().unwrap_or(Ending::Error),
            () = &mut leaving => break Ending::Left,
            () = sleep_until(leaves_at.unwrap_or_else(Instant::now)), if leaves_at.is_some() => break Ending::Left,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                match timers.act(&frames, actor, account) {
                    Ok(()) => {}
                    Err(how) => break how,
                }
            }
        }
    };
    drain(&mut heard, actor, account, &mut timers);
    if end != Ending::Left {
        return End::without_close(end);
    }
    let goodbye = Outgoing::Close { code: Some(NORMAL_CLOSURE), reason: String::new() };
    let listening = async {
        while let Some(news) = heard.recv().await {
            hear(&news, actor, account, &mut timers);
        }
    };
    let parted = async { join!(biased; frames.send(goodbye), &mut reading, &mut writing, listening) };
    if let Ok((_, (reader, _), Ok(writer), ())) = timeout(close_timeout, parted).await {
        part(reader, writer, close_timeout).await;
    }
    End { how: Ending::Left, code: Some(NORMAL_CLOSURE), reason: String::new() }
}

/// What was read that matters to the session.
enum News {
    Update(u64),
    Ack(u64),
    Pong,
    /// Nothing of importance; but the other end lives.
    Other,
}

/// Why the reading stopped.
enum Stopped {
    Closed { code: Option<u16>, reason: String },
    Broken(Broken),
}

/// Reads to the end; updates are told to the observer at the moment they are read.
async fn read<N: Net>(
    actor: &Actor<N>,
    mut reader: Reader,
    queue: Sender<Outgoing>,
    tell: Sender<News>,
) -> (Reader, Stopped) {
    loop {
        let news = match reader.next().await {
            Ok(Incoming::Message(text)) => match Told::parse(&text) {
                Some(update) => {
                    take_update(actor, update);
                    News::Update(update.seq)
                }
                None => acknowledged(&text).map_or(News::Other, News::Ack),
            },
            Ok(Incoming::Pong(_)) => News::Pong,
            Ok(Incoming::Ping(payload)) => {
                // Fails only once the writing is over, and the session with it.
                let _ = queue.send(Outgoing::Pong(payload)).await;
                News::Other
            }
            Ok(Incoming::Close { code, reason }) => return (reader, Stopped::Closed { code, reason }),
            Err(broken) => return (reader, Stopped::Broken(broken)),
        };
        // The other end of this lives as long as this future.
        let _ = tell.send(news).await;
    }
}

/// Writes what is queued, up to and including a Close.
async fn write(mut writer: Writer, mut queued: Receiver<Outgoing>) -> Result<Writer, Ending> {
    while let Some(frame) = queued.recv().await {
        let last = matches!(frame, Outgoing::Close { .. });
        writer.send(frame).await?;
        if last {
            break;
        }
    }
    Ok(writer)
}

/// How the session ended, and the Close that is still to be sent.
fn parting(stopped: Stopped) -> (End, Option<Outgoing>) {
    match stopped {
        Stopped::Closed { code, reason } => {
            let answer = Outgoing::Close { code, reason: String::new() };
            (End { how: Ending::Close, code, reason }, Some(answer))
        }
        Stopped::Broken(Broken { how, answer }) => {
            let close = answer.map(|code| Outgoing::Close { code: Some(code), reason: String::new() });
            (End::without_close(how), close)
        }
    }
}

/// The app closes the connection first (RFC 6455 §7.1.1); then this end does.
async fn part(mut reader: Reader, writer: Writer, within: Duration) {
    let ended = async { while reader.next().await.is_ok() {} };
    // An app that does not is not waited for.
    let _ = timeout(within, ended).await;
    writer.shutdown(within).await;
}

fn acknowledged(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.strip_prefix(b"ack:")?).ok()?.parse().ok()
}

fn drain<N: Net>(heard: &mut Receiver<News>, actor: &Actor<N>, account: &mut Account, timers: &mut Timers) {
    while let Some(news) = heard.try_recv() {
        hear(&news, actor, account, timers);
    }
}

fn hear<N: Net>(news: &News, actor: &Actor<N>, account: &mut Account, timers: &mut Timers) {
    timers.heard();
    match *news {
        News::Other => {}
        News::Update(seq) => account.since = account.since.max(seq),
        News::Pong => timers.pong_due = None,
        News::Ack(n) => {
            if let Some(sent) = account.unacked.remove(&n) {
                actor.client_event(&ClientEvent::Acked { n, took: sent.elapsed() });
            }
        }
    }
}

/// What a session does by the clock.
struct Timers {
    ping: Option<(Pinging, Instant)>,
    pong_due: Option<Instant>,
    message: Option<(Messages, Instant)>,
}

impl Timers {
    fn new(push: &Push) -> Self {
        let now = Instant::now();
        Self {
            ping: push.ping.map(|ping| (ping, now + ping.silence.max(MIN_INTERVAL))),
            pong_due: None,
            message: push.messages.map(|messages| (messages, now + messages.interval)),
        }
    }

    /// The other end has said something: the silence begins anew.
    fn heard(&mut self) {
        if let Some((ping, due)) = &mut self.ping {
            *due = Instant::now() + ping.silence.max(MIN_INTERVAL);
        }
    }

    fn next(&self) -> Option<Instant> {
        let ping = self.ping.as_ref().map(|(_, due)| *due);
        let message = self.message.as_ref().map(|(_, due)| *due);
        [ping, self.pong_due, message].into_iter().flatten().min()
    }

    /// Does what is due. Fails when a pong is.
    fn act<N: Net>(&mut self, queue: &Sender<Outgoing>, actor: &Actor<N>, account: &mut Account) -> Result<(), Ending> {
        let now = Instant::now();
        if self.pong_due.is_some_and(|due| due <= now) {
            return Err(Ending::Timeout);
        }
        if let Some((ping, due)) = &mut self.ping
            && *due <= now
        {
            *due = now + ping.silence.max(MIN_INTERVAL);
            // A full queue is a connection that takes nothing: its pong would be as late.
            let _ = queue.try_send(Outgoing::Ping(Vec::new()));
            self.pong_due.get_or_insert(now + ping.timeout);
        }
        if let Some((messages, due)) = &mut self.message
            && *due <= now
        {
            *due = now + messages.interval.max(MIN_INTERVAL);
            let n = account.sent + 1;
            let mut text = format!("msg:{n}").into_bytes();
            if text.len() < messages.bytes {
                text.push(b' ');
                text.resize(messages.bytes, b'x');
            }
            if account.unacked.len() < MAX_UNACKED && queue.try_send(Outgoing::Text(text)).is_ok() {
                account.sent = n;
                account.unacked.insert(n, now);
                actor.client_event(&ClientEvent::MessageSent { n });
            }
        }
        Ok(())
    }
}
