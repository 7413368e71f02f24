//! The recent calls or messages of one number and channel, and what a rule of thumb makes of them.
//!
//! Entries are kept by the start of the call, since a failing call is short and shows up before a
//! good one that began earlier. A revised outcome edits its entry in place. Busy lines and callers
//! who hung up have no entry at all.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::code::Code;
use super::ledger::Change;
use super::observation::Resource;
use super::outcome::{Outcome, Reason};
use super::time::Time;
use super::verdict::{Evidence, ReasonCount};

/// So many distinct callers, at such a share of all, in so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Distinct callers who must have failed.
    pub callers: u32,
    /// Share of the distinct callers who must have failed, 0..=1.
    pub ratio: f64,
    pub within: Duration,
}

impl Default for Rule {
    /// Three distinct failing callers are what theory asks for at the least when one honest call
    /// in fifty fails and one false alarm per 10,000 number-days is wanted (Wald's test: 2.4).
    /// Ten minutes and half of the callers keep a number's honest failures from adding up.
    fn default() -> Rule {
        Rule { callers: 3, ratio: 0.5, within: Duration::from_secs(600) }
    }
}

impl Rule {
    pub fn is_met(&self, e: &Evidence) -> bool {
        e.failing >= self.callers && e.ratio.is_some_and(|r| r >= self.ratio)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Window {
    entries: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    started_at: Time,
    resource: Resource,
    caller: u64,
    failed: Option<(Reason, Option<Code>)>,
}

impl Window {
    /// Takes in a settled or revised outcome.
    pub fn apply(&mut self, change: &Change) {
        let failed = match change.is {
            Outcome::Ok => None,
            Outcome::Failed(reason) => Some((reason, change.code)),
            Outcome::Ignored(_) => {
                self.entries.retain(|e| e.resource != change.entry);
                return;
            }
        };
        if change.was.is_some()
            && let Some(e) = self.entries.iter_mut().rev().find(|e| e.resource == change.entry)
        {
            e.failed = failed;
            return;
        }
        let entry = Entry { started_at: change.started_at, resource: change.entry, caller: change.party.hash, failed };
        let at = self.entries.iter().rposition(|e| e.started_at <= entry.started_at).map_or(0, |i| i + 1);
        self.entries.insert(at, entry);
    }

    /// Drops what started before `before`.
    pub fn prune(&mut self, before: Time) {
        while self.entries.front().is_some_and(|e| e.started_at < before) {
            self.entries.pop_front();
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What the windows of one or several numbers say together about failures of one kind: the curable
/// ones, or the others.
pub fn gather<'a>(windows: impl Iterator<Item = &'a Window>, since: Time, curable: bool) -> Evidence {
    let mut callers: HashMap<(usize, u64), Option<(Reason, Option<Code>)>> = HashMap::new();
    let mut failures: Vec<(Time, Resource)> = Vec::new();
    let mut numbers = 0;
    for (i, window) in windows.enumerate() {
        let before = failures.len();
        for e in window.entries.iter().rev().take_while(|e| e.started_at >= since) {
            let failed = match e.failed {
                Some((reason, _)) if reason.is_curable() != curable => continue,
                other => other,
            };
            let seen = callers.entry((i, e.caller)).or_insert(failed);
            if let Some(found) = failed {
                *seen = seen.or(Some(found));
                failures.push((e.started_at, e.resource));
            }
        }
        numbers += u32::from(failures.len() > before);
    }
    let mut reasons: BTreeMap<(Reason, Option<Code>), u32> = BTreeMap::new();
    for found in callers.values().flatten() {
        *reasons.entry(*found).or_default() += 1;
    }
    let mut reasons: Vec<_> =
        reasons.into_iter().map(|((reason, code), callers)| ReasonCount { reason, code, callers }).collect();
    reasons.sort_by_key(|r| std::cmp::Reverse(r.callers));
    failures.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let failing = reasons.iter().map(|r| r.callers).sum();
    let count = callers.len() as u32;
    Evidence {
        callers: count,
        failing,
        since: failures.last().map(|(at, _)| *at),
        ratio: (count > 0).then(|| f64::from(failing) / f64::from(count)),
        reasons,
        samples: failures.iter().take(3).map(|(_, r)| *r).collect(),
        numbers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::{CallSid, Channel};
    use crate::core::observation::Party;
    use crate::core::outcome::Why;
    use crate::core::roster::NumberIx;

    fn change(call: u128, caller: u64, at: i64, was: Option<Outcome>, is: Outcome) -> Change {
        Change {
            entry: Resource::Call(CallSid::from_u128(call)),
            number: NumberIx(0),
            channel: Channel::Voice,
            party: Party { hash: caller, last_two: None, is_prober: false },
            is_inbound: true,
            started_at: Time::from_secs(at),
            at: Time::from_secs(at + 30),
            was,
            is,
            code: None,
        }
    }

    const BROKEN: Outcome = Outcome::Failed(Reason::Webhook);

    fn curable(w: &Window, since: i64) -> Evidence {
        gather([w].into_iter(), Time::from_secs(since), true)
    }

    #[test]
    fn redials_are_one_witness() {
        let mut w = Window::default();
        for i in 0..8 {
            w.apply(&change(i, 77, i as i64, None, BROKEN));
        }
        w.apply(&change(8, 78, 20, None, Outcome::Ok));
        let e = curable(&w, 0);
        assert_eq!((e.callers, e.failing, e.ratio, e.since), (2, 1, Some(0.5), Some(Time::from_secs(0))));
        assert!(!Rule::default().is_met(&e));
    }

    #[test]
    fn a_revision_edits_its_entry_and_a_soft_outcome_removes_it() {
        let mut w = Window::default();
        w.apply(&change(1, 1, 1, None, Outcome::Ok));
        w.apply(&change(1, 1, 1, Some(Outcome::Ok), BROKEN));
        assert_eq!((curable(&w, 0).callers, curable(&w, 0).failing), (1, 1));
        w.apply(&change(1, 1, 1, Some(BROKEN), Outcome::Ignored(Why::Busy)));
        assert!(w.is_empty());
    }

    #[test]
    fn what_a_swap_cannot_cure_is_no_evidence_for_one() {
        let mut w = Window::default();
        for i in 0..5 {
            w.apply(&change(i.into(), i, i as i64, None, Outcome::Failed(Reason::Carrier)));
        }
        assert_eq!(curable(&w, 0), Evidence::default());
        assert_eq!(gather([&w].into_iter(), Time::EPOCH, false).failing, 5);
    }

    #[test]
    fn only_the_recent_counts() {
        let mut w = Window::default();
        w.apply(&change(2, 2, 200, None, BROKEN));
        w.apply(&change(1, 1, 100, None, BROKEN));
        assert_eq!(curable(&w, 150).failing, 1);
        assert_eq!(curable(&w, 0).samples[0], Resource::Call(CallSid::from_u128(2)));
        w.prune(Time::from_secs(150));
        assert_eq!(curable(&w, 0).failing, 1);
    }
}
