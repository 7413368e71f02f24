//! What an account has, whether it is watched or not, with the names that people gave it: for whoever makes the first
//! configuration. Names go no further than that file and its terminal.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::numbers::{RawApplication, RawService, Services, account, number};
use super::{BadRow, Listed, Reader, Text, WireRow};
use crate::core::model::foreign::Line;
use crate::core::routing::record::{Application, NumberRecord, Service};

/// Something of the account, and what people call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T> {
    pub it: T,
    /// Empty if it has no name.
    pub name: Line,
}

#[derive(Deserialize)]
struct RawName<'a> {
    #[serde(borrow, default)]
    friendly_name: Text<'a>,
}

/// What `raw` is called. What has no name that can be read is as good as without one.
pub fn name(raw: &RawValue) -> Line {
    let name = serde_json::from_str::<RawName<'_>>(raw.get()).ok();
    name.as_ref().and_then(|n| n.friendly_name.get()).map_or_else(Line::default, Line::new)
}

/// All of the account's numbers.
pub struct AccountNumbers;

impl Listed for AccountNumbers {
    const KEY: &'static str = "incoming_phone_numbers";
    type Raw<'a> = &'a RawValue;
    type Item = Named<NumberRecord>;

    fn convert(raw: &&RawValue, reader: Reader<'_>) -> Result<WireRow<Self::Item>, BadRow> {
        let read = number(raw)?;
        match account(raw)?.filter(|account| *account != reader.account) {
            Some(other) => Err(BadRow::new("account_sid", format!("is {other}, whose list was not asked for"))),
            None => Ok(WireRow::Ours(Named { it: read.record, name: name(raw) })),
        }
    }

    fn bytes(item: &Self::Item) -> usize {
        let urls = [&item.it.voice_url, &item.it.voice_fallback_url, &item.it.sms_url, &item.it.sms_fallback_url];
        let urls = urls.into_iter().chain([&item.it.status_callback]).flatten().map(|url| url.whole().len());
        size_of::<Self::Item>() + item.name.as_str().len() + urls.sum::<usize>()
    }
}

/// All of the account's TwiML applications.
pub struct Applications;

impl Listed for Applications {
    const KEY: &'static str = "applications";
    type Raw<'a> = &'a RawValue;
    type Item = Named<Application>;

    fn convert(raw: &&RawValue, _: Reader<'_>) -> Result<WireRow<Self::Item>, BadRow> {
        let read: RawApplication<'_> = serde_json::from_str(raw.get()).map_err(|e| BadRow::new("row", e))?;
        Ok(WireRow::Ours(Named { it: read.convert()?, name: name(raw) }))
    }

    fn bytes(item: &Self::Item) -> usize {
        let app = &item.it;
        let urls = [&app.voice_url, &app.voice_fallback_url, &app.sms_url, &app.sms_fallback_url, &app.status_callback];
        let urls = urls.into_iter().flatten().map(|url| url.whole().len());
        size_of::<Self::Item>() + item.name.as_str().len() + urls.sum::<usize>()
    }
}

/// All of the account's Messaging Services.
pub struct NamedServices;

impl Listed for NamedServices {
    const KEY: &'static str = "services";
    type Raw<'a> = &'a RawValue;
    type Item = Named<Service>;

    fn convert(raw: &&RawValue, reader: Reader<'_>) -> Result<WireRow<Self::Item>, BadRow> {
        let read: RawService<'_> = serde_json::from_str(raw.get()).map_err(|e| BadRow::new("row", e))?;
        Ok(match Services::convert(&read, reader)? {
            WireRow::Ours(it) => WireRow::Ours(Named { it, name: name(raw) }),
            WireRow::NotOurs(at) => WireRow::NotOurs(at),
        })
    }

    fn bytes(item: &Self::Item) -> usize {
        Services::bytes(&item.it) + item.name.as_str().len()
    }
}
