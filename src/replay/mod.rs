//! A recorded log, played through the engine in its own time.
//!
//! No network, no clock, no chance: the same recording and configuration give the same decisions,
//! byte for byte. The engine is the one that `run` drives. A recording shows what pollers saw, so
//! every source is fresh throughout; and since it cannot show what a fallback would have done, what
//! follows on a channel that was rolled back is ignored. The memory does not grow with the recording.

mod read;
pub mod truth;

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::time::Duration;

use serde::Serialize;

pub use read::{BadLine, Lines, RecordedLine, parse};

use crate::caller::CallerKey;
use crate::core::detect::engine::{Engine, EngineEvent, EngineSettings, RollbackProgress};
use crate::core::detect::ledger::OutcomeChange;
use crate::core::detect::observation::Observation;
use crate::core::model::decision::{Action, Decision, DecisionId, DetectorGuard, Mode, PageReason};
use crate::core::model::id::{AccountSid, Channel, E164, GroupName, NumberId};
use crate::core::model::reason::Outcome;
use crate::core::model::roster::{GroupIx, NumberIx, Roster};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::model::verdict::Evidence;
use crate::twilio::wire::{NumberSids, Reader};

/// Between ticks, as in the agent.
const TICK: Duration = Duration::from_secs(1);

/// What a recording held, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplaySummary {
    pub lines: u64,
    pub calls: u64,
    pub messages: u64,
    pub alerts: u64,
    pub probes: u64,
    /// Entries of numbers that are not in the configuration.
    pub foreign: u64,
    pub bad_lines: u64,
    /// Lines that were seen before the line above them.
    pub out_of_order: u64,
    pub from: Option<Time>,
    pub until: Option<Time>,
    pub rollbacks: u64,
    pub numbers_rolled_back: u64,
    pub pages: u64,
    /// Numbers of which the recording does not say what they point at, and whose calls or messages wait for that.
    pub unread_numbers: u64,
    pub groups: Vec<GroupSummary>,
}

/// What became of a group's calls, of the messages that came in, or of those that were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupSummary {
    pub group: GroupName,
    pub channel: Channel,
    /// Messages of ours, which say nothing of who answers.
    pub is_sent: bool,
    pub served: u64,
    pub failed: u64,
    /// They say nothing of who answered.
    pub ignored: u64,
    /// What became of them is not known by the end of the recording: calls, or messages in either direction.
    pub open: u64,
}

/// Something about the recording that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    Bad(BadLine),
    /// The first line that was seen before the one above it. The others are counted.
    Unsorted(u64),
}

/// The engine, driven by a recording's own time.
pub struct Player {
    engine: Engine,
    /// The next tick; none before the first entry.
    next: Option<Time>,
    settings: EngineSettings,
    roster: Roster,
    /// Served, failed and ignored, by group, channel, and whether it was sent.
    outcomes: BTreeMap<(GroupIx, usize, bool), [u64; 3]>,
}

impl Player {
    /// The mode is `auto` whatever the configuration says.
    pub fn new(roster: Roster, settings: EngineSettings) -> Player {
        let settings = EngineSettings { mode: Mode::Auto, ..settings };
        let engine = Engine::new(roster.clone(), settings.clone(), Time::EPOCH);
        Player { engine, next: None, settings, roster, outcomes: BTreeMap::new() }
    }

    /// Takes in one entry; `at` never goes back. `decided` is given what was decided before it.
    pub fn observe(
        &mut self,
        at: Time,
        account: AccountSid,
        observation: &Observation,
        decided: &mut impl FnMut(Decision),
    ) {
        self.advance(at, decided);
        self.refresh(at);
        self.engine.observe(at, account, observation);
    }

    /// Lets the time pass until `at`.
    pub fn advance(&mut self, at: Time, decided: &mut impl FnMut(Decision)) {
        let remember = self.settings.remember;
        let mut next = *self.next.get_or_insert_with(|| {
            // Phases and rates begin with the recording.
            self.engine = Engine::new(self.roster.clone(), self.settings.clone(), at);
            at
        });
        if at.since(next) > remember * 2 {
            // Nothing is left that could happen in between.
            next = at - remember;
        }
        while next <= at {
            self.refresh(next);
            let events = self.engine.tick(next);
            for event in events {
                match event {
                    EngineEvent::Decided(decision) => self.decide(*decision, decided),
                    EngineEvent::Settled(change) => self.count(&change),
                    EngineEvent::Alert { .. }
                    | EngineEvent::Phase { .. }
                    | EngineEvent::Met { .. }
                    | EngineEvent::PortedOut { .. }
                    | EngineEvent::AlertsLate { .. }
                    | EngineEvent::Warned { .. }
                    | EngineEvent::Verdict { .. }
                    | EngineEvent::GroupVerdict { .. } => {}
                }
            }
            next = next + TICK;
        }
        self.next = Some(next);
    }

    /// Counts an outcome, once as what it is known to be by now.
    fn count(&mut self, change: &OutcomeChange) {
        let which = |outcome: Outcome| match outcome {
            Outcome::Ok => 0,
            Outcome::Failed(_) => 1,
            Outcome::Ignored(_) => 2,
        };
        let group = self.roster.number(change.number).group;
        let counts = self.outcomes.entry((group, change.channel.index(), !change.is_inbound)).or_default();
        counts[which(change.is)] += 1;
        if let Some(was) = change.was {
            counts[which(was)] = counts[which(was)].saturating_sub(1);
        }
    }

    /// What became of each group's calls and messages so far: of every channel that is watched, and of what was sent
    /// where something was.
    pub fn groups(&self) -> Vec<GroupSummary> {
        let mut groups = Vec::new();
        for (ix, group) in self.roster.groups() {
            for channel in Channel::ALL {
                let watched = || group.numbers.iter().filter(|n| self.roster.number(**n).channels[channel.index()]);
                let open = watched().map(|n| u64::from(self.engine.open(*n, channel))).sum();
                for is_sent in [false, true] {
                    let counts = self.outcomes.get(&(ix, channel.index(), is_sent));
                    if counts.is_none() && (is_sent || watched().next().is_none()) {
                        continue;
                    }
                    let [served, failed, ignored] = counts.copied().unwrap_or_default();
                    let (group, open) = (group.name.clone(), if is_sent { 0 } else { open });
                    groups.push(GroupSummary { group, channel, is_sent, served, failed, ignored, open });
                }
            }
        }
        groups
    }

    /// Numbers of which nothing says what they point at, and which have calls or messages that wait for that.
    fn unread_numbers(&self) -> u64 {
        let waits = |n: NumberIx| Channel::ALL.into_iter().any(|channel| self.engine.open(n, channel) > 0);
        let unread = self.roster.numbers().filter(|(n, _)| self.engine.record(*n).is_none() && waits(*n));
        unread.count() as u64
    }

    fn refresh(&mut self, at: Time) {
        for source in Source::ALL {
            self.engine.polled(source, at);
        }
    }

    fn decide(&mut self, mut decision: Decision, decided: &mut impl FnMut(Decision)) {
        // Of a fallback a recording knows nothing.
        let is_on_primary = |n: &NumberId| {
            self.engine.roster().find(*n).is_none_or(|ix| {
                !matches!(self.engine.channel(ix, decision.channel).rollback, RollbackProgress::Done(_))
            })
        };
        decision.numbers.retain(is_on_primary);
        if decision.numbers.is_empty() {
            return;
        }
        let action = match decision.action {
            Action::Rollback | Action::Page { .. } => decision.action,
            // A recording need not say what its numbers point at.
            Action::Withheld { guard: DetectorGuard::NotInAccount | DetectorGuard::NotRead | DetectorGuard::Mode } => {
                Action::Rollback
            }
            Action::Withheld { guard: DetectorGuard::NoFallback | DetectorGuard::OnFallback } => {
                let Some(leading) = decision.evidence.reasons.first() else {
                    return;
                };
                Action::Page { reason: PageReason::Failing(leading.reason) }
            }
            Action::Withheld { guard: DetectorGuard::Phase } => return,
        };
        if action == Action::Rollback {
            for number in &decision.numbers {
                if let Some(ix) = self.engine.roster().find(*number) {
                    self.engine.rolled_back(decision.at, ix, decision.channel);
                }
            }
        }
        decided(Decision { action, ..decision });
    }
}

/// A line of the decisions file, whose format is fixed. A recording is of one account, which goes without saying.
#[derive(Debug, Serialize)]
pub struct DecisionRecord<'a> {
    id: DecisionId,
    at: Time,
    #[serde(flatten)]
    action: Action,
    channel: Channel,
    group: &'a GroupName,
    numbers: Vec<E164>,
    rule: &'a str,
    evidence: &'a Evidence,
}

impl DecisionRecord<'_> {
    pub fn of(decision: &Decision) -> DecisionRecord<'_> {
        let Decision { id, at, action, channel, group, numbers, rule, evidence } = decision;
        let numbers = numbers.iter().map(|n| n.e164).collect();
        DecisionRecord { id: *id, at: *at, action: *action, channel: *channel, group, numbers, rule, evidence }
    }
}

/// Plays a whole recording of this account. `remark` is told what is wrong with it, `progress` how many bytes were
/// read, `decided` each decision.
pub fn play(
    input: impl BufRead,
    account: AccountSid,
    roster: &Roster,
    settings: &EngineSettings,
    remark: &mut impl FnMut(Remark),
    progress: &mut impl FnMut(u64),
    decided: &mut impl FnMut(&Decision) -> io::Result<()>,
) -> io::Result<ReplaySummary> {
    let key = CallerKey::public();
    let sids = NumberSids::default();
    let reader =
        Reader { roster, account, key: &key, sids: &sids, carriers: settings.history.as_deref().map(|h| &h.prefixes) };
    let mut lines = Lines::new(input);
    let mut player = Player::new(roster.clone(), settings.clone());
    let mut summary = ReplaySummary::default();
    let mut failure = None;
    let mut rolled_back = std::collections::HashSet::new();
    let mut tally = ReplaySummary::default();
    let mut tell = |decision: Decision| {
        match decision.action {
            Action::Rollback => {
                tally.rollbacks += 1;
                rolled_back.extend(decision.numbers.iter().copied());
            }
            Action::Page { .. } => tally.pages += 1,
            Action::Withheld { .. } => {}
        }
        if failure.is_none() {
            failure = decided(&decision).err();
        }
    };
    while let Some(line) = lines.next(reader)? {
        let line = match line {
            Ok(line) => line,
            Err(bad) => {
                summary.bad_lines += 1;
                remark(Remark::Bad(bad));
                continue;
            }
        };
        let (RecordedLine::Seen(at, _) | RecordedLine::Foreign(at)) = &line;
        if summary.until.is_some_and(|until| *at < until) {
            summary.out_of_order += 1;
            if summary.out_of_order == 1 {
                remark(Remark::Unsorted(lines.line));
            }
        }
        // Time does not go back: what was seen earlier is taken in now.
        let at = summary.until.map_or(*at, |until| until.max(*at));
        summary.from.get_or_insert(at);
        summary.until = Some(at);
        match line {
            RecordedLine::Seen(_, observation) => {
                match &observation {
                    Observation::Call(_) => summary.calls += 1,
                    Observation::Message(_) => summary.messages += 1,
                    Observation::Alert(_) => summary.alerts += 1,
                    Observation::Probe(_) => summary.probes += 1,
                    Observation::Number(record) => sids.note(record.sid, record.number),
                    Observation::OthersCall => summary.foreign += 1,
                    // No recording says so.
                    Observation::Absent { .. } => {}
                }
                player.observe(at, account, &observation, &mut tell);
            }
            RecordedLine::Foreign(_) => {
                summary.foreign += 1;
                player.advance(at, &mut tell);
            }
        }
        progress(lines.bytes);
    }
    // What the last entries come to shows within their grace.
    if let Some(until) = summary.until {
        player.advance(until + settings.settle_grace + TICK * 2, &mut tell);
    }
    summary.groups = player.groups();
    summary.unread_numbers = player.unread_numbers();
    summary.lines = lines.line;
    summary.rollbacks = tally.rollbacks;
    summary.pages = tally.pages;
    summary.numbers_rolled_back = rolled_back.len() as u64;
    failure.map_or(Ok(summary), Err)
}
