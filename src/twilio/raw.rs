//! The logs' rows as Twilio writes them, for a recording. Whoever asks for them takes care of whom they name.

use std::marker::PhantomData;

use serde_json::{Map, Value};

use super::host::Product;
use super::wire::{self, BadRow, Listed, Reader, WireRow, date};
use super::{Client, Pager, endpoint, query};
use crate::core::model::facts::LARGEST_PAGE;
use crate::core::model::time::Time;

/// A row with its fields, and when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct RawRow {
    pub at: Option<Time>,
    pub fields: Map<String, Value>,
}

/// A list whose rows are not understood.
pub struct RawRows<L>(PhantomData<L>);

/// The dates by which logs are ordered, the first that is set.
const DATES: [&str; 4] = ["start_time", "date_sent", "date_generated", "date_created"];

/// When a row happened.
pub fn happened(fields: &Map<String, Value>) -> Option<Time> {
    DATES.iter().find_map(|name| date(fields.get(*name)?.as_str()?).ok())
}

impl<L: Listed> Listed for RawRows<L> {
    const KEY: &'static str = L::KEY;
    const IS_LOG: bool = L::IS_LOG;
    type Raw<'a> = Map<String, Value>;
    type Item = RawRow;

    fn convert(raw: &Map<String, Value>, _: Reader<'_>) -> Result<WireRow<RawRow>, BadRow> {
        Ok(WireRow::Ours(RawRow { at: happened(raw), fields: raw.clone() }))
    }

    fn time(row: &RawRow) -> Option<Time> {
        row.at
    }
}

/// One of the lists that a recording is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawList {
    Numbers,
    Calls,
    Messages,
    Errors,
    Warnings,
}

impl RawList {
    pub const ALL: [RawList; 5] =
        [RawList::Numbers, RawList::Calls, RawList::Messages, RawList::Errors, RawList::Warnings];

    pub const fn label(self) -> &'static str {
        match self {
            RawList::Numbers => "numbers",
            RawList::Calls => "calls",
            RawList::Messages => "messages",
            RawList::Errors => "errors",
            RawList::Warnings => "warnings",
        }
    }

    /// The kind of a recording's line.
    pub const fn kind(self) -> &'static str {
        match self {
            RawList::Numbers => "number",
            RawList::Calls => "call",
            RawList::Messages => "message",
            RawList::Errors | RawList::Warnings => "alert",
        }
    }
}

impl Client {
    /// The rows of a list from `since` on; with `at`, from that page on.
    pub fn raw_calls(&self, since: Time, at: Option<String>) -> Pager<'_, RawRows<wire::Calls>> {
        let query = query(&[("StartTime>", &super::day(since)), ("PageSize", &LARGEST_PAGE.to_string())]);
        let path = at.unwrap_or_else(|| self.account_path(&format!("Calls.json?{query}")));
        self.pager(endpoint::LIST_CALLS, Product::Api, path)
    }

    /// Likewise.
    pub fn raw_messages(&self, since: Time, at: Option<String>) -> Pager<'_, RawRows<wire::Messages>> {
        let query = query(&[("DateSent>", &super::day(since)), ("PageSize", &LARGEST_PAGE.to_string())]);
        let path = at.unwrap_or_else(|| self.account_path(&format!("Messages.json?{query}")));
        self.pager(endpoint::LIST_MESSAGES, Product::Api, path)
    }

    /// Likewise, of one level, `error` or `warning`.
    pub fn raw_alerts(&self, level: &str, since: Time, at: Option<String>) -> Pager<'_, RawRows<wire::Alerts>> {
        let since = since.floor_to_second().to_timestamp().to_string();
        let size = LARGEST_PAGE.to_string();
        let query = query(&[("LogLevel", level), ("StartDate", &since), ("PageSize", &size)]);
        let path = at.unwrap_or_else(|| format!("/v1/Alerts?{query}"));
        self.pager(endpoint::LIST_ALERTS, Product::Monitor, path)
    }

    /// The account's numbers.
    pub fn raw_numbers(&self, at: Option<String>) -> Pager<'_, RawRows<wire::Numbers>> {
        let path =
            at.unwrap_or_else(|| self.account_path(&format!("IncomingPhoneNumbers.json?PageSize={LARGEST_PAGE}")));
        self.pager(endpoint::LIST_NUMBERS, Product::Api, path)
    }
}
