//! Slack's incoming webhooks, with blocks.
//!
//! Shape: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> and
//! <https://docs.slack.dev/reference/block-kit/blocks>: `text` is what a notification shows; a header has
//! at most 150 characters of plain text, a section 3,000 of mrkdwn, a message 50 blocks. In mrkdwn
//! `&`, `<` and `>` must be escaped. Mattermost and Rocket.Chat take `text` and ignore blocks.

use serde_json::{Value, json};

use super::cut;
use crate::core::notice::Notice;

const HEADER: usize = 150;
const SECTION: usize = 3000;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text with the lines that are to be typed set apart.
fn mrkdwn(text: &str) -> String {
    let line = |l: &str| match l.strip_prefix("$ ") {
        Some(command) => format!("`{}`", escape(command)),
        None => escape(l),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

pub fn body(notice: &Notice) -> Value {
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": cut(&notice.subject(), HEADER), "emoji": false }
    })];
    for (name, text) in notice.lines() {
        let text = cut(&format!("*{name}*\n{}", mrkdwn(&text)), SECTION);
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    blocks.truncate(50);
    json!({ "text": escape(&notice.subject()), "blocks": blocks })
}
