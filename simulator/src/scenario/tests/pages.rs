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

/// The folders of scenarios, and what is in each, in order.
fn families() -> Vec<(PathBuf, Vec<PathBuf>)> {
    let entries = |folder: &Path| {
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let folders = entries(&top("scenarios")).into_iter().filter(|path| path.is_dir());
    folders.map(|folder| (folder.clone(), entries(&folder).into_iter().filter(toml).collect())).collect()
}

#[test]
fn every_scenario_that_is_checked_in_is_right_and_survives_writing() {
    for file in families().into_iter().flat_map(|(_, files)| files) {
        let name = file.display().to_string();
        // Warnings are fine: some files show what they warn of.
        let (scenario, _) = parse(&name, &read(&file)).unwrap_or_else(|report| panic!("{report}"));
        assert!(!scenario.expect.all.is_empty(), "{name} expects nothing");
        for (label, variant) in variants(&scenario) {
            let faults = schedule(&variant, 1);
            let written = write(&variant, &faults);
            let (again, _) = parse(&name, &written).unwrap_or_else(|report| panic!("{label}\n{written}\n{report}"));
            assert_eq!(schedule(&again, 1), faults, "{name} {label}");
        }
    }
}

#[test]
fn every_family_says_what_its_files_ask() {
    let families = families();
    let index = read(&top("scenarios/README.md"));
    for family in ["polling-vs-push", "idle-timeout", "multi-region"] {
        assert!(families.iter().any(|(folder, files)| folder.ends_with(family) && files.len() >= 3), "{family}");
    }
    for (folder, files) in families {
        let family = folder.file_name().unwrap().to_str().unwrap();
        assert!(index.contains(&format!("({family}/README.md)")), "scenarios/README.md leaves out {family}");
        let page = read(&folder.join("README.md"));
        for file in files {
            let file = file.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(page.contains(&format!("]({file})")), "{family}/README.md leaves out {file}");
        }
    }
}
