//! From what was found to a decision: act, or the first guard that says no; or tell a person.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Engine, EngineEvent, RollbackProgress};
use crate::detect::ledger::LedgerContext;
use crate::detect::statistic::{Finding, FindingKind};
use crate::model::decision::{Action, Decision, DecisionId, DetectorGuard, Mode, PageReason, Phase};
use crate::model::guard::Strength;
use crate::model::id::Channel;
use crate::model::reason::Reason;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;
use crate::model::verdict::Evidence;
use crate::model::verdict::Score;
use crate::routing::history::RoutingState;
use crate::routing::record::NumberRecord;

/// A caller who was served so lately says more than test calls that fail.
const SERVED_WITHIN: Duration = Duration::from_secs(600);

/// What is to be decided.
pub(super) struct Case<'a> {
    pub group: GroupIx,
    pub channel: Channel,
    pub numbers: &'a [NumberIx],
    pub evidence: &'a Evidence,
    /// What says so, in words.
    pub rule: String,
}

impl Engine {
    /// Decides about a finding, or keeps it until something can be decided.
    pub(super) fn found(&mut self, now: Time, finding: Finding) {
        if self.is_blind(finding.channel, now) {
            match finding.what {
                // Until then the evidence may have changed.
                FindingKind::NumberFault | FindingKind::GroupFault => {
                    self.recheck.extend(finding.numbers.iter().map(|n| (*n, finding.channel)));
                }
                FindingKind::Silence | FindingKind::Unreached | FindingKind::Outage => self.deferred.push(finding),
            }
            return;
        }
        let channel = finding.channel;
        // Whom a number does not have at Twilio it does not miss.
        // What another region has in its log is no silence; what is seen of it all the same counts.
        let is_here = |n: NumberIx| match self.routing(n, channel) {
            RoutingState::Lacking => false,
            RoutingState::Elsewhere => finding.what != FindingKind::Silence,
            RoutingState::Handled
            | RoutingState::NotInAccount
            | RoutingState::Unread
            | RoutingState::Nobody
            | RoutingState::Gone
            | RoutingState::Demo
            | RoutingState::Fax => true,
        };
        let watched = |n: &NumberIx| self.is_watched(*n, channel) && is_here(*n);
        let numbers: Vec<NumberIx> = finding.numbers.into_iter().filter(watched).collect();
        let Some(group) = numbers.first().map(|n| self.roster.number(*n).group) else {
            return;
        };
        let reason = match finding.what {
            FindingKind::NumberFault | FindingKind::GroupFault => {
                let rule = self.detector_text(group, channel, &finding.evidence);
                let case = Case { group, channel, numbers: &numbers, evidence: &finding.evidence, rule };
                return self.decide(now, &case);
            }
            FindingKind::Silence => PageReason::Silence,
            FindingKind::Unreached => PageReason::Unreached,
            FindingKind::Outage => PageReason::Outage,
        };
        for (group, numbers) in self.by_group(&numbers) {
            let zone = numbers.first().map(|n| &self.roster.number(*n).timezone);
            let rule = match finding.evidence.expected.as_ref().zip(zone) {
                Some((expected, zone)) => format!("history: {}", expected.text(zone)),
                None => format!("detector: {}", reason.text()),
            };
            let case = Case { group, channel, numbers: &numbers, evidence: &finding.evidence, rule };
            self.decided(now, Action::Page { reason }, &numbers, &case);
        }
        for number in numbers {
            self.renew_number(now, number, channel);
            self.renew_group(now, self.roster.number(number).group, channel);
        }
    }

    /// Numbers by their group, in order.
    fn by_group(&self, numbers: &[NumberIx]) -> Vec<(GroupIx, Vec<NumberIx>)> {
        let mut by_group: Vec<(GroupIx, Vec<NumberIx>)> = Vec::new();
        for n in numbers {
            let group = self.roster.number(*n).group;
            match by_group.iter_mut().find(|(g, _)| *g == group) {
                Some((_, list)) => list.push(*n),
                None => by_group.push((group, vec![*n])),
            }
        }
        by_group
    }

    /// What could not be decided when it was found.
    pub(super) fn decide_deferred(&mut self, now: Time) {
        for finding in std::mem::take(&mut self.deferred) {
            self.found(now, finding);
        }
        let (early, due): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.early).into_iter().partition(|(n, channel)| self.is_early(now, *n, *channel));
        self.early = early;
        self.recheck.extend(due);
        let mut weighed = BTreeSet::new();
        for (number, channel) in std::mem::take(&mut self.recheck) {
            if self.is_blind(channel, now) {
                self.recheck.insert((number, channel));
                continue;
            }
            if self.is_early(now, number, channel) {
                self.early.insert((number, channel));
            } else if let Some(finding) = self.detector.decide(&self.roster, now, number, channel) {
                self.found(now, finding);
            }
            weighed.insert((number, channel));
        }
        while let Some((_, number, channel)) = self.rules_at.first().copied().filter(|(at, ..)| *at <= now) {
            self.rules_at.pop_first();
            self.rules_due.insert((number, channel));
        }
        for (number, channel) in std::mem::take(&mut self.rules_due) {
            if self.is_blind(channel, now) {
                self.rules_due.insert((number, channel));
            } else {
                weighed.insert((number, channel));
            }
        }
        // A person is told of what no swap cures whatever waits. A group is looked at once, however many of its numbers
        // failed.
        let mut shared: BTreeMap<(GroupIx, Channel), Vec<bool>> = BTreeMap::new();
        for (number, channel) in weighed {
            let group = self.roster.number(number).group;
            let shared =
                shared.entry((group, channel)).or_insert_with(|| self.apply_group_rules(now, group, channel)).clone();
            self.apply_rules(now, number, channel, &shared);
        }
    }

    /// No rollback of it is decided yet, unless callers say what so far only test calls said.
    fn is_early(&self, now: Time, number: NumberIx, channel: Channel) -> bool {
        let state = self.channel(number, channel);
        state.not_before.is_some_and(|t| now < t) && !state.on_hint
    }

    /// Weighs a number again for which something was decided and withheld, if the guard that withheld it no longer
    /// says no, or another one does.
    pub(super) fn reconsider(&mut self, number: NumberIx, channel: Channel) {
        if self.is_unblocked(number, channel) {
            self.recheck.insert((number, channel));
        }
    }

    /// What is not among our numbers now that they were read is missing, and no longer just unread.
    pub(super) fn reconsider_all(&mut self) {
        for i in 0..self.roster.len() {
            let number = NumberIx(i as u32);
            for channel in self.watched(number) {
                self.reconsider(number, channel);
            }
        }
    }

    /// A number was read. Its calls that could not be told by what it pointed at, and what was withheld for want of
    /// that, are looked at again.
    pub(super) fn read(&mut self, at: Time, number: NumberIx, record: &NumberRecord) {
        if !self.routes.learn(&self.roster, number, record) {
            return;
        }
        self.rerouted(at, number);
    }

    /// A number is not in the account any more: who answers it is not known, whatever it pointed at before.
    pub(super) fn absent(&mut self, at: Time, number: NumberIx) {
        if self.routes.forget(number) {
            self.rerouted(at, number);
        }
    }

    fn rerouted(&mut self, at: Time, number: NumberIx) {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        for change in self.ledger.rerouted(at, number, cx) {
            self.settled(change);
        }
        for channel in self.watched(number) {
            self.reconsider(number, channel);
            self.renew_number(at, number, channel);
            self.renew_groups.insert(self.roster.number(number).group.0, channel);
        }
    }

    fn is_unblocked(&self, number: NumberIx, channel: Channel) -> bool {
        let state = self.channel(number, channel);
        state.decided && state.withheld.is_some_and(|guard| self.guard(number, channel) != Some(guard))
    }

    /// The detector's finding in words.
    fn detector_text(&self, group: GroupIx, channel: Channel, e: &Evidence) -> String {
        let weighed = e.score.map_or_else(|| "without a statistic".to_owned(), Score::text);
        let probes = match e.probes {
            0 => String::new(),
            n => format!(" and {} of {n} test calls", e.failing_probes),
        };
        let who = e.counted.words(channel).many;
        format!(
            "detector: {} of {} {who}{probes} failed; {weighed} ({})",
            e.failing, e.callers, self.detection[group.0 as usize].params.budget
        )
    }

    /// Test calls fail for a reason that a swap would not cure.
    pub(super) fn page_for_probe(&mut self, now: Time, number: NumberIx, channel: Channel, reason: Reason) {
        let group = self.roster.number(number).group;
        let evidence = Evidence { probes: 2, failing_probes: 2, failing_numbers: 1, numbers: 1, ..Evidence::default() };
        let rule = "probes: two in a row failed".to_owned();
        let case = Case { group, channel, numbers: &[number], evidence: &evidence, rule };
        self.decided(now, Action::Page { reason: PageReason::Failing(reason) }, case.numbers, &case);
    }

    /// Decides what the evidence asks for: a rollback, unless a guard says no.
    pub(super) fn decide(&mut self, now: Time, case: &Case<'_>) {
        let channel = case.channel;
        let mut act = Vec::new();
        let mut withheld: Vec<(DetectorGuard, Vec<NumberIx>)> = Vec::new();
        let strength = Strength::of(case.evidence, case.numbers.len());
        let (beside, numbers): (Vec<NumberIx>, Vec<NumberIx>) =
            case.numbers.iter().partition(|n| self.is_beside_service(now, case, **n));
        self.page_beside_service(now, case, &beside);
        for ix in &numbers {
            if !self.is_watched(*ix, channel) {
                continue;
            }
            let state = self.channel(*ix, channel);
            // A person may have been asked, and is not needed any more.
            let is_stronger = state.on_hint && strength == Strength::Callers;
            let is_settled = state.decided && !is_stronger && !self.is_unblocked(*ix, channel);
            if state.rollback != RollbackProgress::None || is_settled {
                continue;
            }
            if state.not_before.is_some_and(|t| now < t) && !is_stronger {
                self.early.insert((*ix, channel));
                continue;
            }
            let guard = self.guard(*ix, channel);
            match guard {
                None => act.push(*ix),
                Some(guard) => match withheld.iter_mut().find(|(g, _)| *g == guard) {
                    Some((_, list)) => list.push(*ix),
                    None => withheld.push((guard, vec![*ix])),
                },
            }
            let state = self.channel_mut(*ix, channel);
            (state.decided, state.on_hint, state.withheld) = (true, strength == Strength::Hint, guard);
            self.dirty.insert((*ix, channel));
        }
        for ix in &act {
            self.channel_mut(*ix, channel).rollback = RollbackProgress::Pending;
            self.detector.mute(*ix, channel);
        }
        if !act.is_empty() {
            self.decided(now, Action::Rollback, &act, case);
        }
        for (guard, numbers) in withheld {
            self.decided(now, Action::Withheld { guard }, &numbers, case);
        }
    }

    /// Only test calls fail, and whoever calls this number is served, lately and since the first of them: what is
    /// broken is the test, or what only it meets.
    fn is_beside_service(&self, now: Time, case: &Case<'_>, number: NumberIx) -> bool {
        let state = self.channel(number, case.channel);
        let since = case.evidence.since;
        let is_since = |at: Time| since.is_none_or(|since| since < at);
        let is_served = state.latest.served_last().is_some_and(|at| now < at + SERVED_WITHIN && is_since(at));
        let may_decide = state.not_before.is_none_or(|at| at <= now);
        case.evidence.failing == 0 && is_served && may_decide
    }

    /// A person is told of it, once. The first caller who fails decides anew, and so does the next test call that fails
    /// once nobody has been served for a while.
    fn page_beside_service(&mut self, now: Time, case: &Case<'_>, numbers: &[NumberIx]) {
        let mut news = Vec::new();
        for number in numbers {
            let is_open = self.is_watched(*number, case.channel);
            let state = self.channel_mut(*number, case.channel);
            let is_open = is_open && !state.decided && state.rollback == RollbackProgress::None;
            if is_open && !std::mem::replace(&mut state.is_told_beside, true) {
                self.dirty.insert((*number, case.channel));
                news.push(*number);
            }
        }
        if !news.is_empty() {
            self.decided(now, Action::Page { reason: PageReason::ErrorsBesideService }, &news, case);
        }
    }

    /// The first guard that says no.
    fn guard(&self, number: NumberIx, channel: Channel) -> Option<DetectorGuard> {
        let state = self.channel(number, channel);
        let group = self.roster.group_of(number);
        if self.settings.mode != Mode::Auto {
            return Some(DetectorGuard::Mode);
        }
        if state.phase == Phase::Waiting {
            return Some(DetectorGuard::Phase);
        }
        let Some(fallback) = group.fallback(channel) else {
            return Some(DetectorGuard::NoFallback);
        };
        let Some(record) = self.routes.record(number).filter(|_| self.routes.is_read(number, channel)) else {
            let is_unread = self.is_unread(number, channel);
            return Some(if is_unread { DetectorGuard::NotRead } else { DetectorGuard::NotInAccount });
        };
        record.leads_to(channel, fallback).then_some(DetectorGuard::OnFallback)
    }

    pub(super) fn decided(&mut self, now: Time, action: Action, numbers: &[NumberIx], case: &Case<'_>) {
        let evidence = self.complete(now, case.channel, numbers, case.evidence.clone());
        let id = DecisionId(self.next_decision);
        self.next_decision += 1;
        self.events.push(EngineEvent::Decided(Box::new(Decision {
            id,
            at: now,
            action,
            channel: case.channel,
            group: self.roster.group(case.group).name.clone(),
            numbers: numbers.iter().map(|ix| self.roster.number(*ix).id).collect(),
            rule: case.rule.clone(),
            evidence,
        })));
    }
}
