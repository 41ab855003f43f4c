//! What is checked in is what the tables say, and what is shown as an example is right.

use std::path::{Path, PathBuf};

use super::*;

fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// With `UPDATE_PAGES=1` in the environment the pages are written instead of compared.
#[expect(clippy::disallowed_methods, reason = "a switch for people who change the tables; no test depends on it")]
fn check_page(path: &str, text: &str) {
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(top(path), text).unwrap();
    }
    assert!(read(&top(path)) == text, "{path} is out of date: run the tests with UPDATE_PAGES=1");
}

#[test]
fn the_pages_are_up_to_date() {
    check_page("docs/SCENARIOS.md", &reference());
    check_page("docs/scenario.schema.json", &schema());
}

#[test]
fn the_example_of_the_reference_is_right() {
    let page = reference();
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```\n").unwrap();
    assert_eq!(right(example).clients[0].count, 50);
}

#[test]
fn every_scenario_that_is_checked_in_is_right_and_survives_writing() {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(top("scenarios")).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            files.extend(std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let name = file.display().to_string();
        let (scenario, _) = parse(&name, &read(&file)).unwrap_or_else(|report| panic!("{report}"));
        for (label, variant) in variants(&scenario) {
            let faults = schedule(&variant, 1);
            let again = right(&write(&variant, &faults));
            assert_eq!(schedule(&again, 1), faults, "{name} {label}");
        }
    }
}
