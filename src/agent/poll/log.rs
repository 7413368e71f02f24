//! What the three logs are, and in what they differ.

use std::hash::Hash;
use std::pin::Pin;

use crate::core::detect::observation::{Alert, Call, Direction, Leg, Message, MessageStatus, Observation};
use crate::core::model::id::{CallSid, E164};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::twilio::wire::{self, BadRow, Listed, WireRow};
use crate::twilio::{AlertLevel, Client, LogEntry, Pager};

/// One of the three logs: how it is listed and what its entries are.
pub trait TwilioLog: Send + 'static {
    type Listed: Listed<Item: LogEntry + Hash + Clone + Send> + Send + Sync;
    const SOURCE: Source;
    /// Every walk goes through the whole overlap: entries come late and out of order, and are few.
    const ALWAYS_FULL: bool;
    /// The lists that make up the log.
    fn lists(client: &Client, since: Time, page_size: usize) -> Vec<Pager<'_, Self::Listed>>;
    fn observation(item: <Self::Listed as Listed>::Item) -> Observation;
    /// True if a later state is to be expected.
    fn is_open(item: &<Self::Listed as Listed>::Item) -> bool;
    /// When the entry could first have been in the log in its final state.
    fn ended_at(item: &<Self::Listed as Listed>::Item) -> Option<Time>;
    /// Who wrote to us with this entry, by the hash of their number.
    fn written_by(_: &Item<Self>, _: IsOurs<'_>) -> Option<u64> {
        None
    }
    /// Of an entry that is of none of our numbers: whose it may be an answer to, by the hash of their number. Of
    /// others' entries nobody wants to know.
    fn may_answer(_: &Item<Self>, _: IsOurs<'_>) -> Option<u64> {
        None
    }
    /// True if the list shows this entry for as long as this is one of our numbers.
    fn is_of_ours(item: &Item<Self>, is_ours: IsOurs<'_>) -> bool;
    /// Fetches one entry, where that is possible.
    fn fetch(_: &Client, _: u128) -> Option<Fetch<Self>> {
        None
    }
}

/// Says whether a telephone number of the account is one of ours.
pub type IsOurs<'a> = &'a dyn Fn(E164) -> bool;

pub type Item<G> = <<G as TwilioLog>::Listed as Listed>::Item;
pub type Fetch<G> = Pin<Box<dyn Future<Output = FetchedRows<G>> + Send>>;
pub type FetchedRows<G> = Result<Result<WireRow<Item<G>>, BadRow>, crate::twilio::Error>;

pub struct CallLog;

impl TwilioLog for CallLog {
    type Listed = wire::Calls;
    const SOURCE: Source = Source::Calls;
    const ALWAYS_FULL: bool = false;

    fn lists(client: &Client, since: Time, page_size: usize) -> Vec<Pager<'_, wire::Calls>> {
        vec![client.calls(since, page_size)]
    }

    fn observation(call: Call) -> Observation {
        Observation::Call(call)
    }

    fn is_open(call: &Call) -> bool {
        !call.status.is_final()
    }

    fn ended_at(call: &Call) -> Option<Time> {
        call.status.is_final().then_some(call.ended_at.unwrap_or(call.started_at))
    }

    fn is_of_ours(call: &Call, is_ours: IsOurs<'_>) -> bool {
        matches!(call.leg, Leg::Inbound { number, .. } if is_ours(number))
    }

    fn fetch(client: &Client, sid: u128) -> Option<Fetch<CallLog>> {
        let client = client.clone();
        Some(Box::pin(async move { client.call(CallSid::from_u128(sid)).await }))
    }
}

pub struct MessageLog;

impl TwilioLog for MessageLog {
    type Listed = wire::Messages;
    const SOURCE: Source = Source::Messages;
    const ALWAYS_FULL: bool = false;

    fn lists(client: &Client, since: Time, page_size: usize) -> Vec<Pager<'_, wire::Messages>> {
        vec![client.messages(since, page_size)]
    }

    fn observation(message: Message) -> Observation {
        Observation::Message(message)
    }

    fn is_open(message: &Message) -> bool {
        !message.status.is_final()
    }

    fn ended_at(message: &Message) -> Option<Time> {
        Some(message.sent_at)
    }

    fn written_by(message: &Message, is_ours: IsOurs<'_>) -> Option<u64> {
        (message.direction == Direction::Inbound && is_ours(message.number)).then_some(message.party.hash)
    }

    fn is_of_ours(message: &Message, is_ours: IsOurs<'_>) -> bool {
        is_ours(message.number)
    }

    fn may_answer(message: &Message, is_ours: IsOurs<'_>) -> Option<u64> {
        // What was refused before there was a sender tells of the service's numbers, whoever it was for.
        let is_refused = message.number == E164::UNASSIGNED
            && matches!(message.status, MessageStatus::Failed | MessageStatus::Undelivered);
        (!is_ours(message.number) && !is_refused).then_some(message.party.hash)
    }
}

pub struct AlertLog;

impl TwilioLog for AlertLog {
    type Listed = wire::Alerts;
    const SOURCE: Source = Source::Alerts;
    const ALWAYS_FULL: bool = true;

    fn lists(client: &Client, since: Time, page_size: usize) -> Vec<Pager<'_, wire::Alerts>> {
        [AlertLevel::Error, AlertLevel::Warning].map(|level| client.alerts(level, since, page_size)).into()
    }

    fn observation(alert: Alert) -> Observation {
        Observation::Alert(alert)
    }

    fn is_open(_: &Alert) -> bool {
        false
    }

    fn ended_at(alert: &Alert) -> Option<Time> {
        Some(alert.at)
    }

    fn is_of_ours(_: &Alert, _: IsOurs<'_>) -> bool {
        true
    }
}
