//! The Outrigger sidecar.

pub mod config;
