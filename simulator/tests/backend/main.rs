//! The second network: what holds on it as on the first, and what it is known to do.
#![expect(clippy::float_cmp, reason = "figures are whole numbers here")]

mod agreement;
mod binary;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod invariants;
mod stock;
mod support;
