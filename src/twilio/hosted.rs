//! Orders for hosted numbers: their messages move to Twilio, and their calls stay with the old provider. Reads only.
//!
//! An order also has the owner's name, addresses and the words in which it was refused. None of these is read.

use serde::Deserialize;

use super::host::Product;
use super::wire::{BadRow, Listed, Reader, Text, WireRow, date};
use super::{Client, Error, Pager, endpoint};
use crate::core::model::facts::LARGEST_SERVICE_PAGE;
use crate::core::model::foreign::Line;
use crate::core::model::id::AccountSid;
use crate::core::model::redact::told;
use crate::core::port::news::{PortFound, PortState};
use crate::core::port::status::PortStatus;

#[derive(Deserialize)]
struct RawOrder<'a> {
    #[serde(borrow, default)]
    account_sid: Text<'a>,
    #[serde(borrow, default)]
    phone_number: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    date_updated: Text<'a>,
}

struct HostedOrders;

impl Listed for HostedOrders {
    const KEY: &'static str = "items";
    type Raw<'a> = RawOrder<'a>;
    type Item = (Option<AccountSid>, PortFound);

    fn bytes(_: &Self::Item) -> usize {
        size_of::<Self::Item>()
    }

    fn convert(raw: &RawOrder<'_>, reader: Reader<'_>) -> Result<WireRow<Self::Item>, BadRow> {
        let number = raw.phone_number.get().and_then(|t| t.parse().ok());
        let Some(number) = number.filter(|n| reader.roster.has(*n)) else { return Ok(WireRow::NotOurs(None)) };
        let word = raw.status.get().unwrap_or_default();
        let status = PortStatus::read_hosted(word);
        let is_unknown = status == PortStatus::Unknown && !word.is_empty();
        let state = PortState {
            is_hosted: true,
            word: is_unknown.then(|| Line::new(&told(word, reader.roster))),
            since: raw.date_updated.get().and_then(|t| date(t).ok()),
            ..PortState::of(status)
        };
        let account = raw.account_sid.get().and_then(|t| t.parse().ok());
        Ok(WireRow::Ours((account, PortFound { number, state })))
    }
}

impl Client {
    /// Those of our numbers that are hosted, or are to be, and how far each order is.
    pub async fn hosted_orders(&self) -> Result<Vec<PortFound>, Error> {
        let path = format!("/v2/HostedNumber/Orders?PageSize={LARGEST_SERVICE_PAGE}");
        let pager: Pager<'_, HostedOrders> = self.pager(endpoint::LIST_HOSTED_ORDERS, Product::Numbers, path);
        let account = self.account();
        let of_ours = pager.whole().await?.into_iter().filter(|(of, _)| of.is_none_or(|of| of == account));
        Ok(of_ours.map(|(_, found)| found).collect())
    }
}
