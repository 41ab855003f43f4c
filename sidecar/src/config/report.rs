//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;

use super::key::Key;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Line and column count from 1; a column is a character.
    File { name: String, line: usize, column: usize },
    /// An environment variable, with its prefix.
    Variable(String),
    /// A flag, with its dashes.
    Flag(String),
    /// An annotation of a pod, with its prefix.
    Annotation(String),
    /// Nowhere: the key is missing, or its default is at fault together with another key.
    Unset(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Variable(name) | Self::Flag(name) | Self::Annotation(name) => f.write_str(name),
            Self::Unset(key) => f.write_str(key),
        }
    }
}

impl Place {
    /// How `value` for `key` is written at this kind of place.
    pub(crate) fn spell(&self, key: &Key, value: &str) -> String {
        let quoted = if key.list && !key.mostly_one { format!("[{value:?}]") } else { format!("{value:?}") };
        match self {
            Self::File { .. } => format!("{} = {quoted}", key.name),
            Self::Variable(_) => format!("{}={value}", key.variable()),
            Self::Flag(_) => format!("{} {}", key.flag(), shell_word(value)),
            Self::Annotation(_) => format!("{}: {value:?}", key.annotation()),
            Self::Unset(_) => {
                let (flag, variable) = (key.flag(), key.variable());
                format!("{flag} {}, {variable}={value} or, in the file, {} = {quoted}", shell_word(value), key.name)
            }
        }
    }
}

/// One thing to put right or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub place: Place,
    /// What is wrong, as a clause.
    pub problem: String,
    /// What to write or do instead, as a clause.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.problem, self.advice)
    }
}

/// All that was found, faults and warnings each in the order of their places: file, variables, flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// With any of these there is no `Config`.
    pub faults: Vec<Finding>,
    /// These stop nothing.
    pub warnings: Vec<Finding>,
}

impl fmt::Display for Report {
    /// One line each, faults first, as `error: place: problem; advice`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.iter().try_for_each(|fault| writeln!(f, "error: {fault}"))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

impl Report {
    /// Adds a fault: what is wrong, and what to write instead, each as a clause.
    pub fn fault(&mut self, place: &Place, problem: impl Into<String>, advice: impl Into<String>) {
        self.faults.push(Finding { place: place.clone(), problem: problem.into(), advice: advice.into() });
    }

    /// Adds a warning: what to know, and what to do about it, each as a clause.
    pub fn warn(&mut self, place: &Place, problem: impl Into<String>, advice: impl Into<String>) {
        self.warnings.push(Finding { place: place.clone(), problem: problem.into(), advice: advice.into() });
    }

    /// Puts findings into the order in which their places are read; within a place they stay as they were found.
    pub fn sort(&mut self) {
        for findings in [&mut self.faults, &mut self.warnings] {
            findings.sort_by_key(|finding| match &finding.place {
                Place::File { line, column, .. } => (0, *line, *column),
                Place::Variable(_) | Place::Annotation(_) => (1, 0, 0),
                Place::Flag(_) => (2, 0, 0),
                Place::Unset(_) => (3, 0, 0),
            });
        }
    }
}

/// The candidate that `word` was probably meant to be: at most a third of its letters differ.
pub fn did_you_mean<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = candidates.map(|candidate| (edit_distance(word, candidate), candidate)).min()?;
    (nearest.0 <= (word.chars().count() / 3).clamp(1, 4)).then_some(nearest.1)
}

/// Letters to insert, drop, replace or swap with their neighbour to get from one word to the other (optimal string
/// alignment).
fn edit_distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = row[j] + usize::from(a != b);
            let mut distance = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                distance = distance.min(before[j - 1] + 1);
            }
            next.push(distance);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

/// Quotes what a shell would split or expand.
fn shell_word(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:%,=@+".contains(c);
    if !value.is_empty() && value.chars().all(plain) { value.to_owned() } else { format!("'{value}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances() {
        for (from, to, distance) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("lisen", "listen", 1), ("upstrema", "upstream", 1)]
        {
            assert_eq!(edit_distance(from, to), distance, "{from} {to}");
            assert_eq!(edit_distance(to, from), distance, "{to} {from}");
        }
    }

    #[test]
    fn a_guess_is_near_or_not_made() {
        let names = ["listen", "upstream", "log_level"];
        assert_eq!(did_you_mean("lissen", names.into_iter()), Some("listen"));
        assert_eq!(did_you_mean("lsiten", names.into_iter()), Some("listen"));
        assert_eq!(did_you_mean("loglevel", names.into_iter()), Some("log_level"));
        assert_eq!(did_you_mean("workers", names.into_iter()), None);
        assert_eq!(did_you_mean("", names.into_iter()), None);
        assert_eq!(did_you_mean("x", std::iter::empty()), None);
    }

    #[test]
    fn findings_come_in_the_order_of_their_places() {
        let mut report = Report::default();
        let line = |line| Place::File { name: "o.toml".into(), line, column: 1 };
        report.fault(&Place::Flag("--listen".into()), "a", "b");
        report.fault(&line(12), "a", "b");
        report.fault(&line(3), "a", "b");
        report.warn(&line(1), "a", "b");
        report.sort();
        assert_eq!(
            report.to_string(),
            "error: o.toml:3:1: a; b\nerror: o.toml:12:1: a; b\nerror: --listen: a; b\nwarning: o.toml:1:1: a; b\n"
        );
    }
}
