//! Scenarios: worlds for the simulator, one TOML file each. Text goes in, a [`Scenario`] comes out, in which a wrong
//! state cannot be written; everything downstream takes it and checks nothing again.

mod expect;
pub mod metrics;
mod model;
mod source;

pub use self::expect::Bound;
pub use self::model::*;

use std::collections::BTreeMap;

/// What a run yielded: (group, metric) to a number in the metric's unit. The group of all clients is the empty text.
pub type Metrics = BTreeMap<(String, String), f64>;
