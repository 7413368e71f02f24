//! One page of a list: parsed in one pass into borrowed rows, and taken apart row by row only when
//! that fails, to find the bad ones.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json::Json;
use super::{BadRow, Listed, Reader, Text, WireRow, date};
use crate::core::model::bounds;
use crate::core::model::id::E164;
use crate::core::model::redact::told;
use crate::core::model::time::Time;

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<Result<WireRow<T>, BadRow>>,
    /// Newest time among all rows that have one, ours or not.
    pub newest: Option<Time>,
    /// Newest time among its last rows, by which it can be told how far back it goes: a single row may be out of order.
    pub reaches: Option<Time>,
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
    let mut json = Json::new(body);
    let fast = envelope::<L, L::Raw<'_>, _, _>(&mut json, |raw| L::convert(&raw, reader));
    if let Ok(Envelope { rows, next }) = fast
        && json.is_at_end()
        && rows.iter().all(Result::is_ok)
    {
        return Ok(finish::<L>(rows, next));
    }
    // What is not UTF-8 spoils one field, a caller's name perhaps, and not the page.
    let text = String::from_utf8_lossy(body);
    // Some row is bad, or all of it is: taken apart, with the raw text of what is bad.
    let mut json = serde_json::Deserializer::from_str(&text);
    let whole = envelope::<L, &RawValue, _, _>(&mut json, |raw| row::<L>(raw, reader));
    let Envelope { rows, next } =
        whole.and_then(|page| json.end().map(|()| page)).map_err(|e| not_a_page(e.to_string()))?;
    Ok(finish::<L>(rows, next))
}

/// Reads one row on its own; a bad one is kept for diagnosis.
pub fn row<L: Listed>(raw: &RawValue, reader: Reader<'_>) -> Result<WireRow<L::Item>, BadRow> {
    serde_json::from_str::<L::Raw<'_>>(raw.get())
        .map_err(|e| BadRow::new("row", e))
        .and_then(|row| L::convert(&row, reader))
        .map_err(|bad| {
            let glance: Glance<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
            let is_of_others = glance.is_of_others::<L>(reader);
            BadRow {
                raw: outline(raw.get(), reader),
                at: glance.at(),
                number: glance.number(),
                is_of_others,
                ..bad.told(reader)
            }
        })
}

/// What can be told of a row that cannot be understood.
#[derive(Default, Deserialize)]
struct Glance<'a> {
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    from: Text<'a>,
    #[serde(borrow, default)]
    phone_number: Text<'a>,
    #[serde(borrow, default)]
    parent_call_sid: Text<'a>,
    #[serde(borrow, default)]
    messaging_service_sid: Text<'a>,
    #[serde(borrow, default)]
    start_time: Text<'a>,
    #[serde(borrow, default)]
    date_sent: Text<'a>,
    #[serde(borrow, default)]
    date_generated: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
}

impl Glance<'_> {
    fn number(&self) -> Option<E164> {
        self.phone_number.get()?.parse().ok()
    }

    fn at(&self) -> Option<Time> {
        let dates = [&self.start_time, &self.date_sent, &self.date_generated, &self.date_created];
        dates.into_iter().find_map(|text| date(text.get()?).ok())
    }

    /// True if it names whose it is, and that is none of ours. A leg that was dialled is its parent's, and who answers
    /// for a service may answer for one of ours.
    fn is_of_others<L: Listed>(&self, reader: Reader<'_>) -> bool {
        let named = |field: &&str| match *field {
            "to" => &self.to,
            "from" => &self.from,
            _ => &self.phone_number,
        };
        let is_other = |text: &Text<'_>| text.get().is_some() && reader.ours("", text) == Ok(None);
        let may_belong = self.parent_call_sid.get().is_some() || self.messaging_service_sid.get().is_some();
        !L::OF.is_empty() && !may_belong && L::OF.iter().all(|field| is_other(named(field)))
    }
}

fn finish<L: Listed>(rows: Vec<Result<WireRow<L::Item>, BadRow>>, next: Option<String>) -> Page<L::Item> {
    let times = rows.iter().filter_map(|r| match r {
        Ok(WireRow::Ours(item)) => L::time(item),
        Ok(WireRow::NotOurs(at)) => *at,
        Err(_) => None,
    });
    let newest = times.clone().max();
    let reaches = times.rev().take(LAST_ROWS).max();
    Page { rows, newest, reaches, next }
}

/// Rows at the end of a page that say together how far back it goes.
const LAST_ROWS: usize = 10;

/// A row for diagnosis: ids, states, dates and counts as they are, of everything else only its kind
/// and size. A message's text, a caller's name and numbers in all their dresses are not ours to log.
fn outline(raw: &str, reader: Reader<'_>) -> String {
    if raw.len() > bounds::RECORD_BYTES {
        return format!("{} bytes, which no row has", raw.len());
    }
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
                serde_json::Value::String(text) if is_plain(&key) => text,
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
    told(&serde_json::Value::Object(outlined).to_string(), reader.roster)
}

const TOO_MANY_ROWS: &str = "it has more rows than a page can";

/// The rows of a page that is read for its own sake: no more than a page can have.
#[derive(Debug)]
pub struct PageRows<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PageRows<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<PageRows<T>, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = PageRows<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of rows")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PageRows<T>, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = seq.next_element()? {
                    if rows.len() == bounds::PAGE_ROWS {
                        return Err(serde::de::Error::custom(TOO_MANY_ROWS));
                    }
                    rows.push(row);
                }
                Ok(PageRows(rows))
            }
        }
        d.deserialize_seq(V(PhantomData))
    }
}

struct Envelope<T> {
    rows: Vec<T>,
    next: Option<String>,
}

/// Reads a list's envelope, turning each row of type `R` into a `T` as it comes: a page's rows are
/// never all there in raw form.
fn envelope<'a, L: Listed, R: Deserialize<'a>, T, D: Deserializer<'a>>(
    json: D,
    convert: impl FnMut(R) -> T,
) -> Result<Envelope<T>, D::Error> {
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
            let mut rows = Vec::with_capacity(64);
            while let Some(row) = seq.next_element()? {
                if rows.len() == bounds::PAGE_ROWS {
                    return Err(serde::de::Error::custom(TOO_MANY_ROWS));
                }
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

    json.deserialize_map(V::<L, R, _>(convert, PhantomData))
}
