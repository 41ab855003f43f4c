//! slice
use std::ffi::OsString;
use std::io::Write;
pub fn main(args: impl IntoIterator<Item = OsString>, _t: bool, out: &mut impl Write, _e: &mut impl Write) -> u8 {
    let a: Vec<String> = args.into_iter().map(|a| a.into_string().unwrap()).collect();
    let text = std::fs::read_to_string(&a[2]).unwrap();
    let (s, _) = crate::scenario::parse(&a[2], &text).map_err(|r| r.to_string()).unwrap();
    for (label, v) in crate::scenario::variants(&s) {
        let run = crate::world::run(&v, 1, &crate::world::Options::default());
        match run {
            Ok(run) => {
                for v in &run.violations {
                    writeln!(out, "{v}").unwrap();
                }
                for v in &run.failures {
                    writeln!(out, "{v}").unwrap();
                }
                writeln!(out, "{label}: {:x} {:?} {:?}", run.digest.total, run.virtual_time, run.stats).unwrap();
                if std::env::args().nth(3).is_some() {
                    for e in &run.history {
                        writeln!(out, "{} {} {}", e.at_us, e.host, e.text).unwrap();
                    }
                    for ((g, m), v) in &run.metrics {
                        writeln!(out, "{g} {m} {v}").unwrap();
                    }
                }
            }
            Err(e) => writeln!(out, "{label}: {e}").unwrap(),
        }
    }
    0
}
