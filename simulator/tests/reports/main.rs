//! Reports of the built program: what is in them, and that parts make the same whole.

mod advise;
mod browser;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "what is for tests that play scenarios themselves")]
mod common;
mod compare;
mod files;
mod new;
mod parts;
mod schema;

use common::Folder;

/// Writes a file into the folder; its name is what the program is told there.
fn put(folder: &Folder, name: &str, text: &str) -> String {
    folder.file(name, text);
    name.to_owned()
}
