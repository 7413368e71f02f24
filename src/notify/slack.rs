//! Slack's incoming webhooks, with blocks.
//!
//! Shape: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> and
//! <https://docs.slack.dev/reference/block-kit/blocks>: `text` is what a notification shows; a header has
//! at most 150 characters of plain text, a section 3,000 of mrkdwn, a message 50 blocks. In mrkdwn
//! `&`, `<` and `>` must be escaped, and then there are no tags, such as `<!channel>`; what begins bold, italics or
//! code has no escape and is replaced by what looks like it. In a text that is `verbatim`, URLs and names are not made
//! links. Mattermost and Rocket.Chat take `text` and ignore blocks.

use serde_json::{Value, json};

use super::{cut, inert};
use crate::core::notice::Notice;

const HEADER: usize = 150;
const SECTION: usize = 3000;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text in which nothing is markup.
fn plain(text: &str) -> String {
    let escaped = escape(&inert(text));
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped.chars().peekable();
    let mut before = ' ';
    while let Some(c) = rest.next() {
        let is_within = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        out.push(match c {
            '*' => '∗',
            '~' => '∼',
            '`' => 'ˋ',
            // Within a word it is none: `voice_url`.
            '_' if !is_within => '＿',
            c => c,
        });
        before = c;
    }
    out
}

/// Text with the lines that are to be typed set apart.
fn mrkdwn(text: &str) -> String {
    let line = |l: &str| match l.strip_prefix("$ ") {
        Some(command) => format!("`{}`", escape(&command.replace('`', "ˋ"))),
        None => plain(l),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

pub fn body(notice: &Notice) -> Value {
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": cut(&inert(&notice.subject()), HEADER), "emoji": false }
    })];
    for (name, text) in notice.lines() {
        let text = cut(&format!("*{name}*\n{}", mrkdwn(&text)), SECTION);
        // Where it says to look is our own text alone, and the place for links.
        let is_verbatim = !["Samples", "See"].contains(&name);
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": is_verbatim } }));
    }
    blocks.truncate(50);
    json!({ "text": escape(&inert(&notice.subject())), "blocks": blocks })
}
