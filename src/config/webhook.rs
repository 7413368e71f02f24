//! URLs that Twilio is to call: of handlers, fallbacks and drills.

use url::Url;

use super::address;
use super::section::Section;
use crate::core::model::facts::{BIN_HOST, BIN_PATH};

/// A URL that Twilio can call, kept as written: its fragment holds connection overrides.
pub fn read_webhook(s: &mut Section<'_>, key: &'static str) -> Option<String> {
    let text = s.text(key)?;
    match webhook_problem(&text.value) {
        None => Some(text.value),
        Some(problem) => {
            let shown = address::shown(&text.value);
            s.faults().at(text.span.clone(), format!("{} = {shown}: {problem}", s.key(key)));
            None
        }
    }
}

/// Why Twilio cannot call `text`: the rest of a sentence that begins with it.
pub fn webhook_problem(text: &str) -> Option<String> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(e) => return Some(format!("not a URL: {e}; write it whole, from https:// on")),
    };
    let host = url.host_str().unwrap_or_default();
    if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
        return Some("must start with https:// (or http://) and a host".to_owned());
    }
    if let Some(problem) = address::misleads(text, &url) {
        return Some(problem);
    }
    if host.contains('_') {
        return Some("Twilio does not call hosts with an underscore".to_owned());
    }
    if host == BIN_HOST {
        let bin = url.path().strip_prefix(BIN_PATH).unwrap_or_default();
        if bin.len() != 32 || !bin.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Some(format!(
                "a TwiML Bin's address is https://{BIN_HOST}{BIN_PATH} and 32 hexadecimal digits; copy it from the \
                 console"
            ));
        }
    }
    None
}
