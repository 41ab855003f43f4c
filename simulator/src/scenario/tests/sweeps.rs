//! One file, many scenarios.

use std::time::Duration;

use super::*;

#[test]
fn two_sweeps_make_a_grid() {
    let text = format!(
        "{LEAST}\
[[clients]]
name = 'poll'
kind = 'poller'
[[sweep]]
key = 'clients.poll.interval'
values = ['500ms', 2]
[[sweep]]
key = 'sidecars.edge.config.keepalive'
values = ['25s', 'off']
"
    );
    let base = right(&text);
    let interval = |scenario: &Scenario| match &scenario.clients[1].kind {
        ClientKind::Poller(poller) => poller.interval,
        other => panic!("{other:?}"),
    };
    assert_eq!(interval(&base), Duration::from_millis(500), "a key that is not written has its first value");
    let cells = variants(&base);
    let found: Vec<_> = cells
        .iter()
        .map(|(label, cell)| {
            (label.as_str(), interval(cell).as_millis(), cell.sidecars[0].config.session.keepalive.client.is_some())
        })
        .collect();
    let expected = [
        ("clients.poll.interval = 500ms, sidecars.edge.config.keepalive = 25s", 500, true),
        ("clients.poll.interval = 500ms, sidecars.edge.config.keepalive = off", 500, false),
        ("clients.poll.interval = 2, sidecars.edge.config.keepalive = 25s", 2_000, true),
        ("clients.poll.interval = 2, sidecars.edge.config.keepalive = off", 2_000, false),
    ];
    assert_eq!(found, expected);
    assert!(cells.iter().all(|(_, cell)| cell.sweeps.is_empty()));
}

#[test]
fn a_key_that_is_written_keeps_its_value_without_a_sweep() {
    let scenario = right(&format!("{LEAST}count = 3\n[[sweep]]\nkey = 'clients.web.count'\nvalues = [1, 2]\n"));
    assert_eq!(scenario.clients[0].count, 3);
    let counts: Vec<u32> = variants(&scenario).iter().map(|(_, cell)| cell.clients[0].count).collect();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn without_a_sweep_there_is_one_scenario() {
    let [(label, only)] = variants(&right(LEAST)).try_into().unwrap();
    assert_eq!((label.as_str(), only.name.as_str()), ("", "least"));
}

#[test]
fn hops_are_found_by_their_preset_and_sections_need_not_be_there() {
    let text = format!(
        "{LEAST}\
[[hops]]
before = 'edge'
preset = 'tencent-clb'
[[sweep]]
key = 'hops.tencent-clb.idle'
values = ['15m']
[[sweep]]
key = 'workload.rate'
values = ['5/m']
"
    );
    let [(_, cell)] = variants(&right(&text)).try_into().unwrap();
    let quarter = Duration::from_mins(15);
    assert_eq!(cell.sidecars[0].hops[0].idle, Some(TimeRange { from: quarter, to: quarter }));
    assert_eq!(cell.workload.updates, Updates::Poisson { every: Duration::from_secs(12) });
}

#[test]
fn too_many_combinations_are_refused() {
    let values: Vec<String> = (1..=21).map(|n| n.to_string()).collect();
    let values = values.join(", ");
    let faults = wrong(&format!(
        "{LEAST}[[sweep]]\nkey = 'seeds'\nvalues = [{values}]\n[[sweep]]\nkey = 'clients.web.count'\nvalues = [{values}]\n"
    ));
    assert_eq!(faults, ["s.toml:9:1: this makes 441 combinations; keep them at most 400"]);
}

#[test]
fn a_warning_of_a_combination_is_told_once() {
    let text = format!(
        "{LEAST}[[sweep]]\nkey = 'sidecars.edge.config.proxy_read_timeout'\nvalues = ['60s', '15m']\n[[sweep]]\nkey = 'seeds'\nvalues = [1, 2]\n"
    );
    let (_, warnings) = parse("s.toml", &text).unwrap();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.to_string().starts_with("s.toml:11:18: "), "{warning}");
}
