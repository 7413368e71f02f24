//! Which messages were answered although the webhook's answer was an error.
//!
//! An application may take every message, answer the webhook with JSON or nothing, and write back by the API later.
//! Twilio logs an error for each, and nobody is harmed. So a message with an error is served once its sender was sent
//! one by the API; and where that was seen to happen, a message's error is judged only when an answer has
//! had time. A reply of the webhook's own, where the handler failed, comes from a fallback URL: a failure of the
//! handler all the same.
//!
//! Evidence that a text was answered is that its application took it and wrote back: a message of the API's, in
//! whatever state it is but cancelled. What becomes of the answer is an outcome of its own; a campaign that is refused
//! is no failure of the handler that answered.
//!
//! A Messaging Service is one desk with several senders: it may answer from another one than was written to, which need
//! not be among those that are watched, nor be a telephone number. A group is one desk too: its numbers share a
//! handler. What a service refuses before it has chosen a sender is of all its numbers; it is told of the first that is
//! ours.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::{Body, Ledger, LedgerContext, OutcomeChange, key};
use crate::detect::observation::{Direction, Message, MessageStatus};
use crate::model::id::{AccountSid, Channel, E164, MessageSid, NumberId, Resource, ServiceSid};
use crate::model::roster::NumberIx;
use crate::model::time::Time;

/// What is sent to a party this long after its message may have been an answer to it.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Clocks of one second's resolution put an answer before its question.
const ROUNDING: Duration = Duration::from_secs(2);

/// A message of ours: whence it came.
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
    /// When each party was last written to by the API, from each sender.
    sent: HashMap<u64, Vec<(Sender, Time)>>,
    /// Messages with an error, by whom they came from.
    asked: HashMap<u64, Vec<Question>>,
    /// Messages that were refused before they had a sender, while none of our numbers is known to be in their service.
    unclaimed: VecDeque<(AccountSid, Message)>,
}

/// Such messages are kept, the latest of them: enough to tell that all are refused.
const MOST_UNCLAIMED: usize = 256;

/// True of what an application had the API write, whatever became of it.
const fn was_written(status: MessageStatus) -> bool {
    match status {
        MessageStatus::Open
        | MessageStatus::Scheduled
        | MessageStatus::Sent
        | MessageStatus::Delivered
        | MessageStatus::Undelivered
        | MessageStatus::Failed => true,
        // A word that is not known says nothing, and nobody receives what is ours.
        MessageStatus::Received | MessageStatus::Canceled | MessageStatus::Unknown => false,
    }
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
            unclaimed: VecDeque::new(),
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

    pub(super) fn service(&self, number: NumberIx, cx: LedgerContext<'_>) -> Option<ServiceSid> {
        let read = cx.routes.record(number).and_then(|r| r.service.as_ref()).map(|s| s.sid);
        // A service that has lost its senders is known by what it was: its number's, or so the file says.
        let wanted = || cx.roster.group_of(number).handler[Channel::Messaging.index()].service;
        read.or(self.services[number.0 as usize]).or_else(wanted)
    }

    /// True if what `sender` sends may answer what was written to `number`.
    fn is_of_one_desk(&self, number: NumberIx, sender: Sender, cx: LedgerContext<'_>) -> bool {
        let service = sender.service.or_else(|| self.service(sender.number?, cx));
        let is_of_group =
            sender.number.is_some_and(|other| cx.roster.number(other).group == cx.roster.number(number).group);
        is_of_group || service.is_some() && service == self.service(number, cx)
    }

    /// The first of our numbers of this account that is in a service and watched for messages.
    fn number_in(&self, service: ServiceSid, account: AccountSid, cx: LedgerContext<'_>) -> Option<NumberIx> {
        let mut watched =
            cx.roster.numbers().filter(|(_, n)| n.id.account == account && n.channels[Channel::Messaging.index()]);
        watched.find(|(ix, _)| self.service(*ix, cx) == Some(service)).map(|(ix, _)| ix)
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

    /// `party` is written to. Gives the messages that this answers.
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
        self.unclaimed.retain(|(_, message)| message.sent_at >= before);
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
        let number = cx.roster.find(NumberId::new(account, message.number));
        self.overdue.sent(account, number, message);
        let is_refused = matches!(message.status, MessageStatus::Failed | MessageStatus::Undelivered);
        let mut changes = if is_refused { self.claim(at, account, message, cx) } else { Vec::new() };
        if let Some(number) = number {
            changes.extend(self.claim_waiting(at, number, cx));
        }
        let is_by_api = message.direction == Direction::Outbound && was_written(message.status);
        if !is_by_api || number.is_none() && message.service.is_none() {
            return changes;
        }
        let sender = Sender { number, service: message.service };
        let answered = self.answers.answers(message.party.hash, sender, message.sent_at, cx);
        for sid in answered {
            let resource = Resource::Message(sid);
            if let Some(entry) = self.entries[1].get_mut(&key(resource)) {
                entry.is_answered = true;
            }
            changes.extend(self.judge(at, resource, cx));
        }
        changes
    }

    /// Takes in a message that was refused, or given up, before a sender was chosen, as one of the first number of ours
    /// that is in its service; it waits until that is known.
    pub(super) fn claim(
        &mut self,
        at: Time,
        account: AccountSid,
        message: &Message,
        cx: LedgerContext<'_>,
    ) -> Vec<OutcomeChange> {
        let service = message.service.filter(|_| message.number == E164::UNASSIGNED);
        let Some(service) = service else { return Vec::new() };
        if let Some(ours) = self.answers.number_in(service, account, cx) {
            let message = Message { number: cx.roster.number(ours).id.e164, ..*message };
            return self.message(at, account, &message, cx).change.into_iter().collect();
        }
        if self.answers.unclaimed.len() == MOST_UNCLAIMED {
            self.answers.unclaimed.pop_front();
        }
        self.answers.unclaimed.push_back((account, *message));
        Vec::new()
    }

    /// More may be known of which service this number is in: what waited for that is taken in as its own.
    pub(super) fn claim_waiting(&mut self, at: Time, number: NumberIx, cx: LedgerContext<'_>) -> Vec<OutcomeChange> {
        let ours = cx.roster.number(number);
        if self.answers.unclaimed.is_empty() || !ours.channels[Channel::Messaging.index()] {
            return Vec::new();
        }
        let Some(service) = self.answers.service(number, cx) else { return Vec::new() };
        let is_of_it = |(account, m): &(AccountSid, Message)| *account == ours.id.account && m.service == Some(service);
        let waiting = &mut self.answers.unclaimed;
        let of_it: Vec<_> = waiting.iter().copied().filter(is_of_it).collect();
        waiting.retain(|waits| !is_of_it(waits));
        let own = |(_, message)| Message { number: ours.id.e164, ..message };
        of_it.into_iter().map(own).filter_map(|m| self.message(at, ours.id.account, &m, cx).change).collect()
    }

    /// More may be known of which service this number is in: who wrote from there has answered before that was read.
    pub(super) fn answered_before(&mut self, at: Time, number: NumberIx, cx: LedgerContext<'_>) -> Vec<OutcomeChange> {
        let answers = &self.answers;
        let of_number = answers.asked.iter().flat_map(|(party, asked)| asked.iter().map(move |q| (party, q)));
        let of_number = of_number.filter(|(_, question)| question.number == number);
        let is_answered = |(party, q): &(&u64, &Question)| {
            let sent = answers.sent.get(party).into_iter().flatten();
            let mut sent = sent.filter(|(_, sent)| is_answer(q.at, *sent));
            sent.any(|(sender, _)| answers.is_of_one_desk(number, *sender, cx))
        };
        let mut answered: Vec<MessageSid> = of_number.filter(is_answered).map(|(_, question)| question.sid).collect();
        answered.sort_unstable();
        let mut changes = Vec::new();
        for sid in answered {
            self.note_question(Resource::Message(sid), cx);
            changes.extend(self.judge(at, Resource::Message(sid), cx));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::ledger::RemoteParty;
    use crate::model::code::Code;
    use crate::model::id::testing::{ACCOUNT, ours};
    use crate::model::reason::{Outcome, Reason};
    use crate::model::roster::{Number, PortAt, Roster};
    use crate::routing::history::RoutingHistory;
    use crate::routing::record::{self, NumberRecord, Service};

    const FIRST: NumberIx = NumberIx(0);

    fn service() -> ServiceSid {
        ServiceSid::from_u128(4)
    }

    /// Two numbers of one group, and one of another.
    fn roster() -> Roster {
        let mut roster = Roster::default();
        for (name, numbers) in [("support", &["+15005550100", "+15005550101"][..]), ("sales", &["+15005550200"])] {
            let group = roster.add_group(name.parse().unwrap(), [None, None]);
            for number in numbers {
                let (label, timezone) = (String::new(), jiff::tz::TimeZone::UTC);
                let number =
                    Number { id: ours(number), label, timezone, group, channels: [true; 2], port: PortAt::Done };
                roster.add_number(number).unwrap();
            }
        }
        roster
    }

    /// The first number's record, in the service or in none.
    fn record(is_in_service: bool) -> NumberRecord {
        let service = Service { sid: service(), inbound_url: None, fallback_url: None, defers_to_number: true };
        NumberRecord { service: is_in_service.then_some(service), ..record::tests::record() }
    }

    fn message(sid: u128, number: E164, direction: Direction, status: MessageStatus, sent_at: Time) -> Message {
        let party = RemoteParty { hash: 7, last_two: Some(1), is_prober: false, carrier: None };
        let sid = MessageSid::from_u128(sid);
        Message { sid, number, party, direction, status, sent_at, error: None, service: None, is_keyword: false }
    }

    /// A text to the first number, which is in the service, is answered by this; true if it counts as answered.
    fn is_answered(number: E164, service: Option<ServiceSid>, status: MessageStatus) -> bool {
        is_answered_at(Time::from_secs(1008), number, service, status)
    }

    /// The text is of second 1000.
    fn is_answered_at(sent: Time, number: E164, service: Option<ServiceSid>, status: MessageStatus) -> bool {
        let roster = roster();
        let mut routes = RoutingHistory::new(&roster);
        routes.learn(&roster, FIRST, &record(true));
        let cx = LedgerContext { roster: &roster, routes: &routes };
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let at = Time::from_secs(1000);
        let first = roster.number(FIRST).id.e164;
        let asked =
            Message { error: Some(Code(12300)), ..message(1, first, Direction::Inbound, MessageStatus::Received, at) };
        ledger.message(at, ACCOUNT, &asked, cx);
        ledger.note_question(Resource::Message(asked.sid), cx);
        let answer = Message { service, ..message(2, number, Direction::Outbound, status, sent) };
        ledger.message(at, ACCOUNT, &answer, cx);
        let changes = ledger.answered(at, ACCOUNT, &answer, cx);
        changes.iter().any(|c| c.entry == Resource::Message(asked.sid) && c.is == Outcome::Ok)
    }

    #[test]
    fn a_text_is_answered_from_any_sender_of_the_desk() {
        let number = |text: &str| text.parse::<E164>().unwrap();
        let (other, delivered) = (Some(ServiceSid::from_u128(5)), MessageStatus::Delivered);
        for (sender, service, is) in [
            (number("+15005550100"), None, true),
            (number("+15005550101"), None, true),
            (number("+15005550200"), None, false),
            (number("+15005550177"), Some(service()), true),
            (number("+15005550177"), other, false),
            (E164::NONE, Some(service()), true),
            (E164::UNASSIGNED, Some(service()), true),
            (E164::NONE, other, false),
            (E164::NONE, None, false),
        ] {
            assert_eq!(is_answered(sender, service, delivered), is, "{sender} {service:?}");
        }
    }

    #[test]
    fn an_answer_comes_within_a_quarter_of_an_hour_and_by_its_clock_perhaps_two_seconds_before_its_question() {
        for (sent, is) in [(997, false), (998, true), (1000, true), (1900, true), (1901, false)] {
            let (sent, number) = (Time::from_secs(sent), "+15005550100".parse().unwrap());
            assert_eq!(is_answered_at(sent, number, None, MessageStatus::Delivered), is, "{sent}");
        }
    }

    /// Whoever has the API write has taken the text; what becomes of the answer is its own outcome.
    #[test]
    fn an_answer_is_one_whatever_becomes_of_it() {
        for (status, is) in [
            (MessageStatus::Open, true),
            (MessageStatus::Sent, true),
            (MessageStatus::Delivered, true),
            (MessageStatus::Undelivered, true),
            (MessageStatus::Failed, true),
            (MessageStatus::Canceled, false),
            (MessageStatus::Unknown, false),
            (MessageStatus::Received, false),
        ] {
            assert_eq!(is_answered("+15005550100".parse().unwrap(), None, status), is, "{status:?}");
        }
    }

    /// The texts and their answers are there before anybody has read which service the number is in.
    #[test]
    fn an_answer_counts_once_its_service_is_known_to_be_the_numbers() {
        let roster = roster();
        let mut routes = RoutingHistory::new(&roster);
        routes.learn(&roster, FIRST, &record(false));
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let at = Time::from_secs(1000);
        let first = roster.number(FIRST).id.e164;
        let asked =
            Message { error: Some(Code(12300)), ..message(1, first, Direction::Inbound, MessageStatus::Received, at) };
        let answer = Message {
            service: Some(service()),
            ..message(2, E164::NONE, Direction::Outbound, MessageStatus::Delivered, at + Duration::from_secs(8))
        };
        let cx = LedgerContext { roster: &roster, routes: &routes };
        ledger.message(at, ACCOUNT, &asked, cx);
        ledger.note_question(Resource::Message(asked.sid), cx);
        assert_eq!(ledger.answered(at, ACCOUNT, &answer, cx), []);
        routes.learn(&roster, FIRST, &record(true));
        let told = ledger.rerouted(at, FIRST, LedgerContext { roster: &roster, routes: &routes });
        assert_eq!(told.iter().map(|c| c.is).collect::<Vec<_>>(), [Outcome::Ok]);
    }

    #[test]
    fn what_a_service_refuses_without_a_sender_is_of_its_first_number() {
        let roster = roster();
        let mut routes = RoutingHistory::new(&roster);
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let at = Time::from_secs(1000);
        let refused = |sid: u128, service: u128, status: MessageStatus| Message {
            error: Some(Code(21703)),
            service: Some(ServiceSid::from_u128(service)),
            ..message(sid, E164::UNASSIGNED, Direction::Outbound, status, at)
        };
        let take = |ledger: &mut Ledger, routes: &RoutingHistory, message: &Message| {
            let cx = LedgerContext { roster: &roster, routes };
            assert_eq!(ledger.message(at, ACCOUNT, message, cx), Default::default());
            ledger.answered(at, ACCOUNT, message, cx)
        };
        assert_eq!(take(&mut ledger, &routes, &refused(1, 4, MessageStatus::Failed)), [], "whose is not known yet");
        assert_eq!(take(&mut ledger, &routes, &refused(2, 5, MessageStatus::Failed)), [], "another service's");
        routes.learn(&roster, FIRST, &record(true));
        let cx = LedgerContext { roster: &roster, routes: &routes };
        let told = ledger.rerouted(at, FIRST, cx);
        let of = |told: &[OutcomeChange]| told.iter().map(|c| (c.entry, c.number, c.is)).collect::<Vec<_>>();
        let failed = |sid| (Resource::Message(MessageSid::from_u128(sid)), FIRST, Outcome::Failed(Reason::Delivery));
        assert_eq!(of(&told), [failed(1)]);
        assert_eq!(ledger.rerouted(at, FIRST, cx), [], "once");
        assert_eq!(of(&take(&mut ledger, &routes, &refused(3, 4, MessageStatus::Undelivered))), [failed(3)]);
        assert_eq!(take(&mut ledger, &routes, &refused(4, 4, MessageStatus::Open)), [], "it may yet be sent");
        for sid in 10..1000 {
            take(&mut ledger, &routes, &refused(sid, 5, MessageStatus::Failed));
        }
        assert_eq!(ledger.answers.unclaimed.len(), MOST_UNCLAIMED);
        ledger.prune(at + Duration::from_secs(1));
        assert!(ledger.answers.unclaimed.is_empty());
    }

    #[test]
    fn what_a_service_refuses_is_of_a_number_of_that_account_which_is_watched_for_texts() {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        let other = NumberId::new(AccountSid::from_u128(9), "+15005550100".parse().unwrap());
        for (id, is_watched) in [(other, true), (ours("+15005550101"), false), (ours("+15005550102"), true)] {
            let (label, timezone) = (String::new(), jiff::tz::TimeZone::UTC);
            let number = Number { id, label, timezone, group, channels: [true, is_watched], port: PortAt::Done };
            roster.add_number(number).unwrap();
        }
        let mut routes = RoutingHistory::new(&roster);
        (0..3).for_each(|i| _ = routes.learn(&roster, NumberIx(i), &record(true)));
        let cx = LedgerContext { roster: &roster, routes: &routes };
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let at = Time::from_secs(1000);
        let refused = Message {
            error: Some(Code(21703)),
            service: Some(service()),
            ..message(1, E164::UNASSIGNED, Direction::Outbound, MessageStatus::Failed, at)
        };
        let told = ledger.answered(at, ACCOUNT, &refused, cx);
        assert_eq!(told.iter().map(|c| c.number).collect::<Vec<_>>(), [NumberIx(2)]);
    }
}
