//! Reports: what runs yielded goes in, text goes out, and nothing else is touched. [`build`] makes a [`Report`], which
//! is `report.json`; everything that people look at is made from that, so that parts of a sweep that ran on many
//! machines can be [joined](mod@merge) and looked at as one.

pub mod advice;
pub mod breakeven;
mod broken;
mod build;
pub mod compare;
pub mod costs;
pub mod fidelity;
pub mod html;

mod json;
pub mod junit;
pub mod markdown;
pub mod merge;
mod model;
mod schema;
pub mod story;
pub mod table;

pub use self::broken::{Broken, broken};
pub(crate) use self::build::failures;
pub use self::build::{Batch, Outcome, build};
pub use self::json::{read, write};
pub use self::model::*;
pub use self::schema::schema;

use crate::backend::Backend;

/// The command that runs a seed again and tells all. `cells` is how many the scenario has, `cell` counts from 0.
pub fn replay(network: Backend, file: &str, cells: usize, cell: usize, seed: u64) -> String {
    let variant = if cells > 1 { format!(" --variant {}", cell + 1) } else { String::new() };
    let is_usual = network == Backend::default();
    let network = if is_usual { String::new() } else { format!(" --backend {}", network.as_str()) };
    format!("outrigger-sim replay {} --seed {seed}{variant}{network}", quoted(file))
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// `1 run`, `2 runs`.
fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
