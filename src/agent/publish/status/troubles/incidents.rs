//! Troubles that people are told of, as they stand now.

use std::collections::BTreeMap;

use super::View;
use crate::agent::publish::status::RollbackStatus;
use crate::agent::publish::trouble::{FailedOf, HandlerSeen, HeldBy, Trouble, TroubleKind, Wait, WaitsFor};
use crate::core::detect::observation::ProbeResult;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::{By, Hold, LandedOn, Operation};
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::core::notice::incidents::{Headline, StandingIncident};
use crate::core::notice::{Notice, NoticeKind, Severity, Step};

/// Handlers that are named.
const HANDLERS: usize = 3;

pub(super) fn troubles(view: &View<'_>) -> Vec<Trouble> {
    let standing = view.known.incidents.standing(view.now);
    let mut troubles: Vec<Trouble> = standing.incidents.into_iter().map(|i| incident(view, i)).collect();
    let sized = |kind: TroubleKind, notice: Notice| {
        let mut trouble = Trouble::of_notice(kind, notice);
        if let (Some(group), Some(channel)) = (&trouble.group, trouble.channel) {
            trouble.of_numbers = view.group_size(group, channel);
        }
        trouble
    };
    for notice in standing.drifts {
        let name = notice.numbers.first().map(|n| view.roster().name(*n).to_string()).unwrap_or_default();
        let mut trouble = sized(TroubleKind::Drift, Notice { severity: Severity::Warning, ..notice });
        if let Some(channel) = trouble.channel {
            trouble.next.insert(
                0,
                Step::typing(
                    "If what it has now is right",
                    format!("ringback adopt {name} --channel {channel} --reason 'it is right'"),
                ),
            );
        }
        troubles.push(trouble);
    }
    for (on, notice) in standing.landed {
        let kind = match on {
            LandedOn::Fallback => TroubleKind::RolledBack,
            LandedOn::OwnHandler | LandedOn::EarlierHandler => TroubleKind::Unproven,
        };
        troubles.push(sized(kind, notice));
    }
    troubles.extend(standing.fallbacks.into_iter().map(|n| sized(TroubleKind::FallbackBroken, n)));
    troubles.extend(standing.ports.into_iter().map(|n| sized(TroubleKind::Port, n)));
    for notice in standing.conditions {
        let kind = if notice.kind == NoticeKind::RowsNotUnderstood {
            TroubleKind::RowsNotUnderstood
        } else if notice.kind == NoticeKind::NoCalls {
            TroubleKind::Silent
        } else {
            TroubleKind::State
        };
        troubles.push(sized(kind, notice));
    }
    for order in view.orders.unverified(view.now) {
        let mut trouble = sized(TroubleKind::RestoreWaits, view.known.incidents.unverified(view.now, &order.order));
        // An incident of the group has the key already.
        trouble.key = format!("{}/unverified", order.order.id);
        trouble.since = Some(view.moment(order.at, &order.order.numbers));
        trouble.waits = vec![Wait { whom: WaitsFor::Approval, until: None }];
        troubles.push(trouble);
    }
    troubles.extend(under_way(view));
    troubles
}

fn incident(view: &View<'_>, standing: StandingIncident) -> Trouble {
    let StandingIncident { notice, headline, is_curable, tests, is_proven, holds, until } = standing;
    let kind = match headline {
        Headline::Unproven => TroubleKind::Unproven,
        Headline::ApprovalNeeded => TroubleKind::ApprovalNeeded,
        Headline::Blocked => TroubleKind::Blocked,
        Headline::Veto => TroubleKind::Veto,
        Headline::Expired => TroubleKind::Expired,
        Headline::Underway | Headline::RollingBack => TroubleKind::RollingBack,
        Headline::Reported if is_curable => TroubleKind::Failing,
        Headline::Reported => TroubleKind::NotCurable,
        Headline::RolledBack | Headline::Restore => TroubleKind::RolledBack,
    };
    let mut trouble = Trouble::of_notice(kind, notice);
    trouble.tests = FailedOf::some(tests.0, tests.1);
    trouble.is_proven = is_proven;
    trouble.holds = holds.iter().map(|h| held_by(view, h)).collect();
    trouble.waits = match headline {
        Headline::ApprovalNeeded => vec![Wait { whom: WaitsFor::Approval, until }],
        Headline::Veto => vec![Wait { whom: WaitsFor::Veto, until }],
        Headline::Blocked if !holds.is_empty() => {
            vec![Wait { whom: WaitsFor::HoldEnd, until: holds.iter().map(|h| h.until).max() }]
        }
        Headline::Unproven
        | Headline::Blocked
        | Headline::Expired
        | Headline::Underway
        | Headline::RollingBack
        | Headline::Reported
        | Headline::RolledBack
        | Headline::Restore => Vec::new(),
    };
    let Some((group, channel)) = trouble.group.clone().zip(trouble.channel) else { return trouble };
    trouble.of_numbers = view.group_size(&group, channel);
    trouble.callers_now = callers_now(view, &trouble, channel);
    let since = trouble.since.as_ref().map(|m| m.at);
    trouble.tests = trouble.tests.or_else(|| latest_tests(view, &trouble.numbers, channel, since));
    trouble.handlers = handlers(view, &trouble.numbers, channel, since);
    let unproven: Vec<NumberId> =
        trouble.numbers.iter().copied().filter(|n| !(view.known.can_prove)(*n, channel)).collect();
    if is_proven == Some(false) && headline == Headline::RolledBack {
        let text = if unproven.len() == trouble.numbers.len() {
            "no test call is configured that would prove it ([group.probe] from)"
        } else {
            "a test call that would prove it is made, or made again in a few minutes"
        };
        trouble.proof.push(text.to_owned());
    }
    trouble
}

/// What the numbers' own verdicts count by now, where that is more than was acted on. The callers of several numbers
/// are added up: who has called two of them counts twice.
fn callers_now(view: &View<'_>, trouble: &Trouble, channel: Channel) -> Option<FailedOf> {
    let before = trouble.callers?;
    let of_numbers = trouble.numbers.iter().filter_map(|n| view.roster().find(*n));
    let states = of_numbers.map(|ix| view.engine.channel(ix, channel));
    let failing = states.filter(|c| matches!(c.verdict, Verdict::Failing | Verdict::Suspect));
    let (failing, of) =
        failing.fold((0, 0), |(f, of), c| (f + c.evidence.failing, of + c.evidence.callers.max(c.evidence.failing)));
    FailedOf::some(failing, of).filter(|now| now.failing > before.failing)
}

/// What the numbers' latest test calls since then showed, where the evidence has none.
fn latest_tests(view: &View<'_>, numbers: &[NumberId], channel: Channel, since: Option<Time>) -> Option<FailedOf> {
    let of_numbers = numbers.iter().filter_map(|n| view.roster().find(*n));
    let latest = of_numbers.filter_map(|ix| view.engine.channel(ix, channel).last_probe);
    let (mut failing, mut of) = (0, 0);
    for probe in latest.filter(|p| since.is_none_or(|since| p.started_at >= since)) {
        match probe.result {
            ProbeResult::Success => of += 1,
            ProbeResult::Failure(_) => (failing, of) = (failing + 1, of + 1),
            // It says nothing of the number.
            ProbeResult::Error => {}
        }
    }
    FailedOf::some(failing, of)
}

pub(super) fn held_by(view: &View<'_>, hold: &Hold) -> HeldBy {
    HeldBy {
        scope: hold.scope.text(view.roster()),
        author: hold.by.name.clone(),
        reason: hold.by.reason.clone(),
        until: hold.until,
        of: Some(hold.scope.clone()),
    }
}

/// The webhooks of these numbers that failed since then, or who answers them where no alert names one.
pub(super) fn handlers(
    view: &View<'_>,
    numbers: &[NumberId],
    channel: Channel,
    since: Option<Time>,
) -> Vec<HandlerSeen> {
    let failed = view.engine.failed_requests(numbers, channel, since);
    let failed = failed.into_iter().map(|(failed, numbers)| HandlerSeen {
        handler: failed.url.to_string(),
        is_fallback: failed.is_fallback,
        http_status: failed.http_status,
        code: Some(failed.code.0),
        failed_at: Some(failed.at),
        numbers,
    });
    let mut seen: Vec<HandlerSeen> = failed.take(HANDLERS).collect();
    if seen.is_empty() {
        let mut of: BTreeMap<String, usize> = BTreeMap::new();
        let ours = numbers.iter().filter_map(|n| view.roster().find(*n));
        for handler in ours.filter_map(|ix| view.engine.handler(ix, channel)) {
            *of.entry(handler.to_string()).or_default() += 1;
        }
        let answers = |(handler, numbers)| HandlerSeen {
            handler,
            is_fallback: false,
            http_status: None,
            code: None,
            failed_at: None,
            numbers,
        };
        seen.extend(of.into_iter().map(answers));
        seen.sort_by_key(|h| std::cmp::Reverse(h.numbers));
    }
    seen.truncate(HANDLERS);
    seen
}

/// Restores, applies and their undoing that have not ended, but for restores that wait for a person.
fn under_way(view: &View<'_>) -> Vec<Trouble> {
    let waiting: Vec<_> = view.orders.unverified(view.now).map(|p| p.order.id).collect();
    let is_it = |operation: Operation| operation != Operation::Rollback;
    let open = view.orders.open_orders().filter(|p| is_it(p.order.operation) && !waiting.contains(&p.order.id));
    open.map(|p| {
        let order = &p.order;
        let whose = view.known.incidents.builder().name(&order.group, order.channel, &order.numbers);
        let what = match order.operation {
            Operation::Rollback => "Being rolled back",
            Operation::Restore => "Being restored",
            Operation::Apply => "Being applied",
            Operation::Undo => "An apply is being undone",
        };
        let key = format!("{}/under_way", order.id);
        let mut trouble = Trouble::blank(TroubleKind::UnderWay, Severity::Info, key, format!("{what}: {whose}"));
        trouble.group = Some(order.group.clone());
        trouble.channel = Some(order.channel);
        trouble.numbers.clone_from(&order.numbers);
        trouble.of_numbers = view.group_size(&order.group, order.channel);
        trouble.decision = Some(order.id);
        trouble.since = Some(view.moment(p.at, &order.numbers));
        if let By::Operator(author) = &order.by {
            trouble.cause = Some(format!("{} asked for it: {}", author.name, author.reason));
        }
        let (ended, later) = (p.ended.len(), p.later().count());
        trouble.done.push(format!("{}: {ended} of {} numbers have ended", order.id, order.numbers.len()));
        if later > 0 {
            trouble.done.push(format!(
                "{later} stay on the fallback until three callers or test calls of those before them were served"
            ));
            trouble.waits.push(Wait { whom: WaitsFor::Callers, until: None });
        }
        trouble.next.push(Step::typing("See what became of each number", format!("ringback explain {}", order.id)));
        trouble
    })
    .collect()
}

/// True if the number's rollback, or the restore after it, is not known to serve callers.
pub(super) const fn is_unproven(rollback: RollbackStatus) -> bool {
    matches!(rollback, RollbackStatus::Unproven { .. })
}
