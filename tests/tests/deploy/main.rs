//! Deploys, black box: an app that restarts under its sidecar (`hold`).

mod hold;
