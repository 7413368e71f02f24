//! The text of an incident's notice: the six questions, answered for all its numbers together.

use std::collections::{BTreeMap, BTreeSet};

use super::Incidents;
use super::incident::{Headline, Incident, IncidentKind, Member, Needs, NumberState};
use crate::model::counted::{amount, cut_at, some_of};
use crate::model::decision::{Decision, DecisionId, PageReason};
use crate::model::guard::Guard;
use crate::model::id::NumberId;
use crate::model::order::{By, OrderResult};
use crate::model::reason::Reason;
use crate::model::time::Time;
use crate::notice::{Moment, Notice, NoticeKind, Severity, Step};

/// Decisions that are written into commands one by one; of more, one command takes all numbers.
const COMMANDS: usize = 3;

/// Decisions that are spelt out in a line.
const IDS: usize = 5;

/// Numbers that failed and are described one by one.
const FAILURES: usize = 3;

impl Incidents {
    /// The notice about everything in the incident, `headline` first.
    pub(super) fn compose(&self, at: Time, incident: &Incident, needs: &Needs, headline: Headline) -> Notice {
        let first = numbers_of(incident, needs, headline);
        let (kind, severity, what) = self.heading(incident, headline, &first);
        let whose = self.builder.name(&incident.group, incident.channel, &first);
        let title = match (headline, incident.trouble, reason_of(incident, &first)) {
            (Headline::Reported, _, Some(PageReason::Failing(reason))) => {
                format!("{}: {whose}: {}", self.fail(incident, &first), reason.text())
            }
            (Headline::Reported, _, Some(reason)) => format!("{whose}: {}", reason.text()),
            _ => format!("{what}: {whose}"),
        };
        let mut notice = self.builder.blank(at, incident.key.clone(), kind, severity, title);
        let others = incident.members.keys().copied().filter(|n| !first.contains(n));
        let numbers: Vec<NumberId> = first.iter().copied().chain(others).collect();
        notice = self.builder.whose(notice, &incident.group, incident.channel, &numbers);
        let decisions = current_decisions(incident);
        let latest = latest_id(incident, &first);
        notice = self.builder.evidence(notice, &decisions, latest);
        // It began when its first number did, also when that is out of trouble.
        let began = incident.last_notice.as_ref().and_then(|n| n.since.clone());
        notice.since = [notice.since, began].into_iter().flatten().min_by_key(|m| m.at);
        if let Some(reason) = reason_of(incident, &first).filter(|_| headline == Headline::Reported) {
            self.describe_page(&mut notice, reason);
            // How many calls should have come says more than that some did not.
            let is_counted = |d: &&&Decision| Some(d.id) == latest && d.evidence.expected.is_some();
            if let Some(decision) = decisions.iter().find(is_counted) {
                notice.cause = Some(decision.rule.clone());
            }
        }
        if let Some(author) = self.author(incident, &first) {
            notice.cause = Some(author);
        }
        notice.did = self.did(at, incident).join("\n");
        notice.proof = self.proof(incident);
        notice.next = self.next(at, incident, needs, headline);
        notice
    }

    /// Who or what fails, in the words of what was counted.
    fn fail(&self, incident: &Incident, numbers: &[NumberId]) -> &'static str {
        let latest = latest_id(incident, numbers);
        let decisions = current_decisions(incident);
        let counted = decisions.iter().find(|d| Some(d.id) == latest).or(decisions.last()).map(|d| d.evidence.counted);
        counted.unwrap_or_default().words(incident.channel).fail
    }

    /// Kind, severity and first words of the title.
    fn heading(
        &self,
        incident: &Incident,
        headline: Headline,
        first: &[NumberId],
    ) -> (NoticeKind, Severity, &'static str) {
        let critical = Severity::Critical;
        match headline {
            Headline::Unproven => {
                let failure = first.iter().find_map(|n| incident.members.get(n)?.failure.as_ref());
                let what = match failure.map(|(result, _)| result) {
                    Some(OrderResult::Unproven) => "Rollback UNPROVEN",
                    Some(OrderResult::Superseded) => "Rollback given up because somebody else changed the number",
                    Some(
                        OrderResult::Failed
                        | OrderResult::Refused
                        | OrderResult::Written
                        | OrderResult::Proven
                        | OrderResult::Restored,
                    )
                    | None => "Rollback FAILED",
                };
                (NoticeKind::Unproven, critical, what)
            }
            Headline::ApprovalNeeded => (NoticeKind::Asked, critical, "Approval needed"),
            Headline::Veto => (NoticeKind::Asked, critical, "About to roll back"),
            Headline::Blocked => (NoticeKind::Held, critical, "Rollback blocked"),
            Headline::Expired => (NoticeKind::Lapsed, critical, "Approval expired"),
            Headline::Underway => (NoticeKind::Underway, critical, "Rollback takes long"),
            Headline::RollingBack => (NoticeKind::Underway, critical, "Being rolled back"),
            Headline::Reported => {
                let severity = match reason_of(incident, first) {
                    // The handler answers, and nobody is served all the same.
                    Some(PageReason::Failing(Reason::OtherUrl)) if serves_nobody(incident, first) => critical,
                    reason => reason.map_or(critical, PageReason::severity),
                };
                (NoticeKind::NotCurable, severity, self.fail(incident, first))
            }
            Headline::RolledBack | Headline::Restore => {
                let members = || first.iter().filter_map(|n| incident.members.get(n));
                let is_proven =
                    members().all(|m| matches!(m.state, NumberState::Ended { result: OrderResult::Proven, .. }));
                let by_person =
                    |id: DecisionId| self.rollbacks.get(&id).is_some_and(|o| matches!(o.by, By::Operator(_)));
                let all_by_person = members().all(|m| m.order.is_some_and(by_person));
                let severity = if all_by_person { Severity::Info } else { critical };
                (NoticeKind::RolledBack, severity, if is_proven { "Rolled back and proven" } else { "Rolled back" })
            }
        }
    }

    /// Who asked for the rollback of these numbers, if one person did for all of them.
    fn author(&self, incident: &Incident, numbers: &[NumberId]) -> Option<String> {
        let orders: BTreeSet<Option<DecisionId>> =
            numbers.iter().filter_map(|n| incident.members.get(n)).map(|m| m.order).collect();
        let order = self.rollbacks.get(&(*orders.first()?)?).filter(|_| orders.len() == 1)?;
        match &order.by {
            By::Operator(author) => Some(format!("{} asked for the rollback: {}", author.name, author.reason)),
            By::Detector => None,
        }
    }

    /// Why callers cannot be counted, where the reason says so.
    fn describe_page(&self, notice: &mut Notice, reason: PageReason) {
        notice.cause = notice.reasons.is_empty().then(|| reason.text().to_owned());
        notice.uncounted = match reason {
            PageReason::Failing(_) => None,
            PageReason::Silence => Some("no calls come, and callers who stay away cannot be counted".to_owned()),
            PageReason::Unreached => {
                Some("nearly every one lately; not counted, because a busy line is no failure of the number".to_owned())
            }
            PageReason::Outage => {
                Some("some on each of these numbers; see the samples in Twilio's call log".to_owned())
            }
            PageReason::FewCallers | PageReason::OldHandler => None,
            PageReason::ErrorsBesideService => Some("none is known to have failed".to_owned()),
        };
    }

    /// What was done about which numbers, or why nothing was.
    fn did(&self, at: Time, incident: &Incident) -> Vec<String> {
        let mut did = Vec::new();
        let total = incident.members.len();
        let of_total = |n: usize| {
            if n == total { numbers_text(n) } else { format!("{n} of {}", numbers_text(total)) }
        };
        // What fails a test was swapped all the same.
        let mut on_fallback = incident.on_fallback();
        on_fallback.extend(self.on_failing_fallback(incident));
        if !on_fallback.is_empty() {
            let ids = ids_text(incident, &on_fallback, |m| m.order);
            let swapped = || on_fallback.iter().filter_map(|n| incident.members.get(n)?.swapped);
            // The last of them: by then all were.
            let at = swapped().max().map(|at| Moment::new(at, None).text);
            let last = if on_fallback.len() == 1 { " at" } else { ", the last at" };
            let at = at.map_or_else(String::new, |at| format!("{last} {at}"));
            did.push(format!("{ids}: rolled back {} to the fallback{at}", of_total(on_fallback.len())));
        }
        let failed: Vec<_> = incident.members.iter().filter_map(|(n, m)| Some((n, m.failure.as_ref()?))).collect();
        let (told, more) = failed.split_at(cut_at(failed.len(), FAILURES));
        did.extend(told.iter().map(|(n, (result, detail))| {
            format!("{}: rollback {}: {detail}", self.builder.roster.name(**n), result.label())
        }));
        if !more.is_empty() {
            did.push(format!("the rollback of {} more failed", numbers_text(more.len())));
        }
        for (state, numbers) in by_state(incident) {
            let ids = ids_text(incident, &numbers, |m| m.decision);
            let count = of_total(numbers.len());
            let all: Vec<NumberId> = numbers.iter().copied().collect();
            match state {
                NumberState::Decided => did.push(format!("{ids}: a rollback of {count} is decided")),
                NumberState::Ordered { .. } => {
                    let orders = ids_text(incident, &numbers, |m| m.order);
                    did.push(format!("{orders}: {count} {} being rolled back", is_or_are(numbers.len())));
                }
                NumberState::Reported(reason) if incident.trouble == IncidentKind::Handler => did.push(format!(
                    "{ids}: nothing was written to {count}, because a rule asks a person first ({})",
                    rule_of(incident, &numbers).unwrap_or(reason.text())
                )),
                NumberState::Reported(PageReason::FewCallers) => {
                    did.push(format!("{ids}: nothing was written, because too few different people say so"));
                }
                NumberState::Reported(
                    reason @ (PageReason::Failing(Reason::Fallback) | PageReason::OldHandler),
                ) => {
                    let are = if numbers.len() == 1 { "the number is" } else { "the numbers are" };
                    let fails = if reason == PageReason::OldHandler {
                        "callers fail at the old handler all the same"
                    } else {
                        "it fails"
                    };
                    did.push(format!("{ids}: nothing more was written: {are} on the fallback already, and {fails}"));
                }
                NumberState::Reported(_) => {
                    did.push(format!("{ids}: nothing was written, because a rollback would not cure this"));
                }
                NumberState::Blocked { guard, .. } => {
                    let hold = self.hold(at, &incident.group, incident.channel, &all);
                    did.push(format!(
                        "{ids}: nothing was written to {count}. A rollback would help, but {}",
                        self.because(guard, hold)
                    ));
                }
                NumberState::Asked { guard: Guard::Veto, until } => did.push(format!(
                    "{ids}: nothing is written to {count} yet. The rollback begins at {} unless somebody holds it",
                    Moment::new(until, self.builder.zone(&all)).text
                )),
                NumberState::Asked { guard, until } => did.push(format!(
                    "{ids}: nothing is written to {count}. The rollback needs approval until {}, because {}",
                    Moment::new(until, self.builder.zone(&all)).text,
                    self.because(guard, None)
                )),
                NumberState::Expired { .. } => did.push(format!(
                    "{ids} expired: not approved in time, and nothing was written to {count}. Ringback will ask again if callers keep failing"
                )),
                NumberState::Ended { .. } => {}
            }
        }
        if !incident.resolved_numbers.is_empty() {
            let n = incident.resolved_numbers.len();
            did.push(format!("{} {} out of trouble", numbers_text(n), is_or_are(n)));
        }
        did
    }

    /// What a person should do, the headline's steps first.
    fn next(&self, at: Time, incident: &Incident, needs: &Needs, headline: Headline) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let order = [
            Headline::Unproven,
            Headline::ApprovalNeeded,
            Headline::Blocked,
            Headline::Veto,
            Headline::Expired,
            Headline::Underway,
            Headline::Reported,
            Headline::RolledBack,
        ];
        for what in std::iter::once(headline).chain(order.into_iter().filter(|h| *h != headline)) {
            let numbers = numbers_of(incident, needs, what);
            if numbers.is_empty() {
                continue;
            }
            for step in self.steps(at, incident, needs, what, &numbers) {
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
        }
        steps
    }

    fn steps(&self, at: Time, incident: &Incident, needs: &Needs, what: Headline, numbers: &[NumberId]) -> Vec<Step> {
        let (group, channel) = (&incident.group, incident.channel);
        match what {
            Headline::Unproven => self.after_failure(incident, numbers),
            Headline::Underway => self.builder.by_hand(group, channel, numbers, None),
            Headline::RollingBack => Vec::new(),
            Headline::ApprovalNeeded => {
                let guards: BTreeSet<Guard> = by_state(incident)
                    .into_iter()
                    .filter_map(|(s, _)| if let NumberState::Asked { guard, .. } = s { Some(guard) } else { None })
                    .collect();
                let mut steps: Vec<Step> = guards.into_iter().filter_map(|g| self.builder.remedy(g)).collect();
                if needs.asked.len() <= COMMANDS {
                    steps.extend(needs.asked.iter().map(|id| {
                        let its = incident.members.values().filter(|m| m.decision == Some(*id) && is_asked(&m.state));
                        Step::typing(
                            format!("To roll back {}", numbers_text(its.count())),
                            format!("ringback approve {id} --reason 'seen it'"),
                        )
                    }));
                } else {
                    steps.push(self.builder.roll_back("To roll back all of them", group, channel, numbers));
                }
                steps.push(self.builder.hold_off("To stop it", group, channel, numbers));
                steps
            }
            Headline::Veto => vec![self.builder.hold_off("To stop it", group, channel, numbers)],
            Headline::Blocked => {
                let hold = self.hold(at, group, channel, numbers);
                let guards = needs.guards.iter();
                guards.flat_map(|g| self.builder.unblock(*g, hold, group, channel, numbers)).collect()
            }
            Headline::Expired => {
                vec![self.builder.roll_back("If callers still fail, roll back", group, channel, numbers)]
            }
            Headline::Reported => {
                let Some(reason) = reason_of(incident, numbers) else { return Vec::new() };
                if reason == PageReason::Failing(Reason::Fallback) {
                    return self.builder.repair_fallback(group, channel, numbers);
                }
                let mut steps = vec![self.builder.instead(reason, incident.channel)];
                if incident.trouble == IncidentKind::Handler {
                    steps.push(self.builder.roll_back("To roll back", group, channel, numbers));
                }
                steps
            }
            Headline::RolledBack | Headline::Restore if !self.on_failing_fallback(incident).is_empty() => {
                self.after_failure(incident, &[])
            }
            Headline::RolledBack | Headline::Restore => {
                let decisions = current_decisions(incident);
                let leading = decisions.iter().rev().find_map(|d| d.evidence.reasons.first()).map(|r| r.reason);
                self.builder.after_rollback(leading, group, channel, numbers)
            }
        }
    }

    /// The last notice of an incident: it is over.
    pub(super) fn resolved(&self, at: Time, incident: &Incident, last: &Notice) -> Notice {
        let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
        for cause in incident.resolved_numbers.values() {
            *causes.entry(cause).or_default() += 1;
        }
        let total = incident.resolved_numbers.len();
        let causes: Vec<String> = causes
            .into_iter()
            .map(|(cause, n)| if n == total { cause.to_owned() } else { format!("{}: {cause}", numbers_text(n)) })
            .collect();
        let did = format!("The incident is over: {}", causes.join("; "));
        let numbers: Vec<NumberId> = incident.resolved_numbers.keys().copied().collect();
        let highest = incident.severity.unwrap_or(last.severity);
        // Who was sent its beginning is sent its end.
        let last = Notice { severity: highest, incident_severity: highest, numbers, ..last.clone() };
        let whose = self.builder.name(&incident.group, incident.channel, &last.numbers);
        let title = match incident.trouble {
            IncidentKind::Handler => whose,
            IncidentKind::NotCurable(reason) => format!("{whose}: {}", reason.text()),
        };
        self.builder.over(at, Notice { title, ..last }, &did)
    }
}

fn is_asked(state: &NumberState) -> bool {
    matches!(state, NumberState::Asked { guard, .. } if *guard != Guard::Veto)
}

/// The numbers that a headline is about.
fn numbers_of(incident: &Incident, needs: &Needs, headline: Headline) -> Vec<NumberId> {
    let is_in = |state: &NumberState| match headline {
        Headline::ApprovalNeeded => is_asked(state),
        Headline::Veto => matches!(state, NumberState::Asked { guard: Guard::Veto, .. }),
        Headline::Blocked => matches!(state, NumberState::Blocked { guard, .. } if needs.guards.contains(guard)),
        Headline::Unproven
        | Headline::Expired
        | Headline::Underway
        | Headline::RollingBack
        | Headline::Reported
        | Headline::RolledBack
        | Headline::Restore => false,
    };
    match headline {
        Headline::Unproven => needs.failed.iter().copied().collect(),
        Headline::Expired => needs.expired.iter().copied().collect(),
        Headline::Underway => needs.slow.iter().copied().collect(),
        Headline::RollingBack => needs.under_way.iter().copied().collect(),
        Headline::Reported => needs.reported.iter().copied().collect(),
        Headline::RolledBack | Headline::Restore => needs.on_fallback.iter().copied().collect(),
        Headline::ApprovalNeeded | Headline::Veto | Headline::Blocked => {
            incident.members.iter().filter(|(_, m)| is_in(&m.state)).map(|(n, _)| *n).collect()
        }
    }
}

/// Numbers that stand alike, by what can be said of them together.
fn by_state(incident: &Incident) -> Vec<(NumberState, BTreeSet<NumberId>)> {
    let mut groups: Vec<(NumberState, BTreeSet<NumberId>)> = Vec::new();
    let is_alike = |a: &NumberState, b: &NumberState| match (a, b) {
        (NumberState::Ordered { .. }, NumberState::Ordered { .. })
        | (NumberState::Expired { .. }, NumberState::Expired { .. }) => true,
        (NumberState::Blocked { guard: a, .. }, NumberState::Blocked { guard: b, .. }) => a == b,
        (NumberState::Asked { guard: a, until: s }, NumberState::Asked { guard: b, until: t }) => a == b && s == t,
        (a, b) => a == b,
    };
    for (number, member) in &incident.members {
        match groups.iter_mut().find(|(state, _)| is_alike(state, &member.state)) {
            Some((_, numbers)) => {
                numbers.insert(*number);
            }
            None => groups.push((member.state.clone(), BTreeSet::from([*number]))),
        }
    }
    groups
}

/// The latest decision about each number, without those that later ones have taken over, oldest first.
pub(super) fn current_decisions(incident: &Incident) -> Vec<&Decision> {
    let ids: BTreeSet<DecisionId> = incident.members.values().filter_map(|m| m.decision).collect();
    ids.iter().filter_map(|id| incident.decisions.get(id)).collect()
}

/// The id to look up: of the latest decision about these numbers, or else of the order.
fn latest_id(incident: &Incident, numbers: &[NumberId]) -> Option<DecisionId> {
    let members = || numbers.iter().filter_map(|n| incident.members.get(n));
    members().filter_map(|m| m.decision).max().or_else(|| members().filter_map(|m| m.order).max())
}

/// Every caller fails, by what was last decided of these numbers.
fn serves_nobody(incident: &Incident, numbers: &[NumberId]) -> bool {
    let latest = latest_id(incident, numbers);
    let decisions = current_decisions(incident);
    let evidence = decisions.iter().find(|d| Some(d.id) == latest).map(|d| &d.evidence);
    evidence.is_some_and(|e| e.failing > 0 && e.failing >= e.callers)
}

fn reason_of(incident: &Incident, numbers: &[NumberId]) -> Option<PageReason> {
    numbers.iter().find_map(|n| match incident.members.get(n)?.state {
        NumberState::Reported(reason) => Some(reason),
        NumberState::Decided
        | NumberState::Blocked { .. }
        | NumberState::Asked { .. }
        | NumberState::Expired { .. }
        | NumberState::Ordered { .. }
        | NumberState::Ended { .. } => None,
    })
}

fn rule_of<'a>(incident: &'a Incident, numbers: &BTreeSet<NumberId>) -> Option<&'a str> {
    let id = incident.members.get(numbers.first()?)?.decision?;
    incident.decisions.get(&id).map(|d| d.rule.as_str())
}

/// `D1, D4`, or how many more there are.
fn ids_text(incident: &Incident, numbers: &BTreeSet<NumberId>, id: impl Fn(&Member) -> Option<DecisionId>) -> String {
    let ids: BTreeSet<DecisionId> = numbers.iter().filter_map(|n| id(incident.members.get(n)?)).collect();
    some_of(&ids.into_iter().collect::<Vec<_>>(), IDS, ToString::to_string)
}

pub(super) fn numbers_text(n: usize) -> String {
    amount(n, "number")
}

/// The verb that goes with so many.
pub(super) const fn is_or_are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}
