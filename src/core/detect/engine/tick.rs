//! Time moves on: what had its grace settles, verdicts are renewed, and what was found is decided.

use std::time::Duration;

use super::{Engine, EngineEvent};
use crate::detect::ledger::{LedgerContext, ReadUntil};
use crate::model::id::Channel;
use crate::model::source::Source;
use crate::model::time::Time;

/// How often verdicts that only time ends are looked at.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// How often old entries are dropped: they end after hours.
pub(super) const PRUNE_EVERY: Duration = Duration::from_secs(600);

impl Engine {
    /// Moves time on: settles outcomes, renews verdicts, decides. Returns all that has happened
    /// since the last tick, in order.
    pub fn tick(&mut self, now: Time) -> Vec<EngineEvent> {
        // One that was begun within a bound comes first.
        let mut events = if self.is_behind() { self.tick_within(now, usize::MAX) } else { Vec::new() };
        events.extend(self.tick_within(now, usize::MAX));
        events
    }

    /// Begins a tick, or goes on with the one that is under way, and settles `most` outcomes at the most: after
    /// an outage there are hundreds of thousands. Until it is over ([`Engine::is_behind`]) nothing is decided,
    /// and time stands where the tick began: what comes of it does not depend on `most`.
    pub fn tick_within(&mut self, now: Time, most: usize) -> Vec<EngineEvent> {
        let (now, read) = self.ticking.unwrap_or_else(|| {
            self.move_phases(now);
            let read = |source: Source| self.polled[source.index()].unwrap_or(Time::EPOCH);
            let logs = [read(Source::Calls), read(Source::Messages)];
            (now, ReadUntil { alerts: read(Source::Alerts), numbers: read(Source::Numbers), logs })
        });
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        for change in self.ledger.settle(now, read, most, cx) {
            self.settled(change);
        }
        self.warned();
        self.detector.catch_up(&self.roster);
        self.ticking = self.ledger.is_due(now, read).then_some((now, read));
        if self.ticking.is_none() {
            self.weigh_unclaimed(now, read);
            self.finish_tick(now);
        }
        self.take_events()
    }

    /// What has happened since the last tick, and is not to wait for the next one: so much is being taken in.
    pub fn take_events(&mut self) -> Vec<EngineEvent> {
        std::mem::take(&mut self.events)
    }

    /// A tick is under way: [`Engine::tick_within`] has more to settle.
    pub fn is_behind(&self) -> bool {
        self.ticking.is_some()
    }

    /// All that is due has settled: renews verdicts, and decides.
    fn finish_tick(&mut self, now: Time) {
        self.renew(now);
        for channel in Channel::ALL {
            let blind = self.is_blind(channel, now);
            if self.was_blind[channel.index()].replace(blind) != Some(blind) {
                self.renew_all(now, channel);
            }
        }
        self.decide_deferred(now);
        if !self.is_blind(Channel::Voice, now) {
            for finding in self.detector.tick(&self.roster, now) {
                self.found(now, finding);
            }
        }
        let is_still = self.detector.standstill().is_some();
        if std::mem::replace(&mut self.was_still, is_still) != is_still {
            self.renew_all(now, Channel::Voice);
        }
        if now >= self.next_refresh {
            self.next_refresh = now + REFRESH_EVERY;
            self.refresh(now);
            self.end_health(now);
        }
        if now >= self.next_prune {
            self.next_prune = now + PRUNE_EVERY;
            self.ledger.prune(now - self.settings.remember);
        }
    }
}
