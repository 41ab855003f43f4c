//! What shells and `man` know of the program.

use std::io::Write;

use clap::ArgMatches;
use clap_complete::Shell;

use super::{OK, USAGE, command};

pub(super) fn completions(matches: &ArgMatches, out: &mut dyn Write) -> u8 {
    let shell = *matches.get_one::<Shell>("shell").expect("clap insists on it");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command::command(), "outrigger-sim", &mut script);
    let _ = out.write_all(&script);
    OK
}

pub(super) fn man(matches: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut all = command::command();
    // Subcommands learn their full names.
    all.build();
    let page = match matches.get_one::<String>("command") {
        None => all,
        Some(name) => {
            let Some(found) = all.find_subcommand(name) else {
                let _ = writeln!(err, "error: there is no command `{name}`");
                return USAGE;
            };
            found.clone()
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).expect("memory takes what is written");
    let _ = out.write_all(&text);
    OK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> (u8, String) {
        let screen = crate::cli::Screen { bar: false, color: false, asks: false, width: 80 };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = ["outrigger-sim"].into_iter().chain(line.split(' ')).map(Into::into);
        let code = crate::cli::main(args, &screen, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn completions_and_manual_pages_know_all_commands() {
        let (code, all) = told("man");
        assert_eq!(code, OK);
        let (_, bash) = told("completions bash");
        for command in command::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(all.contains(&format!("outrigger\\-sim\\-{name}(1)")), "{name}\n{all}");
            assert!(bash.contains(&format!("outrigger__sim,{name})")), "{name}\n{bash}");
            let (code, page) = told(&format!("man {name}"));
            assert!(code == OK && page.contains(&format!(".TH outrigger-sim-{name} 1")), "{page}");
        }
        assert!(told("man run").1.contains("\\-\\-report"));
        assert_eq!(told("man walk").0, USAGE);
    }
}
