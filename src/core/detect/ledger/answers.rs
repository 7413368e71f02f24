//! Which messages were answered although the webhook's answer was an error.
//!
//! An application may take every message, answer the webhook with JSON or nothing, and write back by the API later.
//! Twilio logs an error for each, and nobody is harmed. So a message with an error is served once its sender was sent
//! one by the API that arrived; and where that was seen to happen, a message's error is judged only when an answer has
//! had time. A reply of the webhook's own, where the handler failed, comes from a fallback URL: a failure of the
//! handler all the same.

use std::collections::HashMap;
use std::time::Duration;

use super::{Body, Ledger, LedgerContext, OutcomeChange, key};
use crate::core::detect::observation::{Direction, Message, MessageStatus};
use crate::core::model::id::{AccountSid, MessageSid, NumberId, Resource};
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;

/// What is sent to a party this long after its message may have been an answer to it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Clocks of one second's resolution put an answer before its question.
const ROUNDING: Duration = Duration::from_secs(2);

type Party = (NumberIx, u64);

#[derive(Debug)]
pub(super) struct Answers {
    /// Numbers whose application was seen to answer by the API.
    usual: Vec<bool>,
    /// When each party was last sent a message that arrived.
    sent: HashMap<Party, Time>,
    /// Messages with an error, by whom they came from.
    asked: HashMap<Party, Vec<(Time, MessageSid)>>,
}

fn is_answer(asked_at: Time, sent_at: Time) -> bool {
    asked_at <= sent_at + ROUNDING && sent_at <= asked_at + ANSWERED_WITHIN
}

impl Answers {
    pub fn new(numbers: usize) -> Answers {
        Answers { usual: vec![false; numbers], sent: HashMap::new(), asked: HashMap::new() }
    }

    pub fn is_usual(&self, number: NumberIx) -> bool {
        self.usual[number.0 as usize]
    }

    /// A message of `party` has an error. True if it was answered.
    pub fn asks(&mut self, party: Party, at: Time, sid: MessageSid) -> bool {
        if self.sent.get(&party).is_some_and(|sent| is_answer(at, *sent)) {
            self.usual[party.0.0 as usize] = true;
            return true;
        }
        let asked = self.asked.entry(party).or_default();
        if !asked.iter().any(|(_, known)| *known == sid) {
            asked.push((at, sid));
        }
        false
    }

    /// A message to `party` has arrived. Gives those that it answers.
    fn answers(&mut self, party: Party, at: Time) -> Vec<MessageSid> {
        let sent = self.sent.entry(party).or_insert(at);
        *sent = (*sent).max(at);
        let Some(asked) = self.asked.get_mut(&party) else { return Vec::new() };
        let answered = asked.extract_if(.., |(asked_at, _)| is_answer(*asked_at, at)).map(|(_, sid)| sid).collect();
        if asked.is_empty() {
            self.asked.remove(&party);
        }
        answered
    }

    pub fn prune(&mut self, before: Time) {
        self.sent.retain(|_, at| *at >= before);
        self.asked.retain(|_, asked| {
            asked.retain(|(at, _)| *at >= before);
            !asked.is_empty()
        });
    }
}

impl Ledger {
    /// What a message of ours says of those that it answers.
    pub fn answered(
        &mut self,
        at: Time,
        account: AccountSid,
        message: &Message,
        cx: LedgerContext<'_>,
    ) -> Vec<OutcomeChange> {
        let has_arrived = matches!(message.status, MessageStatus::Delivered | MessageStatus::Sent);
        let number = cx.roster.find(NumberId::new(account, message.number));
        let (true, Direction::Outbound, Some(number)) = (has_arrived, message.direction, number) else {
            return Vec::new();
        };
        let answered = self.answers.answers((number, message.party.hash), message.sent_at);
        self.answers.usual[number.0 as usize] |= !answered.is_empty();
        let mut changes = Vec::new();
        for sid in answered {
            let resource = Resource::Message(sid);
            if let Some(entry) = self.entries[1].get_mut(&key(resource)) {
                entry.is_answered = true;
            }
            changes.extend(self.judge(at, resource, cx));
        }
        changes
    }

    /// Notes that a message has an error, which an answer may outweigh.
    pub(super) fn note_question(&mut self, resource: Resource) {
        let Resource::Message(sid) = resource else { return };
        let Some(entry) = self.entries[1].get_mut(&key(resource)) else { return };
        if matches!(entry.body, Body::Message { direction: Direction::Inbound, .. }) && !entry.is_answered {
            entry.is_answered = self.answers.asks((entry.number, entry.party.hash), entry.started_at, sid);
        }
    }
}
