//! Which webhooks failed, as the latest alert about each number tells it: what a person who is told of a trouble looks
//! at first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Engine;
use crate::detect::ledger::FailedRequest;
use crate::model::id::{Channel, NumberId};
use crate::model::time::Time;

/// An alert that is so much older than a trouble is none of it: what counts first may be a call that failed late.
const BEFORE: Duration = Duration::from_secs(300);

impl Engine {
    /// The latest failure of each webhook of these numbers, and how many of them it answers; most of them first.
    /// `since`: when their trouble began.
    pub fn failed_requests(
        &self,
        numbers: &[NumberId],
        channel: Channel,
        since: Option<Time>,
    ) -> Vec<(&FailedRequest, usize)> {
        let mut of_url: BTreeMap<String, (&FailedRequest, usize)> = BTreeMap::new();
        let ours = numbers.iter().filter_map(|n| self.roster().find(*n));
        let failed = ours.flat_map(|ix| self.channel(ix, channel).last_failed.iter().flatten());
        for failed in failed.filter(|failed| since.is_none_or(|since| failed.at + BEFORE >= since)) {
            let (latest, count) = of_url.entry(failed.url.to_string()).or_insert((failed, 0));
            *count += 1;
            if failed.at > latest.at {
                *latest = failed;
            }
        }
        let mut failed: Vec<_> = of_url.into_values().collect();
        failed.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        failed
    }
}
