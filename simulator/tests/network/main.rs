//! The simulated network against what real kernels were measured to do.

mod bulk;
mod closing;
mod determinism;
mod faults;
mod loss;
mod middleboxes;
mod sidecar;
mod stock;
mod support;
mod timing;
mod wire;
