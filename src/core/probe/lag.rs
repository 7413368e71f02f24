//! How late Twilio's logs are, measured by entries whose time we know: our own.
//!
//! Twilio promises no bound. A probe's row and alert tell when they happened and when they could be read;
//! from the recent ones follow how long an outcome waits for its alerts, how long a call that cannot be
//! found is searched for, and how long a number must be silent for it to mean anything. All stay within
//! bounds, since a log that was quick for an hour may be slow the next minute.

use std::time::Duration;

use crate::model::source::Source;

/// Recent measurements that count, by source.
const KEPT: usize = 101;

/// As many are needed before anything is adapted.
const LEAST: usize = 5;

/// The settle grace lies between these. Alerts come up to 30 s after their call's row as far as is known;
/// less than that is never waited, however quick the log was lately.
const GRACE: (Duration, Duration) = (Duration::from_secs(35), Duration::from_secs(180));

/// A call that is not in the log is searched for so long at least and at most.
const SEARCH: (Duration, Duration) = (Duration::from_secs(90), Duration::from_secs(600));

/// A caller's call may go unseen for so long at least and at most.
const UNSEEN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// Lags of each source, in seconds, in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub struct Lags([Vec<f64>; Source::ALL.len()]);

impl Lags {
    pub fn add(&mut self, source: Source, lag: Duration) {
        let lags = &mut self.0[source.index()];
        if lags.len() == KEPT {
            lags.remove(0);
        }
        lags.push(lag.as_secs_f64());
    }

    /// The lag that this share of the recent entries did not exceed; `None` before there are enough.
    pub fn quantile(&self, source: Source, share: f64) -> Option<Duration> {
        let mut sorted = self.0[source.index()].clone();
        if sorted.len() < LEAST {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() as f64 * share).ceil() as usize;
        Some(Duration::from_secs_f64(sorted[at.clamp(1, sorted.len()) - 1]))
    }

    pub fn median(&self, source: Source) -> Option<Duration> {
        self.quantile(source, 0.5)
    }

    /// How long after an entry is seen to have ended its alerts may come: the slow ones of the alert log,
    /// and some. `None`: too little is known.
    pub fn grace(&self) -> Option<Duration> {
        let slow = self.quantile(Source::Alerts, 0.95)?;
        Some((slow + slow / 2).clamp(GRACE.0, GRACE.1))
    }

    /// For how long a caller's call may have been made and not be seen: twice what the slow ones of ours took.
    /// `None`: too little is known.
    pub fn unseen(&self) -> Option<Duration> {
        Some((self.quantile(Source::Calls, 0.95)? * 2).clamp(UNSEEN.0, UNSEEN.1))
    }

    /// How long a call or message that should be in `source` is searched for.
    pub fn search(&self, source: Source) -> Duration {
        let slow = self.quantile(source, 0.95).unwrap_or_default();
        (slow * 4).clamp(SEARCH.0, SEARCH.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_follows_the_log_within_bounds() {
        let mut lags = Lags::default();
        assert_eq!((lags.grace(), lags.unseen(), lags.search(Source::Calls)), (None, None, SEARCH.0));
        for s in [1, 2, 3, 4, 50] {
            lags.add(Source::Alerts, Duration::from_secs(s));
            lags.add(Source::Calls, Duration::from_secs(s));
        }
        assert_eq!(lags.median(Source::Alerts), Some(Duration::from_secs(3)));
        assert_eq!(lags.grace(), Some(Duration::from_secs(75)));
        assert_eq!(lags.search(Source::Calls), Duration::from_secs(200));
        assert_eq!(lags.unseen(), Some(Duration::from_secs(100)));
        for _ in 0..KEPT {
            lags.add(Source::Alerts, Duration::from_secs(1));
            lags.add(Source::Calls, Duration::from_secs(3600));
        }
        assert_eq!(lags.grace(), Some(GRACE.0), "old measurements are forgotten");
        assert_eq!((lags.search(Source::Calls), lags.unseen()), (SEARCH.1, Some(UNSEEN.1)));
    }
}
