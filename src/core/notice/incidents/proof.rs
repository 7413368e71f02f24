//! Whether what was done serves callers, and what is known where it does not.

use std::collections::BTreeSet;

use super::Incidents;
use super::incident::{Incident, IncidentKind, Member, NumberState};
use crate::model::barrier::Barrier;
use crate::model::decision::PageReason;
use crate::model::id::NumberId;
use crate::model::order::{FALLBACK_FAILS, OrderResult};
use crate::model::reason::Reason;
use crate::notice::Step;

/// The fallback that numbers are on fails their callers.
pub(super) const FALLBACK_TROUBLE: IncidentKind = IncidentKind::NotCurable(PageReason::Failing(Reason::Fallback));

/// What of a swap's end is to be told of one number; [`of_several`] of more.
const fn text(result: OrderResult, is_failing: bool) -> &'static str {
    match (result, is_failing) {
        (OrderResult::Proven, true) => "no longer: the fallback answered a test call, and fails callers since",
        (OrderResult::Written | OrderResult::Unproven, true) => {
            "NO: the number is on the fallback, and the fallback fails"
        }
        (OrderResult::Proven, false) => "yes: the number was read back, and the fallback answered a test call",
        (OrderResult::Written, false) => {
            "in part: read back, the fallback is the effective handler; no test call has heard it yet"
        }
        (OrderResult::Unproven, false) => "NO: it is not known that the fallback answers these callers",
        (OrderResult::Failed, _) => "NO: nothing was written",
        (OrderResult::Refused, _) => "NO: the rollback was not tried",
        (OrderResult::Superseded, _) => "NO: somebody else changed the number",
        (OrderResult::Restored, _) => "no: the number is on its own handler",
    }
}

/// The same of several numbers.
fn of_several(text: &str) -> String {
    let numbers =
        [("the number is", "the numbers are"), ("the number was", "each number was"), ("the number", "the numbers")];
    let (one, several) = numbers.into_iter().find(|(one, _)| text.contains(one)).unwrap_or_default();
    if one.is_empty() { text.to_owned() } else { text.replacen(one, several, 1) }
}

/// A test call of ours reached the fallback, and it failed.
fn fails_a_test(member: &Member) -> bool {
    member.failure.as_ref().is_some_and(|(_, detail)| detail.starts_with(FALLBACK_FAILS))
}

/// How the latest swap of a number ended; `None` where none was made or it goes on.
const fn end(member: &Member) -> Option<OrderResult> {
    match (&member.state, &member.failure) {
        (NumberState::Ended { result, .. }, _) => Some(*result),
        (NumberState::Ordered { .. }, _) => None,
        (_, Some((result, _))) => Some(*result),
        (_, None) => None,
    }
}

impl Incidents {
    /// Callers of this number reach the fallback, and it fails them.
    fn fails_callers(&self, incident: &Incident, number: NumberId) -> bool {
        let other = self.open.get(&FALLBACK_TROUBLE.key(&incident.group, incident.channel));
        other.is_some_and(|i| i.members.contains_key(&number))
    }

    /// The numbers that were swapped, if their fallback is known to fail: one group has one.
    pub(super) fn on_failing_fallback(&self, incident: &Incident) -> BTreeSet<NumberId> {
        let swapped = |m: &Member| m.is_on_fallback() || fails_a_test(m);
        let all = || incident.members.iter().filter(move |(_, m)| swapped(m));
        if all().any(|(n, m)| fails_a_test(m) || self.fails_callers(incident, *n)) {
            all().map(|(n, _)| *n).collect()
        } else {
            BTreeSet::new()
        }
    }

    /// What to do about rollbacks of these numbers that failed, or of which nobody knows whether they serve callers.
    pub(super) fn after_failure(&self, incident: &Incident, numbers: &[NumberId]) -> Vec<Step> {
        let (group, channel) = (&incident.group, incident.channel);
        let failing = self.on_failing_fallback(incident);
        let others: Vec<NumberId> = numbers.iter().copied().filter(|n| !failing.contains(n)).collect();
        let mut steps = Vec::new();
        if !failing.is_empty() {
            let failing: Vec<NumberId> = failing.into_iter().collect();
            steps = self.builder.repair_fallback(group, channel, &failing);
        }
        if !others.is_empty() {
            let failure = |n| incident.members.get(n).and_then(|m| m.failure.as_ref());
            let barrier = others.iter().filter_map(failure).find_map(|(_, detail)| Barrier::told_in(detail));
            steps.extend(self.builder.by_hand(group, channel, &others, barrier));
        }
        steps
    }

    /// Whether what was done is known to serve callers; `None` where nothing was done.
    pub(super) fn proof(&self, incident: &Incident) -> Option<String> {
        let mut results: Vec<(&str, usize)> = Vec::new();
        let mut open = 0;
        for (number, member) in &incident.members {
            let Some(result) = end(member) else {
                open += usize::from(matches!(member.state, NumberState::Ordered { .. }));
                continue;
            };
            let text = text(result, fails_a_test(member) || self.fails_callers(incident, *number));
            match results.iter_mut().find(|(t, _)| *t == text) {
                Some((_, n)) => *n += 1,
                None => results.push((text, 1)),
            }
        }
        let total = results.iter().map(|(_, n)| n).sum::<usize>() + open;
        let of_all =
            |n: usize, text: &str| if n == total { text.to_owned() } else { format!("{n} of {total}: {text}") };
        let told = |(text, n)| if n == 1 { of_all(1, text) } else { of_all(n, &of_several(text)) };
        let mut lines: Vec<String> = results.into_iter().map(told).collect();
        if open > 0 {
            lines.push(of_all(open, "not yet"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}
