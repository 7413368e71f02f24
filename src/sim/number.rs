//! A number as Twilio keeps it: the fields of its record, which of them handle a call, and what an
//! update may do to them.
//!
//! The record is a table: one line a field, with its name in requests, its name in answers, what it
//! accepts and how it looks when unset. Twilio is not consistent about the last, and neither is this:
//! `voice_url` that was never set is `null`, `sms_url` is `""`, and either is `""` once cleared.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::http::error::ApiError;
use super::row::AuditActor;
use super::scenario::{PortStatusChange, Routing};
use crate::core::model::id::{ApplicationSid, E164, NumberSid, ServiceSid, TrunkSid};
use crate::core::model::time::Time;

/// What can be set on a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimField {
    FriendlyName,
    VoiceUrl,
    VoiceMethod,
    VoiceFallbackUrl,
    VoiceFallbackMethod,
    VoiceApplicationSid,
    VoiceCallerIdLookup,
    VoiceReceiveMode,
    TrunkSid,
    StatusCallback,
    StatusCallbackMethod,
    SmsUrl,
    SmsMethod,
    SmsFallbackUrl,
    SmsFallbackMethod,
    SmsApplicationSid,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Url,
    Method,
    Flag,
    Application,
    Trunk,
    /// `voice` or `fax`.
    Mode,
}

/// How a field looks that was never set.
#[derive(Clone, Copy)]
enum Unset {
    Null,
    Empty,
    Value(&'static str),
}

struct Spec {
    field: SimField,
    parameter: &'static str,
    property: &'static str,
    kind: Kind,
    unset: Unset,
}

const fn spec(field: SimField, parameter: &'static str, property: &'static str, kind: Kind, unset: Unset) -> Spec {
    Spec { field, parameter, property, kind, unset }
}

/// How many properties can change.
const FIELD_COUNT: usize = 16;

const FIELDS: [Spec; FIELD_COUNT] = {
    use Unset::{Empty, Null, Value};
    [
        spec(SimField::FriendlyName, "FriendlyName", "friendly_name", Kind::Text, Empty),
        spec(SimField::VoiceUrl, "VoiceUrl", "voice_url", Kind::Url, Null),
        spec(SimField::VoiceMethod, "VoiceMethod", "voice_method", Kind::Method, Value("POST")),
        spec(SimField::VoiceFallbackUrl, "VoiceFallbackUrl", "voice_fallback_url", Kind::Url, Null),
        spec(
            SimField::VoiceFallbackMethod,
            "VoiceFallbackMethod",
            "voice_fallback_method",
            Kind::Method,
            Value("POST"),
        ),
        spec(SimField::VoiceApplicationSid, "VoiceApplicationSid", "voice_application_sid", Kind::Application, Empty),
        spec(
            SimField::VoiceCallerIdLookup,
            "VoiceCallerIdLookup",
            "voice_caller_id_lookup",
            Kind::Flag,
            Value("false"),
        ),
        spec(SimField::VoiceReceiveMode, "VoiceReceiveMode", "voice_receive_mode", Kind::Mode, Value("voice")),
        spec(SimField::TrunkSid, "TrunkSid", "trunk_sid", Kind::Trunk, Null),
        spec(SimField::StatusCallback, "StatusCallback", "status_callback", Kind::Url, Empty),
        spec(
            SimField::StatusCallbackMethod,
            "StatusCallbackMethod",
            "status_callback_method",
            Kind::Method,
            Value("POST"),
        ),
        spec(SimField::SmsUrl, "SmsUrl", "sms_url", Kind::Url, Empty),
        spec(SimField::SmsMethod, "SmsMethod", "sms_method", Kind::Method, Value("POST")),
        spec(SimField::SmsFallbackUrl, "SmsFallbackUrl", "sms_fallback_url", Kind::Url, Empty),
        spec(SimField::SmsFallbackMethod, "SmsFallbackMethod", "sms_fallback_method", Kind::Method, Value("POST")),
        spec(SimField::SmsApplicationSid, "SmsApplicationSid", "sms_application_sid", Kind::Application, Empty),
    ]
};

/// One property of one number: before and after.
pub type SimChange = (&'static str, String, String);

/// The part of a number's record that can change.
#[derive(Clone, PartialEq, Eq)]
pub struct SimNumberRecord {
    /// By [`FIELDS`]. `None`: never set. Empty: cleared.
    values: [Option<String>; FIELD_COUNT],
    pub created: Time,
    pub updated: Time,
}

/// Who handles a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceRoute {
    Trunk(TrunkSid),
    Application(ApplicationSid),
    Urls {
        primary: String,
        fallback: String,
    },
    /// Answered by a machine.
    Fax,
    Nobody,
}

/// Who handles a message, once no Messaging Service has claimed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageRoute {
    Application(ApplicationSid),
    Urls { primary: String, fallback: String },
    Nobody,
}

/// What must exist for an update that names it.
pub struct KnownTargets<'a> {
    pub applications: &'a [ApplicationSid],
    pub trunks: &'a [TrunkSid],
}

impl SimNumberRecord {
    pub fn new(number: E164, routing: &Routing, created: Time) -> SimNumberRecord {
        let mut record = SimNumberRecord { values: Default::default(), created, updated: created };
        record.put(SimField::FriendlyName, formatted(number));
        if routing.applied {
            let sid = |s: Option<ApplicationSid>| s.map(|s| s.to_string()).unwrap_or_default();
            for (field, value) in [
                (SimField::VoiceUrl, routing.voice_url.clone()),
                (SimField::VoiceFallbackUrl, routing.voice_fallback_url.clone()),
                (SimField::VoiceApplicationSid, sid(routing.application)),
                (SimField::TrunkSid, routing.trunk.map(|t| t.to_string()).unwrap_or_default()),
                (SimField::StatusCallback, routing.status_callback.clone()),
                (SimField::SmsUrl, routing.sms_url.clone()),
                (SimField::SmsFallbackUrl, routing.sms_fallback_url.clone()),
                (SimField::SmsApplicationSid, sid(routing.sms_application)),
            ] {
                if !value.is_empty() {
                    record.put(field, value);
                }
            }
        }
        record
    }

    fn put(&mut self, field: SimField, value: String) {
        self.values[field as usize] = Some(value);
    }

    /// The field's value; empty if unset.
    pub fn get(&self, field: SimField) -> &str {
        let spec = &FIELDS[field as usize];
        match (&self.values[field as usize], spec.unset) {
            (Some(value), Unset::Value(default)) if value.is_empty() => default,
            (Some(value), _) => value,
            (None, Unset::Value(default)) => default,
            (None, Unset::Null | Unset::Empty) => "",
        }
    }

    fn is_set(&self, field: SimField) -> bool {
        !self.get(field).is_empty()
    }

    /// Twilio's precedence: trunk, application, URL.
    pub fn voice_route(&self) -> VoiceRoute {
        if let Ok(trunk) = self.get(SimField::TrunkSid).parse() {
            return VoiceRoute::Trunk(trunk);
        }
        if self.get(SimField::VoiceReceiveMode) == "fax" {
            return VoiceRoute::Fax;
        }
        if let Ok(application) = self.get(SimField::VoiceApplicationSid).parse() {
            return VoiceRoute::Application(application);
        }
        match self.get(SimField::VoiceUrl) {
            "" => VoiceRoute::Nobody,
            primary => {
                VoiceRoute::Urls { primary: primary.into(), fallback: self.get(SimField::VoiceFallbackUrl).into() }
            }
        }
    }

    pub fn message_route(&self) -> MessageRoute {
        if let Ok(application) = self.get(SimField::SmsApplicationSid).parse() {
            return MessageRoute::Application(application);
        }
        match self.get(SimField::SmsUrl) {
            "" => MessageRoute::Nobody,
            primary => {
                MessageRoute::Urls { primary: primary.into(), fallback: self.get(SimField::SmsFallbackUrl).into() }
            }
        }
    }

    /// Applies an update request, all of it or nothing, and says what changed.
    ///
    /// Unknown parameters are ignored, an empty value clears.
    pub fn update(
        &mut self,
        parameters: &BTreeMap<String, String>,
        known: &KnownTargets<'_>,
        now: Time,
    ) -> Result<Vec<SimChange>, ApiError> {
        let mut next = self.clone();
        for spec in &FIELDS {
            if let Some(value) = parameters.get(spec.parameter) {
                spec.accepts(value, known)?;
                next.put(spec.field, value.clone());
            }
        }
        // The two exclude each other; the one that was sent wins.
        let sent = |p: &str| parameters.get(p).is_some_and(|v| !v.is_empty());
        if sent("TrunkSid") {
            next.put(SimField::VoiceApplicationSid, String::new());
        } else if sent("VoiceApplicationSid") {
            next.put(SimField::TrunkSid, String::new());
        }
        if next.is_set(SimField::VoiceFallbackUrl) && !next.is_set(SimField::VoiceUrl) {
            return Err(ApiError::bad_request(21405, "VoiceFallbackUrl requires a VoiceUrl"));
        }
        if next.is_set(SimField::SmsFallbackUrl) && !next.is_set(SimField::SmsUrl) {
            return Err(ApiError::bad_request(21406, "SmsFallbackUrl requires an SmsUrl"));
        }
        let changes = FIELDS
            .iter()
            .filter(|s| self.get(s.field) != next.get(s.field))
            .map(|s| (s.property, self.get(s.field).to_owned(), next.get(s.field).to_owned()))
            .collect();
        next.updated = now;
        *self = next;
        Ok(changes)
    }
}

impl Spec {
    fn accepts(&self, value: &str, known: &KnownTargets<'_>) -> Result<(), ApiError> {
        let name = self.parameter;
        let refuse = |code, text: &str| Err(ApiError::bad_request(code, &format!("{name} {text}: {value}")));
        match self.kind {
            _ if value.is_empty() => Ok(()),
            Kind::Text if value.chars().count() > 64 => refuse(21451, "is longer than 64 characters"),
            Kind::Url if !is_web_url(value) => refuse(21402, "is not a valid URL"),
            Kind::Method if !matches!(value, "GET" | "POST") => refuse(21403, "is not a valid method"),
            Kind::Flag if !matches!(value, "true" | "false" | "True" | "False") => {
                refuse(20001, "is not true or false")
            }
            Kind::Mode if !matches!(value, "voice" | "fax") => refuse(20001, "is not voice or fax"),
            Kind::Application if !value.parse().is_ok_and(|sid| known.applications.contains(&sid)) => {
                refuse(21420, "is not accessible")
            }
            Kind::Trunk if !value.parse().is_ok_and(|sid| known.trunks.contains(&sid)) => {
                refuse(20001, "is not a trunk of this account")
            }
            Kind::Text | Kind::Url | Kind::Method | Kind::Flag | Kind::Mode | Kind::Application | Kind::Trunk => Ok(()),
        }
    }
}

fn is_web_url(value: &str) -> bool {
    url::Url::parse(value).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
}

/// As Twilio writes a number for people to read.
pub fn formatted(number: E164) -> String {
    let text = number.to_string();
    match text.strip_prefix("+1") {
        Some(us) if us.len() == 10 => format!("({}) {}-{}", &us[..3], &us[3..6], &us[6..]),
        _ => text,
    }
}

/// The record's own properties, for the map of a whole number.
impl SimNumberRecord {
    pub fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for spec in &FIELDS {
            let value = self.get(spec.field);
            match (spec.kind, spec.unset, &self.values[spec.field as usize]) {
                (Kind::Flag, _, _) => map.serialize_entry(spec.property, &value.eq_ignore_ascii_case("true"))?,
                // A trunk that is cleared is null again, whatever a URL does.
                (Kind::Trunk, _, _) if value.is_empty() => map.serialize_entry(spec.property, &None::<&str>)?,
                (_, Unset::Null, None) => map.serialize_entry(spec.property, &None::<&str>)?,
                _ => map.serialize_entry(spec.property, value)?,
            }
        }
        Ok(())
    }
}

/// One of the account's numbers.
pub struct SimNumber {
    pub e164: E164,
    pub sid: NumberSid,
    /// Index of its group, and its rank in it from 0.
    pub group: usize,
    pub rank: usize,
    /// Only its messages are at Twilio.
    pub is_hosted: bool,
    pub record: SimNumberRecord,
    /// The Messaging Service that it is in.
    pub service: Option<ServiceSid>,
    /// From when it is in the account.
    pub listed_from: Option<Time>,
    pub voice_ported: Option<Time>,
    pub messages_ported: Option<Time>,
    /// How far its port is said to be, and since when, where that is not as the day has it.
    pub port_status: Option<(Time, PortStatusChange)>,
    /// When it was taken away.
    pub left: Option<Time>,
    /// An update of it is under way.
    pub updating: bool,
}

impl SimNumber {
    pub const fn origin(&self) -> &'static str {
        if self.is_hosted { "hosted" } else { "twilio" }
    }

    pub fn is_listed(&self, now: Time) -> bool {
        self.listed_from.is_some_and(|t| t <= now) && self.left.is_none_or(|t| now < t)
    }
}

/// Whether an update does what its answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SimEffect {
    Real,
    /// Answered as if it had happened.
    Pretended,
    /// Its answer was lost, and it happened long after.
    Late,
}

/// What an update did, for the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub number: E164,
    pub by: AuditActor,
    pub effect: SimEffect,
    pub changes: Vec<SimChange>,
}

impl Serialize for Update {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        struct Changes<'a>(&'a [SimChange]);
        impl Serialize for Changes<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_map(
                    self.0
                        .iter()
                        .map(|(p, old, new)| (p, [("old", old), ("new", new)].into_iter().collect::<BTreeMap<_, _>>())),
                )
            }
        }
        let mut map = s.serialize_map(Some(4))?;
        map.serialize_entry("number", &self.number)?;
        map.serialize_entry("by", &self.by)?;
        map.serialize_entry("effect", &self.effect)?;
        map.serialize_entry("changes", &Changes(&self.changes))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "AP000000000000000000000000000000aa";
    const TRUNK: &str = "TK000000000000000000000000000000bb";

    fn record() -> SimNumberRecord {
        let routing = Routing { voice_url: "https://a.example/voice".into(), ..Routing::default() };
        SimNumberRecord::new("+15005550100".parse().unwrap(), &routing, Time::EPOCH)
    }

    fn update(record: &mut SimNumberRecord, parameters: &[(&str, &str)]) -> Result<Vec<SimChange>, u32> {
        let known = KnownTargets { applications: &[APP.parse().unwrap()], trunks: &[TRUNK.parse().unwrap()] };
        let map = parameters.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        record.update(&map, &known, Time::from_secs(9)).map_err(|e| e.code)
    }

    fn json(record: &SimNumberRecord) -> serde_json::Value {
        struct Whole<'a>(&'a SimNumberRecord);
        impl Serialize for Whole<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                let mut map = s.serialize_map(None)?;
                self.0.serialize_into(&mut map)?;
                map.end()
            }
        }
        serde_json::to_value(Whole(record)).unwrap()
    }

    #[test]
    fn the_table_is_in_the_order_of_the_fields() {
        for (i, spec) in FIELDS.iter().enumerate() {
            assert_eq!(spec.field as usize, i, "{}", spec.parameter);
        }
    }

    #[test]
    fn trunk_beats_application_beats_url() {
        let mut r = record();
        assert!(matches!(r.voice_route(), VoiceRoute::Urls { .. }));
        update(&mut r, &[("VoiceApplicationSid", APP)]).unwrap();
        assert_eq!(r.voice_route(), VoiceRoute::Application(APP.parse().unwrap()));
        update(&mut r, &[("TrunkSid", TRUNK)]).unwrap();
        assert_eq!(r.voice_route(), VoiceRoute::Trunk(TRUNK.parse().unwrap()));
        assert_eq!(r.get(SimField::VoiceApplicationSid), "", "a trunk removes the application");
        update(&mut r, &[("VoiceUrl", "https://b.example/")]).unwrap();
        assert!(matches!(r.voice_route(), VoiceRoute::Trunk(_)), "a URL alone changes nothing");
        update(&mut r, &[("VoiceApplicationSid", APP)]).unwrap();
        assert_eq!(r.get(SimField::TrunkSid), "", "an application removes the trunk");
        update(&mut r, &[("VoiceApplicationSid", ""), ("VoiceUrl", "")]).unwrap();
        assert_eq!(r.voice_route(), VoiceRoute::Nobody);
    }

    #[test]
    fn unset_cleared_and_set_look_as_twilio_has_them() {
        let mut r = record();
        let j = json(&r);
        assert!(j["voice_fallback_url"].is_null() && j["trunk_sid"].is_null());
        assert_eq!((&j["sms_url"], &j["voice_application_sid"]), (&"".into(), &"".into()));
        assert_eq!((&j["voice_method"], &j["voice_caller_id_lookup"]), (&"POST".into(), &false.into()));
        let changes = update(&mut r, &[("VoiceUrl", ""), ("TrunkSid", ""), ("Nonsense", "1")]).unwrap();
        assert_eq!(changes, [("voice_url", "https://a.example/voice".to_owned(), String::new())]);
        let j = json(&r);
        assert_eq!(j["voice_url"], "");
        assert!(j["trunk_sid"].is_null());
    }

    #[test]
    fn a_refused_update_changes_nothing() {
        let mut r = record();
        let before = r.clone();
        for (parameters, code) in [
            (&[("SmsUrl", "https://ok.example"), ("VoiceUrl", "not-a-url")][..], 21402),
            (&[("VoiceUrl", "ftp://x.example")], 21402),
            (&[("VoiceMethod", "PUT")], 21403),
            (&[("VoiceUrl", ""), ("VoiceFallbackUrl", "https://f.example")], 21405),
            (&[("SmsFallbackUrl", "https://f.example")], 21406),
            (&[("VoiceApplicationSid", "AP000000000000000000000000000000ff")], 21420),
        ] {
            assert_eq!(update(&mut r, parameters), Err(code), "{parameters:?}");
            assert!(r == before, "{parameters:?}");
        }
        assert!(
            update(&mut r, &[("VoiceUrl", "https://h.example/#rc=0"), ("VoiceFallbackUrl", "https://f.example")])
                .is_ok()
        );
    }
}
