//! The manifests that a command line names: files, folders, standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::yaml::MAX_TEXT_BYTES;
use super::{Input, Outcome, Refusal, Report, inject, uninject};
use crate::cli::{Exit, Manifests, USAGE};

/// Files of a folder that are read.
const MAX_FILES: usize = 10_000;
/// Names of files in a folder that hold manifests end so, as for kubectl.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads what is named, does what is asked, and gives what there is to print.
pub fn run(manifests: &Manifests, stdin: &mut dyn Read) -> Exit {
    let inputs = match read_all(&manifests.paths, stdin) {
        Ok(inputs) => inputs,
        Err(why) => return Exit { code: USAGE, out: String::new(), err: format!("error: {why}\n") },
    };
    let outcome = match &manifests.inject {
        Some(options) => inject(&inputs, options),
        None => uninject(&inputs),
    };
    match outcome {
        Ok(Outcome { texts, lines }) => Exit { code: 0, out: join(&texts), err: Report(&lines).to_string() },
        Err(refusal) => {
            let code = if matches!(refusal, Refusal::Invalid { .. }) { USAGE } else { 1 };
            Exit { code, out: String::new(), err: format!("{refusal}error: nothing was written\n") }
        }
    }
}

fn read_all(paths: &[PathBuf], stdin: &mut dyn Read) -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(read("-", stdin)?);
        } else if path.is_dir() {
            let files = folder(path).map_err(|error| format!("{}: {error}", path.display()))?;
            if files.is_empty() {
                return Err(format!("{}: there is no .yaml, .yml or .json file in it", path.display()));
            }
            for file in files {
                inputs.push(open(&file)?);
            }
        } else {
            inputs.push(open(path)?);
        }
    }
    Ok(inputs)
}

/// The manifests in a folder, sorted; not those in folders within, as with kubectl.
fn folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)?.take(MAX_FILES) {
        let file = entry?.path();
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ENDINGS.contains(&ending) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn open(path: &Path) -> Result<Input, String> {
    let name = path.display().to_string();
    let mut file = fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
    read(&name, &mut file)
}

fn read(name: &str, from: &mut dyn Read) -> Result<Input, String> {
    let mut bytes = Vec::new();
    // One byte more than may be there shows that there is more.
    let limit = MAX_TEXT_BYTES as u64 + 1;
    from.take(limit).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        format!("{name}:{line}: is not UTF-8")
    })?;
    Ok(Input { name: name.to_owned(), text })
}

/// One text as it is; several as one stream of documents.
fn join(texts: &[String]) -> String {
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() {
            if !joined.ends_with('\n') {
                joined.push('\n');
            }
            let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
            if !first.is_some_and(|line| line.starts_with("---") || line.starts_with('%')) {
                joined.push_str("---\n");
            }
        }
        joined.push_str(text);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_joined_without_a_stray_marker() {
        let join = |texts: &[&str]| join(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(join(&["a: 1"]), "a: 1");
        assert_eq!(join(&["a: 1", "b: 2\n"]), "a: 1\n---\nb: 2\n");
        assert_eq!(join(&["a: 1\n", "# b\n---\nb: 2\n"]), "a: 1\n# b\n---\nb: 2\n");
    }
}
