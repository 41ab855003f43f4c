//! `advise`: what the boxes in front will do to the sessions of one configuration file, and which lines to change.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;

use super::jobs::{self, Told};
use super::{FAILED, OK, Screen, USAGE};
use crate::report::advice::{self, Fate, Line, Named};
use crate::scenario::{Scenario, Shipped, parse, shipped};
use crate::world::{self, Options};

/// Until it is known how long it has to be.
const ANY_DURATION: Duration = Duration::from_mins(1);

pub(super) fn advise(matches: &ArgMatches, screen: &Screen, out: &mut dyn Write, err: &mut (dyn Write + Send)) -> u8 {
    let path = matches.get_one::<PathBuf>("config").expect("clap insists on it");
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(why) => {
            let _ = writeln!(err, "error: {}: {why}", path.display());
            return USAGE;
        }
    };
    let shipped = match shipped(&path.display().to_string(), &text) {
        Ok(shipped) => shipped,
        Err(report) => {
            let _ = write!(err, "{report}");
            return USAGE;
        }
    };
    let hops: Vec<Named> = matches.get_many::<Named>("hops").into_iter().flatten().cloned().collect();
    let told = jobs::told(matches, screen);
    let way = Way { shipped: &shipped, told };
    match way.all(path, &hops, out) {
        Ok(code) => code,
        Err(why) => {
            let _ = writeln!(err, "error: {why}");
            USAGE
        }
    }
}

struct Way<'a> {
    shipped: &'a Shipped,
    told: Told,
}

impl Way<'_> {
    fn all(&self, path: &Path, hops: &[Named], out: &mut dyn Write) -> Result<u8, String> {
        let whole = self.scenario(hops, &[])?;
        let names: Vec<String> = hops.iter().map(Named::show).collect();
        let names_whole = names.join(", then ");
        let _ = writeln!(out, "{} behind {names_whole}\n", path.display());
        for (name, hop) in names.iter().zip(&whole.clients[0].via) {
            let _ = writeln!(out, "- {name}: {}", advice::known(hop));
        }
        for (key, why) in &self.shipped.left_out {
            let _ = writeln!(out, "- `{key}` is left out: {why}");
        }
        let mut rows = Vec::new();
        if hops.len() > 1 {
            for (name, hop) in names.iter().zip(hops) {
                rows.push((name.clone(), self.play(&self.scenario(std::slice::from_ref(hop), &[])?)?));
            }
        }
        let found = self.play(&whole)?;
        rows.push((if hops.len() > 1 { "all of them".to_owned() } else { names_whole }, found.clone()));
        let _ = writeln!(out, "\nQuiet sessions:\n\n{}", advice::table(&rows));
        if found.is_good() {
            let _ = writeln!(out, "Nothing to change.");
            return Ok(OK);
        }
        let lines = advice::lines(&whole, self.shipped);
        let better = self.scenario(hops, &lines)?;
        let after = self.play(&better)?;
        if lines.is_empty() || !after.is_good() {
            let _ = writeln!(
                out,
                "No two lines of the configuration prevent that.\n\n{}",
                advice::table(&[("with them".to_owned(), after)])
            );
            return Ok(FAILED);
        }
        let _ = writeln!(out, "Write in {}:\n", path.display());
        for line in &lines {
            let _ = writeln!(out, "    {}    # {}", line.show(), self.before(line));
        }
        let _ = writeln!(
            out,
            "\nWith that, over {} runs:\n\n{}",
            advice::SEEDS,
            advice::table(&[("all of them".to_owned(), after)])
        );
        Ok(FAILED)
    }

    /// What a line says now.
    fn before(&self, line: &Line) -> String {
        let written = self.shipped.settings.iter().find(|setting| setting.key == line.key);
        written.map_or("not there yet".to_owned(), |setting| format!("line {}, was {}", setting.line, setting.value))
    }

    /// As long as its limits need.
    fn scenario(&self, hops: &[Named], lines: &[Line]) -> Result<Scenario, String> {
        let of = |duration| {
            let text = advice::scenario_text(self.shipped, hops, lines, duration);
            parse("the simulation", &text).map(|(scenario, _)| scenario).map_err(|report| report.to_string())
        };
        let duration = advice::duration(&of(ANY_DURATION)?);
        of(duration)
    }

    fn play(&self, scenario: &Scenario) -> Result<Fate, String> {
        let count = usize::try_from(advice::SEEDS).expect("a few");
        let stories = jobs::all(count, &self.told.quietly(), &mut std::io::sink(), |index| {
            let options = Options { story: true, ..Options::default() };
            world::run(scenario, index as u64 + 1, &options).map_err(|why| why.to_string())
        });
        let mut fate = Fate::default();
        for run in stories {
            let run = run?;
            fate.add(run.story.as_ref().expect("it was asked for"), scenario.duration);
        }
        Ok(fate)
    }
}

/// `tencent-clb`, or `tencent-clb=15m` for one with another idle limit.
pub(super) fn hop(text: &str) -> Result<Named, String> {
    let (preset, idle) = text.split_once('=').map_or((text, None), |(preset, idle)| (preset, Some(idle.to_owned())));
    if crate::scenario::presets().contains(&preset) {
        Ok(Named { preset: preset.to_owned(), idle })
    } else {
        Err(format!("there is no hop `{preset}`; there are {}", crate::scenario::presets().join(", ")))
    }
}
