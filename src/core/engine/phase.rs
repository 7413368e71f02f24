//! How closely each number's channel is watched, and what ends that: its port's time, its first
//! caller, an operator, or half an hour without news.

use std::time::Duration;

use super::{Engine, Event, PhaseChange};
use crate::core::id::Channel;
use crate::core::policy::Phase;
use crate::core::roster::NumberIx;
use crate::core::time::Time;

impl Engine {
    /// How many watched channels of these numbers wait for their port.
    pub fn waiting(&self, numbers: &[NumberIx]) -> usize {
        let waits = |ix: NumberIx| self.watched(ix).filter(move |c| self.channel(ix, *c).phase == Phase::Waiting);
        numbers.iter().map(|ix| waits(*ix).count()).sum()
    }

    /// True while any channel is in its active phase, or about to be within `soon`.
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
                    self.enter(now, *ix, channel, Phase::Active, PhaseChange::Operator);
                }
            }
        }
    }

    pub(super) fn enter(&mut self, now: Time, number: NumberIx, channel: Channel, to: Phase, why: PhaseChange) {
        let from = self.channel(number, channel).phase;
        self.set_phase(now, number, channel, to);
        self.events.push(Event::Phase { number, channel, from, to, why });
    }

    fn set_phase(&mut self, since: Time, number: NumberIx, channel: Channel, to: Phase) {
        let active_for = self.settings.active_for;
        let state = &mut self.channels[number.0 as usize][channel.index()];
        let from = std::mem::replace(&mut state.phase, to);
        self.active -= usize::from(from == Phase::Active);
        self.active += usize::from(to == Phase::Active);
        state.active_since = (to == Phase::Active).then_some(since);
        if to == Phase::Active {
            self.due.insert((since + active_for, number, channel));
        }
    }

    /// Ends phases whose time has come.
    pub(super) fn move_phases(&mut self, now: Time) {
        while let Some((at, number, channel)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            let state = self.channel(number, channel);
            match (state.phase, state.active_since) {
                (Phase::Waiting, _) => self.enter(now, number, channel, Phase::Active, PhaseChange::Due),
                (Phase::Active, Some(since)) if since + self.settings.active_for <= now => {
                    self.enter(now, number, channel, Phase::Passive, PhaseChange::Due);
                }
                // It became active otherwise, and has a later end.
                (Phase::Active | Phase::Passive, _) => {}
            }
        }
    }
}
