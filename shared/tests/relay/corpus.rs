//! Every case that fuzzing found worth keeping, played again. `shared/fuzz` finds more.

use std::panic::catch_unwind;
use std::path::Path;

use crate::{scanner, script};

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let listing = folder.read_dir().unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
    let mut cases: Vec<_> = listing.map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    assert!(cases.len() > 20, "only {} cases in {}", cases.len(), folder.display());
    let failed: Vec<_> = cases
        .into_iter()
        .filter(|path| {
            let case = std::fs::read(path).expect("a case can be read");
            catch_unwind(|| check(&case)).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "these cases failed, for reasons that stand above: {failed:#?}");
}

#[test]
fn the_scanner_reads_every_case_as_the_oracle_does() {
    replay("scanner", scanner::check);
}

#[test]
fn every_script_leaves_the_account_right_and_ends() {
    replay("session", script::check);
}
