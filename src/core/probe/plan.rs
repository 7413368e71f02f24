//! Which number is probed next.
//!
//! Probes cost money and calls per second that belong to the company. So they are spread over the numbers,
//! come more often in the active phase than after it, and stay below what the account bears less a reserve,
//! below a number of probes at once, and below budgets an hour and a day; a part of each budget is kept for
//! what cannot wait. What is asked for (a suspicion, a proof) comes before what is merely due, and what has
//! waited longest before the rest. A number whose last probe is still up is not probed. What the agent before has
//! begun counts as well ([`ProbeSchedule::resume`]): a crash loop spends no more than an agent that runs.
//!
//! Promise: whatever is asked for, no limit is exceeded; a property test tries.

use std::collections::VecDeque;
use std::time::Duration;

use super::ProbeSettings;
use crate::model::decision::Phase;
use crate::model::id::Channel;
use crate::model::roster::{NumberIx, Roster};
use crate::model::time::Time;

/// Probes that may begin in any hour and in any day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeBudget {
    pub per_hour: u32,
    pub per_day: u32,
}

impl Default for ProbeBudget {
    fn default() -> ProbeBudget {
        ProbeBudget { per_hour: 240, per_day: 2000 }
    }
}

/// What the account bears, and what all groups together may spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Calls that the account may begin in a second, and which share of them is left to the company.
    pub calls_per_second: f64,
    pub reserve: f64,
    /// Probes under way at the same time.
    pub at_once: usize,
    pub budget: ProbeBudget,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { calls_per_second: 1.0, reserve: 0.25, at_once: 4, budget: ProbeBudget::default() }
    }
}

impl Limits {
    /// Between the beginnings of two probes.
    pub fn gap(&self) -> Duration {
        Duration::from_secs_f64(1.0 / (self.calls_per_second * (1.0 - self.reserve)))
    }
}

/// Why a number is probed. What comes first is more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbePurpose {
    /// Does the fallback answer after a swap, or the handler after a restore?
    Proof,
    /// A probe failed, and is repeated before it counts.
    Confirmation,
    /// A caller has met a failure.
    Suspicion,
    Schedule,
}

/// Share of a budget that probes on schedule may use.
const SCHEDULED: f64 = 0.75;

/// After a suspicion was looked into, the next one on the same channel waits for so long.
const SUSPECT_AGAIN: Duration = Duration::from_secs(120);

/// Two messages to one number are never closer: Twilio takes quick exchanges for a loop (14107).
const MESSAGES_APART: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// When its last probe began.
    last: Option<Time>,
    /// When its next one is due.
    due: Time,
    last_suspicion: Option<Time>,
    /// A probe and its repetitions are not over.
    is_up: bool,
    /// Between two of them, so long that others may probe meanwhile.
    is_parked: bool,
}

/// The beginnings of the last day, oldest first.
#[derive(Clone, Debug, Default)]
struct Spent(VecDeque<Time>);

impl Spent {
    fn allows(&self, now: Time, budget: ProbeBudget, why: ProbePurpose) -> bool {
        let share = if why == ProbePurpose::Schedule { SCHEDULED } else { 1.0 };
        let most = |n: u32| (f64::from(n) * share).floor() as usize;
        let in_hour = self.0.iter().rev().take_while(|t| **t + HOUR > now).count();
        let in_day = self.0.iter().rev().take_while(|t| **t + DAY > now).count();
        in_hour < most(budget.per_hour) && in_day < most(budget.per_day)
    }

    fn add(&mut self, now: Time) {
        while self.0.front().is_some_and(|t| *t + DAY <= now) {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }
}

#[derive(Clone, Debug)]
pub struct ProbeSchedule {
    limits: Limits,
    /// By group; none where the group is not probed.
    groups: Vec<Option<ProbeSettings>>,
    group_of: Vec<usize>,
    channels: Vec<[bool; 2]>,
    /// With the moment at which it began, as far as is known.
    phases: Vec<[(Phase, Time); 2]>,
    lines: Vec<[Line; 2]>,
    asked: Vec<(ProbePurpose, NumberIx, Channel)>,
    spent: Spent,
    spent_by: Vec<Spent>,
    last_start: Option<Time>,
    up: usize,
    /// Probes of the agent before, and until when each may still be up.
    left: Vec<(Time, NumberIx, Channel)>,
}

impl ProbeSchedule {
    /// `groups`: how each group is probed, by group.
    pub fn new(roster: &Roster, groups: Vec<Option<ProbeSettings>>, limits: Limits, now: Time) -> ProbeSchedule {
        let n = roster.len().max(1) as u32;
        let spread = |ix: NumberIx, c: Channel, group: usize| {
            let every =
                groups.get(group).and_then(Option::as_ref).map_or(HOUR, |s| s.every.max(Duration::from_secs(1)));
            // Neighbours lie apart, and messages half a round after calls.
            now + every.mul_f64((f64::from(ix.0) / f64::from(n) + 0.5 * c.index() as f64).fract())
        };
        let lines = roster.numbers().map(|(ix, number)| {
            Channel::ALL.map(|c| Line { due: spread(ix, c, number.group.0 as usize), ..Line::default() })
        });
        ProbeSchedule {
            limits,
            group_of: roster.numbers().map(|(_, n)| n.group.0 as usize).collect(),
            channels: roster.numbers().map(|(_, n)| n.channels).collect(),
            phases: vec![[(Phase::Waiting, now); 2]; roster.len()],
            lines: lines.collect(),
            asked: Vec::new(),
            spent: Spent::default(),
            spent_by: vec![Spent::default(); groups.len()],
            groups,
            last_start: None,
            up: 0,
            left: Vec::new(),
        }
    }

    /// How a number is probed.
    pub fn settings(&self, number: NumberIx) -> Option<&ProbeSettings> {
        self.groups.get(*self.group_of.get(number.0 as usize)?)?.as_ref()
    }

    /// Takes in a probe that the agent before has begun, oldest first; it may be up for `longest`.
    pub fn resume(&mut self, at: Time, number: NumberIx, channel: Channel, longest: Duration) {
        self.lines[number.0 as usize][channel.index()].last = Some(at);
        self.left.push((at + longest, number, channel));
        self.spend(at, number);
    }

    pub fn set_phase(&mut self, now: Time, number: NumberIx, channel: Channel, phase: Phase) {
        let state = &mut self.phases[number.0 as usize][channel.index()];
        if state.0 != phase {
            *state = (phase, now);
        }
    }

    /// Since when a channel settles; none if it does not.
    pub fn settling_since(&self, number: NumberIx, channel: Channel) -> Option<Time> {
        let (phase, since) = self.phases[number.0 as usize][channel.index()];
        (phase == Phase::Settling).then_some(since)
    }

    /// Asks for a probe beyond the schedule. False if there is nothing to probe with, or none is needed.
    pub fn ask(&mut self, now: Time, number: NumberIx, channel: Channel, why: ProbePurpose) -> bool {
        let i = number.0 as usize;
        let can = self.settings(number).is_some_and(|s| s.origin(0).is_some()) && self.channels[i][channel.index()];
        let line = &mut self.lines[i][channel.index()];
        if !can {
            return false;
        }
        if why == ProbePurpose::Suspicion {
            if line.is_up || line.last_suspicion.is_some_and(|t| t + SUSPECT_AGAIN > now) {
                return false;
            }
            line.last_suspicion = Some(now);
        }
        if let Some(asked) = self.asked.iter_mut().find(|(_, n, c)| (*n, *c) == (number, channel)) {
            asked.0 = asked.0.min(why);
        } else {
            self.asked.push((why, number, channel));
        }
        true
    }

    /// True if a proof is asked for and not begun.
    pub fn wants_proof(&self, number: NumberIx, channel: Channel) -> bool {
        self.asked.contains(&(ProbePurpose::Proof, number, channel))
    }

    fn every(&self, number: NumberIx, channel: Channel) -> Option<Duration> {
        let s = self.settings(number)?;
        let every = match self.phases[number.0 as usize][channel.index()].0 {
            // What is not ported is not at Twilio, and no probe of ours would reach it.
            Phase::Waiting => return None,
            Phase::Settling | Phase::Active => s.every,
            Phase::Passive => s.passive_every,
        };
        let every = if channel == Channel::Messaging { every.max(MESSAGES_APART) } else { every };
        s.origin(0).is_some().then_some(every)
    }

    /// When a line is due; none if it is not probed now.
    fn due(&self, number: NumberIx, channel: Channel) -> Option<Time> {
        let line = &self.lines[number.0 as usize][channel.index()];
        let every = self.every(number, channel)?;
        let is_probed = self.channels[number.0 as usize][channel.index()] && !line.is_up;
        is_probed.then(|| line.last.map_or(line.due, |t| t + every))
    }

    /// When the next probe may begin, as far as the limits of the account go.
    fn free_at(&self) -> Time {
        self.last_start.map_or(Time::EPOCH, |t| t + self.limits.gap())
    }

    /// Whether the budgets allow a probe now, by group.
    fn budgets(&self, now: Time, why: ProbePurpose) -> Vec<bool> {
        let all = self.spent.allows(now, self.limits.budget, why);
        let groups = self.groups.iter().zip(&self.spent_by);
        groups.map(|(s, spent)| all && s.as_ref().is_some_and(|s| spent.allows(now, s.budget, why))).collect()
    }

    /// Messages to one number keep their distance.
    fn is_apart(&self, now: Time, number: NumberIx, channel: Channel) -> bool {
        let line = &self.lines[number.0 as usize][channel.index()];
        channel == Channel::Voice || line.last.is_none_or(|t| t + MESSAGES_APART <= now)
    }

    fn is_up(&self, number: NumberIx, channel: Channel) -> bool {
        let is_left = self.left.iter().any(|(_, n, c)| (*n, *c) == (number, channel));
        is_left || self.lines[number.0 as usize][channel.index()].is_up
    }

    /// The probe to begin now, if any; it is under way until [`ProbeSchedule::ended`] is told.
    pub fn next(&mut self, now: Time) -> Option<(NumberIx, Channel, ProbePurpose)> {
        self.left.retain(|(until, _, _)| now < *until);
        if self.up + self.left.len() >= self.limits.at_once || now < self.free_at() {
            return None;
        }
        self.asked.sort_by_key(|(why, _, _)| *why);
        let urgent = if self.asked.is_empty() { Vec::new() } else { self.budgets(now, ProbePurpose::Proof) };
        let may = |n: NumberIx, c: Channel, budgets: &[bool]| {
            budgets[self.group_of[n.0 as usize]] && !self.is_up(n, c) && self.is_apart(now, n, c)
        };
        let asked = self.asked.iter().position(|(_, n, c)| may(*n, *c, &urgent));
        let (why, number, channel) = match asked {
            Some(i) => self.asked.remove(i),
            None => {
                let budgets = self.budgets(now, ProbePurpose::Schedule);
                let lines = (0..self.lines.len() as u32).flat_map(|i| Channel::ALL.map(|c| (NumberIx(i), c)));
                let due = lines.filter_map(|(n, c)| Some((self.due(n, c).filter(|at| *at <= now)?, n, c)));
                let (_, number, channel) = due.filter(|(_, n, c)| may(*n, *c, &budgets)).min()?;
                (ProbePurpose::Schedule, number, channel)
            }
        };
        self.begin(now, number, channel);
        Some((number, channel, why))
    }

    fn begin(&mut self, now: Time, number: NumberIx, channel: Channel) {
        let line = &mut self.lines[number.0 as usize][channel.index()];
        (line.last, line.is_up) = (Some(now), true);
        self.up += 1;
        self.spend(now, number);
    }

    fn spend(&mut self, now: Time, number: NumberIx) {
        self.last_start = Some(now);
        self.spent.add(now);
        self.spent_by[self.group_of[number.0 as usize]].add(now);
    }

    /// A probe under way waits for its repetition: others may probe meanwhile, though not this line.
    pub fn park(&mut self, number: NumberIx, channel: Channel) {
        let line = &mut self.lines[number.0 as usize][channel.index()];
        self.up -= usize::from(line.is_up && !line.is_parked);
        line.is_parked = line.is_up;
    }

    /// A probe under way wants to be repeated: true if the limits allow it now, and then it is counted.
    pub fn repeat(&mut self, now: Time, number: NumberIx, channel: Channel) -> bool {
        let is_parked = self.lines[number.0 as usize][channel.index()].is_parked;
        let has_place = !is_parked || self.up < self.limits.at_once;
        let may =
            has_place && now >= self.free_at() && self.is_apart(now, number, channel) && !self.is_spent(now, number);
        if may {
            let line = &mut self.lines[number.0 as usize][channel.index()];
            (line.last, line.is_parked) = (Some(now), false);
            self.up += usize::from(is_parked);
            self.spend(now, number);
        }
        may
    }

    /// True if no probe of this hour or day is left for the group, even for what cannot wait.
    pub fn is_spent(&self, now: Time, number: NumberIx) -> bool {
        let group = self.group_of[number.0 as usize];
        let settings = self.settings(number);
        !self.spent.allows(now, self.limits.budget, ProbePurpose::Proof)
            || settings.is_some_and(|s| !self.spent_by[group].allows(now, s.budget, ProbePurpose::Proof))
    }

    /// A probe and its repetitions are over.
    pub fn ended(&mut self, number: NumberIx, channel: Channel) {
        let line = &mut self.lines[number.0 as usize][channel.index()];
        self.up -= usize::from(line.is_up && !line.is_parked);
        (line.is_up, line.is_parked) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::roster::{Number, PortAt};
    use proptest::prelude::*;

    fn roster(numbers: u32) -> Roster {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        for i in 0..numbers {
            roster.add_number(Number {
                id: crate::model::id::testing::ours(&format!("+1500555{i:04}")),
                label: String::new(),
                group,
                channels: [true, i % 2 == 0],
                timezone: jiff::tz::TimeZone::UTC,
                port: PortAt::Done,
            });
        }
        roster
    }

    fn plan(numbers: u32, limits: Limits) -> ProbeSchedule {
        let settings = ProbeSettings { from: "+15005550199".parse().ok(), ..ProbeSettings::default() };
        let mut plan = ProbeSchedule::new(&roster(numbers), vec![Some(settings)], limits, Time::from_secs(1000));
        for i in 0..numbers {
            for c in Channel::ALL {
                plan.set_phase(Time::from_secs(1000), NumberIx(i), c, Phase::Active);
            }
        }
        plan
    }

    #[test]
    fn all_numbers_come_round_and_what_is_asked_for_comes_first() {
        let mut plan = plan(10, Limits { at_once: 100, ..Limits::default() });
        let mut seen = std::collections::BTreeMap::<(NumberIx, Channel), u32>::new();
        for s in 0..180 {
            let now = Time::from_secs(1000 + s);
            while let Some((n, c, why)) = plan.next(now) {
                assert_eq!(why, ProbePurpose::Schedule);
                *seen.entry((n, c)).or_default() += 1;
                plan.ended(n, c);
            }
        }
        assert_eq!(seen.len(), 15, "every line");
        assert!(seen.values().all(|n| (2..=4).contains(n)), "{seen:?}");
        let now = Time::from_secs(1200);
        assert!(plan.ask(now, NumberIx(3), Channel::Voice, ProbePurpose::Suspicion));
        assert!(plan.ask(now, NumberIx(7), Channel::Voice, ProbePurpose::Proof));
        assert!(!plan.ask(now, NumberIx(3), Channel::Messaging, ProbePurpose::Proof), "a channel that is not watched");
        assert_eq!(plan.next(now), Some((NumberIx(7), Channel::Voice, ProbePurpose::Proof)));
        assert_eq!(plan.next(now), None, "one call a second");
        assert_eq!(
            plan.next(now + Duration::from_secs(2)),
            Some((NumberIx(3), Channel::Voice, ProbePurpose::Suspicion))
        );
        plan.ended(NumberIx(3), Channel::Voice);
        assert!(
            !plan.ask(now + Duration::from_secs(60), NumberIx(3), Channel::Voice, ProbePurpose::Suspicion),
            "so soon"
        );
    }

    #[test]
    fn a_number_that_waits_for_its_port_is_left_alone() {
        let mut plan = plan(4, Limits { at_once: 100, ..Limits::default() });
        for i in 0..4 {
            for c in Channel::ALL {
                plan.set_phase(Time::from_secs(1000), NumberIx(i), c, Phase::Waiting);
            }
        }
        assert!((0..600).all(|s| plan.next(Time::from_secs(1000 + s)).is_none()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Whatever is asked for and however long probes take, no limit is exceeded.
        #[test]
        fn no_limit_is_exceeded(
            steps in prop::collection::vec((0u64..4, 0u32..20, 0u8..6), 1..900),
            per_hour in 1u32..120,
            at_once in 1usize..6,
        ) {
            let budget = ProbeBudget { per_hour, per_day: per_hour * 2 };
            let limits = Limits { at_once, budget, ..Limits::default() };
            let mut plan = plan(20, limits);
            let mut up: Vec<(NumberIx, Channel)> = Vec::new();
            let mut parked: Vec<(NumberIx, Channel)> = Vec::new();
            let mut starts: Vec<Time> = Vec::new();
            let mut now = Time::from_secs(1000);
            for (wait, number, what) in steps {
                now = now + Duration::from_secs(wait * 9);
                let n = NumberIx(number);
                match what {
                    0 => { plan.ask(now, n, Channel::Voice, ProbePurpose::Suspicion); }
                    1 => { plan.ask(now, n, Channel::Messaging, ProbePurpose::Proof); }
                    2 if !up.is_empty() => {
                        let line = up.remove(0);
                        parked.retain(|l| *l != line);
                        plan.ended(line.0, line.1);
                    }
                    3 if !up.is_empty() => {
                        let line = up[number as usize % up.len()];
                        if plan.repeat(now, line.0, line.1) {
                            starts.push(now);
                            parked.retain(|l| *l != line);
                        }
                    }
                    4 if !up.is_empty() => {
                        let line = up[number as usize % up.len()];
                        plan.park(line.0, line.1);
                        if !parked.contains(&line) { parked.push(line); }
                    }
                    _ => {}
                }
                while let Some((n, c, _)) = plan.next(now) {
                    prop_assert!(!up.contains(&(n, c)), "its last probe is up");
                    up.push((n, c));
                    starts.push(now);
                }
                prop_assert!(up.len() - parked.len() <= at_once);
            }
            for (i, t) in starts.iter().enumerate() {
                let within = |d: Duration| starts[i..].iter().take_while(|u| **u < *t + d).count();
                prop_assert!(within(limits.gap()) <= 1);
                prop_assert!(within(HOUR) <= per_hour as usize);
                prop_assert!(within(DAY) <= budget.per_day as usize);
            }
        }
    }
}
