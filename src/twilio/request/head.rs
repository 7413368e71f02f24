//! What the head of an answer says.

use reqwest::header::{HeaderMap, LOCATION};

use super::{failure, is_loopback};
use crate::twilio::error::{Error, ErrorKind};

/// A status as a label: those that HTTP names, and of whatever else the first digit. There are 900, and each would be
/// a series an endpoint.
pub fn status_label(status: u16) -> String {
    match status {
        200..=206 | 300..=308 | 400..=431 | 451 | 500..=511 => status.to_string(),
        other => format!("{}xx", other / 100),
    }
}

/// Where a file is kept, as an answer says that names another place for it.
pub fn stored_at(endpoint: &'static str, asked: &url::Url, headers: &HeaderMap) -> Result<url::Url, Error> {
    let bad = |problem: String| failure(endpoint, ErrorKind::NotTwilio, problem);
    let text =
        header(headers, LOCATION.as_str()).ok_or_else(|| bad("sent elsewhere, and not told where".to_owned()))?;
    let there = asked.join(&text).map_err(|e| bad(format!("sent to what is no URL: {e}")))?;
    if there.scheme() == "https" || is_loopback(asked) && is_loopback(&there) {
        Ok(there)
    } else {
        Err(bad(format!("sent to {}://, where a file would travel in the clear", there.scheme())))
    }
}

pub fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `RQ` and 32 hexadecimal digits: what anybody else writes there is not told.
pub fn is_request_id(id: &str) -> bool {
    id.len() == 34 && id.starts_with("RQ") && id[2..].bytes().all(|b| b.is_ascii_hexdigit())
}
