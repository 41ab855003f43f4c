//! What must hold in every run, whatever its scenario expects: one file for each.

mod acknowledged;
mod backoff;
mod bytes;
mod causes;
mod closes;
mod heal;
mod keepalive;
mod limits;
mod memory;
mod order;
mod path;
mod registry;

use std::fmt;
use std::time::Duration;

use crate::actors::Account;
use crate::middlebox::Cut;
use crate::scenario::{PlannedFault, Scenario};
use crate::world::record::{ClientSession, Connection, Redial, SidecarSession, WireSession};

/// Violations of one invariant that are told; one broken rule breaks it in every session.
const MAX_TOLD: usize = 10;
/// What an exact time may be off by: timers lie on whole milliseconds, and some are set when another one rings.
const SLACK: Duration = Duration::from_millis(20);

/// All that is known of a run after everything has stopped.
pub struct Case<'a> {
    pub scenario: &'a Scenario,
    pub faults: &'a [PlannedFault],
    pub cuts: &'a [Cut],
    pub connections: &'a [Connection],
    pub client_sessions: &'a [ClientSession],
    pub sidecar_sessions: &'a [SidecarSession],
    pub wires: &'a [WireSession],
    /// Bodies of answers that came otherwise than they were given.
    pub bodies: &'a [String],
    pub redials: &'a [Redial],
    pub account: &'a Account,
    /// What was seen to be wrong while it ran.
    pub problems: &'a [String],
    /// What had not converged at the end of the heal phase.
    pub unconverged: &'a [String],
    /// What lived on where nothing should.
    pub left_over: &'a [String],
    /// When everybody was told to stop.
    pub stopping_us: u64,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name, as that of the file here.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.what)
    }
}

/// Judges a run by every invariant.
pub fn all(case: &Case) -> Vec<Violation> {
    type Check = fn(&Case) -> Vec<String>;
    let checks: [(&'static str, Check); 11] = [
        ("order", order::check),
        ("bytes", bytes::check),
        ("acknowledged", acknowledged::check),
        ("memory", memory::check),
        ("limits", limits::check),
        ("keepalive", keepalive::check),
        ("causes", causes::check),
        ("closes", closes::check),
        ("backoff", backoff::check),
        ("registry", registry::check),
        ("heal", heal::check),
    ];
    let told = |(invariant, check): (&'static str, Check)| {
        let mut found = check(case);
        if found.len() > MAX_TOLD {
            let more = found.len() - MAX_TOLD;
            found.truncate(MAX_TOLD);
            found.push(format!("and {more} more"));
        }
        found.into_iter().map(move |what| Violation { invariant, what })
    };
    checks.into_iter().flat_map(told).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
