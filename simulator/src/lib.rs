//! The deterministic simulator. Nothing runs here yet: the world, the scenarios and the actors are built on
//! `outrigger`'s network seam, which exists so that this crate can put a simulated network under it.
