//! The fields of a number's record that decide who answers a channel, and how two readings of them differ.
//!
//! `null`, `""` and an absent field are one: Twilio's API can clear a field and cannot make it
//! `null` again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{Application, NumberRecord, is_same_fallback};
use crate::model::id::{Channel, ServiceSid};
use crate::model::order::UpdateParams;
use crate::model::value::{FieldValue, whole_json};

/// One field of a number: its parameter in an update, and its name in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutingField {
    pub parameter: &'static str,
    pub property: &'static str,
    /// The value that stands for "not set".
    unset: &'static str,
    /// It decides who answers. What does not is compared only where a write of ours has changed it.
    decides: bool,
}

const fn field(parameter: &'static str, property: &'static str) -> RoutingField {
    RoutingField { parameter, property, unset: "", decides: true }
}

/// What decides who answers calls, and who is told of them.
const VOICE: [RoutingField; 8] = [
    field("TrunkSid", "trunk_sid"),
    field("VoiceApplicationSid", "voice_application_sid"),
    RoutingField { parameter: "VoiceReceiveMode", property: "voice_receive_mode", unset: "voice", decides: true },
    field("VoiceUrl", "voice_url"),
    field("VoiceMethod", "voice_method"),
    field("VoiceFallbackUrl", "voice_fallback_url"),
    field("VoiceFallbackMethod", "voice_fallback_method"),
    RoutingField { parameter: "StatusCallback", property: "status_callback", unset: "", decides: false },
];

/// The Messaging Service that a number is in. Twilio keeps it beside the record and not in it, and it is written by
/// requests of its own; here it is a field like the others, which [`in_service`] puts in.
pub const SERVICE: &str = "MessagingServiceSid";

const SERVICE_PROPERTY: &str = "messaging_service_sid";

/// A number's record with the Messaging Service that the number is in; all else stays as it is, to the byte.
pub fn in_service(record: &str, service: Option<ServiceSid>) -> String {
    match (service, record.split_once('{')) {
        (Some(sid), Some((before, after))) => {
            let comma = if after.trim_start().starts_with('}') { "" } else { "," };
            format!("{before}{{\"{SERVICE_PROPERTY}\":\"{sid}\"{comma}{after}")
        }
        (None, _) | (_, None) => record.to_owned(),
    }
}

/// What decides who gets messages, on the number itself; and the service.
const MESSAGING: [RoutingField; 6] = [
    field("SmsApplicationSid", "sms_application_sid"),
    field("SmsUrl", "sms_url"),
    field("SmsMethod", "sms_method"),
    field("SmsFallbackUrl", "sms_fallback_url"),
    field("SmsFallbackMethod", "sms_fallback_method"),
    RoutingField { parameter: SERVICE, property: SERVICE_PROPERTY, unset: "", decides: false },
];

/// The fields of a channel.
pub const fn fields(channel: Channel) -> &'static [RoutingField] {
    match channel {
        Channel::Voice => &VOICE,
        Channel::Messaging => &MESSAGING,
    }
}

/// A record that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a number's record cannot be read: {0}")]
pub struct BadRecord(pub String);

/// The routing of one channel, as a record of Twilio's has it. Two are equal if the same answers.
#[derive(Debug, Clone)]
pub struct RoutingValues {
    channel: Channel,
    values: Vec<FieldValue>,
}

impl PartialEq for RoutingValues {
    fn eq(&self, other: &RoutingValues) -> bool {
        let values = self.values.iter().zip(&other.values);
        self.channel == other.channel && fields(self.channel).iter().zip(values).all(|(f, (a, b))| !f.decides || a == b)
    }
}

impl Eq for RoutingValues {}

impl RoutingValues {
    /// Reads the whole record, as JSON.
    pub fn read(record: &str, channel: Channel) -> Result<RoutingValues, BadRecord> {
        let json: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(record).map_err(|_| BadRecord("it is no JSON object".to_owned()))?;
        let value = |f: &RoutingField| match json.get(f.property) {
            None | Some(serde_json::Value::Null) => Ok(FieldValue::from(f.unset)),
            Some(serde_json::Value::String(s)) if s.is_empty() => Ok(FieldValue::from(f.unset)),
            Some(serde_json::Value::String(s)) => Ok(FieldValue::from(s.as_str())),
            Some(_) => Err(BadRecord(format!("{} is no text", f.property))),
        };
        Ok(RoutingValues { channel, values: fields(channel).iter().map(value).collect::<Result<_, _>>()? })
    }

    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// These values as [`RoutingValues::read`] reads them back: whole, for the state.
    pub fn whole_record(&self) -> serde_json::Result<String> {
        let pairs = fields(self.channel).iter().zip(&self.values);
        whole_json(&pairs.map(|(f, value)| (f.property, value)).collect::<BTreeMap<_, _>>())
    }

    /// True if `record` has these, as far as it has them: its trunk, application and URL.
    pub fn is_of(&self, record: &NumberRecord) -> bool {
        let is = |parameter: &str, value: Option<&str>| {
            self.of(parameter).is_none_or(|own| own.whole() == value.unwrap_or_default())
        };
        let url = |url: &Option<FieldValue>| url.as_ref().map(|u| u.whole().to_owned());
        let sid = |app: &Option<Application>| app.as_ref().map(|app| app.sid.to_string());
        match self.channel {
            Channel::Voice => {
                is("TrunkSid", record.trunk.map(|sid| sid.to_string()).as_deref())
                    && is("VoiceApplicationSid", sid(&record.voice_application).as_deref())
                    && is("VoiceUrl", url(&record.voice_url).as_deref())
            }
            Channel::Messaging => {
                is("SmsApplicationSid", sid(&record.sms_application).as_deref())
                    && is("SmsUrl", url(&record.sms_url).as_deref())
            }
        }
    }

    /// True if Twilio asks the channel's webhook by GET.
    pub fn is_by_get(&self) -> bool {
        let parameter = match self.channel {
            Channel::Voice => "VoiceMethod",
            Channel::Messaging => "SmsMethod",
        };
        self.of(parameter).is_some_and(|method| method.whole().eq_ignore_ascii_case("GET"))
    }

    /// What the field of this parameter has; `None` if the channel has no such field.
    pub fn of(&self, parameter: &str) -> Option<&FieldValue> {
        let i = fields(self.channel).iter().position(|f| f.parameter == parameter)?;
        Some(&self.values[i])
    }

    /// These values after an update with `form`.
    #[must_use]
    pub fn after(&self, form: &UpdateParams) -> RoutingValues {
        let mut after = self.clone();
        for (i, f) in fields(self.channel).iter().enumerate() {
            if let Some((_, value)) = form.iter().find(|(name, _)| name == f.parameter) {
                after.values[i] = if value.is_empty() { f.unset.into() } else { value.clone() };
            }
        }
        after
    }

    /// The update that undoes `form`: what it wrote gets the value that it had here.
    pub fn undo(&self, form: &UpdateParams) -> UpdateParams {
        form.iter().filter_map(|(name, _)| Some((name.clone(), self.of(name)?.clone()))).collect()
    }

    /// True if this is `one` of two that a write of ours lies between, and not the `other`: what decides nothing counts
    /// where they differ in it.
    pub fn is_one_of(&self, one: &RoutingValues, other: &RoutingValues) -> bool {
        self == one && self.values.iter().zip(one.values.iter().zip(&other.values)).all(|(v, (a, b))| a == b || v == a)
    }

    /// True if an update with `form` would change no field.
    pub fn has(&self, form: &UpdateParams) -> bool {
        self.after(form).values == self.values
    }

    /// The update that makes `now` of these.
    pub fn changes_to(&self, now: &RoutingValues) -> UpdateParams {
        let values = self.values.iter().zip(&now.values);
        let changed = fields(self.channel).iter().zip(values).filter(|(_, (was, is))| was != is);
        let value =
            |f: &RoutingField, is: &FieldValue| if is.whole() == f.unset { FieldValue::from("") } else { is.clone() };
        changed.map(|(f, (_, is))| (f.parameter.to_owned(), value(f, is))).collect()
    }

    /// True if `last` alone, or with others of these updates before it, makes this of `base`.
    pub fn is_left_by<'a>(
        &self,
        base: &RoutingValues,
        last: &UpdateParams,
        others: impl Iterator<Item = &'a UpdateParams> + Clone,
    ) -> bool {
        let set = |update: &UpdateParams, parameter: &str| {
            update.iter().find(|(name, _)| name == parameter).map(|(_, value)| value.clone())
        };
        let unset = |f: &RoutingField, value: &FieldValue| value.is_empty() || value.whole() == f.unset;
        // Twilio clears the one when it sets the other.
        let rival = |f: &RoutingField| match f.parameter {
            "TrunkSid" => Some("VoiceApplicationSid"),
            "VoiceApplicationSid" => Some("TrunkSid"),
            _ => None,
        };
        let values = self.values.iter().zip(&base.values);
        fields(self.channel).iter().zip(values).all(|(f, (is, was))| {
            let is_so = |value: &FieldValue| value == is || unset(f, value) && unset(f, is);
            let makes = |update: &UpdateParams| {
                set(update, f.parameter).is_some_and(|value| is_so(&value))
                    || unset(f, is) && rival(f).and_then(|r| set(update, r)).is_some_and(|value| !value.is_empty())
            };
            match set(last, f.parameter) {
                Some(value) => is_so(&value),
                None => is == was || !f.decides || makes(last) || others.clone().any(makes),
            }
        })
    }

    /// True if `now` is this but for the spelling of a URL, and leads to the same bin: whoever wrote it so has undone
    /// nothing.
    pub fn is_respelt(&self, now: &RoutingValues) -> bool {
        let is_url = |f: &RoutingField| matches!(f.parameter, "VoiceUrl" | "SmsUrl");
        let values = self.values.iter().zip(&now.values);
        fields(self.channel).iter().zip(values).all(|(f, (ours, theirs))| {
            !f.decides || ours == theirs || is_url(f) && is_same_fallback(ours.whole(), theirs.whole())
        })
    }

    /// True if this webhook of the number's own answers: nothing that goes before it is set.
    pub fn is_answered_by(&self, url: &str) -> bool {
        let (webhook, before) = match self.channel {
            Channel::Voice => ("VoiceUrl", ["TrunkSid", "VoiceApplicationSid"]),
            Channel::Messaging => ("SmsUrl", [SERVICE, "SmsApplicationSid"]),
        };
        let is_set = |parameter: &str| self.of(parameter).is_some_and(|value| !value.is_empty());
        !before.into_iter().any(is_set) && self.of(webhook).is_some_and(|set| is_same_fallback(url, set.whole()))
    }

    /// Where `now` is not `wrote`, in words that show all three.
    pub fn differences(snapshot: &RoutingValues, wrote: &RoutingValues, now: &RoutingValues) -> Vec<Difference> {
        fields(wrote.channel)
            .iter()
            .enumerate()
            .filter(|(i, f)| f.decides || snapshot.values[*i] != wrote.values[*i])
            .filter(|(i, _)| wrote.values[*i] != now.values[*i])
            .map(|(i, f)| Difference {
                field: f.property.to_owned(),
                snapshot: snapshot.values[i].clone(),
                wrote: wrote.values[i].clone(),
                now: now.values[i].clone(),
            })
            .collect()
    }
}

/// One field that is not what we left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub field: String,
    /// Before we came.
    pub snapshot: FieldValue,
    /// As we left it.
    pub wrote: FieldValue,
    pub now: FieldValue,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Difference { field, snapshot, wrote, now } = self;
        write!(f, "{field}: snapshot {snapshot:?}, we left {wrote:?}, now {now:?}")?;
        if wrote.to_string() == now.to_string() {
            f.write_str(" (they differ in what is not shown)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> UpdateParams {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), FieldValue::from(*v))).collect()
    }

    const TRUNKED: &str = r#"{"sid":"PN1","trunk_sid":"TK1","voice_url":null,"voice_method":"POST","voice_fallback_url":"","voice_receive_mode":"voice"}"#;

    #[test]
    fn undoing_gives_back_what_was_there_and_nothing_else() {
        let before = RoutingValues::read(TRUNKED, Channel::Voice).unwrap();
        let wrote = form(&[("TrunkSid", ""), ("VoiceUrl", "https://bin#rc=0")]);
        assert_eq!(before.undo(&wrote), form(&[("TrunkSid", "TK1"), ("VoiceUrl", "")]));
        let after = before.after(&wrote);
        assert_eq!(after.after(&before.undo(&wrote)), before);
        assert_eq!(RoutingValues::differences(&before, &after, &after), []);
    }

    #[test]
    fn a_difference_shows_no_secret_and_no_number_and_says_so() {
        let url = |user: &str, query: &str| FieldValue::from(format!("https://{user}@app.example.com/in?{query}#rc=1"));
        let difference = Difference {
            field: "voice_url".to_owned(),
            snapshot: url("svc:S3cret", "token=T0ken"),
            wrote: url("svc:S3cret", "token=T0ken"),
            now: url("svc:N3w", "PhoneNumber=917-555-0143"),
        };
        let shown = "\"https://app.example.com/in?…#rc=1\"";
        assert_eq!(
            difference.to_string(),
            format!("voice_url: snapshot {shown}, we left {shown}, now {shown} (they differ in what is not shown)")
        );
    }

    #[test]
    fn what_a_late_write_left_is_told_by_every_field() {
        let own = RoutingValues::read(TRUNKED, Channel::Voice).unwrap();
        let swap = form(&[("TrunkSid", ""), ("VoiceUrl", "https://bin")]);
        let other = form(&[("VoiceMethod", "GET")]);
        let none = || std::iter::empty::<&UpdateParams>();
        let on_bin = own.after(&swap);
        assert!(on_bin.is_left_by(&own, &swap, none()));
        assert!(!own.is_left_by(&on_bin, &swap, none()), "it has not landed");
        let method_too = on_bin.after(&other);
        assert!(!method_too.is_left_by(&own, &swap, none()), "somebody else has changed it as well");
        assert!(method_too.is_left_by(&own, &swap, [&other].into_iter()), "or we have");
        assert_eq!(on_bin.after(&own.changes_to(&on_bin)), on_bin);
        assert_eq!(own.after(&own.changes_to(&on_bin)), on_bin, "what is cleared is written as nothing");
        // Twilio clears the application where it sets a trunk.
        let by_application = own.after(&form(&[("TrunkSid", ""), ("VoiceApplicationSid", "AP1")]));
        assert!(own.is_left_by(&by_application, &form(&[("TrunkSid", "TK1")]), none()));
    }

    #[test]
    fn a_difference_shows_all_three() {
        let before = RoutingValues::read(TRUNKED, Channel::Voice).unwrap();
        let wrote = before.after(&form(&[("TrunkSid", ""), ("VoiceUrl", "https://bin")]));
        let now = wrote.after(&form(&[("VoiceUrl", "https://theirs")]));
        let differences = RoutingValues::differences(&before, &wrote, &now);
        let said: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(said, [r#"voice_url: snapshot "", we left "https://bin", now "https://theirs""#]);
    }

    #[test]
    fn a_service_is_a_field_that_is_put_in_and_that_alone() {
        let sid = ServiceSid::from_u128(1);
        let read = |record: &str| RoutingValues::read(record, Channel::Messaging).unwrap();
        for record in ["{}", r#"{ "sms_url": "https://a" }"#] {
            let with = in_service(record, Some(sid));
            assert_eq!(read(&with).of(SERVICE).unwrap().whole(), sid.to_string());
            assert!(read(&with) == read(record), "it does not decide who answers: {with}");
            assert_eq!(in_service(record, None), record);
        }
    }

    #[test]
    fn a_record_that_is_none_is_an_error_and_not_a_difference() {
        assert!(RoutingValues::read("[]", Channel::Voice).is_err());
        assert!(RoutingValues::read(r#"{"voice_url": 3}"#, Channel::Voice).is_err());
    }
}
