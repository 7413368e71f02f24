//! Twilio's JSON as it is, and its conversion into the core's types.
//!
//! What is read leniently: `null`, `""` and a missing field are the same; numbers may come as
//! strings and strings as numbers; both date formats are taken; new fields and new words are
//! survived. What is not: a row without a SID, a date that is none. Such a row is set aside whole
//! and the page goes on.
//!
//! Here the other party's number turns into a [`RemoteParty`] and goes no further (law 11). What may hold it besides
//! goes through [`crate::core::model::redact`]: an alert's URL, who made a change, a region's name, what is told of
//! a row that cannot be understood. Texts for people (`alert_text`, `friendly_name`, `caller_name`, `body`) are not
//! read at all; but for our own numbers' records, which a snapshot has whole.

mod inventory;
mod json;
mod logs;
mod numbers;
mod page;
mod sids;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::caller::CallerKey;
use crate::core::detect::observation::RemoteParty;
use crate::core::model::address::{self, Reach};
use crate::core::model::code::Code;
use crate::core::model::id::{AccountSid, E164, NumberId};
use crate::core::model::redact::told;
use crate::core::model::roster::{Roster, UNNAMED_ACCOUNT};
use crate::core::model::time::Time;
use crate::core::model::value::FieldValue;
use crate::core::profile::Prefixes;

pub use inventory::{AccountNumbers, Applications, Named, NamedServices, name};
pub use logs::{Alerts, Calls, Events, Messages, RawAlert, RawCall, RawMessage};
pub use numbers::{NumberRead, Numbers, RawApplication, RawRegions, RawTrunk, ServiceNumbers, Services, number};
pub use page::{NotAPage, Page, PageRows, page, row};
pub use sids::NumberSids;

/// A field that may be text, a number, `null`, empty or absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text<'a>(Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Of a field of a number, which may have secrets in it.
    fn value(&self) -> Option<FieldValue> {
        self.get().map(FieldValue::from)
    }

    fn owned(&self) -> Option<String> {
        self.0.as_ref().map(|s| s.to_string())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Text<'a>, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number or null")
            }
            fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Text<'de>, E> {
                Ok(Text((!s.is_empty()).then_some(Cow::Borrowed(s))))
            }
            fn visit_str<E>(self, s: &str) -> Result<Text<'de>, E> {
                Ok(Text((!s.is_empty()).then(|| Cow::Owned(s.to_owned()))))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(n.to_string()))))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(n.to_string()))))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(n.to_string()))))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
        }
        d.deserialize_any(V)
    }
}

/// A row that cannot be understood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadRow {
    pub field: &'static str,
    pub problem: String,
    /// The row's outline: what may say more than it should is left out.
    pub raw: String,
    /// When it happened, if it says so.
    pub at: Option<Time>,
    /// Of a number's record: which number it names.
    pub number: Option<E164>,
    /// Whatever it is, it is of numbers that are not ours.
    pub is_of_others: bool,
}

impl BadRow {
    /// One of long before what was asked for: whatever the list is, it is not the one that was.
    pub fn not_asked_for(at: Time, from: Time) -> BadRow {
        BadRow::new("date", format!("{at}, although nothing of before {from} was asked for"))
    }

    fn new(field: &'static str, problem: impl fmt::Display) -> BadRow {
        BadRow { field, problem: problem.to_string(), raw: String::new(), at: None, number: None, is_of_others: false }
    }

    /// The same as it may be told: the problem quotes the row.
    #[must_use]
    pub(crate) fn told(self, reader: Reader<'_>) -> BadRow {
        BadRow { problem: told(&self.problem, reader.roster), ..self }
    }
}

/// What a row turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum WireRow<T> {
    Ours(T),
    /// Of a number that is not ours, or of a kind that says nothing to us; and when it happened.
    NotOurs(Option<Time>),
}

/// What is needed to read rows: which numbers are ours, and how callers are made unrecognisable.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub roster: &'a Roster,
    /// Whose log it is: rows that name our telephone numbers are this account's.
    pub account: AccountSid,
    pub key: &'a CallerKey,
    pub sids: &'a NumberSids,
    /// Whose customers callers are, by how their numbers begin.
    pub carriers: Option<&'a Prefixes>,
}

impl Reader<'_> {
    /// In whatever form, one number is one party. What is no number at all, a withheld one or words in its place, is
    /// one party as well: it says nothing of how many they are.
    fn party(&self, number: &Text<'_>) -> RemoteParty {
        let text = number.get().unwrap_or("");
        let party = |e164: E164, hash| RemoteParty {
            hash,
            last_two: Some(e164.last_two()),
            is_prober: self.roster.is_prober(e164),
            carrier: None,
        };
        let number = text.parse::<E164>().ok();
        // Nearly all are written so.
        if let Some(plain) = number.filter(|n| n.is_complete() && !address::stands_for_withheld(*n)) {
            return RemoteParty {
                carrier: self.carriers.and_then(|c| c.carrier(text)),
                ..party(plain, self.key.hash(text))
            };
        }
        let is_known = |number| self.roster.is_prober(number) || self.is_ours(number);
        let named = || address::party(text, self.roster.calling_codes(), is_known);
        match if address::is_withheld(text) { None } else { named() } {
            Some(e164) => {
                let text = e164.to_string();
                RemoteParty {
                    carrier: self.carriers.and_then(|c| c.carrier(&text)),
                    ..party(e164, self.key.hash(&text))
                }
            }
            None => RemoteParty { hash: self.key.hash(""), last_two: None, is_prober: false, carrier: None },
        }
    }

    /// Fails for a row that says it is another account's: a telephone number can have moved between two, and what its
    /// callers met there is not what they meet here. A recording's account need not be known.
    fn own(&self, account: &Text<'_>) -> Result<(), BadRow> {
        match account.get().and_then(|text| text.parse::<AccountSid>().ok()) {
            Some(other) if other != self.account && self.account != UNNAMED_ACCOUNT => {
                Err(BadRow::new("account_sid", format!("is {other}, whose list was not asked for")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The number that `text` names, ours or not.
    fn number(&self, text: &str) -> Option<E164> {
        text.parse().ok().or_else(|| address::party(text, self.roster.calling_codes(), |n| self.is_ours(n)))
    }

    pub(crate) fn is_ours(&self, number: E164) -> bool {
        self.roster.find(NumberId::new(self.account, number)).is_some()
    }

    /// Which of our numbers a row is of, in whatever form it is written there; `None` if of none.
    ///
    /// Fails if it is of one of ours, or may be, and cannot be told which: such a row is nobody's, and is said.
    fn ours(&self, field: &'static str, number: &Text<'_>) -> Result<Option<E164>, BadRow> {
        let text = number.get().unwrap_or("");
        if let Ok(number) = text.parse() {
            return Ok(self.is_ours(number).then_some(number));
        }
        let is_end = |end| self.roster.numbers().any(|(_, n)| address::ends_with(n.id.e164, end));
        match address::reach(text, self.roster.calling_codes(), |number| self.is_ours(number), is_end) {
            Reach::Number(number) => Ok(Some(number)),
            Reach::Elsewhere => Ok(None),
            Reach::Unclear(why) => Err(BadRow::new(field, why)),
        }
    }
}

/// One of Twilio's lists: the shape of its rows and what they become.
pub trait Listed {
    /// Name of the array in the page.
    const KEY: &'static str;
    /// Which of `to`, `from` and `phone_number` name whose a row is; none if it does not say.
    const OF: &'static [&'static str] = &[];
    /// It is ordered by time, the newest first.
    const IS_LOG: bool = false;
    type Raw<'a>: Deserialize<'a>;
    type Item;
    fn convert(raw: &Self::Raw<'_>, reader: Reader<'_>) -> Result<WireRow<Self::Item>, BadRow>;
    /// When the entry happened, by which lists are ordered and cut off; `None` where they are not.
    fn time(_: &Self::Item) -> Option<Time> {
        None
    }
    /// What an item is in memory, of a list that is kept as a whole: all of them together are bounded. A log's entries
    /// are bounded where they are kept.
    fn bytes(_: &Self::Item) -> usize {
        0
    }
}

/// Either of Twilio's date formats.
pub fn date(text: &str) -> Result<Time, String> {
    // ISO 8601 has its first dash after the year.
    if text.as_bytes().get(4) == Some(&b'-') {
        return text.parse().map_err(|_| not_a_date(text));
    }
    of_known_day(text).or_else(|| rfc2822(text)).ok_or_else(|| not_a_date(text))
}

fn rfc2822(text: &str) -> Option<Time> {
    static RFC2822: jiff::fmt::rfc2822::DateTimeParser = jiff::fmt::rfc2822::DateTimeParser::new();
    RFC2822.parse_timestamp(text).ok().map(Time::from)
}

/// A date in the one form that Twilio writes, `Sat, 28 Nov 2026 06:01:02 +0000`. Entries of a log lie close together
/// and have three dates each: of most only the time of day is news, and the day is what it was in the one before.
fn of_known_day(text: &str) -> Option<Time> {
    thread_local!(static LAST: Cell<([u8; 16], Time)> = const { Cell::new(([0; 16], Time::EPOCH)) });
    let (day, time) = text.as_bytes().split_first_chunk::<16>()?;
    let [b' ', h, hh, b':', m, mm, b':', s, ss, b' ', b'+', b'0', b'0', b'0', b'0'] = *time else { return None };
    let below = |end: u32, tens: u8, ones: u8| {
        let is_number = tens.is_ascii_digit() && ones.is_ascii_digit();
        Some(u32::from(tens & 15) * 10 + u32::from(ones & 15)).filter(|n| is_number && *n < end)
    };
    let seconds = below(24, h, hh)? * 3600 + below(60, m, mm)? * 60 + below(60, s, ss)?;
    let (last, mut midnight) = LAST.get();
    if last != *day {
        midnight = rfc2822(&format!("{} 00:00:00 +0000", text.get(..16)?))?;
        LAST.set((*day, midnight));
    }
    Some(Time::from_millis(midnight.as_millis() + i64::from(seconds) * 1000))
}

fn not_a_date(text: &str) -> String {
    format!("{:?} is neither an RFC 2822 nor an ISO 8601 date", text.chars().take(60).collect::<String>())
}

fn optional_date(field: &'static str, text: &Text<'_>) -> Result<Option<Time>, BadRow> {
    text.get().map(date).transpose().map_err(|e| BadRow::new(field, e))
}

pub(super) fn required_date(field: &'static str, text: &Text<'_>) -> Result<Time, BadRow> {
    optional_date(field, text)?.ok_or_else(|| BadRow::new(field, "is missing"))
}

/// The first of an entry's two dates that is set: one that has not begun has only the second.
fn first_date(
    (field, text): (&'static str, &Text<'_>),
    (other, or): (&'static str, &Text<'_>),
) -> Result<Option<Time>, BadRow> {
    Ok(optional_date(field, text)?.or(optional_date(other, or)?))
}

/// An error's code. One that cannot be read is an error all the same.
pub(super) fn code(text: &Text<'_>) -> Code {
    text.get().and_then(|c| c.trim().parse().ok()).map_or(Code::UNNAMED, Code)
}

pub(super) fn sid<T: std::str::FromStr<Err: fmt::Display>>(field: &'static str, text: &Text<'_>) -> Result<T, BadRow> {
    text.get().unwrap_or("").parse().map_err(|e| BadRow::new(field, e))
}

fn optional_sid<T: std::str::FromStr<Err: fmt::Display>>(
    field: &'static str,
    text: &Text<'_>,
) -> Result<Option<T>, BadRow> {
    text.get().map(str::parse).transpose().map_err(|e| BadRow::new(field, e))
}
