//! Errors of calls and texts that no log shows.
//!
//! Whom Twilio turns away before anything begins, as the callers of a suspended account, may stand in the alert log
//! alone; so does whoever's row is lost. An error waits for the row that it is of. Once the log has long been read
//! beyond it and there is none, somebody met it all the same: who is not known, and often not which of our numbers they
//! called. It is handed on with those that it can be of. It pages where there are many and swaps nothing, for it counts
//! nobody.
//!
//! Of an error that was old when it was first seen, the row may have been read before, or never asked for: that says
//! nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Ledger, LedgerContext, ReadUntil, key};
use crate::detect::observation::{Alert, Level};
use crate::detect::outcome::{AlertEffect, mark};
use crate::model::bounds;
use crate::model::code::{Class, Code};
use crate::model::id::{Channel, NumberSid, Resource};
use crate::model::reason::Reason;
use crate::model::roster::NumberIx;
use crate::model::time::Time;
use crate::model::value::FieldValue;

/// A row comes within this of its call's alerts: Twilio's logs are late by seconds, by some minutes at worst.
const ROW_WITHIN: Duration = Duration::from_secs(300);

/// An error that was raised so long before it was seen is history.
const FRESH: Duration = Duration::from_secs(600);

/// Errors of the account's that turn every caller away, whichever call names them: it is not active, calls to it are
/// rejected, it has too many at once, it has no voice. Others of their class are of what somebody sent or asked for.
/// Source: Twilio's error dictionary, 2026-11.
const TURN_AWAY: [Code; 4] = [Code(10_001), Code(10_003), Code(10_004), Code(10_005)];

/// Those of them that are of callers although they name no call. Others may be of requests to the API, a test call of
/// ours among them.
const TURNED_AWAY: [Code; 2] = [Code(10_003), Code(10_004)];

/// What is looked at in one turn: an account's other numbers have errors too, in any number.
const A_TURN: usize = 200;

/// An error that is of no call and no message of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct UnclaimedError {
    /// When Twilio raised it.
    pub at: Time,
    pub channel: Channel,
    pub concerns: Concerned,
    pub reason: Reason,
    pub code: Code,
    /// The call or message that it names, if it names one.
    pub entry: Option<Resource>,
}

/// The numbers that an error may be of.
#[derive(Clone, Debug, PartialEq)]
pub enum Concerned {
    /// The account's trouble is all its numbers'.
    All,
    Numbers(Arc<[NumberIx]>),
}

/// Errors that wait for their rows, by the log that would have these ([`Channel::index`]) and when they were seen: one
/// that nobody reads keeps those of the other from nothing.
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    waiting: [VecDeque<(Time, Alert)>; 2],
}

/// The channel in whose log the row would be.
fn log_of(alert: &Alert) -> Channel {
    alert.resource.map_or(Channel::Voice, Resource::channel)
}

impl Unclaimed {
    /// Keeps an error until its row has had time to come.
    pub(super) fn wait(&mut self, seen_at: Time, alert: &Alert) {
        let may_harm = match alert.code.class() {
            Class::Account if alert.resource.is_some() => TURN_AWAY.contains(&alert.code),
            Class::Account => TURNED_AWAY.contains(&alert.code),
            Class::Platform
            | Class::Webhook
            | Class::Content
            | Class::Template
            | Class::Media
            | Class::Function
            | Class::Unexplained
            | Class::Unknown => true,
            Class::Dial
            | Class::Origination
            | Class::Sip
            | Class::Recipient
            | Class::Registration
            | Class::Delivery
            | Class::Request
            | Class::Callback
            | Class::Notice
            | Class::Elsewhere => false,
        };
        let is_fresh = seen_at.since(alert.at) <= FRESH;
        let waiting = &mut self.waiting[log_of(alert).index()];
        if alert.level == Level::Error && may_harm && is_fresh && waiting.len() < bounds::ORPHANS {
            waiting.push_back((seen_at, alert.clone()));
        }
    }
}

impl Ledger {
    /// Errors whose rows have had their time and have not come, up to [`A_TURN`] of each log.
    pub fn take_unclaimed(&mut self, now: Time, read: ReadUntil, cx: LedgerContext<'_>) -> Vec<UnclaimedError> {
        let mut unclaimed = Vec::new();
        // Most of them name the same few URLs.
        let mut known: HashMap<(Option<FieldValue>, Option<NumberSid>, Code, Channel), Arc<[NumberIx]>> =
            HashMap::new();
        let mut due = Vec::new();
        for (waiting, read) in self.unclaimed.waiting.iter_mut().zip(read.logs) {
            let is_due = |(seen_at, _): &mut (Time, Alert)| *seen_at + ROW_WITHIN <= now.min(read);
            due.extend(std::iter::from_fn(|| waiting.pop_front_if(is_due)).take(A_TURN).map(|(_, alert)| alert));
        }
        for alert in due {
            if self.is_claimed(&alert) {
                continue;
            }
            let reason = reason(alert.code);
            let mut tell = |channel, concerns| {
                let (at, code, entry) = (alert.at, alert.code, alert.resource);
                unclaimed.push(UnclaimedError { at, channel, concerns, reason, code, entry });
            };
            if reason == Reason::Account {
                tell(log_of(&alert), Concerned::All);
                continue;
            }
            for channel in Channel::ALL {
                if alert.resource.is_none_or(|resource| resource.channel() == channel) {
                    let key = (alert.url.clone(), alert.number, alert.code, channel);
                    let numbers = known.entry(key).or_insert_with(|| may_be_of(&alert, channel, cx));
                    if !numbers.is_empty() {
                        tell(channel, Concerned::Numbers(numbers.clone()));
                    }
                }
            }
        }
        unclaimed
    }

    /// Its row has come, or it was raised while a call or text of its number was under way.
    fn is_claimed(&self, alert: &Alert) -> bool {
        match alert.resource {
            Some(resource) => {
                let of_leg = matches!(resource, Resource::Call(_)) && self.children.contains_key(&key(resource));
                of_leg || self.entries[resource.channel().index()].contains_key(&key(resource))
            }
            None => self.nameless.is_weighed(alert),
        }
    }
}

/// What an error says that nobody can be asked about: what a swap would cure is not known of a call that is not seen.
fn reason(code: Code) -> Reason {
    match code.class() {
        Class::Account => Reason::Account,
        Class::Platform => Reason::Platform,
        Class::Template => Reason::Template,
        Class::Webhook
        | Class::Content
        | Class::Dial
        | Class::Origination
        | Class::Sip
        | Class::Recipient
        | Class::Registration
        | Class::Delivery
        | Class::Request
        | Class::Callback
        | Class::Media
        | Class::Function
        | Class::Notice
        | Class::Elsewhere
        | Class::Unexplained
        | Class::Unknown => Reason::Unexplained,
    }
}

/// The numbers of ours that it names: by themselves, or by a URL of theirs that serves callers where it names no call.
/// A call of another number that has the same URL is in the log, and is nobody's of ours.
fn may_be_of(alert: &Alert, channel: Channel, cx: LedgerContext<'_>) -> Arc<[NumberIx]> {
    let numbers = cx.roster.numbers().filter(|(_, n)| n.channels[channel.index()]).map(|(ix, _)| ix);
    let is_of = |ix: &NumberIx| {
        let effect = mark(alert, cx.routes.webhooks(cx.roster, *ix, channel));
        let is_named = alert.number.is_some_and(|sid| cx.routes.record(*ix).is_some_and(|r| r.sid == sid));
        let is_at_url = alert.resource.is_none() && effect >= Some(AlertEffect::OwnFallback);
        is_at_url || is_named && effect >= Some(AlertEffect::Unexplained)
    };
    numbers.filter(is_of).collect()
}
