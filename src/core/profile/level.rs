//! The level: how many of its usual calls a number has by now, and what has become of it.
//!
//! Businesses grow and shrink over weeks, so recent days count more. A campaign that has just ended must not be taken
//! for the level, so the median day caps it. A number that fades before its port will be silent after it whoever serves
//! it: its last days, where far below, are believed.

use super::NumberStanding;
use super::days::DUE_UNUSED;

/// After so many days a day counts half: long enough for a week's mean, short enough for a trend.
const HALF_LIFE_DAYS: f64 = 9.0;

/// A level above this share of the median day is a campaign's.
const OVER_MEDIAN: f64 = 1.15;

/// What caps a level by the median: calls that it rests on, and days.
const CAPPED_FROM_CALLS: f64 = 15.0;
const CAPPED_FROM_DAYS: usize = 10;

/// Over so many last days a number is looked at whether it is dying.
const LAST_DAYS: [usize; 3] = [2, 4, 7];

/// It is if so few of the calls came, and so seldom by chance with days as different as this shape of a gamma
/// distribution makes them.
const DYING_SHARE: f64 = 0.7;
const DYING_CHANCE: f64 = 0.02;
const DYING_DAYS: f64 = 25.0;

/// In use for less than so many days, a number is new.
const NEW_DAYS: usize = 10;

/// Variance of the level over that of others.
const NEW_VARIANCE: f64 = 0.25;
const DYING_VARIANCE: f64 = 0.5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberLevel {
    /// Of its mean week.
    pub of_mean: f64,
    pub rests_on: f64,
    pub newness: f64,
    pub standing: NumberStanding,
}

impl NumberLevel {
    const DEAD: NumberLevel = NumberLevel { of_mean: 0.0, rests_on: 0.0, newness: 0.0, standing: NumberStanding::Dead };

    /// Of the calls of each day and those due at level 1; the number was in use from the day `first` to `last`.
    pub fn of(calls: &[f64], due: &[f64], first: usize, last: usize) -> NumberLevel {
        let end = calls.len() - 1;
        let is_over = last < end && due[last + 1..].iter().sum::<f64>() > DUE_UNUSED;
        if is_over || calls.iter().all(|n| *n == 0.0) {
            return NumberLevel::DEAD;
        }
        let days: Vec<usize> = (first..=last.min(end)).filter(|day| due[*day] > 0.0).collect();
        let (mut rests_on, mut of) = (0.0, 0.0);
        for day in &days {
            let weight = 0.5f64.powf((end - day) as f64 / HALF_LIFE_DAYS);
            rests_on += weight * calls[*day];
            of += weight * due[*day];
        }
        let mut of_mean = (rests_on + 1.0) / (of + 1.0);
        if rests_on > CAPPED_FROM_CALLS && days.len() >= CAPPED_FROM_DAYS {
            let median = median(&days, calls, due).unwrap_or(of_mean);
            of_mean = of_mean.min(OVER_MEDIAN * median.max(0.2 * of_mean));
        }
        let is_new = first > 0 && calls.len() - first < NEW_DAYS;
        let (mut newness, mut standing) =
            if is_new { (NEW_VARIANCE, NumberStanding::New) } else { (0.0, NumberStanding::Usual) };
        for last_days in LAST_DAYS {
            let from = days.partition_point(|day| day + last_days < end);
            let sum = |of: &[f64]| days[from..].iter().map(|day| of[*day]).sum::<f64>();
            let (came, at_level_1) = (sum(calls), sum(due));
            let usual = at_level_1 * of_mean;
            if usual > 4.0 && came < DYING_SHARE * usual && chance_of_at_most(came, usual, DYING_DAYS) < DYING_CHANCE {
                of_mean = of_mean.min((came + 0.5) / (at_level_1 + 0.5) * 0.7);
                (newness, standing) = (DYING_VARIANCE, NumberStanding::Dying);
            }
        }
        NumberLevel { of_mean: of_mean.max(0.0), rests_on, newness, standing }
    }
}

/// The day's share of what was due on it below which half of all that was due lies.
fn median(days: &[usize], calls: &[f64], due: &[f64]) -> Option<f64> {
    let mut shares: Vec<(f64, f64)> = days.iter().map(|day| (calls[*day] / due[*day], due[*day])).collect();
    shares.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let half = shares.iter().map(|(_, due)| due).sum::<f64>() / 2.0;
    let mut below = 0.0;
    shares.into_iter().find_map(|(share, due)| {
        below += due;
        (below >= half).then_some(share)
    })
}

/// How likely at most `n` calls come of `mean`, in days whose factor is gamma distributed with this shape.
fn chance_of_at_most(n: f64, mean: f64, shape: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let step = (mean / (shape + mean)).ln();
    let mut log = shape * (shape / (shape + mean)).ln();
    let mut sum = log.exp();
    for j in 1..=n.max(0.0) as u64 {
        let j = j as f64;
        log += step + ((shape + j - 1.0) / j).ln();
        sum += log.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of thirty days with these calls, of which ten are due each; the first and the last are beyond the records.
    fn level(calls: impl Fn(usize) -> f64, first: usize, last: usize) -> NumberLevel {
        let in_records = |day: usize| (1..=30).contains(&day);
        let calls: Vec<f64> = (0..32).map(|day| if in_records(day) { calls(day) } else { 0.0 }).collect();
        let due: Vec<f64> = (0..32).map(|day| if in_records(day) { 10.0 } else { 0.0 }).collect();
        NumberLevel::of(&calls, &due, first, last)
    }

    #[test]
    fn a_level_follows_the_last_weeks() {
        let steady = level(|_| 10.0, 0, 31);
        assert!((steady.of_mean - 1.0).abs() < 0.01 && steady.standing == NumberStanding::Usual, "{steady:?}");
        let grown = level(|day| if day > 14 { 12.0 } else { 8.0 }, 0, 31);
        assert!((1.02..1.2).contains(&grown.of_mean), "{grown:?}");
    }

    #[test]
    fn a_campaign_that_has_just_ended_is_not_the_level() {
        let campaign = level(|day| if (22..30).contains(&day) { 40.0 } else { 10.0 }, 0, 31);
        assert!(campaign.of_mean <= 1.15, "{campaign:?}");
    }

    #[test]
    fn new_dying_and_dead_are_told() {
        assert_eq!(level(|day| if day > 24 { 10.0 } else { 0.0 }, 25, 31).standing, NumberStanding::New);
        let dying = level(|day| if day > 27 { 2.0 } else { 10.0 }, 0, 31);
        assert!(dying.standing == NumberStanding::Dying && dying.of_mean < 0.3, "{dying:?}");
        assert_eq!(level(|day| if day > 20 { 0.0 } else { 10.0 }, 0, 20), NumberLevel::DEAD);
        assert_eq!(level(|_| 0.0, 0, 31), NumberLevel::DEAD);
    }

    #[test]
    fn chances_add_up() {
        assert!((chance_of_at_most(1e4, 50.0, 25.0) - 1.0).abs() < 1e-9);
        assert!((chance_of_at_most(0.0, 3.0, 1e9) - (-3.0f64).exp()).abs() < 1e-6, "as Poisson, if all days are alike");
    }
}
