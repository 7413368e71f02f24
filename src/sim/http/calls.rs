//! Calls and messages: list and fetch.

use serde::Serialize;

use super::date::Rfc2822;
use super::page::RowBody;
use super::view::{
    Below, Formatted, Null, Phone, Reached, ReachedFormatted, ResourceAnswer, ResourceText, ResourceView, one,
};
use crate::core::model::id::{AccountSid, CallSid, E164, MessageSid, NumberSid, ServiceSid, TrunkSid};
use crate::core::model::time::Time;
use crate::sim::log::Slice;
use crate::sim::row::{
    CallDirection, CallState, MessageDirection, MessageState, SimCall, SimCallStatus, SimMessage, SimMessageStatus,
};

const CALL_PARTS: [(&str, &str); 9] = [
    ("notifications", "/Notifications.json"),
    ("recordings", "/Recordings.json"),
    ("payments", "/Payments.json"),
    ("events", "/Events.json"),
    ("siprec", "/Siprec.json"),
    ("streams", "/Streams.json"),
    ("transcriptions", "/Transcriptions.json"),
    ("user_defined_message_subscriptions", "/UserDefinedMessageSubscriptions.json"),
    ("user_defined_messages", "/UserDefinedMessages.json"),
];

#[derive(Serialize)]
struct CallBody<'a> {
    sid: CallSid,
    date_created: Rfc2822,
    date_updated: Rfc2822,
    parent_call_sid: Option<CallSid>,
    account_sid: AccountSid,
    to: Reached,
    to_formatted: ReachedFormatted,
    from: Phone,
    from_formatted: Formatted,
    phone_number_sid: NumberSid,
    status: &'static str,
    start_time: Option<Rfc2822>,
    end_time: Option<Rfc2822>,
    duration: Option<ResourceText<u32>>,
    price: Option<ResourceText<String>>,
    price_unit: &'static str,
    direction: &'static str,
    answered_by: Null,
    api_version: &'static str,
    forwarded_from: Option<Phone>,
    group_sid: Null,
    caller_name: Option<&'static str>,
    queue_time: ResourceText<u64>,
    trunk_sid: Option<TrunkSid>,
    uri: String,
    subresource_uris: Below<'a>,
}

impl RowBody for CallBody<'_> {
    fn sid(&self) -> String {
        self.sid.to_string()
    }
}

/// What a minute costs, in hundred-thousandths of a dollar.
fn minute_rate(direction: CallDirection) -> u32 {
    match direction {
        CallDirection::Inbound => 850,
        CallDirection::OutboundDial | CallDirection::OutboundApi => 1400,
        CallDirection::TrunkingOriginating => 450,
    }
}

pub fn dollars(hundred_thousandths: u32) -> String {
    format!("-{}.{:05}", hundred_thousandths / 100_000, hundred_thousandths % 100_000)
}

impl ResourceView<'_> {
    fn call(&self, call: &SimCall, state: CallState) -> CallBody<'static> {
        let stem = format!("/2010-04-01/Accounts/{}/Calls/{}", self.account(), call.sid);
        let changed = match (state.over, state.priced) {
            (false, _) => call.start,
            (true, false) => call.end(),
            (true, true) => call.priced.from(call.start),
        };
        let dialled = call.dialled.from(call.start);
        let minutes = call.duration.div_ceil(60).max(1);
        let price = dollars(minutes * minute_rate(call.direction));
        let trunk = call.trunk.map(|i| self.world.scenario.trunks[i as usize].sid);
        CallBody {
            sid: call.sid,
            date_created: self.rfc2822(call.start),
            date_updated: self.rfc2822(changed),
            parent_call_sid: call.parent(),
            account_sid: self.account(),
            to: Reached { digits: call.to, trunk },
            to_formatted: ReachedFormatted(Reached { digits: call.to, trunk }),
            from: Phone(call.from),
            from_formatted: Formatted(call.from),
            phone_number_sid: self.world.numbers[call.number as usize].sid,
            status: state.status.label(),
            start_time: (state.status != SimCallStatus::Queued).then(|| self.rfc2822(dialled)),
            end_time: state.over.then(|| self.rfc2822(call.end())),
            duration: state.over.then_some(ResourceText(if state.status == call.status { call.duration } else { 0 })),
            price: state.priced.then_some(ResourceText(price)),
            price_unit: "USD",
            direction: call.direction.label(),
            answered_by: Null,
            api_version: "2010-04-01",
            forwarded_from: self.forwarded_from(call),
            group_sid: Null,
            caller_name: (!matches!(call.direction, CallDirection::OutboundDial | CallDirection::OutboundApi))
                .then_some(""),
            queue_time: ResourceText(dialled.since(call.start).as_millis() as u64),
            trunk_sid: trunk,
            uri: format!("{stem}.json"),
            subresource_uris: Below { stem, names: &CALL_PARTS },
        }
    }

    /// The number that the caller dialled, where its old provider sent the call on.
    fn forwarded_from(&self, call: &SimCall) -> Option<Phone> {
        if call.direction != CallDirection::Inbound {
            return None;
        }
        let (number, groups) = (&self.world.numbers[call.number as usize], &self.world.scenario.groups);
        let of = groups[number.group].forwarded_from.as_ref()?;
        let dialled = groups.iter().find(|g| g.name == *of)?.all_numbers().nth(number.rank)?;
        Some(Phone(dialled.as_u64()))
    }

    pub fn calls(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let number = |name| self.query.get(name).map(|v| v.parse::<E164>().map_or(u64::MAX, E164::as_u64));
        let (to, from) = (number("To"), number("From"));
        let parent = self.query.get("ParentCallSid").map(|v| v.parse().unwrap_or(CallSid::from_u128(0)));
        let (status, ended, now) = (self.query.get("Status"), self.between("EndTime"), self.listed());
        if self.query.get("StartTime").is_some() && self.query.get("EndTime").is_some() {
            // Both as exact dates find nothing at all at Twilio.
            let nothing = Slice { rows: Vec::new(), more: false };
            return self.list_2010("calls", &paging, Some(nothing), |(c, s): &(SimCall, CallState)| self.call(c, *s));
        }
        let within = |t: Time| ended.from.is_none_or(|f| t >= f) && ended.before.is_none_or(|b| t < b);
        let wanted = |call: &SimCall| {
            // A search for the number does not find its URI.
            to.is_none_or(|n| call.to == n && call.trunk.is_none())
                && from.is_none_or(|n| call.from == n)
                && parent.is_none_or(|p| call.parent() == Some(p))
                && call.listed_at(now).is_some_and(|state| {
                    status.is_none_or(|s| state.status.label() == s)
                        && (ended.from.is_none() && ended.before.is_none() || state.over && within(call.end()))
                })
        };
        let slice = self.world.calls.page(self.between("StartTime"), paging.anchor, paging.size, wanted);
        self.list_2010("calls", &paging, slice, |c| {
            self.call(c, c.listed_at(now).expect("the filter has kept listed rows"))
        })
    }

    /// A call as Twilio itself knows it.
    pub fn call_now(&self, sid: CallSid) -> ResourceAnswer {
        let found = self.world.calls.get(sid.as_u128()).and_then(|c| Some((c, c.known_at(self.world.now)?)));
        found.map_or_else(|| Err(self.not_found()), |(call, state)| one(&self.call(call, state)))
    }

    pub fn call_by_sid(&self) -> ResourceAnswer {
        let call = self.route.sid.parse::<CallSid>().ok().and_then(|sid| self.world.calls.get(sid.as_u128()));
        let state = |call: &SimCall| match self.is_fetched_at_once() {
            true => call.known_at(self.world.now),
            false => call.listed_at(self.listed()),
        };
        let found = call.and_then(|c| Some((c, state(c)?)));
        found.map_or_else(|| Err(self.not_found()), |(call, state)| one(&self.call(call, state)))
    }
}

const MESSAGE_PARTS: [(&str, &str); 2] = [("media", "/Media.json"), ("feedback", "/Feedback.json")];

#[derive(Serialize)]
struct MessageBody<'a> {
    body: &'a str,
    num_segments: &'static str,
    direction: &'static str,
    from: Phone,
    to: Phone,
    date_updated: Rfc2822,
    price: Option<&'static str>,
    error_message: Option<&'static str>,
    uri: String,
    account_sid: AccountSid,
    num_media: &'static str,
    status: &'static str,
    messaging_service_sid: Option<ServiceSid>,
    sid: MessageSid,
    date_sent: Option<Rfc2822>,
    date_created: Rfc2822,
    error_code: Option<u32>,
    price_unit: &'static str,
    api_version: &'static str,
    subresource_uris: Below<'a>,
}

impl RowBody for MessageBody<'_> {
    fn sid(&self) -> String {
        self.sid.to_string()
    }
}

/// What people write, and what they are answered.
fn words(message: &SimMessage) -> &str {
    const ASKED: [&str; 5] = ["Hi, are you open today?", "STATUS", "Where is my order?", "Please call me back", "Y"];
    const TOLD: [&str; 3] = ["Thanks, we will be in touch.", "We are open until six.", "Got it."];
    let pick = message.sid.as_u128();
    match (&message.body, message.direction) {
        (Some(body), _) => body,
        (None, MessageDirection::Reply) => TOLD[(pick % 3) as usize],
        (None, MessageDirection::Inbound | MessageDirection::Api) => ASKED[(pick % 5) as usize],
    }
}

/// What Twilio's dictionary calls the codes of messages that do not arrive.
fn error_message(code: u32) -> &'static str {
    match code {
        30003 => "Unreachable destination handset",
        30005 => "Unknown destination handset",
        30006 => "Landline or unreachable carrier",
        30007 => "Message filtered",
        30032 => "Toll-Free Number Has Not Been Verified",
        30034 => "Message from an Unregistered Number",
        30035 => "Message from a number still being configured",
        _ => "Unknown error",
    }
}

impl ResourceView<'_> {
    fn message<'m>(&self, m: &'m SimMessage, state: MessageState) -> MessageBody<'m> {
        let stem = format!("/2010-04-01/Accounts/{}/Messages/{}", self.account(), m.sid);
        let changed = if state.done { m.done.from(m.at) } else { m.at };
        let error = m.error.filter(|_| state.done);
        MessageBody {
            body: words(m),
            num_segments: "1",
            direction: m.direction.label(),
            from: Phone(m.from),
            to: Phone(m.to),
            date_updated: self.rfc2822(changed),
            price: (state.priced && state.status != SimMessageStatus::Failed).then_some("-0.00750"),
            error_message: error.map(error_message),
            uri: format!("{stem}.json"),
            account_sid: self.account(),
            num_media: "0",
            status: state.status.label(),
            messaging_service_sid: m.service.map(|i| self.world.scenario.services[i as usize].sid),
            sid: m.sid,
            date_sent: (state.status != SimMessageStatus::Queued).then(|| self.rfc2822(m.at)),
            date_created: self.rfc2822(m.at),
            error_code: error,
            price_unit: "USD",
            api_version: "2010-04-01",
            subresource_uris: Below { stem, names: &MESSAGE_PARTS },
        }
    }

    pub fn messages(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let number = |name| self.query.get(name).map(|v| v.parse::<E164>().map_or(u64::MAX, E164::as_u64));
        let (to, from, now) = (number("To"), number("From"), self.listed());
        let wanted = |m: &SimMessage| {
            to.is_none_or(|n| m.to == n) && from.is_none_or(|n| m.from == n) && m.listed_at(now).is_some()
        };
        let slice = self.world.messages.page(self.between("DateSent"), paging.anchor, paging.size, wanted);
        self.list_2010("messages", &paging, slice, |m| {
            self.message(m, m.listed_at(now).expect("the filter has kept listed rows"))
        })
    }

    /// A message as Twilio itself knows it.
    pub fn message_now(&self, sid: MessageSid) -> ResourceAnswer {
        let found = self.world.messages.get(sid.as_u128()).and_then(|m| Some((m, m.known_at(self.world.now)?)));
        found.map_or_else(|| Err(self.not_found()), |(m, state)| one(&self.message(m, state)))
    }

    pub fn message_by_sid(&self) -> ResourceAnswer {
        let message = self.route.sid.parse::<MessageSid>().ok().and_then(|sid| self.world.messages.get(sid.as_u128()));
        let state = |m: &SimMessage| match self.is_fetched_at_once() {
            true => m.known_at(self.world.now),
            false => m.listed_at(self.listed()),
        };
        let found = message.and_then(|m| Some((m, state(m)?)));
        found.map_or_else(|| Err(self.not_found()), |(m, state)| one(&self.message(m, state)))
    }
}
