//! Prometheus' text format, as far as the tests need it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// How long to wait before looking again at figures that are not as they will be.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A page of metrics.
#[derive(Debug, Clone)]
pub struct Samples {
    values: BTreeMap<String, f64>,
    page: String,
}

impl Samples {
    /// Reads a page in Prometheus' own format; every line has to be one of it, and no series may come twice.
    #[track_caller]
    pub fn parse(page: &str) -> Samples {
        let mut values = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let read = line.rsplit_once(' ').and_then(|(series, value)| Some((series, value.parse().ok()?)));
            let (series, value) = read.unwrap_or_else(|| panic!("{line:?} is no sample"));
            assert!(values.insert(series.to_owned(), value).is_none(), "{series} comes twice");
        }
        Samples { values, page: page.to_owned() }
    }

    /// The value of a series, by its name and labels just as they are on the page.
    #[track_caller]
    pub fn get(&self, series: &str) -> f64 {
        self.find(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.page))
    }

    pub fn find(&self, series: &str) -> Option<f64> {
        self.values.get(series).copied()
    }

    /// The sum over all series of this name whose labels contain all of `labels`, each as on the page.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let of_name = self.values.iter().filter(|(series, _)| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        });
        of_name.filter(|(series, _)| labels.iter().all(|label| series.contains(label))).map(|(_, value)| value).sum()
    }

    /// The names of all families, in their order.
    pub fn families(&self) -> Vec<&str> {
        let types = self.page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split(' ').next()).collect()
    }

    pub fn page(&self) -> &str {
        &self.page
    }

    /// Checks these values.
    #[track_caller]
    pub fn expect(&self, wanted: &[(&str, f64)]) {
        let wrong: Vec<_> = wanted
            .iter()
            .filter(|(series, value)| (self.get(series) - value).abs() > 1e-9)
            .map(|(series, value)| format!("{series} is {}, not {value}", self.get(series)))
            .collect();
        assert!(wrong.is_empty(), "{}\nin\n{}", wrong.join("\n"), self.page);
    }
}

/// Takes pages from `look` until one is as it is to be; fails with the last one.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the figures have to be asked for; this is the pause in between")]
pub fn wait(what: &str, look: impl Fn() -> Samples, matches: impl Fn(&Samples) -> bool) -> Samples {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let samples = look();
        if matches(&samples) {
            return samples;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?} in\n{}", samples.page);
        std::thread::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\",y=\"2 3\"} 4\na_total{x=\"2\",y=\"z\"} 5\n";

    #[test]
    fn a_page_is_read() {
        let samples = Samples::parse(PAGE);
        samples.expect(&[("a_total{x=\"1\",y=\"2 3\"}", 4.0)]);
        assert!((samples.sum("a_total", &[]) - 9.0).abs() < 1e-9);
        assert!((samples.sum("a_total", &["x=\"2\""]) - 5.0).abs() < 1e-9);
        assert_eq!((samples.families(), samples.find("a")), (vec!["a_total"], None));
    }

    #[test]
    #[should_panic(expected = "comes twice")]
    fn a_series_that_comes_twice_is_found() {
        Samples::parse("a 1\na 1\n");
    }
}
