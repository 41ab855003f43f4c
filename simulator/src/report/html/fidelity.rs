//! What the figures of the page are held to, and which of them are off.

use std::fmt::Write as _;

use super::super::build::Batch;
use super::super::fidelity;
use super::super::model::{Played, Report};
use super::svg::{esc, table};

pub(super) use super::super::fidelity::exposed;

/// For all scenarios of the page.
pub(super) fn section(report: &Report, played: &[(&Played, &Batch)]) -> String {
    let title = fidelity::TITLE;
    if let Some(why) = fidelity::not_measured(report) {
        return format!(
            "<section class=\"card\" id=\"fidelity\"><h2>{title}</h2><p class=\"lead\">{why}</p></section>\n"
        );
    }
    let minded: String = played.iter().filter_map(|(_, batch)| minded(report, batch)).collect();
    let class = if minded.is_empty() { "card" } else { "card mind" };
    let measured = fidelity::measured();
    let mut text = format!(
        "<section class=\"{class}\" id=\"fidelity\"><h2>{title}</h2>{minded}<p class=\"lead\">{}</p>",
        esc(&measured.held_to())
    );
    let off = measured.off();
    if !off.is_empty() {
        text.push_str("<p>These are off:</p><ul>");
        for off in off {
            let _ = write!(text, "<li>{}</li>", esc(&off));
        }
        text.push_str("</ul>");
    }
    let (headings, rows) = measured.table();
    let table = table(
        "How far the simulated median is from the real one; ⚠ has cells beyond their bounds",
        &headings,
        1,
        &rows,
    );
    let _ = write!(
        text,
        "<details><summary>All kinds of figures, and why some are off</summary>{table}<ul class=\"lead\">"
    );
    for why in &measured.why {
        let _ = write!(text, "<li>{}</li>", esc(why));
    }
    let _ = writeln!(
        text,
        "</ul><p class=\"muted\">Cell by cell: <code>{}</code></p></details></section>",
        fidelity::WHERE
    );
    text
}

fn minded(report: &Report, batch: &Batch) -> Option<String> {
    let exposed = exposed(report, batch)?;
    Some(format!("<p><strong>Mind:</strong> <code>{}</code> has {}.</p>", esc(&batch.file), esc(&exposed.shown())))
}

/// In the section of a scenario whose figures may be off.
pub(super) fn note(report: &Report, batch: &Batch) -> String {
    exposed(report, batch).map_or(String::new(), |exposed| {
        format!(
            "<p class=\"minded\">Here are {}: delays of large messages are not exact. \
             <a href=\"#fidelity\">{}</a></p>",
            esc(&exposed.shown()),
            fidelity::TITLE
        )
    })
}
