//! Links between regions, and within them.

use std::collections::BTreeMap;

use outrigger::config::Place;

use super::names::{Names, region};
use crate::scenario::fields::{Fields, Reading};
use crate::scenario::keys;
use crate::scenario::model::Link;
use crate::scenario::values::{self, or_word};

/// For each pair of regions the link one way.
pub(super) fn links(reading: &Reading, names: &Names) -> Vec<Vec<Link>> {
    let default = whole(&reading.table(&keys::LINK));
    let count = names.region_count();
    let mut links = vec![vec![default; count]; count];
    let mut seen: BTreeMap<(usize, usize), Place> = BTreeMap::new();
    for fields in reading.list(&keys::LINKS) {
        let link = Link {
            latency: fields.one("latency", values::time).unwrap_or(default.latency),
            jitter: fields.one("jitter", values::time).unwrap_or(default.jitter),
            bandwidth: fields.one("bandwidth", or_word(values::number)).unwrap_or(default.bandwidth),
            loss_ppm: fields.one("loss", values::small).unwrap_or(default.loss_ppm),
        };
        let oneway = fields.value("oneway", values::switch);
        let (from, to) = (names.one(&fields, "from", region), names.one(&fields, "to", region));
        let (Some(from), Some(to)) = (from, to) else { continue };
        let ways = if oneway || from == to { vec![(from.0, to.0)] } else { vec![(from.0, to.0), (to.0, from.0)] };
        for (from, to) in ways {
            links[from][to] = link;
            if let Some(before) = seen.insert((from, to), fields.place.clone()) {
                let regions = names.regions();
                let problem =
                    format!("{before} says it for `{}` to `{}` already", regions[from].name, regions[to].name);
                reading.fault(&fields.place, problem, "keep one of them, or make both `oneway = true`");
            }
        }
    }
    links
}

pub(super) fn lan(reading: &Reading) -> Link {
    whole(&reading.table(&keys::LAN))
}

fn whole(fields: &Fields) -> Link {
    Link {
        latency: fields.value("latency", values::time),
        jitter: fields.value("jitter", values::time),
        bandwidth: fields.value("bandwidth", or_word(values::number)),
        loss_ppm: fields.value("loss", values::small),
    }
}
