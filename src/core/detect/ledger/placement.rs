//! Alerts whose URL the number's routing does not explain, or not yet.
//!
//! Whether an alert is of the handler's own URL follows from what the number points at, and that is read once a
//! minute: an alert of a number that has just been ported, or whose URL was just changed, comes before the record
//! by which it is told. Judged at once it would say nothing, and its call would be taken for served. So it is
//! kept and told again with each new record, and its call is not served before a reading that began later has
//! left the alert unexplained.
//!
//! A number that has never been read has no alert that could be told for its handler's: there nothing is served
//! for want of alerts. Such calls wait, however long, and are judged once the number is read.

use std::time::Duration;

use super::{Ledger, LedgerContext, OutcomeChange, key};
use crate::detect::observation::Alert;
use crate::detect::outcome::{AlertEffect, mark, may_be_placed};
use crate::model::bounds;
use crate::model::code::Code;
use crate::model::id::{CallSid, Channel, Resource};
use crate::model::roster::NumberIx;
use crate::model::time::Time;
use crate::model::value::FieldValue;

/// An alert is explained within this or by nothing: numbers are read each minute, a little late at times.
const PLACED_WITHIN: Duration = Duration::from_secs(90);

/// Up to when was read what outcomes rest on: all that the logs and our numbers showed at these instants has been taken
/// in.
#[derive(Clone, Copy, Debug)]
pub struct ReadUntil {
    pub alerts: Time,
    pub numbers: Time,
    /// The log of calls, and that of messages.
    pub logs: [Time; 2],
}

impl ReadUntil {
    /// All of it was.
    pub const fn all(at: Time) -> ReadUntil {
        ReadUntil { alerts: at, numbers: at, logs: [at; 2] }
    }
}

/// An alert that has found its call or message.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachedAlert {
    pub number: NumberIx,
    pub channel: Channel,
    pub code: Code,
    /// A webhook that serves callers failed: where, and what it answered.
    pub failed: Option<FailedRequest>,
}

/// A request to a webhook that did not get what it should, as Twilio's debugger tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedRequest {
    pub url: FieldValue,
    /// It went to the fallback that we swap to, and not to the number's own handler.
    pub is_fallback: bool,
    /// Where Twilio says it.
    pub http_status: Option<u16>,
    pub code: Code,
    pub at: Time,
}

/// What came of a request that failed: an answer that looks well is none that serves.
pub fn failure_text(http_status: Option<u16>, code: Code) -> String {
    match http_status {
        Some(status) if status >= 400 => format!("answered HTTP {status}"),
        Some(status) => format!("answered HTTP {status} and failed with {code}"),
        None => format!("failed with {code}"),
    }
}

/// A call's or message's alerts that are not explained.
#[derive(Debug)]
pub(super) struct Unplaced {
    /// When the latest of them was seen.
    seen_at: Time,
    alerts: Vec<Alert>,
}

impl Ledger {
    /// Adds what `alert` says to its entry; false if there is no such entry.
    pub(super) fn add_mark(&mut self, at: Time, resource: Resource, alert: &Alert, cx: LedgerContext<'_>) -> bool {
        let channel = resource.channel();
        let Some(entry) = self.entries[channel.index()].get_mut(&key(resource)) else {
            return false;
        };
        let number = entry.number;
        let webhooks = cx.routes.webhooks(cx.roster, number, channel);
        let mark = mark(alert, webhooks);
        if let Some(mark) = mark {
            entry.marks.add(mark, alert.code, alert.at);
        }
        let has_room = self.pending.len() < bounds::UNPLACED_ALERTS;
        if has_room && may_be_placed(alert, webhooks, cx.routes.is_read(number, channel)) {
            let held = self.unplaced.entry((number, resource));
            let held = held.or_insert_with(|| Unplaced { seen_at: at, alerts: Vec::new() });
            if held.alerts.len() < bounds::ALERTS_PER_CALL && !held.alerts.iter().any(|a| a.sid == alert.sid) {
                held.alerts.push(alert.clone());
                held.seen_at = at;
                self.pending.push_back((at, number, resource));
            }
            entry.is_pending = true;
        }
        let is_webhooks = mark.is_some_and(|m| m >= AlertEffect::OwnFallback || m == AlertEffect::OtherUrl);
        let failed = alert.url.clone().filter(|_| is_webhooks).map(|url| FailedRequest {
            url,
            is_fallback: mark == Some(AlertEffect::OurFallback),
            http_status: alert.http_status,
            code: alert.code,
            at: alert.at,
        });
        self.attached.push(AttachedAlert { number, channel, code: alert.code, failed });
        self.note_question(resource, cx);
        true
    }

    /// A number was read, and is not as it was: what its alerts did not say before they may say now.
    pub fn rerouted(&mut self, at: Time, number: NumberIx, cx: LedgerContext<'_>) -> Vec<OutcomeChange> {
        let mut changes = Vec::new();
        let least = |number| (number, Resource::Call(CallSid::from_u128(0)));
        let of_number = self.unplaced.range(least(number)..least(NumberIx(number.0 + 1)));
        for resource in of_number.map(|((_, resource), _)| *resource).collect::<Vec<_>>() {
            let channel = resource.channel();
            let Some(mut held) = self.unplaced.remove(&(number, resource)) else { continue };
            let Some(entry) = self.entries[channel.index()].get_mut(&key(resource)) else { continue };
            let webhooks = cx.routes.webhooks(cx.roster, number, channel);
            held.alerts.retain(|alert| {
                if let Some(mark) = mark(alert, webhooks) {
                    entry.marks.add(mark, alert.code, alert.at);
                }
                may_be_placed(alert, webhooks, cx.routes.is_read(number, channel))
            });
            entry.is_pending = !held.alerts.is_empty();
            if entry.is_pending {
                self.pending.push_back((held.seen_at, number, resource));
                self.unplaced.insert((number, resource), held);
            }
            self.note_question(resource, cx);
            changes.extend(self.judge(at, resource, cx));
        }
        let waiting = self.unread.remove(&number).unwrap_or_default();
        let (read, unread) = waiting.into_iter().partition(|(_, r)| cx.routes.is_read(number, r.channel()));
        if !Vec::is_empty(&unread) {
            self.unread.insert(number, unread);
        }
        for (seen_at, resource) in Vec::into_iter(read) {
            // As if the number had been read when it had its time.
            changes.extend(self.judge(at.min(seen_at + self.waits()), resource, cx));
        }
        let service = cx.routes.record(number).and_then(|r| r.service.as_ref()).map(|s| s.sid);
        self.answers.learn_service(number, service);
        changes.extend(self.claim_waiting(at, number, cx));
        changes.extend(self.answered_before(at, number, cx));
        changes
    }

    /// Takes for another URL's what no reading has explained in time.
    pub(super) fn give_up_placing(
        &mut self,
        now: Time,
        until: Time,
        numbers_until: Time,
        cx: LedgerContext<'_>,
        changes: &mut Vec<OutcomeChange>,
    ) {
        while let Some((seen_at, number, resource)) = self.pending.front().copied() {
            if seen_at + PLACED_WITHIN > until || seen_at > numbers_until {
                break;
            }
            self.pending.pop_front();
            let is_last = self.unplaced.get(&(number, resource)).is_some_and(|held| held.seen_at <= seen_at);
            // What has never been read waits for that.
            if is_last && cx.routes.is_read(number, resource.channel()) {
                self.unplaced.remove(&(number, resource));
                if let Some(entry) = self.entries[resource.channel().index()].get_mut(&key(resource)) {
                    entry.is_pending = false;
                }
                changes.extend(self.judge(now, resource, cx));
            }
        }
    }

    /// Forgets what belongs to entries that are forgotten.
    pub(super) fn prune_unplaced(&mut self) {
        let entries = &self.entries;
        let is_held = |resource: Resource| entries[resource.channel().index()].contains_key(&key(resource));
        self.unplaced.retain(|(_, resource), _| is_held(*resource));
        self.pending.retain(|(_, _, resource)| is_held(*resource));
        self.unread.retain(|_, waiting| {
            waiting.retain(|(_, resource)| is_held(*resource));
            !waiting.is_empty()
        });
    }
}
