//! The only way into detection: observations and the time go in, events come out.
//!
//! The engine owns all state that decisions rest on. It never waits and never asks: whoever drives
//! it tells it what was seen ([`Engine::observe`]), which logs could be read ([`Engine::polled`]),
//! what became of swaps ([`Engine::rolled_back`], [`Engine::not_rolled_back`]) and what time it is
//! ([`Engine::tick`]). `run`, `demo`, `replay` and the tests drive this same engine.
//!
//! Promises: the same inputs give the same events, byte for byte. Settled outcomes are the only
//! evidence. While a log that a channel needs is stale, the channel's verdict is `blind` and
//! nothing is decided for it; of a number whose routing was never read, or whose calls another region processes,
//! nothing good is said: it is `blind` unless what was seen speaks against it. A channel that is not watched is not
//! judged, and nothing is decided for it. A number and channel is decided once; it is decided again only after its
//! trouble was over, its rollback failed, or the guard that withheld it no longer says no.

mod arrivals;
mod decide;
mod due;
mod event;
mod judge;
mod latest;
mod phase;
#[cfg(test)]
mod pretend;
mod progress;
mod requests;
mod rules;
mod tick;
mod unclaimed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{AttachedAlert, FailedRequest, Ledger, LedgerContext, OutcomeChange, ReadUntil};
use super::observation::{Leg, Observation, Probe, RemoteParty};
use super::statistic::expected::ExpectedTraffic;
use super::statistic::params::SilenceParams;
use super::statistic::standstill::Standstill;
use super::statistic::threshold::{Horizon, Window};
use super::statistic::{Detection, Detector, Finding};
use crate::model::decision::{DecisionId, DetectorGuard, Mode, Phase};
use crate::model::id::{AccountSid, Channel, NumberId};
use crate::model::reason::Outcome;
use crate::model::roster::{GroupIx, NumberIx, PortAt, Roster};
use crate::model::source::{Source, needed, routing};
use crate::model::time::Time;
use crate::model::verdict::{Evidence, Verdict};
use crate::profile::Profile;
use crate::routing::history::{RoutingHistory, RoutingState};
use crate::routing::record::{Handler, NumberRecord};
use arrivals::Arrivals;
use due::Due;
pub use event::{EngineEvent, PhaseChange};
use latest::LatestCallers;
use phase::WatchCounts;
use unclaimed::UnclaimedErrors;

/// Between two looks that both show what there is; what lies between longer ones was not seen.
const NOT_SEEN_FOR: Duration = Duration::from_secs(60);

/// What the engine is told once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineSettings {
    pub mode: Mode,
    /// How long a channel is watched closely after its port.
    pub active_for: Duration,
    /// A source that could not be read for this long is stale.
    pub blind_after: Duration,
    /// How long after an entry ended its alerts and child legs may come. An alert comes up to 30 s
    /// after its call is in the log; 45 s leaves room.
    pub settle_grace: Duration,
    /// Entries older than this are forgotten. Must exceed what pollers read again.
    pub remember: Duration,
    pub silence: SilenceParams,
    /// What should ring; by it the numbers are judged that have a history in it. It is read from a file of its own.
    #[serde(skip)]
    pub history: Option<Arc<Profile>>,
    /// How each group's trouble is found, by group; groups beyond the list have the default.
    #[serde(skip)]
    pub detection: Vec<Detection>,
}

impl Default for EngineSettings {
    fn default() -> EngineSettings {
        EngineSettings {
            mode: Mode::Observe,
            active_for: Duration::from_secs(30 * 60),
            blind_after: Duration::from_secs(90),
            settle_grace: Duration::from_secs(45),
            remember: Duration::from_secs(6 * 3600),
            silence: SilenceParams::default(),
            history: None,
            detection: Vec::new(),
        }
    }
}

/// Where a channel's rollback stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RollbackProgress {
    #[default]
    None,
    /// Decided, not yet answered for.
    Pending,
    /// On the fallback since.
    Done(Time),
}

impl RollbackProgress {
    pub const fn is_done(self) -> bool {
        matches!(self, RollbackProgress::Done(_))
    }
}

/// All that is known of one channel of one number.
#[derive(Clone, Debug)]
pub struct ChannelState {
    pub phase: Phase,
    /// When its phase ends by itself, if nothing else ends it.
    phase_ends: Option<Time>,
    pub verdict: Verdict,
    pub evidence: Evidence,
    pub rollback: RollbackProgress,
    window: Window,
    /// Of messages that our side sent.
    sent: Window,
    latest: LatestCallers,
    arrivals: Arrivals,
    /// When each rule that is met was told of last, by position.
    met: Vec<Option<Time>>,
    /// Since when the callers who fail for what a swap would cure are too many, and the detector has not decided.
    excess_since: Option<Time>,
    /// Decided and not yet over, so that it is not decided again.
    decided: bool,
    /// The guard that withheld what was decided.
    withheld: Option<DetectorGuard>,
    /// A rollback failed: the next one not before this.
    not_before: Option<Time>,
    /// Its handler was put back then.
    restored_at: Option<Time>,
    /// What was last decided rests on test calls alone, which a failing caller outweighs.
    on_hint: bool,
    /// People were told that only test calls fail.
    is_told_beside: bool,
    /// Somebody has called or written, was served by the number's own handler, and a test of ours was.
    was_used: bool,
    was_served: bool,
    was_probed: bool,
    /// Twilio says that its port is not through.
    is_port_open: bool,
    /// Since when it is watched closely, and what it has met since.
    watched_since: Time,
    counts: WatchCounts,
    /// What the latest probe showed.
    pub last_probe: Option<Probe>,
    /// The latest request that failed, to the number's own handler and to the fallback, as an alert about a call or
    /// message tells it.
    pub last_failed: [Option<FailedRequest>; 2],
    /// A person was told what probes find and a swap would not cure.
    probe_told: bool,
    /// People were told something of it, by this agent or the one before.
    was_told: bool,
}

impl ChannelState {
    /// Counts an outcome, once as what it is known to be by now.
    const fn count(&mut self, change: &OutcomeChange) {
        let WatchCounts { served, failed } = &mut self.counts;
        match change.is {
            Outcome::Ok => *served = served.saturating_add(1),
            Outcome::Failed(_) => *failed = failed.saturating_add(1),
            Outcome::Ignored(_) => {}
        }
        match change.was {
            Some(Outcome::Ok) => *served = served.saturating_sub(1),
            Some(Outcome::Failed(_)) => *failed = failed.saturating_sub(1),
            Some(Outcome::Ignored(_)) | None => {}
        }
    }
}

#[derive(Clone, Debug, Default)]
struct GroupState {
    verdict: Verdict,
    evidence: Evidence,
    latest: LatestCallers,
    arrivals: Arrivals,
    met: Vec<Option<Time>>,
    unclaimed: UnclaimedErrors,
}

#[derive(Debug)]
pub struct Engine {
    roster: Roster,
    settings: EngineSettings,
    routes: RoutingHistory,
    ledger: Ledger,
    detector: Detector,
    detection: Vec<Detection>,
    /// How far back each group's rules look, by group and channel: every outcome asks.
    horizons: Vec<[Horizon; 2]>,
    channels: Vec<[ChannelState; 2]>,
    groups: Vec<[GroupState; 2]>,
    /// When each source was last read in full, by [`Source::index`].
    polled: [Option<Time>; Source::ALL.len()],
    /// Channels of which nothing could be said at the last tick, if there was one.
    was_blind: [Option<bool>; 2],
    /// No number had calls any more at the last tick.
    was_still: bool,
    /// Numbers whose verdict only time ends: looked at in each sweep.
    dirty: BTreeSet<(NumberIx, Channel)>,
    dirty_groups: BTreeSet<(GroupIx, Channel)>,
    /// What was found while it could not be decided.
    deferred: Vec<Finding>,
    /// Numbers whose evidence is to be weighed again at the next tick that can decide.
    recheck: BTreeSet<(NumberIx, Channel)>,
    /// Of which only a rule may be met: what a swap cannot cure moves no decision on one by a moment.
    rules_due: BTreeSet<(NumberIx, Channel)>,
    /// And those whose rules are to be looked at then, whatever happens until that.
    rules_at: BTreeSet<(Time, NumberIx, Channel)>,
    /// Those of them of which no rollback may be decided yet.
    early: BTreeSet<(NumberIx, Channel)>,
    /// Numbers and groups whose verdict something may have changed since the last tick.
    renew: Due,
    renew_groups: Due,
    /// A tick is under way: when it began, and up to when alerts had been read then.
    ticking: Option<(Time, ReadUntil)>,
    /// Phases that end at a known time.
    due: BTreeSet<(Time, NumberIx, Channel)>,
    /// Numbers whose port is under way, by its date.
    open_due: BTreeSet<(Time, NumberIx)>,
    /// Watched channels in their active phase.
    active: usize,
    events: Vec<EngineEvent>,
    next_decision: u64,
    next_refresh: Time,
    next_prune: Time,
}

impl Engine {
    pub fn new(roster: Roster, settings: EngineSettings, now: Time) -> Engine {
        let mut detection = settings.detection.clone();
        detection.resize_with(roster.groups().len(), Detection::default);
        let mut due = BTreeSet::new();
        let mut active = 0;
        let channels = roster
            .numbers()
            .map(|(ix, n)| {
                Channel::ALL.map(|c| {
                    let is_done = n.port == PortAt::Done;
                    if n.channels[c.index()] {
                        active += usize::from(is_done);
                        match n.port {
                            PortAt::Done => {
                                due.insert((now + settings.active_for, ix, c));
                            }
                            PortAt::At(at) => {
                                due.insert((at, ix, c));
                            }
                            PortAt::Unknown => {}
                        }
                    }
                    ChannelState {
                        phase: if is_done { Phase::Active } else { Phase::Waiting },
                        phase_ends: is_done.then_some(now + settings.active_for),
                        verdict: Verdict::Unknown,
                        evidence: Evidence::default(),
                        rollback: RollbackProgress::None,
                        window: Window::default(),
                        sent: Window::default(),
                        latest: LatestCallers::default(),
                        arrivals: Arrivals::default(),
                        met: Vec::new(),
                        excess_since: None,
                        decided: false,
                        withheld: None,
                        on_hint: false,
                        is_told_beside: false,
                        not_before: None,
                        restored_at: None,
                        was_used: false,
                        was_served: false,
                        was_probed: false,
                        is_port_open: false,
                        watched_since: now,
                        counts: WatchCounts::default(),
                        last_probe: None,
                        last_failed: [None, None],
                        probe_told: false,
                        was_told: false,
                    }
                })
            })
            .collect();
        let groups = roster.groups().map(|_| Default::default()).collect();
        let params = detection.iter().map(|d| d.params.clone()).collect();
        let renew_groups = Due::new(detection.len());
        let (silence, blind_after) = (settings.silence.clone(), settings.blind_after);
        let history = settings.history.clone();
        let expected = history.map(|h| ExpectedTraffic::new(&roster, h, silence.unseen, blind_after + NOT_SEEN_FOR));
        Engine {
            routes: RoutingHistory::new(&roster),
            ledger: Ledger::new(&roster, settings.settle_grace),
            detector: Detector::new(&roster, params, silence, expected, now),
            horizons: detection.iter().map(|d| Channel::ALL.map(|c| d.horizon(c))).collect(),
            detection,
            groups,
            channels,
            polled: [None; Source::ALL.len()],
            was_blind: [None; 2],
            was_still: false,
            dirty: BTreeSet::new(),
            dirty_groups: BTreeSet::new(),
            deferred: Vec::new(),
            recheck: BTreeSet::new(),
            rules_due: BTreeSet::new(),
            rules_at: BTreeSet::new(),
            early: BTreeSet::new(),
            renew: Due::new(roster.len()),
            renew_groups,
            ticking: None,
            due,
            open_due: BTreeSet::new(),
            active,
            events: Vec::new(),
            next_decision: 1,
            next_refresh: now,
            next_prune: now + tick::PRUNE_EVERY,
            roster,
            settings,
        }
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    pub fn channel(&self, number: NumberIx, channel: Channel) -> &ChannelState {
        &self.channels[number.0 as usize][channel.index()]
    }

    fn channel_mut(&mut self, number: NumberIx, channel: Channel) -> &mut ChannelState {
        &mut self.channels[number.0 as usize][channel.index()]
    }

    pub fn group_verdict(&self, group: GroupIx, channel: Channel) -> (Verdict, &Evidence) {
        let g = &self.groups[group.0 as usize][channel.index()];
        (g.verdict, &g.evidence)
    }

    pub fn record(&self, number: NumberIx) -> Option<&NumberRecord> {
        self.routes.record(number)
    }

    /// Who answers a channel; `None` if that has not been read.
    pub fn handler(&self, number: NumberIx, channel: Channel) -> Option<Handler> {
        self.routes.handler(number, channel)
    }

    /// Calls or messages of a number that have no outcome yet.
    pub fn open(&self, number: NumberIx, channel: Channel) -> u32 {
        self.ledger.open(number, channel)
    }

    /// When `source` was last read in full.
    pub fn polled_at(&self, source: Source) -> Option<Time> {
        self.polled[source.index()]
    }

    /// True if `source` could not be read for too long, or is said to have been read when it cannot have been.
    pub fn is_stale(&self, source: Source, now: Time) -> bool {
        let after = source.stale_after(self.settings.blind_after);
        self.polled[source.index()].is_none_or(|at| at + after < now || at > now + after)
    }

    /// What is known of who answers a channel.
    pub fn routing(&self, number: NumberIx, channel: Channel) -> RoutingState {
        self.routes.state(number, channel, self.polled_at(Source::Numbers).is_some())
    }

    fn is_unread(&self, number: NumberIx, channel: Channel) -> bool {
        self.routing(number, channel) == RoutingState::Unread
    }

    /// Nothing that is seen can say good of it: it is not known who answers, or others have its calls in their logs.
    fn is_unseen(&self, number: NumberIx, channel: Channel) -> bool {
        matches!(self.routing(number, channel), RoutingState::Unread | RoutingState::Elsewhere)
    }

    /// Watched numbers of which it is not known who answers `channel`.
    pub fn unread(&self, channel: Channel) -> impl Iterator<Item = NumberId> {
        let numbers = self.roster.numbers();
        let unread = numbers.filter(move |(ix, n)| n.channels[channel.index()] && self.is_unread(*ix, channel));
        unread.map(|(_, n)| n.id)
    }

    /// For want of what nothing can be said of `channel`, or of some of its numbers.
    pub fn cannot_read(&self, channel: Channel, now: Time) -> Vec<Source> {
        let mut sources: Vec<Source> = needed(channel).into_iter().filter(|s| self.is_stale(*s, now)).collect();
        if self.unread(channel).next().is_some() {
            let lists = routing(channel).iter().copied();
            let unread: Vec<Source> = lists.clone().filter(|s| self.polled_at(*s).is_none()).collect();
            sources.extend(if unread.is_empty() { vec![Source::Numbers] } else { unread });
        }
        sources
    }

    fn is_blind(&self, channel: Channel, now: Time) -> bool {
        needed(channel).into_iter().any(|s| self.is_stale(s, now))
    }

    /// No number has calls any more, and that is no chance: nobody gets through, or what is read stands still.
    pub const fn standstill(&self) -> Option<Standstill> {
        self.detector.standstill()
    }

    /// Calls of our numbers that began then and were over before anybody watched: nobody's outcomes, but they tell how
    /// many are to be expected.
    pub fn heard_before(&mut self, began: &[Time]) {
        self.detector.heard_before(began);
    }

    /// When the latest call of any number was first seen.
    pub const fn heard(&self) -> Option<Time> {
        self.detector.heard()
    }

    /// True if any number's `channel` is watched.
    pub fn watches(&self, channel: Channel) -> bool {
        self.roster.numbers().any(|(_, n)| n.channels[channel.index()])
    }

    /// Calls and messages held.
    pub fn held(&self) -> usize {
        self.ledger.len()
    }

    fn is_watched(&self, ix: NumberIx, channel: Channel) -> bool {
        self.roster.number(ix).channels[channel.index()]
    }

    fn watched(&self, ix: NumberIx) -> impl Iterator<Item = Channel> + use<> {
        let channels = self.roster.number(ix).channels;
        Channel::ALL.into_iter().filter(move |c| channels[c.index()])
    }

    /// Decisions are numbered from the one after `last`, which is in the journal.
    pub fn resume_after(&mut self, last: DecisionId) {
        self.next_decision = self.next_decision.max(last.0 + 1);
    }

    /// Ends the replay of what was seen before a restart: whatever had settled by `at` was reported
    /// then and is none now. What had not settled is still to come.
    pub fn catch_up(&mut self, at: Time) {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        for change in self.ledger.settle(at, ReadUntil::all(at), usize::MAX, cx) {
            self.settled(change);
        }
        self.renew(at);
        self.forget_news();
    }

    /// What has happened so far was news to an agent before. Verdicts are not counted but stand: whoever shows them
    /// must know. What has added up meanwhile beside what people were told is none either: the agent before knew, and
    /// this one does not, which of it the rules that were met had said already.
    pub fn forget_news(&mut self) {
        self.detector.forget_news();
        for state in self.channels.iter_mut().flatten().filter(|s| s.was_told) {
            state.window.excess_is_told();
            state.sent.excess_is_told();
        }
        self.events.retain(|e| matches!(e, EngineEvent::Verdict { .. } | EngineEvent::GroupVerdict { .. }));
    }

    /// The agent before had read the logs at `at`: what it had not seen by then was not there.
    pub fn was_seen(&mut self, at: Time) {
        self.detector.seen(at);
    }

    /// Takes in an entry of this account's logs, as seen at `at`.
    pub fn observe(&mut self, at: Time, account: AccountSid, observation: &Observation) {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        let change = match observation {
            Observation::Call(call) => {
                let effect = self.ledger.call(at, account, call, cx);
                self.sighted(effect.sighting);
                // Of its own leg, and of ours, nobody is missed; but the log shows it.
                if matches!(
                    call.leg,
                    Leg::Child { .. } | Leg::Inbound { caller: RemoteParty { is_prober: true, .. }, .. }
                ) {
                    self.detector.log_is_alive(at);
                }
                self.forwarded(account, call);
                effect.change
            }
            Observation::Message(message) => {
                let effect = self.ledger.message(at, account, message, cx);
                let answered = self.ledger.answered(at, account, message, cx);
                self.sighted(effect.sighting);
                answered.into_iter().for_each(|change| self.settled(change));
                effect.change
            }
            Observation::Alert(alert) => {
                let change = self.ledger.alert(at, alert, cx);
                self.events.extend(self.ledger.take_raised().map(|waits| EngineEvent::AlertsLate { waits }));
                self.port_alert(account, alert);
                change
            }
            Observation::Probe(probe) => {
                self.probed(at, account, probe);
                if let Some(seconds) = probe.grace {
                    self.ledger.set_grace(Duration::from_secs(u64::from(seconds)));
                }
                if let Some(seconds) = probe.unseen {
                    self.detector.set_unseen(Duration::from_secs(u64::from(seconds)));
                }
                // Whatever number it seems to come from: it is no caller's.
                probe.entry.and_then(|entry| {
                    self.ledger.is_ours(at, entry, LedgerContext { roster: &self.roster, routes: &self.routes })
                })
            }
            Observation::OthersCall => {
                self.detector.log_is_alive(at);
                None
            }
            Observation::Number(record) => {
                if let Some(ix) = self.roster.find(NumberId::new(account, record.number)) {
                    self.read(at, ix, record);
                }
                None
            }
            Observation::Absent { number } => {
                if let Some(ix) = self.roster.find(NumberId::new(account, *number)) {
                    self.absent(at, ix);
                }
                None
            }
        };
        for AttachedAlert { number, channel, code, failed } in self.ledger.take_attached() {
            self.events.push(EngineEvent::Alert { number, code });
            if let Some(failed) = failed {
                let last = &mut self.channel_mut(number, channel).last_failed[usize::from(failed.is_fallback)];
                if last.as_ref().is_none_or(|last| last.at <= failed.at) {
                    *last = Some(failed);
                }
            }
        }
        if let Some(change) = change {
            self.settled(change);
        }
        self.warned();
    }

    /// Everything that `source` showed at `at` has been taken in.
    pub fn polled(&mut self, source: Source, at: Time) {
        let last = &mut self.polled[source.index()];
        let is_first = last.is_none();
        *last = Some(last.map_or(at, |t| t.max(at)));
        if is_first && source == Source::Numbers {
            self.reconsider_all();
            // What was unread is missing, and no longer blindness.
            Channel::ALL.into_iter().for_each(|channel| self.renew_all(at, channel));
        }
    }

    fn settled(&mut self, change: OutcomeChange) {
        self.events.push(EngineEvent::Settled(change));
        if change.is_inbound {
            self.learn(&change);
        } else {
            self.learn_of_sent(&change);
        }
    }
}

#[cfg(test)]
mod tests;
