//! What was acknowledged is not lost: every message of which a client has an acknowledgement is on record at an app.

use super::Case;

pub(super) fn check(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (group, figures) in &case.account.groups {
        if figures.messages_lost > 0 {
            found.push(format!("{group}: {} messages were acknowledged that no app has", figures.messages_lost));
        }
        let told = figures.messages_acked + figures.acks_missing;
        if told > figures.messages_sent {
            found.push(format!("{group}: {told} acknowledgements for {} messages", figures.messages_sent));
        }
    }
    found
}
