//! The session machine, seen from outside: bytes and time in, bytes, events and deadlines out.

mod checks;
mod closing;
mod corpus;
mod driver;
mod frames;
mod limits;
mod liveness;
mod oracle;
mod properties;
mod raw;
mod scanner;
mod script;
mod wire;
