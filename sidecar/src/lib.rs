//! The Outrigger sidecar.

pub mod demo;
