//! What is known of one upstream.

use std::time::Duration;

use super::line::Line;
use super::{Place, Policy, Spec};
use crate::time::Micros;

/// Connect times of which the middle one counts: a lost SYN makes one of them a second long.
const SAMPLES: usize = 3;
/// Checks in a row that have to pass before it is let in again.
const PASSES: u32 = 2;
/// From one of them to the next.
const PASS_GAP: Duration = Duration::from_secs(1);
/// After it has been well for this many of the longest pauses, earlier ejections are forgotten.
const CALM_PAUSES: u32 = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Health {
    Well,
    /// Ejected; not tried before `until`.
    Out {
        until: Micros,
        first: Micros,
        passes: u32,
    },
}

#[derive(Debug)]
pub(super) struct Peer {
    pub spec: Spec,
    /// Its place in the configuration.
    pub place: u32,
    pub retired: bool,
    pub health: Health,
    /// When it was ejected last, or let in.
    pub since: Micros,
    /// In a row.
    pub fails: u32,
    pub ejections: u64,
    /// How often the pause has been doubled.
    doublings: u32,
    samples: Vec<Duration>,
    average: Option<Duration>,
    pub check_at: Micros,
    pub checking: bool,
    pub sessions: u64,
    pub dialling: u64,
    pub line: Line,
    /// When it has its next turn among those of equal load, in thousandths of a pick per weight.
    turn: u64,
}

impl Peer {
    pub(super) fn new(spec: Spec, now: Micros) -> Self {
        Self {
            spec,
            place: 0,
            retired: false,
            health: Health::Well,
            since: now,
            fails: 0,
            ejections: 0,
            doublings: 0,
            samples: Vec::with_capacity(SAMPLES),
            average: None,
            check_at: now,
            checking: false,
            sessions: 0,
            dialling: 0,
            line: Line::default(),
            turn: 0,
        }
    }

    pub(super) fn place(&self) -> Place {
        Place { priority: self.spec.priority, region: self.spec.region.clone() }
    }

    pub(super) fn is_well(&self) -> bool {
        self.health == Health::Well
    }

    pub(super) fn out_until(&self) -> Option<Micros> {
        match self.health {
            Health::Well => None,
            Health::Out { until, .. } => Some(until),
        }
    }

    /// What one more connection would make of its load, in thousandths of a connection per weight.
    pub(super) fn load(&self) -> u64 {
        (self.sessions + self.dialling + 1) * 1000 / u64::from(self.spec.weight)
    }

    /// Whose turn it is among those of equal load: start-time fair queueing, so that one that was away, or is new, does
    /// not make up for the turns that it has missed. `now` is how far turns have got.
    pub(super) fn turn(&self, now: u64) -> u64 {
        self.turn.max(now)
    }

    /// It is the first choice; how far turns have got.
    pub(super) fn take_turn(&mut self, now: u64) -> u64 {
        let turn = self.turn(now);
        self.turn = turn + 1000 / u64::from(self.spec.weight);
        turn
    }

    /// The average of connect times, each the middle one of three; newer ones count more.
    pub(super) fn connect(&self) -> Option<Duration> {
        self.average
    }

    pub(super) fn measure(&mut self, connect: Duration) {
        if self.samples.len() == SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(connect);
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        // Of two, the shorter: the longer one may be the one that lost its SYN.
        let middle = sorted[(sorted.len() - 1) / 2];
        self.average = Some(self.average.map_or(middle, |average| (average + middle) / 2));
    }

    /// How long it is out from now on, before chance takes up to half of it off.
    pub(super) fn next_pause(&mut self, policy: &Policy, now: Micros) -> Duration {
        if self.is_well() && now.since(self.since) >= policy.backoff_max.saturating_mul(CALM_PAUSES) {
            self.doublings = 0;
        }
        let pause = policy.backoff.saturating_mul(1 << self.doublings.min(20)).min(policy.backoff_max);
        self.doublings = self.doublings.saturating_add(1);
        pause
    }

    pub(super) fn eject(&mut self, pause: Duration, now: Micros) {
        let until = now + pause;
        let first = match self.health {
            Health::Well => now,
            Health::Out { first, .. } => first,
        };
        self.ejections += u64::from(self.is_well());
        self.health = Health::Out { until, first, passes: 0 };
        (self.since, self.check_at) = (now, until);
    }

    /// A check of an ejected one passed; whether that is enough. If not, the next one is due soon.
    pub(super) fn passed(&mut self, now: Micros) -> bool {
        let Health::Out { passes, .. } = &mut self.health else { return false };
        *passes += 1;
        let enough = *passes >= PASSES;
        if !enough {
            self.check_at = now + PASS_GAP;
        }
        enough
    }

    /// It is well again; how long it was not.
    pub(super) fn let_in(&mut self, now: Micros) -> Duration {
        let away = match self.health {
            Health::Well => Duration::ZERO,
            Health::Out { first, .. } => now.since(first),
        };
        (self.health, self.fails, self.since) = (Health::Well, 0, now);
        away
    }
}
