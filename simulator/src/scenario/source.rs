//! The file of a scenario as it was written, to be resolved again with other values or written with other faults.

use toml::de::DeTable;

/// A parsed file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// As it shall appear in messages.
    pub name: String,
    pub text: String,
    pub table: DeTable<'static>,
}
