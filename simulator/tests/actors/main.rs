//! The actors at work: on a network in memory, where the clock is paused and times are exact, and on the real one.

mod alone;
mod apps;
mod memory;
mod through_sidecar;
mod world;
