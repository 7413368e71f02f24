//! Texts, in and out: each has its row, its alerts, and perhaps an answer.

use indexmap::map::Entry as Slot;

use super::answers::ANSWERED_WITHIN;
use super::{Body, Entry, FirstSeen, Ledger, LedgerContext, LedgerEffect};
use crate::detect::observation::{Direction, Message, MessageStatus};
use crate::detect::outcome::AlertFlags;
use crate::model::id::{AccountSid, Channel, NumberId, Resource};
use crate::model::roster::NumberIx;
use crate::model::time::Time;

impl Ledger {
    pub fn message(&mut self, at: Time, account: AccountSid, message: &Message, cx: LedgerContext<'_>) -> LedgerEffect {
        let Some(number) = cx.roster.find(NumberId::new(account, message.number)) else {
            return LedgerEffect::default();
        };
        self.answers.learn_service(number, message.service);
        let entry = Resource::Message(message.sid);
        let key = message.sid.as_u128();
        let (mut is_new, mut ended, mut held_until) = (false, false, None);
        match self.entries[1].entry(key) {
            Slot::Occupied(mut held) => {
                let held = held.get_mut();
                held_until = held.holds_until();
                if let Body::Message { status, error, .. } = &mut held.body
                    && (message.status.is_final() || !status.is_final())
                {
                    ended = settles(message.status) && !settles(*status);
                    *status = message.status;
                    *error = message.error.or(*error);
                }
            }
            Slot::Vacant(slot) => {
                (is_new, ended) = (true, settles(message.status));
                let Message { direction, status, error, is_keyword, .. } = *message;
                let body = Body::Message { direction, status, error, is_keyword };
                let held = Entry {
                    number,
                    party: message.party,
                    started_at: message.sent_at,
                    seen_at: at,
                    marks: AlertFlags::default(),
                    is_settled: false,
                    is_probe: message.party.is_prober,
                    is_pending: false,
                    is_answered: false,
                    is_warned: false,
                    is_overdue: false,
                    outcome: None,
                    told_code: 0,
                    body,
                };
                slot.insert(held);
                self.open[number.0 as usize][1] += 1;
            }
        }
        if ended {
            self.ended.push_back((at, entry));
        }
        if is_new && message.direction == Direction::Inbound && has_nobody(number, cx) {
            // Whoever asks the API for new messages needs no webhook.
            self.note_question(entry, cx);
        }
        let is_a_callers = is_new && !self.adopt(at, entry, key, cx) && !message.party.is_prober;
        self.watch_state(entry, held_until);
        let sighting = (is_a_callers && message.direction == Direction::Inbound).then_some(FirstSeen {
            number,
            channel: Channel::Messaging,
            party: message.party,
            started_at: message.sent_at,
            at,
        });
        LedgerEffect { sighting, change: self.judge(at, entry, cx) }
    }
}

/// No webhook of ours takes messages to this number.
fn has_nobody(number: NumberIx, cx: LedgerContext<'_>) -> bool {
    let channel = Channel::Messaging;
    cx.routes.has_no_handler(number, channel) || cx.routes.is_demo(number, channel)
}

impl Ledger {
    /// True of a text to a number without a webhook, whose texts were seen to be answered all the same, as long as its
    /// own answer may still come.
    pub(super) fn may_be_answered_late(
        &self,
        now: Time,
        seen_at: Time,
        resource: Resource,
        cx: LedgerContext<'_>,
    ) -> bool {
        let Resource::Message(sid) = resource else { return false };
        self.entries[1].get(&sid.as_u128()).is_some_and(|e| {
            matches!(e.body, Body::Message { direction: Direction::Inbound, .. })
                && !e.is_answered
                && self.answers.is_usual(e.number)
                && has_nobody(e.number, cx)
                && now < seen_at + ANSWERED_WITHIN
        })
    }
}

/// A message of which nothing more is to be waited for but its alerts, also in a state that Twilio has invented.
pub(super) fn settles(status: MessageStatus) -> bool {
    status.is_final() || matches!(status, MessageStatus::Sent | MessageStatus::Unknown)
}
