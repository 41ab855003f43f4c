//! The pure part of Outrigger.

pub mod handshake;
