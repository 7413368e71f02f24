//! The only way into the core: observations and the time go in, events come out.
//!
//! The engine owns all state that decisions rest on. It never waits and never asks: whoever drives
//! it tells it what was seen ([`Engine::observe`]), which logs could be read ([`Engine::polled`]),
//! what became of swaps ([`Engine::rolled_back`], [`Engine::not_rolled_back`]) and what time it is
//! ([`Engine::tick`]). `run`, `demo`, `replay` and the tests drive this same engine.
//!
//! Promises: the same inputs give the same events, byte for byte. Settled outcomes are the only
//! evidence. While a source that a channel needs is stale, the channel's verdict is `blind` and
//! nothing is decided for it. A number and channel is decided once; it is decided again only after
//! its trouble was over or its rollback failed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::code::Code;
use super::id::{Channel, E164};
use super::ledger::{Change, Context, Ledger, Sighting};
use super::observation::Observation;
use super::policy::{Action, Decision, DecisionId, Guard, Mode, Phase};
use super::roster::{GroupIx, NumberIx, PortAt, Roster};
use super::routes::Routes;
use super::routing::NumberRecord;
use super::time::Time;
use super::verdict::{Evidence, Verdict};
use super::window::{Rule, Window, gather};

/// What the engine is told once.
#[derive(Clone, Debug)]
pub struct Settings {
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
    pub rule: Rule,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            mode: Mode::Observe,
            active_for: Duration::from_secs(30 * 60),
            blind_after: Duration::from_secs(90),
            settle_grace: Duration::from_secs(45),
            remember: Duration::from_secs(6 * 3600),
            rule: Rule::default(),
        }
    }
}

/// One of Twilio's logs, or our list of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Calls,
    Messages,
    Alerts,
    Numbers,
}

impl Source {
    pub const ALL: [Source; 4] = [Source::Calls, Source::Messages, Source::Alerts, Source::Numbers];

    pub const fn label(self) -> &'static str {
        match self {
            Source::Calls => "calls",
            Source::Messages => "messages",
            Source::Alerts => "alerts",
            Source::Numbers => "numbers",
        }
    }

    pub const fn index(self) -> usize {
        match self {
            Source::Calls => 0,
            Source::Messages => 1,
            Source::Alerts => 2,
            Source::Numbers => 3,
        }
    }
}

/// The logs without which nothing can be said of a channel.
pub const fn needed(channel: Channel) -> [Source; 2] {
    match channel {
        Channel::Voice => [Source::Calls, Source::Alerts],
        Channel::Messaging => [Source::Messages, Source::Alerts],
    }
}

/// Something that happened in the core and that the world should know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An outcome is known, or known better.
    Settled(Change),
    /// An alert belongs to a call or message of this number.
    Alert {
        number: NumberIx,
        code: Code,
    },
    Phase {
        number: NumberIx,
        channel: Channel,
        from: Phase,
        to: Phase,
        why: PhaseChange,
    },
    Verdict {
        number: NumberIx,
        channel: Channel,
        from: Verdict,
        to: Verdict,
    },
    GroupVerdict {
        group: GroupIx,
        channel: Channel,
        from: Verdict,
        to: Verdict,
    },
    Decided(Decision),
}

/// Why a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseChange {
    /// Its time had come.
    Due,
    /// A live caller arrived.
    FirstCaller,
    /// An operator said so.
    Operator,
}

/// Where a channel's rollback stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rollback {
    #[default]
    None,
    /// Decided, not yet answered for.
    Pending,
    /// On the fallback since.
    Done(Time),
}

/// All that is known of one channel of one number.
#[derive(Clone, Debug)]
pub struct ChannelState {
    pub phase: Phase,
    /// When it became active.
    pub active_since: Option<Time>,
    pub verdict: Verdict,
    pub evidence: Evidence,
    pub rollback: Rollback,
    /// Entries without an outcome yet.
    pub open: u32,
    window: Window,
    /// Decided and not yet over, so that it is not decided again.
    decided: bool,
    /// A rollback failed: the next one not before this.
    not_before: Option<Time>,
    /// Paged for trouble that a swap would not cure, and not yet over.
    paged: bool,
    /// Somebody has called or written.
    was_used: bool,
}

#[derive(Clone, Debug, Default)]
struct GroupState {
    verdict: Verdict,
    evidence: Evidence,
}

#[derive(Debug)]
pub struct Engine {
    roster: Roster,
    settings: Settings,
    routes: Routes,
    ledger: Ledger,
    channels: Vec<[ChannelState; 2]>,
    groups: Vec<[GroupState; 2]>,
    /// When each source was last read in full, by [`Source::index`].
    polled: [Option<Time>; 4],
    /// Verdicts to look at again at the next tick.
    dirty: BTreeSet<(GroupIx, usize)>,
    events: Vec<Event>,
    next_decision: u64,
    next_sweep: Time,
}

/// How often windows are moved on although nothing came in, and old entries dropped.
const SWEEP: Duration = Duration::from_secs(10);

impl Engine {
    pub fn new(roster: Roster, settings: Settings, now: Time) -> Engine {
        let channels = roster
            .numbers()
            .map(|(_, n)| {
                Channel::ALL.map(|_| ChannelState {
                    phase: if n.port == PortAt::Done { Phase::Active } else { Phase::Waiting },
                    active_since: (n.port == PortAt::Done).then_some(now),
                    verdict: Verdict::Unknown,
                    evidence: Evidence::default(),
                    rollback: Rollback::None,
                    open: 0,
                    window: Window::default(),
                    decided: false,
                    not_before: None,
                    paged: false,
                    was_used: false,
                })
            })
            .collect();
        let groups = roster.groups().map(|_| Default::default()).collect();
        Engine {
            routes: Routes::new(&roster),
            ledger: Ledger::new(&roster, settings.settle_grace),
            groups,
            channels,
            polled: [None; 4],
            dirty: BTreeSet::new(),
            events: Vec::new(),
            next_decision: 1,
            next_sweep: now,
            roster,
            settings,
        }
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn channel(&self, number: NumberIx, channel: Channel) -> &ChannelState {
        &self.channels[number.0 as usize][channel.index()]
    }

    pub fn group_verdict(&self, group: GroupIx, channel: Channel) -> (Verdict, &Evidence) {
        let g = &self.groups[group.0 as usize][channel.index()];
        (g.verdict, &g.evidence)
    }

    pub fn record(&self, number: NumberIx) -> Option<&NumberRecord> {
        self.routes.record(number)
    }

    /// When `source` was last read in full.
    pub fn polled_at(&self, source: Source) -> Option<Time> {
        self.polled[source.index()]
    }

    /// How many watched channels of these numbers wait for their port.
    pub fn waiting(&self, numbers: &[NumberIx]) -> usize {
        let waits = |ix: NumberIx| self.watched(ix).filter(move |c| self.channel(ix, *c).phase == Phase::Waiting);
        numbers.iter().map(|ix| waits(*ix).count()).sum()
    }

    /// True if `source` could not be read for too long.
    pub fn is_stale(&self, source: Source, now: Time) -> bool {
        self.polled[source.index()].is_none_or(|at| at + self.settings.blind_after < now)
    }

    /// True if any number's `channel` is watched.
    pub fn watches(&self, channel: Channel) -> bool {
        self.roster.numbers().any(|(_, n)| n.channels[channel.index()])
    }

    /// Calls and messages held.
    pub fn held(&self) -> usize {
        self.ledger.len()
    }

    /// True while any channel is in its active phase, or about to be within `soon`.
    pub fn is_active(&self, now: Time, soon: Duration) -> bool {
        self.roster.numbers().any(|(ix, n)| {
            let due = matches!(n.port, PortAt::At(t) if t <= now + soon);
            self.watched(ix).any(|c| match self.channel(ix, c).phase {
                Phase::Waiting => due,
                Phase::Active => true,
                Phase::Passive => false,
            })
        })
    }

    fn watched(&self, ix: NumberIx) -> impl Iterator<Item = Channel> + use<> {
        let channels = self.roster.number(ix).channels;
        Channel::ALL.into_iter().filter(move |c| channels[c.index()])
    }

    /// Decisions are numbered from the one after `last`, which is in the journal.
    pub fn resume_after(&mut self, last: DecisionId) {
        self.next_decision = self.next_decision.max(last.0 + 1);
    }

    /// Puts a channel into the phase in which it was when the journal ended.
    pub fn resume_phase(&mut self, number: NumberIx, channel: Channel, phase: Phase, since: Time) {
        let state = &mut self.channels[number.0 as usize][channel.index()];
        state.phase = phase;
        state.active_since = (phase == Phase::Active).then_some(since);
    }

    /// Ends the replay of what was seen before a restart: whatever had settled by `at` was news
    /// then and is none now. What had not settled is still to come.
    pub fn catch_up(&mut self, at: Time) {
        let cx = Context { roster: &self.roster, routes: &self.routes };
        for change in self.ledger.settle(at, at, cx) {
            self.settled(Some(change));
        }
        self.events.clear();
    }

    /// Takes in an entry of a log, as seen at `at`.
    pub fn observe(&mut self, at: Time, observation: &Observation) {
        let cx = Context { roster: &self.roster, routes: &self.routes };
        match observation {
            Observation::Call(call) => {
                let effect = self.ledger.call(at, call, cx);
                self.sighted(effect.sighting);
                self.settled(effect.change);
            }
            Observation::Message(message) => {
                let effect = self.ledger.message(at, message, cx);
                self.sighted(effect.sighting);
                self.settled(effect.change);
            }
            Observation::Alert(alert) => {
                let change = self.ledger.alert(at, alert, cx);
                self.settled(change);
            }
            Observation::Number(record) => {
                if let Some(ix) = self.roster.find(record.number) {
                    self.routes.learn(&self.roster, ix, (**record).clone());
                }
            }
        }
        let attached = self.ledger.take_attached();
        self.events.extend(attached.map(|(number, code)| Event::Alert { number, code }));
    }

    /// Everything that `source` showed at `at` has been taken in.
    pub fn polled(&mut self, source: Source, at: Time) {
        let last = &mut self.polled[source.index()];
        *last = Some(last.map_or(at, |t| t.max(at)));
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

    /// A number's channel is on the fallback, as decided or as found in the journal.
    pub fn rolled_back(&mut self, at: Time, number: NumberIx, channel: Channel) {
        let group = self.roster.number(number).group;
        let state = &mut self.channels[number.0 as usize][channel.index()];
        state.rollback = Rollback::Done(at);
        state.decided = false;
        // What spoke against the old handler says nothing of the fallback.
        state.window.clear();
        self.dirty.insert((group, channel.index()));
    }

    /// The rollback that was decided did not come about. It may be decided again from `retry_at` on.
    pub fn not_rolled_back(&mut self, number: NumberIx, channel: Channel, retry_at: Time) {
        let group = self.roster.number(number).group;
        let state = &mut self.channels[number.0 as usize][channel.index()];
        state.rollback = Rollback::None;
        state.decided = false;
        state.not_before = Some(retry_at);
        self.dirty.insert((group, channel.index()));
    }

    /// Moves time on: settles outcomes, renews verdicts, decides. Returns all that has happened
    /// since the last tick, in order.
    pub fn tick(&mut self, now: Time) -> Vec<Event> {
        self.move_phases(now);
        let alerts_until = self.polled[Source::Alerts.index()].unwrap_or(Time::EPOCH);
        let cx = Context { roster: &self.roster, routes: &self.routes };
        for change in self.ledger.settle(now, alerts_until, cx) {
            self.settled(Some(change));
        }
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            self.sweep(now);
        }
        for channel in Channel::ALL {
            let blind = needed(channel).into_iter().any(|s| self.is_stale(s, now));
            let groups: Vec<GroupIx> = self.roster.groups().map(|(g, _)| g).collect();
            for group in groups {
                let looked_at = self.dirty.remove(&(group, channel.index()));
                if blind != (self.groups[group.0 as usize][channel.index()].verdict == Verdict::Blind) || looked_at {
                    self.decide_group(now, group, channel, blind);
                }
            }
        }
        std::mem::take(&mut self.events)
    }

    fn sweep(&mut self, now: Time) {
        let oldest = now - self.settings.rule.within;
        for (ix, number) in self.roster.numbers() {
            for channel in Channel::ALL {
                let state = &mut self.channels[ix.0 as usize][channel.index()];
                state.open = self.ledger.open(ix, channel);
                if !state.window.is_empty() {
                    state.window.prune(oldest);
                    self.dirty.insert((number.group, channel.index()));
                }
            }
        }
        self.ledger.prune(now - self.settings.remember);
    }

    fn sighted(&mut self, sighting: Option<Sighting>) {
        let Some(s) = sighting else {
            return;
        };
        let state = &mut self.channels[s.number.0 as usize][s.channel.index()];
        let is_first = !std::mem::replace(&mut state.was_used, true);
        // Whatever was announced: with its first live caller a number's day begins.
        if is_first && state.phase != Phase::Active {
            self.enter(s.at, s.number, s.channel, Phase::Active, PhaseChange::FirstCaller);
        }
    }

    fn settled(&mut self, change: Option<Change>) {
        let Some(change) = change else {
            return;
        };
        let number = change.number;
        if change.is_inbound {
            let state = &mut self.channels[number.0 as usize][change.channel.index()];
            // On the fallback, only calls that reached the fallback count.
            let earlier = matches!(state.rollback, Rollback::Done(at) if change.started_at < at);
            if !earlier {
                state.window.apply(&change);
                self.dirty.insert((self.roster.number(number).group, change.channel.index()));
            }
        }
        self.events.push(Event::Settled(change));
    }

    fn enter(&mut self, now: Time, number: NumberIx, channel: Channel, to: Phase, why: PhaseChange) {
        let state = &mut self.channels[number.0 as usize][channel.index()];
        let from = std::mem::replace(&mut state.phase, to);
        if to == Phase::Active {
            state.active_since = Some(now);
        }
        self.events.push(Event::Phase { number, channel, from, to, why });
    }

    fn move_phases(&mut self, now: Time) {
        for i in 0..self.roster.len() {
            let ix = NumberIx(i as u32);
            let port = self.roster.number(ix).port;
            for channel in self.watched(ix) {
                let state = self.channel(ix, channel);
                match (state.phase, state.active_since, port) {
                    (Phase::Waiting, _, PortAt::At(t)) if t <= now => {
                        self.enter(now, ix, channel, Phase::Active, PhaseChange::Due);
                    }
                    (Phase::Active, Some(since), _) if since + self.settings.active_for <= now => {
                        self.enter(now, ix, channel, Phase::Passive, PhaseChange::Due);
                    }
                    (Phase::Waiting | Phase::Active | Phase::Passive, _, _) => {}
                }
            }
        }
    }

    /// Renews the verdicts of a group and its numbers, and decides what follows from them.
    fn decide_group(&mut self, now: Time, group: GroupIx, channel: Channel, blind: bool) {
        let rule = self.settings.rule;
        let since = now - rule.within;
        let members: Vec<NumberIx> = self
            .roster
            .group(group)
            .numbers
            .iter()
            .copied()
            .filter(|n| self.roster.number(*n).channels[channel.index()])
            .collect();
        for ix in &members {
            let window = &self.channel(*ix, channel).window;
            let evidence = gather([window].into_iter(), since, true);
            let verdict = judge(&evidence, &rule, blind);
            let state = &mut self.channels[ix.0 as usize][channel.index()];
            state.open = self.ledger.open(*ix, channel);
            state.evidence = evidence;
            let from = std::mem::replace(&mut state.verdict, verdict);
            if from != verdict {
                self.events.push(Event::Verdict { number: *ix, channel, from, to: verdict });
            }
        }
        // Numbers on the fallback say nothing of the handler that the group shares.
        let on_primary: Vec<NumberIx> =
            members.iter().copied().filter(|n| self.channel(*n, channel).rollback == Rollback::None).collect();
        let windows = on_primary.iter().map(|n| &self.channel(*n, channel).window);
        let pooled = gather(windows, since, true);
        let verdict = judge(&pooled, &rule, blind);
        let is_shared = pooled.numbers >= 2;
        let state = &mut self.groups[group.0 as usize][channel.index()];
        state.evidence = pooled.clone();
        let from = std::mem::replace(&mut state.verdict, verdict);
        if from != verdict {
            self.events.push(Event::GroupVerdict { group, channel, from, to: verdict });
        }
        if blind {
            return;
        }
        // What is over may be decided again: over for the number, and for the group that it is in.
        let is_over = |v: Verdict| matches!(v, Verdict::Unknown | Verdict::Healthy);
        for ix in &members {
            let state = &mut self.channels[ix.0 as usize][channel.index()];
            state.decided &= !(is_over(state.verdict) && is_over(verdict));
        }
        if verdict == Verdict::Failing && is_shared {
            self.decide(now, group, channel, &on_primary, pooled);
        }
        for ix in on_primary {
            let state = self.channel(ix, channel);
            if state.verdict == Verdict::Failing {
                let evidence = state.evidence.clone();
                self.decide(now, group, channel, &[ix], evidence);
            }
        }
        for ix in members {
            self.page(now, group, ix, channel, since);
        }
    }

    /// Decides for `numbers` what `evidence` asks for: a rollback, unless a guard says no.
    fn decide(&mut self, now: Time, group: GroupIx, channel: Channel, numbers: &[NumberIx], evidence: Evidence) {
        let mut act = Vec::new();
        let mut withheld: Vec<(Guard, Vec<E164>)> = Vec::new();
        for ix in numbers {
            let state = &self.channels[ix.0 as usize][channel.index()];
            if state.decided || state.rollback != Rollback::None || state.not_before.is_some_and(|t| now < t) {
                continue;
            }
            match self.guard(*ix, channel) {
                None => act.push(*ix),
                Some(guard) => {
                    let e164 = self.roster.number(*ix).e164;
                    match withheld.iter_mut().find(|(g, _)| *g == guard) {
                        Some((_, list)) => list.push(e164),
                        None => withheld.push((guard, vec![e164])),
                    }
                }
            }
            self.channels[ix.0 as usize][channel.index()].decided = true;
        }
        for ix in &act {
            self.channels[ix.0 as usize][channel.index()].rollback = Rollback::Pending;
        }
        let act: Vec<E164> = act.iter().map(|ix| self.roster.number(*ix).e164).collect();
        if !act.is_empty() {
            self.record_decision(now, group, channel, Action::Rollback, act, evidence.clone());
        }
        for (guard, numbers) in withheld {
            self.record_decision(now, group, channel, Action::Withheld { guard }, numbers, evidence.clone());
        }
    }

    /// The first guard that says no.
    fn guard(&self, number: NumberIx, channel: Channel) -> Option<Guard> {
        let state = self.channel(number, channel);
        let group = self.roster.group_of(number);
        if self.settings.mode != Mode::Auto {
            return Some(Guard::Mode);
        }
        if state.phase == Phase::Waiting {
            return Some(Guard::Phase);
        }
        let Some(fallback) = group.fallback(channel) else {
            return Some(Guard::NoFallback);
        };
        let Some(handler) = self.routes.handler(number, channel) else {
            return Some(Guard::NotInAccount);
        };
        if handler == super::routing::Handler::Url(fallback.to_owned()) {
            return Some(Guard::OnFallback);
        }
        None
    }

    /// Reports failures that a swap would not cure, once until they are over.
    fn page(&mut self, now: Time, group: GroupIx, number: NumberIx, channel: Channel, since: Time) {
        let window = &self.channel(number, channel).window;
        let evidence = gather([window].into_iter(), since, false);
        let met = self.settings.rule.is_met(&evidence);
        let state = &mut self.channels[number.0 as usize][channel.index()];
        let paged = std::mem::replace(&mut state.paged, met);
        if let (true, false, Some(leading)) = (met, paged, evidence.reasons.first()) {
            let action = Action::Page { reason: leading.reason };
            let e164 = self.roster.number(number).e164;
            self.record_decision(now, group, channel, action, vec![e164], evidence);
        }
    }

    fn record_decision(
        &mut self,
        now: Time,
        group: GroupIx,
        channel: Channel,
        action: Action,
        numbers: Vec<E164>,
        evidence: Evidence,
    ) {
        let rule = self.settings.rule;
        let decision = Decision {
            id: DecisionId(self.next_decision),
            at: now,
            action,
            channel,
            group: self.roster.group(group).name.clone(),
            numbers,
            rule: format!(
                "{} of {} callers failed within {} min (at least {}, at least {:.0} %)",
                evidence.failing,
                evidence.callers,
                rule.within.as_secs() / 60,
                rule.callers,
                rule.ratio * 100.0
            ),
            evidence,
        };
        self.next_decision += 1;
        self.events.push(Event::Decided(decision));
    }
}

/// Callers that must have been served before a number is called healthy: fewer say too little.
const HEALTHY_CALLERS: u32 = 3;

fn judge(e: &Evidence, rule: &Rule, blind: bool) -> Verdict {
    if blind {
        Verdict::Blind
    } else if rule.is_met(e) {
        Verdict::Failing
    } else if e.failing > 0 && e.ratio.is_some_and(|r| r >= rule.ratio / 2.0) {
        Verdict::Suspect
    } else if e.callers >= HEALTHY_CALLERS {
        Verdict::Healthy
    } else {
        Verdict::Unknown
    }
}

#[cfg(test)]
mod tests;
