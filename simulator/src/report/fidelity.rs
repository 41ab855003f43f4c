//! How true the figures of a report are: what docs/FIDELITY.md has measured, in a few lines for who reads a report.
//!
//! That page is the one source. Its tables are read here, so that what is measured anew is in the next report.

use super::build::Batch;
use super::model::Report;
use crate::backend::Backend;
use crate::scenario::{self, ClientGroup, ClientKind, FaultKind, FaultWord, LOSS_BURST_PPM, Scenario, Updates};
use crate::wan;

const PAGE: &str = include_str!("../../../docs/FIDELITY.md");
pub const TITLE: &str = "How true these figures are";
pub const WHERE: &str = "docs/FIDELITY.md";
/// Loss from which on a report says more of it, in packets per million.
const LOSS_FROM_PPM: u32 = 10_000;
/// What fits into the first window of a connection is there with it; of what does not, loss changes the windows.
const LARGE_FROM_BYTES: u64 = wan::INITIAL_WINDOW as u64 * wan::MSS as u64;

/// What was measured, read from the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Fidelity {
    /// Cells within their bounds, and all.
    pub within: usize,
    pub cells: usize,
    /// As in `0% lost`, in the order of the page.
    pub losses: Vec<&'static str>,
    pub kinds: Vec<Kind>,
    /// Paragraphs of Markdown: what is off, and why.
    pub why: Vec<String>,
}

/// Figures that are off in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    pub name: String,
    word: Word,
    /// One for each loss; `None` where nothing was measured.
    pub off_by: Vec<Option<Span>>,
}

/// From the lowest to the highest simulated median, as a share of the real one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub low: f64,
    pub high: f64,
    /// Cells beyond their bounds.
    pub off: usize,
}

/// What kind of figure a row of the page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Handshake,
    Small,
    LargeFirst,
    LargeNext,
    Bytes,
}

const WORDS: [Word; 5] = [Word::Handshake, Word::Small, Word::LargeFirst, Word::LargeNext, Word::Bytes];

/// One row of a table.
struct Row {
    loss: &'static str,
    cell: &'static str,
    off_by: f64,
    is_off: bool,
}

/// All that the page says.
pub fn measured() -> Fidelity {
    of_page(PAGE)
}

fn of_page(page: &'static str) -> Fidelity {
    let rows = rows(page);
    let mut losses: Vec<&str> = Vec::new();
    for row in &rows {
        if !losses.contains(&row.loss) {
            losses.push(row.loss);
        }
    }
    let kind = |word: Word| {
        let of: Vec<&Row> = rows.iter().filter(|row| Word::of(row.cell) == Some(word)).collect();
        let off_by = losses.iter().map(|loss| span(of.iter().filter(|row| row.loss == *loss).copied())).collect();
        Kind { name: word.name(&sizes(&of)), word, off_by }
    };
    Fidelity {
        within: rows.iter().filter(|row| !row.is_off).count(),
        cells: rows.len(),
        kinds: WORDS.into_iter().map(kind).collect(),
        why: why(page),
        losses,
    }
}

fn rows(page: &'static str) -> Vec<Row> {
    let mut loss = "";
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            loss = title.split(", ").find(|part| part.ends_with(" lost")).unwrap_or_default();
        }
        let mut columns = line.split('|').map(str::trim);
        let (Some(""), Some(cell), Some(_), Some(off)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let Some(percent) = off.split('%').next().and_then(|number| number.parse::<f64>().ok()) else { continue };
        rows.push(Row { loss, cell, off_by: percent / 100.0, is_off: off.contains("OFF") });
    }
    rows
}

fn span<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<Span> {
    rows.fold(None, |span: Option<Span>, row| {
        let Span { low, high, off } = span.unwrap_or(Span { low: row.off_by, high: row.off_by, off: 0 });
        Some(Span { low: low.min(row.off_by), high: high.max(row.off_by), off: off + usize::from(row.is_off) })
    })
}

/// Sizes of messages in cells such as `TLS: echo 90 kB, cold`, the smallest first.
fn sizes(rows: &[&Row]) -> Vec<&'static str> {
    let size = |row: &&Row| row.cell.split_once("echo ").map(|(_, size)| size.split(',').next().unwrap_or_default());
    let mut sizes: Vec<&str> = rows.iter().filter_map(size).collect();
    sizes.sort_by_key(|size| size.split(' ').next().and_then(|number| number.parse::<u64>().ok()));
    sizes.dedup();
    sizes
}

/// The paragraphs below the heading, without their line breaks.
fn why(page: &str) -> Vec<String> {
    let section = page.split("\n## ").find_map(|section| section.strip_prefix("What is off, and why\n"));
    let items = section.unwrap_or_default().split("\n- ").skip(1);
    items.map(|item| item.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

impl Word {
    fn of(cell: &str) -> Option<Self> {
        let what = cell.rsplit(": ").next().unwrap_or(cell);
        match what {
            "connect" | "TLS handshake" | "upgrade" => Some(Self::Handshake),
            _ if what.contains("bytes") => Some(Self::Bytes),
            _ if what.starts_with("echo ") && what.ends_with(", cold") => Some(Self::LargeFirst),
            _ if what.starts_with("echo ") && what.ends_with(", warm") => Some(Self::LargeNext),
            _ if what.starts_with("echo ") => Some(Self::Small),
            _ => None,
        }
    }

    fn name(self, sizes: &[&str]) -> String {
        let sizes = sizes.join(" and ");
        match self {
            Self::Handshake => "Time to connect, TLS and upgrade".to_owned(),
            Self::Small => format!("Delay of messages of {sizes}"),
            Self::LargeFirst => format!("Delay of the first message of a connection, {sizes}"),
            Self::LargeNext => format!("Delay of later messages, {sizes}"),
            Self::Bytes => "Bytes on the wire".to_owned(),
        }
    }

    /// What more and less is called.
    fn ways(self) -> [&'static str; 2] {
        if self == Self::Bytes { ["too many", "too few"] } else { ["too slow", "too fast"] }
    }
}

impl Span {
    /// As in `-0.9% … +0.1%`.
    pub fn shown(self) -> String {
        let one = |share: f64| format!("{:+.1}%", 100.0 * share);
        let (low, high) = (one(self.low), one(self.high));
        if low == high { low } else { format!("{low} … {high}") }
    }

    /// As in `22% to 43% too slow`.
    fn told(self, [more, less]: [&str; 2]) -> String {
        let one = |share: f64| format!("{:.0}%", 100.0 * share.abs());
        let between = |from: String, to: String| if from == to { from } else { format!("{from} to {to}") };
        if self.low >= 0.0 {
            format!("{} {more}", between(one(self.low), one(self.high)))
        } else if self.high <= 0.0 {
            format!("{} {less}", between(one(self.high), one(self.low)))
        } else {
            format!("between {} {less} and {} {more}", one(self.low), one(self.high))
        }
    }
}

impl Fidelity {
    /// What the network is held to, in one paragraph.
    pub fn held_to(&self) -> String {
        let Self { within, cells, .. } = self;
        let all = if within == cells { format!("All {cells}") } else { format!("{within} of {cells}") };
        format!(
            "The released sidecar between two real Linux kernels was held beside this simulated network. Medians and bytes \
             have to be within 5%, or within the noise of the measurement where that is larger: {all} figures are. \
             p99 is not held to anything: under loss it differs by tens of per cent between two real runs."
        )
    }

    /// Kinds with cells beyond their bounds, as in `with 2% lost, … : 22% to 43% too slow`.
    pub fn off(&self) -> Vec<String> {
        let of_kind = |kind: &Kind| {
            let of_loss = |(loss, span): (&&str, &Option<Span>)| {
                let span = span.filter(|span| span.off > 0)?;
                Some(format!("{} with {loss}: {}", kind.name, span.told(kind.word.ways())))
            };
            self.losses.iter().zip(&kind.off_by).filter_map(of_loss).collect::<Vec<_>>()
        };
        self.kinds.iter().flat_map(of_kind).collect()
    }

    /// For each kind and loss, by how much the median is off; beyond the bounds it is marked.
    pub fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let headings = ["simulated against real, at the median".to_owned()];
        let headings = headings.into_iter().chain(self.losses.iter().map(|loss| (*loss).to_owned())).collect();
        let shown = |span: &Option<Span>| match span {
            Some(span) if span.off > 0 => format!("{} ⚠", span.shown()),
            Some(span) => span.shown(),
            None => "–".to_owned(),
        };
        let row = |kind: &Kind| [vec![kind.name.clone()], kind.off_by.iter().map(shown).collect()].concat();
        (headings, self.kinds.iter().map(row).collect())
    }
}

/// A scenario whose figures may be among those that are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposed {
    /// The highest loss on any way, in packets per million.
    pub loss_ppm: u32,
    /// The largest message, poll or burst.
    pub bytes: u64,
}

impl Exposed {
    /// `None` where too little is lost, or nothing is large.
    pub fn of(scenario: &Scenario) -> Option<Self> {
        let cells = scenario::variants(scenario);
        let of_cell = |cell: &Scenario| Self { loss_ppm: loss(cell), bytes: largest(cell) };
        let exposed = |found: &Self| found.loss_ppm >= LOSS_FROM_PPM && found.bytes > LARGE_FROM_BYTES;
        cells.iter().map(|(_, cell)| of_cell(cell)).filter(exposed).max_by_key(|found| (found.loss_ppm, found.bytes))
    }

    /// As in `2% of packets lost and up to 100 kB at once`.
    pub fn shown(self) -> String {
        let loss = f64::from(self.loss_ppm) / 10_000.0;
        format!("up to {loss}% of packets lost, and up to {} kB at once", self.bytes.div_ceil(1000))
    }
}

fn loss(scenario: &Scenario) -> u32 {
    let links = scenario.links.iter().flatten().chain([&scenario.lan]).map(|link| link.loss_ppm);
    let bursts = scenario.faults.iter().map(|fault| match fault.kind {
        FaultKind::LossBurst { loss_ppm, .. } => loss_ppm,
        _ => 0,
    });
    let drawn = scenario.random_faults.iter().filter(|faults| faults.kinds.contains(&FaultWord::LossBurst));
    let most = u32::try_from(LOSS_BURST_PPM.1).expect("less than a whole");
    links.chain(bursts).chain(drawn.map(|_| most)).max().unwrap_or(0)
}

/// Bytes that an app or a client sends at once: a message, a burst, or what a poll brings.
fn largest(scenario: &Scenario) -> u64 {
    let (every_us, at_once) = match scenario.workload.updates {
        Updates::None => (u64::MAX, 0),
        Updates::Poisson { every } | Updates::Periodic { every } => (micros(every), 1),
        Updates::Burst { every, count } => (micros(every), u64::from(count)),
    };
    let updates = |group: &ClientGroup| match &group.kind {
        ClientKind::Poller(poller) => at_once * (micros(poller.interval) / every_us.max(1)).max(1),
        _ => at_once,
    };
    let sends = |group: &ClientGroup| match &group.kind {
        ClientKind::Push(push) => push.sends.map_or(0, |sends| sends.size.to),
        _ => 0,
    };
    let size = scenario.workload.size.to;
    let of_group = |group: &ClientGroup| size.saturating_mul(updates(group)).max(sends(group));
    scenario.clients.iter().map(of_group).max().unwrap_or(0)
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A scenario of a report whose figures may be among those that are off; never one without runs.
pub fn exposed(report: &Report, batch: &Batch) -> Option<Exposed> {
    let has_runs = !batch.outcomes.is_empty() && not_measured(report).is_none();
    if has_runs { Exposed::of(&batch.scenario) } else { None }
}

/// What is to be said of the second network, on which nothing is measured.
pub fn not_measured(report: &Report) -> Option<&'static str> {
    (report.network != Backend::default().as_str()).then_some(
        "These runs were on the second network, which is for invariants: times are known to some milliseconds, bytes on \
         the wire are not known at all, and nothing of it is held against a real network.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_page_is_told_of() {
        let rows = rows(PAGE);
        for row in &rows {
            assert!(Word::of(row.cell).is_some(), "{} is of no kind", row.cell);
            assert!(row.loss.ends_with("% lost"), "{} has no loss", row.cell);
        }
        let found = measured();
        let off = PAGE.matches("**OFF**").count();
        assert_eq!(found.within + off, found.cells);
        let says = if off == 0 {
            format!("All {} cells are within their bounds.", found.cells)
        } else {
            format!("{} of {} cells are within their bounds.", found.within, found.cells)
        };
        assert!(PAGE.contains(&says), "the page does not say: {says}");
        let told: usize = found.kinds.iter().flat_map(|kind| &kind.off_by).flatten().map(|span| span.off).sum();
        assert_eq!(told, off);
        assert_eq!(found.off().is_empty(), off == 0);
        assert!(off == 0 || !found.why.is_empty(), "the page does not say why");
        assert!(found.kinds.iter().all(|kind| kind.off_by.iter().all(Option::is_some)), "{:?}", found.kinds);
        // The words of `held_to`.
        let text = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["within 5% of the real ones", "the bound is its noise", "judged by nobody"] {
            assert!(text.contains(words), "the page does not say: {words}");
        }
    }

    #[test]
    fn what_is_off_is_told_with_its_direction() {
        let page = "# Page\n\n## What is off, and why\n\n- Large\n  echoes.\n- Polls.\n\n## What was measured\n\n### 40 ms, 0% lost\n\n\
                    | | p50 | off by |\n|---|---|---|\n| connect | 1 / 1 | -0.5% |\n| plain: echo 100 B | 1 / 1 | +0.0% |\n\
                    ### 40 ms, 2% lost, 10 Mbit/s\n\
                    | TLS: echo 100 kB, cold | 3 / 2 | +34.6% **OFF** |\n| TLS: echo 90 kB, cold | 3 / 2 | +21.8% |\n\
                    | TLS: echo 90 kB, warm | 3 / 2 | -10.2% **OFF** |\n| TLS: echo 90 kB, warm | 3 / 2 | +8.2% |\n\
                    | TLS: polls, bytes up | 3 / 2 | -7.0% **OFF** |\n";
        let found = of_page(page);
        assert_eq!((found.within, found.cells), (4, 7));
        assert_eq!(found.losses, ["0% lost", "2% lost"]);
        assert_eq!(found.why, ["Large echoes.", "Polls."]);
        let off = [
            "Delay of the first message of a connection, 90 kB and 100 kB with 2% lost: 22% to 35% too slow",
            "Delay of later messages, 90 kB with 2% lost: between 10% too fast and 8% too slow",
            "Bytes on the wire with 2% lost: 7% too few",
        ];
        assert_eq!(found.off(), off);
        let (headings, rows) = found.table();
        assert_eq!(headings[1..], found.losses);
        assert_eq!(rows[0][1..], ["-0.5%", "–"]);
        assert_eq!(rows[2][1..], ["–", "+21.8% … +34.6% ⚠"]);
    }

    #[test]
    fn loss_and_large_messages_together_are_to_be_minded() {
        let world = |loss: &str, rest: &str| {
            let text = format!(
                "name = 'x'\n[link]\nloss = '{loss}'\n[[apps]]\nname = 'feed'\n[[sidecars]]\nname = 'edge'\n\
                 [[clients]]\nname = 'web'\n{rest}"
            );
            let (scenario, _) = scenario::parse("x.toml", &text).unwrap_or_else(|report| panic!("{report}"));
            Exposed::of(&scenario)
        };
        let push = "kind = 'push'\n";
        let exposed = Exposed { loss_ppm: 20_000, bytes: 100_000 };
        let both = Some(exposed);
        assert_eq!(world("2%", &format!("{push}[workload]\nsize = '100..100000'")), both);
        assert_eq!(world("0.9%", &format!("{push}[workload]\nsize = '100..100000'")), None);
        assert_eq!(world("2%", &format!("{push}[workload]\nsize = '14480'")), None, "the first window");
        let own = format!("{push}sends = '1/m'\nsend_size = '100000'\n");
        assert_eq!(world("2%", &own), both);
        let burst = format!("{push}[workload]\nupdates = 'burst'\nburst = 100\nrate = '1/m'\nsize = '1000'\n");
        assert_eq!(world("2%", &burst), both);
        let poll = "kind = 'poller'\ninterval = '100s'\n[workload]\nrate = '1/s'\nsize = '1000'\n";
        assert_eq!(world("2%", poll), both);
        let fault = "[[faults]]\nkind = 'loss-burst'\nat = '1s'\nfor = '5s'\na = 'edge'\nb = 'web'\nloss = '2%'\n";
        assert_eq!(world("0%", &format!("{push}[workload]\nsize = '100000'\n{fault}")), both);
        let swept = "[[sweep]]\nkey = 'workload.size'\nvalues = ['100', '100000']\n";
        assert_eq!(world("2%", &format!("{push}[workload]\nrate = '1/s'\n{swept}")), both);
        assert_eq!(exposed.shown(), "up to 2% of packets lost, and up to 100 kB at once");
    }
}
