//! The PROXY protocol (HAProxy's `proxy-protocol.txt`, versions 1 and 2): a few bytes before everything else say who
//! really connects.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with; nothing that clients of ours speak does.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
pub const V1_START: [u8; 6] = *b"PROXY ";

/// The longest line of version 1, with its end (section 2.1).
pub const MAX_V1: usize = 107;

/// The signature, version and command, family, and length.
pub const V2_HEADER: usize = 16;

/// The most that may come behind the header of version 2: addresses, and what else a proxy may know. The length has 16
/// bits, but nobody needs that much.
pub const MAX_V2_REST: usize = 2048;

const VERSION_2: u8 = 0x20;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
const TCP_4: u8 = 0x11;
const TCP_6: u8 = 0x21;
const ADDRESSES_4: usize = 12;
const ADDRESSES_6: usize = 36;

/// Which of the two is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    V1,
    V2,
}

/// Who connects to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// Bytes that are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    #[error("no PROXY header")]
    None,
    #[error("a PROXY line that is not one")]
    Line,
    #[error("a PROXY header of an unknown version or command")]
    Version,
    #[error("a PROXY header whose addresses are cut short")]
    Short,
    #[error("a PROXY header that is too long")]
    Long,
}

/// A line of version 1, its end included. `None` where the proxy speaks for itself, or does not know.
pub fn read_v1(line: &[u8]) -> Result<Option<Ends>, Malformed> {
    let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or(Malformed::Line)?;
    let mut words = text.split(' ');
    if words.next() != Some("PROXY") || line.len() > MAX_V1 {
        return Err(Malformed::Line);
    }
    let is_v6 = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => false,
        Some("TCP6") => true,
        _ => return Err(Malformed::Line),
    };
    let mut ip = || words.next().and_then(|word| word.parse::<IpAddr>().ok()).filter(|ip| ip.is_ipv6() == is_v6);
    let (source, destination) = (ip(), ip());
    let mut port = || words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok();
    let ports = (port(), port());
    match (source, destination, ports, words.next()) {
        (Some(source), Some(destination), (Some(from), Some(to)), None) => {
            Ok(Some(Ends { source: SocketAddr::new(source, from), destination: SocketAddr::new(destination, to) }))
        }
        _ => Err(Malformed::Line),
    }
}

/// How many bytes follow the header of version 2.
pub fn v2_rest(header: &[u8; V2_HEADER]) -> Result<usize, Malformed> {
    if !header.starts_with(&SIGNATURE) {
        return Err(Malformed::None);
    }
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if length > MAX_V2_REST { Err(Malformed::Long) } else { Ok(length) }
}

/// A whole header of version 2. `None` where the proxy speaks for itself, or for something that has no IP address.
pub fn read_v2(header: &[u8; V2_HEADER], rest: &[u8]) -> Result<Option<Ends>, Malformed> {
    v2_rest(header)?;
    match (header[12] & 0xf0, header[12] & 0x0f) {
        (VERSION_2, LOCAL) => return Ok(None),
        (VERSION_2, PROXY) => {}
        _ => return Err(Malformed::Version),
    }
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    match header[13] {
        TCP_4 => {
            let rest = rest.first_chunk::<ADDRESSES_4>().ok_or(Malformed::Short)?;
            let ip = |at: usize| IpAddr::V4(Ipv4Addr::new(rest[at], rest[at + 1], rest[at + 2], rest[at + 3]));
            let (source, destination) = (SocketAddr::new(ip(0), port(8)), SocketAddr::new(ip(4), port(10)));
            Ok(Some(Ends { source, destination }))
        }
        TCP_6 => {
            let rest = rest.first_chunk::<ADDRESSES_6>().ok_or(Malformed::Short)?;
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&rest[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            let (source, destination) = (SocketAddr::new(ip(0), port(32)), SocketAddr::new(ip(16), port(34)));
            Ok(Some(Ends { source, destination }))
        }
        // Unix sockets, datagrams, and what there may be one day: the connection's own address holds.
        _ => Ok(None),
    }
}

/// The header for this connection; without `ends`, one that says that the proxy speaks for itself.
pub fn write(version: Version, ends: Option<Ends>) -> Vec<u8> {
    let ends = ends.map(of_one_family);
    match version {
        Version::V1 => write_v1(ends),
        Version::V2 => write_v2(ends),
    }
}

fn write_v1(ends: Option<Ends>) -> Vec<u8> {
    let Some(Ends { source, destination }) = ends else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let mut line = String::with_capacity(MAX_V1);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    write!(line, "PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        .expect("a String takes everything");
    line.into_bytes()
}

fn write_v2(ends: Option<Ends>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(Ends { source, destination }) = ends else {
        header.extend([VERSION_2 | LOCAL, 0, 0, 0]);
        return header;
    };
    let mut addresses = Vec::with_capacity(ADDRESSES_6);
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(ip) => addresses.extend(ip.octets()),
            IpAddr::V6(ip) => addresses.extend(ip.octets()),
        }
    }
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    header.extend([VERSION_2 | PROXY, if source.is_ipv4() { TCP_4 } else { TCP_6 }]);
    header.extend(u16::try_from(addresses.len()).expect("36 at most").to_be_bytes());
    header.extend(addresses);
    header
}

/// A header has room for one family: IPv4 in IPv6 where there are two.
fn of_one_family(ends: Ends) -> Ends {
    let plain = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let (source, destination) = (plain(ends.source), plain(ends.destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return Ends { source, destination };
    }
    let mapped = |addr: SocketAddr| match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    };
    Ends { source: mapped(source), destination: mapped(destination) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Ends>, Malformed> {
        match bytes.split_first_chunk() {
            Some((header, rest)) if header.starts_with(&SIGNATURE) => {
                let length = v2_rest(header)?;
                read_v2(header, rest.get(..length).ok_or(Malformed::Short)?)
            }
            _ => read_v1(bytes),
        }
    }

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn lines_of_version_1() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", Ok(Some(ends("192.0.2.1:56324", "198.51.100.7:443")))),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", Ok(Some(ends("[2001:db8::1]:1", "[::1]:65535")))),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN ffff::1 what ever\r\n", Ok(None)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n", Err(Malformed::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 +6324 443\r\n", Err(Malformed::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 66324 443\r\n", Err(Malformed::Line)),
            ("PROXY TCP4 ::1 ::1 1 1\r\n", Err(Malformed::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 x\r\n", Err(Malformed::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n", Err(Malformed::Line)),
            ("GET / HTTP/1.1\r\n", Err(Malformed::Line)),
        ] {
            assert_eq!(read_v1(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn the_header_of_version_2_byte_for_byte() {
        let bytes = write(Version::V2, Some(ends("192.0.2.1:258", "10.0.0.1:443")));
        let expected = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 1, 187]].concat();
        assert_eq!(bytes, expected);
        assert_eq!(write(Version::V2, None), [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat());
    }

    #[test]
    fn what_version_2_may_have_besides() {
        let (mut header, rest) = ([0; V2_HEADER], [7; 20]);
        header[..12].copy_from_slice(&SIGNATURE);
        for (version, family, length, expected) in [
            (0x21, 0x11, 20, Ok(true)),
            (0x21, 0x11, 11, Err(Malformed::Short)),
            (0x21, 0x31, 20, Ok(false)),
            (0x21, 0x12, 20, Ok(false)),
            (0x20, 0x00, 0, Ok(false)),
            (0x22, 0x11, 20, Err(Malformed::Version)),
            (0x11, 0x11, 20, Err(Malformed::Version)),
        ] {
            (header[12], header[13], header[15]) = (version, family, length);
            let found = read_v2(&header, &rest[..usize::from(length)]).map(|ends| ends.is_some());
            assert_eq!(found, expected, "{version:x} {family:x} {length}");
        }
        (header[14], header[15]) = (0xff, 0xff);
        assert_eq!(v2_rest(&header), Err(Malformed::Long));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(source: SocketAddr, destination: SocketAddr, v2: bool) {
            let version = if v2 { Version::V2 } else { Version::V1 };
            let bytes = write(version, Some(Ends { source, destination }));
            let found = read(&bytes).unwrap().unwrap();
            let same = |a: SocketAddr, b: SocketAddr| (a.ip().to_canonical(), a.port()) == (b.ip().to_canonical(), b.port());
            prop_assert!(same(found.source, source) && same(found.destination, destination));
            prop_assert!(v2 || bytes.len() <= MAX_V1);
            prop_assert_eq!(read(&write(version, None)), Ok(None));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, v2: bool) {
            let bytes = if v2 { [&SIGNATURE[..], &bytes].concat() } else { bytes };
            let _ = read(&bytes);
        }
    }
}
