//! What charts are made of: text that is safe, scales, and the frame around each.

use std::fmt::Write as _;

/// Text as HTML and XML take it.
pub(super) fn esc(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

/// A number in a drawing: a tenth of a pixel is enough for anybody.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// From amounts to places along an axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// By ratios where all amounts are above 0 and far apart, else by differences, from 0 on.
    pub(super) fn of(amounts: impl Iterator<Item = f64>, low: f64, high: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for amount in amounts {
            (least, most) = (least.min(amount), most.max(amount));
        }
        if most <= 0.0 || !most.is_finite() {
            return Self { from: 0.0, to: 1.0, low, high, log: false };
        }
        let log = least > 0.0 && most / least >= FAR_APART;
        if log {
            Self { from: least.log10() - 0.08, to: most.log10() + 0.08, low, high, log }
        } else {
            Self { from: 0.0, to: most * 1.05, low, high, log }
        }
    }

    /// From 0 on whatever the amounts are, for what is compared by its length.
    pub(super) fn from_zero(amounts: impl Iterator<Item = f64>, low: f64, high: f64) -> Self {
        let most = amounts.fold(0.0, f64::max);
        Self { from: 0.0, to: if most > 0.0 { most } else { 1.0 }, low, high, log: false }
    }

    pub(super) fn at(&self, amount: f64) -> f64 {
        let amount = if self.log { amount.max(1e-9).log10() } else { amount };
        let part = ((amount - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.low + part * (self.high - self.low)
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// Round amounts within the scale, few of them.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.log {
            let (first, last) = (self.from.ceil(), self.to.floor());
            let mut ticks = Vec::new();
            let mut power = first;
            while power <= last {
                ticks.push(10f64.powf(power));
                power += 1.0;
            }
            let step = ticks.len().div_ceil(MAX_TICKS).max(1);
            return ticks.into_iter().step_by(step).collect();
        }
        let raw = self.to / 4.0;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= raw).unwrap_or(raw);
        let mut ticks = Vec::new();
        let mut tick = 0.0;
        while tick <= self.to && ticks.len() <= MAX_TICKS {
            ticks.push(tick);
            tick += step;
        }
        ticks
    }
}

/// A ratio from which on amounts are compared by ratios.
const FAR_APART: f64 = 20.0;
const MAX_TICKS: usize = 6;

/// A drawing with its words, and the table behind it.
pub(super) struct Chart<'a> {
    /// Unlike that of any other on the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What there is to see, for those who do not.
    pub(super) about: &'a str,
    pub(super) size: (f64, f64),
    pub(super) body: String,
    /// Below the title.
    pub(super) legend: String,
    pub(super) table: String,
}

impl Chart<'_> {
    pub(super) fn show(&self) -> String {
        let Self { id, body, legend, table, size: (width, height), .. } = self;
        let (title, about) = (esc(self.title), esc(self.about));
        format!(
            "<figure class=\"chart\"><figcaption>{title}</figcaption>{legend}\
             <svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{about}</desc>{body}</svg>{}</figure>\n",
            px(*width),
            px(*height),
            behind(table),
        )
    }
}

/// A table that is there for who wants it.
pub(super) fn behind(table: &str) -> String {
    format!("<details class=\"behind\"><summary>As a table</summary>{table}</details>")
}

/// A table; the first so many columns are headings of their rows.
pub(super) fn table(caption: &str, headings: &[String], names: usize, rows: &[Vec<String>]) -> String {
    let mut text = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption><span>{0}</span></caption><thead><tr>",
        esc(caption)
    );
    for (column, heading) in headings.iter().enumerate() {
        let class = if column < names { " class=\"name\"" } else { "" };
        let _ = write!(text, "<th scope=\"col\"{class}>{}</th>", esc(heading));
    }
    text.push_str("</tr></thead><tbody>");
    for row in rows {
        text.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = esc(cell);
            if column < names {
                let _ = write!(text, "<th scope=\"row\">{cell}</th>");
            } else {
                let _ = write!(text, "<td>{cell}</td>");
            }
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div>");
    text
}

/// Which colour is whose.
pub(super) fn legend(names: &[&str]) -> String {
    let item = |(index, name): (usize, &&str)| format!("<li class=\"s{}\">{}</li>", index % COLOURS, esc(name));
    let items: String = names.iter().enumerate().map(item).collect();
    format!("<ul class=\"legend\">{items}</ul>")
}

/// Series with a colour of their own; the next one has the first one's again.
pub(super) const COLOURS: usize = 6;
