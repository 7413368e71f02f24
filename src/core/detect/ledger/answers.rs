//! Which messages were answered although the webhook's answer was an error.
//!
//! An application may take every message, answer the webhook with JSON or nothing, and write back by the API later.
//! Twilio logs an error for each, and nobody is harmed. So a message with an error is served once its sender was sent
//! one by the API that arrived; and where that was seen to happen, a message's error is judged only when an answer has
//! had time. A reply of the webhook's own, where the handler failed, comes from a fallback URL: a failure of the
//! handler all the same.
//!
//! A Messaging Service is one desk with several numbers: it may answer from another one than was written to, which need
//! not be among those that are watched.

use std::collections::HashMap;
use std::time::Duration;

use super::{Body, Ledger, LedgerContext, OutcomeChange, key};
use crate::core::detect::observation::{Direction, Message, MessageStatus};
use crate::core::model::id::{AccountSid, MessageSid, NumberId, Resource, ServiceSid};
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;

/// What is sent to a party this long after its message may have been an answer to it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Clocks of one second's resolution put an answer before its question.
const ROUNDING: Duration = Duration::from_secs(2);

/// A message that arrived: whence it came.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sender {
    /// None: not one that is watched.
    number: Option<NumberIx>,
    service: Option<ServiceSid>,
}

/// A message with an error.
#[derive(Clone, Copy, Debug)]
struct Question {
    number: NumberIx,
    at: Time,
    sid: MessageSid,
}

#[derive(Debug)]
pub(super) struct Answers {
    /// Numbers whose application was seen to answer by the API.
    usual: Vec<bool>,
    /// The Messaging Service that the latest message of each number names. What was read of the number says it too,
    /// where it was read.
    services: Vec<Option<ServiceSid>>,
    /// When each party was last sent a message that arrived, from each sender.
    sent: HashMap<u64, Vec<(Sender, Time)>>,
    /// Messages with an error, by whom they came from.
    asked: HashMap<u64, Vec<Question>>,
}

fn is_answer(asked_at: Time, sent_at: Time) -> bool {
    asked_at <= sent_at + ROUNDING && sent_at <= asked_at + ANSWERED_WITHIN
}

impl Answers {
    pub fn new(numbers: usize) -> Answers {
        Answers {
            usual: vec![false; numbers],
            services: vec![None; numbers],
            sent: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    pub fn is_usual(&self, number: NumberIx) -> bool {
        self.usual[number.0 as usize]
    }

    /// A message of this number names its service.
    pub fn learn_service(&mut self, number: NumberIx, service: Option<ServiceSid>) {
        if service.is_some() {
            self.services[number.0 as usize] = service;
        }
    }

    fn service(&self, number: NumberIx, cx: LedgerContext<'_>) -> Option<ServiceSid> {
        let read = cx.routes.record(number).and_then(|r| r.service.as_ref()).map(|s| s.sid);
        read.or(self.services[number.0 as usize])
    }

    /// True if what `sender` sends may answer what was written to `number`.
    fn is_of_one_desk(&self, number: NumberIx, sender: Sender, cx: LedgerContext<'_>) -> bool {
        let service = sender.service.or_else(|| self.service(sender.number?, cx));
        sender.number == Some(number) || service.is_some() && service == self.service(number, cx)
    }

    /// A message of `party` has an error. True if it was answered.
    fn asks(&mut self, party: u64, question: Question, cx: LedgerContext<'_>) -> bool {
        let answers = |(sender, sent): &(Sender, Time)| {
            is_answer(question.at, *sent) && self.is_of_one_desk(question.number, *sender, cx)
        };
        if self.sent.get(&party).is_some_and(|sent| sent.iter().any(answers)) {
            self.usual[question.number.0 as usize] = true;
            return true;
        }
        let asked = self.asked.entry(party).or_default();
        if !asked.iter().any(|known| known.sid == question.sid) {
            asked.push(question);
        }
        false
    }

    /// A message to `party` has arrived. Gives those that it answers.
    fn answers(&mut self, party: u64, sender: Sender, at: Time, cx: LedgerContext<'_>) -> Vec<MessageSid> {
        let sent = self.sent.entry(party).or_default();
        match sent.iter_mut().find(|(known, _)| *known == sender) {
            Some((_, last)) => *last = (*last).max(at),
            None => sent.push((sender, at)),
        }
        let Some(mut asked) = self.asked.remove(&party) else { return Vec::new() };
        let is_it = |q: &mut Question| is_answer(q.at, at) && self.is_of_one_desk(q.number, sender, cx);
        let answered: Vec<Question> = asked.extract_if(.., is_it).collect();
        if !asked.is_empty() {
            self.asked.insert(party, asked);
        }
        for question in &answered {
            self.usual[question.number.0 as usize] = true;
        }
        answered.into_iter().map(|question| question.sid).collect()
    }

    pub fn prune(&mut self, before: Time) {
        self.sent.retain(|_, sent| {
            sent.retain(|(_, at)| *at >= before);
            !sent.is_empty()
        });
        self.asked.retain(|_, asked| {
            asked.retain(|question| question.at >= before);
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
        let is_sent = message.status == MessageStatus::Sent && message.error.is_none();
        let has_arrived = is_sent || message.status == MessageStatus::Delivered;
        let number = cx.roster.find(NumberId::new(account, message.number));
        if !has_arrived || message.direction != Direction::Outbound || number.is_none() && message.service.is_none() {
            return Vec::new();
        }
        let sender = Sender { number, service: message.service };
        let answered = self.answers.answers(message.party.hash, sender, message.sent_at, cx);
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
    pub(super) fn note_question(&mut self, resource: Resource, cx: LedgerContext<'_>) {
        let Resource::Message(sid) = resource else { return };
        let Some(entry) = self.entries[1].get_mut(&key(resource)) else { return };
        if matches!(entry.body, Body::Message { direction: Direction::Inbound, .. }) && !entry.is_answered {
            let question = Question { number: entry.number, at: entry.started_at, sid };
            entry.is_answered = self.answers.asks(entry.party.hash, question, cx);
        }
    }
}
