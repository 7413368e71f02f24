//! The detector: from outcomes to findings.
//!
//! A port day's traffic is sparse, noisy and late: a rule of the kind "more than 10 % failed" either fires on honest
//! days or waits for ever. Here each number and each group has a statistic that says how much its calls speak for a
//! fault, with a threshold that bounds how often a healthy one reaches it; a handful of distinct failing callers is
//! enough for a total failure, which is what theory allows ([`stream`]). Beside it stand the user's own thresholds
//! ([`threshold`]), silence on the clock of the other numbers' traffic ([`silence`]) or by the weeks before
//! ([`expected`]), no calls at all ([`standstill`]), lines on which nobody is reached any more ([`unreached`]), and
//! Twilio's own outages ([`platform`]).
//!
//! Promises: what is not curable never enters a rollback's statistic. One caller is one witness. The
//! cost of an outcome does not depend on how long the log is. Order and repetition of entries do not
//! matter beyond when they were seen.

mod decide;
pub mod evidence;
pub mod excess;
pub mod expected;
pub mod params;
pub mod platform;
pub mod rate;
pub mod silence;
pub mod standstill;
pub mod stream;
pub mod threshold;
pub mod unreached;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{FirstSeen, OutcomeChange};
use super::observation::{Probe, ProbeResult};
use crate::model::id::Channel;
use crate::model::reason::{IgnoreReason, Outcome, Reason};
use crate::model::roster::{GroupIx, Number, NumberIx, Roster};
use crate::model::time::Time;
use crate::model::verdict::Evidence;
use expected::{ExpectedTraffic, MissingCalls};
use params::{Params, SilenceParams};
use platform::Platform;
use rate::ArrivalRate;
use silence::{Silence, Silent};
use standstill::Standstill;
use stream::{CallerCount, Stream, StreamEntry, StreamEntryKind};
use threshold::{Horizon, Rule};
use unreached::Unreached;

/// How a group's trouble is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    pub params: Params,
    /// The user's own thresholds, and those that page for what a swap would not cure.
    pub rules: Vec<Rule>,
}

impl Default for Detection {
    fn default() -> Detection {
        Detection { params: Params::default(), rules: Channel::ALL.into_iter().flat_map(Rule::defaults).collect() }
    }
}

impl Detection {
    /// How far back a channel's rules look.
    pub fn horizon(&self, channel: Channel) -> Horizon {
        let longest = |is_run: bool| {
            let is_kept = |r: &&Rule| r.subject.is_run() == is_run && !r.subject.is_excess();
            let rules = self.rules.iter().filter(|r| r.channel == channel).filter(is_kept);
            rules.map(|r| r.within).max().unwrap_or_default()
        };
        Horizon { all: longest(false), run: longest(true) }
    }
}

/// Calls that may wait to be read. Read together they cost little each; after an outage there are hundreds of
/// thousands, which would be in memory together and hold up whoever asks first.
const READ_AT_ONCE: usize = 16384;

/// Something that the detector says happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub what: FindingKind,
    pub channel: Channel,
    /// The group that is concerned, or that of the number; none when it is the whole account.
    pub group: Option<GroupIx>,
    pub numbers: Vec<NumberIx>,
    pub evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Callers are not served, for a reason that a swap would cure: one number.
    NumberFault,
    /// The same for what the group's numbers share.
    GroupFault,
    /// Calls that should be coming do not come.
    Silence,
    /// Calls reach nobody: all busy, all unanswered.
    Unreached,
    /// Calls break before any TwiML runs, on several numbers.
    Outage,
}

#[derive(Debug)]
pub struct Detector {
    /// By group.
    params: Vec<Params>,
    start: Time,
    streams: Vec<[Stream; 2]>,
    group_streams: Vec<[Stream; 2]>,
    /// Streams in which something waits to be read.
    unread: Vec<(NumberIx, Channel)>,
    unread_groups: Vec<(GroupIx, Channel)>,
    /// How many calls wait in them.
    waiting: usize,
    rates: Vec<[ArrivalRate; 2]>,
    group_rates: Vec<[ArrivalRate; 2]>,
    /// Channels whose calls say nothing of the handler: on the fallback, or about to be.
    is_muted: Vec<[bool; 2]>,
    silence: Silence,
    /// Of numbers that have a history.
    expected: Option<ExpectedTraffic>,
    /// Of each number: busy and unanswered calls, and those whose callers hung up or were gone at once.
    soft: Vec<[Unreached; 2]>,
    platform: Platform,
}

impl Detector {
    /// `params`: by group.
    pub fn new(
        roster: &Roster,
        params: Vec<Params>,
        silence: SilenceParams,
        expected: Option<ExpectedTraffic>,
        start: Time,
    ) -> Detector {
        let numbers = roster.len();
        let groups = roster.groups().len();
        let keep = |number: &Number| params[number.group.0 as usize].keep;
        Detector {
            streams: roster.numbers().map(|(_, n)| [Stream::new(keep(n)), Stream::new(keep(n))]).collect(),
            group_streams: params.iter().map(|p| [Stream::new(p.group_keep), Stream::new(p.group_keep)]).collect(),
            unread: Vec::new(),
            unread_groups: Vec::new(),
            waiting: 0,
            params,
            start,
            rates: vec![Default::default(); numbers],
            group_rates: vec![Default::default(); groups],
            is_muted: vec![[false; 2]; numbers],
            silence: Silence::new(roster, silence, start, |n| expected.as_ref().is_some_and(|e| e.has(n))),
            expected,
            soft: vec![Default::default(); numbers],
            platform: Platform::default(),
        }
    }

    /// A call or message became visible.
    pub fn sighted(&mut self, roster: &Roster, s: &FirstSeen) {
        // After a restart, what was seen before it comes first.
        self.start = self.start.min(s.at);
        let group = roster.number(s.number).group;
        let half_life = self.params[group.0 as usize].rate_half_life;
        self.rates[s.number.0 as usize][s.channel.index()].add(s.at, half_life);
        self.group_rates[group.0 as usize][s.channel.index()].add(s.at, half_life);
        if s.channel == Channel::Voice {
            self.silence.heard(s.at, s.number, group);
            if let Some(expected) = &mut self.expected {
                expected.heard(s.at, s.number, s.party);
            }
            self.platform.heard(s.at);
        }
    }

    /// An inbound outcome is known, or known better. What follows from it.
    pub fn settled(&mut self, roster: &Roster, change: &OutcomeChange) -> Vec<Finding> {
        let mut findings = Vec::new();
        let number = change.number;
        if self.is_muted[number.0 as usize][change.channel.index()] {
            return findings;
        }
        let is_carriers = |outcome| outcome == Outcome::Failed(Reason::Carrier);
        let was_carriers = change.was.is_some_and(is_carriers);
        if was_carriers && !is_carriers(change.is) {
            self.platform.take_back(change.entry);
        }
        if !was_carriers
            && is_carriers(change.is)
            && let Some(numbers) = self.platform.add(change.at, number, change.entry)
        {
            findings.push(Finding {
                what: FindingKind::Outage,
                channel: change.channel,
                group: None,
                numbers,
                evidence: Evidence::default(),
            });
        }
        let nobody_there: fn(Outcome) -> Option<bool> = |outcome| match outcome {
            Outcome::Ok => Some(false),
            Outcome::Ignored(IgnoreReason::Busy | IgnoreReason::NoAnswer) => Some(true),
            Outcome::Ignored(_) | Outcome::Failed(_) => None,
        };
        let caller_gone: fn(Outcome) -> Option<bool> = |outcome| match outcome {
            Outcome::Ok => Some(false),
            Outcome::Ignored(IgnoreReason::HungUp | IgnoreReason::Brief) => Some(true),
            Outcome::Ignored(_) | Outcome::Failed(_) => None,
        };
        // Each by itself: on most lines both are usual, and who hangs up while it rings is one or the other.
        let mut is_told = false;
        for (state, line) in [nobody_there, caller_gone].into_iter().zip(&mut self.soft[number.0 as usize]) {
            let (was, is) = (change.was.and_then(state), state(change.is));
            is_told |= change.channel == Channel::Voice
                && was != is
                && line.take(change.entry, was, is, change.at, self.start);
        }
        if is_told {
            findings.push(Finding {
                what: FindingKind::Unreached,
                channel: change.channel,
                group: Some(roster.number(number).group),
                numbers: vec![number],
                evidence: Evidence::default(),
            });
        }
        if !self.params[roster.number(number).group.0 as usize].is_on {
            return findings;
        }
        let says = match change.is {
            Outcome::Ok => Some(false),
            Outcome::Failed(reason) if reason.is_curable() => Some(true),
            Outcome::Failed(_) | Outcome::Ignored(_) => None,
        };
        let stream = &self.streams[number.0 as usize][change.channel.index()];
        if says.is_some() || stream.has(change.started_at, change.entry) {
            self.take(roster, change, says);
        }
        findings
    }

    /// A test call or message of ours ended.
    ///
    /// It is a witness with an honest error rate of its own, far below a caller's: two failures in a row
    /// suffice for most numbers. However often one origin gets through, it is one witness that things
    /// are well, since a fault may spare it.
    pub fn probed(&mut self, roster: &Roster, number: NumberIx, probe: &Probe) {
        let failure = match probe.result {
            ProbeResult::Success => None,
            ProbeResult::Failure(reason) if reason.is_curable() => Some((reason, None)),
            ProbeResult::Failure(_) | ProbeResult::Error => return,
        };
        let channel = probe.channel;
        let group = roster.number(number).group;
        let params = &self.params[group.0 as usize];
        if self.is_muted[number.0 as usize][channel.index()] || !params.is_on {
            return;
        }
        let probe_fails = params.probe_fails;
        let mut entry = StreamEntry::new(probe.started_at, probe.entry, number, probe.origin);
        entry.kind = if failure.is_some() { StreamEntryKind::Failed } else { StreamEntryKind::Served };
        entry.failure = failure;
        entry.is_probe = true;
        entry.believe(probe_fails);
        self.catch_up(roster);
        if failure.is_none() {
            self.streams[number.0 as usize][channel.index()].void_success_of_probe(number, probe.origin);
            self.group_streams[group.0 as usize][channel.index()].void_success_of_probe(number, probe.origin);
        }
        self.streams[number.0 as usize][channel.index()].put(entry, CallerCount::default());
        self.unread.push((number, channel));
        self.group_streams[group.0 as usize][channel.index()].put(entry, CallerCount::default());
        self.unread_groups.push((group, channel));
        self.catch_up(roster);
    }

    /// Takes in what a call says of the handler; nothing, if it was revised so.
    fn take(&mut self, roster: &Roster, change: &OutcomeChange, says: Option<bool>) {
        let (number, channel) = (change.number, change.channel);
        let group = roster.number(number).group;
        let stream = &mut self.streams[number.0 as usize][channel.index()];
        let mut entry = StreamEntry::new(change.started_at, Some(change.entry), number, change.party.hash);
        match (says, change.is) {
            (None, _) => entry.kind = StreamEntryKind::Void,
            (Some(true), Outcome::Failed(reason)) => entry.failure = Some((reason, change.code)),
            (Some(_), _) => {}
        }
        let counted = match change.was {
            Some(Outcome::Ok) => CallerCount::of(StreamEntryKind::Served),
            Some(Outcome::Failed(reason)) if reason.is_curable() => CallerCount::of(StreamEntryKind::Failed),
            Some(Outcome::Failed(_) | Outcome::Ignored(_)) | None => CallerCount::default(),
        };
        if stream.put(entry, counted) {
            self.unread.push((number, channel));
        }
        self.waiting += 1;
        if says == Some(false) && change.was.is_none() {
            let age = change.at.since(change.started_at);
            stream.learn_age(age);
            self.group_streams[group.0 as usize][channel.index()].learn_age(age);
        }
        if self.waiting >= READ_AT_ONCE {
            self.catch_up(roster);
        }
    }

    /// Reads what has been put into the streams. Whoever weighs them asks for this first.
    pub fn catch_up(&mut self, roster: &Roster) {
        self.waiting = 0;
        for (number, channel) in self.unread.drain(..) {
            let group = roster.number(number).group;
            let params = &self.params[group.0 as usize];
            let group_stream = &mut self.group_streams[group.0 as usize][channel.index()];
            let mut is_first = false;
            // The group hears of witnesses only, and believes less good of its numbers.
            self.streams[number.0 as usize][channel.index()].read(params, |mut e, counted| {
                is_first |= if e.kind.is_witness() {
                    let q = e.ln_fails.exp() * params.group_inflation;
                    e.believe(q.clamp(params.group_floor, params.cap.max(params.group_floor)));
                    group_stream.put(e, counted)
                } else {
                    group_stream.remove(e, counted)
                };
            });
            if is_first {
                self.unread_groups.push((group, channel));
            }
        }
        for (group, channel) in self.unread_groups.drain(..) {
            self.group_streams[group.0 as usize][channel.index()].recount();
        }
    }

    /// False if there is nothing to weigh.
    pub fn has_failures(&mut self, roster: &Roster, number: NumberIx, channel: Channel) -> bool {
        self.catch_up(roster);
        self.streams[number.0 as usize][channel.index()].has_failures()
            && !self.is_muted[number.0 as usize][channel.index()]
    }

    pub fn group_has_failures(&mut self, roster: &Roster, group: GroupIx, channel: Channel) -> bool {
        self.catch_up(roster);
        self.group_streams[group.0 as usize][channel.index()].has_failures()
    }

    /// Calls on several numbers break before any TwiML runs, and a person has been told.
    pub fn is_outage(&self, now: Time) -> bool {
        self.platform.is_told(now)
    }

    /// A call may have been made and not be seen for so long.
    pub fn set_unseen(&mut self, unseen: Duration) {
        self.silence.set_unseen(unseen);
        if let Some(expected) = &mut self.expected {
            expected.set_unseen(unseen);
        }
    }

    pub fn is_silent(&self, number: NumberIx) -> bool {
        self.silence.is_silent(number) || self.expected.as_ref().is_some_and(|e| e.is_silent(number))
    }

    /// No number has calls any more, and that is no chance.
    pub const fn standstill(&self) -> Option<Standstill> {
        self.silence.standstill()
    }

    /// Calls of any number that began then and were over before anybody watched.
    pub fn heard_before(&mut self, began: &[Time]) {
        self.silence.heard_before(began);
    }

    /// When the latest call of any number was first seen.
    pub const fn heard(&self) -> Option<Time> {
        self.silence.last_heard()
    }

    pub fn is_group_silent(&self, group: GroupIx) -> bool {
        self.silence.is_group_silent(group) || self.expected.as_ref().is_some_and(|e| e.is_group_silent(group))
    }

    /// From now on the channel's calls say nothing of the handler that it had.
    pub fn mute(&mut self, number: NumberIx, channel: Channel) {
        self.is_muted[number.0 as usize][channel.index()] = true;
        if channel == Channel::Voice {
            self.ignore(number, true);
        }
    }

    /// The handler was restored: what was seen of the number before says nothing of it now. What is
    /// usual for the number stays known.
    pub fn forget(&mut self, roster: &Roster, number: NumberIx, channel: Channel) {
        self.catch_up(roster);
        self.streams[number.0 as usize][channel.index()].forget(number);
        for stream in &mut self.group_streams {
            stream[channel.index()].forget(number);
        }
    }

    /// It still has that handler after all.
    pub fn unmute(&mut self, number: NumberIx, channel: Channel) {
        self.is_muted[number.0 as usize][channel.index()] = false;
        if channel == Channel::Voice {
            self.ignore(number, false);
        }
    }

    fn ignore(&mut self, number: NumberIx, is_ignored: bool) {
        self.silence.ignore(number, is_ignored);
        if let Some(expected) = &mut self.expected {
            expected.ignore(number, is_ignored);
        }
    }

    /// Calls of a number come to Twilio from `at` on; `None`: not yet.
    pub fn set_begin(&mut self, number: NumberIx, at: Option<Time>) {
        if let Some(expected) = &mut self.expected {
            expected.set_begin(number, at);
        }
    }

    /// The call log shows something that is no call to a number of ours.
    pub fn log_is_alive(&mut self, now: Time) {
        if let Some(expected) = &mut self.expected {
            expected.alive(now);
        }
    }

    /// The logs had been read at `now`.
    pub fn seen(&mut self, now: Time) {
        if let Some(expected) = &mut self.expected {
            expected.seen(now);
        }
    }

    /// What was found so far an agent before has told.
    pub fn forget_news(&mut self) {
        if let Some(expected) = &mut self.expected {
            expected.forget_news();
        }
    }

    /// What only the time brings.
    pub fn tick(&mut self, roster: &Roster, now: Time) -> Vec<Finding> {
        let silent = self.silence.look(now, roster);
        let missing = self.expected.as_mut().map(|e| e.look(now)).unwrap_or_default();
        let finding = |silent| {
            let (group, numbers) = match silent {
                Silent::Number(n) => (roster.number(n).group, vec![n]),
                Silent::Group(g) => (g, roster.group(g).numbers.clone()),
            };
            Finding {
                what: FindingKind::Silence,
                channel: Channel::Voice,
                group: Some(group),
                numbers,
                evidence: Evidence::default(),
            }
        };
        let missed = |m: MissingCalls| Finding {
            what: FindingKind::Silence,
            channel: Channel::Voice,
            group: None,
            numbers: m.numbers,
            evidence: Evidence { expected: Some(m.expected), ..Evidence::default() },
        };
        silent.into_iter().map(finding).chain(missing.into_iter().map(missed)).collect()
    }
}
