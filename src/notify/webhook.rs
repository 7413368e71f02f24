//! Anything that takes JSON: the notice as it is, with its text, signed.
//!
//! With a key, `Ringback-Signature: v1=` and the hexadecimal HMAC-SHA256 under it over
//! `Ringback-Timestamp`, a full stop and the body. Who checks it refuses old timestamps and compares in
//! constant time; the body is to be taken as it came, byte by byte. A notice that comes twice has the
//! same `Idempotency-Key`.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;

use super::NotifyRequest;
use crate::core::model::time::Time;
use crate::core::notice::{Notice, NoticeStatus};

pub fn body(notice: &Notice) -> Value {
    let mut body = json!(notice);
    body["version"] = json!(1);
    body["text"] = json!(notice.text());
    body
}

/// The signature of `body` at `timestamp` (seconds since the epoch) under `key`.
pub fn signature(key: &str, timestamp: i64, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(format!("{timestamp}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("v1={hex}")
}

pub fn request(notice: &Notice, url: &SecretString, key: Option<&SecretString>, now: Time) -> NotifyRequest {
    let mut request = NotifyRequest::json(url.clone(), &body(notice));
    let timestamp = now.as_millis().div_euclid(1000);
    if let Some(key) = key {
        let signature = signature(key.expose_secret(), timestamp, &request.body);
        request.headers.push(("ringback-signature", SecretString::from(signature)));
    }
    request.headers.push(("ringback-timestamp", SecretString::from(timestamp.to_string())));
    // A beginning and its end may be of one kind and, with a coarse clock, of one instant.
    let standing = match notice.status {
        NoticeStatus::Firing => "stands",
        NoticeStatus::Event => "once",
        NoticeStatus::Resolved => "over",
    };
    let once = format!("{}/{}/{standing}/{}", notice.key, notice.kind.label(), notice.at.at.as_millis());
    request.headers.push(("idempotency-key", SecretString::from(once)));
    request
}
