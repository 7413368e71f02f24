//! What has had its grace settles, and what is long over is forgotten.

use std::time::Duration;

use super::{Body, Entry, Ledger, LedgerContext, OutcomeChange, ReadUntil, answers, key};
use crate::model::facts::LONGEST_CALL;
use crate::model::id::{Channel, Resource};
use crate::model::time::Time;

/// What was over for so long when it was first seen is history: Twilio's logs are late by seconds to some minutes, and
/// an agent that was away reads what is hours old.
const HISTORY: Duration = Duration::from_secs(600);

impl Entry {
    /// It is history, and is judged in its turn, when what happened beside it has been read too.
    pub(super) fn waits_for_others(&self) -> bool {
        let over_at = match self.body {
            Body::Call { ended_at, .. } => ended_at.unwrap_or(self.started_at),
            Body::Message { .. } => self.started_at,
        };
        let is_new = !self.is_settled && self.outcome.is_none() && !self.is_probe;
        is_new && self.body.is_over() && self.seen_at.since(over_at) > HISTORY
    }
}

impl Ledger {
    /// There is something that [`Ledger::settle`] would settle.
    pub fn is_due(&self, now: Time, read: ReadUntil) -> bool {
        self.next_overdue(now, read.logs).is_some() || self.is_any_ended(now, read)
    }

    fn is_any_ended(&self, now: Time, read: ReadUntil) -> bool {
        self.ended.front().is_some_and(|(seen_at, _)| *seen_at + self.waits() <= now.min(read.alerts))
            || self.late.front().is_some_and(|(seen_at, _)| *seen_at + answers::ANSWERED_WITHIN <= now.min(read.alerts))
    }

    /// Settles what has had its grace, `most` entries at the most.
    pub fn settle(&mut self, now: Time, read: ReadUntil, most: usize, cx: LedgerContext<'_>) -> Vec<OutcomeChange> {
        self.forget_late(now);
        let mut changes = Vec::new();
        self.give_up_senders(now, now.min(read.logs[Channel::Messaging.index()]), cx, &mut changes);
        for _ in 0..most {
            if !self.is_any_ended(now, read) {
                let Some(overdue) = self.next_overdue(now, read.logs) else { break };
                changes.extend(self.give_up_state(now, overdue, cx));
                continue;
            }
            let is_late =
                |(seen_at, _): &mut (Time, Resource)| *seen_at + answers::ANSWERED_WITHIN <= now.min(read.alerts);
            let Some((seen_at, resource)) = self.late.pop_front_if(is_late).or_else(|| self.ended.pop_front()) else {
                break;
            };
            if self.may_be_answered_late(now.min(read.alerts), seen_at, resource, cx) {
                self.late.push_back((seen_at, resource));
                continue;
            }
            if let Some(entry) = self.entries[resource.channel().index()].get_mut(&key(resource)) {
                entry.is_settled = true;
                if !cx.routes.is_read(entry.number, resource.channel()) {
                    self.unread.entry(entry.number).or_default().push((seen_at, resource));
                }
                changes.extend(self.judge(now, resource, cx));
            }
        }
        self.give_up_placing(now, now.min(read.alerts), read.numbers, cx, &mut changes);
        changes
    }

    /// Forgets ended entries that started before `before`. Told again of them, it would take them
    /// for new, so whoever reads the logs must not go back that far.
    pub fn prune(&mut self, before: Time) {
        let given_up = before - LONGEST_CALL;
        let open = &mut self.open;
        for (map, channel) in self.entries.iter_mut().zip(Channel::ALL) {
            map.retain(|_, e| {
                // Nothing waits for ever, but what is not over is still to come.
                let before = if e.body.is_over() { before } else { given_up };
                let keep = e.started_at >= before || e.seen_at >= before;
                if !keep && e.outcome.is_none() {
                    let open = &mut open[e.number.0 as usize][channel.index()];
                    *open = open.saturating_sub(1);
                }
                keep
            });
        }
        let calls = &self.entries[0];
        self.children.retain(|_, leg| leg.seen_at >= before || calls.contains_key(&leg.parent));
        self.orphans.retain(|_, o| o.since >= before);
        self.named.retain(|key| self.orphans.contains_key(key));
        self.orphaned_alerts = self.orphans.values().map(|o| o.alerts.len()).sum();
        self.prune_unplaced();
        self.answers.prune(before);
        self.nameless.prune(before);
        self.overdue.prune(before);
    }
}
