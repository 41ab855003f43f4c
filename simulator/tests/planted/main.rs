//! Bugs planted in the joints of a world, one at a time, and the invariant that catches each.
//!
//! None of them is in the sidecar or in the simulator: they sit in what a sidecar is given (its configuration, its
//! sockets, its tasks), in what it is heard to say, and in how clients and apps behave.

mod bodies;
mod catch;
mod frames;
mod sidecars;
mod streams;
mod surroundings;
mod worlds;
