//! What is to be said, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// Cell to samples, those of one connection together: they are not independent of each other.
pub(crate) type Figures = BTreeMap<String, Vec<Vec<u64>>>;

/// How many connections say what, each of them once in the clear and once over TLS.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Between the starts of connections, so that they do not speak in chorus.
    stagger_ms: u64,
    pause_ms: u64,
    /// Between pushes, and between polls: longer than a round trip and a delayed ACK.
    spacing_ms: u64,
    /// Before and after what is counted on the wire.
    quiet_ms: u64,
    /// Connections with small echoes, and echoes on each.
    pub(crate) small: (u32, u32),
    /// The same with large ones, of each of the sizes.
    pub(crate) large: (u32, u32),
    pub(crate) large_kb: [usize; 2],
    /// Connections whose bytes are counted, and messages on each.
    pub(crate) pushes: (u32, u32),
    pub(crate) polls: (u32, u32),
}

impl Plan {
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| format!("the plan: {error}"))
    }

    pub(crate) fn stagger(&self) -> Duration {
        Duration::from_millis(self.stagger_ms)
    }

    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    pub(crate) fn spacing(&self) -> Duration {
        Duration::from_millis(self.spacing_ms)
    }

    pub(crate) fn quiet(&self) -> Duration {
        Duration::from_millis(self.quiet_ms)
    }
}
