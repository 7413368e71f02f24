//! Twilio's JSON as it is, and its conversion into the core's words.
//!
//! What is read leniently: `null`, `""` and a missing field are the same; numbers may come as
//! strings and strings as numbers; both date formats are taken; new fields and new words are
//! survived. What is not: a row without a SID, a date that is none. Such a row is set aside whole
//! and the page goes on.
//!
//! A page is parsed in one pass into borrowed rows; only when that fails is it taken apart row by
//! row to find the bad ones.
//!
//! Here the other party's number turns into a [`Party`] and goes no further (law 11).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::core::code::Code;
use crate::core::id::{ApplicationSid, E164, NumberSid, ServiceSid};
use crate::core::observation::{
    Alert, Call, CallStatus, Direction, Leg, Level, Message, MessageStatus, Party, Resource,
};
use crate::core::roster::Roster;
use crate::core::routing::{Application, NumberRecord, Service, bare};
use crate::core::time::Time;
use crate::party::PartyKey;

/// A field that may be text, a number, `null`, empty or absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text<'a>(Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
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
}

impl BadRow {
    fn new(field: &'static str, problem: impl fmt::Display) -> BadRow {
        BadRow { field, problem: problem.to_string(), raw: String::new() }
    }
}

/// What a row turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Row<T> {
    Ours(T),
    /// Of a number that is not ours, or of a kind that says nothing to us; and when it happened.
    Foreign(Option<Time>),
}

/// What is needed to read rows: which numbers are ours, and how callers are made unrecognisable.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub roster: &'a Roster,
    pub key: &'a PartyKey,
}

impl Reader<'_> {
    fn party(&self, number: &Text<'_>) -> Party {
        let text = number.get().unwrap_or("");
        let e164 = text.parse::<E164>().ok();
        Party {
            hash: self.key.hash(text),
            last_two: e164.map(E164::last_two),
            is_prober: e164.is_some_and(|n| self.roster.is_prober(n)),
        }
    }

    fn ours(&self, number: &Text<'_>) -> Option<E164> {
        let number = number.get()?.parse().ok()?;
        self.roster.find(number).map(|_| number)
    }
}

/// One of Twilio's lists: the shape of its rows and what they become.
pub trait Listed {
    /// Name of the array in the page.
    const KEY: &'static str;
    type Raw<'a>: Deserialize<'a>;
    type Item;
    fn convert(raw: &Self::Raw<'_>, reader: Reader<'_>) -> Result<Row<Self::Item>, BadRow>;
    /// When the entry happened, by which lists are ordered and cut off; `None` where they are not.
    fn time(item: &Self::Item) -> Option<Time>;
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<Result<Row<T>, BadRow>>,
    /// Newest time among all rows that have one, ours or not.
    pub newest: Option<Time>,
    /// `next_page_uri`, or `meta.next_page_url`.
    pub next: Option<String>,
}

/// A body that is not a page of this list.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("not a page of {key}: {problem}")]
pub struct NotAPage {
    pub key: &'static str,
    pub problem: String,
}

/// Reads a page. Bad rows are in it as errors; a body that is no page at all is an error itself.
pub fn page<L: Listed>(body: &[u8], reader: Reader<'_>) -> Result<Page<L::Item>, NotAPage> {
    let not_a_page = |problem: String| NotAPage { key: L::KEY, problem };
    // Checked once for the whole page, not once for each string in it. What is not UTF-8 spoils one
    // field, a caller's name perhaps, and not the page.
    let text = String::from_utf8_lossy(body);
    let fast = envelope::<L, L::Raw<'_>, _>(&text, |raw| L::convert(&raw, reader));
    if let Ok(Envelope { rows, next }) = fast
        && rows.iter().all(Result::is_ok)
    {
        return Ok(finish::<L>(rows, next));
    }
    // Some row is bad, or all of it is: taken apart, with the raw text of what is bad.
    let Envelope { rows, next } =
        envelope::<L, &RawValue, _>(&text, |raw| row::<L>(raw, reader)).map_err(|e| not_a_page(e.to_string()))?;
    Ok(finish::<L>(rows, next))
}

/// Reads one row on its own; a bad one is kept for diagnosis.
pub fn row<L: Listed>(raw: &RawValue, reader: Reader<'_>) -> Result<Row<L::Item>, BadRow> {
    serde_json::from_str::<L::Raw<'_>>(raw.get())
        .map_err(|e| BadRow::new("row", e))
        .and_then(|row| L::convert(&row, reader))
        .map_err(|bad| BadRow { raw: outline(raw.get()), problem: masked(&bad.problem), ..bad })
}

fn finish<L: Listed>(rows: Vec<Result<Row<L::Item>, BadRow>>, next: Option<String>) -> Page<L::Item> {
    let newest = rows
        .iter()
        .filter_map(|r| match r {
            Ok(Row::Ours(item)) => L::time(item),
            Ok(Row::Foreign(at)) => *at,
            Err(_) => None,
        })
        .max();
    Page { rows, newest, next }
}

/// How much of a bad row is kept.
const RAW_KEPT: usize = 2000;

/// A row for diagnosis: ids, states, dates and counts as they are, of everything else only its kind
/// and size. A message's text, a caller's name and numbers in all their dresses are not ours to log.
fn outline(raw: &str) -> String {
    let Ok(serde_json::Value::Object(row)) = serde_json::from_str::<serde_json::Value>(raw) else {
        return format!("{} bytes that are no object", raw.len());
    };
    let is_plain = |key: &str| {
        key == "sid"
            || ["_sid", "_time", "_code", "_level"].iter().any(|end| key.ends_with(end))
            || ["date_", "num_"].iter().any(|start| key.starts_with(start))
            || ["status", "direction", "duration", "origin", "type"].contains(&key)
    };
    let outlined: serde_json::Map<String, serde_json::Value> = row
        .into_iter()
        .map(|(key, value)| {
            let shown = match value {
                serde_json::Value::String(text) if is_plain(&key) => masked(&text),
                serde_json::Value::String(text) => format!("{} characters", text.chars().count()),
                serde_json::Value::Array(list) => format!("a list of {}", list.len()),
                serde_json::Value::Object(map) => format!("an object of {}", map.len()),
                serde_json::Value::Number(_) if !is_plain(&key) => "a number".to_owned(),
                plain @ (serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
                    return (key, plain);
                }
            };
            (key, shown.into())
        })
        .collect();
    serde_json::Value::Object(outlined).to_string().chars().take(RAW_KEPT).collect()
}

/// Text with the digits of telephone numbers replaced.
fn masked(raw: &str) -> String {
    let raw: String = raw.chars().take(RAW_KEPT).collect();
    let mut parts = raw.split('+');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        // Fewer digits are a date's offset from UTC.
        let hidden = if digits >= 7 { digits } else { 0 };
        out = out + "+" + &"*".repeat(hidden) + &part[hidden..];
    }
    out
}

struct Envelope<T> {
    rows: Vec<T>,
    next: Option<String>,
}

/// Reads a list's envelope, turning each row of type `R` into a `T` as it comes: a page's rows are
/// never all there in raw form.
fn envelope<'a, L: Listed, R: Deserialize<'a>, T>(
    body: &'a str,
    convert: impl FnMut(R) -> T,
) -> Result<Envelope<T>, serde_json::Error> {
    struct V<L, R, F>(F, PhantomData<(L, R)>);
    struct Rows<R, F>(F, PhantomData<R>);

    impl<'de, R: Deserialize<'de>, T, F: FnMut(R) -> T> DeserializeSeed<'de> for Rows<R, F> {
        type Value = Vec<T>;
        fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Vec<T>, D::Error> {
            d.deserialize_seq(self)
        }
    }

    impl<'de, R: Deserialize<'de>, T, F: FnMut(R) -> T> Visitor<'de> for Rows<R, F> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of rows")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Vec<T>, A::Error> {
            // A page has at most 1,000 rows.
            let mut rows = Vec::with_capacity(64);
            while let Some(row) = seq.next_element()? {
                rows.push((self.0)(row));
            }
            Ok(rows)
        }
    }

    impl<'de, L: Listed, R: Deserialize<'de>, T, F: FnMut(R) -> T> Visitor<'de> for V<L, R, F> {
        type Value = Envelope<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object with {:?}", L::KEY)
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Envelope<T>, A::Error> {
            #[derive(Deserialize)]
            struct Meta<'a> {
                #[serde(borrow, default)]
                next_page_url: Text<'a>,
            }
            let mut rows = None;
            let mut next = None;
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if key == L::KEY {
                    rows = Some(map.next_value_seed(Rows(&mut self.0, PhantomData))?);
                } else if key == "next_page_uri" {
                    next = map.next_value::<Text<'de>>()?.owned();
                } else if key == "meta" {
                    next = map.next_value::<Meta<'de>>()?.next_page_url.owned();
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            let rows = rows.ok_or_else(|| serde::de::Error::missing_field(L::KEY))?;
            Ok(Envelope { rows, next })
        }
    }

    let mut d = serde_json::Deserializer::from_str(body);
    let envelope = d.deserialize_map(V::<L, R, _>(convert, PhantomData))?;
    d.end()?;
    Ok(envelope)
}

/// Either of Twilio's date formats.
pub fn date(text: &str) -> Result<Time, String> {
    static RFC2822: jiff::fmt::rfc2822::DateTimeParser = jiff::fmt::rfc2822::DateTimeParser::new();
    // ISO 8601 has its first dash after the year.
    if text.as_bytes().get(4) == Some(&b'-') {
        return text.parse().map_err(|_| not_a_date(text));
    }
    RFC2822.parse_timestamp(text).map(Time::from).map_err(|_| not_a_date(text))
}

fn not_a_date(text: &str) -> String {
    format!("{:?} is neither an RFC 2822 nor an ISO 8601 date", text.chars().take(60).collect::<String>())
}

fn optional_date(field: &'static str, text: &Text<'_>) -> Result<Option<Time>, BadRow> {
    text.get().map(date).transpose().map_err(|e| BadRow::new(field, e))
}

fn sid<T: std::str::FromStr<Err: fmt::Display>>(field: &'static str, text: &Text<'_>) -> Result<T, BadRow> {
    text.get().unwrap_or("").parse().map_err(|e| BadRow::new(field, e))
}

fn optional_sid<T: std::str::FromStr<Err: fmt::Display>>(
    field: &'static str,
    text: &Text<'_>,
) -> Result<Option<T>, BadRow> {
    text.get().map(str::parse).transpose().map_err(|e| BadRow::new(field, e))
}

#[derive(Deserialize)]
pub struct RawCall<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    parent_call_sid: Text<'a>,
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    from: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    direction: Text<'a>,
    #[serde(borrow, default)]
    start_time: Text<'a>,
    #[serde(borrow, default)]
    end_time: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
    #[serde(borrow, default)]
    duration: Text<'a>,
}

pub struct Calls;

impl Listed for Calls {
    const KEY: &'static str = "calls";
    type Raw<'a> = RawCall<'a>;
    type Item = Call;

    fn convert(raw: &RawCall<'_>, reader: Reader<'_>) -> Result<Row<Call>, BadRow> {
        let sid = sid("sid", &raw.sid)?;
        let started_at = match optional_date("start_time", &raw.start_time)? {
            Some(at) => Some(at),
            None => optional_date("date_created", &raw.date_created)?,
        };
        let leg = match raw.direction.get() {
            Some("inbound" | "trunking-originating") => match reader.ours(&raw.to) {
                Some(number) => Leg::Inbound { number, caller: reader.party(&raw.from) },
                None => return Ok(Row::Foreign(started_at)),
            },
            Some("outbound-dial") => match optional_sid("parent_call_sid", &raw.parent_call_sid)? {
                Some(parent) => Leg::Child { parent },
                None => return Ok(Row::Foreign(started_at)),
            },
            // API calls and whatever else: nobody called us.
            _ => return Ok(Row::Foreign(started_at)),
        };
        let started_at =
            started_at.ok_or_else(|| BadRow::new("start_time", "neither start_time nor date_created is set"))?;
        let duration = raw
            .duration
            .get()
            .map(|d| d.parse().map_err(|_| BadRow::new("duration", format!("{d:?} is not a number of seconds"))))
            .transpose()?;
        Ok(Row::Ours(Call {
            sid,
            leg,
            status: CallStatus::from_wire(raw.status.get().unwrap_or("")),
            started_at,
            ended_at: optional_date("end_time", &raw.end_time)?,
            duration,
        }))
    }

    fn time(call: &Call) -> Option<Time> {
        Some(call.started_at)
    }
}

#[derive(Deserialize)]
pub struct RawMessage<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    from: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    direction: Text<'a>,
    #[serde(borrow, default)]
    date_sent: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    messaging_service_sid: Text<'a>,
}

pub struct Messages;

impl Listed for Messages {
    const KEY: &'static str = "messages";
    type Raw<'a> = RawMessage<'a>;
    type Item = Message;

    fn convert(raw: &RawMessage<'_>, reader: Reader<'_>) -> Result<Row<Message>, BadRow> {
        let sid = sid("sid", &raw.sid)?;
        let (direction, ours, other) = match raw.direction.get() {
            Some("inbound") => (Direction::Inbound, &raw.to, &raw.from),
            Some("outbound-reply") => (Direction::Reply, &raw.from, &raw.to),
            Some(_) => (Direction::Outbound, &raw.from, &raw.to),
            None => return Err(BadRow::new("direction", "is missing")),
        };
        let sent_at = match optional_date("date_sent", &raw.date_sent)? {
            Some(at) => Some(at),
            None => optional_date("date_created", &raw.date_created)?,
        };
        let Some(number) = reader.ours(ours) else {
            return Ok(Row::Foreign(sent_at));
        };
        let sent_at = sent_at.ok_or_else(|| BadRow::new("date_sent", "neither date_sent nor date_created is set"))?;
        Ok(Row::Ours(Message {
            sid,
            number,
            party: reader.party(other),
            direction,
            status: MessageStatus::from_wire(raw.status.get().unwrap_or("")),
            sent_at,
            error: raw.error_code.get().and_then(|c| c.parse().ok()).filter(|c| *c != 0).map(Code),
            service: optional_sid("messaging_service_sid", &raw.messaging_service_sid)?,
        }))
    }

    fn time(message: &Message) -> Option<Time> {
        Some(message.sent_at)
    }
}

#[derive(Deserialize)]
pub struct RawAlert<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    resource_sid: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    log_level: Text<'a>,
    #[serde(borrow, default)]
    request_url: Text<'a>,
    #[serde(borrow, default)]
    date_generated: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
}

pub struct Alerts;

impl Listed for Alerts {
    const KEY: &'static str = "alerts";
    type Raw<'a> = RawAlert<'a>;
    type Item = Alert;

    fn convert(raw: &RawAlert<'_>, _: Reader<'_>) -> Result<Row<Alert>, BadRow> {
        let resource = match raw.resource_sid.get() {
            Some(s) if s.starts_with("CA") => Some(Resource::Call(sid("resource_sid", &raw.resource_sid)?)),
            Some(s) if s.starts_with("SM") || s.starts_with("MM") => {
                Some(Resource::Message(sid("resource_sid", &raw.resource_sid)?))
            }
            _ => None,
        };
        let code = raw.error_code.get().unwrap_or("");
        let generated_at = optional_date("date_generated", &raw.date_generated)?;
        Ok(Row::Ours(Alert {
            sid: sid("sid", &raw.sid)?,
            resource,
            code: Code(code.parse().map_err(|_| BadRow::new("error_code", format!("{code:?} is not a number")))?),
            level: Level::from_wire(raw.log_level.get().unwrap_or("")),
            // On GET the query has the caller's number in it, and user and password are nobody's business.
            url: raw.request_url.get().map(bare),
            at: generated_at
                .or(optional_date("date_created", &raw.date_created)?)
                .ok_or_else(|| BadRow::new("date_created", "neither date_generated nor date_created is set"))?,
        }))
    }

    fn time(alert: &Alert) -> Option<Time> {
        Some(alert.at)
    }
}

/// A number's record: what we understand of it, and the whole of it as Twilio wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRead {
    /// Applications carry their SIDs only, and no Messaging Service is known yet.
    pub record: NumberRecord,
    /// Every field, for the snapshot.
    pub raw: String,
}

#[derive(Deserialize)]
struct RawNumber<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow)]
    phone_number: Text<'a>,
    #[serde(borrow, default)]
    trunk_sid: Text<'a>,
    #[serde(borrow, default)]
    voice_application_sid: Text<'a>,
    #[serde(borrow, default)]
    voice_url: Text<'a>,
    #[serde(borrow, default)]
    voice_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    voice_receive_mode: Text<'a>,
    #[serde(borrow, default)]
    sms_application_sid: Text<'a>,
    #[serde(borrow, default)]
    sms_url: Text<'a>,
    #[serde(borrow, default)]
    sms_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    status_callback: Text<'a>,
}

/// Reads one number's record.
pub fn number(raw: &RawValue) -> Result<NumberRead, BadRow> {
    let n: RawNumber<'_> = serde_json::from_str(raw.get()).map_err(|e| BadRow::new("row", e))?;
    let application = |field, text| {
        optional_sid::<ApplicationSid>(field, text).map(|sid| {
            sid.map(|sid| Application {
                sid,
                voice_url: None,
                voice_fallback_url: None,
                sms_url: None,
                sms_fallback_url: None,
                status_callback: None,
            })
        })
    };
    let record = NumberRecord {
        sid: sid("sid", &n.sid)?,
        number: sid("phone_number", &n.phone_number)?,
        trunk: optional_sid("trunk_sid", &n.trunk_sid)?,
        voice_application: application("voice_application_sid", &n.voice_application_sid)?,
        voice_url: n.voice_url.owned(),
        voice_fallback_url: n.voice_fallback_url.owned(),
        fax: n.voice_receive_mode.get() == Some("fax"),
        sms_application: application("sms_application_sid", &n.sms_application_sid)?,
        sms_url: n.sms_url.owned(),
        sms_fallback_url: n.sms_fallback_url.owned(),
        status_callback: n.status_callback.owned(),
        service: None,
    };
    Ok(NumberRead { record, raw: raw.get().to_owned() })
}

pub struct Numbers;

impl Listed for Numbers {
    const KEY: &'static str = "incoming_phone_numbers";
    type Raw<'a> = &'a RawValue;
    type Item = NumberRead;

    fn convert(raw: &&RawValue, reader: Reader<'_>) -> Result<Row<NumberRead>, BadRow> {
        let read = number(raw)?;
        Ok(match reader.roster.find(read.record.number) {
            Some(_) => Row::Ours(read),
            None => Row::Foreign(None),
        })
    }

    fn time(_: &NumberRead) -> Option<Time> {
        None
    }
}

#[derive(Deserialize)]
pub struct RawApplication<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    voice_url: Text<'a>,
    #[serde(borrow, default)]
    voice_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    sms_url: Text<'a>,
    #[serde(borrow, default)]
    sms_fallback_url: Text<'a>,
    #[serde(borrow, default)]
    status_callback: Text<'a>,
}

impl RawApplication<'_> {
    pub fn convert(&self) -> Result<Application, BadRow> {
        Ok(Application {
            sid: sid("sid", &self.sid)?,
            voice_url: self.voice_url.owned(),
            voice_fallback_url: self.voice_fallback_url.owned(),
            sms_url: self.sms_url.owned(),
            sms_fallback_url: self.sms_fallback_url.owned(),
            status_callback: self.status_callback.owned(),
        })
    }
}

#[derive(Deserialize)]
pub struct RawService<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    inbound_request_url: Text<'a>,
    #[serde(borrow, default)]
    fallback_url: Text<'a>,
    #[serde(default)]
    use_inbound_webhook_on_number: Option<bool>,
}

pub struct Services;

impl Listed for Services {
    const KEY: &'static str = "services";
    type Raw<'a> = RawService<'a>;
    type Item = Service;

    fn convert(raw: &RawService<'_>, _: Reader<'_>) -> Result<Row<Service>, BadRow> {
        Ok(Row::Ours(Service {
            sid: sid::<ServiceSid>("sid", &raw.sid)?,
            inbound_url: raw.inbound_request_url.owned(),
            fallback_url: raw.fallback_url.owned(),
            defers_to_number: raw.use_inbound_webhook_on_number.unwrap_or(false),
        }))
    }

    fn time(_: &Service) -> Option<Time> {
        None
    }
}

#[derive(Deserialize)]
pub struct RawEvent<'a> {
    #[serde(borrow, default)]
    actor_type: Text<'a>,
    #[serde(borrow, default)]
    actor_sid: Text<'a>,
    #[serde(borrow, default)]
    source: Text<'a>,
}

/// Entries of the audit log, as who made them: `user US… by web`.
pub struct Events;

impl Listed for Events {
    const KEY: &'static str = "events";
    type Raw<'a> = RawEvent<'a>;
    type Item = String;

    fn convert(raw: &RawEvent<'_>, _: Reader<'_>) -> Result<Row<String>, BadRow> {
        let text = |t: &Text<'_>| t.get().unwrap_or("unknown").to_owned();
        Ok(Row::Ours(format!("{} {} by {}", text(&raw.actor_type), text(&raw.actor_sid), text(&raw.source))))
    }

    fn time(_: &String) -> Option<Time> {
        None
    }
}

#[derive(Deserialize)]
pub struct RawServiceNumber<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
}

/// Numbers of a Messaging Service.
pub struct ServiceNumbers;

impl Listed for ServiceNumbers {
    const KEY: &'static str = "phone_numbers";
    type Raw<'a> = RawServiceNumber<'a>;
    type Item = NumberSid;

    fn convert(raw: &RawServiceNumber<'_>, _: Reader<'_>) -> Result<Row<NumberSid>, BadRow> {
        Ok(Row::Ours(sid("sid", &raw.sid)?))
    }

    fn time(_: &NumberSid) -> Option<Time> {
        None
    }
}
