//! Lists: what may be asked of a page, and the envelope it comes in.
//!
//! The 2010 API puts host-relative URIs beside the rows; the later ones put absolute URLs into `meta`.
//! Both page by a token that names the last row seen, so rows that arrive meanwhile shift nothing.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::error::ApiError;
use crate::sim::log::{Anchor, Slice};
use crate::sim::scenario::LargerPage;

/// A request's query or form, in the order in which it came.
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(raw: &[u8]) -> Query {
        Query(url::form_urlencoded::parse(raw).into_owned().collect())
    }

    /// The parameter's value, if it has one that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub fn into_pairs(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter()
    }

    fn filters(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter().filter(|(n, _)| !matches!(n.as_str(), "Page" | "PageSize" | "PageToken"))
    }
}

/// Which page, and how large.
pub struct Paging {
    pub size: usize,
    pub anchor: Option<Anchor>,
    page: usize,
}

impl Paging {
    const DEFAULT: usize = 50;
    const MOST: usize = 1000;

    pub fn of(query: &Query, larger: LargerPage) -> Result<Paging, ApiError> {
        let size = match query.get("PageSize").map(str::parse) {
            None => Paging::DEFAULT,
            Some(Ok(size)) if (1..=Paging::MOST).contains(&size) => size,
            Some(Ok(1..)) if larger == LargerPage::Cut => Paging::MOST,
            Some(_) => return Err(ApiError::bad_request(20007, "Page size must be between 1 and 1000")),
        };
        let anchor = query.get("PageToken").map(anchor).transpose()?;
        let page = query.get("Page").and_then(|p| p.parse().ok()).unwrap_or(0);
        if page > 0 && anchor.is_none() {
            // Pages cannot be made up: only their tokens lead to them.
            return Err(ApiError::bad_request(70002, "Paged requests must include a PageToken"));
        }
        Ok(Paging { size, anchor, page })
    }

    /// How many rows the client has seen after this page at most.
    pub fn seen(&self) -> usize {
        (self.page + 1) * self.size
    }
}

pub fn bad_token() -> ApiError {
    ApiError::bad_request(21481, "Invalid PageToken")
}

/// `PA` or `PB`, then a SID: the rows after it, or those before it.
fn anchor(token: &str) -> Result<Anchor, ApiError> {
    let digits = |t: &str| t.get(2..).filter(|d| d.len() == 32).and_then(|d| u128::from_str_radix(d, 16).ok());
    let after = token.strip_prefix("PA").and_then(digits).map(Anchor::OlderThan);
    let before = || token.strip_prefix("PB").and_then(digits).map(Anchor::NewerThan);
    after.or_else(before).ok_or_else(bad_token)
}

/// A row as it is sent.
pub trait RowBody: Serialize {
    fn sid(&self) -> String;
}

/// The page of a list.
pub struct Envelope<'a> {
    pub key: &'static str,
    /// Scheme and host, for the APIs that write absolute URLs.
    pub base: Option<&'a str>,
    pub path: &'a str,
    pub query: &'a Query,
    pub paging: &'a Paging,
}

impl Envelope<'_> {
    /// The page as JSON.
    pub fn render<'r, T, B: RowBody>(&self, slice: &Slice<'r, T>, body: impl Fn(&'r T) -> B) -> Vec<u8> {
        let rows: Vec<B> = slice.rows.iter().map(|r| body(r)).collect();
        let page = Page { envelope: self, rows: &rows, more: slice.more };
        // Some six hundred bytes a row: no growing by halves.
        let mut out = Vec::with_capacity(512 + rows.len() * 1800);
        serde_json::to_writer(&mut out, &page).expect("rows are strings, numbers and maps with string keys");
        out
    }

    fn uri(&self, page: usize, token: Option<String>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.query.filters());
        query.append_pair("PageSize", &self.paging.size.to_string());
        query.append_pair("Page", &page.to_string());
        if let Some(token) = token {
            query.append_pair("PageToken", &token);
        }
        format!("{}{}?{}", self.base.unwrap_or_default(), self.path, query.finish())
    }
}

struct Page<'a, B> {
    envelope: &'a Envelope<'a>,
    rows: &'a [B],
    more: bool,
}

impl<B: RowBody> Page<'_, B> {
    fn this(&self) -> String {
        let e = self.envelope;
        e.uri(e.paging.page, e.query.get("PageToken").map(str::to_owned))
    }

    fn next(&self) -> Option<String> {
        let last = self.rows.last().filter(|_| self.more)?;
        Some(self.envelope.uri(self.envelope.paging.page + 1, Some(format!("PA{}", last.sid()))))
    }

    fn previous(&self) -> Option<String> {
        let (first, page) = (self.rows.first()?, self.envelope.paging.page.checked_sub(1)?);
        Some(self.envelope.uri(page, Some(format!("PB{}", first.sid()))))
    }
}

impl<B: RowBody> Serialize for Page<'_, B> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (e, mut map) = (self.envelope, s.serialize_map(None)?);
        if e.base.is_some() {
            map.serialize_entry("meta", &Meta(self))?;
            map.serialize_entry(e.key, self.rows)?;
            return map.end();
        }
        let start = e.paging.page * e.paging.size;
        map.serialize_entry("first_page_uri", &e.uri(0, None))?;
        map.serialize_entry("end", &(start + self.rows.len().saturating_sub(1)))?;
        map.serialize_entry("previous_page_uri", &self.previous())?;
        map.serialize_entry(e.key, self.rows)?;
        map.serialize_entry("uri", &self.this())?;
        map.serialize_entry("page_size", &e.paging.size)?;
        map.serialize_entry("start", &start)?;
        map.serialize_entry("next_page_uri", &self.next())?;
        map.serialize_entry("page", &e.paging.page)?;
        map.end()
    }
}

struct Meta<'a, B>(&'a Page<'a, B>);

impl<B: RowBody> Serialize for Meta<'_, B> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let e = self.0.envelope;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("page", &e.paging.page)?;
        map.serialize_entry("page_size", &e.paging.size)?;
        map.serialize_entry("first_page_url", &e.uri(0, None))?;
        map.serialize_entry("previous_page_url", &self.0.previous())?;
        map.serialize_entry("url", &self.0.this())?;
        map.serialize_entry("next_page_url", &self.0.next())?;
        map.serialize_entry("key", e.key)?;
        map.end()
    }
}
