//! Calls and messages that a request makes, from one of the account's own numbers.
//!
//! A call has two legs: the outbound one, which exists from the request on and waits for its turn, and,
//! if the other end is one of our numbers at Twilio, an inbound one that takes the number's own way
//! through its effective handler. Nothing links the two but their numbers and their time. A number that
//! is not at Twilio yet is answered by whoever has it. What such calls meet is no part of the
//! [`crate::sim::Truth`], which is about callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Next, World};
use crate::core::model::id::{CallSid, E164, MessageSid, RecordingSid};
use crate::core::model::time::Time;
use crate::sim::chance::{self, Chance, Purpose};
use crate::sim::http::error::ApiError;
use crate::sim::number::SimField;
use crate::sim::row::{After, CallDirection, MessageDirection, SimCall, SimCallStatus, SimMessage, SimMessageStatus};
use crate::sim::text::{Arrival, TextPath};
use crate::sim::voice::{Dial, SimSound, SimStage, VoicePath, listing_lag};

/// Twilio queues calls for so long and then refuses them (22005).
const LONGEST_QUEUE: Duration = Duration::from_secs(86_400);

/// A call is queued for this long even if none is before it.
const SETUP: Duration = Duration::from_millis(200);

/// The carrier of calls that never leave Twilio: a fault of somebody's own carrier spares them.
const ON_NET: &str = "twilio";

/// What requests have made so far.
#[derive(Default)]
pub struct Outbound {
    /// When the next call has its turn.
    turn: Option<Time>,
    count: u64,
    /// By the digits of the outbound leg.
    pub calls: BTreeMap<u128, PlacedCall>,
    /// Recordings that were.
    pub deleted: BTreeSet<RecordingSid>,
}

/// A call, as its request asked for it and as it went.
#[derive(Clone, Debug)]
pub struct PlacedCall {
    /// When it was asked for, and when it had its turn.
    pub asked_at: Time,
    pub turn: Time,
    pub from: E164,
    pub to: E164,
    /// Seconds until the caller gives up ringing, and for which the caller stays once answered.
    pub rings: f64,
    pub stays: f64,
    pub records: bool,
    /// Its recording has both ends apart, and is cut where there is silence.
    pub is_dual: bool,
    pub trims: bool,
    /// What the caller hears.
    pub sound: SimSound,
    /// Keys that the handler plays first.
    pub keys: Option<String>,
    /// The legs at the other end, ours first.
    pub inbound: Vec<u128>,
}

/// What has its turn.
pub enum Placed {
    Call { leg: u128, ordinal: u64 },
    Message { from: E164, to: E164, body: Arc<str>, ordinal: u64 },
}

impl World {
    fn luck_of_request(&mut self) -> (u64, Chance) {
        self.outbound.count += 1;
        (self.outbound.count, chance::stream(self.scenario.seed, Purpose::Placed, self.outbound.count, 0))
    }

    /// Takes a call in; it begins when the calls before it have begun. `from` is the number's index.
    pub fn place_call(&mut self, from: u32, mut call: PlacedCall) -> Result<CallSid, ApiError> {
        let now = self.now;
        let turn = self.outbound.turn.unwrap_or(now).max(now);
        if turn.since(now) > LONGEST_QUEUE {
            return Err(ApiError::new(429, 22005, "Call queue is full"));
        }
        self.outbound.turn = Some(turn + Duration::from_secs_f64(1.0 / self.scenario.twilio.calls_per_second));
        let turn = turn + SETUP;
        let (ordinal, mut luck) = self.luck_of_request();
        let mut leg = SimCall::new(luck.digits(), now, from, SimCallStatus::Ringing, After::NEVER);
        leg.direction = CallDirection::OutboundApi;
        (leg.from, leg.to) = (call.from.as_u64(), call.to.as_u64());
        leg.dialled = After::secs(turn.since(now).as_secs_f64());
        (call.asked_at, call.turn) = (now, turn);
        let sid = leg.sid;
        self.calls.insert(leg);
        self.outbound.calls.insert(sid.as_u128(), call);
        self.queue.push(turn, Next::Placed(Placed::Call { leg: sid.as_u128(), ordinal }));
        Ok(sid)
    }

    /// Takes a message in. `from` is one of the account's numbers.
    pub fn place_message(&mut self, from: E164, to: E164, body: Arc<str>) -> MessageSid {
        let now = self.now;
        let (ordinal, mut luck) = self.luck_of_request();
        let sid = MessageSid::from_u128(luck.digits());
        let travels = luck.between(0.5, 3.0);
        let lag = listing_lag(&mut luck, &self.scenario.lag);
        self.messages.insert(SimMessage {
            sid,
            from: from.as_u64(),
            to: to.as_u64(),
            service: None,
            at: now,
            direction: MessageDirection::Api,
            body: Some(body.clone()),
            status: SimMessageStatus::Delivered,
            before: SimMessageStatus::Queued,
            error: None,
            listed: After::secs(lag),
            done: After::secs(travels + 0.5),
            priced: After::secs(lag + 5.0),
        });
        let arrives = now + Duration::from_secs_f64(travels);
        self.queue.push(arrives, Next::Placed(Placed::Message { from, to, body, ordinal }));
        sid
    }

    /// Something that a request made has its turn.
    pub fn placed(&mut self, placed: &Placed) {
        match placed {
            Placed::Call { leg, ordinal } => self.dial_placed(*leg, *ordinal),
            Placed::Message { from, to, body, ordinal } => self.deliver(*from, *to, body, *ordinal),
        }
    }

    fn dial_placed(&mut self, leg: u128, ordinal: u64) {
        let Some(call) = self.outbound.calls.get(&leg).cloned() else { return };
        if self.calls.get(leg).is_none_or(|l| l.end() <= self.now) {
            // Cancelled while it was queued.
            return;
        }
        let mut luck = chance::stream(self.scenario.seed, Purpose::Placed, ordinal, 1);
        let lag = listing_lag(&mut luck, &self.scenario.lag);
        let number = self.number_of(call.to);
        let at_twilio = number.filter(|i| self.numbers[*i as usize].voice_ported.is_some());
        let (mut legs, sound) = match (at_twilio, number) {
            (Some(number), _) => self.play_placed(&call, number, &mut luck),
            // Whoever has it picks up.
            (None, Some(_)) => (Vec::new(), SimSound::LosingCarrier),
            (None, None) => (Vec::new(), SimSound::Nothing),
        };
        for leg in &mut legs {
            let offset = leg.start.since(self.now).as_secs_f64();
            let gives_up = (call.rings - offset).max(0.0);
            let is_child = leg.parent().is_some();
            if !is_child && leg.answered > After::secs(gives_up) && leg.ended > After::secs(gives_up) {
                leg.cut(After::secs(gives_up));
            }
        }
        if let Some(end) = legs.first().map(|first| first.answered.plus(call.stays).from(first.start)) {
            cut_all(&mut legs, end);
        }
        let (status, answered, ended) = match (legs.first(), sound) {
            (Some(inbound), _) => {
                let status =
                    if inbound.status == SimCallStatus::Canceled { SimCallStatus::NoAnswer } else { inbound.status };
                (status, inbound.answered, inbound.ended)
            }
            (None, SimSound::LosingCarrier) => {
                let picked_up = luck.between(3.0, 9.0);
                let talks = luck.between(15.0, 40.0).min(call.stays);
                let ended = After::secs(picked_up + talks);
                (SimCallStatus::Completed, After::secs(picked_up), ended)
            }
            (None, _) => (SimCallStatus::Failed, After::NEVER, After::secs(3.0)),
        };
        let inbound: Vec<u128> = legs.iter().map(|l| l.sid.as_u128()).collect();
        legs.into_iter().for_each(|l| self.calls.insert(l));
        let keys = at_twilio.and_then(|i| self.keys_of(i));
        if let Some(placed) = self.outbound.calls.get_mut(&leg) {
            placed.keys = keys;
            (placed.inbound, placed.sound) = (inbound, sound);
        }
        if let Some(row) = self.calls.get_mut(leg) {
            row.finish(status, answered, ended, lag);
        }
    }

    /// What the handler of a number plays before it speaks.
    fn keys_of(&self, number: u32) -> Option<String> {
        let VoicePath::Urls { primary, .. } = self.voice_path(&self.numbers[number as usize]) else { return None };
        self.scenario.handlers.iter().find(|h| h.url == primary)?.marker.clone()
    }

    fn play_placed(&mut self, call: &PlacedCall, number: u32, luck: &mut Chance) -> (Vec<SimCall>, SimSound) {
        let n = &self.numbers[number as usize];
        let dial = Dial {
            at: self.now,
            caller: call.from.as_u64(),
            carrier: ON_NET,
            number,
            to: n.e164,
            status_callback: n.record.get(SimField::StatusCallback),
            fate: None,
        };
        let is_ours = |e: E164| self.number_of(e).is_some_and(|i| self.numbers[i as usize].voice_ported.is_some());
        let traffic = &self.groups[n.group].traffic;
        let stage = SimStage { scenario: &self.scenario, traffic, handlers: &self.handlers, is_ours: &is_ours };
        let mut played = stage.play(&dial, &self.voice_path(n), luck);
        for leg in &mut played.legs {
            // A request's caller never withholds its number.
            leg.from = call.from.as_u64();
        }
        played.alerts.into_iter().for_each(|alert| self.alerts.insert(alert));
        (played.legs, played.sound)
    }

    /// Ends a call by a request. `None`: there is no such call.
    pub fn hang_up(&mut self, leg: CallSid, only_if_waiting: bool) -> Option<Result<(), ApiError>> {
        let now = self.now;
        let call = self.outbound.calls.get(&leg.as_u128())?;
        let row = self.calls.get(leg.as_u128())?;
        let state = row.known_at(now)?;
        if state.over || only_if_waiting && state.status == SimCallStatus::InProgress {
            return Some(Err(ApiError::bad_request(21220, "Call is not in a state that allows this")));
        }
        for sid in std::iter::once(leg.as_u128()).chain(call.inbound.clone()) {
            if let Some(row) = self.calls.get_mut(sid) {
                let at = After::secs(now.since(row.start).as_secs_f64());
                row.cut(at);
            }
        }
        Some(Ok(()))
    }

    fn deliver(&mut self, from: E164, to: E164, body: &Arc<str>, ordinal: u64) {
        let Some(number) = self.number_of(to) else { return };
        let n = &self.numbers[number as usize];
        if n.messages_ported.is_none_or(|t| self.now < t) {
            // The old provider has it.
            return;
        }
        let mut luck = chance::stream(self.scenario.seed, Purpose::Placed, ordinal, 1);
        let traffic = &self.groups[n.group].traffic;
        let arrival =
            Arrival { at: self.now, sender: from.as_u64(), carrier: ON_NET, to, reply_error: traffic.reply_error };
        let stage = SimStage { scenario: &self.scenario, traffic, handlers: &self.handlers, is_ours: &|_| false };
        let path: TextPath = self.text_path(n);
        let played = stage.play_text(&arrival, &path, &mut luck);
        for mut message in played.messages {
            if message.direction == MessageDirection::Inbound {
                message.body = Some(body.clone());
            }
            self.messages.insert(message);
        }
        played.alerts.into_iter().for_each(|a| self.alerts.insert(a));
    }
}

/// Cuts whatever is still up at `end`.
fn cut_all(legs: &mut [SimCall], end: Time) {
    for leg in legs {
        leg.cut(After::secs(end.since(leg.start).as_secs_f64()));
    }
}
