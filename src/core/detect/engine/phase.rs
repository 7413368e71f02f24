//! How closely each number's channel is watched, and what ends that.
//!
//! ```text
//! waiting → settling → active → passive
//! ```
//!
//! A port's time, a first caller or an operator ends the waiting; the first caller who is served, or
//! the first probe that succeeds, ends the settling; half an hour later the number is passive, until
//! its first caller.

use std::time::Duration;

use super::{Engine, EngineEvent, PhaseChange};
use crate::core::model::decision::Phase;
use crate::core::model::facts::PORT_SETTLES;
use crate::core::model::id::Channel;
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;

impl Engine {
    /// How many watched channels of these numbers wait for their port.
    pub fn waiting(&self, numbers: &[NumberIx]) -> usize {
        let waits = |ix: NumberIx| self.watched(ix).filter(move |c| self.channel(ix, *c).phase == Phase::Waiting);
        numbers.iter().map(|ix| waits(*ix).count()).sum()
    }

    /// True while any channel is settling or in its active phase, or about to be within `soon`.
    pub fn is_active(&self, now: Time, soon: Duration) -> bool {
        let until = now + soon;
        let is_port = |(_, ix, c): &(Time, NumberIx, Channel)| self.channel(*ix, *c).phase == Phase::Waiting;
        self.active > 0 || self.due.iter().take_while(|(at, _, _)| *at <= until).any(is_port)
    }

    /// Puts a channel into the phase in which it was when the journal ended.
    pub fn resume_phase(&mut self, number: NumberIx, channel: Channel, phase: Phase, since: Time) {
        if self.roster.number(number).channels[channel.index()] {
            self.set_phase(since, number, channel, phase);
        }
    }

    /// An operator says that these numbers are ported.
    pub fn ported(&mut self, now: Time, numbers: &[NumberIx]) {
        for ix in numbers {
            for channel in self.watched(*ix) {
                if self.channel(*ix, channel).phase == Phase::Waiting {
                    self.enter(now, *ix, channel, Phase::Settling, PhaseChange::Operator);
                }
            }
        }
    }

    /// Somebody, or a probe of ours, was served.
    pub(super) fn settle(&mut self, now: Time, number: NumberIx, channel: Channel, why: PhaseChange) {
        if self.channel(number, channel).phase == Phase::Settling {
            self.enter(now, number, channel, Phase::Active, why);
        }
    }

    pub(super) fn enter(&mut self, now: Time, number: NumberIx, channel: Channel, to: Phase, why: PhaseChange) {
        let from = self.channel(number, channel).phase;
        self.set_phase(now, number, channel, to);
        self.events.push(EngineEvent::Phase { number, channel, from, to, why });
    }

    fn set_phase(&mut self, since: Time, number: NumberIx, channel: Channel, to: Phase) {
        let is_close = |phase| matches!(phase, Phase::Settling | Phase::Active);
        let ends = match to {
            Phase::Waiting | Phase::Passive => None,
            Phase::Settling => Some(since + self.settled_after(number, channel)),
            Phase::Active => Some(since + self.settings.active_for),
        };
        let state = &mut self.channels[number.0 as usize][channel.index()];
        let from = std::mem::replace(&mut state.phase, to);
        state.phase_ends = ends;
        self.active -= usize::from(is_close(from));
        self.active += usize::from(is_close(to));
        self.due.extend(ends.map(|at| (at, number, channel)));
        self.reconsider(number, channel);
    }

    fn settled_after(&self, number: NumberIx, channel: Channel) -> Duration {
        match channel {
            Channel::Voice => PORT_SETTLES,
            Channel::Messaging => PORT_SETTLES.max(self.roster.number(number).messages_settle_within()),
        }
    }

    /// Ends phases whose time has come.
    pub(super) fn move_phases(&mut self, now: Time) {
        while let Some((at, number, channel)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            let state = self.channel(number, channel);
            let is_over = state.phase_ends.is_some_and(|at| at <= now);
            match state.phase {
                Phase::Waiting => self.enter(now, number, channel, Phase::Settling, PhaseChange::Due),
                Phase::Settling if is_over => self.enter(now, number, channel, Phase::Active, PhaseChange::Due),
                Phase::Active if is_over => self.enter(now, number, channel, Phase::Passive, PhaseChange::Due),
                // It came into its phase otherwise, and has a later end.
                Phase::Settling | Phase::Active | Phase::Passive => {}
            }
        }
    }
}
