//! The sidecar in Kubernetes manifests: the corpus of `tests/manifests`, as the command line takes it and as others read it.

mod command_line;
mod corpus;
mod refusals;
