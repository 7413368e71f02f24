//! The detector's parameters: what each is, in which unit, within which bounds, and where its value
//! comes from. An engineer sets one of them, the budget; the others are for those who measure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often a healthy number may be rolled back: once in this many number-days.
///
/// The thresholds follow from it. They bound the false alarms of one number to one in a tenth of the
/// budget whatever the traffic (Shiryaev-Roberts with e-values: Shin, Ramdas and Rinaldo 2022); that
/// evidence arrives in steps of three to four nats makes the true rate more than ten times lower,
/// which `simulate` measures for the configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FalseAlarmBudget {
    pub number_days: f64,
}

impl FalseAlarmBudget {
    /// A company with 2,000 numbers has one false rollback in five days, which a person undoes.
    pub const DEFAULT: FalseAlarmBudget = FalseAlarmBudget { number_days: 10_000.0 };
    pub const LEAST: f64 = 100.0;
    pub const MOST: f64 = 10_000_000.0;

    /// Nominal number-days between false alarms of one number.
    fn number(self) -> f64 {
        self.number_days / 10.0
    }

    /// Nominal group-days: one false group rollback costs many numbers.
    fn group(self) -> f64 {
        self.number() * 3.0
    }
}

impl std::fmt::Display for FalseAlarmBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1 false rollback per {} number-days", self.number_days)
    }
}

impl std::str::FromStr for FalseAlarmBudget {
    type Err = String;

    /// `1 false rollback per 10000 number-days`.
    fn from_str(text: &str) -> Result<FalseAlarmBudget, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |w: &str| w.replace(['_', ','], "").parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
        let days = match words.as_slice() {
            [count, "false", "rollback" | "rollbacks", "per", days, "number-days" | "number-day"] => {
                number(days).zip(number(count)).map(|(days, count)| days / count)
            }
            _ => None,
        };
        match days {
            Some(days) if (FalseAlarmBudget::LEAST..=FalseAlarmBudget::MOST).contains(&days) => {
                Ok(FalseAlarmBudget { number_days: days })
            }
            Some(_) => Err(format!(
                "must be between 1 false rollback per {} and per {} number-days",
                FalseAlarmBudget::LEAST,
                FalseAlarmBudget::MOST
            )),
            None => Err("write it as \"1 false rollback per 10000 number-days\"".to_owned()),
        }
    }
}

/// What a fault may look like: shares of callers that it hits, with how likely each is beforehand.
pub type Grid = [(f64, f64); 4];

/// Everything that the statistics rest on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Params {
    /// Off: only the user's own thresholds roll back.
    pub is_on: bool,
    pub budget: FalseAlarmBudget,
    /// Honest failure rate expected of a number before it has callers: beta prior, failures and
    /// successes as if seen. Mean 2.3 %: numbers honestly fail 0.5 to 5 % of their callers.
    pub prior: (f64, f64),
    /// No number is believed to fail less often than this: two honest failures in a row happen.
    pub floor: f64,
    /// No number is believed to fail honestly more often than this: above it, it is a fault whatever
    /// its history. Without a cap a fault from the first call would teach itself to be normal.
    pub cap: f64,
    /// How likely a failed caller's redial fails again for the same honest cause (0.6 to 0.9).
    pub redial_fails: f64,
    /// How often a test call fails although a caller would be served: our own network, mostly. Half a
    /// percent is what a prober that repeats a failed call measures of itself.
    pub probe_fails: f64,
    /// A caller is one witness for this long after their last failure.
    pub witness_for: Duration,
    /// Faults of one number. The smallest is what a single carrier's callers make.
    pub grid: Grid,
    /// Faults shared by a group's numbers.
    pub group_grid: Grid,
    /// A fault from the very first call is this much likelier than one from any later call.
    pub head: f64,
    pub group_head: f64,
    /// Calls of a number that are looked back on; of a group.
    pub keep: usize,
    pub group_keep: usize,
    /// A group's numbers are believed to fail this much more often than they have shown…
    pub group_inflation: f64,
    /// …and never less often than this.
    pub group_floor: f64,
    /// Numbers of a group that must have failed before the group is blamed.
    pub breadth: usize,
    /// Evidence in nats that must be left when the number that speaks loudest is not heard.
    pub without_loudest: f64,
    /// Age at which a failing call is in the log, from its start.
    pub failure_age: Duration,
    /// The same for a served call, until it is learnt.
    pub served_age: Duration,
    /// Half-life of recent traffic.
    pub rate_half_life: Duration,
}

/// What [`Params::cap`] may be set to: below 2 % an ordinary number is a broken one, and above 30 % a
/// fault that hits every fifth caller would go unseen for ever.
pub const CAP: (f64, f64) = (0.02, 0.3);

impl Default for Params {
    fn default() -> Params {
        Params {
            is_on: true,
            budget: FalseAlarmBudget::DEFAULT,
            prior: (1.0, 42.0),
            floor: 0.010,
            cap: 0.060,
            redial_fails: 0.90,
            probe_fails: 0.005,
            witness_for: Duration::from_secs(3600),
            grid: [(0.20, 0.15), (0.35, 0.20), (0.60, 0.20), (0.95, 0.45)],
            group_grid: [(0.15, 0.15), (0.30, 0.20), (0.60, 0.25), (0.95, 0.40)],
            head: 6.0,
            group_head: 2.0,
            keep: 200,
            group_keep: 600,
            group_inflation: 1.25,
            group_floor: 0.020,
            breadth: 3,
            without_loudest: 5.5,
            failure_age: Duration::from_secs(25),
            served_age: Duration::from_secs(130),
            rate_half_life: Duration::from_secs(1200),
        }
    }
}

impl Params {
    /// What a number's statistic must reach, at so many distinct callers a day.
    pub fn number_threshold(&self, callers_a_day: f64) -> f64 {
        self.budget.number() * callers_a_day.max(10.0)
    }

    /// What a group's statistic must reach.
    pub fn group_threshold(&self, callers_a_day: f64) -> f64 {
        self.budget.group() * callers_a_day.max(50.0)
    }
}

/// What silence is measured with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SilenceParams {
    /// Number-days between false pages, nominally.
    pub number_days: f64,
    /// Calls that a number must have had before its silence means anything.
    pub least_calls: u32,
    /// Half-life of its share of the traffic.
    pub half_life: Duration,
    /// How likely a number has a lull on a day.
    pub lull: f64,
    /// What is left of its traffic in it: in the core of the day, around lunch, around opening and
    /// closing. Busy lines do not close for lunch; most lines close in the evening.
    pub core: f64,
    pub lunch: f64,
    pub edge: f64,
    /// How long a call may go unseen, as long as nobody has measured it.
    pub unseen: Duration,
}

impl Default for SilenceParams {
    fn default() -> SilenceParams {
        SilenceParams {
            number_days: 1000.0,
            least_calls: 8,
            half_life: Duration::from_secs(5400),
            lull: 0.05,
            core: 0.60,
            lunch: 0.30,
            edge: 0.08,
            unseen: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thresholds_follow_from_the_budget_and_the_traffic_and_a_group_has_three_times_a_numbers() {
        let params = Params { budget: FalseAlarmBudget { number_days: 5000.0 }, ..Params::default() };
        assert_eq!([1.0, 10.0, 40.0].map(|a_day| params.number_threshold(a_day)), [5000.0, 5000.0, 20_000.0]);
        assert_eq!([1.0, 50.0, 100.0].map(|a_day| params.group_threshold(a_day)), [75_000.0, 75_000.0, 150_000.0]);
    }
}
