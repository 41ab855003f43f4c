//! From the file to a [`Scenario`], one small resolver for each section.

mod clients;
mod expect;
mod faults;
mod hosts;
mod names;
mod network;

use outrigger::config::{Finding, Report};

pub(super) use self::hosts::may_be_configured;
use self::names::Names;
use super::fields::Reading;
use super::keys::{self, SECTIONS};
use super::model::{Prices, Scenario, SizeRange, Updates, Workload};
use super::source::Source;
use super::{sweep, values};

/// Resolves every section. With any fault there is no scenario.
pub(super) fn scenario(source: &Source) -> Result<(Scenario, Vec<Finding>), Report> {
    let reading = Reading::new(source);
    let sections: Vec<&'static str> =
        SECTIONS.iter().map(|section| section.name).filter(|name| !name.is_empty()).collect();
    let top = reading.top(&keys::TOP, &sections);
    let name = top.one("name", values::text);
    let description = top.one("description", values::text).unwrap_or_default();
    let duration = top.value("duration", values::time);
    let heal = top.value("heal", values::time);
    let seeds = top.value("seeds", values::small);
    let names = Names::read(&reading, &top);
    let links = network::links(&reading, &names);
    let lan = network::lan(&reading);
    let apps = hosts::apps(&reading, &names);
    let (hops, before) = hosts::hops(&reading, &names);
    let sidecars = hosts::sidecars(&reading, &names, &apps, before);
    let clients = clients::groups(&reading, &names, &sidecars, &hops);
    let workload = workload(&reading);
    let faults = faults::planned(&reading, &names, duration);
    let random_faults = faults::random(&reading, duration);
    let expect = expect::expect(&reading, &names, &clients);
    let prices = prices(&reading);
    let sweeps = sweep::read(&reading);
    let mut report = reading.report.into_inner();
    report.sort();
    // Names are read before everything else and again with what bears them.
    let found = std::mem::take(&mut report.faults);
    super::add_new(&mut report.faults, &[], found);
    if !report.faults.is_empty() {
        return Err(report);
    }
    let all_there = "what is missing is a fault, and there is none";
    let scenario = Scenario {
        name: name.expect(all_there),
        description,
        duration,
        heal,
        seeds,
        regions: names.regions(),
        links,
        lan,
        apps: apps.into_iter().collect::<Option<_>>().expect(all_there),
        sidecars: sidecars.into_iter().collect::<Option<_>>().expect(all_there),
        clients: clients.into_iter().collect::<Option<_>>().expect(all_there),
        workload,
        faults,
        random_faults,
        expect,
        prices,
        sweeps,
        source: source.clone(),
    };
    Ok((scenario, report.warnings))
}

fn workload(reading: &Reading) -> Workload {
    let mut fields = reading.table(&keys::WORKLOAD);
    let word = fields.decide("updates").unwrap_or("none");
    let every = fields.value("rate", values::rate);
    let count = fields.value("burst", values::small);
    let size: SizeRange = fields.value("size", values::sizes);
    let listeners = fields.value("listeners", values::small);
    let updates = match word {
        "poisson" => Updates::Poisson { every },
        "periodic" => Updates::Periodic { every },
        "burst" => Updates::Burst { every, count },
        _ => Updates::None,
    };
    Workload { updates, size, listeners_per_10k: per_10k(listeners) }
}

fn prices(reading: &Reading) -> Option<Prices> {
    let fields = reading.table(&keys::PRICES);
    fields.raw()?;
    Some(Prices {
        currency: fields.value("currency", values::text),
        million_requests: fields.one("million_requests", values::decimal),
        connection_hour: fields.one("connection_hour", values::decimal),
        gib: fields.one("gib", values::decimal),
    })
}

/// Parts per million as parts per 10,000, rounded up so that a share above nothing stays above nothing.
fn per_10k(ppm: u32) -> u16 {
    u16::try_from(ppm.div_ceil(100)).expect("a share is at most a whole")
}
