//! From arguments to scenarios and seeds.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use crate::backend::Backend;
use crate::report;
use crate::scenario::{self, Scenario, schedule};
use crate::world;

/// Folders within folders that are looked through.
const MAX_DEPTH: usize = 8;

/// A scenario file that was read.
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    /// It is not one of a folder.
    pub(super) by_name: bool,
    pub(super) scenario: Scenario,
    /// What each combination of swept values is called, and the scenario that it makes.
    pub(super) variants: Vec<(String, Scenario)>,
}

/// One run to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) file: usize,
    pub(super) variant: usize,
    pub(super) seed: u64,
}

/// Reads all scenarios; says everything that is wrong with them. `Err` if anything is.
pub(super) fn load(paths: &[PathBuf], err: &mut dyn Write) -> Result<Vec<Loaded>, ()> {
    let mut files = Vec::new();
    let mut bad = false;
    for path in paths {
        let mut found = Vec::new();
        if let Err(why) = find(path, MAX_DEPTH, &mut found) {
            let _ = writeln!(err, "error: {}: {why}", path.display());
            bad = true;
        }
        files.extend(found.into_iter().map(|file| (file == *path, file)));
    }
    if files.is_empty() && !bad {
        let _ = writeln!(err, "error: there is no scenario; scenarios are files that end with .toml");
        bad = true;
    }
    let mut loaded = Vec::new();
    for (by_name, path) in files {
        let name = path.display().to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(why) => {
                let _ = writeln!(err, "error: {name}: {why}");
                bad = true;
                continue;
            }
        };
        match scenario::parse(&name, &text) {
            Ok((scenario, warnings)) => {
                for warning in warnings {
                    let _ = writeln!(err, "warning: {warning}");
                }
                let variants = scenario::variants(&scenario);
                loaded.push(Loaded { path, by_name, scenario, variants });
            }
            Err(report) => {
                let _ = write!(err, "{report}");
                bad = true;
            }
        }
    }
    if bad { Err(()) } else { Ok(loaded) }
}

/// A file itself, or all scenarios of a folder, by name. What is hidden is passed over: Kubernetes keeps the files of a
/// mounted `ConfigMap` in a hidden folder, beside links to them.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth == 0 {
        return Err(std::io::Error::other("the folders are too deep"));
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    let is_hidden = |entry: &Path| entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    for entry in entries.into_iter().filter(|entry| !is_hidden(entry)) {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "toml") {
            find(&entry, depth - 1, files)?;
        }
    }
    Ok(())
}

/// All runs that the flags ask for, by file, variant and seed.
pub(super) fn tasks(loaded: &[Loaded], matches: &ArgMatches) -> Result<Vec<Task>, String> {
    let wanted = variant(matches);
    let mut tasks = Vec::new();
    for (file, found) in loaded.iter().enumerate() {
        let (from, to) = match (matches.get_one::<u64>("seed"), given_range(matches)) {
            (Some(seed), _) => (*seed, *seed),
            (None, Some(range)) => range,
            (None, None) => (1, u64::from(found.scenario.seeds)),
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted >= found.variants.len()) {
            let count = found.variants.len();
            return Err(format!("{} has {count} variants, not {}", found.path.display(), wanted + 1));
        }
        for variant in (0..found.variants.len()).filter(|variant| wanted.is_none_or(|wanted| wanted == *variant)) {
            tasks.extend((from..=to).map(|seed| Task { file, variant, seed }));
        }
    }
    Ok(tasks)
}

/// Takes out what the network cannot play, and says so: `skipped: …` for the files of folders and for single seeds, an
/// error for a file that was named, or if nothing is left.
pub(super) fn playable(
    backend: Backend,
    loaded: &[Loaded],
    tasks: Vec<Task>,
    err: &mut dyn Write,
) -> Result<Vec<Task>, ()> {
    let (mut left, mut bad, mut seeds) = (Vec::new(), false, 0_usize);
    let mut refused: Vec<(usize, Vec<String>)> = Vec::new();
    let name = backend.as_str();
    for task in tasks {
        let found = &loaded[task.file];
        let (path, scenario) = (found.path.display(), &found.variants[task.variant].1);
        let whole = world::unplayable_on(backend, scenario);
        if whole.is_empty() {
            match world::unplayable_faults(backend, &schedule(scenario, task.seed)) {
                None => left.push(task),
                Some(why) => {
                    seeds += 1;
                    let _ = writeln!(err, "skipped: {path}: seed {}: --backend {name}: {why}", task.seed);
                }
            }
        } else if !refused.contains(&(task.file, whole.clone())) {
            let word = if found.by_name { "error" } else { "skipped" };
            for why in &whole {
                let _ = writeln!(err, "{word}: {path}: --backend {name}: {why}");
            }
            bad |= found.by_name;
            refused.push((task.file, whole));
        }
    }
    let files: BTreeSet<usize> = refused.iter().map(|(file, _)| *file).collect();
    if !bad && (seeds > 0 || !files.is_empty()) {
        let _ = writeln!(err, "skipped: {} files of {}, and {seeds} runs of others", files.len(), loaded.len());
    }
    if left.is_empty() && !bad {
        let _ = writeln!(err, "error: nothing is left that --backend {name} can play");
        bad = true;
    }
    if bad { Err(()) } else { Ok(left) }
}

fn given_range(matches: &ArgMatches) -> Option<(u64, u64)> {
    matches.try_get_one::<(u64, u64)>("seeds").ok().flatten().copied()
}

/// Counted from 0.
pub(super) fn variant(matches: &ArgMatches) -> Option<usize> {
    let number = matches.get_one::<u64>("variant")?;
    usize::try_from(number - 1).ok()
}

/// The command that runs this again and tells all.
pub(super) fn replay_command(backend: Backend, loaded: &[Loaded], task: Task) -> String {
    let found = &loaded[task.file];
    let file = found.path.display().to_string();
    report::replay(backend, &file, found.variants.len(), task.variant, task.seed)
}
