//! Figures by family and labels.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::{FAMILIES, Family, Id, Kind};

/// Time series of one family. What comes beyond is counted under `other`, so that no peer can fill the memory.
const MAX_SERIES: usize = 256;
/// The value of every label in a series that stands for those over the limit.
const OTHER: &str = "other";

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    /// Per class, not summed up.
    Histogram {
        counts: Vec<u64>,
        sum: f64,
    },
}

/// A family at one moment, its series in the order of their labels.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub family: &'static Family,
    pub series: Vec<(Vec<String>, Value)>,
}

/// Every family's series.
#[derive(Debug)]
pub(super) struct Store(Vec<Mutex<Vec<Series>>>);

#[derive(Debug)]
struct Series {
    labels: Vec<String>,
    value: Value,
}

impl Store {
    pub(super) fn new() -> Self {
        Self(FAMILIES.iter().map(|_| Mutex::default()).collect())
    }

    /// Adds to a counter or gauge. Adding nothing makes a series that shows 0.
    pub(super) fn add(&self, id: Id, labels: &[&str], amount: f64) {
        self.change(id, labels, |value| {
            if let Value::Number(number) = value {
                *number += amount;
            }
        });
    }

    /// Counts one observation in a histogram.
    pub(super) fn observe(&self, id: Id, labels: &[&str], observed: f64) {
        let Kind::Histogram(bounds) = FAMILIES[id as usize].kind else { unreachable!("{id:?} is a histogram") };
        self.change(id, labels, |value| {
            if let Value::Histogram { counts, sum } = value {
                counts[bounds.partition_point(|bound| *bound < observed)] += 1;
                *sum += observed;
            }
        });
    }

    /// All series of all families, also of those that have none.
    pub(super) fn snapshot(&self) -> Vec<Snapshot> {
        let families = FAMILIES.iter().zip(&self.0);
        families
            .map(|(family, series)| {
                let series = lock(series).iter().map(|series| (series.labels.clone(), series.value.clone())).collect();
                Snapshot { family, series }
            })
            .collect()
    }

    fn change(&self, id: Id, labels: &[&str], change: impl FnOnce(&mut Value)) {
        let family = &FAMILIES[id as usize];
        debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
        let mut series = lock(&self.0[id as usize]);
        let place = |series: &[Series], labels: &[&str]| {
            series.binary_search_by(|known| known.labels.iter().map(String::as_str).cmp(labels.iter().copied()))
        };
        let mut at = place(&series, labels);
        let overflow: Vec<&str> = labels.iter().map(|_| OTHER).collect();
        let mut labels = labels;
        if at.is_err() && series.len() >= MAX_SERIES {
            labels = &overflow;
            at = place(&series, labels);
        }
        let at = at.unwrap_or_else(|at| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            series.insert(at, Series { labels, value: family.zero() });
            at
        });
        change(&mut series[at].value);
    }
}

impl Family {
    fn zero(&self) -> Value {
        match self.kind {
            Kind::Counter | Kind::Gauge => Value::Number(0.0),
            Kind::Histogram(bounds) => Value::Histogram { counts: vec![0; bounds.len() + 1], sum: 0.0 },
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_class() {
        let store = Store::new();
        for observed in [0.001, 0.0011, 99.0] {
            store.observe(Id::TlsDuration, &[], observed);
        }
        let snapshot = &store.snapshot()[Id::TlsDuration as usize];
        let Value::Histogram { counts, sum } = &snapshot.series[0].1 else { panic!("a histogram") };
        assert_eq!((counts[0], counts[1], counts.last(), counts.iter().sum::<u64>()), (1, 1, Some(&1), 3));
        assert!((sum - 99.0021).abs() < 1e-9);
    }

    #[test]
    fn what_is_over_the_limit_of_series_is_counted_as_other() {
        let store = Store::new();
        for nth in 0..MAX_SERIES + 50 {
            store.add(Id::Opened, &[&nth.to_string()], 1.0);
        }
        let series = &store.snapshot()[Id::Opened as usize].series;
        assert_eq!(series.len(), MAX_SERIES + 1);
        let other = series.iter().find(|(labels, _)| labels == &[OTHER]);
        assert_eq!(other.map(|(_, value)| value), Some(&Value::Number(50.0)));
        assert!(series.is_sorted_by(|a, b| a.0 < b.0));
    }
}
