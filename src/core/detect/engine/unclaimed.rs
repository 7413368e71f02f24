//! Errors of calls that no log shows: when they are worth a page, and what they say of a number's health.
//!
//! One is nothing: a row may be lost. Some of them in half an hour, and nobody served since on any number that they can
//! be of, is what a suspended account looks like, or a log that leaves callers out. A person is told, group by group,
//! and the numbers are not healthy until somebody is served again. Nobody is counted, so nothing is rolled back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Engine;
use super::decide::Case;
use crate::detect::ledger::{Concerned, LedgerContext, ReadUntil, UnclaimedError};
use crate::model::counted::Counted;
use crate::model::decision::{Action, PageReason};
use crate::model::id::{Channel, Resource};
use crate::model::reason::Reason;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;
use crate::model::verdict::{Evidence, ReasonCount};

/// So many of them are no lost row.
const ENOUGH: usize = 4;

/// Within this.
const WITHIN: Duration = Duration::from_secs(1800);

/// The latest of a group that are kept: more say nothing more.
const KEPT: usize = 100;

/// The calls shown with a page.
const SAMPLES: usize = 3;

/// A group's latest errors without a call, and when a person was told of them.
#[derive(Clone, Debug, Default)]
pub(super) struct UnclaimedErrors {
    errors: VecDeque<UnclaimedError>,
    told_at: Option<Time>,
}

impl Engine {
    /// Takes in the errors whose calls have not come, and tells a person where nobody is served beside them.
    pub(super) fn weigh_unclaimed(&mut self, now: Time, read: ReadUntil) {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        let mut news: BTreeSet<(GroupIx, Channel)> = BTreeSet::new();
        for error in self.ledger.take_unclaimed(now, read, cx) {
            let groups: BTreeSet<GroupIx> = match &error.concerns {
                Concerned::All => self.roster.groups().map(|(ix, _)| ix).collect(),
                Concerned::Numbers(numbers) => numbers.iter().map(|n| self.roster.number(*n).group).collect(),
            };
            for group in groups {
                let UnclaimedErrors { errors, .. } =
                    &mut self.groups[group.0 as usize][error.channel.index()].unclaimed;
                errors.push_back(error.clone());
                if errors.len() > KEPT {
                    errors.pop_front();
                }
                news.insert((group, error.channel));
            }
        }
        for (group, channel) in news {
            self.tell_of_unclaimed(now, group, channel);
        }
    }

    fn tell_of_unclaimed(&mut self, now: Time, group: GroupIx, channel: Channel) {
        let state = &mut self.groups[group.0 as usize][channel.index()].unclaimed;
        state.errors.retain(|e| e.at + WITHIN > now);
        let errors = state.errors.clone();
        let members = self.roster.group(group).numbers.iter().copied();
        let concerned: Vec<NumberIx> = members
            .filter(|n| self.is_watched(*n, channel))
            .filter(|n| errors.iter().any(|e| e.concerns(*n)))
            .collect();
        let served = concerned.iter().filter_map(|n| self.channel(*n, channel).latest.served_last()).max();
        let errors: Vec<UnclaimedError> = errors.into_iter().filter(|e| served.is_none_or(|at| at < e.at)).collect();
        if errors.len() < ENOUGH || concerned.is_empty() {
            return;
        }
        for error in &errors {
            for number in concerned.iter().filter(|n| error.concerns(**n)) {
                self.channel_mut(*number, channel).latest.failed_unseen(error.at, error.entry, *number);
                self.renew.insert(number.0, channel);
            }
        }
        let told_at = &mut self.groups[group.0 as usize][channel.index()].unclaimed.told_at;
        if told_at.is_some_and(|at| now < at + WITHIN) {
            return;
        }
        *told_at = Some(now);
        let evidence = evidence(&errors, concerned.len());
        let reason = evidence.reasons.first().map_or(Reason::Unexplained, |r| r.reason);
        let rule = format!(
            "{} errors in {} min name calls that Twilio's log does not show, and nobody was served since",
            errors.len(),
            WITHIN.as_secs() / 60
        );
        let case = Case { group, channel, numbers: &concerned, evidence: &evidence, rule };
        self.decided(now, Action::Page { reason: PageReason::Failing(reason) }, &concerned, &case);
    }
}

impl UnclaimedError {
    fn concerns(&self, number: NumberIx) -> bool {
        match &self.concerns {
            Concerned::All => true,
            Concerned::Numbers(numbers) => numbers.contains(&number),
        }
    }
}

/// Each error is a call or message that failed: how many people they were is not known.
fn evidence(errors: &[UnclaimedError], numbers: usize) -> Evidence {
    let mut counts: BTreeMap<_, u32> = BTreeMap::new();
    for e in errors {
        *counts.entry((e.reason, e.code)).or_default() += 1;
    }
    let mut reasons: Vec<ReasonCount> =
        counts.into_iter().map(|((reason, code), callers)| ReasonCount { reason, code: Some(code), callers }).collect();
    reasons.sort_by_key(|r| std::cmp::Reverse(r.callers));
    let samples: Vec<Resource> = errors.iter().rev().filter_map(|e| e.entry).take(SAMPLES).collect();
    Evidence {
        counted: Counted::Attempts,
        callers: errors.len() as u32,
        failing: errors.len() as u32,
        since: errors.iter().map(|e| e.at).min(),
        reasons,
        samples,
        numbers: numbers as u32,
        ..Evidence::default()
    }
}
