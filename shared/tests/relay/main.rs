//! The session machine, seen from outside: bytes and time in, bytes, events and deadlines out.

mod closing;
mod driver;
mod frames;
mod limits;
mod liveness;
mod properties;
mod raw;
mod wire;
