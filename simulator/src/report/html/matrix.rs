//! Sweeps as heat maps, which are tables: who cuts quiet sessions, and which of two ways needs fewer bytes.

use std::fmt::Write as _;

use super::super::build::Batch;
use super::super::model::{Cell, Played};
use super::number;
use super::svg::esc;

pub(super) fn section(played: &Played, batch: &Batch) -> String {
    let mut text = String::new();
    if played.axes.is_empty() {
        return text;
    }
    let scenario = &batch.scenario;
    let has_hops = scenario.sidecars.iter().any(|sidecar| !sidecar.hops.is_empty())
        || scenario.clients.iter().any(|group| !group.via.is_empty());
    if has_hops {
        text.push_str("<h3>Who cuts quiet sessions</h3>");
        text.push_str(&grid(played, "Who ended sessions that nobody wanted to end, mean of a run", &cuts(played)));
        text.push_str(
            "<ul class=\"legend heat\"><li class=\"h0\">nobody</li><li class=\"h1\">the sidecar, with a Close and a cause</li>\
             <li class=\"h2\">a hop: bare ends, or nothing at all</li></ul>",
        );
    }
    if played.axes.len() == 2 {
        text.push_str(&ratios(played));
    }
    text
}

/// What stands in a cell: class, strength from 0 to 1, words.
type Told = (String, f64, String);

fn cuts(played: &Played) -> impl Fn(&Cell) -> Told {
    let of = |cell: &Cell, metric: &str| number(cell, "", metric).unwrap_or(0.0);
    let most = played.cells.iter().map(|cell| of(cell, "sessions_lost")).fold(1.0, f64::max);
    move |cell| {
        let (hops, lost) = (of(cell, "hop_cuts"), of(cell, "sessions_lost"));
        let own = ["idle", "lifetime", "keepalive_lost"].map(|cause| of(cell, &format!("ended_by_cause.{cause}")));
        let own: f64 = own.iter().sum();
        let strength = (lost / most).clamp(0.0, 1.0);
        if hops > 0.0 {
            let also = if own > 0.0 { format!(", sidecar {}", short(own)) } else { String::new() };
            ("h2".to_owned(), strength.max(0.25), format!("hop {}{also}", short(hops)))
        } else if own > 0.0 {
            ("h1".to_owned(), strength.max(0.25), format!("sidecar {}", short(own)))
        } else if lost > 0.0 {
            ("h1".to_owned(), strength.max(0.25), format!("lost {}", short(lost)))
        } else {
            ("h0".to_owned(), 0.5, "nobody".to_owned())
        }
    }
}

/// For each pair of groups of different kinds: which of the two needs fewer bytes, and by how much.
fn ratios(played: &Played) -> String {
    let mut text = String::new();
    for (index, one) in played.groups.iter().enumerate() {
        for other in played.groups[index + 1..].iter().filter(|other| other.kind != one.kind) {
            let bytes = |cell: &Cell, group: &super::super::model::Group| {
                let bytes = number(cell, &group.name, "bytes_up")? + number(cell, &group.name, "bytes_down")?;
                Some(bytes / f64::from(group.clients)).filter(|bytes| *bytes > 0.0)
            };
            let told = |cell: &Cell| {
                let Some(ratio) = bytes(cell, one).zip(bytes(cell, other)).map(|(one, other)| one / other) else {
                    return (String::new(), 0.0, "–".to_owned());
                };
                let (class, winner, times) = if ratio > 1.0 { ("r1", other, ratio) } else { ("r0", one, 1.0 / ratio) };
                (class.to_owned(), (times.log10() / 2.0).clamp(0.12, 1.0), format!("{} ×{}", winner.name, short(times)))
            };
            let caption = format!("{} or {}: who needs fewer bytes, and how many times fewer", one.name, other.name);
            let _ = write!(
                text,
                "<h3>{} or {}, by bytes</h3>{}",
                esc(&one.name),
                esc(&other.name),
                grid(played, &caption, &told)
            );
            let _ = write!(
                text,
                "<ul class=\"legend heat\"><li class=\"r0\">{}</li><li class=\"r1\">{}</li></ul>",
                esc(&one.name),
                esc(&other.name)
            );
        }
    }
    text
}

fn grid(played: &Played, caption: &str, told: &dyn Fn(&Cell) -> Told) -> String {
    let rows = &played.axes[0];
    let columns = played.axes.get(1);
    let caption = esc(caption);
    let mut text = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table class=\"heat\"><caption><span>{caption}</span></caption>\
         <thead><tr><th scope=\"col\" class=\"name\">{}{}</th>",
        breakable(rows.name()),
        columns.map_or(String::new(), |columns| format!(" \\ {}", breakable(columns.name())))
    );
    match columns {
        Some(columns) => {
            text.extend(columns.values.iter().map(|value| format!("<th scope=\"col\">{}</th>", esc(value))));
        }
        None => text.push_str("<th scope=\"col\">result</th>"),
    }
    text.push_str("</tr></thead><tbody>");
    let width = columns.map_or(1, |columns| columns.values.len());
    for (row, value) in rows.values.iter().enumerate() {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", esc(value));
        for column in 0..width {
            let variant = row * width + column + 1;
            match played.cells.iter().find(|cell| cell.variant == variant) {
                Some(cell) => {
                    let (class, strength, words) = told(cell);
                    let failed = if cell.failed > 0 { " ✗" } else { "" };
                    let _ =
                        write!(text, "<td class=\"{class}\" style=\"--h:{strength:.2}\">{}{failed}</td>", esc(&words));
                }
                None => text.push_str("<td>–</td>"),
            }
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div>");
    text
}

/// The name of a key, which may go on in the next line after a part of it.
fn breakable(name: &str) -> String {
    esc(name).replace('_', "_<wbr>")
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { super::trimmed(&format!("{value:.1}")) }
}
