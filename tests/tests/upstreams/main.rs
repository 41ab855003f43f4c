//! Several upstreams: who gets a connection, and where it goes when one of them is gone.

mod checks;
mod failover;
mod herd;
mod identity;
