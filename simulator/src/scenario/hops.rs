//! Products that cut connections, as far as it is known how.

use std::time::Duration;

use super::model::{Cut, Hop, TimeRange};

struct Known {
    name: &'static str,
    /// Seconds, from and to.
    idle: Option<(u64, u64)>,
    lifetime: Option<u64>,
    cut: Cut,
    /// For the reference.
    about: &'static str,
}

/// In the order of [`super::keys::PRESETS`].
const KNOWN: [Known; 8] = [
    Known {
        name: "tencent-clb",
        idle: Some((60, 60)),
        lifetime: None,
        cut: Cut::Rst,
        about: "`proxy_read_timeout`, can be raised to 3600 s",
    },
    Known { name: "nginx", idle: Some((60, 60)), lifetime: None, cut: Cut::Fin, about: "`proxy_read_timeout`" },
    Known { name: "aws-alb", idle: Some((60, 60)), lifetime: None, cut: Cut::Rst, about: "idle timeout" },
    Known { name: "cloudflare", idle: Some((100, 100)), lifetime: None, cut: Cut::Fin, about: "idle timeout" },
    Known { name: "envoy", idle: Some((300, 300)), lifetime: None, cut: Cut::Fin, about: "`stream_idle_timeout`" },
    Known { name: "gce", idle: None, lifetime: Some(30), cut: Cut::Fin, about: "backend timeout: a lifetime" },
    Known { name: "home-nat", idle: Some((300, 300)), lifetime: None, cut: Cut::Silence, about: "router at home" },
    Known {
        name: "mobile-nat",
        idle: Some((30, 60)),
        lifetime: None,
        cut: Cut::Silence,
        about: "carrier's NAT, each connection has its own limit",
    },
];

/// The hop that a preset stands for; it bears the preset's name.
pub(super) fn preset(name: &str) -> Option<Hop> {
    let known = KNOWN.iter().find(|known| known.name == name)?;
    let idle = known.idle.map(|(from, to)| TimeRange { from: Duration::from_secs(from), to: Duration::from_secs(to) });
    let lifetime = known.lifetime.map(Duration::from_secs);
    Some(Hop { name: name.to_owned(), idle, lifetime, cut: known.cut })
}

/// The presets as rows of a Markdown table: name, idle limit, lifetime, cut, remark.
pub(super) fn rows() -> String {
    let row = |known: &Known| {
        let hop = preset(known.name).expect("a preset that is in the table");
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let idle = hop.idle.map_or("off".to_owned(), |idle| super::units::show_range(idle.from, idle.to, seconds));
        let lifetime = hop.lifetime.map_or("off".to_owned(), seconds);
        format!("| `{}` | {idle} | {lifetime} | {} | {} |\n", known.name, hop.cut.as_str(), known.about)
    };
    KNOWN.iter().map(row).collect()
}

impl Cut {
    pub const ALL: [Self; 3] = [Self::Rst, Self::Fin, Self::Silence];

    /// As it is written in a scenario.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rst => "rst",
            Self::Fin => "fin",
            Self::Silence => "silence",
        }
    }
}
