//! A queue between two futures of one task.
//!
//! That task polls both whenever it has a turn, so nobody has to be woken by what is put in: the receiver is polled behind the
//! sender. With a channel of tokio's each item would give the whole task a second turn that finds nothing to do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// One end puts in, the other takes out; at most `limit` items wait.
pub(super) fn queue<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { items: VecDeque::new(), limit, senders: 1, has_receiver: true, waiting: None };
    let shared = Arc::new(Mutex::new(state));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// Why an item was not put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    /// Nobody will take it.
    Closed,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    limit: usize,
    senders: usize,
    /// The other end is still there.
    has_receiver: bool,
    /// The task, while it waits for room.
    waiting: Option<Waker>,
}

impl<T> State<T> {
    fn refusal(&self) -> Option<Refused> {
        if !self.has_receiver {
            return Some(Refused::Closed);
        }
        (self.items.len() >= self.limit).then_some(Refused::Full)
    }

    fn there_is_room(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

/// The end that puts in; clones put into the same queue.
#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Mutex<State<T>>>);

impl<T> Sender<T> {
    /// Waits for room. Fails once the other end is gone.
    pub(super) async fn send(&self, item: T) -> Result<(), Refused> {
        let mut item = Some(item);
        poll_fn(|cx| {
            look(&self.0, |state| match state.refusal() {
                Some(Refused::Full) => {
                    state.waiting = Some(cx.waker().clone());
                    Poll::Pending
                }
                Some(Refused::Closed) => Poll::Ready(Err(Refused::Closed)),
                None => {
                    state.items.extend(item.take());
                    Poll::Ready(Ok(()))
                }
            })
        })
        .await
    }

    /// Does not wait.
    pub(super) fn try_send(&self, item: T) -> Result<(), Refused> {
        look(&self.0, |state| {
            state.refusal().map_or(Ok(()), Err)?;
            state.items.push_back(item);
            Ok(())
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        look(&self.0, |state| state.senders += 1);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        look(&self.0, |state| state.senders -= 1);
    }
}

/// The end that takes out.
#[derive(Debug)]
pub(super) struct Receiver<T>(Arc<Mutex<State<T>>>);

impl<T> Receiver<T> {
    /// Waits for the next item; `None` once nobody can put one in. Nothing is lost when the future is dropped.
    pub(super) async fn recv(&mut self) -> Option<T> {
        poll_fn(|_| {
            look(&self.0, |state| match state.items.pop_front() {
                Some(item) => {
                    state.there_is_room();
                    Poll::Ready(Some(item))
                }
                None if state.senders == 0 => Poll::Ready(None),
                None => Poll::Pending,
            })
        })
        .await
    }

    /// What there is, without waiting.
    pub(super) fn try_recv(&mut self) -> Option<T> {
        look(&self.0, |state| {
            let item = state.items.pop_front()?;
            state.there_is_room();
            Some(item)
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        look(&self.0, |state| {
            state.has_receiver = false;
            state.items.clear();
            state.there_is_room();
        });
    }
}

fn look<S, R>(shared: &Mutex<S>, look: impl FnOnce(&mut S) -> R) -> R {
    look(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_put_in_wakes_nobody_and_room_wakes_who_waits_for_it() {
        let (sender, mut receiver) = queue(1);
        let woken = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = &mut Context::from_waker(&waker);
        assert!(pin!(receiver.recv()).poll(cx).is_pending());
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Err(Refused::Full));
        let mut third = pin!(sender.send(3));
        assert!(third.as_mut().poll(cx).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        assert_eq!(pin!(receiver.recv()).poll(cx), Poll::Ready(Some(1)));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(third.poll(cx), Poll::Ready(Ok(())));
        assert_eq!(receiver.try_recv(), Some(3));
        assert_eq!(receiver.try_recv(), None);
    }

    #[test]
    fn each_end_learns_that_the_other_one_is_gone() {
        let (sender, mut receiver) = queue(2);
        let other = sender.clone();
        assert_eq!(sender.try_send('a'), Ok(()));
        drop(sender);
        let cx = &mut Context::from_waker(Waker::noop());
        assert_eq!(pin!(receiver.recv()).poll(cx), Poll::Ready(Some('a')), "what was put in before is still there");
        assert!(pin!(receiver.recv()).poll(cx).is_pending(), "somebody is left");
        drop(other);
        assert_eq!(pin!(receiver.recv()).poll(cx), Poll::Ready(None));

        let (sender, receiver) = queue(1);
        assert_eq!(sender.try_send('b'), Ok(()));
        let mut waiting = pin!(sender.send('c'));
        assert!(waiting.as_mut().poll(cx).is_pending());
        drop(receiver);
        assert_eq!(waiting.poll(cx), Poll::Ready(Err(Refused::Closed)));
        assert_eq!(sender.try_send('d'), Err(Refused::Closed));
    }
}
