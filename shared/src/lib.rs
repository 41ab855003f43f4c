//! The pure part of Outrigger.
