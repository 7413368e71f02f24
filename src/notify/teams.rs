//! Microsoft Teams: an Adaptive Card, posted to a Workflow ("When a Teams webhook request is received").
//!
//! Shape: <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>:
//! a message with one attachment of type `application/vnd.microsoft.card.adaptive`, `contentUrl` null.
//! The card is version 1.4 (<https://adaptivecards.io/explorer/>); links open by `Action.OpenUrl`. Workflows
//! take at most 28 kB. A `TextBlock` reads Markdown, which has no escapes there; a `TextRun` shows what it has, so that
//! is what all text is.

use serde_json::{Value, json};

use super::{cut, inert};
use crate::core::notice::{Notice, NoticeStatus, Severity};

/// Of one text, so that a card stays far below the limit.
const TEXT: usize = 2000;

fn block(run: &Value, spacing: &str) -> Value {
    json!({ "type": "RichTextBlock", "inlines": [run], "spacing": spacing })
}

pub fn body(notice: &Notice) -> Value {
    let color = match (notice.status, notice.severity) {
        (NoticeStatus::Resolved, _) => "good",
        (_, Severity::Critical) => "attention",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "default",
    };
    let subject = cut(&inert(&notice.subject()), TEXT);
    let title = json!({ "type": "TextRun", "text": subject, "size": "large", "weight": "bolder", "color": color });
    let mut card = vec![block(&title, "default")];
    for (name, text) in notice.lines().into_iter().filter(|(name, _)| *name != "See") {
        let name_of_answer = json!({ "type": "TextRun", "text": name, "weight": "bolder", "isSubtle": true });
        card.push(block(&name_of_answer, "medium"));
        for line in text.lines() {
            let command = line.strip_prefix("$ ");
            let mut run = json!({ "type": "TextRun", "text": cut(&inert(command.unwrap_or(line)), TEXT) });
            if command.is_some() {
                run["fontType"] = json!("monospace");
            }
            // Its page in the Console, which nobody else writes.
            if let Some(sample) = notice.samples.iter().find(|s| name == "Samples" && line.ends_with(&s.url)) {
                run["selectAction"] = json!({ "type": "Action.OpenUrl", "url": sample.url });
            }
            card.push(block(&run, "none"));
        }
    }
    let actions: Vec<Value> = notice
        .links
        .iter()
        .map(|link| json!({ "type": "Action.OpenUrl", "title": link.name, "url": link.url }))
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": card,
                "actions": actions
            }
        }]
    })
}
