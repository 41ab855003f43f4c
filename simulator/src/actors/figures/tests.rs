//! Figures of a list of events made by hand.

use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::actors::event::{ConnectFailure, Ending, RequestFailure, RequestKind};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn tell(collector: &Collector, client: u32, events: &[ClientEvent]) {
    for event in events {
        collector.client(0, client, event);
    }
}

fn update(seq: u64, created_us: u64, delay: Duration) -> ClientEvent {
    ClientEvent::UpdateReceived { seq, created_us, delay }
}

fn answer(status: u16, empty: bool) -> ClientEvent {
    ClientEvent::AnswerReceived { status, empty, bytes: 10, took: ms(1) }
}

fn publish(collector: &Collector, feed: u32, up_to: u64) {
    for seq in 1..=up_to {
        collector.feed(0, feed, &FeedEvent::UpdateCreated { seq, bytes: 100 });
    }
}

#[test]
fn counts_a_poller_exactly() {
    let collector = Collector::new(Audience::everybody());
    collector.assign(1, "pollers");
    publish(&collector, 7, 5);
    let sent = ClientEvent::RequestSent { request: RequestKind::Poll };
    tell(
        &collector,
        1,
        &[
            ClientEvent::Started { feed: 7, since: 0 },
            ClientEvent::ConnectFailed { why: ConnectFailure::Connect(ErrorKind::ConnectionRefused) },
            ClientEvent::Connected { took: ms(80) },
            ClientEvent::TlsDone { took: ms(81) },
            sent.clone(),
            answer(200, false),
            update(1, 1_000, ms(10)),
            update(2, 2_000, ms(20)),
            sent.clone(),
            answer(304, true),
            sent.clone(),
            ClientEvent::RequestFailed { why: RequestFailure::Timeout },
            sent,
            answer(200, false),
            update(4, 4_000, ms(30)),
        ],
    );
    collector.sample(10_000);
    let figures = &collector.account().groups["pollers"];
    assert_eq!((figures.clients, figures.connections, figures.tls_handshakes), (1, 1, 1));
    assert_eq!((figures.requests, figures.answers, figures.empty_answers), (4, 3, 1));
    assert_eq!(figures.requests_by_kind, BTreeMap::from([("Poll".to_owned(), 4)]));
    assert_eq!(figures.statuses, BTreeMap::from([(200, 2), (304, 1)]));
    assert_eq!(figures.connect_failures, BTreeMap::from([("Connect(ConnectionRefused)".to_owned(), 1)]));
    assert_eq!(figures.request_failures, BTreeMap::from([("Timeout".to_owned(), 1)]));
    // 3 never came though 4 did; 5 may be on its way.
    assert_eq!((figures.updates_received, figures.updates_lost, figures.updates_outstanding), (3, 1, 1));
    assert_eq!(figures.updates_duplicated, 0);
    let delay = figures.update_delay;
    assert_eq!((delay.count, delay.min_us, delay.p50_us, delay.p99_us), (3, 10_000, 20_015, 30_015));
    assert_eq!((figures.age.count, figures.age.max_us), (1, 6_003));
}

#[test]
fn counts_a_push_client_exactly_and_adds_groups_up() {
    let collector = Collector::new(Audience::everybody());
    collector.assign(1, "push");
    collector.assign(2, "pollers");
    publish(&collector, 0, 3);
    let closed = |how, code| ClientEvent::Closed { how, code, reason: String::new(), lived: ms(500) };
    tell(
        &collector,
        1,
        &[
            ClientEvent::Started { feed: 0, since: 1 },
            ClientEvent::RequestSent { request: RequestKind::Upgrade },
            ClientEvent::HandshakeDone { took: ms(5) },
            update(2, 0, ms(1)),
            ClientEvent::MessageSent { n: 1 },
            ClientEvent::MessageSent { n: 2 },
            ClientEvent::MessageSent { n: 3 },
            ClientEvent::MessageSent { n: 4 },
        ],
    );
    collector.app(0, 9, &AppEvent::MessageReceived { client: 1, n: 1 });
    collector.app(0, 9, &AppEvent::AckSent { client: 1, n: 1 });
    collector.app(0, 9, &AppEvent::MessageReceived { client: 2, n: 2 });
    tell(
        &collector,
        1,
        &[
            ClientEvent::Acked { n: 1, took: ms(2) },
            // Client 2's message of the same number is no record of this one.
            ClientEvent::Acked { n: 2, took: ms(2) },
            ClientEvent::AckMissing { n: 3 },
            ClientEvent::AckMissing { n: 4 },
            closed(Ending::Close, Some(1012)),
            ClientEvent::ReconnectIn(ms(100)),
            ClientEvent::HandshakeDone { took: ms(7) },
            update(2, 0, ms(600)),
            update(1, 0, ms(600)),
            update(3, 0, ms(3)),
            closed(Ending::Eof, None),
        ],
    );
    tell(&collector, 2, &[ClientEvent::Started { feed: 0, since: 0 }, update(1, 0, ms(9))]);
    // Underway while its client gave it up.
    collector.app(0, 9, &AppEvent::MessageReceived { client: 1, n: 4 });
    let account = collector.account();
    let push = &account.groups["push"];
    assert_eq!((push.sessions, push.reconnects, push.retries), (2, 1, 1));
    assert_eq!(push.ends, BTreeMap::from([("Close 1012".to_owned(), 1), ("Eof".to_owned(), 1)]));
    // Update 1 was before what the client wanted, update 2 came twice.
    assert_eq!((push.updates_received, push.updates_duplicated, push.updates_lost), (2, 2, 0));
    assert_eq!((push.messages_sent, push.messages_acked, push.acks_missing, push.messages_lost), (4, 2, 2, 1));
    assert_eq!((push.messages_unarrived, account.total.messages_unarrived), (1, 1));
    assert_eq!(push.update_delay.max_us, 3_001);
    assert_eq!((account.total.clients, account.total.updates_received), (2, 3));
    assert_eq!((account.total.updates_outstanding, push.updates_outstanding), (2, 0));
    assert_eq!(account.total.update_delay.count, 3);
    assert_eq!((account.apps[&9].messages_received, account.apps[&9].acks_sent), (3, 1));
    assert_eq!(account.updates_created, BTreeMap::from([(0, 3)]));
}

#[test]
fn has_figures_of_nothing() {
    let account = Collector::new(Audience::everybody()).account();
    assert_eq!(account.total, Figures::default());
    assert!(account.groups.is_empty() && account.apps.is_empty());
}

#[test]
fn the_longest_times_count_as_a_day() {
    let collector = Collector::new(Audience::everybody());
    tell(&collector, 1, &[ClientEvent::Started { feed: 0, since: 0 }, update(1, 0, Duration::MAX)]);
    let delay = collector.account().groups[OTHERS].update_delay;
    assert!(delay.max_us.abs_diff(86_400_000_000) < 100_000_000, "{}", delay.max_us);
}
