//! The detector: from outcomes to findings.
//!
//! A port day's traffic is sparse, noisy and late: a rule of the kind "more than 10 % failed" either
//! fires on honest days or waits for ever. Here each number and each group has a statistic that says
//! how much its calls speak for a fault, with a threshold that bounds how often a healthy one reaches
//! it; a handful of distinct failing callers is enough for a total failure, which is what theory
//! allows ([`stream`]). Beside it stand the user's own thresholds ([`threshold`]), silence on the clock
//! of the other numbers' traffic ([`silence`]), lines on which nobody is reached any more ([`soft`]),
//! and Twilio's own outages ([`platform`]).
//!
//! Promises: what is not curable never enters a rollback's statistic. One caller is one witness. The
//! cost of an outcome does not depend on how long the log is. Order and repetition of entries do not
//! matter beyond when they were seen.

pub mod evidence;
pub mod params;
pub mod platform;
pub mod rate;
pub mod silence;
pub mod soft;
pub mod stream;
pub mod threshold;

use std::collections::HashMap;
use std::time::Duration;

use super::id::Channel;
use super::ledger::{Change, Sighting};
use super::observation::{Probe, ProbeResult};
use super::outcome::{Outcome, Reason, Why};
use super::roster::{GroupIx, NumberIx, Roster};
use super::time::Time;
use super::verdict::{Evidence, Score};
use params::Params;
use platform::Platform;
use rate::Rate;
use silence::{Silence, SilenceParams, Silent};
use soft::Soft;
use stream::{Entry, Kind, Stream, Weighing, Weight};
use threshold::Rule;

/// How a group's trouble is found.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    pub params: Params,
    /// The user's own thresholds, and those that page for what a swap would not cure.
    pub rules: Vec<Rule>,
}

impl Default for Detection {
    fn default() -> Detection {
        Detection { params: Params::default(), rules: Channel::ALL.map(Rule::not_curable).to_vec() }
    }
}

impl Detection {
    /// How far back a channel's rules look.
    pub fn horizon(&self, channel: Channel) -> Duration {
        self.rules.iter().filter(|r| r.channel == channel).map(|r| r.within).max().unwrap_or_default()
    }
}

/// Something that the detector says happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub what: Found,
    pub channel: Channel,
    /// The group that is concerned, or that of the number; none when it is the whole account.
    pub group: Option<GroupIx>,
    pub numbers: Vec<NumberIx>,
    pub evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
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
    rates: Vec<[Rate; 2]>,
    group_rates: Vec<[Rate; 2]>,
    /// Last failure of each caller who failed within the last hour, by number and channel.
    witnesses: HashMap<(NumberIx, Channel, u64), Time>,
    /// Channels whose calls say nothing of the handler: on the fallback, or about to be.
    is_muted: Vec<[bool; 2]>,
    silence: Silence,
    soft: Vec<Soft>,
    platform: Platform,
    next_sweep: Time,
}

/// How often what is too old is dropped.
const SWEEP: Duration = Duration::from_secs(600);

impl Detector {
    /// `params`: by group.
    pub fn new(roster: &Roster, params: Vec<Params>, silence: SilenceParams, start: Time) -> Detector {
        let numbers = roster.len();
        let groups = roster.groups().len();
        Detector {
            params,
            start,
            streams: (0..numbers).map(|_| Default::default()).collect(),
            group_streams: (0..groups).map(|_| Default::default()).collect(),
            rates: vec![Default::default(); numbers],
            group_rates: vec![Default::default(); groups],
            witnesses: HashMap::new(),
            is_muted: vec![[false; 2]; numbers],
            silence: Silence::new(roster, silence, start),
            soft: vec![Soft::default(); numbers],
            platform: Platform::default(),
            next_sweep: start,
        }
    }

    /// A call or message became visible.
    pub fn sighted(&mut self, roster: &Roster, s: &Sighting) {
        // After a restart, what was seen before it comes first.
        self.start = self.start.min(s.at);
        let group = roster.number(s.number).group;
        let half_life = self.params[group.0 as usize].rate_half_life;
        self.rates[s.number.0 as usize][s.channel.index()].add(s.at, half_life);
        self.group_rates[group.0 as usize][s.channel.index()].add(s.at, half_life);
        if s.channel == Channel::Voice {
            self.silence.heard(s.at, s.number, group);
        }
    }

    /// An inbound outcome is known, or known better. What follows from it.
    pub fn settled(&mut self, roster: &Roster, change: &Change) -> Vec<Finding> {
        let mut findings = Vec::new();
        let number = change.number;
        if self.is_muted[number.0 as usize][change.channel.index()] {
            return findings;
        }
        if change.is == Outcome::Failed(Reason::Carrier)
            && let Some(numbers) = self.platform.add(change.at, number)
        {
            findings.push(Finding {
                what: Found::Outage,
                channel: change.channel,
                group: None,
                numbers,
                evidence: Evidence::default(),
            });
        }
        let is_unreached = matches!(change.is, Outcome::Ignored(Why::Busy | Why::NoAnswer));
        if change.channel == Channel::Voice
            && change.was.is_none()
            && (is_unreached || change.is == Outcome::Ok)
            && self.soft[number.0 as usize].add(is_unreached, change.at, self.start)
        {
            findings.push(Finding {
                what: Found::Unreached,
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
        let was_known = match change.was {
            Some(Outcome::Ok) => true,
            Some(Outcome::Failed(reason)) => reason.is_curable(),
            Some(Outcome::Ignored(_)) | None => false,
        };
        if was_known {
            self.revise(roster, change, says);
        } else if let Some(failed) = says {
            self.enter(roster, change, failed);
        }
        if says == Some(true) {
            findings.extend(self.decide(roster, change.at, number, change.channel));
        }
        findings
    }

    /// A test call or message of ours ended.
    ///
    /// It is a witness with an honest error rate of its own, far below a caller's: two failures in a row
    /// suffice for most numbers. However often one origin gets through, it is one witness that things
    /// are well, since a fault may spare it.
    pub fn probed(&mut self, roster: &Roster, at: Time, number: NumberIx, probe: &Probe) -> Option<Finding> {
        let failure = match probe.result {
            ProbeResult::Success => None,
            ProbeResult::Failure(reason) if reason.is_curable() => Some((reason, None)),
            ProbeResult::Failure(_) | ProbeResult::Error => return None,
        };
        let channel = probe.channel;
        if self.is_muted[number.0 as usize][channel.index()] {
            return None;
        }
        let group = roster.number(number).group;
        let params = &self.params[group.0 as usize];
        if !params.is_on {
            return None;
        }
        let q = params.probe_fails;
        let entry = Entry {
            started_at: probe.started_at,
            resource: probe.entry,
            number,
            caller: probe.origin,
            kind: if failure.is_some() { Kind::Failed } else { Kind::Served },
            is_probe: true,
            failure,
            ln_fails: q.ln(),
            ln_served: (1.0 - q).ln(),
        };
        let group_stream = &mut self.group_streams[group.0 as usize][channel.index()];
        let stream = &mut self.streams[number.0 as usize][channel.index()];
        for (stream, keep) in [(stream, params.keep), (group_stream, params.group_keep)] {
            if failure.is_none() {
                stream.void_success_of_probe(number, probe.origin);
            }
            stream.insert(entry, keep);
        }
        failure.and_then(|_| self.decide(roster, at, number, channel))
    }

    /// A call that had no entry gets one.
    fn enter(&mut self, roster: &Roster, change: &Change, failed: bool) {
        let (number, channel, started_at) = (change.number, change.channel, change.started_at);
        let group = roster.number(number).group;
        let params = &self.params[group.0 as usize];
        let caller = (number, channel, change.party.hash);
        let is_witness = self.witnesses.get(&caller).is_some_and(|last| started_at <= *last + params.witness_for);
        let kind = match (is_witness, failed) {
            (false, false) => Kind::Served,
            (false, true) => Kind::Failed,
            (true, true) => Kind::Repeated,
            (true, false) => Kind::GotThrough,
        };
        if failed {
            let last = self.witnesses.entry(caller).or_insert(started_at);
            *last = if is_witness { (*last).max(started_at) } else { started_at };
        }
        let stream = &mut self.streams[number.0 as usize][channel.index()];
        let (failures, successes) = params.prior;
        let q = (failures + stream.failures) / (failures + successes + stream.callers);
        let q = q.clamp(params.floor, params.cap);
        let failure = if let Outcome::Failed(reason) = change.is { Some((reason, change.code)) } else { None };
        let entry = |q: f64| Entry {
            started_at,
            resource: Some(change.entry),
            number,
            caller: change.party.hash,
            kind,
            is_probe: false,
            failure,
            ln_fails: q.ln(),
            ln_served: (1.0 - q).ln(),
        };
        stream.insert(entry(q), params.keep);
        let is_new = matches!(kind, Kind::Served | Kind::Failed);
        let group_stream = &mut self.group_streams[group.0 as usize][channel.index()];
        if is_new {
            stream.callers += 1.0;
            stream.failures += f64::from(u8::from(failed));
            let q = (q * params.group_inflation).clamp(params.group_floor, params.cap.max(params.group_floor));
            group_stream.insert(entry(q), params.group_keep);
            group_stream.callers += 1.0;
        }
        if !failed {
            let age = change.at.since(started_at);
            stream.learn_age(age);
            if is_new {
                group_stream.learn_age(age);
            }
        }
    }

    /// A call that has an entry turns out otherwise.
    fn revise(&mut self, roster: &Roster, change: &Change, says: Option<bool>) {
        let (number, channel) = (change.number, change.channel);
        let group = roster.number(number).group;
        let failure = if let Outcome::Failed(reason) = change.is { Some((reason, change.code)) } else { None };
        let stream = &mut self.streams[number.0 as usize][channel.index()];
        if let Some(entry) = stream.find(change.entry) {
            let before = entry.kind;
            let is_new = matches!(before, Kind::Served | Kind::Failed);
            entry.kind = match says {
                Some(true) if is_new => Kind::Failed,
                Some(false) if is_new => Kind::Served,
                Some(true) => Kind::Repeated,
                Some(false) => Kind::GotThrough,
                None => Kind::Void,
            };
            entry.failure = failure;
            let after = entry.kind;
            if is_new {
                stream.failures +=
                    f64::from(u8::from(after == Kind::Failed)) - f64::from(u8::from(before == Kind::Failed));
                stream.callers -= f64::from(u8::from(after == Kind::Void));
            }
            if let Some(entry) = self.group_streams[group.0 as usize][channel.index()].find(change.entry) {
                entry.kind = after;
                entry.failure = failure;
            }
        }
        if says == Some(true) {
            self.witnesses.insert((number, channel, change.party.hash), change.started_at);
        }
    }

    /// Does what has just been seen suffice? The group is asked first: it explains more.
    pub fn decide(&self, roster: &Roster, now: Time, number: NumberIx, channel: Channel) -> Option<Finding> {
        if self.is_muted[number.0 as usize][channel.index()] {
            return None;
        }
        let group = roster.number(number).group;
        let (weight, score) = self.weigh_group(group, channel, now);
        if score.is_enough() && self.is_broad(roster, group, channel, &weight) {
            let stream = &self.group_streams[group.0 as usize][channel.index()];
            let numbers = roster.group(group).numbers.iter().copied();
            let numbers: Vec<NumberIx> = numbers.filter(|n| !self.is_muted[n.0 as usize][channel.index()]).collect();
            let share = self.params[group.0 as usize].group_grid[weight.share].0;
            let mut evidence = self.evidence(stream, channel, &weight, share, score);
            evidence.numbers = numbers.len() as u32;
            return Some(Finding { what: Found::GroupFault, channel, group: Some(group), numbers, evidence });
        }
        let (weight, score) = self.weigh_number(roster, number, channel, now);
        if score.is_enough() {
            let stream = &self.streams[number.0 as usize][channel.index()];
            let share = self.params[group.0 as usize].grid[weight.share].0;
            let evidence = self.evidence(stream, channel, &weight, share, score);
            return Some(Finding {
                what: Found::NumberFault,
                channel,
                group: Some(group),
                numbers: vec![number],
                evidence,
            });
        }
        None
    }

    /// How much speaks against a number's handler.
    pub fn weigh_number(&self, roster: &Roster, number: NumberIx, channel: Channel, now: Time) -> (Weight, Score) {
        let params = &self.params[roster.number(number).group.0 as usize];
        let stream = &self.streams[number.0 as usize][channel.index()];
        let rate = self.rates[number.0 as usize][channel.index()];
        let weight = stream.weigh(&Weighing {
            grid: &params.grid,
            head: params.head,
            rate: rate.per_second(now, self.start, params.rate_half_life),
            ..self.weighing(params, channel, now)
        });
        let threshold = params.number_threshold(self.a_day(stream.callers, now));
        (weight, score(&weight, threshold))
    }

    /// How much speaks against what a group shares.
    pub fn weigh_group(&self, group: GroupIx, channel: Channel, now: Time) -> (Weight, Score) {
        let params = &self.params[group.0 as usize];
        let stream = &self.group_streams[group.0 as usize][channel.index()];
        let rate = self.group_rates[group.0 as usize][channel.index()];
        let weight = stream.weigh(&Weighing {
            grid: &params.group_grid,
            head: params.group_head,
            rate: rate.per_second(now, self.start, params.rate_half_life),
            ..self.weighing(params, channel, now)
        });
        let threshold = params.group_threshold(self.a_day(stream.callers, now));
        (weight, score(&weight, threshold))
    }

    fn weighing<'a>(&'a self, params: &'a Params, channel: Channel, now: Time) -> Weighing<'a> {
        Weighing {
            grid: &params.grid,
            head: 0.0,
            redial_fails: params.redial_fails,
            failure_age: params.failure_age.as_secs_f64(),
            served_age: params.served_age.as_secs_f64(),
            now,
            rate: 0.0,
            is_muted: &self.is_muted,
            channel,
        }
    }

    /// Distinct callers a day, from those so far.
    fn a_day(&self, callers: f64, now: Time) -> f64 {
        24.0 * (callers + 0.5) / (now.since(self.start).as_secs_f64() / 3600.0 + 1.0)
    }

    /// Does the evidence against a group survive without its loudest number, and come from several?
    fn is_broad(&self, roster: &Roster, group: GroupIx, channel: Channel, weight: &Weight) -> bool {
        let params = &self.params[group.0 as usize];
        let (x, _) = params.group_grid[weight.share];
        let mut by_number: HashMap<NumberIx, (f64, bool)> = HashMap::new();
        for e in &self.group_streams[group.0 as usize][channel.index()].entries()[weight.since..] {
            if self.is_muted[e.number.0 as usize][channel.index()] {
                continue;
            }
            let (llr, failed) = match e.kind {
                Kind::Served => ((1.0 - x).ln() - e.ln_served, false),
                Kind::Failed => (x.ln() - e.ln_fails, true),
                Kind::Repeated | Kind::GotThrough | Kind::Void => continue,
            };
            let of = by_number.entry(e.number).or_default();
            of.0 += llr;
            of.1 |= failed;
        }
        let failing = by_number.values().filter(|(_, failed)| *failed).count();
        let members = roster.group(group).numbers.len();
        // Groups of two and three cannot have three failing numbers beside a healthy one.
        if failing < params.breadth.min(2.max(members.saturating_sub(1))) {
            return false;
        }
        let mut said: Vec<f64> = by_number.values().map(|(llr, _)| *llr).collect();
        // Sorted, so that the sum does not depend on the order of a hash map.
        said.sort_by(f64::total_cmp);
        let loudest = said.last().copied().unwrap_or(0.0);
        said.iter().sum::<f64>() - loudest >= params.without_loudest
    }

    /// What a finding, or a look at a number, rests on.
    fn evidence(&self, stream: &Stream, channel: Channel, weight: &Weight, share: f64, score: Score) -> Evidence {
        let entries = stream.entries().get(weight.since..).unwrap_or_default().iter();
        let heard = entries.filter(|e| !self.is_muted[e.number.0 as usize][channel.index()]);
        Evidence { share: Some(share), score: Some(score), ..evidence::gather(heard) }
    }

    /// What is known of a number, whether or not anything was found.
    pub fn look_at_number(&self, roster: &Roster, number: NumberIx, channel: Channel, now: Time) -> (Score, Evidence) {
        let (weight, score) = self.weigh_number(roster, number, channel, now);
        let stream = &self.streams[number.0 as usize][channel.index()];
        let share = self.params[roster.number(number).group.0 as usize].grid[weight.share].0;
        (score, self.evidence(stream, channel, &weight, share, score))
    }

    /// The same of a group, and whether the evidence comes from several of its numbers.
    pub fn look_at_group(
        &self,
        roster: &Roster,
        group: GroupIx,
        channel: Channel,
        now: Time,
    ) -> (Score, bool, Evidence) {
        let (weight, score) = self.weigh_group(group, channel, now);
        let stream = &self.group_streams[group.0 as usize][channel.index()];
        let share = self.params[group.0 as usize].group_grid[weight.share].0;
        let is_broad = self.is_broad(roster, group, channel, &weight);
        (score, is_broad, self.evidence(stream, channel, &weight, share, score))
    }

    /// False if there is nothing to weigh.
    pub fn has_failures(&self, number: NumberIx, channel: Channel) -> bool {
        self.streams[number.0 as usize][channel.index()].has_failures()
            && !self.is_muted[number.0 as usize][channel.index()]
    }

    pub fn group_has_failures(&self, group: GroupIx, channel: Channel) -> bool {
        self.group_streams[group.0 as usize][channel.index()].has_failures()
    }

    pub fn is_silent(&self, number: NumberIx) -> bool {
        self.silence.is_silent(number)
    }

    pub fn is_group_silent(&self, group: GroupIx) -> bool {
        self.silence.is_group_silent(group)
    }

    /// From now on the channel's calls say nothing of the handler that it had.
    pub fn mute(&mut self, number: NumberIx, channel: Channel) {
        self.is_muted[number.0 as usize][channel.index()] = true;
        if channel == Channel::Voice {
            self.silence.ignore(number, true);
        }
    }

    /// The handler was restored: what was seen of the number before says nothing of it now. What is
    /// usual for the number stays known.
    pub fn forget(&mut self, number: NumberIx, channel: Channel) {
        self.streams[number.0 as usize][channel.index()].forget(number);
        for stream in &mut self.group_streams {
            stream[channel.index()].forget(number);
        }
        self.witnesses.retain(|(n, c, _), _| (*n, *c) != (number, channel));
    }

    /// It still has that handler after all.
    pub fn unmute(&mut self, number: NumberIx, channel: Channel) {
        self.is_muted[number.0 as usize][channel.index()] = false;
        if channel == Channel::Voice {
            self.silence.ignore(number, false);
        }
    }

    /// What only the time brings.
    pub fn tick(&mut self, roster: &Roster, now: Time) -> Vec<Finding> {
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            let longest = self.params.iter().map(|p| p.witness_for).max().unwrap_or_default();
            // Twice as long, for calls that come late.
            self.witnesses.retain(|_, last| *last + longest * 2 >= now);
        }
        let silent = self.silence.look(now, roster);
        let finding = |silent| {
            let (group, numbers) = match silent {
                Silent::Number(n) => (roster.number(n).group, vec![n]),
                Silent::Group(g) => (g, roster.group(g).numbers.clone()),
            };
            Finding {
                what: Found::Silence,
                channel: Channel::Voice,
                group: Some(group),
                numbers,
                evidence: Evidence::default(),
            }
        };
        silent.into_iter().map(finding).collect()
    }
}

/// In logarithms, as people are told. Nothing at all says nothing: not minus infinity.
fn score(weight: &Weight, threshold: f64) -> Score {
    Score { statistic: weight.statistic.max(1e-9).ln(), threshold: threshold.ln() }
}
