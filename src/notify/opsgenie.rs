//! Opsgenie's Alert API.
//!
//! Shape: <https://docs.opsgenie.com/docs/alert-api>: `POST /v2/alerts` with `message` (at most 130
//! characters), `alias` (512), `description` (15,000), `tags` (20 of 50), `details`, `entity`, `source`,
//! `priority` (P1 to P5); `POST /v2/alerts/{alias}/close?identifierType=alias` ends it. The key goes into
//! `Authorization: GenieKey …`. 202 is accepted.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{NotifyRequest, cut, inert};
use crate::core::notice::{Notice, NoticeStatus, Severity};

/// Where alerts go unless the configuration names another address, such as that of the EU.
pub const URL: &str = "https://api.opsgenie.com";

fn alias(notice: &Notice) -> String {
    cut(&format!("ringback/{}", notice.key), 512)
}

/// The path below the address, and the body.
fn parts(notice: &Notice) -> (String, Value) {
    let priority = match notice.severity {
        Severity::Critical => "P1",
        Severity::Warning => "P3",
        Severity::Info => "P5",
    };
    if notice.status == NoticeStatus::Resolved {
        let alias: String = url::form_urlencoded::byte_serialize(alias(notice).as_bytes()).collect();
        // A space would be written as a plus sign, which in a path is one; keys have none.
        let path = format!("/v2/alerts/{alias}/close?identifierType=alias");
        return (path, json!({ "source": "Ringback", "note": inert(&notice.did) }));
    }
    let mut tags = vec!["ringback".to_owned(), notice.kind.label().to_owned()];
    tags.extend(notice.channel.map(|c| c.label().to_owned()));
    tags.extend(notice.group.as_ref().map(|g| cut(g.as_str(), 50)));
    let body = json!({
        "message": cut(&inert(&notice.title), 130),
        "alias": alias(notice),
        "description": cut(&inert(&notice.body()), 15_000),
        "priority": priority,
        "source": "Ringback",
        "entity": notice.group.as_ref().map_or("ringback", |g| g.as_str()),
        "tags": tags,
        "details": { "severity": notice.severity.label(), "kind": notice.kind.label() }
    });
    ("/v2/alerts".to_owned(), body)
}

pub fn render(notice: &Notice) -> Value {
    let (path, body) = parts(notice);
    json!({ "path": path, "body": body })
}

pub fn request(notice: &Notice, url: &SecretString, key: &SecretString) -> NotifyRequest {
    let (path, body) = parts(notice);
    let url = format!("{}{path}", url.expose_secret().trim_end_matches('/'));
    let mut request = NotifyRequest::json(SecretString::from(url), &body);
    request.headers.push(("authorization", SecretString::from(format!("GenieKey {}", key.expose_secret()))));
    request
}
