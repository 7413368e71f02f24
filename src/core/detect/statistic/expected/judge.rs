//! Who is silent: the account, a group, or a number, in this order.
//!
//! What all share is told once, of the largest that shares it. While nobody rings at all, no group and no number is
//! judged; while a group is suspected, none of its numbers is. Each test has a budget: a healthy stream passes for
//! silent once in so many days, however many calls it has, so the chance that is asked for is the smaller the more
//! calls a day brings, each of which begins a stretch of its own.

use std::time::Duration;

use super::chance::{CountToCome, DayPast, with_lulls};
use super::factors::EVERY_MINUTES;
use super::stream::Telling;
use super::{ExpectedTraffic, MissingCalls};
use crate::model::expected::{ExpectedCalls, ExpectedOf, ExpectedSince};
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;

/// Days between false pages of one stream, nominally. A group's or the account's wakes more people.
const NUMBER_DAYS: f64 = 1000.0;
const GROUP_DAYS: f64 = 3000.0;
const ACCOUNT_DAYS: f64 = 3000.0;

/// Stretches a day that a stream is taken to have at the least: a quiet one is looked at as often as another.
const NUMBER_LEAST: f64 = 10.0;
const GROUP_LEAST: f64 = 20.0;

/// Fewer calls due cannot be enough, and are not worth the arithmetic.
const WORTH_A_LOOK: f64 = 3.0;
const GROUP_WORTH_A_LOOK: f64 = 4.0;
const ACCOUNT_WORTH_A_LOOK: f64 = 6.0;

/// So unlikely it is suspected: it teaches nobody how lively the day is, and nobody in it is told of alone.
const NUMBER_SUSPECT: f64 = 0.003;
const GROUP_SUSPECT: f64 = 0.01;

/// Variances of an hour about its day: the more numbers there are, the less an hour strays.
const NUMBER_FLOOR: f64 = 0.03;
const GROUP_FLOOR: f64 = 0.015;
const ACCOUNT_FLOOR: f64 = 0.01;

/// Of a new or dying number an hour strays by this share of its newness.
const NEWNESS_FLOOR: f64 = 0.4;

/// How likely a group or the account has a lull that no history tells of, and on a public holiday.
const LULLS: f64 = 3e-6;
const HOLIDAY_LULLS: f64 = 0.3;

/// An account's silence needs a sign of life in the log so long after the last call, or the log may stand still…
const ALIVE_AFTER: Duration = Duration::from_secs(120);
/// …or it must have lasted so long.
const WITHOUT_LIFE: Duration = Duration::from_secs(45 * 60);
/// And it lasts so long in any case: some pages of a log come late.
const ACCOUNT_AT_LEAST: Duration = Duration::from_secs(300);

/// Pages of one number a day.
const PAGES_A_DAY: u8 = 2;

impl ExpectedTraffic {
    /// `may_judge`: somebody rings.
    pub(super) fn judge(&mut self, now: Time, minute: i64, may_judge: bool) {
        if self.judge_account(now) || !may_judge || self.account.stream.telling.is_told() {
            return;
        }
        if minute % EVERY_MINUTES == 0 {
            self.learn_factors();
        }
        for g in 0..self.groups.len() {
            self.judge_group(now, g);
        }
        if minute % 2 == 0 {
            self.judge_carriers(now);
        }
        for i in 0..self.numbers.len() {
            self.judge_number(now, i);
        }
        if minute % 5 == 0 {
            self.judge_carriers_of_numbers(now);
        }
    }

    /// True if the account has been told of now.
    fn judge_account(&mut self, now: Time) -> bool {
        let account = &self.account;
        let due = account.due_in_quiet;
        if account.stream.telling.is_told() || due <= ACCOUNT_WORTH_A_LOOK {
            return false;
        }
        let past = DayPast {
            had: account.stream.had as f64,
            due: account.stream.raw.total(),
            spread: account.spread,
            floor: ACCOUNT_FLOOR,
        };
        let count = past.to_come(due);
        let chance = with_lulls(count.none(), due, self.lulls(now, 0, LULLS));
        let quiet = now.since(account.quiet_since);
        let is_alive = account.alive_at > account.quiet_since + ALIVE_AFTER || quiet > WITHOUT_LIFE;
        let is_enough = chance * ACCOUNT_DAYS * account.stream.a_day.max(GROUP_LEAST) < 1.0;
        if !is_enough || quiet <= ACCOUNT_AT_LEAST || !is_alive {
            return false;
        }
        self.account.stream.telling = Telling::TOLD;
        for group in &mut self.groups {
            group.stream.telling = Telling::TOLD;
        }
        let everybody: Vec<usize> = (0..self.numbers.len()).collect();
        self.tell(now, &everybody, ExpectedOf::Account, self.account.stream.last, count);
        true
    }

    fn judge_group(&mut self, now: Time, g: usize) {
        let group = &mut self.groups[g];
        let members = group.numbers.iter().filter(|i| self.numbers[**i].counts()).count();
        if group.stream.telling.is_told() || members < 2 {
            return;
        }
        group.stream.is_suspect = false;
        let due = group.stream.scaled.since();
        if due < GROUP_WORTH_A_LOOK {
            return;
        }
        let past = DayPast {
            had: group.stream.had as f64,
            due: group.stream.scaled.before(),
            spread: group.spread + 1.0 / group.known.max(1.0),
            floor: GROUP_FLOOR,
        };
        let count = past.to_come(due);
        group.stream.is_suspect = count.none() < GROUP_SUSPECT;
        let (zone, a_day) = (group.zone, group.stream.a_day);
        let chance = with_lulls(count.none(), due, self.lulls(now, zone, LULLS));
        if chance * GROUP_DAYS * a_day.max(GROUP_LEAST) < 1.0 {
            let group = &mut self.groups[g];
            group.stream.telling = Telling::TOLD;
            let (members, last) = (group.numbers.clone(), group.stream.last);
            self.tell(now, &members, ExpectedOf::Group, last, count);
        }
    }

    fn judge_number(&mut self, now: Time, i: usize) {
        let n = &mut self.numbers[i];
        if n.stream.telling.is_told() {
            return;
        }
        let due = n.stream.scaled.since();
        n.stream.is_suspect = false;
        if due <= WORTH_A_LOOK {
            return;
        }
        let count = n.count(due);
        n.stream.is_suspect = count.none() < NUMBER_SUSPECT;
        let (zone, group, a_day) = (n.zone, &self.groups[n.group.0 as usize], n.stream.a_day);
        let is_groups = group.stream.is_suspect && group.numbers.len() > 1;
        let chance = with_lulls(count.none(), due, self.lulls(now, zone, 0.0));
        if chance * NUMBER_DAYS * a_day.max(NUMBER_LEAST) < 1.0 && !is_groups {
            let last = self.numbers[i].stream.last;
            self.tell(now, &[i], ExpectedOf::Number, last, count);
        }
    }

    /// How likely a lull is, where one is as likely as `usually` on other days.
    fn lulls(&self, now: Time, zone: usize, usually: f64) -> f64 {
        if self.calendar.is_holiday(zone, now) { HOLIDAY_LULLS } else { usually }
    }

    /// Tells of those that have not been told of, and asks no more of them until they ring again.
    fn tell(&mut self, now: Time, numbers: &[usize], of: ExpectedOf, last: Option<Time>, count: CountToCome) {
        let mut told = Vec::new();
        for i in numbers {
            let n = &mut self.numbers[*i];
            if n.counts() && !n.is_ignored && n.pages < PAGES_A_DAY {
                n.stream.telling = Telling::TOLD;
                n.pages += 1;
                told.push(n.number);
            }
        }
        self.find(now, told, of, last, count);
    }

    /// Keeps what was found for whoever looks.
    pub(super) fn find(
        &mut self,
        now: Time,
        numbers: Vec<NumberIx>,
        of: ExpectedOf,
        last: Option<Time>,
        count: CountToCome,
    ) {
        if numbers.is_empty() {
            return;
        }
        let begins = |n: &NumberIx| self.position[n.0 as usize].and_then(|i| self.numbers[i].begins);
        let begins = numbers.iter().filter_map(begins).min();
        let began = if begins > Some(self.began) { ExpectedSince::Port } else { ExpectedSince::Watch };
        let (from, since) = match last {
            Some(last) => (ExpectedSince::LastCall, last),
            None => (began, begins.unwrap_or(now)),
        };
        let (least, most) = count.interval();
        let expected = ExpectedCalls { of, from, since, until: now, least, most };
        self.found.push(MissingCalls { numbers, expected });
    }

    /// Numbers of a group that are not told of, by position; of all groups without one.
    pub(super) fn counting(&self, group: Option<GroupIx>) -> impl Iterator<Item = usize> {
        let is_meant = move |n: &super::ExpectedNumber| n.counts() && group.is_none_or(|g| n.group == g);
        self.numbers.iter().enumerate().filter(move |(_, n)| is_meant(n)).map(|(i, _)| i)
    }
}

impl super::ExpectedNumber {
    /// What should come while `due` calls are.
    fn count(&self, due: f64) -> CountToCome {
        let past = DayPast {
            had: self.stream.had as f64,
            due: self.stream.scaled.before(),
            spread: self.spread + self.uncertainty + self.newness + 1.0 / self.known.max(1.0),
            floor: NUMBER_FLOOR.max(NEWNESS_FLOOR * self.newness),
        };
        past.to_come(due)
    }
}
