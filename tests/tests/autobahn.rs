//! The Autobahn|Testsuite: what passes against an app passes against the sidecar in front of it, over WS and WSS.

use std::process::Stdio;

use outrigger_tests::tools::autobahn;

#[test]
fn no_case_of_the_quick_ones_is_worse_through_the_sidecar() {
    let Some(mut suite) = autobahn() else { return };
    // The script ends by itself: each of its waits has a limit.
    let output = suite.arg("--subset").stdin(Stdio::null()).output().expect("the script starts");
    let [summary, problems] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    println!("{summary}");
    assert!(output.status.success(), "{}\n{summary}\n{problems}", output.status);
    let ways = ["| direct | 252 |", "| ws | 252 |", "| wss | 252 |"];
    assert!(ways.iter().all(|way| summary.contains(way)), "a way is missing or has lost cases:\n{summary}");
}
