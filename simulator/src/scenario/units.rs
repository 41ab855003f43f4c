//! Times, rates and shares as scenarios spell them, both ways; the rest is as in the sidecar's configuration.

use std::time::Duration;

use outrigger::config::units::{parse_duration, parse_whole, show_duration};

/// Bits per second, powers of 1000.
const BANDWIDTH_UNITS: [(&str, u64); 4] = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// Microseconds.
const RATE_UNITS: [(&str, u64); 3] = [("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

/// Reads what the sidecar's configuration takes, and microseconds as `50us` on top.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    let micros = text.strip_suffix("us").or_else(|| text.strip_suffix("µs"));
    match micros {
        Some(micros) => parse_whole(micros).map(Duration::from_micros),
        None => parse_duration(text),
    }
}

/// A spelling that [`parse_time`] reads back; parts of a microsecond are dropped.
pub(super) fn show_time(time: Duration) -> String {
    let micros = time.as_micros();
    if micros.is_multiple_of(1_000) { show_duration(time) } else { format!("{micros}us") }
}

/// Reads `from..to` or a single value, which is both.
pub(super) fn parse_range<T: PartialOrd + Copy>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (parse(from.trim())?, parse(to.trim())?);
    (from <= to).then_some((from, to))
}

/// A spelling that [`parse_range`] reads back.
pub(super) fn show_range<T: PartialEq + Copy>(from: T, to: T, show: impl Fn(T) -> String) -> String {
    if from == to { show(from) } else { format!("{}..{}", show(from), show(to)) }
}

/// Reads `2/s`, `0.5/s`, `30/m` or `4/h` as the time from one to the next, rounded to microseconds.
pub(super) fn parse_rate(text: &str) -> Option<Duration> {
    let (amount, unit) = text.split_once('/')?;
    let (_, micros) = RATE_UNITS.iter().find(|(name, _)| *name == unit)?;
    let thousandths = parse_decimal(amount, 3).filter(|amount| *amount > 0)?;
    let scaled = micros.checked_mul(1_000)?;
    Some(Duration::from_micros((scaled + thousandths / 2) / thousandths))
}

/// The rate of this time from one to the next, for messages: in the largest unit that gives a whole number.
pub(super) fn show_rate(every: Duration) -> String {
    let micros = u64::try_from(every.as_micros()).unwrap_or(u64::MAX).max(1);
    let whole = RATE_UNITS.iter().find(|(_, unit)| unit.is_multiple_of(micros));
    match whole {
        Some((name, unit)) => format!("{}/{name}", unit / micros),
        None => format!("one each {}", show_time(every)),
    }
}

/// Reads `100mbit`, `1gbit`, `64kbit`.
pub(super) fn parse_bandwidth(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (_, bits) = BANDWIDTH_UNITS.iter().find(|(name, _)| *name == text[digits..].trim_start())?;
    parse_whole(&text[..digits])?.checked_mul(*bits)
}

/// Reads `0.1%` or `0.1` as parts per million.
pub(super) fn parse_percent(text: &str) -> Option<u64> {
    parse_decimal(text.strip_suffix('%').unwrap_or(text).trim_end(), 4)
}

/// The spelling of parts per million that [`parse_percent`] reads back.
pub(super) fn show_percent(ppm: u64) -> String {
    let fraction = format!("{:04}", ppm % 10_000);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{}%", ppm / 10_000) } else { format!("{}.{fraction}%", ppm / 10_000) }
}

/// Reads a decimal number without sign or exponent, times ten to the power of `places`; no further places are taken.
pub(super) fn parse_decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > places {
        return None;
    }
    parse_whole(&format!("{whole}{fraction:0<places$}")).filter(|_| parse_whole(whole).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_to_the_microsecond() {
        for (text, micros) in [("50us", 50), ("7µs", 7), ("18ms", 18_000), ("1m30s", 90_000_000), ("2", 2_000_000)] {
            assert_eq!(parse_time(text), Some(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", "us", "-1us", "1.5ms", "1m5us", "fast"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        for micros in [0, 1, 999, 1_000, 1_001, 60_000_000, 61_001_000] {
            let time = Duration::from_micros(micros);
            assert_eq!(parse_time(&show_time(time)), Some(time));
        }
    }

    #[test]
    fn ranges_have_one_end_or_two() {
        assert_eq!(parse_range("7", parse_whole), Some((7, 7)));
        assert_eq!(parse_range("7..9", parse_whole), Some((7, 9)));
        assert_eq!(parse_range("7 .. 9", parse_whole), Some((7, 9)));
        for text in ["", "..", "7..", "..7", "9..7", "1..2..3"] {
            assert_eq!(parse_range(text, parse_whole), None, "{text}");
        }
        assert_eq!(show_range(1, 1, |n: u64| n.to_string()), "1");
        assert_eq!(show_range(1, 2, |n: u64| n.to_string()), "1..2");
    }

    #[test]
    fn rates_read_as_waits() {
        for (text, micros) in
            [("1/s", 1_000_000), ("0.5/s", 2_000_000), ("30/m", 2_000_000), ("4/h", 900_000_000), ("3/s", 333_333)]
        {
            assert_eq!(parse_rate(text), Some(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", "1", "/s", "0/s", "-1/s", "1/d", "0.0001/s", "1/s/s"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
        assert_eq!(show_rate(Duration::from_micros(100)), "10000/s");
        assert_eq!(show_rate(Duration::from_hours(1)), "1/h");
        assert_eq!(show_rate(Duration::from_hours(24)), "one each 1d");
    }

    #[test]
    fn bandwidths_are_bits() {
        for (text, bits) in [("64kbit", 64_000), ("100mbit", 100_000_000), ("1 gbit", 1_000_000_000), ("9bit", 9)] {
            assert_eq!(parse_bandwidth(text), Some(bits), "{text}");
        }
        for text in ["", "100", "mbit", "100MB", "1.5mbit", "99999999999gbit"] {
            assert_eq!(parse_bandwidth(text), None, "{text}");
        }
    }

    #[test]
    fn percentages_are_exact() {
        for (text, ppm) in [("0.1%", 1_000), ("0.0001%", 1), ("12.5", 125_000), ("100%", 1_000_000), ("0", 0)] {
            assert_eq!(parse_percent(text), Some(ppm), "{text}");
            assert_eq!(parse_percent(&show_percent(ppm)), Some(ppm), "{text}");
        }
        for text in ["", "%", ".5%", "1.%", "0.00001%", "-1%", "1e2", "1.-5"] {
            assert_eq!(parse_percent(text), None, "{text}");
        }
    }
}
