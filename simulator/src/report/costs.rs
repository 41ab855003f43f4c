//! What a way of getting updates costs, at the user's prices.
//!
//! Amounts are for one client and a month of 30 days that goes on as the run did. Per update they would say less: the same
//! updates are for more or fewer clients, and a client that waits for nothing costs something too.

use crate::scenario::{Metrics, Prices};

const GIB: f64 = 1_073_741_824.0;
const HOUR_US: f64 = 3_600_000_000.0;
const MONTH_US: f64 = 30.0 * 24.0 * HOUR_US;
const MILLION: f64 = 1_000_000.0;

/// What one client costs in a month; `None` where there is no price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    pub requests: Option<f64>,
    pub connections: Option<f64>,
    pub traffic: Option<f64>,
}

impl Costs {
    /// `clients` are in the group, whose figures were counted for so many microseconds.
    pub fn of(prices: &Prices, metrics: &Metrics, group: &str, clients: u32, measured_us: f64) -> Self {
        let months = measured_us / MONTH_US * f64::from(clients);
        let of = |price: Option<f64>, metric: &str, unit: f64| {
            let amount = metrics.get(&(group.to_owned(), metric.to_owned())).copied().unwrap_or(0.0);
            price.map(|price| price * amount / unit / months)
        };
        Self {
            requests: of(prices.million_requests, "requests", MILLION),
            connections: of(prices.connection_hour, "connection_time", HOUR_US),
            traffic: of(prices.gib, "bytes_down", GIB),
        }
    }

    pub fn together(self) -> f64 {
        [self.requests, self.connections, self.traffic].into_iter().flatten().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_of_one_client_is_worked_out_from_minutes_of_many() {
        let prices =
            Prices { currency: "EUR".into(), million_requests: Some(0.5), connection_hour: Some(0.001), gib: None };
        let figures = [("requests", 1_200.0), ("connection_time", 4.0 * 600e6), ("bytes_down", 1e9)];
        let metrics = figures.map(|(metric, value)| (("poll".to_owned(), metric.to_owned()), value)).into();
        // Four clients for ten minutes; a month has 4320 times ten minutes.
        let costs = Costs::of(&prices, &metrics, "poll", 4, 600e6);
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        assert!(near(costs.requests, 300.0 * 4320.0 / 1e6 * 0.5), "{costs:?}");
        assert!(near(costs.connections, 720.0 * 0.001), "{costs:?}");
        assert_eq!(costs.traffic, None);
        assert!(near(Some(costs.together()), 0.648 + 0.72));
    }
}
