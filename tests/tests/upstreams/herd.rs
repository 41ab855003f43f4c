//! A herd of clients meets an upstream at the rate that it is configured for.

use std::time::{Duration, Instant};

use outrigger_tests::ws::upgrade;
use outrigger_tests::{App, Sidecar, Wire};

#[test]
fn a_herd_is_let_through_at_the_rate_and_what_is_over_the_queue_is_told_when_to_come_back() {
    const HERD: usize = 40;
    const RATE: u32 = 20;
    const QUEUE: usize = 20;
    let app = App::echo();
    let launch = Sidecar::before(app.addr()).http().flag("--upstream-dial-rate", RATE.to_string());
    let sidecar = launch.flag("--upstream-dial-queue", QUEUE.to_string()).start();
    let began = Instant::now();
    let mut clients: Vec<Wire> = (0..HERD).map(|_| sidecar.client()).collect();
    for client in &mut clients {
        client.send(upgrade("/", &[]));
    }
    let (mut open, mut refused) = (0, 0);
    for client in &mut clients {
        let response = client.response("GET");
        if response.status == 101 {
            client.echo("through the line");
            open += 1;
        } else {
            let response = response.expect(503);
            assert_eq!(response.text(), "Too many wait for the app at the moment.\n");
            let after = response.head.get("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
            assert!(after.is_some_and(|seconds| (1..=3).contains(&seconds)), "{response:?}");
            refused += 1;
        }
    }
    // At least one at once and those in line; more only as the line moves while the herd comes.
    let moved = began.elapsed().as_millis() * u128::from(RATE) / 1000;
    assert!(open > QUEUE && open as u128 <= 1 + QUEUE as u128 + moved, "{open} got through, the line moved by {moved}");
    assert_eq!(open + refused, HERD);
    let least = Duration::from_secs(1) / RATE * u32::try_from(open - 1).expect("a small herd");
    assert!(began.elapsed() >= least, "{open} sessions in {:?}, and {least:?} is the least", began.elapsed());
    assert_eq!(app.seen().len(), open, "nobody who was refused was dialled for");
}
