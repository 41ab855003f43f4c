//! The sender's congestion window and round-trip estimate, as Linux keeps them (RFC 5681, RFC 6298, RFC 9293), and
//! the timers of its loss recovery.

/// Segments that may go before the first ACK (RFC 6928).
pub(crate) const INITIAL_WINDOW: u32 = 10;
/// The window never shrinks below this, except right after a timeout.
const MIN_WINDOW: u32 = 2;
/// The window after a loss, in percent of the one before (CUBIC's beta).
const AFTER_LOSS_PERCENT: u32 = 70;
/// The least that the retransmission timer adds to the round trip, in microseconds.
const RTO_MIN_US: u64 = 200_000;
/// The most that the timer grows to.
const RTO_MAX_US: u64 = 120_000_000;
/// Linux' timer wheel rounds up: by a tick for short timers, by up to 32 ms for those that are longer than 63 ticks.
const TICK_US: u64 = 4_000;
const FINE_TIMER_US: u64 = 63 * TICK_US;
const COARSE_SLACK_US: u64 = 15_000;
/// What a tail-loss probe waits on top of two round trips when more than one segment is out.
const PROBE_SLACK_US: u64 = 2 * TICK_US;

#[derive(Debug)]
pub(crate) struct Congestion {
    /// In segments.
    pub(super) window: u32,
    threshold: u32,
    /// Segments acknowledged since the window grew, above the threshold.
    grown: u32,
    /// The most segments that were out at once in this burst.
    peak: u32,
    srtt: u64,
    var: u64,
    /// Losses before this time belong to the recovery that is going on.
    recovering_until: u64,
}

impl Congestion {
    pub(super) fn new() -> Self {
        Self { window: INITIAL_WINDOW, threshold: u32::MAX, grown: 0, peak: 0, srtt: 0, var: 0, recovering_until: 0 }
    }

    /// Before a segment is sent with `out` segments in flight, `idle_us` after the last one.
    pub(super) fn sending(&mut self, out: u32, idle_us: u64) {
        if out == 0 {
            self.peak = 0;
            self.decay(idle_us);
        }
        self.peak = self.peak.max(out + 1);
    }

    /// Half the window is lost for each retransmission timeout that nothing was sent.
    fn decay(&mut self, idle_us: u64) {
        let rto = self.srtt + RTO_MIN_US.max(4 * self.var);
        let mut left = idle_us;
        if left > rto && self.window > INITIAL_WINDOW {
            self.threshold = self.threshold.max(self.window / 4 * 3);
        }
        while left > rto && self.window > INITIAL_WINDOW {
            self.window = (self.window / 2).max(INITIAL_WINDOW);
            left -= rto;
        }
    }

    /// `segments` were acknowledged, the last of them `rtt_us` after it was sent.
    pub(super) fn acked(&mut self, segments: u32, rtt_us: u64) {
        self.sample(rtt_us);
        if self.window < self.threshold {
            if self.window < 2 * self.peak {
                self.window = (self.window + segments).min(self.threshold.max(self.window));
            }
        } else if self.window <= self.peak {
            self.grown += segments;
            if self.grown >= self.window {
                self.grown = 0;
                self.window += 1;
            }
        }
    }

    pub(super) fn sample(&mut self, rtt_us: u64) {
        if self.srtt == 0 {
            self.srtt = rtt_us.max(1);
            self.var = rtt_us / 2;
        } else {
            self.var = (3 * self.var + self.srtt.abs_diff(rtt_us)) / 4;
            self.srtt = (7 * self.srtt + rtt_us) / 8;
        }
    }

    /// A segment was lost and the ACKs of later ones told so.
    pub(super) fn lost(&mut self, now: u64) {
        if now >= self.recovering_until {
            self.window = (self.window * AFTER_LOSS_PERCENT / 100).max(MIN_WINDOW);
            self.threshold = self.window;
            self.recovering_until = now + self.srtt;
        }
    }

    /// Only the retransmission timer told of a loss.
    pub(super) fn timed_out(&mut self) {
        self.threshold = (self.window * AFTER_LOSS_PERCENT / 100).max(MIN_WINDOW);
        self.window = 1;
    }

    pub(super) fn round_trip(&self) -> u64 {
        self.srtt
    }

    /// The wait before retransmission number `attempt`, from 0.
    pub(super) fn timeout(&self, attempt: u32) -> u64 {
        let first = self.srtt + RTO_MIN_US.max(4 * self.var);
        with_slack(first.saturating_mul(1 << attempt.min(16)).min(RTO_MAX_US))
    }

    /// The wait before a tail-loss probe, with `out` segments in flight; never more than the timeout.
    pub(super) fn probe(&self, out: u32) -> u64 {
        let extra = if out <= 1 { RTO_MIN_US } else { PROBE_SLACK_US };
        with_slack(2 * self.srtt + extra).min(self.timeout(0))
    }
}

/// A timer of Linux' wheel goes off this long after it was set.
pub(super) fn with_slack(wait_us: u64) -> u64 {
    wait_us + if wait_us <= FINE_TIMER_US { TICK_US } else { COARSE_SLACK_US }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn settled(rtt_us: u64) -> Congestion {
        let mut c = Congestion::new();
        (0..40).for_each(|_| c.sample(rtt_us));
        c
    }

    #[test]
    fn timeouts_are_those_that_were_measured() {
        for (rtt_ms, measured_ms) in [(10, 214), (80, 310), (240, 470)] {
            let wait = settled(rtt_ms * 1000).probe(1) / 1000;
            assert!(wait.abs_diff(measured_ms) * 20 <= measured_ms, "{wait} ms at a round trip of {rtt_ms} ms");
        }
        for (rtt_ms, measured_ms) in [(80, 300), (240, 700)] {
            let mut c = Congestion::new();
            c.sample(rtt_ms * 1000);
            let wait = c.timeout(0) / 1000;
            assert!(wait.abs_diff(measured_ms) * 100 <= 6 * measured_ms, "{wait} ms at {rtt_ms} ms, one sample");
        }
    }

    #[test]
    fn slow_start_doubles_and_idleness_restarts_it() {
        let mut c = settled(80_000);
        for window in [10, 20, 40] {
            assert_eq!(c.window, window);
            (0..window).for_each(|out| c.sending(out, 0));
            c.acked(window, 80_000);
        }
        assert_eq!(c.window, 80);
        c.sending(0, 100_000);
        assert_eq!(c.window, 80);
        c.sending(0, 3 * SECOND / 2);
        assert_eq!(c.window, 10);
    }
}
