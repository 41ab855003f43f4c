//! A run that failed as a space-time diagram: a lane for each host, sessions and messages on it, faults behind it.

use std::fmt::Write as _;

use super::super::model::{EventAt, FaultSpan, Lane, Message, Played, SessionSpan, Story};
use super::svg::{esc, px};
use super::{Names, shown};
use crate::scenario::metrics::Unit;

/// Until a script knows how wide the page is.
const WIDTH: f64 = 860.0;
const LANE: f64 = 40.0;
const AXIS: f64 = 46.0;
const FAULT: f64 = 20.0;
/// A message that takes this long stands out.
const SLOW_US: u64 = 1_000_000;

pub(super) fn section(names: &mut Names, played: &Played) -> String {
    let all = played.stories.iter().enumerate();
    all.map(|(index, story)| diagram(names, played, story, index == 0)).collect()
}

fn diagram(names: &mut Names, played: &Played, story: &Story, open: bool) -> String {
    let drawing = Drawing { story, top: AXIS + FAULT * count(story.faults.len()) };
    let id = names.next();
    let at = played.cells.iter().find(|cell| cell.variant == story.variant).map(|cell| cell.values.join(", "));
    let at = at.filter(|at| !at.is_empty()).map_or(String::new(), |at| format!(", {at}"));
    let title = format!("What happened in the run of seed {}{at}", story.seed);
    let rows: String = story.events.iter().enumerate().map(|(index, event)| drawing.row(index, event)).collect();
    format!(
        "<details class=\"story\"{}><summary>{title}</summary><p class=\"muted\">{}</p>\
         <div class=\"spacetime\" data-end=\"{}\">{CONTROLS}\
         <div class=\"field\"><div class=\"lanes\" style=\"padding-top:{}px\" aria-hidden=\"true\">{}</div>\
         <div class=\"view\" tabindex=\"0\" role=\"group\" aria-label=\"Diagram: plus and minus zoom, arrows move, n and p go to the next and the previous event\">\
         <svg width=\"{WIDTH}\" height=\"{}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
         <desc id=\"{id}-d\">{}</desc>{}</svg></div></div>{LEGEND}</div>\
         <div class=\"scroll events\" tabindex=\"0\" role=\"region\" aria-label=\"Events of seed {}\"><table><caption>Every event that is drawn</caption>\
         <thead><tr><th scope=\"col\" class=\"name\">second</th><th scope=\"col\" class=\"name\">host</th><th scope=\"col\" class=\"name\">what</th></tr></thead>\
         <tbody>{rows}</tbody></table></div></details>\n",
        if open { " open" } else { "" },
        esc(&left_out(story)),
        story.end_us,
        px(drawing.top),
        story.lanes.iter().map(lane_name).collect::<String>(),
        px(drawing.height()),
        esc(&in_words(story)),
        drawing.body(),
        story.seed,
    )
}

const CONTROLS: &str = "<p class=\"controls\" hidden><button type=\"button\" data-do=\"out\" aria-label=\"Zoom out\">−</button>\
    <button type=\"button\" data-do=\"in\" aria-label=\"Zoom in\">+</button>\
    <button type=\"button\" data-do=\"all\">All</button>\
    <button type=\"button\" data-do=\"left\" aria-label=\"Earlier\">←</button>\
    <button type=\"button\" data-do=\"right\" aria-label=\"Later\">→</button>\
    <button type=\"button\" data-do=\"previous\">Previous event</button>\
    <button type=\"button\" data-do=\"next\">Next event</button></p>\
    <p class=\"now\" aria-live=\"polite\"></p>";

const LEGEND: &str = "<ul class=\"legend marks\"><li class=\"k-session\">session</li><li class=\"k-lost\">session that ended without a Close</li>\
    <li class=\"k-message\">message</li><li class=\"k-slow\">slower than 1 s</li><li class=\"k-gone\">never arrived</li>\
    <li class=\"k-event\">event</li><li class=\"k-fault\">fault</li></ul>";

struct Drawing<'a> {
    story: &'a Story,
    /// Where the first lane begins.
    top: f64,
}

impl Drawing<'_> {
    fn height(&self) -> f64 {
        self.top + LANE * count(self.story.lanes.len()) + 6.0
    }

    fn y(&self, lane: usize) -> f64 {
        self.top + LANE * count(lane) + 24.0
    }

    #[expect(clippy::cast_precision_loss, reason = "times above 2^53 µs are beyond any run")]
    fn x(&self, at_us: u64) -> f64 {
        WIDTH * (at_us as f64 / self.story.end_us.max(1) as f64)
    }

    fn body(&self) -> String {
        let mut text = "<g class=\"axis\"></g>".to_owned();
        for (index, fault) in self.story.faults.iter().enumerate() {
            self.fault(&mut text, index, fault);
        }
        for lane in 0..self.story.lanes.len() {
            let y = px(self.y(lane));
            let _ = write!(text, "<line class=\"lane\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>");
        }
        for session in &self.story.sessions {
            self.session(&mut text, session);
        }
        for message in &self.story.messages {
            self.message(&mut text, message);
        }
        for (index, event) in self.story.events.iter().enumerate() {
            let y = event.lane.map_or(AXIS - 9.0, |lane| self.y(lane));
            let _ = write!(
                text,
                "<circle class=\"event\" data-i=\"{index}\" data-a=\"{}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>",
                event.at_us,
                px(self.x(event.at_us)),
                px(y)
            );
        }
        text + "<g class=\"labels\"></g>"
    }

    fn fault(&self, text: &mut String, index: usize, fault: &FaultSpan) {
        let (from, to) = (self.x(fault.from_us), self.x(fault.to_us));
        let row = AXIS + FAULT * count(index);
        let mut rect = |class: &str, y: f64, height: f64| {
            let _ = write!(
                text,
                "<rect class=\"{class}\" data-a=\"{}\" data-b=\"{}\" x=\"{}\" width=\"{}\" y=\"{}\" height=\"{}\"/>",
                fault.from_us,
                fault.to_us,
                px(from),
                px((to - from).max(2.0)),
                px(y),
                px(height)
            );
        };
        for lane in &fault.lanes {
            rect("touched", self.top + LANE * count(*lane) + 2.0, LANE - 4.0);
        }
        rect("fault", row + 3.0, FAULT - 6.0);
        let _ = write!(
            text,
            "<text class=\"fault-name\" data-a=\"{}\" x=\"{}\" y=\"{}\">{} ({}): {}</text>",
            fault.from_us,
            px(from + 4.0),
            px(row + 14.0),
            esc(&fault.label),
            esc(&fault.kind),
            esc(&fault.about)
        );
    }

    fn session(&self, text: &mut String, session: &SessionSpan) {
        let to_us = session.to_us.unwrap_or(self.story.end_us);
        let (from, to) = (self.x(session.from_us), self.x(to_us));
        let lost = if session.lost { " lost" } else { "" };
        let through = session.sidecar.map_or(String::new(), |lane| format!(" through {}", self.story.lanes[lane].name));
        let end = session.end.as_deref().unwrap_or("open at the end");
        let cause = session.cause.as_ref().map_or(String::new(), |cause| format!("; the sidecar says: {cause}"));
        let _ = write!(
            text,
            "<rect class=\"session{lost}\" data-a=\"{}\" data-b=\"{to_us}\" x=\"{}\" width=\"{}\" y=\"{}\" height=\"10\" rx=\"3\">\
             <title>Session of {}{}, {} to {}: {}{}</title></rect>",
            session.from_us,
            px(from),
            px((to - from).max(2.0)),
            px(self.y(session.lane) - 5.0),
            esc(&self.story.lanes[session.lane].name),
            esc(&through),
            seconds(session.from_us),
            seconds(to_us),
            esc(end),
            esc(&cause),
        );
    }

    fn message(&self, text: &mut String, message: &Message) {
        let got_us = message.got_us.unwrap_or(message.sent_us);
        let (class, told) = match message.got_us {
            None => (" gone", "never arrived".to_owned()),
            Some(got) => {
                let took = got.saturating_sub(message.sent_us);
                (if took > SLOW_US { " slow" } else { "" }, format!("took {}", time(took)))
            }
        };
        let (from, to) = (self.y(message.from), self.y(message.to));
        // One that never arrived goes half of its way.
        let to = if message.got_us.is_none() { f64::midpoint(from, to) } else { to };
        let _ = write!(
            text,
            "<line class=\"message{class}\" data-a=\"{}\" data-b=\"{got_us}\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"><title>{}, {}, {told}</title></line>",
            message.sent_us,
            px(self.x(message.sent_us)),
            px(self.x(got_us)),
            px(from),
            px(to),
            esc(&message.text),
            seconds(message.sent_us),
        );
    }

    fn row(&self, index: usize, event: &EventAt) -> String {
        let host = event.lane.map_or("network", |lane| self.story.lanes[lane].name.as_str());
        format!(
            "<tr data-i=\"{index}\"><th scope=\"row\"><button type=\"button\" class=\"at\">{}</button></th><td class=\"name\">{}</td><td class=\"name what\">{}</td></tr>",
            seconds(event.at_us),
            esc(host),
            esc(&event.text)
        )
    }
}

fn lane_name(lane: &Lane) -> String {
    format!(
        "<p style=\"height:{LANE}px\"><b title=\"{0}\">{0}</b><span>{1}</span></p>",
        esc(&lane.name),
        esc(&lane.kind)
    )
}

/// What is not in the picture.
fn left_out(story: &Story) -> String {
    let mut told = Vec::new();
    for (count, what) in [
        (story.clients_left_out, "clients"),
        (story.messages_left_out, "messages (the slowest are here, and every so-and-so-many-th of the others)"),
        (story.events_left_out, "events (the first and the last are here)"),
    ] {
        if count > 0 {
            told.push(format!("{count} {what}"));
        }
    }
    if told.is_empty() {
        "All hosts and messages are drawn.".to_owned()
    } else {
        format!("Not drawn: {}.", told.join(", "))
    }
}

fn in_words(story: &Story) -> String {
    let lost = story.sessions.iter().filter(|session| session.lost).count();
    let slow = story.messages.iter().filter(|message| message.got_us.is_none_or(|got| got - message.sent_us > SLOW_US));
    let faults: Vec<String> = story
        .faults
        .iter()
        .map(|fault| format!("{} from {} to {}", fault.about, seconds(fault.from_us), seconds(fault.to_us)))
        .collect();
    format!(
        "{} hosts, {} sessions of which {lost} ended without a Close, {} messages of which {} were slow or lost. Faults: {}. The table below lists every event.",
        story.lanes.len(),
        story.sessions.len(),
        story.messages.len(),
        slow.count(),
        if faults.is_empty() { "none".to_owned() } else { faults.join("; ") }
    )
}

/// `12.345 s`, as the history has it.
fn seconds(us: u64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us % 1_000_000 / 1_000)
}

#[expect(clippy::cast_precision_loss, reason = "times above 2^53 µs are beyond any run")]
fn time(us: u64) -> String {
    shown(Unit::Time, us as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a diagram has few lanes")]
fn count(of: usize) -> f64 {
    of as f64
}
