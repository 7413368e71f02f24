//! Calls and texts in a state that can no longer be true.
//!
//! A row that says `ringing` for an hour, a leg that goes on when its call is over, a text that is still being
//! received: Twilio has limits for each, and once those are past the row is known to be wrong. What became of the
//! caller is then not known, which is neither health nor a known fault: nothing shows that they were served. It is an
//! outcome, counted as such, and revised by whatever the row says later.
//!
//! A text of ours may wait for hours in its sender's queue, which is emptied in turn: while others leave it waits its
//! turn, up to the limit. When none has left for half an hour, nobody knows that it will. So it is with texts that wait
//! for a Messaging Service to choose their sender: they are of no number yet, and are then told of the first that is
//! ours.
//!
//! All is counted on the log's own freshness: while it cannot be read, a state is not known to last.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::{Body, Entry, Ledger, LedgerContext, OutcomeChange, key};
use crate::detect::observation::{CallStatus, Direction, Message, MessageStatus};
use crate::model::facts::{LONGEST_RING, TEXT_VALID, USUAL_LONGEST_CALL};
use crate::model::id::{AccountSid, Channel, E164, Resource, ServiceSid};
use crate::model::roster::NumberIx;
use crate::model::time::Time;

/// A log shows what has changed late, by a minute or two.
const SHOWN_WITHIN: Duration = Duration::from_secs(120);

/// Twilio names no limit for the reception of a text: it has it, and asks a webhook that has 15 s.
const RECEIVED_WITHIN: Duration = Duration::from_secs(600);

/// A queue out of which nothing has come for so long is not known to move.
const QUEUE_STANDS: Duration = Duration::from_secs(1800);

/// Texts without a sender that are kept, the latest of them: enough to tell that none gets one.
const MOST_SENDERLESS: usize = 256;

#[derive(Debug)]
pub(super) struct Overdue {
    /// By channel: until when what is said of each that is under way may be true.
    until: [BTreeSet<(Time, Resource)>; 2],
    /// When a text last left each number, and each Messaging Service.
    left: Vec<Time>,
    left_service: HashMap<ServiceSid, Time>,
    /// Texts for which a Messaging Service has chosen no sender.
    senderless: VecDeque<(AccountSid, Message)>,
}

impl Overdue {
    pub fn new(numbers: usize) -> Overdue {
        Overdue {
            until: Default::default(),
            left: vec![Time::EPOCH; numbers],
            left_service: HashMap::new(),
            senderless: VecDeque::new(),
        }
    }

    pub fn prune(&mut self, before: Time) {
        self.left_service.retain(|_, at| *at >= before);
        self.senderless.retain(|(_, message)| message.sent_at >= before);
    }

    /// A message of ours is seen. What has left shows that the queue moves.
    pub fn sent(&mut self, account: AccountSid, number: Option<NumberIx>, message: &Message) {
        if message.direction == Direction::Inbound {
            return;
        }
        self.senderless.retain(|(_, held)| held.sid != message.sid);
        match message.status {
            MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Undelivered => {
                let left = number.and_then(|n| self.left.get_mut(n.0 as usize));
                let of_service = message.service.map(|s| self.left_service.entry(s).or_insert(Time::EPOCH));
                left.into_iter().chain(of_service).for_each(|at| *at = (*at).max(message.sent_at));
            }
            MessageStatus::Open if message.number == E164::UNASSIGNED && message.service.is_some() => {
                if self.senderless.len() == MOST_SENDERLESS {
                    self.senderless.pop_front();
                }
                self.senderless.push_back((account, *message));
            }
            MessageStatus::Open
            | MessageStatus::Scheduled
            | MessageStatus::Received
            | MessageStatus::Failed
            | MessageStatus::Canceled
            | MessageStatus::Unknown => {}
        }
    }
}

impl Entry {
    /// Until when what its row says may be true; `None` of what is over, or waits for a time that somebody chose.
    pub(super) fn holds_until(&self) -> Option<Time> {
        let (since, longest) = match self.body {
            Body::Call { status: CallStatus::Queued | CallStatus::Ringing, .. } => (self.started_at, LONGEST_RING),
            Body::Call { status: CallStatus::InProgress, .. }
            | Body::Call { status: CallStatus::Unknown, ended_at: None, .. } => (self.started_at, USUAL_LONGEST_CALL),
            // Its legs end with it.
            Body::Call { ended_at, children, .. } if children.open > 0 => {
                (ended_at.unwrap_or(self.started_at), LONGEST_RING)
            }
            Body::Message { status: MessageStatus::Open, direction: Direction::Inbound, .. } => {
                (self.started_at, RECEIVED_WITHIN)
            }
            Body::Message { status: MessageStatus::Open, .. } => (self.started_at, QUEUE_STANDS),
            Body::Call { .. } | Body::Message { .. } => return None,
        };
        Some(since + longest + SHOWN_WITHIN)
    }
}

impl Ledger {
    /// An entry's row says something new, or says it again. `before`: until when the last could be true.
    pub(super) fn watch_state(&mut self, resource: Resource, before: Option<Time>) {
        let channel = resource.channel().index();
        let Some(entry) = self.entries[channel].get_mut(&key(resource)) else { return };
        entry.is_overdue = false;
        let until = entry.holds_until();
        let watched = &mut self.overdue.until[channel];
        if let Some(before) = before.filter(|_| before != until) {
            watched.remove(&(before, resource));
        }
        if let Some(until) = until {
            watched.insert((until, resource));
        }
    }

    /// The first state that can no longer be true, by what was read of each log.
    pub(super) fn next_overdue(&self, now: Time, logs: [Time; 2]) -> Option<(Time, Resource)> {
        let first = |channel: Channel| self.overdue.until[channel.index()].first().copied();
        let is_past = |(until, resource): &(Time, Resource)| *until <= now.min(logs[resource.channel().index()]);
        Channel::ALL.into_iter().filter_map(first).find(is_past)
    }

    /// Settles what is in a state that can no longer be true: what became of it is not known.
    pub(super) fn give_up_state(
        &mut self,
        now: Time,
        (until, resource): (Time, Resource),
        cx: LedgerContext<'_>,
    ) -> Option<OutcomeChange> {
        let channel = resource.channel().index();
        self.overdue.until[channel].remove(&(until, resource));
        let entry = self.entries[channel].get_mut(&key(resource))?;
        if entry.holds_until().is_none_or(|holds| holds > until) {
            return None;
        }
        if let Body::Message { direction: Direction::Outbound | Direction::Reply, .. } = entry.body {
            let number = entry.number.0 as usize;
            let service = self.answers.service(entry.number, cx).and_then(|s| self.overdue.left_service.get(&s));
            let left = self.overdue.left[number].max(service.copied().unwrap_or(Time::EPOCH));
            let moves_until = (left + QUEUE_STANDS).min(entry.started_at + TEXT_VALID) + SHOWN_WITHIN;
            if moves_until > until {
                self.overdue.until[channel].insert((moves_until, resource));
                return None;
            }
        }
        entry.is_overdue = true;
        self.judge(now, resource, cx)
    }

    /// Takes in texts for which no sender was chosen in time, as those of the first number that is in the service.
    pub(super) fn give_up_senders(
        &mut self,
        now: Time,
        until: Time,
        cx: LedgerContext<'_>,
        changes: &mut Vec<OutcomeChange>,
    ) {
        let is_late = |m: &(AccountSid, Message)| m.1.sent_at + QUEUE_STANDS + SHOWN_WITHIN <= until;
        while let Some((account, message)) = self.overdue.senderless.pop_front_if(|m| is_late(m)) {
            changes.extend(self.claim(now, account, &message, cx));
        }
    }
}
