//! What each page has cost so far, by polling and by push.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// Pages whose counts are kept; the one not heard of for longest makes room for a new one.
pub(super) const MAX_CLIENTS: usize = 128;
/// The longest name that a page may give itself, in characters.
pub(super) const MAX_CLIENT_ID: usize = 32;

/// The name that a page gives itself: 1 to [`MAX_CLIENT_ID`] ASCII letters, digits, `-` or `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientId(String);

impl ClientId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        ((1..=MAX_CLIENT_ID).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }
}

/// The exact figures of one page, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Stats {
    pub(super) polling: Counts,
    pub(super) push: Counts,
}

/// One way's figures. Bytes are those that passed between the sidecar and the app: HTTP headers and WebSocket frames
/// included, TCP and TLS not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Polls, or WebSocket handshakes.
    pub(super) requests: u64,
    /// Answers to polls, or text messages sent.
    pub(super) messages: u64,
    /// Updates that those messages carried.
    pub(super) updates: u64,
    /// Answers that carried none.
    pub(super) empty: u64,
    /// From the sidecar to the app.
    pub(super) bytes_in: u64,
    /// From the app to the sidecar.
    pub(super) bytes_out: u64,
}

/// Counts that connections add to while the page reads them.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

impl Tally {
    pub(super) fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn counts(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pages known, least recently heard of first. A page that was evicted while it still has a connection goes on
/// being served; its counts begin anew with its next request.
#[derive(Default)]
pub(super) struct Clients(Mutex<VecDeque<Client>>);

struct Client {
    id: ClientId,
    polling: Arc<Tally>,
    push: Arc<Tally>,
}

impl Clients {
    pub(super) fn polling(&self, id: &ClientId) -> Arc<Tally> {
        self.touch(id, |client| &client.polling)
    }

    pub(super) fn push(&self, id: &ClientId) -> Arc<Tally> {
        self.touch(id, |client| &client.push)
    }

    /// The figures of a page; zeros if it is not known.
    pub(super) fn stats(&self, id: &ClientId) -> Stats {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.iter().find(|client| client.id == *id).map_or_else(Stats::default, |client| Stats {
            polling: client.polling.counts(),
            push: client.push.counts(),
        })
    }

    fn touch(&self, id: &ClientId, way: impl FnOnce(&Client) -> &Arc<Tally>) -> Arc<Tally> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients.iter().position(|client| client.id == *id).and_then(|index| clients.remove(index));
        let client = known.unwrap_or_else(|| Client { id: id.clone(), polling: Arc::default(), push: Arc::default() });
        if clients.len() == MAX_CLIENTS {
            clients.pop_front();
        }
        let tally = Arc::clone(way(&client));
        clients.push_back(client);
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ClientId {
        ClientId::parse(text).expect("a good name")
    }

    #[test]
    fn a_client_id_is_short_and_plain() {
        assert!(ClientId::parse("Az09-_").is_some());
        assert!(ClientId::parse(&"a".repeat(MAX_CLIENT_ID)).is_some());
        for bad in ["", "a b", "a%20", "é", "a/b", &"a".repeat(MAX_CLIENT_ID + 1)] {
            assert_eq!(ClientId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_page_not_heard_of_for_longest_makes_room() {
        let clients = Clients::default();
        for n in 0..MAX_CLIENTS {
            clients.polling(&id(&format!("c{n}"))).update(|counts| counts.requests += 1);
        }
        // Heard of again: the first is no longer the oldest.
        clients.push(&id("c0")).update(|counts| counts.requests += 1);
        clients.push(&id("new")).update(|counts| counts.requests += 1);

        assert_eq!(clients.0.lock().expect("not poisoned").len(), MAX_CLIENTS);
        assert_eq!(clients.stats(&id("c1")), Stats::default());
        assert_eq!(clients.stats(&id("c0")).polling.requests, 1);
        assert_eq!(clients.stats(&id("c0")).push.requests, 1);
        assert_eq!(clients.stats(&id("new")).push.requests, 1);
    }

    #[test]
    fn asking_for_figures_makes_no_entry() {
        let clients = Clients::default();
        assert_eq!(clients.stats(&id("nobody")), Stats::default());
        assert!(clients.0.lock().expect("not poisoned").is_empty());
    }
}
