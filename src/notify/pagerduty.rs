//! PagerDuty's Events API v2.
//!
//! Shape: <https://developer.pagerduty.com/docs/send-alert-event>: `routing_key`, `event_action` (`trigger`,
//! `resolve`), `dedup_key` of at most 255 characters, and for a trigger a `payload` with `summary` (at most
//! 1,024 characters), `source` and `severity` (critical, error, warning, info). 202 is accepted, 400 is
//! a bad event, 429 means to slow down. A second trigger with the same key adds to the open alert.

use serde_json::{Map, Value, json};

use super::{cut, inert};
use crate::core::notice::{Notice, NoticeStatus};

/// Where events go unless the configuration names another address.
pub const URL: &str = "https://events.pagerduty.com/v2/enqueue";

pub fn body(notice: &Notice, routing_key: &str) -> Value {
    let key = cut(&format!("ringback/{}", notice.key), 255);
    if notice.status == NoticeStatus::Resolved {
        return json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": key });
    }
    let details: Map<String, Value> =
        notice.lines().into_iter().map(|(name, text)| (name.to_lowercase(), Value::String(inert(&text)))).collect();
    let links: Vec<Value> = notice.links.iter().map(|l| json!({ "href": l.url, "text": l.name })).collect();
    json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": key,
        "client": "Ringback",
        "links": links,
        "payload": {
            "summary": cut(&inert(&notice.title), 1024),
            "source": notice.group.as_ref().map_or_else(|| "ringback".to_owned(), |g| format!("ringback/{g}")),
            "severity": notice.severity.label(),
            "timestamp": notice.at.at.to_string(),
            "component": notice.channel.map(|c| c.label()),
            "group": notice.group.as_ref().map(ToString::to_string),
            "class": notice.kind.label(),
            "custom_details": details
        }
    })
}
