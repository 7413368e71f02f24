//! What the numbers show to be wrong and no incident tells of, or not yet: nothing that is wrong goes unsaid.

use std::collections::{BTreeMap, HashSet};

use super::View;
use super::incidents::{handlers, is_unproven};
use crate::agent::publish::status::{ChannelStatus, GroupStatus, NumberStatus, RollbackStatus};
use crate::agent::publish::trouble::{FailedOf, Trouble, TroubleKind};
use crate::core::model::decision::{PageReason, Phase};
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::FallbackState;
use crate::core::model::reason::Reason;
use crate::core::model::time::Time;
use crate::core::model::verdict::{Evidence, Verdict};
use crate::core::notice::advice::meaning;
use crate::core::notice::{NoticeReason, Severity, Step};
use crate::core::routing::history::RoutingState;

/// What numbers of one group have in common that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Unproven,
    OnFallback,
    Verdict(Verdict),
    Routing(RoutingState),
    /// Not in the account, and waiting for its port or not.
    Missing {
        is_waiting: bool,
    },
}

pub(super) fn troubles(view: &View<'_>, told: &[Trouble]) -> Vec<Trouble> {
    let mut covered: HashSet<(NumberId, Channel)> = HashSet::new();
    let mut unproven: HashSet<(NumberId, Channel)> = HashSet::new();
    // What is said of all numbers together is said of none of them alone, but that they are silent.
    let is_still = told.iter().any(|t| t.kind == TroubleKind::Silent && t.group.is_none());
    for trouble in told.iter().filter(|t| is_of_callers(t.kind) && t.group.is_some()) {
        let Some(channel) = trouble.channel else { continue };
        covered.extend(trouble.numbers.iter().map(|n| (*n, channel)));
        if trouble.kind == TroubleKind::Unproven {
            unproven.extend(trouble.numbers.iter().map(|n| (*n, channel)));
        }
    }
    let mut troubles = Vec::new();
    for group in &view.status.groups {
        for channel in Channel::ALL {
            let mut wrong: BTreeMap<Wrong, Vec<(NumberId, &ChannelStatus)>> = BTreeMap::new();
            for (number, c) in of_channel(group, channel) {
                let (id, is_told) = (number.id(), covered.contains(&(number.id(), channel)));
                let is_said_unproven = unproven.contains(&(id, channel));
                for what in wrongs(number, c, is_told, is_said_unproven) {
                    wrong.entry(what).or_default().push((id, c));
                }
            }
            let blind = view.status.blindness.iter().any(|b| b.channel == channel && !b.cannot_read.is_empty());
            // That is said once for the whole channel.
            wrong.retain(|what, _| !blind || *what != Wrong::Routing(RoutingState::Unread));
            wrong.retain(|what, _| !is_still || *what != Wrong::Verdict(Verdict::Silent));
            troubles.extend(wrong.into_iter().map(|(what, numbers)| one(view, &group.group, channel, what, &numbers)));
            let of_group = of_group(view, group, channel, &covered, &troubles);
            troubles.extend(of_group.filter(|t| !is_still || t.kind != TroubleKind::Silent));
            troubles.extend(unchecked(view, group, channel));
        }
    }
    troubles
}

/// Troubles in which callers, or what was done for them, are already told of.
const fn is_of_callers(kind: TroubleKind) -> bool {
    match kind {
        TroubleKind::Unproven
        | TroubleKind::ApprovalNeeded
        | TroubleKind::Blocked
        | TroubleKind::Veto
        | TroubleKind::Expired
        | TroubleKind::Failing
        | TroubleKind::NotCurable
        | TroubleKind::RollingBack
        | TroubleKind::RolledBack
        | TroubleKind::Silent => true,
        TroubleKind::Blind
        | TroubleKind::State
        | TroubleKind::Unserved
        | TroubleKind::FallbackBroken
        | TroubleKind::RestoreWaits
        | TroubleKind::Suspect
        | TroubleKind::Missing
        | TroubleKind::Drift
        | TroubleKind::Port
        | TroubleKind::FallbackUnchecked
        | TroubleKind::RowsNotUnderstood
        | TroubleKind::NotifierFailing
        | TroubleKind::UnderWay
        | TroubleKind::Held => false,
    }
}

fn of_channel(group: &GroupStatus, channel: Channel) -> impl Iterator<Item = (&NumberStatus, &ChannelStatus)> {
    let one = move |n| {
        let of: &NumberStatus = n;
        of.channels.iter().find(|c| c.channel == channel).map(|c| (of, c))
    };
    group.numbers.iter().filter_map(one)
}

fn wrongs(number: &NumberStatus, c: &ChannelStatus, is_told: bool, is_said_unproven: bool) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if is_unproven(c.rollback) && !is_said_unproven {
        wrong.push(Wrong::Unproven);
    } else if matches!(c.rollback, RollbackStatus::Done { .. }) && !is_told {
        wrong.push(Wrong::OnFallback);
    }
    match c.verdict {
        Verdict::Failing | Verdict::Silent | Verdict::Suspect if !is_told => wrong.push(Wrong::Verdict(c.verdict)),
        Verdict::Failing
        | Verdict::Silent
        | Verdict::Suspect
        | Verdict::Unknown
        | Verdict::Healthy
        | Verdict::Blind => {}
    }
    match c.routing {
        RoutingState::Handled => {}
        RoutingState::NotInAccount => wrong.push(Wrong::Missing { is_waiting: c.phase == Phase::Waiting }),
        // What Twilio has not shown yet is not known.
        RoutingState::Unread if !number.is_in_account && c.phase == Phase::Waiting => {}
        state @ (RoutingState::Unread
        | RoutingState::Nobody
        | RoutingState::Gone
        | RoutingState::Demo
        | RoutingState::Lacking
        | RoutingState::Fax
        | RoutingState::Elsewhere) => wrong.push(Wrong::Routing(state)),
    }
    wrong
}

fn one(
    view: &View<'_>,
    group: &GroupName,
    channel: Channel,
    what: Wrong,
    of: &[(NumberId, &ChannelStatus)],
) -> Trouble {
    let numbers: Vec<NumberId> = of.iter().map(|(n, _)| *n).collect();
    let builder = view.known.incidents.builder();
    let whose = builder.name(group, channel, &numbers);
    let blank = |kind: TroubleKind, severity: Severity, cause: &str, title: String| Trouble {
        group: Some(group.clone()),
        channel: Some(channel),
        numbers: numbers.clone(),
        of_numbers: view.group_size(group, channel),
        handlers: handlers(view, &numbers, channel, None),
        ..Trouble::blank(kind, severity, format!("{group}/{channel}/now/{cause}"), title)
    };
    let roll_back = |text: &str| builder.roll_back(text, group, channel, &numbers);
    match what {
        Wrong::Unproven => {
            let title = format!("Not known whether anybody answers: {whose}");
            let mut t = blank(TroubleKind::Unproven, Severity::Critical, "unproven", title);
            t.done.push("what was written last is not known to be in effect".to_owned());
            t.is_proven = Some(false);
            t.proof.push("NO: nobody knows who answers these numbers now".to_owned());
            t.next = builder.by_hand(group, channel, &numbers, None);
            dated(view, t, of, |c| match c.rollback {
                RollbackStatus::Done { since } | RollbackStatus::Unproven { since } => Some(since),
                RollbackStatus::None | RollbackStatus::Pending => None,
            })
        }
        Wrong::OnFallback => {
            let mut t =
                blank(TroubleKind::RolledBack, Severity::Warning, "on_fallback", format!("On the fallback: {whose}"));
            t.done.push("rolled back to the fallback".to_owned());
            let is_proven = of.iter().all(|(_, c)| c.rollback_state == "proven");
            t.is_proven = Some(is_proven);
            let proof = if is_proven { "yes: the fallback answered a test" } else { "no: no test has heard it" };
            t.proof.push(proof.to_owned());
            t.next = builder.after_rollback(None, group, channel, &numbers);
            dated(view, t, of, |c| match c.rollback {
                RollbackStatus::Done { since } | RollbackStatus::Unproven { since } => Some(since),
                RollbackStatus::None | RollbackStatus::Pending => None,
            })
        }
        Wrong::Verdict(verdict) => {
            let evidence: Vec<&Evidence> = of.iter().map(|(_, c)| &c.evidence).collect();
            let fail = evidence.first().map(|e| e.counted).unwrap_or_default().words(channel).fail;
            let (kind, severity, title, done) = match verdict {
                Verdict::Failing => (
                    TroubleKind::Failing,
                    Severity::Critical,
                    format!("{fail}: {whose}"),
                    "nothing yet: no decision stands about it",
                ),
                Verdict::Silent => (
                    TroubleKind::Silent,
                    Severity::Warning,
                    format!("Calls that should come do not come: {whose}"),
                    "nothing: a rollback cannot help calls that do not reach Twilio",
                ),
                Verdict::Suspect | Verdict::Unknown | Verdict::Healthy | Verdict::Blind => (
                    TroubleKind::Suspect,
                    Severity::Warning,
                    format!("Suspect: {whose}"),
                    "nothing: too few have failed to act on it",
                ),
            };
            let mut t = weighed(blank(kind, severity, verdict.label(), title), &evidence);
            let incurable = leading_reason(&evidence).filter(|r| !r.is_curable() && verdict != Verdict::Silent);
            t.done.push(incurable.map_or(done, |_| "nothing: a rollback would not cure this").to_owned());
            let call = match channel {
                Channel::Voice => "Call one of the numbers. If nobody serves you, roll back",
                Channel::Messaging => "Text one of the numbers. If nothing answers, roll back",
            };
            t.next.push(match (verdict, incurable) {
                (Verdict::Silent, _) => builder.instead(PageReason::Silence, channel),
                (_, Some(reason)) => builder.instead(PageReason::Failing(reason), channel),
                (_, None) => roll_back(call),
            });
            dated(view, t, of, |c| c.evidence.since)
        }
        Wrong::Routing(state) => {
            let is_waiting = of.iter().all(|(_, c)| c.phase == Phase::Waiting);
            let severity = if is_waiting { Severity::Warning } else { Severity::Critical };
            let title = match state {
                RoutingState::Unread => format!("Not known who answers: {whose}"),
                RoutingState::Demo => format!("Twilio's demo answers: {whose}"),
                RoutingState::Fax => format!("A fax machine answers: {whose}"),
                RoutingState::Elsewhere => format!("Another region answers, unseen: {whose}"),
                RoutingState::Lacking => format!("Twilio does not have the channel: {whose}"),
                RoutingState::Handled | RoutingState::NotInAccount | RoutingState::Nobody | RoutingState::Gone => {
                    format!("Nobody answers: {whose}")
                }
            };
            let mut t = blank(TroubleKind::Unserved, severity, state.label(), title);
            t.cause = state.trouble().map(str::to_owned);
            t.done.push("nothing: Ringback reports who answers, and changes it when callers fail".to_owned());
            t.next.push(Step::typing("See how it should be set", "ringback check"));
            t
        }
        Wrong::Missing { is_waiting } => {
            let severity = if is_waiting { Severity::Info } else { Severity::Warning };
            let (title, cause) = if is_waiting {
                (format!("Not in the account yet: {whose}"), "they wait for their port")
            } else {
                (format!("Not in the Twilio account: {whose}"), "the account does not list them")
            };
            let key = if is_waiting { "not_yet" } else { "missing" };
            let mut t = blank(TroubleKind::Missing, severity, key, title);
            t.cause = Some(cause.to_owned());
            t.done.push("nothing: what is not in the account can be neither watched nor written".to_owned());
            let text = if is_waiting {
                "See how far each port is"
            } else {
                "Find out in Twilio's Console which account has them; if they are ported, see how far"
            };
            t.next.push(Step::typing(text, "ringback ports"));
            t
        }
    }
}

/// What most of the callers who failed met.
fn leading_reason(evidence: &[&Evidence]) -> Option<Reason> {
    let mut callers: BTreeMap<Reason, u32> = BTreeMap::new();
    for counted in evidence.iter().flat_map(|e| &e.reasons) {
        *callers.entry(counted.reason).or_default() += counted.callers;
    }
    callers.into_iter().max_by_key(|(_, callers)| *callers).map(|(reason, _)| reason)
}

/// The first instant that the numbers say.
fn dated(
    view: &View<'_>,
    trouble: Trouble,
    of: &[(NumberId, &ChannelStatus)],
    at: impl Fn(&ChannelStatus) -> Option<Time>,
) -> Trouble {
    let since = of.iter().filter_map(|(_, c)| at(c)).min();
    Trouble { since: since.map(|at| view.moment(at, &trouble.numbers)), ..trouble }
}

/// With what the evidence counts. Callers of several numbers are added up.
fn weighed(mut trouble: Trouble, evidence: &[&Evidence]) -> Trouble {
    let sum = |of: fn(&Evidence) -> u32| evidence.iter().map(|e| of(e)).sum::<u32>();
    trouble.callers = FailedOf::some(sum(|e| e.failing), sum(|e| e.callers.max(e.failing)));
    trouble.tests = FailedOf::some(sum(|e| e.failing_probes), sum(|e| e.probes));
    trouble.counted = evidence.first().map(|e| e.counted).unwrap_or_default();
    let mut reasons: Vec<NoticeReason> = Vec::new();
    for counted in evidence.iter().flat_map(|e| &e.reasons) {
        let code = counted.code.map(|c| c.0);
        match reasons.iter_mut().find(|r| r.reason == counted.reason.label() && r.code == code) {
            Some(same) => same.callers += counted.callers,
            None => reasons.push(NoticeReason {
                callers: counted.callers,
                reason: counted.reason.label().to_owned(),
                text: counted.reason.text().to_owned(),
                code,
                meaning: counted.code.map(|c| meaning(c).to_owned()),
            }),
        }
    }
    reasons.sort_by_key(|r| std::cmp::Reverse(r.callers));
    reasons.truncate(3);
    trouble.reasons = reasons;
    trouble
}

/// The group as a whole is in trouble, and none of its numbers by itself.
fn of_group(
    view: &View<'_>,
    group: &GroupStatus,
    channel: Channel,
    covered: &HashSet<(NumberId, Channel)>,
    found: &[Trouble],
) -> Option<Trouble> {
    let c = group.channels.iter().find(|c| c.channel == channel)?;
    let (kind, severity, what) = match c.verdict {
        Verdict::Failing => (TroubleKind::Failing, Severity::Critical, "Callers fail across the group"),
        Verdict::Silent => (TroubleKind::Silent, Severity::Warning, "The group is silent"),
        Verdict::Suspect => (TroubleKind::Suspect, Severity::Warning, "The group is suspect"),
        Verdict::Unknown | Verdict::Healthy | Verdict::Blind => return None,
    };
    let numbers: Vec<NumberId> = of_channel(group, channel).map(|(n, _)| n.id()).collect();
    let is_said = numbers.iter().any(|n| covered.contains(&(*n, channel)))
        || found.iter().any(|t| {
            t.group.as_ref() == Some(&group.group)
                && t.channel == Some(channel)
                && t.kind <= kind
                && t.tests_or_callers()
        });
    if is_said {
        return None;
    }
    let builder = view.known.incidents.builder();
    let key = format!("{}/{channel}/now/group", group.group);
    let title = format!("{what}: {}", builder.name(&group.group, channel, &numbers));
    let mut t = weighed(Trouble::blank(kind, severity, key, title), &[&c.evidence]);
    t.group = Some(group.group.clone());
    t.channel = Some(channel);
    t.of_numbers = numbers.len();
    t.since = c.evidence.since.map(|at| view.moment(at, &numbers));
    t.handlers = handlers(view, &numbers, channel, c.evidence.since);
    t.done.push("nothing: no decision stands about it".to_owned());
    t.next.push(if kind == TroubleKind::Silent {
        builder.instead(PageReason::Silence, channel)
    } else {
        builder.roll_back("If callers are not served, roll back", &group.group, channel, &numbers)
    });
    t.numbers = numbers;
    Some(t)
}

impl Trouble {
    /// True if it rests on what callers or tests met.
    const fn tests_or_callers(&self) -> bool {
        self.callers.is_some() || self.tests.is_some()
    }
}

/// A fallback of which is not known whether it would serve.
fn unchecked(view: &View<'_>, group: &GroupStatus, channel: Channel) -> Option<Trouble> {
    let c = group.channels.iter().find(|c| c.channel == channel)?;
    let found = c.fallback.as_ref().filter(|f| f.state == FallbackState::Unchecked && f.broken_for.is_empty())?;
    let key = format!("fallback/{}/{channel}/unchecked", group.group);
    let title = format!("Not known whether the fallback would serve: {} {channel}", group.group);
    let mut t = Trouble::blank(TroubleKind::FallbackUnchecked, Severity::Warning, key, title);
    t.group = Some(group.group.clone());
    t.channel = Some(channel);
    t.of_numbers = view.group_size(&group.group, channel);
    t.cause = Some(found.detail.clone());
    t.done.push("rollbacks go there all the same: it is not known to be broken".to_owned());
    t.next.push(Step::typing("See what would have to be true of it", "ringback check"));
    Some(t)
}
