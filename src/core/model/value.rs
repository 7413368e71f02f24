//! What a number's fields have, as it is and as it may be shown.
//!
//! A handler's URL may have a user and a password, a token in its query, a secret in its path. The agent must know it
//! to the byte: a swap compares it, a restore puts it back (laws 1 and 7). Nobody else may (law 11). So a
//! [`FieldValue`] and a [`RawRecord`] show themselves without what may be secret in `Display`, `Debug` and `Serialize`
//! alike, and whoever needs all of it says so: [`FieldValue::whole`] and [`RawRecord::whole`] for Twilio and for
//! comparisons, [`whole_json`] for what is kept in files that only the agent's user may read.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::redact::secrets;

thread_local! {
    /// Set within [`whole_json`] and nowhere else: serde has no way to hand such a word on.
    static IS_WHOLE: Cell<bool> = const { Cell::new(false) };
}

/// JSON with every value as it is: for the state, and for nothing that anybody else reads.
pub fn whole_json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_WHOLE.set(self.0);
        }
    }
    let _before = Before(IS_WHOLE.replace(true));
    serde_json::to_string(value)
}

/// What a field of a number has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
#[serde(transparent)]
pub struct FieldValue(String);

impl FieldValue {
    /// To the byte: for Twilio, and to compare. It is shown to nobody.
    pub fn whole(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for FieldValue {
    fn from(value: &str) -> FieldValue {
        FieldValue(value.to_owned())
    }
}

impl From<String> for FieldValue {
    fn from(value: String) -> FieldValue {
        FieldValue(value)
    }
}

impl PartialEq<str> for FieldValue {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&secrets::value(&self.0))
    }
}

impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", secrets::value(&self.0))
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if IS_WHOLE.get() { s.serialize_str(&self.0) } else { s.collect_str(self) }
    }
}

/// A number's whole record, as Twilio returned it: JSON, kept to the byte.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct RawRecord(Arc<str>);

impl RawRecord {
    /// To the byte: to compare, and to put back. It is shown to nobody.
    pub fn whole(&self) -> &str {
        &self.0
    }

    /// Every field's value as it may be shown.
    fn shown(&self) -> String {
        fn show(value: &mut Value) {
            match value {
                Value::String(text) => *text = secrets::value(text),
                Value::Array(items) => items.iter_mut().for_each(show),
                Value::Object(fields) => fields.values_mut().for_each(show),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        match serde_json::from_str::<Value>(&self.0) {
            Ok(mut record) => {
                show(&mut record);
                record.to_string()
            }
            Err(_) => format!("{} bytes that are no record", self.0.len()),
        }
    }
}

impl From<&str> for RawRecord {
    fn from(record: &str) -> RawRecord {
        RawRecord(record.into())
    }
}

impl From<String> for RawRecord {
    fn from(record: String) -> RawRecord {
        RawRecord(record.into())
    }
}

impl fmt::Debug for RawRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record of {} bytes", self.0.len())
    }
}

impl Serialize for RawRecord {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if IS_WHOLE.get() { s.serialize_str(&self.0) } else { s.serialize_str(&self.shown()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "https://us3r:p4ss@App.example.com:443/voice/t0ken9Zq?q=qu3ry#fr4g";

    #[test]
    fn a_value_is_shown_without_its_secrets_however_it_is_shown() {
        let shown = "https://app.example.com/voice/…?…#…";
        let value = FieldValue::from(SECRET);
        assert_eq!(value.to_string(), shown);
        assert_eq!(format!("{value:?} {:?}", Some(&value)), format!("{shown:?} Some({shown:?})"));
        assert_eq!(json!({ "v": [&value] }), json!({ "v": [shown] }));
        assert_eq!(serde_json::to_string(&value).unwrap(), format!("{shown:?}"));
        assert_eq!(value.whole(), SECRET);
        let record = RawRecord::from(json!({ "voice_url": SECRET, "a": [SECRET], "n": 1 }).to_string());
        assert_eq!(format!("{record:?}").find("p4ss"), None);
        let told: String = serde_json::from_value(serde_json::to_value(&record).unwrap()).unwrap();
        assert_eq!(told, json!({ "voice_url": shown, "a": [shown], "n": 1 }).to_string());
        assert_eq!(serde_json::to_string(&RawRecord::from("p4ss")).unwrap(), "\"4 bytes that are no record\"");
    }

    #[test]
    fn the_whole_is_written_where_it_is_asked_for_and_nowhere_after_that() {
        let value = FieldValue::from(SECRET);
        let record = RawRecord::from(format!("{{\"voice_url\":{SECRET:?}}}"));
        let both = || (Some(&value), vec![&record]);
        let whole = whole_json(&both()).unwrap();
        let (back, records): (Option<FieldValue>, Vec<RawRecord>) = serde_json::from_str(&whole).unwrap();
        assert_eq!((back.as_ref(), &records[0]), (Some(&value), &record));
        assert!(!serde_json::to_string(&both()).unwrap().contains("p4ss"));
        // Neither after an error nor after a panic.
        struct Breaks;
        impl Serialize for Breaks {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                panic!("as it does")
            }
        }
        assert!(std::panic::catch_unwind(|| whole_json(&Breaks)).is_err());
        assert!(!serde_json::to_string(&both()).unwrap().contains("p4ss"));
    }

    #[test]
    fn what_is_no_url_is_shown_where_it_is_a_sid_or_a_word() {
        for plain in ["", "POST", "voice", "fax", "AP00000000000000000000000000000001", "in-use"] {
            assert_eq!(FieldValue::from(plain).to_string(), plain);
        }
        for (value, shown) in [
            ("s3cr3t", "(…)"),
            ("My number, called by +14155551212", "(…)"),
            ("app.example.com/v?token=x", "(…)"),
            ("sip:alice:p4ss@sip.example.com;k=p4ss", "sip:(…)"),
            ("tel:+14155551212", "tel:(…)"),
        ] {
            assert_eq!(FieldValue::from(value).to_string(), shown);
        }
    }
}
