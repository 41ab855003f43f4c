//! The simulated network against what real kernels were measured to do.

mod support;
mod timing;
mod wire;
