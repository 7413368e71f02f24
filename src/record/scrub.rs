//! Rows without what a recording must not hold.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::caller::CallerKey;
use crate::core::model::address::{is_withheld, party};
use crate::core::model::facts::is_keyword;
use crate::core::model::id::E164;
use crate::core::model::redact::kept;
use crate::core::model::roster::Roster;
use crate::report::stand_in::StandIns;

/// Whether callers' numbers are written as they are.
#[derive(Clone, Debug)]
pub enum CallerPrivacy {
    Plain,
    /// As stand-ins, the same for the same caller under this key.
    Hashed(CallerKey),
}

impl CallerPrivacy {
    /// Stand-ins under the key that an installation has, or gets now.
    pub fn hashed(key: &Path, is_unused: bool) -> io::Result<CallerPrivacy> {
        CallerKey::load_or_create(key, is_unused).map(CallerPrivacy::Hashed)
    }
}

/// Makes rows harmless, each kind in its way.
pub struct Scrubber<'a> {
    roster: &'a Roster,
    callers: CallerPrivacy,
    urls: StandIns,
}

const CALL: [&str; 15] = [
    "sid",
    "account_sid",
    "parent_call_sid",
    "from",
    "to",
    "status",
    "direction",
    "start_time",
    "end_time",
    "duration",
    "date_created",
    "date_updated",
    "error_code",
    "answered_by",
    "forwarded_from",
];
const MESSAGE: [&str; 11] = [
    "sid",
    "account_sid",
    "from",
    "to",
    "status",
    "direction",
    "date_created",
    "date_sent",
    "date_updated",
    "error_code",
    "messaging_service_sid",
];
const ALERT: [&str; 9] = [
    "sid",
    "account_sid",
    "resource_sid",
    "service_sid",
    "error_code",
    "log_level",
    "request_url",
    "date_generated",
    "date_created",
];
const NUMBER: [&str; 16] = [
    "sid",
    "account_sid",
    "phone_number",
    "capabilities",
    "origin",
    "trunk_sid",
    "voice_application_sid",
    "voice_url",
    "voice_fallback_url",
    "voice_receive_mode",
    "sms_application_sid",
    "sms_url",
    "sms_fallback_url",
    "status_callback",
    "status",
    "beta",
];

/// Fields that name a party.
const PARTIES: [&str; 3] = ["from", "to", "forwarded_from"];

/// Fields that have a URL.
const URLS: [&str; 6] =
    ["request_url", "voice_url", "voice_fallback_url", "sms_url", "sms_fallback_url", "status_callback"];

/// Stand-in numbers begin with a calling code that is nobody's, and have so many digits more.
const NOBODYS: &str = "+999";
const DIGITS: u64 = 100_000_000_000;

impl<'a> Scrubber<'a> {
    pub fn new(roster: &'a Roster, callers: CallerPrivacy) -> Scrubber<'a> {
        Scrubber { roster, callers, urls: StandIns::default() }
    }

    /// A row of this kind, as a recording has it; `None` of a kind that recordings do not have.
    pub fn row(&mut self, kind: &str, fields: &Map<String, Value>) -> Option<Map<String, Value>> {
        let kept: &[&str] = match kind {
            "call" => &CALL,
            "message" => &MESSAGE,
            "alert" => &ALERT,
            "number" => &NUMBER,
            _ => return None,
        };
        let mut out = Map::new();
        for name in kept {
            let Some(value) = fields.get(*name) else { continue };
            let value = match value {
                Value::String(text) if PARTIES.contains(name) => Value::String(self.party(text)),
                Value::String(text) if URLS.contains(name) && !text.is_empty() => Value::String(self.urls.url(text)),
                // As rows are read too, whose numbers may be written without quotation marks.
                Value::Number(number) if PARTIES.contains(name) => Value::String(self.party(&number.to_string())),
                Value::Array(_) | Value::Object(_) if PARTIES.contains(name) || URLS.contains(name) => continue,
                plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.clone(),
                parts @ (Value::Array(_) | Value::Object(_)) => parts.clone(),
            };
            out.insert((*name).to_owned(), value);
        }
        // What a person wrote is theirs, but for the words with which Twilio is told what they want.
        let keyword =
            fields.get("body").filter(|_| kind == "message").and_then(Value::as_str).filter(|t| is_keyword(t));
        if let Some(word) = keyword {
            out.insert("body".to_owned(), Value::String(word.trim().to_owned()));
        }
        Some(out)
    }

    /// Whoever is neither ours nor withheld: a stand-in.
    fn party(&self, text: &str) -> String {
        let CallerPrivacy::Hashed(key) = &self.callers else { return text.to_owned() };
        let is_ours = |n: E164| self.roster.has(n) || self.roster.is_prober(n);
        let number = text.parse().ok().or_else(|| party(text, self.roster.calling_codes(), is_ours));
        match number {
            // A name may stand before ours, and another's number in it or behind it.
            Some(number) if is_ours(number) && (text.contains('<') || kept(text, self.roster) != text) => {
                number.to_string()
            }
            Some(number) if is_ours(number) => text.to_owned(),
            Some(number) => stand_in(key.hash(&number.to_string())),
            None if is_withheld(text) => "anonymous".to_owned(),
            // No telephone number, and still somebody.
            None => stand_in(key.hash(text)),
        }
    }
}

fn stand_in(hash: u64) -> String {
    format!("{NOBODYS}{:011}", hash % DIGITS)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;
    use crate::core::model::roster::{Number, PortAt};
    use crate::testing::ours;

    fn roster() -> Roster {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        let (id, label, timezone) = (ours("+15005550100"), String::new(), TimeZone::UTC);
        roster.add_number(Number { id, label, group, channels: [true, true], timezone, port: PortAt::Done }).unwrap();
        roster
    }

    fn row(s: &mut Scrubber<'_>, kind: &str, fields: Value) -> Value {
        let Value::Object(fields) = fields else { panic!() };
        Value::Object(s.row(kind, &fields).unwrap())
    }

    #[test]
    fn a_caller_is_the_same_stand_in_each_time_and_ours_stay() {
        let roster = roster();
        let mut s = Scrubber::new(&roster, CallerPrivacy::Hashed(CallerKey::public()));
        let mut call = |from: &str| {
            let fields =
                json!({ "sid": "CA1", "from": from, "to": "+15005550100", "caller_name": "A. Person", "x": 1 });
            row(&mut s, "call", fields)
        };
        let (a, b, c) = (call("+14155551212"), call("sip:+14155551212@example.com"), call("+14155551213"));
        assert_eq!(a["from"], b["from"], "one number in two forms");
        assert_ne!(a["from"], c["from"]);
        assert!(a["from"].as_str().unwrap().starts_with("+999") && a["from"].as_str().unwrap().len() == 15);
        assert_eq!(a["to"], "+15005550100");
        assert!(a.get("caller_name").is_none() && a.get("x").is_none());
        assert_eq!(call("Restricted")["from"], "anonymous");
        for named in ["\"+14155551212\" <sip:+15005550100@h>", "A. Person <sip:+15005550100@h>"] {
            assert_eq!(call(named)["from"], "+15005550100", "{named}");
        }
        assert_eq!(call("sip:+15005550100@h;from=+14155551212")["from"], "+15005550100");
        assert_eq!(call("sip:+15005550100@h")["from"], "sip:+15005550100@h");
        let unquoted = row(&mut s, "call", json!({ "from": 14_155_551_212_u64, "to": ["+14155551212"] }));
        assert_eq!((&unquoted["from"], unquoted.get("to")), (&a["from"], None));
        let mut plain = Scrubber::new(&roster, CallerPrivacy::Plain);
        assert_eq!(row(&mut plain, "call", json!({ "from": "+14155551212" }))["from"], "+14155551212");
    }

    #[test]
    fn of_a_text_only_a_keyword_is_kept() {
        let roster = roster();
        let mut s = Scrubber::new(&roster, CallerPrivacy::Hashed(CallerKey::public()));
        let mut body = |text: &str| row(&mut s, "message", json!({ "sid": "SM1", "body": text })).get("body").cloned();
        assert_eq!(body(" Stop\n"), Some(json!("Stop")));
        for text in ["stop it", "my number is +14155551212", "", "STOP."] {
            assert_eq!(body(text), None, "{text}");
        }
    }

    #[test]
    fn no_part_of_an_alert_or_a_number_tells_who_called_or_what_is_secret() {
        let roster = roster();
        let mut s = Scrubber::new(&roster, CallerPrivacy::Hashed(CallerKey::public()));
        let alert = row(
            &mut s,
            "alert",
            json!({
                "sid": "NO1", "error_code": "11200", "request_url": "https://u:p4ss@a.example.com/v/t0ken9Zq?From=%2B14155551212",
                "request_variables": "From=%2B14155551212", "alert_text": "call of +14155551212"
            }),
        );
        let number =
            row(&mut s, "number", json!({ "sid": "PN1", "voice_url": "https://u:p4ss@a.example.com/v/t0ken9Zq" }));
        for text in [alert.to_string(), number.to_string()] {
            for secret in ["4155551212", "p4ss", "t0ken9Zq"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        let of = |url: &Value| url.as_str().unwrap().split('?').next().unwrap().to_owned();
        assert_eq!(of(&alert["request_url"]), of(&number["voice_url"]), "and it is still told whose URL it is");
        assert!(s.row("event", &Map::new()).is_none());
    }
}
