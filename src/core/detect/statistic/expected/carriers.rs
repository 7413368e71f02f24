//! Callers of one carrier who do not come, while everybody else does.
//!
//! A port is complete when every carrier routes to the new provider, and some take longer. To a company that is a
//! number which rings as usual and cannot be reached by one in four. So what is due of each carrier's callers is
//! measured in the other carriers' callers: they share the day, whatever it is like. Where one number alone lacks them,
//! its group or account is not blamed.

use super::ExpectedTraffic;
use super::chance::{CountToCome, DayPast};
use super::stream::{CarrierStream, CarrierSum};
use crate::model::expected::ExpectedOf;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;

/// Days between false pages of one carrier, nominally.
const CARRIER_DAYS: f64 = 3000.0;

/// Stretches a day that a carrier is taken to have at the least.
const LEAST_A_DAY: f64 = 20.0;

/// Fewer calls due are not worth the arithmetic.
const WORTH_A_LOOK: f64 = 4.0;

/// So many other callers must have come since its last: it is they who say that the rest is well.
const WITNESSES: u64 = 3;

/// Variance of a carrier's share of a day about what it usually is; more for one number, and of an hour.
const SHARE_SPREAD: f64 = 0.02;
const OF_NUMBER: f64 = 0.03;
const FLOOR: f64 = 0.02;

/// A number must have so many calls a day of the largest carrier.
const NUMBER_AT_LEAST: f64 = 12.0;

/// Of what is missed, the number that misses most must leave this share or so many calls to the others.
const SHARED: f64 = 0.5;
const SHARED_CALLS: f64 = 5.0;

/// Whose callers of a carrier are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CarriedTo {
    Account,
    Group(GroupIx),
    Number(usize),
}

impl ExpectedTraffic {
    pub(super) fn judge_carriers(&mut self, now: Time) {
        self.judge_carriers_to(now, CarriedTo::Account);
        for g in 0..self.groups.len() {
            if !self.groups[g].stream.is_suspect {
                self.judge_carriers_to(now, CarriedTo::Group(GroupIx(g as u32)));
            }
        }
    }

    pub(super) fn judge_carriers_of_numbers(&mut self, now: Time) {
        if self.account.carriers.iter().any(|c| c.told_at.is_some()) {
            return;
        }
        let largest = self.profile.carriers.iter().map(|c| c.share).fold(0.0, f64::max);
        for i in 0..self.numbers.len() {
            let n = &self.numbers[i];
            if n.counts() && !n.is_ignored && n.stream.a_day * largest > NUMBER_AT_LEAST && n.newness == 0.0 {
                self.judge_carriers_to(now, CarriedTo::Number(i));
            }
        }
    }

    fn judge_carriers_to(&mut self, now: Time, to: CarriedTo) {
        let (whole, carriers) = match to {
            CarriedTo::Account => (&self.account.stream, &self.account.carriers),
            CarriedTo::Group(g) => {
                let group = &self.groups[g.0 as usize];
                (&group.stream, &group.carriers)
            }
            CarriedTo::Number(i) => {
                let n = &mut self.numbers[i];
                n.share_out();
                (&n.stream, &n.carriers)
            }
        };
        if whole.telling.is_told() {
            return;
        }
        let all = CarrierStream::sum(carriers);
        let test = CarrierTest {
            all,
            known: (1.0 + all.heard as f64) / (1.0 + whole.heard as f64),
            prior: 1.0 / self.account.spread,
            of_number: if matches!(to, CarriedTo::Number(_)) { OF_NUMBER } else { 0.0 },
        };
        let days = CARRIER_DAYS * carriers.len() as f64;
        let missed: Vec<usize> = (0..carriers.len()).filter(|k| test.is_missed(&carriers[*k], days)).collect();
        for k in missed {
            self.tell_of_carrier(now, to, k, test);
        }
    }

    fn tell_of_carrier(&mut self, now: Time, to: CarriedTo, k: usize, test: CarrierTest) {
        let members: Vec<usize> = match to {
            CarriedTo::Account => self.counting(None).collect(),
            CarriedTo::Group(g) => self.counting(Some(g)).collect(),
            CarriedTo::Number(i) => vec![i],
        };
        let missed_by = |i: &usize| {
            let n = &self.numbers[*i];
            let mut due = n.carriers[k].due;
            due.set(n.shares[k] * n.shared);
            due.since()
        };
        let most = members.iter().map(missed_by).fold(0.0, f64::max);
        let carrier = match to {
            CarriedTo::Account => &mut self.account.carriers[k],
            CarriedTo::Group(g) => &mut self.groups[g.0 as usize].carriers[k],
            CarriedTo::Number(i) => &mut self.numbers[i].carriers[k],
        };
        let missed = carrier.due.since();
        // One number's doing is told of that number.
        if members.len() > 1 && missed - most < SHARED * missed && missed - most < SHARED_CALLS {
            return;
        }
        let (count, last) = (test.count(carrier), carrier.last);
        carrier.told_at = Some(now);
        let numbers: Vec<NumberIx> = members.iter().map(|i| self.numbers[*i].number).collect();
        let name = self.profile.carriers[k].name.clone();
        self.find(now, numbers, ExpectedOf::Carrier { name }, last, count);
    }
}

/// What a carrier's callers are measured by.
#[derive(Clone, Copy, Debug)]
struct CarrierTest {
    /// Callers of all carriers.
    all: CarrierSum,
    /// The share of all callers whose carrier is known: of the others nobody can say whose they are.
    known: f64,
    /// How much the day is known beforehand, in calls.
    prior: f64,
    of_number: f64,
}

impl CarrierTest {
    /// Too many of its callers are missed, while the others come.
    fn is_missed(self, carrier: &CarrierStream, days: f64) -> bool {
        let lately = (self.all.heard - carrier.heard).saturating_sub(carrier.others_then);
        carrier.told_at.is_none()
            && lately >= WITNESSES
            && carrier.due.since() >= WORTH_A_LOOK
            && self.count(carrier).none() * days * carrier.a_day.max(LEAST_A_DAY) < 1.0
    }

    /// What should come of its callers, by what comes of the others: since the start, and since its last, whichever is
    /// less.
    fn count(self, carrier: &CarrierStream) -> CountToCome {
        let CarrierTest { all, known, prior, of_number } = self;
        let others = (all.had - carrier.had) as f64;
        let others_due = all.due - carrier.due.total();
        let so_far = (prior * known + others) / (prior + others_due);
        let lately = (all.heard - carrier.heard).saturating_sub(carrier.others_then) as f64;
        let since = (prior * known + lately) / (prior + (others_due - carrier.others_due_then).max(0.0));
        let factor = so_far.min(since);
        let past = DayPast {
            had: carrier.had as f64,
            due: carrier.due.before() * factor,
            spread: SHARE_SPREAD + 1.0 / (prior + others) + of_number,
            floor: FLOOR,
        };
        past.to_come(carrier.due.since() * factor)
    }
}
