//! Microsoft Teams: an Adaptive Card, posted to a Workflow ("When a Teams webhook request is received").
//!
//! Shape: <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>:
//! a message with one attachment of type `application/vnd.microsoft.card.adaptive`, `contentUrl` null.
//! The card is version 1.4 (<https://adaptivecards.io/explorer/>); links open by `Action.OpenUrl`. Workflows
//! take at most 28 kB.

use serde_json::{Value, json};

use super::cut;
use crate::core::notice::{Notice, NoticeStatus, Severity};

/// Of one text, so that a card stays far below the limit.
const TEXT: usize = 2000;

pub fn body(notice: &Notice) -> Value {
    let color = match (notice.status, notice.severity) {
        (NoticeStatus::Resolved, _) => "good",
        (_, Severity::Critical) => "attention",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "default",
    };
    let mut card = vec![json!({
        "type": "TextBlock", "text": cut(&notice.subject(), TEXT), "size": "large", "weight": "bolder",
        "color": color, "wrap": true
    })];
    for (name, text) in notice.lines().into_iter().filter(|(name, _)| *name != "See") {
        card.push(json!({
            "type": "TextBlock", "text": name, "weight": "bolder", "isSubtle": true, "spacing": "medium"
        }));
        for line in text.lines() {
            let command = line.strip_prefix("$ ");
            let mut block = json!({
                "type": "TextBlock", "text": cut(command.unwrap_or(line), TEXT), "wrap": true, "spacing": "none"
            });
            if command.is_some() {
                block["fontType"] = json!("monospace");
            }
            card.push(block);
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
