//! What can go wrong between us and Twilio, told apart by what to do about it.

use std::fmt;
use std::time::Duration;

use crate::core::model::barrier::Barrier;
use crate::core::model::foreign::line;
use crate::core::model::redact::told;
use crate::core::model::roster::Roster;

/// A request that did not end well.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub kind: ErrorKind,
    /// What was asked, such as "list calls".
    pub endpoint: &'static str,
    /// HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Twilio's error code, if the answer had one.
    pub code: Option<u32>,
    /// Twilio's message, or what the network layer said, without numbers that are not ours (law 11).
    pub message: String,
    /// `Twilio-Request-Id`: what their support asks for.
    pub request_id: Option<String>,
    /// How long Twilio asked us to wait.
    pub retry_after: Option<Duration>,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 401: not our credentials, or not for this account or region.
    Credentials,
    /// 401 with code 70051, or 403: the key may not do this.
    Permission,
    /// 404: there is no such thing, or not in this account.
    NotFound,
    /// Another 4xx: Twilio understood and refused.
    Refused,
    /// Code 20162: another update of the same number is in flight. This one was not processed.
    Conflict,
    /// 429: too many requests at once. Not processed.
    Busy,
    /// 5xx.
    Server,
    /// No connection could be made.
    Unreachable,
    /// No answer in time. A write may have happened.
    TimedOut,
    /// The connection broke before the answer was whole. A write may have happened.
    CutOff,
    /// 2xx or 3xx whose body is not what Twilio answers.
    NotTwilio,
    /// What somebody in between has kept of an earlier answer. See [`super::their_clock`].
    OldCopy,
}

impl Error {
    /// True if asking again may help. Says nothing of whether asking again is safe.
    pub const fn is_passing(&self) -> bool {
        match self.kind {
            ErrorKind::Busy
            | ErrorKind::Conflict
            | ErrorKind::Server
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::CutOff
            | ErrorKind::NotTwilio
            | ErrorKind::OldCopy => true,
            ErrorKind::Credentials | ErrorKind::Permission | ErrorKind::NotFound | ErrorKind::Refused => false,
        }
    }

    /// True if a write that ended so may have happened all the same.
    pub const fn is_ambiguous(&self) -> bool {
        match self.kind {
            ErrorKind::Server | ErrorKind::TimedOut | ErrorKind::CutOff | ErrorKind::NotTwilio | ErrorKind::OldCopy => {
                true
            }
            ErrorKind::Busy
            | ErrorKind::Conflict
            | ErrorKind::Unreachable
            | ErrorKind::Credentials
            | ErrorKind::Permission
            | ErrorKind::NotFound
            | ErrorKind::Refused => false,
        }
    }

    /// What an operator should do.
    pub const fn cure(&self) -> &'static str {
        match self.kind {
            ErrorKind::Credentials => {
                "check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN or TWILIO_API_KEY and TWILIO_API_SECRET; a key \
                 belongs to one account and one region"
            }
            ErrorKind::Permission => "give the API key this permission in the Twilio console, or use a standard key",
            ErrorKind::NotFound => "check the account SID, and that the number is in this account",
            ErrorKind::Refused => "read Twilio's message; https://www.twilio.com/docs/api/errors/ lists the codes",
            ErrorKind::Conflict => "nothing to do: we wait and look; something else on this account updates the number",
            ErrorKind::Busy => "nothing to do: we slow down; other software on this account may be busy",
            ErrorKind::Server | ErrorKind::CutOff | ErrorKind::TimedOut => {
                "nothing to do: we ask again; see https://status.twilio.com if it lasts"
            }
            ErrorKind::Unreachable => "check the network, DNS, proxy and base_url",
            ErrorKind::OldCopy => {
                "something between here and Twilio answers with what it has kept (a proxy, or what base_url names): have \
                 it pass every request on"
            }
            ErrorKind::NotTwilio => "check that base_url is Twilio's address and not a proxy's error page",
        }
    }

    /// Label for `ringback_twilio_requests_total{code}` where there is no HTTP status.
    pub const fn label(&self) -> &'static str {
        match self.kind {
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::TimedOut => "timeout",
            ErrorKind::CutOff => "cut_off",
            ErrorKind::NotTwilio => "malformed",
            ErrorKind::OldCopy => "old_copy",
            ErrorKind::Credentials
            | ErrorKind::Permission
            | ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::Conflict
            | ErrorKind::Busy
            | ErrorKind::Server => "http",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Credentials => Barrier::Credentials.text(),
            ErrorKind::Permission => "the API key lacks a permission",
            ErrorKind::NotFound => "Twilio does not have what was asked for",
            ErrorKind::Refused => "Twilio refused",
            ErrorKind::Conflict => "Twilio is carrying out another update of the same thing",
            ErrorKind::Busy => "Twilio has too many requests at once",
            ErrorKind::Server => "Twilio failed",
            ErrorKind::Unreachable => Barrier::Unreachable.text(),
            ErrorKind::TimedOut => "Twilio did not answer in time",
            ErrorKind::CutOff => "Twilio's answer broke off",
            ErrorKind::OldCopy => "the answer is an old copy",
            ErrorKind::NotTwilio => "the answer is not Twilio's",
        };
        write!(f, "{}: {what}", self.endpoint)?;
        match (self.status, self.code) {
            (Some(status), Some(code)) => write!(f, " (HTTP {status}, code {code})")?,
            (Some(status), None) => write!(f, " (HTTP {status})")?,
            (None, Some(code)) => write!(f, " (code {code})")?,
            (None, None) => {}
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// An error with the host that was asked, for those who set it up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}; asked {asked}; {cure}")]
pub struct HostError {
    pub error: Error,
    /// The host, and what of the configuration made it so.
    pub asked: String,
    pub cure: String,
}

/// Twilio's two JSON error shapes, the proxies' HTML, and nothing at all.
#[derive(Debug, Default, PartialEq)]
pub struct TwilioErrorBody {
    pub code: Option<u32>,
    pub message: String,
}

impl TwilioErrorBody {
    pub fn parse(body: &[u8], ours: &Roster) -> TwilioErrorBody {
        #[derive(serde::Deserialize)]
        struct Shape {
            #[serde(default)]
            code: Option<serde_json::Value>,
            message: Option<String>,
            title: Option<String>,
            detail: Option<String>,
        }
        if let Ok(shape) = serde_json::from_slice::<Shape>(body) {
            let code = match shape.code {
                Some(serde_json::Value::Number(n)) => n.as_u64().and_then(|n| u32::try_from(n).ok()),
                Some(serde_json::Value::String(s)) => s.parse().ok(),
                _ => None,
            };
            let message = shape.message.or(match (shape.title, shape.detail) {
                (Some(title), Some(detail)) => Some(format!("{title}: {detail}")),
                (title, detail) => title.or(detail),
            });
            return TwilioErrorBody { code, message: clip(&message.unwrap_or_default(), ours) };
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
        TwilioErrorBody { code: None, message: clip(&without_tags(&without_escapes(&text)), ours) }
    }
}

/// At most this many characters of somebody else's text go into a log line.
const CLIP: usize = 200;

/// What of a text is looked at: more than is shown, so that no number is cut in two before it is known for one.
const LOOKED_AT: usize = 4 * CLIP;

/// Somebody else's text as it may be told: short, and without numbers that are not ours (law 11).
pub(super) fn clip(text: &str, ours: &Roster) -> String {
    let mut words = told(&line(text, LOOKED_AT), ours);
    if let Some((i, _)) = words.char_indices().nth(CLIP) {
        words.truncate(i);
        words.push('…');
    }
    words
}

/// JSON that is cut off, or none, with what its escapes stand for: what is neutralised must be seen first.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let hex = after.strip_prefix('u').and_then(|digits| digits.get(..4));
        (rest, _) = match (hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()), after.chars().next()) {
            (Some(code), _) => (&after[5..], out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))),
            (None, Some('b' | 'f' | 'n' | 'r' | 't')) => (&after[1..], out.push(' ')),
            (None, _) => (after, ()),
        };
    }
    out + rest
}

fn without_tags(html: &str) -> String {
    let mut out = String::new();
    let mut depth = 0u32;
    for c in html.chars() {
        match c {
            '<' => depth += 1,
            '>' if depth > 0 => {
                depth -= 1;
                out.push(' ');
            }
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_error_body_is_read() {
        let old = br#"{"code":20429,"message":"Too Many Requests","more_info":"https://x","status":429}"#;
        let parse = |body: &[u8]| TwilioErrorBody::parse(body, &Roster::default());
        assert_eq!(parse(old), TwilioErrorBody { code: Some(20429), message: "Too Many Requests".into() });
        let new = br#"{"type":"https://t","title":"Bad","status":400,"code":"21215","detail":"no such","errors":[]}"#;
        assert_eq!(parse(new), TwilioErrorBody { code: Some(21215), message: "Bad: no such".into() });
        let html = b"<html><head><title>502</title></head>\n<body><h1>Bad   Gateway</h1></body></html>";
        assert_eq!(parse(html), TwilioErrorBody { code: None, message: "502 Bad Gateway".into() });
        assert_eq!(parse(b""), TwilioErrorBody::default());
        let cut = br#"{"code": 20001, "message": "a\u001b[2Jb\u202e \"c\" d\nFORGED"#;
        let told = parse(cut).message;
        assert!(told.ends_with("d FORGED") && !told.contains('\\') && !told.contains('\u{1b}'), "{told:?}");
        assert_eq!(parse(&[0xff; 10_000]).message.chars().count(), CLIP + 1);
    }

    #[test]
    fn a_callers_number_is_in_no_error_body() {
        let json =
            br#"{"code":21211,"message":"The 'To' number +1 (415) 555-1212 is not valid, see https://u:p@h/?q=1"}"#;
        let said = "The 'To' number (…) is not valid, see https://h/?…";
        assert_eq!(TwilioErrorBody::parse(json, &Roster::default()).message, said);
        let html = b"<p>no such number <b>415-555-1212</b></p>";
        assert_eq!(TwilioErrorBody::parse(html, &Roster::default()).message, "no such number (…)");
        for blanks in 0..30 {
            let text = format!("{}{}415 555 1212", "x".repeat(CLIP - 15), ".".repeat(blanks));
            let said = clip(&text, &Roster::default());
            assert!(said.chars().filter(char::is_ascii_digit).count() == 0, "{said}");
        }
    }
}
