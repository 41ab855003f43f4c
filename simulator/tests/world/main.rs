//! Whole scenarios: real sidecars, apps, clients and faults in one world.

mod binary;
mod determinism;
mod faults;
mod idle;
mod scenarios;
mod support;
