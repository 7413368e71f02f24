//! How closely each number's channel is watched, and what ends that.
//!
//! ```text
//! waiting → settling → active → passive
//! ```
//!
//! A completed port, its time, a first caller or an operator ends the waiting; the first caller who is served, or the
//! first probe that succeeds, ends the settling; half an hour later, and once enough callers were served, the number is
//! passive, until its first caller. Twilio's word that a port is still under way goes before its time: dates are
//! targets, and carriers miss them. A caller goes before Twilio's word.

use std::time::Duration;

use super::{Engine, EngineEvent, PhaseChange};
use crate::detect::ledger::FirstSeen;
use crate::detect::observation::{Alert, Call};
use crate::model::code::Code;
use crate::model::decision::Phase;
use crate::model::facts::PORT_SETTLES;
use crate::model::id::{AccountSid, Channel, NumberId};
use crate::model::roster::{GroupIx, Number, NumberIx};
use crate::model::time::Time;
use crate::port::news::{Met, PortSeen};

/// To a number to which so few come that it has not served enough of them in a day, few will come in the next one.
const QUIET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Between looks whether enough were served.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// A port that is overdue may be through at any moment, for so long.
const OVERDUE: Duration = Duration::from_secs(6 * 3600);

/// What a channel has met since it is watched closely.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchCounts {
    pub served: u32,
    pub failed: u32,
}

impl Engine {
    /// Twilio says that the number's port is completed.
    pub fn port_completed(&mut self, now: Time, number: NumberIx) {
        self.open_due.retain(|(_, ix)| *ix != number);
        for channel in self.watched(number) {
            self.channel_mut(number, channel).is_port_open = false;
            if self.channel(number, channel).phase == Phase::Waiting {
                self.enter(now, number, channel, Phase::Settling, PhaseChange::Completed);
            }
        }
    }

    /// Twilio says that the number's port is under way, or stuck, and due at `due` if that is known. It waits for its
    /// port, unless somebody has shown that it is here.
    pub fn port_is_open(&mut self, now: Time, number: NumberIx, due: Option<Time>, is_shown: bool) {
        self.open_due.retain(|(_, ix)| *ix != number);
        for channel in self.watched(number) {
            let state = self.channel_mut(number, channel);
            state.is_port_open = !is_shown;
            if !is_shown && !state.was_used && state.phase != Phase::Waiting {
                self.enter(now, number, channel, Phase::Waiting, PhaseChange::NotPorted);
            }
        }
        self.open_due.extend(due.map(|at| (at, number)));
    }

    /// What was seen of a group's numbers since they are watched closely; `None` while some still are.
    pub fn seen_of(&self, group: GroupIx, channel: Channel) -> Option<PortSeen> {
        let mut seen = PortSeen::default();
        for ix in &self.roster.group(group).numbers {
            if !self.is_watched(*ix, channel) {
                continue;
            }
            let state = self.channel(*ix, channel);
            match state.phase {
                Phase::Waiting => seen.waiting += 1,
                Phase::Settling | Phase::Active => return None,
                Phase::Passive => {
                    seen.passive += 1;
                    seen.quiet += u32::from(!state.latest.are_enough(state.watched_since));
                    seen.served += state.counts.served;
                    seen.failed += state.counts.failed;
                }
            }
        }
        (seen.passive > 0).then_some(seen)
    }

    /// How many watched channels of these numbers wait for their port.
    pub fn waiting(&self, numbers: &[NumberIx]) -> usize {
        let waits = |ix: NumberIx| self.watched(ix).filter(move |c| self.channel(ix, *c).phase == Phase::Waiting);
        numbers.iter().map(|ix| waits(*ix).count()).sum()
    }

    /// True while any channel is settling or in its active phase, or about to be within `soon`.
    pub fn is_active(&self, now: Time, soon: Duration) -> bool {
        let until = now + soon;
        let is_port = |(_, ix, c): &(Time, NumberIx, Channel)| self.channel(*ix, *c).phase == Phase::Waiting;
        let is_open = |(at, _): &(Time, NumberIx)| *at + OVERDUE >= now;
        self.active > 0
            || self.due.iter().take_while(|(at, _, _)| *at <= until).any(is_port)
            || self.open_due.iter().take_while(|(at, _)| *at <= until).any(is_open)
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

    /// Twilio's debugger says that a number of ours is being ported away.
    pub(super) fn port_alert(&mut self, account: AccountSid, alert: &Alert) {
        if alert.code != Code::PORTED_OUT {
            return;
        }
        let is_it = |(ix, n): &(NumberIx, &Number)| {
            n.id.account == account && self.record(*ix).is_some_and(|r| Some(r.sid) == alert.number)
        };
        if let Some((number, _)) = self.roster.numbers().find(is_it) {
            self.events.push(EngineEvent::PortedOut { number });
        }
    }

    /// Somebody called one of our numbers and came here by way of the provider that it had before.
    pub(super) fn forwarded(&mut self, account: AccountSid, call: &Call) {
        let number = call.forwarded_from.and_then(|number| self.roster.find(NumberId::new(account, number)));
        if let Some(number) = number {
            self.events.push(EngineEvent::Met { number, channel: Channel::Voice, met: Met::Forwarded });
        }
    }

    /// Somebody has called or written to us.
    pub(super) fn sighted(&mut self, sighting: Option<FirstSeen>) {
        let Some(s) = sighting.filter(|s| self.is_watched(s.number, s.channel)) else {
            return;
        };
        self.detector.sighted(&self.roster, &s);
        let group = self.roster.number(s.number).group;
        self.groups[group.0 as usize][s.channel.index()].arrivals.add(s.at);
        self.channel_mut(s.number, s.channel).arrivals.add(s.at);
        let state = self.channel_mut(s.number, s.channel);
        let is_first = !std::mem::replace(&mut state.was_used, true);
        // Whatever was announced: with its first live caller a number's day begins.
        if is_first {
            let phase = state.phase;
            self.events.push(EngineEvent::Met { number: s.number, channel: s.channel, met: Met::Arrived });
            match phase {
                Phase::Waiting => self.enter(s.at, s.number, s.channel, Phase::Settling, PhaseChange::FirstCaller),
                Phase::Passive => self.enter(s.at, s.number, s.channel, Phase::Active, PhaseChange::FirstCaller),
                Phase::Settling | Phase::Active => {}
            }
            // The first of them counts too, who began before anybody saw it.
            let state = self.channel_mut(s.number, s.channel);
            state.watched_since = state.watched_since.min(s.started_at);
        }
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
        if channel == Channel::Voice && (from == Phase::Waiting) != (to == Phase::Waiting) {
            self.detector.set_begin(number, (to != Phase::Waiting).then_some(since));
        }
        let state = &mut self.channels[number.0 as usize][channel.index()];
        if to == Phase::Settling || to == Phase::Active && from != Phase::Settling {
            state.watched_since = since;
            state.counts = WatchCounts::default();
        }
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
                // Dates are targets: what Twilio says of the port goes before.
                Phase::Waiting if state.is_port_open => {}
                Phase::Waiting => self.enter(now, number, channel, Phase::Settling, PhaseChange::Due),
                Phase::Settling if is_over => self.enter(now, number, channel, Phase::Active, PhaseChange::Due),
                Phase::Active if is_over && state.latest.are_enough(state.watched_since) => {
                    self.enter(now, number, channel, Phase::Passive, PhaseChange::Due);
                }
                Phase::Active if is_over && state.watched_since + QUIET_AFTER <= now => {
                    self.enter(now, number, channel, Phase::Passive, PhaseChange::Quiet);
                }
                Phase::Active if is_over => {
                    let again = now + LOOK_AGAIN;
                    self.channel_mut(number, channel).phase_ends = Some(again);
                    self.due.insert((again, number, channel));
                }
                // It came into its phase otherwise, and has a later end.
                Phase::Settling | Phase::Active | Phase::Passive => {}
            }
        }
    }
}
