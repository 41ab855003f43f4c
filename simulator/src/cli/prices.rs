//! What things cost: the scenario says it, the command line knows better.

use clap::ArgMatches;

use crate::scenario::Prices;

const DEFAULT_CURRENCY: &str = "USD";

/// The scenario's prices, with those of the command line in their place.
pub(super) fn prices(written: Option<Prices>, matches: &ArgMatches) -> Option<Prices> {
    let given = |name: &str| matches.get_one::<f64>(name).copied();
    let currency = matches.get_one::<String>("currency");
    let flags = (given("price-requests"), given("price-connections"), given("price-gib"));
    if written.is_none() && flags == (None, None, None) {
        return None;
    }
    let none =
        || Prices { currency: DEFAULT_CURRENCY.to_owned(), million_requests: None, connection_hour: None, gib: None };
    let written = written.unwrap_or_else(none);
    Some(Prices {
        currency: currency.cloned().unwrap_or(written.currency),
        million_requests: flags.0.or(written.million_requests),
        connection_hour: flags.1.or(written.connection_hour),
        gib: flags.2.or(written.gib),
    })
}
