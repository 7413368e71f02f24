//! One incident: the numbers of one group and channel that share one kind of trouble.
//!
//! It opens with the first number, grows with every later decision and order about the same group, and is
//! resolved when its last number is out of trouble. Each number has a [`NumberState`]; what a person would
//! act on is read off all of them ([`Needs`]), and compared with what the last notice said ([`Reported`]).
//! Only a difference on which a person would act differently is news ([`Incident::news`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::decision::{Decision, DecisionId, PageReason};
use crate::model::guard::Guard;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::OrderResult;
use crate::model::time::Time;
use crate::notice::{Notice, Severity};

/// A rollback that has not ended after this is reported all the same.
pub(super) const END_WITHIN: Duration = Duration::from_secs(60);

/// Trouble that no verdict shows is over when the detector has not reported it again for so long.
pub(super) const QUIET_FOR: Duration = Duration::from_secs(3600);

/// A question that nobody answered is reported as expired after this: while callers fail, the detector
/// decides again within a minute, and then the new question is the news.
pub(super) const EXPIRED_FOR: Duration = Duration::from_secs(120);

/// A rollback that failed on a number which the detector calls healthy is over after this: no change of the verdict
/// will ever say so, and whoever was told has had time to look.
pub(super) const FAILED_FOR: Duration = Duration::from_secs(300);

/// Entries of one step of the agent have one instant, and are judged together right after it.
pub(super) const AFTERWARDS: Duration = Duration::from_millis(1);

/// A person acts differently when so many times as many numbers are in trouble as at the last notice.
const TENFOLD: usize = 10;

/// What kind of trouble an incident is about. One group has at most one incident of each kind on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IncidentKind {
    /// What the numbers point at does not serve callers, and a rollback would; or numbers are on the
    /// fallback by a person's word.
    Handler,
    /// A rollback would not cure it.
    NotCurable(PageReason),
}

impl IncidentKind {
    pub(super) const fn of(reason: PageReason) -> IncidentKind {
        match reason {
            PageReason::Failing(r) if r.is_curable() => IncidentKind::Handler,
            PageReason::Failing(_)
            | PageReason::Silence
            | PageReason::Unreached
            | PageReason::Outage
            | PageReason::FewCallers
            | PageReason::ErrorsBesideService
            | PageReason::OldHandler => IncidentKind::NotCurable(reason),
        }
    }

    /// The incident's key, the same for all its notices.
    pub(super) fn key(self, group: &GroupName, channel: Channel) -> String {
        let kind = match self {
            IncidentKind::Handler => "handler",
            IncidentKind::NotCurable(reason) => reason.label(),
        };
        format!("{group}/{channel}/{kind}")
    }
}

/// Where one number of an incident stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NumberState {
    /// A rollback is decided, and neither a guard nor an order has answered yet.
    Decided,
    /// A person is to look at it: no rollback is wanted.
    Reported(PageReason),
    /// A guard blocks the rollback. One that is pending ends in the journal; what the detector withheld
    /// ends with the number's verdict.
    Blocked { guard: Guard, is_pending: bool },
    /// The rollback needs approval, or can be vetoed, until then.
    Asked { guard: Guard, until: Time },
    /// Nobody approved in time.
    Expired { at: Time },
    /// Being rolled back.
    Ordered { since: Time },
    /// The rollback has ended, well or not.
    Ended { result: OrderResult, detail: String },
}

/// One number of an incident.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) state: NumberState,
    /// The latest decision about it.
    pub(super) decision: Option<DecisionId>,
    /// The latest rollback of it.
    pub(super) order: Option<DecisionId>,
    /// Since when a rollback has it on the fallback.
    pub(super) swapped: Option<Time>,
    /// How the latest attempt failed, until one succeeds.
    pub(super) failure: Option<(OrderResult, String)>,
    /// What a rollback wrote may be on it. No verdict ends that, nor what becomes of a later decision.
    pub(super) is_unproven: bool,
}

impl Member {
    pub(super) const fn is_on_fallback(&self) -> bool {
        match &self.state {
            NumberState::Ended { result, .. } => result.is_as_asked(),
            NumberState::Decided
            | NumberState::Reported(_)
            | NumberState::Blocked { .. }
            | NumberState::Asked { .. }
            | NumberState::Expired { .. }
            | NumberState::Ordered { .. } => false,
        }
    }

    /// True if a rollback is under way or has succeeded: what the detector decides besides changes nothing.
    pub(super) const fn is_taken(&self) -> bool {
        self.is_on_fallback() || matches!(self.state, NumberState::Ordered { .. })
    }

    /// What it is when a decision about it is over, if that leaves it in trouble.
    fn unproven(&self) -> Option<NumberState> {
        let detail = self.failure.as_ref().map_or(String::new(), |(_, detail)| detail.clone());
        self.is_unproven.then_some(NumberState::Ended { result: OrderResult::Unproven, detail })
    }

    /// True if its trouble is over once the detector calls it healthy; otherwise another entry of the journal ends it.
    pub(super) const fn ends_with_health(&self) -> bool {
        if self.is_unproven {
            return false;
        }
        match &self.state {
            NumberState::Reported(_) | NumberState::Expired { .. } => true,
            NumberState::Blocked { is_pending, .. } => !*is_pending,
            NumberState::Ended { result, .. } => match result {
                // Nothing of ours is on the number.
                OrderResult::Failed | OrderResult::Refused | OrderResult::Superseded => true,
                OrderResult::Written | OrderResult::Proven | OrderResult::Unproven | OrderResult::Restored => false,
            },
            NumberState::Decided | NumberState::Asked { .. } | NumberState::Ordered { .. } => false,
        }
    }
}

/// What a notice is first of all about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Headline {
    /// A rollback failed, or is not known to serve callers.
    Unproven,
    ApprovalNeeded,
    Blocked,
    Veto,
    Expired,
    /// A rollback takes longer than it should.
    Underway,
    /// A rollback is under way. No news, but what is so.
    RollingBack,
    /// A person is to look.
    Reported,
    RolledBack,
    /// A restore has ended, well or not.
    Restore,
}

/// What a person would act on, as it is at one instant.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) failed: BTreeSet<NumberId>,
    /// Open questions.
    pub(super) asked: BTreeSet<DecisionId>,
    pub(super) guards: BTreeSet<Guard>,
    pub(super) veto: BTreeSet<DecisionId>,
    pub(super) slow: BTreeSet<NumberId>,
    /// Decided, or being rolled back.
    pub(super) under_way: BTreeSet<NumberId>,
    pub(super) expired: BTreeSet<NumberId>,
    pub(super) reported: BTreeSet<NumberId>,
    pub(super) on_fallback: BTreeSet<NumberId>,
    pub(super) is_proven: bool,
    /// Rollbacks are under way, and will soon be known to have succeeded or not.
    is_settling: bool,
}

impl Needs {
    /// The most urgent one.
    pub(super) fn headline(&self) -> Option<Headline> {
        let settled = !self.is_settling;
        [
            (settled && !self.failed.is_empty(), Headline::Unproven),
            (!self.asked.is_empty(), Headline::ApprovalNeeded),
            (!self.guards.is_empty(), Headline::Blocked),
            (!self.veto.is_empty(), Headline::Veto),
            (!self.expired.is_empty(), Headline::Expired),
            (!self.slow.is_empty(), Headline::Underway),
            (!self.reported.is_empty(), Headline::Reported),
            (settled && !self.on_fallback.is_empty(), Headline::RolledBack),
        ]
        .into_iter()
        .find_map(|(is, headline)| is.then_some(headline))
    }
}

/// What the notices so far have said.
#[derive(Debug, Default)]
pub(super) struct Reported {
    pub(super) headline: Option<Headline>,
    failed: BTreeSet<NumberId>,
    asked: BTreeSet<DecisionId>,
    guards: BTreeSet<Guard>,
    slow: BTreeSet<NumberId>,
    on_fallback: BTreeSet<NumberId>,
    /// Numbers in trouble.
    numbers: usize,
    /// Said once in an incident, whatever follows.
    is_proven: bool,
    have_all_failed: bool,
    is_veto: bool,
}

#[derive(Debug)]
pub(super) struct Incident {
    pub(super) key: String,
    pub(super) trouble: IncidentKind,
    pub(super) group: GroupName,
    pub(super) channel: Channel,
    /// The group's numbers.
    pub(super) group_size: usize,
    pub(super) members: BTreeMap<NumberId, Member>,
    pub(super) decisions: BTreeMap<DecisionId, Decision>,
    /// Numbers that are out of trouble, and why.
    pub(super) resolved_numbers: BTreeMap<NumberId, String>,
    /// The highest severity of its notices so far.
    pub(super) severity: Option<Severity>,
    pub(super) last_notice: Option<Notice>,
    reported: Reported,
    /// When to judge it anew.
    due: BTreeSet<Time>,
    /// Until then the ends of rollbacks under way are waited for, so that one notice tells of all.
    settles_by: Option<Time>,
    /// Restores under way, which report its end themselves.
    pub(super) restores: BTreeSet<DecisionId>,
    /// When the detector last decided about it.
    pub(super) last_seen: Time,
}

impl Incident {
    pub(super) fn new(
        trouble: IncidentKind,
        group: GroupName,
        channel: Channel,
        group_size: usize,
        at: Time,
    ) -> Incident {
        Incident {
            key: trouble.key(&group, channel),
            trouble,
            group,
            channel,
            group_size,
            members: BTreeMap::new(),
            decisions: BTreeMap::new(),
            resolved_numbers: BTreeMap::new(),
            severity: None,
            last_notice: None,
            reported: Reported::default(),
            due: BTreeSet::new(),
            settles_by: None,
            restores: BTreeSet::new(),
            last_seen: at,
        }
    }

    /// Something changed: it is judged once everything of this instant is in.
    pub(super) fn changed(&mut self, at: Time) {
        self.due.insert(at + AFTERWARDS);
    }

    /// A decision about these numbers puts each into this state, unless a rollback has it.
    pub(super) fn decided(&mut self, at: Time, decision: &Decision, state: &NumberState) {
        let mut is_about_any = false;
        for number in &decision.numbers {
            let earlier = self.members.get(number);
            if earlier.is_some_and(Member::is_taken) {
                continue;
            }
            // What a rollback was decided for is more than something to look at.
            let is_only_reported = matches!(state, NumberState::Reported(_));
            let is_more = |m: &Member| !matches!(m.state, NumberState::Reported(_) | NumberState::Expired { .. });
            if is_only_reported && earlier.is_some_and(is_more) {
                continue;
            }
            let (order, failure) = earlier.map_or((None, None), |m| (m.order, m.failure.clone()));
            let is_unproven = earlier.is_some_and(|m| m.is_unproven);
            self.resolved_numbers.remove(number);
            let (state, decision) = (state.clone(), Some(decision.id));
            let member = Member { state, decision, order, swapped: None, failure, is_unproven };
            self.members.insert(*number, member);
            is_about_any = true;
        }
        if is_about_any {
            self.decisions.insert(decision.id, decision.clone());
            self.last_seen = at;
            self.changed(at);
            self.due.insert(at + QUIET_FOR);
            if *state == NumberState::Decided {
                self.settles_by.get_or_insert(at + END_WITHIN);
                self.due.insert(at + END_WITHIN);
            }
        }
    }

    /// A guard has answered for numbers whose rollback is pending.
    pub(super) fn answered(&mut self, at: Time, decision: DecisionId, numbers: &[NumberId], state: &NumberState) {
        for number in numbers {
            if let Some(member) = self.members.get_mut(number)
                && member.decision == Some(decision)
                && !member.is_taken()
            {
                member.state = state.clone();
            }
        }
        self.changed(at);
    }

    pub(super) fn ordered(&mut self, at: Time, order: DecisionId, numbers: &[NumberId]) {
        for number in numbers {
            let earlier = self.members.remove(number);
            let is_unproven = earlier.as_ref().is_some_and(|m| m.is_unproven);
            let (decision, failure) = earlier.map_or((None, None), |m| (m.decision, m.failure));
            self.resolved_numbers.remove(number);
            let state = NumberState::Ordered { since: at };
            let member = Member { state, decision, order: Some(order), swapped: None, failure, is_unproven };
            self.members.insert(*number, member);
        }
        self.settles_by.get_or_insert(at + END_WITHIN);
        self.due.insert(at + END_WITHIN);
        self.changed(at);
    }

    /// A rollback of a number has ended. An earlier order's late result says nothing of a later one.
    pub(super) fn ended(&mut self, at: Time, order: DecisionId, number: NumberId, result: OrderResult, detail: &str) {
        let Some(member) = self.members.get_mut(&number).filter(|m| m.order == Some(order)) else { return };
        member.failure = (!result.is_as_asked()).then(|| (result, detail.to_owned()));
        member.is_unproven = match result {
            OrderResult::Unproven => true,
            OrderResult::Written | OrderResult::Proven | OrderResult::Restored | OrderResult::Superseded => false,
            // What an earlier attempt wrote may be there all the same.
            OrderResult::Failed | OrderResult::Refused => member.is_unproven,
        };
        // A proof says more of the same swap.
        member.swapped = if result.is_as_asked() { member.swapped.or(Some(at)) } else { member.swapped };
        member.state = NumberState::Ended { result, detail: detail.to_owned() };
        self.changed(at);
    }

    /// A number is out of trouble, or no longer ours to care for.
    pub(super) fn resolve(&mut self, at: Time, number: NumberId, why: &str) {
        if self.members.remove(&number).is_some() {
            self.resolved_numbers.insert(number, why.to_owned());
            self.changed(at);
        }
    }

    /// The decision about a number is over, and with it the number's trouble, unless our write may be on it.
    pub(super) fn lapsed(&mut self, at: Time, number: NumberId, why: &str) {
        match self.members.get_mut(&number).and_then(|m| Some((m.unproven()?, m))) {
            Some((state, member)) => {
                member.state = state;
                self.changed(at);
            }
            None => self.resolve(at, number, why),
        }
    }

    /// Nobody approved these numbers' rollback in time.
    pub(super) fn expired(&mut self, at: Time, decision: DecisionId, numbers: &[NumberId]) {
        self.answered(at, decision, numbers, &NumberState::Expired { at });
        self.last_seen = at;
        self.due.extend([at + EXPIRED_FOR, at + QUIET_FOR]);
    }

    /// The next instant up to `now` at which it is to be judged.
    pub(super) fn next_due(&mut self, now: Time) -> Option<Time> {
        let due = self.due.first().copied().filter(|at| *at <= now)?;
        self.due.remove(&due);
        Some(due)
    }

    pub(super) fn on_fallback(&self) -> BTreeSet<NumberId> {
        self.members.iter().filter(|(_, m)| m.is_on_fallback()).map(|(n, _)| *n).collect()
    }

    /// Nothing that is only looked at stays open for ever.
    pub(super) fn forget_the_quiet(&mut self, at: Time) {
        if self.last_seen + QUIET_FOR > at {
            return;
        }
        let is_quiet = |m: &Member| matches!(m.state, NumberState::Reported(_) | NumberState::Expired { .. });
        let quiet: Vec<NumberId> = self.members.iter().filter(|(_, m)| is_quiet(m)).map(|(n, _)| *n).collect();
        for number in quiet {
            if let Some((state, member)) = self.members.get_mut(&number).and_then(|m| Some((m.unproven()?, m))) {
                member.state = state;
                continue;
            }
            self.members.remove(&number);
            self.resolved_numbers.insert(number, "no more failures were seen for an hour".to_owned());
        }
    }

    pub(super) fn needs(&mut self, at: Time) -> Needs {
        let needs = self.needs_at(at);
        if needs.under_way.is_empty() {
            self.settles_by = None;
        }
        needs
    }

    /// The same for somebody who only looks.
    pub(super) fn needs_at(&self, at: Time) -> Needs {
        let mut needs = Needs { is_proven: true, ..Needs::default() };
        for (number, member) in &self.members {
            if member.failure.is_some() {
                needs.failed.insert(*number);
            }
            match &member.state {
                NumberState::Decided => {
                    needs.under_way.insert(*number);
                }
                NumberState::Reported(_) => {
                    needs.reported.insert(*number);
                }
                // The next try comes by itself, and the failure is reported.
                NumberState::Blocked { guard: Guard::Cooldown, .. } if member.failure.is_some() => {}
                NumberState::Blocked { guard, .. } => {
                    needs.guards.insert(*guard);
                }
                NumberState::Asked { guard: Guard::Veto, .. } => needs.veto.extend(member.decision),
                NumberState::Asked { .. } => needs.asked.extend(member.decision),
                NumberState::Expired { at: expired } => {
                    if *expired + EXPIRED_FOR <= at {
                        needs.expired.insert(*number);
                    }
                }
                NumberState::Ordered { since } => {
                    needs.under_way.insert(*number);
                    if *since + END_WITHIN <= at {
                        needs.slow.insert(*number);
                    }
                }
                NumberState::Ended { result, .. } => {
                    if result.is_as_asked() {
                        needs.on_fallback.insert(*number);
                        needs.is_proven &= *result == OrderResult::Proven;
                    }
                }
            }
        }
        needs.is_settling = !needs.under_way.is_empty() && self.settles_by.is_some_and(|t| at < t);
        needs
    }

    /// What is news: a need of which no part has been reported, or growth that changes what to do.
    pub(super) fn news(&self, needs: &Needs) -> Option<Headline> {
        let said = &self.reported;
        let settled = !needs.is_settling;
        let is_all_on_fallback = needs.headline() == Some(Headline::RolledBack);
        let was_rolled_back = said.headline == Some(Headline::RolledBack);
        let is_rolled_back = is_all_on_fallback
            && if was_rolled_back {
                needs.is_proven && !said.is_proven
            } else {
                !needs.on_fallback.is_subset(&said.on_fallback)
            };
        let was_said = |headline| said.headline == Some(headline);
        let new = [
            (settled && (is_new(&needs.failed, &said.failed) || self.has_none_left(needs)), Headline::Unproven),
            (is_new(&needs.asked, &said.asked), Headline::ApprovalNeeded),
            (is_new(&needs.guards, &said.guards), Headline::Blocked),
            (!needs.veto.is_empty() && !said.is_veto, Headline::Veto),
            (!needs.expired.is_empty() && !was_said(Headline::Expired), Headline::Expired),
            (is_new(&needs.slow, &said.slow), Headline::Underway),
            (!needs.reported.is_empty() && said.headline.is_none(), Headline::Reported),
            (is_rolled_back, Headline::RolledBack),
        ];
        let new = new.into_iter().find_map(|(is, headline)| is.then_some(headline));
        // What was never reported has not grown either: it may still be decided what is done about it.
        new.or_else(|| needs.headline().filter(|_| settled && said.headline.is_some() && self.has_grown()))
    }

    /// True if so many more numbers are in trouble than at the last notice that a person would act
    /// differently: most of the group now, which speaks of the handler and not of a number; or ten times as many.
    fn has_grown(&self) -> bool {
        let is_most = |n: usize| n * 2 > self.group_size;
        let (before, now) = (self.reported.numbers, self.members.len());
        is_most(now) && !is_most(before) || before > 0 && now >= before * TENFOLD
    }

    /// True if by now the rollbacks of all numbers have failed, which was told of some: no number is left whose callers
    /// are served, and what was to be done about the others is no longer so.
    fn has_none_left(&self, needs: &Needs) -> bool {
        let said = &self.reported;
        !said.have_all_failed && needs.failed.len() == self.members.len() && !needs.failed.is_subset(&said.failed)
    }

    /// A notice was made: this much people know.
    pub(super) fn notified(&mut self, needs: Needs, headline: Headline, notice: &Notice) {
        let is_rolled_back = headline == Headline::RolledBack;
        self.reported = Reported {
            headline: Some(headline),
            is_proven: self.reported.is_proven || is_rolled_back && needs.is_proven,
            is_veto: self.reported.is_veto || !needs.veto.is_empty(),
            have_all_failed: self.reported.have_all_failed || needs.failed.len() == self.members.len(),
            failed: needs.failed,
            asked: needs.asked,
            guards: needs.guards,
            slow: needs.slow,
            on_fallback: needs.on_fallback,
            numbers: self.members.len(),
        };
        self.last_notice = Some(notice.clone());
    }

    /// The incident's severity with one more notice of this one.
    pub(super) fn raise(&mut self, severity: Severity) -> Severity {
        let highest = self.severity.map_or(severity, |s| s.max(severity));
        self.severity = Some(highest);
        highest
    }
}

/// True if there are some, and none of them has been reported.
fn is_new<T: Ord>(now: &BTreeSet<T>, said: &BTreeSet<T>) -> bool {
    !now.is_empty() && now.is_disjoint(said)
}
