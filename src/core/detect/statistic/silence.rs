//! Callers who stopped coming: measured on the clock of everybody else's calls.
//!
//! A gap means little by the wall clock: nights, lunches, and hours in which Twilio's log shows
//! nothing. So a number's gap is measured in calls that the account's *other* numbers had meanwhile:
//! the day's shape and outages of the log cancel, and while nothing becomes visible the clock stands
//! still. If the number's share of the traffic was a of a+b lately, and the others made M calls since
//! its last, a healthy number stays silent with probability (1 + M/b)^-(a + 1/2).
//!
//! Some lines honestly close for lunch or for the day. That is part of what a healthy number does: a
//! small share of days it loses some of its traffic in the core of the day and most of it around its
//! edges.
//!
//! A row of the number's own may be late where the others' are not. So a gap that is long enough is silence
//! only when it stays one for as long as a call may go unseen, which test calls measure.
//!
//! When all numbers fall silent together the clock of the others stands still, and [`super::standstill`] says so.
//!
//! Silence is no evidence for a rollback: a call that never reached Twilio is the carrier's, the
//! port's or the caller's. It pages, and a test call tells more.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::roster::{GroupIx, NumberIx, Roster};
use crate::model::time::Time;

use super::params::SilenceParams;
use super::rate::ArrivalRate;
use super::standstill::{Everybody, Standstill};

/// How often gaps are looked at: silence takes minutes at least.
const EVERY: Duration = Duration::from_secs(30);

/// Something that can fall silent: a number or a group.
#[derive(Clone, Debug, Default)]
struct Line {
    rate: ArrivalRate,
    calls: u64,
    /// The others' recent calls when it was last heard.
    others: f64,
    /// All calls of the others until then.
    others_total: u64,
    /// All calls until then, as many as there would have been in a lull.
    in_lull: f64,
    is_silent: bool,
    /// Since when its gap is too long for a healthy line.
    since: Option<Time>,
    /// Nobody asks.
    is_ignored: bool,
    /// It has a history, which says more ([`super::expected`]).
    has_history: bool,
}

/// Who is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    Number(NumberIx),
    Group(GroupIx),
}

#[derive(Debug)]
pub struct Silence {
    params: SilenceParams,
    start: Time,
    next: Time,
    total: ArrivalRate,
    calls: u64,
    zones: Vec<TimeZone>,
    /// What a lull leaves in each zone, at the second for which it was last asked: a poll's calls have one.
    left_at: Option<i64>,
    left: Vec<f64>,
    /// Calls, as many as there would have been in a lull, by zone.
    in_lull: Vec<f64>,
    numbers: Vec<Line>,
    zone_of: Vec<usize>,
    groups: Vec<Line>,
    everybody: Everybody,
}

impl Silence {
    pub fn new(roster: &Roster, params: SilenceParams, start: Time, has_history: impl Fn(NumberIx) -> bool) -> Silence {
        let mut zones: Vec<TimeZone> = Vec::new();
        let mut zone_of = Vec::new();
        for (_, n) in roster.numbers() {
            let at = zones.iter().position(|z| *z == n.timezone).unwrap_or_else(|| {
                zones.push(n.timezone.clone());
                zones.len() - 1
            });
            zone_of.push(at);
        }
        Silence {
            params,
            start,
            next: start,
            total: ArrivalRate::default(),
            calls: 0,
            in_lull: vec![0.0; zones.len()],
            left_at: None,
            left: vec![0.0; zones.len()],
            zones,
            numbers: roster.numbers().map(|(ix, _)| Line { has_history: has_history(ix), ..Line::default() }).collect(),
            zone_of,
            groups: roster
                .groups()
                .map(|(_, g)| Line { has_history: g.numbers.iter().any(|n| has_history(*n)), ..Line::default() })
                .collect(),
            everybody: Everybody::default(),
        }
    }

    /// A call became visible.
    pub fn heard(&mut self, now: Time, number: NumberIx, group: GroupIx) {
        let half_life = self.params.half_life;
        self.total.add(now, half_life);
        self.calls += 1;
        self.everybody.heard(now, &self.params);
        let total = self.total.count(now, half_life);
        let second = now.as_millis().div_euclid(1000);
        if self.left_at.replace(second) != Some(second) {
            self.left = self.zones.iter().map(|zone| self.params.left_in_lull(zone, now)).collect();
        }
        self.in_lull.iter_mut().zip(&self.left).for_each(|(in_lull, left)| *in_lull += left);
        let in_lull = self.in_lull[self.zone_of[number.0 as usize]];
        for line in [&mut self.numbers[number.0 as usize], &mut self.groups[group.0 as usize]] {
            line.rate.add(now, half_life);
            line.calls += 1;
            line.others = total - line.rate.count(now, half_life);
            line.others_total = self.calls - line.calls;
            line.in_lull = in_lull;
            line.is_silent = false;
            line.since = None;
        }
    }

    /// Asks no more about a number, or again.
    pub fn ignore(&mut self, number: NumberIx, is_ignored: bool) {
        let line = &mut self.numbers[number.0 as usize];
        line.is_ignored = is_ignored;
        line.is_silent = false;
        line.since = None;
    }

    /// A call may have been made and not be seen for so long.
    pub fn set_unseen(&mut self, unseen: Duration) {
        self.params.unseen = unseen;
    }

    /// No number has calls any more.
    pub const fn standstill(&self) -> Option<Standstill> {
        self.everybody.standstill()
    }

    /// Calls of any number that began then and were over before anybody watched.
    pub fn heard_before(&mut self, began: &[Time]) {
        self.everybody.heard_before(began, &self.params);
    }

    /// When any number was last called.
    pub const fn last_heard(&self) -> Option<Time> {
        self.everybody.last()
    }

    /// A number that had calls is silent when all are.
    pub fn is_silent(&self, number: NumberIx) -> bool {
        self.is_line_silent(&self.numbers[number.0 as usize])
    }

    pub fn is_group_silent(&self, group: GroupIx) -> bool {
        self.is_line_silent(&self.groups[group.0 as usize])
    }

    const fn is_line_silent(&self, line: &Line) -> bool {
        line.is_silent || line.calls > 0 && !line.is_ignored && self.standstill().is_some()
    }

    /// Who has fallen silent since the last look.
    pub fn look(&mut self, now: Time, roster: &Roster) -> Vec<Silent> {
        let mut silent = Vec::new();
        if now < self.next {
            return silent;
        }
        self.next = now + EVERY;
        let (params, zones) = (&self.params, &self.zones);
        let left = |at| zones.iter().map(|zone| params.left_of_all(zone, at)).fold(1.0, f64::min);
        self.everybody.look(now, params, left);
        for (ix, group) in roster.groups() {
            let zone = group.numbers.first().map_or(0, |n| self.zone_of[n.0 as usize]);
            self.groups[ix.0 as usize].since = self.too_long_since(now, &self.groups[ix.0 as usize], zone, 50.0);
            if self.groups[ix.0 as usize].since.is_some_and(|t| t + self.params.unseen <= now) {
                self.groups[ix.0 as usize].is_silent = true;
                for n in &group.numbers {
                    let line = &mut self.numbers[n.0 as usize];
                    line.is_silent = !line.is_ignored;
                }
                silent.push(Silent::Group(ix));
            }
        }
        for (ix, _) in roster.numbers() {
            let i = ix.0 as usize;
            self.numbers[i].since = self.too_long_since(now, &self.numbers[i], self.zone_of[i], 10.0);
            if self.numbers[i].since.is_some_and(|t| t + self.params.unseen <= now) {
                self.numbers[i].is_silent = true;
                silent.push(Silent::Number(ix));
            }
        }
        silent
    }

    /// Since when the line's gap is too long for a healthy one; `None`: it is not, or has been told of.
    fn too_long_since(&self, now: Time, line: &Line, zone: usize, least_a_day: f64) -> Option<Time> {
        self.is_too_long(now, line, zone, least_a_day).then(|| line.since.unwrap_or(now))
    }

    fn is_too_long(&self, now: Time, line: &Line, zone: usize, least_a_day: f64) -> bool {
        if line.is_silent || line.is_ignored || line.has_history || line.calls < u64::from(self.params.least_calls) {
            return false;
        }
        let missed = (self.calls - line.calls - line.others_total) as f64;
        let own = line.rate.count_then();
        // Not worth the arithmetic: fewer than some six calls of its own would have been due.
        if missed <= 3.0 || own * missed <= 6.0 * (line.others + 1.0) {
            return false;
        }
        let hours = now.since(self.start).as_secs_f64() / 3600.0;
        let a_day = (24.0 * (line.calls as f64 + 0.5) / (hours + 1.0)).max(least_a_day);
        let in_lull = (self.in_lull[zone] - line.in_lull).min(missed);
        self.chance(own, line.others, missed, in_lull) * self.params.number_days * a_day < 1.0
    }

    /// How likely a healthy line is silent while the others make `missed` calls, which in a lull of its
    /// own count as `in_lull`.
    fn chance(&self, own: f64, others: f64, missed: f64, in_lull: f64) -> f64 {
        let (a, b) = (own + 0.5, others + 1.0);
        let lull = self.params.lull;
        (1.0 - lull) * (-a * (missed / b).ln_1p()).exp() + lull * (-a * (in_lull / b).ln_1p()).exp()
    }
}

impl SilenceParams {
    /// The same of all lines together: a line may open late, but of a morning the account's traffic rises.
    fn left_of_all(&self, zone: &TimeZone, at: Time) -> f64 {
        if (6.0..9.5).contains(&hour_of_day(zone, at)) { self.core } else { self.left_in_lull(zone, at) }
    }

    /// What is left of a line's traffic in a lull at this time of its day.
    fn left_in_lull(&self, zone: &TimeZone, at: Time) -> f64 {
        let hour = hour_of_day(zone, at);
        if (11.5..13.5).contains(&hour) {
            self.lunch
        } else if (9.5..16.0).contains(&hour) {
            self.core
        } else {
            self.edge
        }
    }
}

fn hour_of_day(zone: &TimeZone, at: Time) -> f64 {
    let at = at.to_timestamp();
    let local = (at.as_second() + i64::from(zone.to_offset(at).seconds())).rem_euclid(86_400);
    local as f64 / 3600.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::roster::{Number, PortAt};

    const AFTERNOON: i64 = 15 * 3600;

    /// So many numbers, each of one of these groups in turn, and what measures their silence from the afternoon on.
    fn silence(numbers: u32, groups: &[&str]) -> (Roster, Vec<GroupIx>, Silence) {
        let mut roster = Roster::default();
        let groups: Vec<GroupIx> =
            groups.iter().map(|name| roster.add_group(name.parse().unwrap(), [None, None])).collect();
        for i in 0..numbers {
            roster.add_number(Number {
                id: crate::model::id::testing::ours(&format!("+1500555010{i}")),
                label: String::new(),
                group: groups[i as usize % groups.len()],
                channels: [true, false],
                timezone: TimeZone::UTC,
                port: PortAt::Done,
            });
        }
        let silence = Silence::new(&roster, SilenceParams::default(), Time::from_secs(AFTERNOON), |_| false);
        (roster, groups, silence)
    }

    /// Seconds after its last call at which one of four equal numbers is called silent, while the others go on.
    fn silent_after(unseen: Option<u64>) -> i64 {
        let (roster, groups, mut silence) = silence(4, &["support"]);
        if let Some(seconds) = unseen {
            silence.set_unseen(Duration::from_secs(seconds));
        }
        for s in (0..86_400).step_by(15) {
            let now = Time::from_secs(AFTERNOON + s);
            let number = (s / 15 % 4) as u32;
            if number != 0 || s < 3600 {
                silence.heard(now, NumberIx(number), groups[0]);
            }
            if silence.look(now, &roster).contains(&Silent::Number(NumberIx(0))) {
                return s - (3600 - 60);
            }
        }
        unreachable!("it is silent at last")
    }

    /// The module's formula, computed from the calls themselves: how likely a number is silent by chance at `now` that
    /// had its last call at `last`, as seconds since the afternoon.
    fn chance_of(calls: &[(i64, u32)], number: u32, last: i64, now: i64) -> f64 {
        let recent = |(at, _): &&(i64, u32)| *at <= last;
        let decayed = |(at, _): &(i64, u32)| 0.5_f64.powf((last - at) as f64 / 5400.0);
        let own: f64 = calls.iter().filter(recent).filter(|(_, n)| *n == number).map(decayed).sum();
        let others: f64 = calls.iter().filter(recent).filter(|(_, n)| *n != number).map(decayed).sum();
        let since: Vec<i64> = calls.iter().map(|(at, _)| *at).filter(|at| last < *at && *at <= now).collect();
        let left = |at: &i64| if (AFTERNOON + at) % 86_400 < 16 * 3600 { 0.60 } else { 0.08 };
        let lull: f64 = since.iter().map(left).sum();
        let silent = |missed: f64| (1.0 + missed / (others + 1.0)).powf(-(own + 0.5));
        0.95 * silent(since.len() as f64) + 0.05 * silent(lull)
    }

    #[test]
    fn a_gap_is_silence_once_chance_makes_it_less_than_once_in_a_thousand_number_days() {
        let (roster, groups, mut silence) = silence(4, &["support"]);
        silence.set_unseen(Duration::ZERO);
        let mut calls = Vec::new();
        let mut own = 0;
        for s in (0..30_000).step_by(15) {
            let number = (s / 15 % 4) as u32;
            if number != 0 || s < 3600 {
                silence.heard(Time::from_secs(AFTERNOON + s), NumberIx(number), groups[0]);
                calls.push((s, number));
                own += u32::from(number == 0);
            }
            // Looked at each half a minute.
            let a_day = 24.0 * (f64::from(own) + 0.5) / (s as f64 / 3600.0 + 1.0);
            let is_due = s > 3600 && s % 30 == 0 && chance_of(&calls, 0, 3600 - 60, s) * 1000.0 * a_day < 1.0;
            let told = silence.look(Time::from_secs(AFTERNOON + s), &roster);
            assert_eq!(told.contains(&Silent::Number(NumberIx(0))), is_due, "after {s} s");
            if is_due {
                return;
            }
        }
        unreachable!("it is silent at last")
    }

    #[test]
    fn chance_is_of_the_gap_and_of_a_lull() {
        let (_, _, silence) = silence(1, &["support"]);
        // (1 + 30/10)^-2 in 19 of 20 cases, (1 + 10/10)^-2 in the others.
        assert!((silence.chance(1.5, 9.0, 30.0, 10.0) - (0.95 / 16.0 + 0.05 / 4.0)).abs() < 1e-12);
    }

    #[test]
    fn a_number_of_few_calls_or_that_nobody_asks_about_is_not_silent_nor_one_whose_others_have_hardly_any() {
        // Calls of the number, of the other, whether it is ignored: and whether it is silent then.
        for (own, others, is_ignored, is_silent) in [
            (7, 2000, false, false),
            (40, 2000, true, false),
            (40, 2000, false, true),
            (400, 3, false, false),
            (400, 40, false, true),
        ] {
            let (roster, groups, mut silence) = silence(2, &["support"]);
            silence.ignore(NumberIx(0), is_ignored);
            let mut told = Vec::new();
            for s in 0..own {
                silence.heard(Time::from_secs(AFTERNOON + s), NumberIx(0), groups[0]);
            }
            for s in own..own + others {
                silence.heard(Time::from_secs(AFTERNOON + s), NumberIx(1), groups[0]);
                told.extend(silence.look(Time::from_secs(AFTERNOON + s), &roster));
            }
            for s in [200, 400].map(|s| own + others + s) {
                told.extend(silence.look(Time::from_secs(AFTERNOON + s), &roster));
            }
            assert_eq!(told.contains(&Silent::Number(NumberIx(0))), is_silent, "{own} {others} {is_ignored}");
        }
    }

    #[test]
    fn a_gap_is_silence_once_no_late_row_can_fill_it() {
        let at_once = silent_after(Some(0));
        assert_eq!(silent_after(None), at_once + 60, "unmeasured");
        assert_eq!(silent_after(Some(600)), at_once + 600);
    }

    #[test]
    fn a_group_falls_silent_as_a_whole_and_its_numbers_are_not_told_of_one_by_one() {
        let told_after = |unseen: u64| {
            let (roster, groups, mut silence) = silence(8, &["support", "sales"]);
            silence.set_unseen(Duration::from_secs(unseen));
            let mut told = Vec::new();
            for s in (0..20_000).step_by(15) {
                let (now, number) = (Time::from_secs(AFTERNOON + s), (s / 15 % 8) as u32);
                if number % 2 == 1 || s < 3600 {
                    silence.heard(now, NumberIx(number), groups[number as usize % 2]);
                }
                told.extend(silence.look(now, &roster).into_iter().map(|who| (s, who)));
            }
            (silence, groups, told)
        };
        let (silence, groups, told) = told_after(60);
        assert_eq!(told.iter().map(|(_, who)| *who).collect::<Vec<_>>(), [Silent::Group(groups[0])]);
        assert_eq!(told_after(360).2, [(told[0].0 + 300, told[0].1)], "a call may go unseen for longer");
        assert!(silence.is_group_silent(groups[0]) && silence.is_silent(NumberIx(2)));
        assert!(!silence.is_group_silent(groups[1]) && !silence.is_silent(NumberIx(3)));
    }
}
