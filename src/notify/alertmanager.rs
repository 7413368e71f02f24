//! Alertmanager's API v2.
//!
//! Shape: <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>, `postableAlerts`: labels that
//! identify the alert, annotations that explain it, `startsAt` and `endsAt`. An Alertmanager takes an alert to be
//! over when its `endsAt` has passed (<https://prometheus.io/docs/alerting/latest/alerts_api/>), so open alerts are
//! sent again every [`EVERY`] with an `endsAt` a few minutes ahead, as Prometheus does; the alerts of an agent that
//! dies end by themselves. Its templates write annotations into chats as they are, so these are [`inert`].

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::inert;
use crate::core::model::time::Time;
use crate::core::notice::{Notice, NoticeStatus};

/// Between two sends of the same alert.
pub const EVERY: Duration = Duration::from_secs(60);

/// An alert that is not renewed ends after this: four missed sends.
const LASTS: Duration = Duration::from_secs(4 * 60);

/// What cannot end stands for as long as somebody might need to see it.
pub const ONCE_FOR: Duration = Duration::from_secs(3600);

/// The address of the alerts below that of the Alertmanager.
pub fn address(url: &SecretString) -> SecretString {
    let base = url.expose_secret().trim_end_matches('/');
    let path = "/api/v2/alerts";
    SecretString::from(if base.ends_with(path) { base.to_owned() } else { format!("{base}{path}") })
}

pub fn body(notices: &[&Notice], now: Time) -> Value {
    notices.iter().map(|n| alert(n, now)).collect()
}

fn alert(notice: &Notice, now: Time) -> Value {
    let starts = notice.since.as_ref().map_or(notice.at.at, |m| m.at.min(notice.at.at));
    let ends = match notice.status {
        NoticeStatus::Firing => now + LASTS,
        NoticeStatus::Event => (notice.at.at + ONCE_FOR).min(now + LASTS),
        NoticeStatus::Resolved => notice.at.at,
    };
    // The labels are its identity, so they are the same from the first notice of an incident to the last: no title, no
    // kind, and the severity of the incident, which only rises; then the delivery worker ends the lower one first.
    let mut labels = Map::new();
    labels.insert("alertname".to_owned(), json!("RingbackNotice"));
    labels.insert("key".to_owned(), json!(notice.key));
    if let Some(group) = &notice.group {
        labels.insert("group".to_owned(), json!(group));
    }
    if let Some(channel) = notice.channel {
        labels.insert("channel".to_owned(), json!(channel.label()));
    }
    labels.insert("severity".to_owned(), json!(notice.filed_severity().label()));
    let mut annotations = Map::new();
    annotations.insert("summary".to_owned(), json!(inert(&notice.title)));
    annotations.insert("kind".to_owned(), json!(notice.kind.label()));
    for (name, text) in notice.lines() {
        let earlier = annotations.get(&name.to_lowercase()).and_then(Value::as_str).map(|t| format!("{t}\n"));
        annotations.insert(name.to_lowercase(), json!(earlier.unwrap_or_default() + &inert(&text)));
    }
    let mut alert = json!({
        "labels": labels,
        "annotations": annotations,
        "startsAt": starts.to_string(),
        "endsAt": ends.to_string()
    });
    if let Some(link) = notice.links.first() {
        alert["generatorURL"] = json!(link.url);
    }
    alert
}
