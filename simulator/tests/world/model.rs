//! What a scenario says about its apps, its clients and its updates is what happens.

use outrigger_sim::world::Run;

use crate::support::{assert_good, figure, run};

const GROUPS: [&str; 4] = ["poll", "long-poll", "events", "push"];
/// One a second, the last one before the five minutes are over.
const UPDATES: f64 = 299.0;

/// Four ways to get an update a second; `listeners` is a line of `[workload]`, `rest` comes at the end.
fn four_ways(listeners: &str, history: u32, rest: &str) -> String {
    let group = |name, kind, more| format!("[[clients]]\nname = \"{name}\"\nkind = \"{kind}\"\ncount = 5\n{more}\n");
    let groups = [
        group("poll", "poller", "interval = \"10s\"\netag = true"),
        group("long-poll", "long-poller", ""),
        group("events", "sse", ""),
        group("push", "push", ""),
    ];
    format!(
        r#"
name = "four ways"
duration = "5m"
[[apps]]
name = "feed"
history = {history}
ping = "20s"
[[sidecars]]
name = "edge"
{}
[workload]
updates = "periodic"
rate = "1/s"
{listeners}
{rest}
"#,
        groups.concat()
    )
}

fn of_all<T>(run: &Run, look: impl Fn(&Run, &'static str) -> T) -> Vec<T> {
    GROUPS.iter().map(|group| look(run, group)).collect()
}

#[test]
fn an_update_reaches_those_who_listen_and_nobody_else_misses_it() {
    let some = run(&four_ways("listeners = \"20%\"", 1000, ""), 1);
    assert_good(&some);
    for group in GROUPS {
        let updates = figure(&some, group, "updates");
        assert!((200.0..=400.0).contains(&updates), "a fifth of 5 times 300: {group} has {updates}");
        assert_eq!(figure(&some, group, "updates_delivered"), updates, "{group}");
        assert_eq!(figure(&some, group, "updates_lost"), 0.0, "{group}");
    }
    // Those who look for news look as often; those who wait for it are told less often.
    let all = run(&four_ways("", 1000, ""), 1);
    assert_good(&all);
    assert_eq!(figure(&some, "poll", "requests"), figure(&all, "poll", "requests"));
    assert!(figure(&some, "long-poll", "requests") < figure(&all, "long-poll", "requests") / 3.0);
    assert!(figure(&some, "push", "bytes_down") < figure(&all, "push", "bytes_down") / 3.0);
    assert_eq!(figure(&all, "push", "updates"), 5.0 * UPDATES);
}

#[test]
fn who_listens_hangs_on_no_other_client() {
    let text = four_ways("listeners = \"20%\"", 1000, "");
    let (with, without) = (run(&text, 1), run(&text.replace("name = \"poll\"", "name = \"others\""), 1));
    let updates = |run, group| figure(run, group, "updates");
    assert_eq!(updates(&with, "push"), updates(&without, "push"));
    assert_ne!(updates(&with, "poll"), updates(&without, "others"), "clients of another name are others");
    assert_ne!(updates(&with, "push"), updates(&run(&text, 2), "push"));
}

#[test]
fn nobody_misses_what_is_for_them_through_faults() {
    let faults = "[faults_random]\ncount = 5\nkinds = [\"kill\", \"restart\", \"loss-burst\", \"app-stall\"]";
    for seed in 1..=5 {
        let run = run(&four_ways("listeners = \"20%\"", 1000, faults), seed);
        assert_good(&run);
        assert_eq!(of_all(&run, |run, group| figure(run, group, "updates_lost")), [0.0; 4], "seed {seed}");
        assert!(figure(&run, "push", "reconnects") > 0.0, "seed {seed}");
    }
}

/// A poll every 10 s at one update a second finds ten new ones, of which an app that keeps four has the last four.
#[test]
fn what_an_app_has_forgotten_is_lost_to_who_asks_for_it() {
    let away = "[[faults]]\nkind = \"kill\"\nhost = \"edge\"\nat = \"100s\"\nfor = \"20s\"";
    let short = run(&four_ways("", 4, away), 1);
    assert_good(&short);
    let lost = |run: &Run| of_all(run, |run, group| figure(run, group, "updates_lost") / 5.0);
    let [poll, long_poll, events, push] = lost(&short)[..] else { panic!("four groups") };
    assert!((170.0..=190.0).contains(&poll), "six of ten, for 300 s: {poll}");
    // Back after 20 s and up to one wait more: all but four of them are gone.
    for (group, lost) in [("long-poll", long_poll), ("events", events), ("push", push)] {
        assert!((15.0..=46.0).contains(&lost), "{group}: {lost}");
    }
    let delivered = of_all(&short, |run, group| figure(run, group, "updates_delivered") / 5.0);
    for (lost, delivered) in lost(&short).iter().zip(delivered) {
        assert_eq!(lost + delivered, UPDATES);
    }
    let long = run(&four_ways("", 1000, away), 1);
    assert_good(&long);
    assert_eq!(lost(&long), [0.0; 4]);
}

/// Sessions that are open need no history: they are told of everything as it comes.
#[test]
fn without_history_only_those_who_listen_all_the_time_lose_nothing() {
    let run = run(&four_ways("", 0, ""), 1);
    assert_good(&run);
    assert_eq!(figure(&run, "push", "updates_lost"), 0.0);
    assert_eq!(figure(&run, "events", "updates_lost"), 0.0);
    assert_eq!(figure(&run, "poll", "updates_delivered"), 0.0, "who asks for what it missed gets nothing");
    assert!(figure(&run, "long-poll", "updates_delivered") > 1400.0);
}

fn visitors(more: &str) -> Run {
    let text = format!(
        r#"
name = "visitors"
duration = "10m"
[[apps]]
name = "feed"
[[sidecars]]
name = "one"
[[sidecars]]
name = "other"
[[clients]]
name = "web"
kind = "push"
count = 10
target = ["one", "other"]
{more}
[workload]
updates = "periodic"
rate = "1/s"
"#
    );
    let run = run(&text, 1);
    assert_good(&run);
    run
}

#[test]
fn clients_leave_in_good_order_and_come_back() {
    let run = visitors("stays = \"20s..40s\"");
    let reconnects = figure(&run, "web", "reconnects");
    assert!((170.0..=215.0).contains(&reconnects), "ten clients, every 30 s, for 10 min: {reconnects}");
    assert_eq!(figure(&run, "web", "ended_by_cause.close"), reconnects);
    for figures in ["sessions_lost", "close_1006", "updates_lost", "updates_duplicated"] {
        assert_eq!(figure(&run, "web", figures), 0.0, "{figures}");
    }
    assert_eq!(figure(&run, "web", "sessions_open"), 10.0);
    let lives: Vec<u64> = run.history.iter().filter_map(|entry| lived(&entry.text)).collect();
    // The last ten are those that were there when all was over.
    let of_visits = &lives[..lives.len() - 10];
    assert!(of_visits.iter().all(|lived| (20..=40).contains(lived)), "{of_visits:?}");
    assert!(of_visits.contains(&20) && of_visits.contains(&39), "each stay is drawn: {of_visits:?}");
    let elsewhere = run.history.iter().filter(|entry| &*entry.host == "other" && entry.text.contains("opened")).count();
    assert_eq!(elsewhere, 0, "who leaves on purpose comes back to the same target");
}

#[test]
fn without_stays_nobody_leaves() {
    assert_eq!(figure(&visitors(""), "web", "reconnects"), 0.0);
}

/// Whole seconds in `session over: Left, code Some(1000), "", lived 25.3s`.
fn lived(text: &str) -> Option<u64> {
    let seconds = text.strip_prefix("session over: Left, ")?.split_once("lived ")?.1.strip_suffix('s')?;
    seconds.split('.').next()?.parse().ok()
}

#[test]
fn a_long_poller_that_keeps_no_connection_dials_for_each_poll() {
    let kept = run(&four_ways("", 1000, ""), 1);
    assert_eq!(figure(&kept, "long-poll", "connections"), 5.0);
    let text = four_ways("", 1000, "").replace("kind = \"long-poller\"", "kind = \"long-poller\"\nkeep_alive = false");
    let dialling = run(&text, 1);
    assert_good(&dialling);
    assert_eq!(figure(&dialling, "long-poll", "connections"), figure(&dialling, "long-poll", "requests"));
    assert_eq!(figure(&dialling, "long-poll", "updates_lost"), 0.0);
}
