//! Silence by the history: calls that were due, by a [`Profile`] of the weeks before, and did not come.
//!
//! By the day alone a number that has rung little says little by its silence, and one that has not rung at all says
//! nothing ([`super::silence`]). A history says how many calls each number should have had by now. What is tested is
//! the stretch since the last call: how likely a healthy number, group or account has none while so many are due
//! ([`chance`]). The day itself is uncertain (a slow day is no fault), so its factor is learnt from the numbers that
//! ring, for each stream without itself ([`factors`]), and what it leaves open widens the count.
//!
//! Numbers, groups and the account are told apart by who else is silent ([`judge`]); callers of one carrier are
//! measured by the other carriers' callers ([`carriers`]). While the account owes some calls nothing is said of single
//! numbers. That the account is silent is told once the call log shows a sign of life, any row that is no call to a
//! number with a history; without one the log itself may stand still, and it is told after three quarters of an hour.
//! On a public holiday a lull is likely, and nothing is paged for that.
//!
//! Whether each number has only a share of its usual calls is not tested: within one day that costs more false pages
//! than it finds faults.
//!
//! Promises: a silence is paged and never swaps (law 3). A stretch in which nothing could be read counts as one in
//! which nothing was due (law 4). Work is done in steps of a minute whoever asks first, at whole minutes, and depends
//! on what was seen alone: a restart that takes in what was seen before comes to the same. A step costs as much as
//! there are numbers, a call nothing that grows.

mod calendar;
mod carriers;
mod chance;
mod factors;
mod judge;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::detect::observation::RemoteParty;
use crate::model::expected::ExpectedCalls;
use crate::model::id::Channel;
use crate::model::roster::{GroupIx, NumberIx, PortAt, Roster};
use crate::model::time::Time;
use crate::profile::{NumberProfile, Profile};
use calendar::TrafficCalendar;
use stream::{CarrierStream, ExpectedAccount, ExpectedGroup, ExpectedNumber, ExpectedStream, LEAST_A_DAY, RecentCalls};

/// Between steps.
const STEP: Duration = Duration::from_secs(60);

/// Calls of one caller to one number within this are one, as in the records that a profile is learnt from.
const REDIAL: Duration = Duration::from_secs(3600);

/// Added to the variances that were learnt: the weeks before are not the port day, and a number of weeks is few.
const NUMBER_SPREAD: f64 = 0.005;
const GROUP_SPREAD: f64 = 0.03;
const ACCOUNT_SPREAD: f64 = 0.025;

/// What of a number's spread and newness is the number's own. Its days in the records stray for what a profile does not
/// know, too: a level that drifts, a shape that is rough. Half of it found a third more of the silent numbers that were
/// missed on made-up accounts of two kinds, and paged one honest one more.
const HONEST: f64 = 0.5;

/// Variance of a level between the history and the port day.
const LEVEL_SPREAD: f64 = 0.01;

/// So many calls due in the account since its last: nobody rings, and nothing can be said of a single number.
const NOBODY_RINGS: f64 = 6.0;

/// What comes becomes visible poll by poll: so long a busy account is silent many times an hour.
const BETWEEN_POLLS: Duration = Duration::from_secs(120);

/// Calls that should have come to these numbers, and did not.
#[derive(Clone, Debug, PartialEq)]
pub struct MissingCalls {
    pub numbers: Vec<NumberIx>,
    pub expected: ExpectedCalls,
}

#[derive(Debug)]
pub struct ExpectedTraffic {
    profile: Arc<Profile>,
    /// What was not read for longer was not seen.
    blind_after: Duration,
    /// From a call's beginning until its row can be counted on to be seen.
    lag: Duration,
    calendar: TrafficCalendar,
    numbers: Vec<ExpectedNumber>,
    /// Positions in these, of numbers that have a history.
    position: Vec<Option<usize>>,
    groups: Vec<ExpectedGroup>,
    account: ExpectedAccount,
    /// When watching began, and up to when the log was seen.
    began: Time,
    seen_until: Option<Time>,
    /// The next step and the last one, and up to when due calls have been counted.
    next: Time,
    stepped: Time,
    due_until: Time,
    day: Option<i64>,
    /// Who has called whom within [`REDIAL`].
    callers: HashMap<(NumberIx, u64), Time>,
    /// Calls due in a step, by number.
    due: Vec<f64>,
    found: Vec<MissingCalls>,
}

impl ExpectedTraffic {
    /// `unseen`: how long a call may go unseen after its end. `blind_after`: what is not read for longer is not seen.
    pub fn new(roster: &Roster, profile: Arc<Profile>, unseen: Duration, blind_after: Duration) -> ExpectedTraffic {
        let mut calendar = TrafficCalendar::default();
        let mut numbers = Vec::new();
        let mut position = vec![None; roster.len()];
        let carriers = vec![CarrierStream::default(); profile.carriers.len()];
        let mut groups: Vec<ExpectedGroup> = roster
            .groups()
            .map(|(_, group)| ExpectedGroup {
                numbers: Vec::new(),
                stream: ExpectedStream::new(),
                carriers: carriers.clone(),
                zone: 0,
                spread: profile.groups.get(&group.name).map_or(0.02, |g| g.spread.0) + GROUP_SPREAD,
                factor: 1.0,
                known: 1.0,
            })
            .collect();
        for (ix, number) in roster.numbers() {
            let Some(history) = profile.numbers.get(&number.id.e164).filter(|n| has_history(n)) else { continue };
            if !number.channels[Channel::Voice.index()] {
                continue;
            }
            let zone = calendar.add(&history.timezone);
            let group = &mut groups[number.group.0 as usize];
            if group.numbers.is_empty() {
                group.zone = zone;
            }
            group.numbers.push(numbers.len());
            position[ix.0 as usize] = Some(numbers.len());
            numbers.push(ExpectedNumber {
                number: ix,
                e164: number.id.e164,
                group: number.group,
                zone,
                begins: match number.port {
                    PortAt::Done => Some(Time::EPOCH),
                    PortAt::At(at) => Some(at),
                    PortAt::Unknown => None,
                },
                stream: ExpectedStream::new(),
                carriers: carriers.clone(),
                shares: history.carriers.clone(),
                shared: 0.0,
                now: (None, 0.0),
                pages: 0,
                is_ignored: false,
                spread: HONEST * history.spread.0 + NUMBER_SPREAD,
                uncertainty: LEVEL_SPREAD + 1.0 / (2.0 + history.rests_on),
                newness: HONEST * history.newness,
                recent: RecentCalls::default(),
                factor: 1.0,
                known: 1.0,
            });
        }
        let due = vec![0.0; numbers.len()];
        let account = ExpectedAccount {
            stream: ExpectedStream::new(),
            carriers,
            spread: profile.account.0 + ACCOUNT_SPREAD,
            factor: 1.0,
            quiet_since: Time::EPOCH,
            due_in_quiet: 0.0,
            alive_at: Time::EPOCH,
        };
        let mut traffic = ExpectedTraffic {
            lag: profile.mean_call + unseen,
            profile,
            blind_after,
            calendar,
            numbers,
            position,
            groups,
            account,
            began: Time::EPOCH,
            seen_until: None,
            next: Time::EPOCH,
            stepped: Time::EPOCH,
            due_until: Time::EPOCH,
            day: None,
            callers: HashMap::new(),
            due,
            found: Vec::new(),
        };
        traffic.forget_factors();
        traffic
    }

    /// True if its history says what should ring: the day alone need not.
    pub fn has(&self, number: NumberIx) -> bool {
        self.position[number.0 as usize].is_some()
    }

    /// The log was read, and shows what there is up to now.
    pub fn seen(&mut self, now: Time) {
        match self.seen_until {
            None => self.begin(now),
            Some(until) if now.since(until) > self.blind_after => self.skip(until, now),
            Some(until) if now <= until => return,
            Some(_) => {}
        }
        self.seen_until = Some(now);
        while self.next <= now {
            let at = self.next;
            self.step(at);
            self.next = at + STEP;
        }
    }

    fn begin(&mut self, now: Time) {
        self.began = now;
        self.due_until = now;
        (self.next, self.stepped) = (next_minute(now), now);
        self.account.quiet_since = now;
        self.account.alive_at = now;
        for number in &mut self.numbers {
            number.begins = number.begins.map(|at| at.max(now));
        }
    }

    /// Nothing could be read from `until` to `now`.
    fn skip(&mut self, until: Time, now: Time) {
        self.due_until = self.due_until.max(now - self.lag);
        (self.next, self.stepped) = (next_minute(now), now);
        self.account.quiet_since = self.account.quiet_since + now.since(until);
    }

    /// A row of the call log was seen that is no call to a number with a history: the log is alive.
    pub fn alive(&mut self, now: Time) {
        self.seen(now);
        self.account.alive_at = self.account.alive_at.max(now);
    }

    /// A call became visible.
    pub fn heard(&mut self, now: Time, number: NumberIx, caller: RemoteParty) {
        self.seen(now);
        self.account.quiet_since = self.account.quiet_since.max(now);
        self.account.due_in_quiet = 0.0;
        let Some(i) = self.position[number.0 as usize] else { return self.alive(now) };
        let last = self.callers.insert((number, caller.hash), now);
        let is_first = last.is_none_or(|at| now.since(at) >= REDIAL);
        let carrier = caller.carrier.map(|c| usize::from(c.0)).filter(|c| *c < self.profile.carriers.len());
        let n = &mut self.numbers[i];
        let group = &mut self.groups[n.group.0 as usize];
        // Whatever was announced: with its first live caller a number's day begins.
        n.begins = Some(n.begins.map_or(now, |at| at.min(now)));
        let counts = n.counts();
        n.stream.heard(now, is_first, true);
        group.stream.heard(now, is_first, counts);
        self.account.stream.heard(now, is_first, counts);
        if let Some(k) = carrier {
            n.share_out();
            CarrierStream::heard(&mut n.carriers, k, now, is_first, true);
            CarrierStream::heard(&mut group.carriers, k, now, is_first, counts);
            CarrierStream::heard(&mut self.account.carriers, k, now, is_first, counts);
        }
    }

    /// Asks no more about a number, or again.
    pub fn ignore(&mut self, number: NumberIx, is_ignored: bool) {
        if let Some(i) = self.position[number.0 as usize] {
            self.numbers[i].is_ignored = is_ignored;
        }
    }

    /// Calls of a number come to Twilio from `at` on; `None`: not yet.
    pub fn set_begin(&mut self, number: NumberIx, at: Option<Time>) {
        if let Some(i) = self.position[number.0 as usize] {
            self.numbers[i].begins = at;
        }
    }

    /// A call may have been made and not be seen for so long after its end.
    pub fn set_unseen(&mut self, unseen: Duration) {
        self.lag = self.profile.mean_call + unseen;
    }

    /// People have been told that it is silent, and nobody has called since.
    pub fn is_silent(&self, number: NumberIx) -> bool {
        self.position[number.0 as usize].is_some_and(|i| self.numbers[i].stream.telling.is_silent())
    }

    pub fn is_group_silent(&self, group: GroupIx) -> bool {
        self.groups[group.0 as usize].stream.telling.is_silent()
    }

    /// What has been missed since the last look.
    pub fn look(&mut self, now: Time) -> Vec<MissingCalls> {
        self.seen(now);
        std::mem::take(&mut self.found)
    }

    /// What was found so far was told by the agent before.
    pub fn forget_news(&mut self) {
        self.found.clear();
    }

    /// One minute more.
    fn step(&mut self, now: Time) {
        let zone = self.numbers.first().map_or(0, |n| n.zone);
        if self.numbers.is_empty() {
            return;
        }
        let day = self.calendar.day(zone, now);
        if self.day.replace(day) != Some(day) {
            self.begin_day(self.calendar.day_began(zone, now));
        }
        let minute = now.as_millis().div_euclid(60_000);
        let may_judge = self.accrue(now);
        self.judge(now, minute, may_judge);
        if minute.rem_euclid(60) == 0 {
            self.callers.retain(|_, at| now.since(*at) < REDIAL);
        }
    }

    /// Another day, which began at `began`: how many calls it should bring, and what of it has been told.
    fn begin_day(&mut self, began: Time) {
        let half_hours: Vec<Time> = (0..48).map(|k| began + Duration::from_secs(1800) * k).collect();
        let zones = self.calendar.slots(&half_hours);
        let none = || vec![0.0; self.profile.carriers.len()];
        let mut by_group = vec![0.0; self.groups.len()];
        let mut by_carrier: Vec<Vec<f64>> = self.groups.iter().map(|_| none()).collect();
        let mut of_account = none();
        for n in &mut self.numbers {
            let Some(history) = self.profile.numbers.get(&n.e164) else { continue };
            let a_day: f64 = zones[n.zone].iter().map(|slot| history.week.rate(*slot)).sum();
            let group = n.group.0 as usize;
            for ((carrier, share), sum) in n.carriers.iter_mut().zip(&n.shares).zip(&mut by_carrier[group]) {
                carrier.begin_day(share * a_day);
                *sum += share * a_day;
            }
            n.stream.a_day = a_day.max(LEAST_A_DAY);
            n.pages = 0;
            by_group[group] += n.stream.a_day;
        }
        for ((group, a_day), by_carrier) in self.groups.iter_mut().zip(&by_group).zip(&by_carrier) {
            for ((carrier, a_day), sum) in group.carriers.iter_mut().zip(by_carrier).zip(&mut of_account) {
                carrier.begin_day(*a_day);
                *sum += a_day;
            }
            group.stream.a_day = a_day.max(LEAST_A_DAY);
        }
        for (carrier, a_day) in self.account.carriers.iter_mut().zip(&of_account) {
            carrier.begin_day(*a_day);
        }
        self.account.stream.a_day = by_group.iter().sum::<f64>().max(LEAST_A_DAY);
    }

    /// Counts what was due since the last step. False if nobody rings, and so nothing can be said of single numbers.
    fn accrue(&mut self, now: Time) -> bool {
        let (from, to) = (self.due_until, self.due_until.max(now - self.lag));
        let before = std::mem::replace(&mut self.stepped, now);
        if from == to {
            return true;
        }
        self.due_until = to;
        self.calendar.turn_to(from, to);
        let mut all = 0.0;
        for (n, due) in self.numbers.iter_mut().zip(&mut self.due) {
            *due = 0.0;
            if n.begins.is_none_or(|at| at > from) {
                continue;
            }
            for (slot, share) in self.calendar.parts(n.zone) {
                if n.now.0 != Some(*slot) {
                    let history = self.profile.numbers.get(&n.e164);
                    n.now = (Some(*slot), history.map_or(0.0, |history| history.week.rate(*slot)));
                }
                *due += n.now.1 * share;
            }
            if n.counts() {
                all += *due;
            }
        }
        let account = &mut self.account;
        if account.quiet_since > before {
            account.due_in_quiet =
                all * now.since(account.quiet_since).as_secs_f64() / now.since(before).as_secs_f64().max(1.0);
        } else {
            account.due_in_quiet += all;
        }
        let quiet = now.since(account.quiet_since);
        if account.due_in_quiet * account.factor > NOBODY_RINGS && quiet > BETWEEN_POLLS {
            return false;
        }
        for (n, due) in self.numbers.iter_mut().zip(&self.due) {
            if *due <= 0.0 {
                continue;
            }
            n.stream.raw.add(*due);
            n.stream.scaled.add(due * n.factor);
            if !n.counts() {
                continue;
            }
            n.shared += due;
            let group = &mut self.groups[n.group.0 as usize];
            group.stream.raw.add(*due);
            group.stream.scaled.add(due * group.factor);
            account.stream.raw.add(*due);
            for (k, share) in n.shares.iter().enumerate() {
                group.carriers[k].due.add(due * share);
                account.carriers[k].due.add(due * share);
            }
        }
        true
    }
}

/// Something is known of when it rings.
const fn has_history(number: &NumberProfile) -> bool {
    number.calls > 0
}

/// The whole minute after an instant: whoever looks, and whenever an agent began, steps are the same.
fn next_minute(at: Time) -> Time {
    Time::from_millis((at.as_millis().div_euclid(60_000) + 1) * 60_000)
}
