//! What became of a rollback, and what it makes of what was seen: calls on the fallback say nothing of the handler, and
//! calls from before a restore nothing of the handler that was put back.

use super::{Engine, RollbackProgress};
use crate::detect::statistic::threshold::Rule;
use crate::model::guard::Strength;
use crate::model::id::Channel;
use crate::model::roster::NumberIx;
use crate::model::time::Time;

impl Engine {
    /// A number's channel is on the fallback, as decided or as found in the journal.
    pub fn rolled_back(&mut self, at: Time, number: NumberIx, channel: Channel) {
        self.detector.mute(number, channel);
        let state = self.channel_mut(number, channel);
        state.rollback = RollbackProgress::Done(at);
        (state.decided, state.is_told_beside) = (false, false);
        // What spoke against the old handler says nothing of the fallback.
        state.window.clear();
        state.met.clear();
        self.forget_callers(number, channel);
        self.renew_number(at, number, channel);
    }

    /// The rollback that was decided did not come about. It may be decided again from `retry_at` on.
    pub fn not_rolled_back(&mut self, number: NumberIx, channel: Channel, retry_at: Time) {
        self.detector.unmute(number, channel);
        let state = self.channel_mut(number, channel);
        state.rollback = RollbackProgress::None;
        (state.decided, state.is_told_beside) = (false, false);
        state.not_before = Some(retry_at);
        self.recheck.insert((number, channel));
        self.dirty.insert((number, channel));
    }

    /// A rollback of it has been decided and stands: it need not be asked for again, unless callers say what so far
    /// only test calls said.
    pub fn asked(&mut self, number: NumberIx, channel: Channel, strength: Strength) {
        self.not_rolled_back(number, channel, Time::NEVER);
        self.channel_mut(number, channel).on_hint = strength == Strength::Hint;
    }

    /// People have been told of a number: what adds up to more than honest days bring, and was not what they were told,
    /// begins anew. After a restart too, or the agent would tell of what the one before had told.
    pub fn told(&mut self, number: NumberIx, channel: Channel) {
        let rules = self.detection[self.roster.number(number).group.0 as usize].rules.iter();
        let state = &mut self.channels[number.0 as usize][channel.index()];
        state.was_told = true;
        let is_it = |(met, rule): (&Option<Time>, &Rule)| met.is_some() && rule.subject.is_excess();
        if !state.met.iter().zip(rules).any(is_it) {
            state.window.excess_is_told();
            state.sent.excess_is_told();
        }
    }

    /// A number's channel has another handler since `at` (restored, drifted or adopted): it is watched as if it were
    /// new.
    pub fn handler_changed(&mut self, at: Time, number: NumberIx, channel: Channel) {
        self.detector.forget(&self.roster, number, channel);
        self.detector.unmute(number, channel);
        let state = self.channel_mut(number, channel);
        state.rollback = RollbackProgress::None;
        state.restored_at = Some(at);
        (state.decided, state.is_told_beside) = (false, false);
        state.not_before = None;
        state.window.clear();
        state.met.clear();
        self.forget_callers(number, channel);
        self.renew_number(at, number, channel);
    }

    /// What became of callers before says nothing of whoever answers now.
    fn forget_callers(&mut self, number: NumberIx, channel: Channel) {
        let group = self.roster.number(number).group.0 as usize;
        self.channels[number.0 as usize][channel.index()].latest.forget(number);
        self.groups[group][channel.index()].latest.forget(number);
    }
}
