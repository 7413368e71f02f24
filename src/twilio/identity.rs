//! An answer is held against what was asked: the account, and the SID or the numbers of the request.
//!
//! Who a record is of comes from the question. A proxy's cache, a simulator or a mistaken rewrite that answers with
//! another number's record would have us judge, and write to, the wrong one. Such an answer is none
//! ([`super::ErrorKind::NotTwilio`]): it is asked for again, and nothing follows from it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::core::model::bounds;
use crate::core::model::id::{AccountSid, E164};

/// What an answer must be of.
#[derive(Debug, Clone)]
pub struct ExpectedIdentity(Vec<(&'static str, Want)>);

#[derive(Debug, Clone)]
enum Want {
    /// Must be there.
    This(String),
    /// Must be no other, if it is there.
    NoOther(String),
    /// Must be no other telephone number. A SIP address, or whatever else is none, is not compared.
    Number(E164),
}

impl ExpectedIdentity {
    pub fn of(account: AccountSid) -> ExpectedIdentity {
        ExpectedIdentity(vec![("account_sid", Want::NoOther(account.to_string()))])
    }

    /// Asked for by this SID.
    #[must_use]
    pub fn sid(self, sid: impl ToString) -> ExpectedIdentity {
        self.and("sid", Want::This(sid.to_string()))
    }

    /// Of something that `field` names by its SID.
    #[must_use]
    pub fn belongs(self, field: &'static str, sid: impl ToString) -> ExpectedIdentity {
        self.and(field, Want::NoOther(sid.to_string()))
    }

    /// Of this number, which `field` has.
    #[must_use]
    pub fn number(self, field: &'static str, number: E164) -> ExpectedIdentity {
        self.and(field, Want::Number(number))
    }

    fn and(mut self, field: &'static str, want: Want) -> ExpectedIdentity {
        self.0.push((field, want));
        self
    }

    /// Reads an answer about one thing with `parse`, if it is of what was asked.
    pub fn one<T>(self, parse: impl Fn(&[u8]) -> Result<T, String>) -> impl Fn(&[u8]) -> Result<T, String> {
        move |body| {
            if body.len() > bounds::RECORD_BYTES {
                return Err(format!("it has {} bytes, and none of these has {}", body.len(), bounds::RECORD_BYTES));
            }
            let read = parse(body)?;
            self.hold(body, Answer(&self))?;
            Ok(read)
        }
    }

    /// Reads a page whose rows, under `key`, are all of what was asked.
    pub fn rows<T>(
        self,
        key: &'static str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> impl Fn(&[u8]) -> Result<T, String> {
        move |body| {
            let read = parse(body)?;
            self.hold(body, Rows { asked: &self, key })?;
            Ok(read)
        }
    }

    fn hold<'de>(&self, body: &'de [u8], against: impl DeserializeSeed<'de>) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_slice(body);
        against.deserialize(&mut json).and_then(|_| json.end()).map_err(|e| e.to_string())
    }

    fn check(&self, field: &str, said: Option<&str>) -> Result<(), String> {
        let said = said.filter(|text| !text.is_empty());
        for (_, want) in self.0.iter().filter(|(name, _)| *name == field) {
            let is_it = match (want, said) {
                (Want::This(sid) | Want::NoOther(sid), Some(said)) => said.eq_ignore_ascii_case(sid),
                (Want::This(_), None) => false,
                (Want::NoOther(_) | Want::Number(_), None) => true,
                (Want::Number(number), Some(said)) => said.parse().map_or(true, |said: E164| said == *number),
            };
            if !is_it {
                let asked = match want {
                    Want::This(sid) | Want::NoOther(sid) => sid.clone(),
                    Want::Number(number) => number.to_string(),
                };
                let said: String = said.unwrap_or("nothing").chars().take(SHOWN).collect();
                return Err(format!("it is of something else: {field} is {said}, and {asked} was asked for"));
            }
        }
        Ok(())
    }
}

/// How much is shown of what an answer says instead.
const SHOWN: usize = 100;

/// One answer, looked at as it is read: nothing of it is kept, whatever its size and shape.
#[derive(Clone, Copy)]
struct Answer<'a>(&'a ExpectedIdentity);

impl<'de> DeserializeSeed<'de> for Answer<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Answer(ExpectedIdentity(wanted)) = self;
        let mut seen = vec![false; wanted.len()];
        while let Some(Said(key)) = map.next_key()? {
            let key = key.unwrap_or_default();
            if !wanted.iter().any(|(field, _)| *field == key) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            for ((field, _), seen) in wanted.iter().zip(&mut seen) {
                *seen |= *field == key;
            }
            let Said(said) = map.next_value()?;
            self.0.check(&key, said.as_deref()).map_err(A::Error::custom)?;
        }
        let missing = wanted.iter().zip(&seen).filter(|(_, seen)| !**seen);
        missing.map(|((field, _), _)| *field).try_for_each(|f| self.0.check(f, None)).map_err(A::Error::custom)
    }
}

/// The rows of a page, looked at in the same way.
#[derive(Clone, Copy)]
struct Rows<'a> {
    asked: &'a ExpectedIdentity,
    key: &'static str,
}

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Said(key)) = map.next_key()? {
            if key.as_deref() == Some(self.key) {
                map.next_value_seed(self)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(Answer(self.asked))?.is_some() {}
        Ok(())
    }
}

/// What a field says in text; whatever else it has says nothing.
struct Said<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Said<'a>, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Said<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Said<'de>, E> {
                Ok(Said(Some(Cow::Borrowed(s))))
            }
            fn visit_str<E>(self, s: &str) -> Result<Said<'de>, E> {
                Ok(Said(Some(Cow::Owned(s.to_owned()))))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Said<'de>, E> {
                Ok(Said(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Said<'de>, E> {
                Ok(Said(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Said<'de>, E> {
                Ok(Said(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Said<'de>, E> {
                Ok(Said(None))
            }
            fn visit_unit<E>(self) -> Result<Said<'de>, E> {
                Ok(Said(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Said<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Said(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Said(None))
            }
        }
        d.deserialize_any(V)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::ACCOUNT;

    fn takes(asked: &ExpectedIdentity, answer: &Value) -> bool {
        let body = answer.to_string();
        let page = json!({ "rows": [answer] }).to_string();
        let one = asked.clone().one(|_| Ok(()))(body.as_bytes()).is_ok();
        let rows = asked.clone().rows("rows", |_| Ok(()))(page.as_bytes()).is_ok();
        assert_eq!(one, rows, "{answer}");
        one
    }

    #[test]
    fn an_answer_is_of_what_was_asked_or_none() {
        const SID: &str = "PN0000000000000000000000000000000a";
        let number: E164 = "+15005550100".parse().unwrap();
        let asked = ExpectedIdentity::of(ACCOUNT).sid(SID).number("phone_number", number).belongs("service_sid", "MG1");
        let right = json!({
            "sid": SID, "account_sid": ACCOUNT.to_string(), "phone_number": "+15005550100", "service_sid": "MG1"
        });
        assert!(takes(&asked, &right));
        let with = |field: &str, value: Value| {
            let mut answer = right.clone();
            answer[field] = value;
            takes(&asked, &answer)
        };
        assert!(with("sid", SID.to_lowercase().into()), "however it is written");
        for (field, value) in [("account_sid", json!(null)), ("phone_number", json!("")), ("service_sid", json!(null))]
        {
            assert!(with(field, value), "{field} is not said");
        }
        assert!(with("phone_number", "sip:+15005550101@example.com".into()), "no telephone number");
        for (field, value) in [
            ("sid", json!("PN0000000000000000000000000000000b")),
            ("sid", json!("")),
            ("sid", json!(null)),
            ("sid", json!(7)),
            ("account_sid", json!("AC00000000000000000000000000000099")),
            ("phone_number", json!("+15005550101")),
            ("service_sid", json!("MG2")),
        ] {
            assert!(!with(field, value.clone()), "{field} {value}");
        }
        assert!(!takes(&asked, &json!([])));
        assert!(asked.one(|_| Ok(()))(b"<html>").is_err());
    }
}
