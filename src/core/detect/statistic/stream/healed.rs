//! Where the last fault ended. What was decided and not done, because somebody held the numbers or nobody approved, is
//! weighed again later; callers may long be served by then, and a swap would take them from a handler that works.
//!
//! After a failure a run of callers is served. The calls up to that failure say how likely each share is; the run, how
//! likely it is under each that nobody fails for so long. Once the two together are a hundred thousand times less
//! likely than the end of the fault, it was over then, and what came before says nothing any more, also when a caller
//! fails later.

use super::weigh::{NEGLIGIBLE, Weighing};
use super::{Stream, StreamEntry, StreamEntryKind};

/// Nats by which a run is likelier without the fault than with it, once that is taken to be over: e^11.5 is a hundred
/// thousand. Of a fault that surely hit everybody 4 callers in a row say so, of one that hit three in five 13, of one
/// that hit one in five 57.
const OVER: f64 = 11.5;

/// Runs shorter than this say it of no fault.
const SHORTEST: usize = 4;

impl Stream {
    /// Where the calls begin that came after a fault that is over, the latest of several.
    pub(super) fn healed(&self, w: &Weighing<'_>) -> Option<usize> {
        let is_heard = |e: &StreamEntry| !w.is_muted[e.number.0 as usize][w.channel.index()];
        let is_failing = |e: &StreamEntry| matches!(e.kind, StreamEntryKind::Failed | StreamEntryKind::Repeated);
        let entries = self.entries();
        let (mut end, mut served) = (entries.len(), 0);
        for (i, e) in entries.iter().enumerate().rev().filter(|(_, e)| is_heard(e)) {
            if !is_failing(e) {
                served += usize::from(e.kind != StreamEntryKind::Void);
                continue;
            }
            if served >= SHORTEST && is_over(w, &entries[..=i], &entries[i + 1..end]) {
                return Some(i + 1);
            }
            (end, served) = (i, 0);
        }
        None
    }
}

/// True if a fault among the calls `before` would hardly have let the run go by.
fn is_over(w: &Weighing<'_>, before: &[StreamEntry], run: &[StreamEntry]) -> bool {
    let is_heard = |e: &&StreamEntry| !w.is_muted[e.number.0 as usize][w.channel.index()];
    let ln_redial_served = (1.0 - w.redial_fails).ln();
    // Of each share, in logarithms: what speaks for it, and how much less then speaks for a fault that goes on.
    let shares: [(f64, f64); 4] = std::array::from_fn(|share| {
        let (x, prior) = w.grid[share];
        let (ln_x, ln_not_x) = (x.ln(), (1.0 - x).ln());
        let mut going_on = 0.0;
        for e in run.iter().filter(is_heard) {
            match e.kind {
                StreamEntryKind::Served => going_on += ln_not_x - e.ln_served,
                StreamEntryKind::GotThrough if x >= w.redial_fails => going_on += ln_not_x - ln_redial_served,
                StreamEntryKind::GotThrough
                | StreamEntryKind::Failed
                | StreamEntryKind::Repeated
                | StreamEntryKind::Void => {}
            }
        }
        let (mut llr, mut best) = (0.0, f64::NEG_INFINITY);
        for e in before.iter().rev().filter(is_heard) {
            match e.kind {
                StreamEntryKind::Served => llr += ln_not_x - e.ln_served,
                StreamEntryKind::Failed => llr += ln_x - e.ln_fails,
                StreamEntryKind::GotThrough | StreamEntryKind::Repeated | StreamEntryKind::Void => continue,
            }
            if llr < NEGLIGIBLE {
                break;
            }
            best = llr.max(best);
        }
        (prior.ln() + best, going_on)
    });
    let likeliest = shares.iter().map(|(before, _)| *before).fold(f64::NEG_INFINITY, f64::max);
    let sum = |of: fn(&(f64, f64)) -> f64| shares.iter().map(|s| (of(s) - likeliest).exp()).sum::<f64>();
    likeliest.is_finite() && sum(|(before, going_on)| before + going_on) <= sum(|(before, _)| *before) * (-OVER).exp()
}
