//! From the entries that were weighed to what a person is told of them.

use std::collections::{BTreeMap, HashSet};

use super::stream::{StreamEntry, StreamEntryKind};
use crate::model::verdict::{Evidence, ReasonCount};

/// Calls that failed and are named.
const SAMPLES: usize = 3;

/// Counts what entries say, distinct callers throughout: whoever calls twice, or two numbers, is one witness.
pub fn gather<'a>(entries: impl Iterator<Item = &'a StreamEntry>) -> Evidence {
    let mut evidence = Evidence::default();
    let (mut callers, mut failing) = (HashSet::new(), HashSet::new());
    let mut numbers = HashSet::new();
    let mut reasons: BTreeMap<_, u32> = BTreeMap::new();
    let mut failures = Vec::new();
    for e in entries {
        let has_failed = e.kind == StreamEntryKind::Failed;
        if e.kind.is_witness() {
            evidence.since = evidence.since.or(Some(e.started_at));
            if e.is_probe {
                evidence.probes += 1;
                evidence.failing_probes += u32::from(has_failed);
            } else {
                callers.insert(e.caller);
            }
        }
        if has_failed {
            numbers.insert(e.number);
            // Whoever fails again is counted for what failed first.
            let is_new = e.is_probe || failing.insert(e.caller);
            if let Some(failure) = e.failure.filter(|_| is_new) {
                *reasons.entry(failure).or_default() += 1;
            }
        }
        if matches!(e.kind, StreamEntryKind::Failed | StreamEntryKind::Repeated) {
            failures.extend(e.resource);
        }
    }
    evidence.callers = callers.len() as u32;
    evidence.failing = failing.len() as u32;
    evidence.failing_numbers = numbers.len() as u32;
    evidence.samples = failures.into_iter().rev().take(SAMPLES).collect();
    evidence.reasons =
        reasons.into_iter().map(|((reason, code), callers)| ReasonCount { reason, code, callers }).collect();
    evidence.reasons.sort_by_key(|r| std::cmp::Reverse(r.callers));
    evidence
}
