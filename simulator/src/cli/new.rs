//! `new`: a commented scenario from flags, or from questions on a terminal.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use clap::ArgMatches;
use clap::builder::PossibleValue;
use clap::{Arg, ValueEnum, value_parser};

use super::{FAILED, OK, Screen, USAGE};
use crate::scenario::{Answers, Family, parse, starter};

/// Questions are asked so often until the answer is one.
const MAX_ASKED: usize = 5;

pub(super) fn args() -> Vec<Arg> {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let list = |name: &'static str, value: &'static str, help: &'static str| {
        text(name, value, help).value_delimiter(',').num_args(1..)
    };
    vec![
        Arg::new("family").long("family").value_name("FAMILY").value_parser(value_parser!(Family)).help("What it asks"),
        text("name", "TEXT", "What it is called [default: that of the family]"),
        Arg::new("clients")
            .long("clients")
            .value_name("N")
            .value_parser(value_parser!(u32).range(1..=1000))
            .help("Clients of each kind [default: 10]"),
        text("rate", "RATE", "How often there is an update [default: 20/m]"),
        text("interval", "TIME", "How often pollers ask [default: 2s]"),
        list("hops", "HOP,…", "Products on the way, the nearest to the client first: tencent-clb, home-nat, …"),
        list("regions", "NAME,…", "Regions; the first one has the app [default: hk,fra]"),
        Arg::new("out")
            .long("out")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Where it is written; nothing is overwritten [default: standard output]"),
    ]
}

impl ValueEnum for Family {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()).help(self.question()))
    }
}

pub(super) fn new(matches: &ArgMatches, screen: &Screen, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let given = matches.get_one::<Family>("family").copied();
    let answers = match given {
        Some(family) => from_flags(family, matches),
        None if screen.asks => match ask(matches, &mut io::stdin().lock(), err) {
            Ok(answers) => answers,
            Err(why) => return told(err, &why, USAGE),
        },
        None => {
            let all: Vec<&str> = Family::ALL.iter().map(|family| family.as_str()).collect();
            return told(err, &format!("say what it is about: --family {}", all.join("|")), USAGE);
        }
    };
    let text = starter(&answers);
    if let Err(report) = parse("the new scenario", &text) {
        let _ = write!(err, "{report}");
        return USAGE;
    }
    let Some(path) = matches.get_one::<PathBuf>("out") else {
        let _ = out.write_all(text.as_bytes());
        return OK;
    };
    match File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            let _ = writeln!(out, "outrigger-sim run {} --seeds 1..20", path.display());
            OK
        }
        Err(why) => told(err, &format!("{}: {why}", path.display()), FAILED),
    }
}

fn told(err: &mut dyn Write, why: &str, code: u8) -> u8 {
    let _ = writeln!(err, "error: {why}");
    code
}

fn from_flags(family: Family, matches: &ArgMatches) -> Answers {
    let text =
        |name: &str, default: &str| matches.get_one::<String>(name).cloned().unwrap_or_else(|| default.to_owned());
    let list = |name: &str| -> Vec<String> { matches.get_many(name).into_iter().flatten().cloned().collect() };
    let mut regions = list("regions");
    if regions.is_empty() {
        regions = vec!["hk".to_owned(), "fra".to_owned()];
    }
    let mut hops = list("hops");
    if hops.is_empty() && family == Family::IdleTimeout {
        hops = vec!["home-nat".to_owned(), "tencent-clb".to_owned()];
    }
    Answers {
        family,
        name: text("name", family.as_str()),
        clients: matches.get_one::<u32>("clients").copied().unwrap_or(10),
        rate: text("rate", "20/m"),
        interval: text("interval", "2s"),
        hops,
        regions,
    }
}

/// Asks for what the flags leave out; an empty line takes what is offered.
fn ask(matches: &ArgMatches, answers: &mut dyn BufRead, questions: &mut dyn Write) -> Result<Answers, String> {
    let _ = writeln!(questions, "What is it about?");
    for (index, family) in Family::ALL.iter().enumerate() {
        let _ = writeln!(questions, "  {} {}: {}", index + 1, family.as_str(), family.question());
    }
    let family = one(answers, questions, "Number or name", "1", |text| {
        let by_number = text.parse::<usize>().ok().and_then(|number| Family::ALL.get(number.checked_sub(1)?).copied());
        by_number.or_else(|| Family::ALL.into_iter().find(|family| family.as_str() == text))
    })?;
    let mut found = from_flags(family, matches);
    let is_open = |name: &str| matches.get_raw(name).is_none();
    let any = |text: &str| Some(text.to_owned());
    let listed =
        |text: &str| Some(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect());
    if is_open("name") {
        found.name = one(answers, questions, "Name", &found.name, any)?;
    }
    if is_open("clients") {
        let number = |text: &str| text.parse().ok().filter(|count| (1..=1000).contains(count));
        found.clients = one(answers, questions, "Clients of each kind", &found.clients.to_string(), number)?;
    }
    if is_open("rate") {
        found.rate = one(answers, questions, "Updates, as in 20/m", &found.rate, any)?;
    }
    if is_open("interval") && family == Family::PollingVsPush {
        found.interval = one(answers, questions, "Pollers ask every", &found.interval, any)?;
    }
    if is_open("hops") && family == Family::IdleTimeout {
        found.hops = one(
            answers,
            questions,
            "Products on the way, the nearest to the client first",
            &found.hops.join(","),
            listed,
        )?;
    }
    if is_open("regions") && family == Family::MultiRegion {
        found.regions =
            one(answers, questions, "Regions, the first one has the app", &found.regions.join(","), listed)?;
    }
    Ok(found)
}

fn one<T>(
    answers: &mut dyn BufRead,
    questions: &mut dyn Write,
    question: &str,
    offered: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, String> {
    for _ in 0..MAX_ASKED {
        let _ = write!(questions, "{question} [{offered}]: ");
        let _ = questions.flush();
        let mut line = String::new();
        match answers.read_line(&mut line) {
            Ok(0) => return Err("there was no answer".to_owned()),
            Err(why) => return Err(why.to_string()),
            Ok(_) => {}
        }
        let line = if line.trim().is_empty() { offered } else { line.trim() };
        match read(line) {
            Some(answer) => return Ok(answer),
            None => drop(writeln!(questions, "That is none: {line}")),
        }
    }
    Err(format!("no answer to: {question}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(flags: &[&str]) -> ArgMatches {
        let command = clap::Command::new("new").args(args());
        command.get_matches_from(["new"].iter().chain(flags))
    }

    #[test]
    fn questions_are_asked_for_what_the_flags_leave_out() {
        let mut asked = Vec::new();
        let answers =
            ask(&matches(&["--clients", "3"]), &mut "9\n3\nmine\n\nhk, sg ,fra\n".as_bytes(), &mut asked).unwrap();
        assert_eq!((answers.family, answers.name.as_str(), answers.clients), (Family::MultiRegion, "mine", 3));
        assert_eq!((answers.rate.as_str(), answers.regions), ("20/m", ["hk", "sg", "fra"].map(str::to_owned).to_vec()));
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.contains("That is none: 9") && !asked.contains("Clients of each kind"), "{asked}");
        assert_eq!(ask(&matches(&[]), &mut "".as_bytes(), &mut Vec::new()), Err("there was no answer".to_owned()));
        assert!(ask(&matches(&[]), &mut "x\nx\nx\nx\nx\nx\n".as_bytes(), &mut Vec::new()).is_err());
    }

    #[test]
    fn every_family_makes_a_scenario_that_is_right() {
        for family in Family::ALL {
            for flags in [&[][..], &["--hops", "aws-alb,mobile-nat", "--regions", "a,b,c,d", "--name", "a \"b\" \\ c"]]
            {
                let text = starter(&from_flags(family, &matches(flags)));
                let (scenario, warnings) = parse("new.toml", &text).unwrap_or_else(|report| panic!("{report}\n{text}"));
                assert!(warnings.is_empty(), "{warnings:?}\n{text}");
                assert!(scenario.expect.all.len() > 2 && text.matches("# ").count() > 8, "{text}");
            }
        }
    }
}
