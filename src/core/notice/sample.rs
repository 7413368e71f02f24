//! One notice of every kind, about the numbers of a roster: to see them before the day.
//!
//! The events are made up; the notices are made of them by the same code as on the day.

use std::time::Duration;

use super::condition::AgentCondition;
use super::incidents::Incidents;
use super::make::NoticeBuilder;
use super::{Notice, NoticeKind, NoticeStatus, Severity};
use crate::detect::ledger::FailedRequest;
use crate::model::code::Code;
use crate::model::decision::{Action, Decision, DecisionId, Mode, PageReason};
use crate::model::guard::Guard;
use crate::model::id::Resource;
use crate::model::id::{CallSid, Channel, GroupName, NumberId};
use crate::model::order::{
    Author, By, CloseReason, FallbackState, Hold, Operation, Order, OrderResult, Scope, ScopeOf,
};
use crate::model::reason::Reason;
use crate::model::time::Time;
use crate::model::verdict::{Evidence, ReasonCount};
use crate::port::news::{PortEntry, PortSeen, PortState};
use crate::port::rejection::Rejection;
use crate::port::status::PortStatus;
use crate::rollback::entry::Entry;
use crate::routing::values::Difference;

/// A made-up decision about all numbers of a group.
fn decision(
    id: u64,
    at: Time,
    action: Action,
    reason: Reason,
    code: u32,
    group: &GroupName,
    numbers: &[NumberId],
) -> Decision {
    let sid = |n: u32| format!("CA{n:032x}").parse::<CallSid>().ok().map(Resource::Call);
    Decision {
        id: DecisionId(id),
        at,
        action,
        channel: Channel::Voice,
        group: group.clone(),
        numbers: numbers.to_vec(),
        rule: "detector: 12 of 14 callers failed; a fault explains this 81 million times better than luck does; 20 thousand times is asked for".to_owned(),
        evidence: Evidence {
            callers: 14,
            failing: 12,
            since: Some(at - Duration::from_secs(95)),
            reasons: vec![ReasonCount { reason, code: Some(Code(code)), callers: 12 }],
            samples: (1..=3).filter_map(sid).collect(),
            failing_numbers: numbers.len() as u32,
            numbers: numbers.len() as u32,
            ..Evidence::default()
        },
    }
}

/// A notice of every kind, as of `now`; empty for a roster without numbers.
pub fn every_kind(builder: &NoticeBuilder, now: Time) -> Vec<Notice> {
    let Some((_, group)) = builder.roster.groups().find(|(_, g)| !g.numbers.is_empty()) else { return Vec::new() };
    let name = group.name.clone();
    let numbers: Vec<NumberId> = group.numbers.iter().take(3).map(|ix| builder.roster.number(*ix).id).collect();
    let channel = Channel::Voice;
    let first = numbers[0];
    let author = || Author { name: "maria".into(), reason: "the app is back".into() };
    let order = |id: u64, operation: Operation, by: By| {
        Entry::Order(Order {
            id: DecisionId(id),
            operation,
            channel,
            group: name.clone(),
            numbers: numbers.clone(),
            by,
            force: false,
            staged: false,
            terms: None,
        })
    };
    let end = |id: u64, number: NumberId, result: OrderResult, detail: &str| Entry::Result {
        decision: DecisionId(id),
        channel,
        number,
        result,
        detail: detail.to_owned(),
    };
    let all = |id: u64, result: OrderResult, detail: &str| -> Vec<Entry> {
        numbers.iter().map(|n| end(id, *n, result, detail)).collect()
    };
    let rollback = |id: u64| {
        let action = Action::Rollback;
        Entry::Decision(decision(id, now, action, Reason::Webhook, 11_200, &name, &numbers))
    };
    let ids =
        |id: u64, guard: Guard| Entry::Refused { decision: DecisionId(id), channel, numbers: numbers.clone(), guard };
    let hold = Entry::Hold(Hold {
        scope: Scope { of: ScopeOf::Group(name.clone()), channel: Some(channel) },
        by: Author { name: "maria".into(), reason: "a deployment is under way".into() },
        until: now + Duration::from_secs(1800),
    });
    let histories: Vec<Vec<Entry>> = vec![
        [vec![rollback(1), order(1, Operation::Rollback, By::Detector)], all(1, OrderResult::Proven, "")].concat(),
        [
            vec![rollback(2), order(2, Operation::Rollback, By::Detector)],
            all(2, OrderResult::Unproven, "a trunk answers"),
        ]
        .concat(),
        vec![hold, rollback(3), ids(3, Guard::Hold)],
        vec![
            rollback(4),
            Entry::Asked {
                decision: DecisionId(4),
                channel,
                numbers: numbers.clone(),
                guard: Guard::Cap,
                until: now + Duration::from_secs(600),
            },
            Entry::Closed { decision: DecisionId(4), channel, numbers: numbers.clone(), why: CloseReason::TimedOut },
        ],
        vec![
            rollback(10),
            ids(10, Guard::Storm),
            Entry::Closed { decision: DecisionId(10), channel, numbers: numbers.clone(), why: CloseReason::Recovered },
        ],
        vec![Entry::Decision(decision(
            5,
            now,
            Action::Page { reason: PageReason::Failing(Reason::Account) },
            Reason::Account,
            10_001,
            &name,
            &numbers,
        ))],
        [vec![order(6, Operation::Restore, By::Operator(author()))], all(6, OrderResult::Restored, "")].concat(),
        [vec![order(7, Operation::Restore, By::Operator(author()))], all(7, OrderResult::Failed, "HTTP 500")].concat(),
        vec![Entry::Fallback {
            group: name.clone(),
            channel,
            url: String::new(),
            state: FallbackState::Broken,
            broken_for: Vec::new(),
            detail: "it answers HTTP 404".to_owned(),
        }],
        vec![Entry::Drift {
            number: first,
            channel,
            differences: Vec::<Difference>::new(),
            actor: Some("a user of the Console".into()),
        }],
        [
            vec![order(11, Operation::Apply, By::Operator(author()))],
            numbers.iter().map(|n| Entry::Written { decision: DecisionId(11), channel, number: *n }).collect(),
            all(11, OrderResult::Written, "VoiceUrl https://old.example.com/voice → https://app.example.com/voice"),
        ]
        .concat(),
        vec![Entry::Port(PortEntry::Status {
            group: name.clone(),
            numbers: numbers.clone(),
            state: PortState { rejection: Some(Rejection::Pin), ..PortState::of(PortStatus::Rejected) },
        })],
        vec![Entry::Port(PortEntry::Eve {
            group: name.clone(),
            due: now + Duration::from_secs(22 * 3600),
            waiting: numbers.clone(),
            against: vec!["the fallback of voice was not looked at yet".into()],
        })],
        vec![Entry::Port(PortEntry::Passive {
            group: name.clone(),
            channel,
            seen: PortSeen { passive: numbers.len() as u32, served: 212, failed: 3, ..PortSeen::default() },
        })],
    ];
    let mut notices = Vec::new();
    for history in histories {
        let mut incidents = Incidents::new(builder.clone(), Mode::Auto);
        let mut at = now;
        for entry in history {
            notices.extend(incidents.fold(at, &entry));
            at = at + Duration::from_secs(1);
        }
        notices.extend(incidents.tick(at + Duration::from_secs(150)));
    }
    let mut incidents = Incidents::new(builder.clone(), Mode::Auto);
    for entry in [rollback(8), order(8, Operation::Rollback, By::Detector)] {
        incidents.fold(now, &entry);
    }
    notices.extend(incidents.tick(now + Duration::from_secs(60)));
    if let Entry::Order(order) = order(9, Operation::Restore, By::Operator(author())) {
        notices.push(incidents.unverified(now, &order));
    }
    // One of each is enough to look at; each stands for an incident of its own.
    let mut seen = Vec::new();
    notices.retain(|n: &Notice| {
        let is_new = !seen.contains(&(n.kind, n.status));
        seen.push((n.kind, n.status));
        is_new
    });
    let failed = FailedRequest {
        url: "https://app.example.com/voice".into(),
        is_fallback: false,
        http_status: Some(500),
        code: Code(11200),
        at: now - Duration::from_secs(3),
    };
    for notice in &mut notices {
        if notice.reasons.iter().any(|r| r.code == Some(failed.code.0)) && notice.status == NoticeStatus::Firing {
            notice.handlers.push(builder.failed_handler(&notice.numbers, &failed));
        }
        notice.key = format!("{}/{}", notice.key, notice.kind.label());
    }
    let conditions = [
        AgentCondition::Blind {
            channels: vec![channel],
            sources: vec!["calls", "alerts"],
            why: "Twilio does not accept the credentials (HTTP 401, code 20003)".to_owned(),
            unread: Vec::new(),
        },
        AgentCondition::RowsNotUnderstood {
            source: "calls",
            example: "to: is the end of one of our numbers, without its beginning".to_owned(),
        },
        AgentCondition::NoCalls { missed: Some(48) },
        AgentCondition::StoreUnwritable { problem: "the disk is full".to_owned(), cure: "free some space".to_owned() },
        AgentCondition::LeaseLost,
        AgentCondition::StateTaken {
            problem: "ringback.db was removed or moved while it was open".to_owned(),
            cure: "put it back and start the agent again".to_owned(),
        },
        AgentCondition::StateRestored { problem: "the journal ends at record 40 and once had 51".to_owned() },
        AgentCondition::UnknownRollback {
            channel,
            numbers: builder.roster.numbers().map(|(_, n)| n.id).take(2).collect(),
        },
        AgentCondition::NotifierFailing { name: "ops".to_owned(), problem: "HTTP 503".to_owned() },
    ];
    notices.extend(conditions.iter().map(|c| builder.condition(now, now, c, NoticeStatus::Firing)));
    notices.push(builder.summary(now, "ops", &[(Severity::Warning, "one of them".to_owned())], 0));
    notices.push(builder.test(now, "ops"));
    notices.sort_by_key(|n| NoticeKind::ALL.iter().position(|k| *k == n.kind));
    notices
}
