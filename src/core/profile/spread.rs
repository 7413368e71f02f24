//! How far days stray from what is usual: variances by moments, drawn towards what such accounts have.
//!
//! The calls of a day vary by chance, and by what the day is: weather, a mailing, a holiday nearby. The second part is
//! what a test of silence must know, and it is shared: of a number's strange day much is its group's, and of the
//! group's the account's. So a number is measured against what its group did without it on the same day.

use super::DaySpread;

/// Days with less than so many calls due say nothing.
const LEAST_DUE: f64 = 3.0;

/// Days outside are holidays and campaigns, which are something else. What is cut off at the sides is made good.
const USUAL: (f64, f64) = (0.4, 1.75);
const CUT: f64 = 1.1;

/// What is known beforehand: a variance, and the squared calls that it weighs; and the range that is believed.
#[derive(Clone, Copy, Debug)]
pub struct Beforehand {
    variance: f64,
    weighs: f64,
    range: (f64, f64),
}

pub const GROUP: Beforehand = Beforehand { variance: 0.02, weighs: 3000.0, range: (0.004, 0.3) };
pub const ACCOUNT: Beforehand = Beforehand { variance: 0.01, weighs: 5000.0, range: (0.004, 0.3) };

/// Of numbers, the variance that all of them have together.
pub const fn number(pooled: DaySpread) -> Beforehand {
    Beforehand { variance: pooled.0, weighs: 1500.0, range: (0.008, 0.6) }
}

/// Squares of what days stray by beyond chance, and of what was due on them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    beyond_chance: f64,
    due: f64,
}

impl Moments {
    /// Of the calls of each day, and those due.
    pub fn of(calls: &[f64], due: &[f64]) -> Moments {
        let mut moments = Moments::default();
        for (n, due) in calls.iter().zip(due) {
            let is_usual = *due >= LEAST_DUE && (USUAL.0 < n / due && n / due < USUAL.1);
            if is_usual {
                moments.beyond_chance += CUT * (n - due).powi(2) - due;
                moments.due += due * due;
            }
        }
        moments
    }

    pub fn spread(self, beforehand: Beforehand) -> DaySpread {
        let Beforehand { variance, weighs, range } = beforehand;
        DaySpread(((self.beyond_chance + variance * weighs) / (self.due + weighs)).clamp(range.0, range.1))
    }
}

/// What the numbers' days have together.
pub fn pooled(moments: &[Moments]) -> DaySpread {
    let beyond_chance: f64 = moments.iter().map(|m| m.beyond_chance).sum();
    let due: f64 = moments.iter().map(|m| m.due).sum();
    DaySpread((beyond_chance / due.max(1.0)).clamp(0.008, 0.3))
}

/// Calls of days, and those due.
#[derive(Clone, Copy, Debug)]
pub struct DaySums<'a> {
    pub calls: &'a [f64],
    pub due: &'a [f64],
}

/// A number's calls due on each day, given what its group and the account did on it without the number: as much as
/// fifty calls of the account, and thirty of the group, say that the day is usual.
pub fn due_beside(number: DaySums<'_>, group: DaySums<'_>, account: DaySums<'_>) -> Vec<f64> {
    let of_day = |day: usize| {
        let (due, of_group) = (number.due[day], group.due[day]);
        let factor = (account.calls[day] - group.calls[day] + 50.0) / (account.due[day] - of_group + 50.0);
        due * factor * (group.calls[day] - number.calls[day] + 30.0) / (factor * (of_group - due) + 30.0)
    };
    (0..number.due.len()).map(of_day).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_as_chance_has_them_have_no_spread_and_strange_days_have() {
        let due = vec![100.0; 200];
        let by_chance: Vec<f64> = (0..200).map(|i| if i % 2 == 0 { 110.0 } else { 90.0 }).collect();
        let strange: Vec<f64> = (0..200).map(|i| if i % 2 == 0 { 130.0 } else { 70.0 }).collect();
        let spread = |calls: &[f64]| Moments::of(calls, &due).spread(number(DaySpread(0.01))).0;
        assert!(spread(&by_chance) < 0.01, "{}", spread(&by_chance));
        assert!((0.08..0.1).contains(&spread(&strange)), "{}", spread(&strange));
        assert_eq!(Moments::of(&[], &[]).spread(GROUP), DaySpread(0.02), "nothing is known but what was beforehand");
    }

    #[test]
    fn what_the_group_does_is_not_the_numbers_own() {
        let (due, calls) = ([10.0], [20.0]);
        let group = DaySums { calls: &[2000.0], due: &[1000.0] };
        let account = DaySums { calls: &[3000.0], due: &[2000.0] };
        let beside = due_beside(DaySums { calls: &calls, due: &due }, group, account);
        assert!((beside[0] - 20.0).abs() < 1.0, "{beside:?}");
    }
}
