//! Metrics as text: Prometheus' format 0.0.4, and OpenMetrics 1.0.

use std::fmt::Write as _;

use super::store::{Snapshot, Value};
use super::table::{Kind, label};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// By the `Accept` header of the request (RFC 9110 §12.5.1): OpenMetrics for those that name it, as Prometheus does,
    /// and want it no less than plain text.
    pub fn accepted(accept: &str) -> Self {
        let quality = |wanted: &str| {
            let ranges = accept.split(',').filter_map(|range| {
                let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
                kind.trim().eq_ignore_ascii_case(wanted).then(|| quality(parameters))
            });
            ranges.fold(0.0, f32::max)
        };
        let open = quality("application/openmetrics-text");
        if open > 0.0 && open >= quality("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// What goes into `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The weight among the parameters of a media range; 1 where there is none, 0 where it is none.
fn quality(parameters: &str) -> f32 {
    let pairs = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut weights = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weights.next().map_or(1.0, |(_, weight)| weight.trim().parse().unwrap_or(0.0))
}

/// The whole page. Families without series are left out.
pub(super) fn page(snapshots: &[Snapshot], format: Format) -> String {
    let mut out = String::new();
    for snapshot in snapshots.iter().filter(|snapshot| !snapshot.series.is_empty()) {
        family(&mut out, snapshot, format).expect("a String takes what it is given");
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn family(out: &mut String, snapshot: &Snapshot, format: Format) -> std::fmt::Result {
    let family = snapshot.family;
    let sample = family.prometheus();
    let name = if format == Format::OpenMetrics { family.base() } else { sample.clone() };
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    writeln!(out, "# HELP {name} {}", family.help)?;
    writeln!(out, "# TYPE {name} {kind}")?;
    if let (Format::OpenMetrics, Some(unit)) = (format, family.unit_suffix()) {
        writeln!(out, "# UNIT {name} {unit}")?;
    }
    for (values, value) in &snapshot.series {
        let labels: Vec<(String, &str)> =
            family.labels.iter().map(|name| label(name)).zip(values.iter().map(String::as_str)).collect();
        match (value, family.kind) {
            (Value::Number(number), _) => writeln!(out, "{sample}{} {number}", Labels(&labels, None))?,
            (Value::Histogram { counts, sum }, Kind::Histogram(bounds)) => {
                let mut total = 0;
                for (at, count) in counts.iter().enumerate() {
                    total += count;
                    let bound = bounds.get(at).map_or_else(|| "+Inf".to_owned(), |bound| le(*bound));
                    writeln!(out, "{sample}_bucket{} {total}", Labels(&labels, Some(&bound)))?;
                }
                writeln!(out, "{sample}_sum{} {sum}", Labels(&labels, None))?;
                writeln!(out, "{sample}_count{} {total}", Labels(&labels, None))?;
            }
            (Value::Histogram { .. }, _) => unreachable!("a family's series are of its kind"),
        }
    }
    Ok(())
}

/// A bound as OpenMetrics wants it: whole numbers with `.0`.
fn le(bound: f64) -> String {
    format!("{bound:?}")
}

/// `{a="b",le="1.0"}`, or nothing.
struct Labels<'a>(&'a [(String, &'a str)], Option<&'a str>);

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(labels, bound) = self;
        let pairs = labels.iter().map(|(name, value)| (name.as_str(), *value)).chain(bound.map(|bound| ("le", bound)));
        let mut before = "{";
        for (name, value) in pairs {
            write!(f, "{before}{name}=\"")?;
            for char in value.chars() {
                match char {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
            before = ",";
        }
        if before == "," { f.write_char('}') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::super::table::Id;
    use super::*;

    #[test]
    fn both_formats_say_the_same_of_each_kind() {
        let store = Store::new();
        store.add(Id::Opened, &["ws"], 3.0);
        store.add(Id::Held, &["a\"b\\c\n"], 2.0);
        store.observe(Id::MessageSize, &["app"], 2000.0);
        let snapshots = store.snapshot();
        let prometheus = page(&snapshots, Format::Prometheus);
        assert_eq!(
            prometheus.lines().filter(|line| line.contains("opened")).collect::<Vec<_>>(),
            [
                "# HELP outrigger_sessions_opened_total Sessions opened.",
                "# TYPE outrigger_sessions_opened_total counter",
                "outrigger_sessions_opened_total{scheme=\"ws\"} 3",
            ]
        );
        assert!(prometheus.contains("outrigger_upstream_held{upstream=\"a\\\"b\\\\c\\n\"} 2\n"), "{prometheus}");
        assert!(
            prometheus.contains("outrigger_message_size_bytes_bucket{from=\"app\",le=\"1024.0\"} 0\n"),
            "{prometheus}"
        );
        assert!(
            prometheus.contains("outrigger_message_size_bytes_bucket{from=\"app\",le=\"8192.0\"} 1\n"),
            "{prometheus}"
        );
        assert!(prometheus.contains("outrigger_message_size_bytes_sum{from=\"app\"} 2000\n"), "{prometheus}");
        let open = page(&snapshots, Format::OpenMetrics);
        assert!(open.contains("# TYPE outrigger_sessions_opened counter\noutrigger_sessions_opened_total{"), "{open}");
        assert!(open.contains("# UNIT outrigger_message_size_bytes bytes\n"), "{open}");
        assert!(open.ends_with("# EOF\n"));
    }

    #[test]
    fn who_names_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for plain in [
            "",
            "*/*",
            "text/html, application/xhtml+xml, */*;q=0.8",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "text/plain;version=0.0.4;q=0.6, application/openmetrics-text; version=1.0.0; Q=0.5",
        ] {
            assert_eq!(Format::accepted(plain), Format::Prometheus, "{plain}");
        }
    }
}
