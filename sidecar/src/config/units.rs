//! Durations and sizes as nginx spells them, both ways.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Powers of 1024, however they are spelled.
const SIZE_UNITS: [(&str, u64); 3] = [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)];

/// Reads `500ms`, `60s`, `1m30s`, `1h 30m` or a bare number of seconds. Each unit comes at most once and the larger
/// ones come first. `None` for anything else, and for what does not fit in 64 bits of milliseconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = parse_whole(text) {
        return seconds.checked_mul(1_000).map(Duration::from_millis);
    }
    let mut rest = text;
    let mut units = DURATION_UNITS.iter();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount = parse_whole(&rest[..digits])?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let (_, milliseconds) = units.find(|(name, _)| *name == &rest[..letters])?;
        total = total.checked_add(amount.checked_mul(*milliseconds)?)?;
        rest = rest[letters..].trim_start();
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// The shortest spelling that [`parse_duration`] reads back; parts of a millisecond are dropped.
pub fn show_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, milliseconds) in DURATION_UNITS {
        if left >= milliseconds {
            text.extend([(left / milliseconds).to_string().as_str(), name]);
            left %= milliseconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads `4k`, `60m`, `1g`, also as `4K`, `60MB` or `60MiB`, or a bare number of bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let amount = parse_whole(&text[..digits])?;
    let unit = text[digits..].trim_start().to_ascii_lowercase();
    if unit.is_empty() || unit == "b" {
        return Some(amount);
    }
    let letter = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == letter)?;
    amount.checked_mul(*bytes)
}

/// The shortest spelling that [`parse_size`] reads back.
pub fn show_size(bytes: u64) -> String {
    match SIZE_UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Digits alone: no sign, no space, no separator.
pub fn parse_whole(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_nginx() {
        for (text, milliseconds) in [
            ("0", 0),
            ("60", 60_000),
            ("500ms", 500),
            ("60s", 60_000),
            ("15m", 900_000),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
            ("1h 30m", 5_400_000),
            ("1d1ms", 86_400_001),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "-1s",
            "+1",
            "1.5s",
            "1s1m",
            "1s1s",
            "1x",
            "1M",
            "60 s",
            "1m30",
            "s1",
            "ms",
            "99999999999999999999",
            "18446744073709551615",
            "18446744073709551615s",
            "1é",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_read_in_every_spelling() {
        for (text, bytes) in [
            ("0", 0),
            ("125", 125),
            ("125b", 125),
            ("4k", 4096),
            ("4K", 4096),
            ("4KiB", 4096),
            ("4 KB", 4096),
            ("60m", 60 << 20),
            ("60MiB", 60 << 20),
            ("60MB", 60 << 20),
            ("1g", 1 << 30),
            ("1024g", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5m", "1t", "1kk", "1ib", "18446744073709551615k", "1 é"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for (milliseconds, text) in
            [(0, "0s"), (500, "500ms"), (90_000, "1m30s"), (86_400_000, "1d"), (61_001, "1m1s1ms")]
        {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(show_duration(duration), text);
            assert_eq!(parse_duration(text), Some(duration));
        }
        for (bytes, text) in
            [(0, "0"), (125, "125"), (1024, "1k"), (1025, "1025"), (10_240 << 20, "10g"), (60 << 20, "60m")]
        {
            assert_eq!(show_size(bytes), text);
            assert_eq!(parse_size(text), Some(bytes));
        }
    }
}
