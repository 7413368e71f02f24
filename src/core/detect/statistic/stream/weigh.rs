//! The statistic itself: the calls since each moment at which a fault may have begun, under each share of callers that
//! it may hit, against what is usual.

use super::{Stream, StreamEntryKind};
use crate::detect::statistic::params::Grid;
use crate::model::id::Channel;
use crate::model::time::Time;

/// What the statistic is computed with.
pub struct Weighing<'a> {
    pub grid: &'a Grid,
    pub head: f64,
    pub redial_fails: f64,
    /// Seconds.
    pub failure_age: f64,
    pub served_age: f64,
    pub now: Time,
    /// Recent calls a second.
    pub rate: f64,
    /// Numbers whose entries do not count, by channel.
    pub is_muted: &'a [[bool; 2]],
    pub channel: Channel,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weight {
    /// The sum itself.
    pub statistic: f64,
    /// Natural logarithm of its largest term.
    pub best: f64,
    /// Which share of callers that term supposes to fail, by position in the grid.
    pub share: usize,
    /// Where that term supposes the fault to have begun: position among the entries.
    pub since: usize,
}

/// Terms smaller than exp(-12) are left out: 300 of them would not make one thousandth.
pub(super) const NEGLIGIBLE: f64 = -12.0;

/// Terms count for no more than exp(600), which no threshold comes near: thousands of them have a finite sum. Beyond
/// exp(709) one alone is infinite, and infinity times a weight of 0 is no number at all, which is below every
/// threshold.
const LOUDEST: f64 = 600.0;

/// Largest terms below this, of one failure or two, need no look at whether that is over.
const NOTABLE: f64 = 6.0;

/// What is usual, for the charge on calls in flight: the surplus of failures is what is missing.
const USUAL: f64 = 0.02;

/// Served calls of a prior that the learnt age starts from.
const AGE_PRIOR: f64 = 5.0;

impl Stream {
    /// Weighs the calls: how much speaks for a fault that goes on?
    pub fn weigh(&self, w: &Weighing<'_>) -> Weight {
        let weight = self.weigh_since(w, 0);
        if weight.best < NOTABLE {
            return weight;
        }
        self.healed(w).map_or(weight, |since| self.weigh_since(w, since))
    }

    /// The same of the calls from a place on.
    fn weigh_since(&self, w: &Weighing<'_>, first: usize) -> Weight {
        let ages = self.ages as f64 / 1000.0;
        let served_age = (AGE_PRIOR * w.served_age + ages) / (AGE_PRIOR + f64::from(self.aged));
        let ln_redial_served = (1.0 - w.redial_fails).ln();
        let mut out = Weight { best: f64::NEG_INFINITY, ..Weight::default() };
        // Seconds' worth of good calls that cannot be seen yet, by entry from the end: the same for
        // every share.
        let mut unseen: Vec<f64> = Vec::new();
        for (share, (x, prior)) in w.grid.iter().enumerate() {
            let (ln_x, ln_not_x) = (x.ln(), (1.0 - x).ln());
            let surplus = w.rate * (x - USUAL);
            let (mut llr, mut sum, mut missing) = (0.0, 0.0, 0.0);
            let mut reached_the_first = first == 0;
            for (back, (i, e)) in self.entries().iter().enumerate().skip(first).rev().enumerate() {
                if unseen.len() == back {
                    let age = w.now.since(e.started_at).as_secs_f64();
                    let hidden = |visible_after: f64| visible_after * (1.0 - (-age / visible_after).exp());
                    unseen.push(hidden(served_age) - hidden(w.failure_age));
                }
                if w.is_muted[e.number.0 as usize][w.channel.index()] {
                    continue;
                }
                match e.kind {
                    StreamEntryKind::Served => llr += ln_not_x - e.ln_served,
                    StreamEntryKind::Failed => llr += ln_x - e.ln_fails,
                    StreamEntryKind::GotThrough if *x >= w.redial_fails => {
                        llr += ln_not_x - ln_redial_served;
                        continue;
                    }
                    // It says nothing, and a fault does not begin with it.
                    StreamEntryKind::GotThrough | StreamEntryKind::Repeated | StreamEntryKind::Void => continue,
                }
                if llr < NEGLIGIBLE {
                    reached_the_first = false;
                    break;
                }
                missing = surplus * unseen[back];
                let term = llr - missing;
                if term > out.best {
                    out = Weight { best: term, share, since: i, ..out };
                }
                sum += term.min(LOUDEST).exp();
            }
            if reached_the_first && !self.is_full() {
                sum += w.head * (llr - missing).min(LOUDEST).exp();
            }
            out.statistic += prior * sum;
        }
        out
    }
}
