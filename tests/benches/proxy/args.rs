//! The command line behind `--`.

use std::path::PathBuf;

use crate::cells::CELLS;

pub(crate) const USAGE: &str = "\
Usage: cargo bench -p outrigger-tests --bench proxy -- [OPTIONS]

  --rounds N     samples of each cell and proxy (default 5)
  --only CELL    this cell alone; may be given again
  --quick        one round with tiny counts: whether it runs, not how fast
  --json FILE    all samples as JSON

OUTRIGGER_BIN names an executable to measure instead of the release build.";

pub(crate) struct Args {
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
    only: Vec<String>,
}

impl Args {
    pub(crate) fn wants(&self, cell: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == cell)
    }
}

/// `None` where there is nothing to measure: help was asked for, or `cargo test` runs this along with all targets.
pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
    let mut args = Args { rounds: 5, quick: false, json: None, only: Vec::new() };
    let mut bench = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--bench" => bench = true,
            "--quick" => args.quick = true,
            "--rounds" => {
                let rounds = value()?.parse().ok().filter(|rounds| (1..=1000).contains(rounds));
                args.rounds = rounds.ok_or("--rounds takes a number from 1 to 1000")?;
            }
            "--json" => args.json = Some(value()?.into()),
            "--only" => {
                let cell = value()?;
                if !CELLS.iter().any(|known| known.key == cell) {
                    let known: Vec<_> = CELLS.iter().map(|cell| cell.key).collect();
                    return Err(format!("no cell {cell:?}; there are {}", known.join(", ")));
                }
                args.only.push(cell);
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(None);
            }
            _ => return Err(format!("unknown argument {word:?}")),
        }
    }
    if args.quick {
        args.rounds = 1;
    }
    if !bench {
        println!("nothing is measured without cargo bench");
        return Ok(None);
    }
    Ok(Some(args))
}
