//! A sweep as an axis of a table: its values as people read them, and as numbers where they are some.

use outrigger::config::units::{parse_size, parse_whole};

use super::key::Kind;
use super::metrics::Unit;
use super::model::Sweep;
use super::sweep;
use super::units::{parse_bandwidth, parse_percent, parse_range, parse_rate, parse_time};

const SECOND_US: f64 = 1_000_000.0;
/// Parts per million in one per cent.
const PERCENT_PPM: f64 = 10_000.0;
const MEGABIT: f64 = 1_000_000.0;

/// One dimension of a scenario's [`variants`](super::variants), the last of which runs fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// As it is written: `clients.web.interval`.
    pub key: String,
    /// As they are written.
    pub values: Vec<String>,
    /// The values as numbers that a value in between makes sense for: all of them or none.
    amounts: Option<(Measure, Vec<f64>)>,
}

/// What an amount is an amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Micros,
    PerSecond,
    Bytes,
    BitsPerSecond,
    Ppm,
    Plain,
}

impl Sweep {
    pub fn axis(&self) -> Axis {
        let values: Vec<String> = self.values.iter().map(|value| sweep::show(value.get_ref())).collect();
        let amounts = sweep::kind(&self.key).and_then(|kind| {
            let numbers: Option<Vec<(Measure, f64)>> = values.iter().map(|text| amount(kind, text)).collect();
            let numbers = numbers?;
            Some((numbers.first()?.0, numbers.iter().map(|(_, number)| *number).collect()))
        });
        Axis { key: self.key.clone(), values, amounts }
    }
}

impl Axis {
    /// Where a variant is on each axis of its scenario, by its number.
    pub fn places_of(axes: &[Self], variant: usize) -> Vec<usize> {
        let mut rest = variant;
        let mut places: Vec<usize> = axes
            .iter()
            .rev()
            .map(|axis| {
                let place = rest % axis.values.len();
                rest /= axis.values.len();
                place
            })
            .collect();
        places.reverse();
        places
    }

    /// The values that make a variant.
    pub fn values_of(axes: &[Self], variant: usize) -> Vec<&str> {
        let places = Self::places_of(axes, variant);
        axes.iter().zip(places).map(|(axis, place)| axis.values[place].as_str()).collect()
    }

    /// The last part of the key, for the heading of a column.
    pub fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or(&self.key)
    }

    pub fn amounts(&self) -> Option<&[f64]> {
        self.amounts.as_ref().map(|(_, amounts)| amounts.as_slice())
    }

    /// An amount between those of the axis, to three digits, as it would be written.
    pub fn show(&self, amount: f64) -> String {
        match self.amounts.as_ref().map_or(Measure::Plain, |(measure, _)| *measure) {
            Measure::Micros => Unit::Time.show(three_digits(amount)),
            Measure::Bytes => Unit::Bytes.show(three_digits(amount)),
            Measure::BitsPerSecond => format!("{}mbit", three_digits(amount / MEGABIT)),
            Measure::Ppm => format!("{}%", three_digits(amount / PERCENT_PPM)),
            Measure::Plain => three_digits(amount).to_string(),
            Measure::PerSecond => {
                let units = [(1.0, "s"), (60.0, "m"), (3600.0, "h")];
                let (seconds, name) = units.iter().find(|(seconds, _)| amount * seconds >= 1.0).unwrap_or(&units[2]);
                format!("{}/{name}", three_digits(amount * seconds))
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "values above 2^53 are beyond any scenario")]
fn amount(kind: Kind, text: &str) -> Option<(Measure, f64)> {
    let micros = |text: &str| parse_time(text).map(|time| time.as_micros() as f64);
    let single = |(from, to): (f64, f64)| (from.total_cmp(&to).is_eq()).then_some(from);
    let size = |text: &str| parse_size(text).map(|bytes| bytes as f64);
    Some(match kind {
        Kind::Time { .. } => (Measure::Micros, micros(text)?),
        Kind::Times { .. } => (Measure::Micros, single(parse_range(text, micros)?)?),
        Kind::Rate { .. } => (Measure::PerSecond, SECOND_US / parse_rate(text)?.as_micros() as f64),
        Kind::Size { .. } => (Measure::Bytes, size(text)?),
        Kind::Sizes { .. } => (Measure::Bytes, single(parse_range(text, size)?)?),
        Kind::Bandwidth { .. } => (Measure::BitsPerSecond, parse_bandwidth(text)? as f64),
        Kind::Percent { .. } => (Measure::Ppm, parse_percent(text)? as f64),
        Kind::Count { .. } => (Measure::Plain, parse_whole(text)? as f64),
        Kind::Number { .. } => (Measure::Plain, text.parse().ok()?),
        _ => return None,
    })
}

fn three_digits(amount: f64) -> f64 {
    if amount <= 0.0 {
        return amount;
    }
    let mut scale = 1.0;
    while amount * scale < 100.0 {
        scale *= 10.0;
    }
    while amount * scale >= 1000.0 {
        scale /= 10.0;
    }
    (amount * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_as_they_would_be_written() {
        let axis = |measure| Axis { key: "a.b".into(), values: Vec::new(), amounts: Some((measure, Vec::new())) };
        assert_eq!(axis(Measure::Micros).show(17_234_567.0), "17.2s");
        assert_eq!(axis(Measure::Micros).show(250_400.0), "250ms");
        assert_eq!(axis(Measure::PerSecond).show(0.3333), "20/m");
        assert_eq!(axis(Measure::PerSecond).show(4.567), "4.57/s");
        assert_eq!(axis(Measure::PerSecond).show(0.0005), "1.8/h");
        assert_eq!(axis(Measure::Ppm).show(123_456.0), "12.3%");
        assert_eq!(axis(Measure::Bytes).show(2_048.0), "2050 bytes");
        assert_eq!(axis(Measure::BitsPerSecond).show(1_500_000.0), "1.5mbit");
        assert_eq!(axis(Measure::Plain).show(12_345.0), "12300");
    }

    #[test]
    fn only_what_has_something_in_between_is_a_number() {
        assert_eq!(amount(Kind::Rate { from: 1, to: 2 }, "30/m"), Some((Measure::PerSecond, 0.5)));
        assert_eq!(amount(Kind::Times { from: 1, to: 2 }, "5s"), Some((Measure::Micros, 5_000_000.0)));
        assert_eq!(amount(Kind::Times { from: 1, to: 2 }, "5s..9s"), None);
        assert_eq!(amount(Kind::Time { from: 1, to: 2 }, "off"), None);
        assert_eq!(amount(Kind::Switch, "on"), None);
    }
}
