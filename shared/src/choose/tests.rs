use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy {
        fails: 1,
        backoff: SECOND,
        backoff_max: 30 * SECOND,
        check_every: Some(10 * SECOND),
        checks_are_deeper: false,
        pace: None,
    }
}

fn unchecked() -> Policy {
    Policy { check_every: None, ..policy() }
}

fn spec(name: &str, region: &str, priority: u16, weight: u16) -> Spec {
    Spec { name: name.into(), address: name.into(), region: region.into(), priority, weight }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn at(milliseconds: u64) -> Micros {
    Micros(milliseconds * 1000)
}

fn chooser(policy: Policy, specs: &[Spec]) -> (Chooser, Vec<PeerId>) {
    let mut chooser = Chooser::new(policy, 7);
    let ids = chooser.configure(policy, specs, at(0));
    (chooser, ids)
}

/// hk, sg and fra at 3, 36 and 190 ms, all measured.
fn three_regions(policy: Policy) -> (Chooser, [PeerId; 3]) {
    let specs = [spec("sg", "sg", 0, 1), spec("hk", "hk", 0, 1), spec("fra", "fra", 0, 1)];
    let (mut chooser, ids) = chooser(policy, &specs);
    for (id, connect) in ids.iter().zip([36, 3, 190]) {
        dial(&mut chooser, *id, Some(ms(connect)), at(0));
    }
    (chooser, [ids[1], ids[0], ids[2]])
}

/// A dial from start to end, which takes no time.
fn dial(chooser: &mut Chooser, peer: PeerId, connect: Option<Duration>, now: Micros) {
    let attempt = chooser.dial(peer, now);
    match connect {
        Some(connect) => chooser.connected(attempt, connect, now),
        None => chooser.failed(attempt, now),
    }
}

/// Lets all checks run until `to`, each seeing what `look` says.
fn check_until(chooser: &mut Chooser, to: Micros, look: impl Fn(PeerId, Micros) -> Option<Duration>) {
    while let Some(next) = chooser.next_check().filter(|next| *next <= to) {
        for attempt in chooser.due(next) {
            let seen = look(attempt.peer, next);
            chooser.checked(attempt, seen, next);
        }
    }
}

#[test]
fn the_nearest_region_comes_first_and_the_others_by_distance() {
    let (mut chooser, [hk, sg, fra]) = three_regions(policy());
    assert_eq!(chooser.order(at(1)), [hk, sg, fra]);
    assert_eq!(&*chooser.home().unwrap().region, "hk");
}

#[test]
fn what_was_not_measured_is_tried_in_the_order_of_the_file() {
    let (mut chooser, ids) = chooser(policy(), &[spec("a", "x", 0, 1), spec("b", "y", 0, 1), spec("c", "z", 0, 1)]);
    assert_eq!(chooser.order(at(0)), ids);
    dial(&mut chooser, ids[2], Some(ms(80)), at(1));
    assert_eq!(chooser.order(at(1))[0], ids[2], "a region that is known beats one that is not");
}

#[test]
fn a_failure_moves_on_at_once_and_a_last_resort_is_left() {
    let (mut chooser, [hk, sg, fra]) = three_regions(policy());
    dial(&mut chooser, hk, None, at(10));
    assert_eq!(chooser.order(at(10)), [sg, fra, hk]);
    dial(&mut chooser, sg, None, at(11));
    dial(&mut chooser, fra, None, at(12));
    let mut all = chooser.order(at(13));
    all.sort_unstable();
    assert_eq!(all.len(), 3, "nobody is refused only because all are out");
}

#[test]
fn lower_priorities_wait_until_the_higher_are_out() {
    let specs = [spec("spare", "here", 1, 1), spec("far", "far", 0, 1)];
    let (mut chooser, ids) = chooser(policy(), &specs);
    dial(&mut chooser, ids[0], Some(ms(1)), at(0));
    dial(&mut chooser, ids[1], Some(ms(200)), at(0));
    assert_eq!(chooser.order(at(1)), [ids[1], ids[0]]);
    dial(&mut chooser, ids[1], None, at(2));
    assert_eq!(chooser.order(at(2)), [ids[0], ids[1]]);
}

#[test]
fn least_connections_by_weight_within_a_region() {
    let specs = [spec("a", "x", 0, 1), spec("b", "x", 0, 3)];
    let (mut chooser, ids) = chooser(policy(), &specs);
    for id in &ids {
        dial(&mut chooser, *id, Some(ms(1)), at(0));
    }
    for _ in 0..40 {
        let first = chooser.order(at(1))[0];
        chooser.opened(first);
    }
    let sessions: Vec<u64> = chooser.view().iter().map(|view| view.sessions).collect();
    assert_eq!(sessions, [10, 30]);
    // One that has come back, or is new, fills up first.
    for _ in 0..10 {
        chooser.closed(ids[0]);
    }
    for _ in 0..10 {
        assert_eq!(chooser.order(at(2))[0], ids[0]);
        chooser.opened(ids[0]);
    }
}

#[test]
fn requests_that_leave_nothing_behind_take_turns() {
    let (mut chooser, ids) = chooser(policy(), &[spec("a", "x", 0, 2), spec("b", "x", 0, 2)]);
    let firsts = |chooser: &mut Chooser, picks: usize| (0..picks).filter(|_| chooser.order(at(1))[0] == ids[0]).count();
    assert_eq!(firsts(&mut chooser, 1000), 500);
    // One that was away does not make up for what it has missed.
    dial(&mut chooser, ids[0], None, at(2));
    assert_eq!(firsts(&mut chooser, 1000), 0);
    check_until(&mut chooser, at(10_000), |_, _| Some(ms(1)));
    assert!((49..=51).contains(&firsts(&mut chooser, 100)));
}

#[test]
fn an_ejection_doubles_up_to_the_longest_and_is_forgotten_in_calm_times() {
    let (mut chooser, [hk, ..]) = three_regions(policy());
    let mut now = at(1000);
    let mut full = SECOND;
    let pause_from = |chooser: &Chooser, now: Micros| {
        let until = chooser.view().iter().find(|view| view.id == hk).unwrap().out_until;
        until.unwrap().since(now)
    };
    dial(&mut chooser, hk, None, now);
    for _ in 0..8 {
        let pause = pause_from(&chooser, now);
        assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
        full = (2 * full).min(30 * SECOND);
        now = chooser.view().iter().find(|view| view.id == hk).unwrap().out_until.unwrap();
        for attempt in chooser.due(now) {
            let seen = (attempt.peer != hk).then_some(ms(36));
            chooser.checked(attempt, seen, now);
        }
    }
    let calm = now + 60 * SECOND;
    check_until(&mut chooser, calm, |_, _| Some(ms(5)));
    assert!(chooser.view().iter().all(|view| view.well));
    let calm = calm + 200 * SECOND;
    dial(&mut chooser, hk, None, calm);
    assert!(pause_from(&chooser, calm) <= SECOND);
}

#[test]
fn two_checks_have_to_pass_before_it_is_let_in() {
    let (mut chooser, [hk, sg, _]) = three_regions(policy());
    dial(&mut chooser, hk, None, at(0));
    chooser.changes();
    check_until(&mut chooser, at(1100), |_, _| Some(ms(5)));
    assert_eq!(chooser.order(at(1100))[0], sg, "one is not enough");
    check_until(&mut chooser, at(2100), |_, _| Some(ms(5)));
    assert_eq!(chooser.order(at(2100))[0], hk);
    let changes = chooser.changes();
    assert!(matches!(&changes[0], Change::Returned { name, .. } if &**name == "hk"), "{changes:?}");
    assert!(matches!(&changes[1], Change::Moved { to, .. } if &*to.region == "hk"), "{changes:?}");
}

#[test]
fn without_checks_one_dial_at_a_time_tries_whether_it_is_back() {
    let (mut chooser, [hk, sg, _]) = three_regions(unchecked());
    dial(&mut chooser, hk, None, at(0));
    assert_eq!(chooser.order(at(100))[0], sg);
    assert_eq!(chooser.order(at(1000))[0], hk);
    let attempt = chooser.dial(hk, at(1000));
    assert_eq!(chooser.order(at(1001))[0], sg, "the others do not wait for it");
    chooser.failed(attempt, at(1500));
    assert_eq!(chooser.order(at(1600))[0], sg);
    dial(&mut chooser, hk, Some(ms(3)), at(9000));
    assert_eq!(chooser.order(at(9000))[0], hk);
}

#[test]
fn dials_that_fail_together_count_once_and_last_resorts_do_not_lengthen_the_pause() {
    let (mut chooser, [hk, ..]) = three_regions(policy());
    let attempts: Vec<Attempt> = (0..50).map(|_| chooser.dial(hk, at(10))).collect();
    for attempt in attempts {
        chooser.failed(attempt, at(20));
    }
    for _ in 0..50 {
        dial(&mut chooser, hk, None, at(30));
    }
    let view = chooser.view().into_iter().find(|view| view.id == hk).unwrap();
    assert_eq!(view.ejections, 1);
    assert!(view.out_until.unwrap() <= at(1020));
}

#[test]
fn a_suspicion_is_checked_at_once() {
    let (mut chooser, [hk, ..]) = three_regions(policy());
    check_until(&mut chooser, at(100), |_, _| Some(ms(3)));
    assert!(chooser.next_check().unwrap() > at(5000));
    chooser.suspect(hk, at(200));
    assert_eq!(chooser.next_check(), Some(at(200)));
    let due = chooser.due(at(200));
    assert_eq!(due.iter().map(|attempt| attempt.peer).collect::<Vec<_>>(), [hk]);
    chooser.checked(due[0], None, at(4200));
    assert!(!chooser.view().iter().find(|view| view.id == hk).unwrap().well);
}

#[test]
fn what_stays_over_a_new_configuration_keeps_its_history_and_what_goes_keeps_its_sessions() {
    let (mut chooser, [hk, sg, fra]) = three_regions(policy());
    dial(&mut chooser, hk, None, at(10));
    chooser.opened(sg);
    let specs = [spec("hk", "hk", 0, 1), spec("fra", "fra", 3, 1), spec("nrt", "nrt", 0, 1)];
    let ids = chooser.configure(policy(), &specs, at(20));
    assert_eq!(ids[..2], [hk, fra]);
    assert_eq!(chooser.order(at(20)), [ids[2], fra, hk], "hk is still out, fra has another priority");
    let of = |chooser: &Chooser, id| chooser.view().into_iter().find(|view| view.id == id);
    assert!(of(&chooser, sg).unwrap().retired);
    chooser.closed(sg);
    assert_eq!(of(&chooser, sg), None);
}

#[test]
fn strays_are_told_only_when_home_has_been_home_for_a_while() {
    let (mut chooser, [hk, sg, _]) = three_regions(policy());
    dial(&mut chooser, hk, None, at(0));
    chooser.opened(sg);
    check_until(&mut chooser, at(5000), |_, _| Some(ms(3)));
    assert_eq!(chooser.order(at(5000))[0], hk);
    assert_eq!(chooser.strays(30 * SECOND, at(20_000)), []);
    assert_eq!(chooser.strays(30 * SECOND, at(40_000)), [sg]);
}

#[test]
fn one_lost_syn_moves_nothing_and_a_slow_region_is_left() {
    let specs = [spec("a", "a", 0, 1), spec("b", "b", 0, 1)];
    let (mut chooser, ids) = chooser(policy(), &specs);
    let a = ids[0];
    check_until(&mut chooser, at(100_000), |id, now| {
        let lost = id == a && (50_000..60_000).contains(&(now.0 / 1000));
        Some(if lost { ms(1040) } else { ms(if id == a { 40 } else { 80 }) })
    });
    assert_eq!(chooser.order(at(100_000))[0], a);
    chooser.changes();
    check_until(&mut chooser, at(160_000), |id, _| Some(ms(if id == a { 240 } else { 80 })));
    assert_eq!(chooser.order(at(160_000))[0], ids[1]);
}

/// What may happen to a chooser.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, checks run.
    Wait(u64),
    /// A client comes and tries in order until one works.
    Client {
        stays: bool,
    },
    /// A session of this upstream ends.
    Leave(usize),
    /// An upstream works from now on, or not.
    Turn(usize, bool),
    Suspect(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1u64..20_000).prop_map(Step::Wait),
        any::<bool>().prop_map(|stays| Step::Client { stays }),
        (0usize..5).prop_map(Step::Leave),
        (0usize..5, any::<bool>()).prop_map(|(peer, works)| Step::Turn(peer, works)),
        (0usize..5).prop_map(Step::Suspect),
    ];
    proptest::collection::vec(step, 1..120)
}

fn specs_of(kinds: &[(u8, u16, u16)]) -> Vec<Spec> {
    let regions = ["x", "y", "z"];
    (0..)
        .zip(kinds)
        .map(|(i, (region, priority, weight))| {
            spec(&format!("u{i}"), regions[usize::from(*region)], *priority, *weight)
        })
        .collect()
}

proptest! {
    /// Whatever happens: an order has each upstream once; nobody that is out comes before one that is well, nor a worse
    /// priority before a better one; a client gets a connection whenever any upstream works; an ejection ends in bounded
    /// time once the upstream works again; no count is wrong in the end.
    #[test]
    fn every_history_keeps_the_promises(
        kinds in proptest::collection::vec((0u8..3, 0u16..3, 1u16..5), 1..5),
        steps in steps(),
        checks: bool,
        fails in 1u32..4,
    ) {
        let policy = Policy { fails, ..if checks { policy() } else { unchecked() } };
        let specs = specs_of(&kinds);
        let (mut chooser, ids) = chooser(policy, &specs);
        let mut works = vec![true; ids.len()];
        let mut open = vec![0u64; ids.len()];
        let mut now = at(0);
        let index = |id: PeerId| ids.iter().position(|known| *known == id).unwrap();
        for step in steps {
            match step {
                Step::Wait(milliseconds) => {
                    now = now + ms(milliseconds);
                    let sees = works.clone();
                    check_until(&mut chooser, now, |id, _| sees[index(id)].then_some(ms(10)));
                }
                Step::Client { stays } => {
                    let order = chooser.order(now);
                    let mut sorted = order.clone();
                    sorted.sort_unstable();
                    prop_assert_eq!(&sorted, &ids);
                    let view = chooser.view();
                    let well: Vec<_> = order.iter().map(|id| &view[index(*id)]).collect();
                    if checks {
                        prop_assert!(well.is_sorted_by_key(|view| !view.well));
                        let usable = well.iter().filter(|view| view.well);
                        prop_assert!(usable.clone().is_sorted_by_key(|view| view.spec.priority));
                        if let Some(first) = usable.clone().next() {
                            prop_assert!(first.home);
                        }
                    }
                    let mut got = None;
                    for id in order {
                        dial(&mut chooser, id, works[index(id)].then_some(ms(10)), now);
                        if works[index(id)] {
                            got = Some(id);
                            break;
                        }
                    }
                    prop_assert_eq!(got.is_some(), works.contains(&true));
                    if let Some(id) = got.filter(|_| stays) {
                        chooser.opened(id);
                        open[index(id)] += 1;
                    }
                }
                Step::Leave(peer) => if let Some(count) = open.get_mut(peer).filter(|count| **count > 0) {
                    *count -= 1;
                    chooser.closed(ids[peer]);
                },
                Step::Turn(peer, on) => if let Some(works) = works.get_mut(peer) {
                    *works = on;
                },
                Step::Suspect(peer) => if let Some(id) = ids.get(peer) {
                    chooser.suspect(*id, now);
                },
            }
            for view in chooser.view() {
                prop_assert!(view.out_until.is_none_or(|until| until.since(now) <= policy.backoff_max));
            }
        }
        for (view, open) in chooser.view().iter().zip(&open) {
            prop_assert_eq!((view.sessions, view.dialling), (*open, 0));
        }
        if checks {
            // The longest pause, two checks, and what is between them.
            let healed = now + policy.backoff_max + 3 * SECOND;
            check_until(&mut chooser, healed, |_, _| Some(ms(10)));
            prop_assert!(chooser.view().iter().all(|view| view.well));
        }
    }

    /// Regions whose connect times differ by less than the margin are never exchanged, however they jitter and however
    /// many connections there are.
    #[test]
    fn regions_alike_do_not_take_turns(seed: u64, base in 20u64..300, connections in 1usize..200) {
        let specs = [spec("a", "a", 0, 1), spec("b", "b", 0, 1), spec("c", "c", 0, 1)];
        let mut chooser = Chooser::new(policy(), seed);
        let ids = chooser.configure(policy(), &specs, at(0));
        let mut jitter = Entropy(seed);
        // A fifth, of which the margin is a quarter.
        let mut connect = || ms(base + jitter.up_to(base / 5));
        for id in &ids {
            dial(&mut chooser, *id, Some(connect()), at(0));
        }
        let first = chooser.order(at(0))[0];
        chooser.changes();
        for n in 0..connections {
            let now = at(1 + 977 * u64::try_from(n).unwrap());
            let seen: Vec<Duration> = ids.iter().map(|_| connect()).collect();
            check_until(&mut chooser, now, |id, _| ids.iter().position(|known| *known == id).map(|at| seen[at]));
            let id = chooser.order(now)[0];
            prop_assert_eq!(id, first);
            dial(&mut chooser, id, Some(connect()), now);
        }
        prop_assert_eq!(chooser.changes(), []);
    }

    /// Sessions that stay are spread by weight, to within one.
    #[test]
    fn sessions_are_spread_by_weight(weights in proptest::collection::vec(1u16..10, 2..6), rounds in 1u64..20) {
        let specs: Vec<Spec> = weights.iter().enumerate().map(|(i, w)| spec(&format!("u{i}"), "x", 0, *w)).collect();
        let (mut chooser, _) = chooser(policy(), &specs);
        let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        for _ in 0..total * rounds {
            let first = chooser.order(at(1))[0];
            chooser.opened(first);
        }
        for (view, weight) in chooser.view().iter().zip(&weights) {
            let share = u64::from(*weight) * rounds;
            prop_assert!(view.sessions.abs_diff(share) <= 1, "{} of {}", view.sessions, share);
        }
    }
}
