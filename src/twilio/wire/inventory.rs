//! What an account has, whether it is watched or not, with the names that people gave it: for whoever makes the first
//! configuration. Names go no further than that file and its terminal.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::numbers::{RawApplication, RawService, Services, account, number};
use super::{BadRow, Listed, Reader, Text, WireRow};
use crate::core::model::foreign::Line;
use crate::core::model::value::FieldValue;
use crate::core::routing::record::{Application, NumberRecord, Service};

/// Something of the account, and what people call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T> {
    pub it: T,
    /// Empty if it has no name.
    pub name: Line,
}

impl<T> Named<T> {
    /// What it takes in memory, with the texts of these fields.
    fn bytes_with(&self, fields: [&Option<FieldValue>; 5]) -> usize {
        let texts = fields.into_iter().flatten().map(|value| value.whole().len());
        size_of::<Named<T>>() + self.name.as_str().len() + texts.sum::<usize>()
    }
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
        let it = &item.it;
        let urls = [&it.voice_url, &it.voice_fallback_url, &it.sms_url, &it.sms_fallback_url, &it.status_callback];
        item.bytes_with(urls)
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
        let it = &item.it;
        let urls = [&it.voice_url, &it.voice_fallback_url, &it.sms_url, &it.sms_fallback_url, &it.status_callback];
        item.bytes_with(urls)
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
