//! Whole scenarios: real sidecars, apps, clients and faults in one world.
#![expect(clippy::float_cmp, reason = "figures are whole numbers here")]

mod balancer;
mod binary;
#[path = "../common/mod.rs"]
mod common;
mod deploys;
mod determinism;
mod entropy;
mod faults;
mod idle;
mod model;
mod scenarios;
mod support;
