//! An answer is held against what was asked: the account, and the SID or the numbers of the request.
//!
//! Who a record is of comes from the question. A proxy's cache, a simulator or a mistaken rewrite that answers with
//! another number's record would have us judge, and write to, the wrong one. Such an answer is none
//! ([`super::ErrorKind::NotTwilio`]): it is asked for again, and nothing follows from it.

use serde_json::Value;

use crate::core::model::id::{AccountSid, E164};

/// What an answer must be of.
#[derive(Debug, Clone)]
pub struct Asked(Vec<(&'static str, Want)>);

#[derive(Debug, Clone)]
enum Want {
    /// Must be there.
    This(String),
    /// Must be no other, if it is there.
    NoOther(String),
    /// Must be no other telephone number. A SIP address, or whatever else is none, is not compared.
    Number(E164),
}

impl Asked {
    pub fn of(account: AccountSid) -> Asked {
        Asked(vec![("account_sid", Want::NoOther(account.to_string()))])
    }

    /// Asked for by this SID.
    #[must_use]
    pub fn sid(self, sid: impl ToString) -> Asked {
        self.and("sid", Want::This(sid.to_string()))
    }

    /// Of something that `field` names by its SID.
    #[must_use]
    pub fn belongs(self, field: &'static str, sid: impl ToString) -> Asked {
        self.and(field, Want::NoOther(sid.to_string()))
    }

    /// Of this number, which `field` has.
    #[must_use]
    pub fn number(self, field: &'static str, number: E164) -> Asked {
        self.and(field, Want::Number(number))
    }

    fn and(mut self, field: &'static str, want: Want) -> Asked {
        self.0.push((field, want));
        self
    }

    /// Reads an answer about one thing with `parse`, if it is of what was asked.
    pub fn one<T>(self, parse: impl Fn(&[u8]) -> Result<T, String>) -> impl Fn(&[u8]) -> Result<T, String> {
        move |body| {
            let read = parse(body)?;
            self.check(&json(body)?)?;
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
            let page = json(body)?;
            let rows = page.get(key).and_then(Value::as_array);
            rows.into_iter().flatten().try_for_each(|row| self.check(row))?;
            Ok(read)
        }
    }

    fn check(&self, answer: &Value) -> Result<(), String> {
        for (field, want) in &self.0 {
            let said = answer.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
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
                let said = said.unwrap_or("nothing");
                return Err(format!("it is of something else: {field} is {said}, and {asked} was asked for"));
            }
        }
        Ok(())
    }
}

fn json(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::model::id::testing::ACCOUNT;

    fn takes(asked: &Asked, answer: &Value) -> bool {
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
        let asked = Asked::of(ACCOUNT).sid(SID).number("phone_number", number).belongs("service_sid", "MG1");
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
