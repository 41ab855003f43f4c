//! Connections to the app that wait for their next request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::board::Seat;
use crate::http::RequestBody;

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// Idle connections, the longest idle first. At most `capacity`, none older than `timeout`.
pub(super) struct Pool {
    idle: Mutex<VecDeque<Idle>>,
    capacity: usize,
    timeout: Duration,
    /// Rung when a connection is put in, and when the pool goes away.
    filled: Arc<Notify>,
}

/// When a pool has to be looked at again.
enum Expiry {
    At(Instant),
    /// When something is put in.
    Empty,
    /// Never: nobody holds the pool any more.
    Gone,
}

impl Pool {
    pub(super) fn new(capacity: usize, timeout: Duration) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), capacity, timeout, filled: Arc::default() })
    }

    /// Whether these are its limits.
    pub(super) fn has(&self, capacity: usize, timeout: Duration) -> bool {
        (self.capacity, self.timeout) == (capacity, timeout)
    }

    /// The connection used last that can take a request: it is the likeliest to be still open.
    pub(super) fn take(&self) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        idle.retain(|c| !c.sender.is_closed() && now.duration_since(c.since) < self.timeout);
        let at = idle.iter().rposition(|c| c.sender.is_ready())?;
        idle.remove(at).map(|c| c.sender)
    }

    /// Connections that wait now.
    pub(super) fn len(&self) -> usize {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|c| !c.sender.is_closed());
        idle.len()
    }

    fn put(&self, sender: SendRequest<RequestBody>) {
        if sender.is_closed() || self.capacity == 0 {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() == self.capacity {
            idle.pop_front();
        }
        idle.push_back(Idle { sender, since: Instant::now() });
        drop(idle);
        self.filled.notify_one();
    }

    /// Closes connections that have waited too long, for as long as somebody else holds the pool.
    pub(super) async fn expire(self: Arc<Self>) {
        let (pool, filled) = (Arc::downgrade(&self), Arc::clone(&self.filled));
        drop(self);
        loop {
            match Self::next_expiry(&pool) {
                Expiry::At(at) => sleep_until(at).await,
                Expiry::Empty => filled.notified().await,
                Expiry::Gone => return,
            }
        }
    }

    /// Drops what has expired; then, when to look again.
    fn next_expiry(pool: &Weak<Self>) -> Expiry {
        let Some(pool) = pool.upgrade() else { return Expiry::Gone };
        let now = Instant::now();
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|c| !c.sender.is_closed() && now.duration_since(c.since) < pool.timeout);
        idle.front().map_or(Expiry::Empty, |oldest| Expiry::At(oldest.since + pool.timeout))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.filled.notify_one();
    }
}

/// A connection in use for one request. Dropped, it closes; given back, it waits for the next request.
pub struct Lease {
    pool: Weak<Pool>,
    sender: SendRequest<RequestBody>,
    seat: Seat,
}

impl Lease {
    pub(super) fn new(pool: &Arc<Pool>, sender: SendRequest<RequestBody>, seat: Seat) -> Self {
        Self { pool: Arc::downgrade(pool), sender, seat }
    }

    /// Where the connection leads.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The answer has come whole: the connection can be used again.
    pub(crate) fn give_back(self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.put(self.sender);
        }
    }
}
