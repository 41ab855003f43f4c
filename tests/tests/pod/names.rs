//! The static executable in an empty root: nothing of the C library's is there to load, and names resolve all the same.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::thread;

use outrigger_tests::Wire;
use outrigger_tests::http::get;

use crate::host::{APP_IMAGE, GATEWAY, Host, IMAGE, NETWORK, POD};

const APP: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 20);
/// The second sidecar's. With the first one's it would not be reached until the host had forgotten that one's Ethernet address.
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 77, 11));

#[test]
fn names_resolve_from_the_file_of_hosts_and_over_dns() {
    let Some(host) = Host::new() else { return };
    let Some(()) = host.load() else { return };
    host.make_app();
    serve_dns("app.example", APP);
    let run = ["run", "--detach", "--network", NETWORK];
    host.podman(&[&run[..], &["--name", "app", "--ip", &APP.to_string(), APP_IMAGE]].concat());
    let file = format!("file.example:{APP}");
    for (name, addr, upstream) in [("by-dns", POD, "app.example:3000"), ("by-file", SECOND, "file.example:3000")] {
        let sidecar = ["--name", name, "--ip", &addr.to_string(), "--dns", &GATEWAY.to_string()];
        let sidecar = [&sidecar[..], &["--add-host", &file, "--read-only"]].concat();
        host.podman(&[&run[..], &sidecar, &[IMAGE, "run", "--upstream", upstream]].concat());
        host.wait_ready(name);
        assert_eq!(Wire::plain((addr, 8080).into()).ask(&get("/", &[])).expect(200).text(), "ok", "{name}");
        host.podman(&["stop", "--time", "40", name]);
        assert_eq!(host.inspect(name)["State"]["ExitCode"], 0, "{name}");
    }
}

/// Answers every question for an address of IPv4 for `name` with this one, and knows nothing else (RFC 1035).
fn serve_dns(name: &str, addr: Ipv4Addr) {
    let length = |label: &str| u8::try_from(label.len()).expect("a short label");
    let labels = name.split('.').flat_map(|label| [&[length(label)], label.as_bytes()].concat());
    let question: Vec<u8> = labels.chain([0, 0, 1, 0, 1]).collect();
    let socket = UdpSocket::bind("0.0.0.0:53").expect("nobody else is in this network");
    // It goes on as long as the process; nobody else is in its network either.
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut packet) {
            const HEADER: usize = 12;
            let Some(asked) = packet[..size].get(HEADER..) else { continue };
            let known = asked.starts_with(&question);
            let end = asked.iter().position(|byte| *byte == 0).map_or(size, |zero| (HEADER + zero + 5).min(size));
            // An answer to a recursive question: without error, with one record or none.
            let mut answer =
                [&packet[..2], &[0x81, 0x80, 0, 1, 0, u8::from(known), 0, 0, 0, 0], &packet[HEADER..end]].concat();
            if known {
                // The name at the header's end, A, IN, a minute, four bytes.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(addr.octets());
            }
            let _ = socket.send_to(&answer, from);
        }
    });
}
