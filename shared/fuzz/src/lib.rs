//! What the fuzz targets check. It lives with the tests, which play the corpus again on every run; see
//! `shared/tests/relay/corpus.rs`.

#![expect(dead_code, reason = "the modules serve the tests as well, which use more of them")]

#[path = "../../tests/relay/checks.rs"]
mod checks;
#[path = "../../tests/relay/driver.rs"]
mod driver;
#[path = "../../tests/relay/oracle.rs"]
mod oracle;
#[path = "../../tests/relay/scanner.rs"]
mod scanner_case;
#[path = "../../tests/relay/script.rs"]
mod script;
#[path = "../../tests/relay/wire.rs"]
mod wire;

/// One side's bytes, cut anywhere, against a second reading of the same bytes.
pub fn scanner(case: &[u8]) {
    scanner_case::check(case);
}

/// A script of anything that can happen to a session, against what always holds.
pub fn session(case: &[u8]) {
    script::check(case);
}
