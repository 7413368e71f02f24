//! For tests of what follows from a verdict: says it without the evidence.

use super::{Engine, RollbackProgress};
use crate::model::decision::DecisionId;
use crate::model::guard::Strength;
use crate::model::id::Channel;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;
use crate::model::verdict::Verdict;

impl Engine {
    pub fn pretend(&mut self, number: NumberIx, channel: Channel, verdict: Verdict) {
        self.channel_mut(number, channel).verdict = verdict;
    }

    pub fn pretend_group(&mut self, group: GroupIx, channel: Channel, verdict: Verdict) {
        self.groups[group.0 as usize][channel.index()].verdict = verdict;
    }

    /// True if a case about this number would be decided now, as in `decide`.
    pub fn would_decide(&self, now: Time, number: NumberIx, channel: Channel, strength: Strength) -> bool {
        let state = self.channel(number, channel);
        let is_stronger = state.on_hint && strength == Strength::Callers;
        state.rollback == RollbackProgress::None
            && (!state.decided || is_stronger)
            && (state.not_before.is_none_or(|t| t <= now) || is_stronger)
    }

    /// What `decide` notes of numbers that it asks to roll back.
    pub fn pretend_decided(&mut self, number: NumberIx, channel: Channel, strength: Strength) {
        self.detector.mute(number, channel);
        let state = self.channel_mut(number, channel);
        (state.decided, state.on_hint) = (true, strength == Strength::Hint);
        state.rollback = RollbackProgress::Pending;
    }

    /// The id of the next decision, which is taken with it.
    pub fn pretend_id(&mut self) -> DecisionId {
        let id = DecisionId(self.next_decision);
        self.next_decision += 1;
        id
    }

    /// True if it is decided neither now nor ever, unless something happens to it.
    pub fn is_stuck(&self, number: NumberIx, channel: Channel) -> bool {
        let state = self.channel(number, channel);
        state.rollback == RollbackProgress::Pending
            || state.rollback == RollbackProgress::None && state.not_before == Some(Time::NEVER)
    }
}
