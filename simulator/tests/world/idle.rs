//! Who cuts a quiet session, and what is said about it.

use crate::support::{assert_good, behind_hop, figure, run, told};

#[test]
fn without_keepalive_the_hop_cuts_and_the_sidecar_says_reset() {
    let run = run(&behind_hop("off", "rst", ""), 1);
    assert_good(&run);
    let cuts = figure(&run, "web", "hop_cuts");
    assert_eq!(cuts, 6.0, "two clients, each once a minute; the update after four minutes starts the clocks again");
    assert_eq!(figure(&run, "web", "ended_by_cause.reset"), cuts);
    assert_eq!(figure(&run, "web", "sessions_lost"), cuts);
    assert_eq!(figure(&run, "web", "close_1006"), cuts);
    assert_eq!(figure(&run, "web", "reconnects"), cuts);
    assert!(figure(&run, "web", "time_to_recover_max") < 2_000_000.0);
    assert!(figure(&run, "web", "time_to_recover_p50") > 1_000.0);
    assert!(told(&run, "connection to the client failed") >= 6);
    assert_eq!(figure(&run, "web", "updates_lost"), 0.0);
}

#[test]
fn with_keepalive_nobody_cuts() {
    for cut in ["rst", "fin", "silence"] {
        let run = run(&behind_hop("25s", cut, ""), 1);
        assert_good(&run);
        assert_eq!(figure(&run, "web", "hop_cuts"), 0.0);
        assert_eq!(figure(&run, "web", "sessions_lost"), 0.0);
        assert_eq!(figure(&run, "web", "requests"), 2.0);
    }
}

#[test]
fn a_fin_is_seen_as_a_client_that_is_gone() {
    let run = run(&behind_hop("off", "fin", ""), 1);
    assert_good(&run);
    assert_eq!(figure(&run, "web", "hop_cuts"), 6.0);
    assert_eq!(figure(&run, "web", "ended_by_cause.gone"), figure(&run, "web", "hop_cuts"));
}

#[test]
fn a_keepalive_that_is_slower_than_the_hop_is_caught_by_the_expectation() {
    let expect = "[expect.web]\nsessions_lost = 0\n";
    assert_good(&run(&behind_hop("59s", "rst", expect), 1));
    let late = run(&behind_hop("61s", "rst", expect), 1);
    assert_eq!(late.violations, []);
    assert_eq!(late.failures.len(), 1);
    let told = late.failures[0].to_string();
    assert!(told.starts_with("test.toml:") && told.contains("web: sessions_lost is "), "{told}");
}

/// A client without pings never learns of a silent cut, so the world does not converge, and the run says so.
#[test]
fn a_silent_cut_leaves_a_client_deaf_and_the_run_fails() {
    let run = run(&behind_hop("off", "silence", "").replace("10m", "30m"), 1);
    let heal = run.violations.iter().filter(|violation| violation.invariant == "heal").count();
    assert_eq!(heal, 2, "{:?}", run.violations);
    assert!(run.violations[0].to_string().contains("web/0 has update 0 of 1"), "{:?}", run.violations);
}

/// What an app of its own pings is kept alive without the sidecar's doing.
#[test]
fn an_app_that_pings_keeps_its_sessions_itself() {
    let pings = |every: &str| {
        let ping = format!("[[apps]]\nping = \"{every}\"");
        run(&behind_hop("off", "rst", "").replace("[[apps]]", &ping), 1)
    };
    let often = pings("30s");
    assert_good(&often);
    assert_eq!(figure(&often, "web", "hop_cuts"), 0.0);
    assert!(figure(&pings("61s"), "web", "hop_cuts") > 0.0, "a ping behind the cut comes too late");
}

/// What a quiet session costs: for each ping a turn for the timer, one for whoever is pinged and one for the pong. One more would
/// find nothing to do.
#[test]
fn a_ping_costs_three_turns() {
    let counts = |clients: u64, minutes: u64| {
        let text = behind_hop("25s", "rst", "").replace("count = 2", &format!("count = {clients}"));
        let text = text.replace("5m", &format!("{minutes}m"));
        let text = text.replace("updates = \"periodic\"\nrate = \"15/h\"", "updates = \"none\"");
        let run = run(&text, 1);
        assert_good(&run);
        [told(&run, "PingSent") as u64, run.stats.turns]
    };
    // Without what a run costs by its length alone, and without handshakes.
    let hour = |clients| {
        let (short, long) = (counts(clients, 10), counts(clients, 70));
        [long[0] - short[0], long[1] - short[1]]
    };
    let (few, many) = (hour(2), hour(12));
    let (pings, turns) = (many[0] - few[0], many[1] - few[1]);
    assert!(pings > 2000, "{pings}");
    // A timer may ring a moment too early, rather than be moved with every message.
    let spare = pings / 100;
    assert!((3 * pings..=3 * pings + spare).contains(&turns), "{turns} turns for {pings} pings");
}
