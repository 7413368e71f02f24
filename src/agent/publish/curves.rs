//! How much was said against each number and each group over the last hours: evidence and its threshold, as they were
//! whenever one of them changed.
//!
//! It is kept in memory, for those who look: what an agent before this one saw is not in it, and whoever shows it says
//! so. How much is kept is bounded for each number and group.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::status::Status;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::time::Time;
use crate::core::model::verdict::{Evidence, Score};

/// Changes that are kept of one number's or group's channel.
const POINTS: usize = 200;

/// From `at` on it was so, until the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    pub at: Time,
    pub score: Score,
}

/// What is kept.
#[derive(Debug, Default)]
pub struct Curves {
    numbers: HashMap<(NumberId, Channel), VecDeque<CurvePoint>>,
    groups: HashMap<(GroupName, Channel), VecDeque<CurvePoint>>,
}

impl Curves {
    /// Takes in how it is now.
    pub fn take(&mut self, status: &Status) {
        for group in &status.groups {
            for channel in &group.channels {
                let key = || (group.group.clone(), channel.channel);
                put(&mut self.groups, key, &channel.evidence, status.at);
            }
            for number in &group.numbers {
                for channel in &number.channels {
                    put(&mut self.numbers, || (number.id(), channel.channel), &channel.evidence, status.at);
                }
            }
        }
    }

    /// Of a number, the oldest first.
    pub fn number(&self, number: NumberId, channel: Channel) -> Vec<CurvePoint> {
        self.numbers.get(&(number, channel)).map(|points| points.iter().copied().collect()).unwrap_or_default()
    }

    /// Of a group, the oldest first.
    pub fn group(&self, group: &GroupName, channel: Channel) -> Vec<CurvePoint> {
        self.groups.get(&(group.clone(), channel)).map(|points| points.iter().copied().collect()).unwrap_or_default()
    }
}

fn put<K: Eq + Hash>(
    curves: &mut HashMap<K, VecDeque<CurvePoint>>,
    key: impl FnOnce() -> K,
    evidence: &Evidence,
    at: Time,
) {
    let Some(score) = evidence.score else { return };
    let points = curves.entry(key()).or_default();
    if points.back().is_some_and(|last| last.score == score) {
        return;
    }
    points.push_back(CurvePoint { at, score });
    points.drain(..points.len().saturating_sub(POINTS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_change_is_kept_once_and_the_oldest_gives_way() {
        let mut curves: HashMap<(), VecDeque<CurvePoint>> = HashMap::new();
        let evidence = |statistic| {
            let score = Some(Score { statistic, threshold: 10.0 });
            Evidence { score, ..Evidence::default() }
        };
        for (second, statistic) in [(1, 0.0), (2, 0.0), (3, 2.5), (4, 2.5), (5, 0.0)] {
            put(&mut curves, || (), &evidence(statistic), Time::from_secs(second));
        }
        put(&mut curves, || (), &Evidence::default(), Time::from_secs(6));
        let seen: Vec<(i64, f64)> = curves[&()].iter().map(|p| (p.at.as_millis() / 1000, p.score.statistic)).collect();
        assert_eq!(seen, [(1, 0.0), (3, 2.5), (5, 0.0)]);
        for second in 10..1000 {
            put(&mut curves, || (), &evidence(second as f64), Time::from_secs(second));
        }
        assert_eq!((curves[&()].len(), curves[&()][0].at), (POINTS, Time::from_secs(1000 - POINTS as i64)));
    }
}
