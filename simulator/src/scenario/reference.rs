//! The reference of all keys and figures, as Markdown.

use super::hops;
use super::key::{Key, Section, Shape};
use super::keys::{self, SECTIONS};
use super::metrics::{CAUSES, METRICS, Parts};

const PREAMBLE: &str = "\
# Scenarios

A scenario is a world for the simulator: regions and the links between them, apps, sidecars with their real
configuration, boxes on the way that cut connections, clients, what the apps have to tell, what goes wrong, and the
figures that must hold. It is one TOML file.

```toml
name = \"push through a load balancer\"
duration = \"10m\"
regions = [\"hk\", \"sg\"]

[[links]]
from = \"hk\"
to = \"sg\"
latency = \"18ms\"
jitter = \"2ms\"

[[apps]]
name = \"feed\"

[[sidecars]]
name = \"edge\"
[sidecars.config]
keepalive = \"25s\"

[[hops]]
before = \"edge\"
preset = \"tencent-clb\"

[[clients]]
name = \"web\"
kind = \"push\"
count = 50
region = \"sg\"

[workload]
rate = \"2/m\"

[expect]
sessions_lost = 0
update_delay_p99 = \"< 150ms\"
```

- A time is `50us`, `18ms`, `60s`, `15m`, `1h`, `1d` or a combination as `1m30s`; a bare number is seconds. A range of
  times, `1s..5s`, is drawn from by the seed.
- A size is `120`, `4k`, `60m` or `1g` (powers of 1024); per second it is `10k/s`. A bandwidth is `64kbit`, `100mbit` or
  `1gbit` (powers of 1000).
- A rate is `2/s`, `30/m` or `4/h`. A percentage has at most four places: `0.1%`.
- What has a default need not be written. The smallest scenario is a name, an app, a sidecar and a group of clients.
- Regions, apps, sidecars and groups of clients share one set of names, so that a fault can name any of them.
- The same file with the same seed is the same run, to the byte.
- `outrigger-sim check` reports everything that is wrong at once; `docs/scenario.schema.json` is a JSON schema for
  editors.

This page is generated from the table of keys.
";

/// All sections with their keys, all presets and all figures.
pub fn reference() -> String {
    let mut text = PREAMBLE.to_owned();
    for section in SECTIONS {
        text += &chapter(section);
        match section.name {
            "hops" => {
                text += "\n| Preset | Idle | Lifetime | Cut | What it is |\n|---|---|---|---|---|\n";
                text += &hops::rows();
            }
            "clients" => text += &chapter(&keys::RECONNECT),
            "expect" => text += &figures(),
            _ => {}
        }
    }
    text
}

fn chapter(section: &Section) -> String {
    let title = match section.shape {
        Shape::Top => "Top of the file".to_owned(),
        _ => format!("`{}`", section.heading()),
    };
    let mut text = format!("\n## {title}\n\n{}\n", wrap(section.about));
    if !section.keys.is_empty() {
        text += "\n| Key | Default | Accepts | Meaning |\n|---|---|---|---|\n";
        section.keys.iter().for_each(|key| text += &row(key));
    }
    text
}

fn row(key: &Key) -> String {
    let many = if key.list { "list of: " } else { "" };
    let only: Vec<String> = key.only.iter().map(|kind| format!("`{kind}`")).collect();
    let only = if only.is_empty() { String::new() } else { format!(" Only for {}.", only.join(", ")) };
    format!("| `{}` | {} | {many}{} | {}{only} |\n", key.name, key.default_text(), key.accepts(), key.about)
}

fn figures() -> String {
    let mut text = "\n| Figure | Unit | Meaning |\n|---|---|---|\n".to_owned();
    for metric in &METRICS {
        let part = match metric.parts {
            Parts::None => "",
            Parts::Cause => ".CAUSE",
            Parts::Group => ".GROUP",
        };
        text.extend(["| `", metric.name, part, "` | ", metric.unit.as_str(), " | ", metric.about, " |\n"]);
    }
    let causes: Vec<String> = CAUSES.iter().map(|cause| format!("`{cause}`")).collect();
    text.extend(["\n", &wrap(&format!("Causes: {}.", causes.join(", "))), "\n"]);
    text
}

/// Breaks lines at 120 columns.
fn wrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("never empty");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= 120 {
            line.extend([" ", word]);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}
