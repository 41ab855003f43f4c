//! How time passes: nothing ticks. When no task can run, the clock goes to the next packet or timer, whichever is
//! first, and not a microsecond further.

use std::time::Duration;

use tokio::time::sleep_until;
use turmoil_net::Packet;

use super::RunError;
use super::event::Event;
use super::state::{self, State, with};

/// tokio's timers lie on whole milliseconds.
const TIMER_US: u64 = 1000;

/// Drives the network until `limit_us`, which is an error.
pub(super) async fn drive(limit_us: u64) -> RunError {
    let mut packets = Vec::new();
    state::quiet().await;
    loop {
        if pass(&mut packets) {
            state::quiet().await;
            continue;
        }
        let (now, next) = with(|s| (s.now(), s.next_at().unwrap_or(u64::MAX).min(limit_us)));
        if now >= limit_us {
            return RunError::TimeLimit(Duration::from_micros(limit_us));
        }
        if next / TIMER_US > now / TIMER_US {
            // Timers lie in between. Auto-advance steps from timer to timer by whole milliseconds, so the clock must
            // stand on one before it may do so.
            state::is_up_to_date();
            let (first, last) = (now.div_ceil(TIMER_US), next / TIMER_US);
            if first * TIMER_US > now {
                advance_to(first * TIMER_US).await;
            }
            if last > first {
                let last = with(|s| s.start) + Duration::from_micros(last * TIMER_US);
                tokio::select! {
                    biased;
                    () = state::woken() => {}
                    () = sleep_until(last) => {}
                }
            }
        } else if next >= limit_us || happen(next) {
            if next > now {
                advance_to(next).await;
            }
        } else {
            // Half of what happens concerns senders alone, as an ACK does: no task has anything to do, and the
            // runtime's clock may stay behind.
            continue;
        }
        state::quiet().await;
    }
}

/// All that happens at `now`. True if tasks may be runnable then.
fn happen(now: u64) -> bool {
    let mut any = false;
    while let Some((at, event)) = with(|s| s.pop_due(now)) {
        // A fault ends tasks, and they have to notice.
        any |= matches!(event, Event::Fault(_));
        with(|s| {
            s.ahead_us = Some(at);
            s.happen(event);
        });
        any |= state::flush();
    }
    with(|s| {
        s.ahead_us = None;
        std::mem::take(&mut s.roused) || any || s.failure.is_some() || state::is_dirty()
    })
}

/// Lets what applications have written, and what the kernels have to say, meet the network. True if tasks may be runnable
/// now.
fn pass(packets: &mut Vec<Packet>) -> bool {
    let mut any = false;
    loop {
        // A handshake goes before the first bytes; a FIN takes those before it along.
        let dirty = state::is_dirty();
        if dirty {
            state::egress(packets);
            with(|s| {
                s.stats.passes += 1;
                packets.drain(..).for_each(|packet| s.emitted(packet));
            });
        }
        let unsent = with(State::send_written);
        if !dirty && !unsent {
            return any;
        }
        any |= state::flush() | with(|s| std::mem::take(&mut s.roused));
    }
}

/// For code outside of the driver that needs the kernels' packets gone.
pub(crate) fn pass_now() {
    state::mark_dirty();
    pass(&mut Vec::new());
}

async fn advance_to(at_us: u64) {
    let gap = with(|s| Duration::from_micros(at_us.saturating_sub(s.now())));
    // It moves the clock before anything else.
    state::forget_now();
    tokio::time::advance(gap).await;
}
