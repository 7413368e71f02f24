//! Texts, in and out: each has its row, its alerts, and perhaps an answer.

use std::collections::hash_map::Entry as Slot;

use super::{Body, Entry, FirstSeen, Ledger, LedgerContext, LedgerEffect};
use crate::core::detect::observation::{Direction, Message, MessageStatus};
use crate::core::detect::outcome::{AlertFlags, is_harm};
use crate::core::model::code::Code;
use crate::core::model::id::{AccountSid, Channel, NumberId, Resource};
use crate::core::model::time::Time;

impl Ledger {
    pub fn message(&mut self, at: Time, account: AccountSid, message: &Message, cx: LedgerContext<'_>) -> LedgerEffect {
        let Some(number) = cx.roster.find(NumberId::new(account, message.number)) else {
            return LedgerEffect::default();
        };
        self.answers.learn_service(number, message.service);
        let entry = Resource::Message(message.sid);
        let key = message.sid.as_u128();
        let (mut is_new, mut ended) = (false, false);
        match self.entries[1].entry(key) {
            Slot::Occupied(mut held) => match &mut held.get_mut().body {
                Body::Message { status, error, .. } => {
                    if message.status.is_final() || !status.is_final() {
                        ended = settles(message.status, message.error) && !settles(*status, *error);
                        *status = message.status;
                        *error = message.error.or(*error);
                    }
                }
                Body::Call { .. } => {}
            },
            Slot::Vacant(slot) => {
                (is_new, ended) = (true, settles(message.status, message.error));
                let body = Body::Message { direction: message.direction, status: message.status, error: message.error };
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
        let is_a_callers = is_new && !self.adopt(at, entry, key, cx) && !message.party.is_prober;
        let sighting = (is_a_callers && message.direction == Direction::Inbound).then_some(FirstSeen {
            number,
            channel: Channel::Messaging,
            started_at: message.sent_at,
            at,
        });
        LedgerEffect { sighting, change: self.judge(at, entry, cx) }
    }
}

/// A message of which nothing more is to be waited for but its alerts, also in a state that Twilio has invented.
pub(super) fn settles(status: MessageStatus, error: Option<Code>) -> bool {
    status.is_final() || status == MessageStatus::Sent || status == MessageStatus::Unknown && is_harm(error)
}
