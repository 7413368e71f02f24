//! How lively the day is, learnt from what rings.
//!
//! All numbers of an account share a day, and those of a group another bit of it. Each factor is a gamma with mean 1,
//! whose variance the profile has learnt, and what came in the last hours beside what was due narrows it down. A stream
//! is judged by factors that were learnt without it: a silent number would teach that the day is slow, and excuse
//! itself. What has been told of, or is suspected, teaches nobody. A number that is loud is one witness all the same:
//! it counts by what it says of the others, not by its calls.

use std::time::Duration;

use super::ExpectedTraffic;

/// How long what came says something of now.
const HALF_LIFE: Duration = Duration::from_secs(5 * 3600);

/// Between two times at which the factors are learnt.
pub(super) const EVERY_MINUTES: i64 = 10;

/// A day is taken to be this much livelier than usual at the most.
const LIVELIEST: f64 = 1.3;

/// Calls that came and that were due, as evidence.
#[derive(Clone, Copy, Debug, Default)]
struct DayWitness {
    had: f64,
    due: f64,
}

impl std::ops::Add for DayWitness {
    type Output = DayWitness;
    fn add(self, other: DayWitness) -> DayWitness {
        DayWitness { had: self.had + other.had, due: self.due + other.due }
    }
}

impl std::ops::Sub for DayWitness {
    type Output = DayWitness;
    fn sub(self, other: DayWitness) -> DayWitness {
        DayWitness { had: self.had - other.had, due: self.due - other.due }
    }
}

impl DayWitness {
    /// The factor, from a prior of this weight.
    fn factor(self, prior: f64) -> f64 {
        ((prior + self.had) / (prior + self.due)).min(LIVELIEST)
    }
}

impl ExpectedTraffic {
    /// As they are before anything came: every day is usual.
    pub(super) fn forget_factors(&mut self) {
        let of_account = 1.0 / self.account.spread;
        self.account.factor = 1.0;
        for group in &mut self.groups {
            (group.factor, group.known) = (1.0, of_account);
        }
        for n in &mut self.numbers {
            let group = &self.groups[n.group.0 as usize];
            (n.factor, n.known) = (1.0, 1.0 / (1.0 / of_account + group.spread));
        }
    }

    /// Learns all factors anew.
    pub(super) fn learn_factors(&mut self) {
        let kept = 0.5_f64.powf((EVERY_MINUTES * 60) as f64 / HALF_LIFE.as_secs_f64());
        let mut witnesses = Vec::with_capacity(self.numbers.len());
        let mut by_group = vec![DayWitness::default(); self.groups.len()];
        for n in &mut self.numbers {
            n.recent.take(&n.stream, kept);
            let (had, due) = (n.recent.had, n.recent.due);
            // A loud number is one witness.
            let weight = 1.0 / (1.0 + (n.spread + n.newness) * due);
            let is_heard = !n.stream.is_suspect && n.counts();
            let witness = if is_heard {
                DayWitness { had: weight * had.min(2.0 * due + 3.0), due: weight * due }
            } else {
                DayWitness::default()
            };
            by_group[n.group.0 as usize] = by_group[n.group.0 as usize] + witness;
            witnesses.push(witness);
        }
        // What a group says to the others.
        let said: Vec<DayWitness> = (self.groups.iter().zip(&by_group))
            .map(
                |(g, all)| if g.stream.is_suspect || g.stream.telling.is_told() { DayWitness::default() } else { *all },
            )
            .collect();
        let all = said.iter().fold(DayWitness::default(), |sum, group| sum + *group);
        let of_account = 1.0 / self.account.spread;
        self.account.factor = all.factor(of_account);
        for (group, said) in self.groups.iter_mut().zip(&said) {
            let others = all - *said;
            (group.factor, group.known) = (others.factor(of_account), of_account + others.had);
        }
        for (n, own) in self.numbers.iter_mut().zip(&witnesses) {
            let ix = n.group.0 as usize;
            let group = &self.groups[ix];
            let is_heard = !(group.stream.is_suspect || group.stream.telling.is_told());
            let others = if is_heard { all - *own } else { all };
            let (account, members) = (others.factor(of_account), by_group[ix] - *own);
            let of_group = 1.0 / group.spread;
            let scaled = DayWitness { had: members.had, due: account * members.due };
            n.factor = account * scaled.factor(of_group);
            n.known = 1.0 / (1.0 / (of_group + members.had) + 1.0 / (of_account + others.had + members.had));
        }
    }
}
