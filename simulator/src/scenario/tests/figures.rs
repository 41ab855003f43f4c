//! What a scenario expects, against what a run yielded.

use outrigger_shared::close::{Cause, Side};
use outrigger_shared::frame::Violation;

use super::*;
use crate::scenario::metrics::{CAUSES, METRICS, Unit};

const TWO: &str = "\
name = 'two'
[[apps]]
name = 'feed'
[[sidecars]]
name = 'edge'
[[clients]]
name = 'push'
kind = 'push'
count = 10
[[clients]]
name = 'poll'
kind = 'poller'
count = 20
interval = '2s'
";

fn checked(expect: &str, yielded: &[(&str, &str, f64)]) -> Vec<String> {
    let scenario = right(&format!("{TWO}{expect}"));
    let metrics = yielded.iter().map(|(group, metric, value)| (((*group).to_owned(), (*metric).to_owned()), *value));
    check(&scenario.expect, &metrics.collect()).iter().map(ToString::to_string).collect()
}

#[test]
fn failures_say_where_what_and_how_much() {
    let expect = "\
[expect]
sessions_lost = 0
update_delay_p99 = '< 150ms'
bytes_down = '1k..2m'
[expect.push]
reconnect_peak_per_s = '<= 2.5/s'
ended_by_cause.idle = '> 3'
staleness_max = '>= 1m'
";
    let found = checked(
        expect,
        &[
            ("", "sessions_lost", 3.0),
            ("", "update_delay_p99", 182_400.0),
            ("", "bytes_down", 3_145_728.0),
            ("push", "reconnect_peak_per_s", 7.0),
            ("push", "ended_by_cause.idle", 3.0),
        ],
    );
    let expected = [
        "s.toml:16:1: sessions_lost is 3, expected = 0",
        "s.toml:17:1: update_delay_p99 is 182.4ms, expected < 150ms",
        "s.toml:18:1: bytes_down is 3072k, expected 1024 bytes..2048k",
        "s.toml:20:1: push: reconnect_peak_per_s is 7/s, expected <= 2.5/s",
        "s.toml:21:16: push: ended_by_cause.idle is 3, expected > 3",
        "s.toml:22:1: push: staleness_max was not measured, expected >= 60s",
    ];
    assert_eq!(found, expected);
}

#[test]
fn bounds_end_where_they_should() {
    for (bound, value, holds) in [
        ("'< 3'", 2.0, true),
        ("'< 3'", 3.0, false),
        ("'<=3'", 3.0, true),
        ("'<= 3'", 4.0, false),
        ("'> 3'", 4.0, true),
        ("'> 3'", 3.0, false),
        ("'>= 3'", 3.0, true),
        ("'>= 3'", 2.0, false),
        ("'= 3'", 3.0, true),
        ("3", 4.0, false),
        ("'2..3'", 2.0, true),
        ("'2..3'", 3.0, true),
        ("'2 .. 3'", 4.0, false),
        ("3", f64::NAN, false),
    ] {
        let failures = checked(&format!("[expect]\nrequests = {bound}\n"), &[("", "requests", value)]);
        assert_eq!(failures.is_empty(), holds, "{bound} {value}: {failures:?}");
    }
    for bad in ["", "<", "< x", "3..2", "1..2..3", "<> 3", "-1", "1.5", "3 4"] {
        assert_eq!(Bound::parse(bad, Unit::Count), None, "{bad}");
    }
    assert_eq!(Bound::parse("1.5", Unit::Ratio), Some(Bound::Exactly(1.5)));
    assert_eq!(Bound::parse("inf", Unit::Ratio), None);
}

#[test]
fn groups_are_compared_client_by_client() {
    let expect = "\
[expect.poll]
requests_vs.push = 15
bytes_vs.push = '< 2'
update_delay_p99_vs.push = '> 5'
";
    let mut yielded = vec![
        ("poll", "requests", 3_000.0),
        ("push", "requests", 100.0),
        ("poll", "bytes_up", 3_000.0),
        ("poll", "bytes_down", 1_000.0),
        ("push", "bytes_up", 500.0),
        ("push", "bytes_down", 500.0),
        ("poll", "update_delay_p99", 2_000_000.0),
        ("push", "update_delay_p99", 100_000.0),
    ];
    assert_eq!(checked(expect, &yielded), ["s.toml:17:10: poll: bytes_vs.push is 2, expected < 2"]);
    yielded[1].2 = 0.0;
    assert_eq!(checked(expect, &yielded)[0], "s.toml:16:13: poll: requests_vs.push is inf, expected = 15");
    yielded.remove(1);
    assert_eq!(checked(expect, &yielded)[0], "s.toml:16:13: poll: requests_vs.push was not measured, expected = 15");
}

#[test]
fn every_figure_can_be_expected() {
    for metric in &METRICS {
        let part = match metric.parts {
            metrics::Parts::None => "",
            metrics::Parts::Cause => ".idle",
            metrics::Parts::Group => ".push",
        };
        let text = format!("{TWO}[expect.poll]\n{}{part} = {}\n", metric.name, metric.unit.example());
        let scenario = right(&text);
        assert_eq!(scenario.expect.all[0].metric, format!("{}{part}", metric.name));
        assert_eq!(scenario.expect.all[0].group, Some(GroupId(1)));
        assert!(metric.about.ends_with('.'), "{}", metric.name);
    }
}

/// The sidecar's own words for causes; the match fails to compile when one is added.
#[test]
fn the_causes_are_those_of_the_sidecar() {
    let side = Side::Client;
    let all = [
        Cause::Close,
        Cause::Idle,
        Cause::KeepaliveLost(side),
        Cause::Lifetime,
        Cause::Drain,
        Cause::MessageTooBig(side),
        Cause::TooManyFragments(side),
        Cause::FrameTooBig(side),
        Cause::RateExceeded(side),
        Cause::Protocol(side, Violation::Unmasked),
        Cause::Gone(side),
        Cause::Reset(side),
        Cause::Stalled(side),
        Cause::Eof,
        Cause::Shutdown,
        Cause::Operator,
        Cause::Rebalance,
    ];
    let next = |cause: Cause| match cause {
        Cause::Close
        | Cause::Idle
        | Cause::KeepaliveLost(_)
        | Cause::Lifetime
        | Cause::Drain
        | Cause::MessageTooBig(_)
        | Cause::TooManyFragments(_)
        | Cause::FrameTooBig(_)
        | Cause::RateExceeded(_)
        | Cause::Protocol(..)
        | Cause::Gone(_)
        | Cause::Reset(_)
        | Cause::Stalled(_)
        | Cause::Eof
        | Cause::Shutdown
        | Cause::Operator
        | Cause::Rebalance => cause.as_str(),
    };
    assert_eq!(all.map(next), CAUSES);
}
