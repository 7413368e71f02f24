//! What the agent says of itself: published after every change, read by the API and the demo.

mod awaited;
mod last_probe;
mod summary;
pub mod troubles;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::trouble::Trouble;
use crate::agent::deliver::board::FailingNotifier;
use crate::core::detect::engine::Engine;
use crate::core::model::decision::{Decision, DecisionId, Mode, Phase};
use crate::core::model::foreign::Line;
use crate::core::model::guard::Guard;
use crate::core::model::id::{AccountSid, Channel, E164, GroupName, NumberId};
use crate::core::model::order::{FallbackState, Hold, Order, OrderResult};
use crate::core::model::roster::{Group, NumberIx};
use crate::core::model::source::{Source, needed, routing};
use crate::core::model::time::Time;
use crate::core::model::verdict::{Evidence, Verdict};
use crate::core::notice::incidents::Incidents;
use crate::core::port::ports::Ports;
use crate::core::port::report::countdown;
use crate::core::port::sight::ApiSight;
use crate::core::port::status::PortStatus;
use crate::core::rollback::fallbacks::FallbackFound;
use crate::core::rollback::orders::{OrderState, Orders, PendingRollback};
use crate::core::routing::history::RoutingState;
use crate::core::routing::record::Handler;

pub use last_probe::LastProbe;
pub use summary::Summary;

/// Orders kept for the status.
const ORDERS: usize = 50;

/// The state of everything at one instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Status {
    #[schema(value_type = String)]
    pub at: Time,
    #[schema(value_type = String)]
    pub mode: Mode,
    pub sources: Vec<SourceStatus>,
    /// Of each channel that is watched.
    pub blindness: Vec<Blindness>,
    /// What came of the latest look at the Porting API.
    #[schema(value_type = Object)]
    pub ports: ApiSight,
    pub groups: Vec<GroupStatus>,
    /// The latest decisions, newest first.
    #[schema(value_type = Vec<Object>)]
    pub decisions: Vec<Arc<Decision>>,
    /// Rollbacks that the evidence asks for and that are not made, or not yet.
    pub waiting: Vec<Waiting>,
    /// The latest orders, newest first.
    pub orders: Vec<OrderStatus>,
    /// Holds in force.
    #[schema(value_type = Vec<Object>)]
    pub holds: Vec<Hold>,
    /// Notifiers that do not deliver.
    pub notifiers: Vec<FailingNotifier>,
    pub summary: Summary,
    /// What is wrong, worst first.
    pub troubles: Vec<Trouble>,
}

/// What the status is made of, beside the engine and the orders.
#[derive(Clone, Copy)]
pub struct Knowledge<'a> {
    pub ports: &'a Ports,
    /// What came of the latest look at the Porting API.
    pub sight: &'a ApiSight,
    pub incidents: &'a Incidents,
    /// Why each source could not be read, by [`Source::index`], if it could not.
    pub failures: &'a [Option<ReadFailure>; Source::ALL.len()],
    /// Notifiers that do not deliver.
    pub notifiers: &'a [FailingNotifier],
    /// None of those that there are delivers.
    pub is_nobody_told: bool,
    /// Whether a test call or message can be made to a number.
    pub can_prove: &'a dyn Fn(NumberId, Channel) -> bool,
}

/// Why a log or list could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReadFailure {
    /// When it was first so, and when last.
    #[schema(value_type = String)]
    pub since: Time,
    #[schema(value_type = String)]
    pub at: Time,
    #[schema(value_type = String)]
    pub error: Line,
    /// What to do about it.
    #[schema(value_type = String)]
    pub cure: Line,
    /// What Twilio answered, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
}

/// A decision that stands and is not carried out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Waiting {
    #[schema(value_type = u64)]
    pub decision: DecisionId,
    #[schema(value_type = String)]
    pub channel: Channel,
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<NumberId>,
    /// What stands against it.
    #[schema(value_type = Vec<String>)]
    pub guards: Vec<Guard>,
    /// What of this a person's approval is waited for.
    #[schema(value_type = Vec<String>)]
    pub questions: Vec<Guard>,
    /// How many of its numbers each guard keeps.
    #[serde(skip)]
    pub kept: BTreeMap<Guard, Vec<NumberId>>,
    /// When its question ends: without approval it lapses then, and without a veto it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub until: Option<Time>,
}

impl Waiting {
    fn of(pending: &PendingRollback) -> Waiting {
        Waiting {
            decision: pending.decision.id,
            channel: pending.decision.channel,
            numbers: pending.waiting.iter().copied().collect(),
            guards: pending.guards(),
            questions: pending.questions(),
            kept: pending.kept(),
            until: pending.until(),
        }
    }
}

/// An order with its progress.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderStatus {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub order: Order,
    pub is_over: bool,
    pub ended: Vec<Ended>,
}

/// How one number's part of an order ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ended {
    #[schema(value_type = String)]
    pub account: AccountSid,
    #[schema(value_type = String)]
    pub number: E164,
    #[schema(value_type = String)]
    pub result: OrderResult,
    pub detail: String,
}

impl OrderStatus {
    pub fn of(progress: &OrderState) -> OrderStatus {
        let ended = |(number, (result, detail)): (&NumberId, &(OrderResult, String))| Ended {
            account: number.account,
            number: number.e164,
            result: *result,
            detail: detail.clone(),
        };
        // What thousands of numbers were is of no use here.
        let mut order = progress.order.clone();
        if let Some(terms) = &mut order.terms {
            terms.reads.clear();
        }
        OrderStatus { order, is_over: progress.is_over(), ended: progress.ended.iter().map(ended).collect() }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SourceStatus {
    #[schema(value_type = String)]
    pub source: &'static str,
    /// When it was last read; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub polled_at: Option<Time>,
    pub is_stale: bool,
    /// Without it nothing can be said of a channel that is watched.
    pub is_needed: bool,
    /// Why the latest try to read it failed; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<ReadFailure>,
}

/// What cannot be said of a channel, and for want of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Blindness {
    #[schema(value_type = String)]
    pub channel: Channel,
    /// Sources that cannot be read; none: all is seen.
    #[schema(value_type = Vec<String>)]
    pub cannot_read: Vec<&'static str>,
    /// Watched numbers of which it is not known who answers.
    pub unread: usize,
}

impl Blindness {
    fn of(engine: &Engine, channel: Channel, now: Time) -> Blindness {
        let cannot_read = engine.cannot_read(channel, now).into_iter().map(Source::label).collect();
        Blindness { channel, cannot_read, unread: engine.unread(channel).count() }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupStatus {
    #[schema(value_type = String)]
    pub group: GroupName,
    pub channels: Vec<GroupChannel>,
    /// Absent where none of its numbers has a date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<GroupPort>,
    pub numbers: Vec<NumberStatus>,
}

/// When a group's numbers port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GroupPort {
    /// When the first of them is due.
    #[schema(value_type = String)]
    pub next_due: Time,
    /// How many are due, then or later.
    pub due: usize,
    /// The same for people: how long until then.
    pub countdown: String,
}

impl GroupPort {
    fn of(engine: &Engine, known: Knowledge<'_>, now: Time, group: &Group) -> Option<GroupPort> {
        let roster = engine.roster();
        let due = |ix: &NumberIx| {
            let n = roster.number(*ix);
            known.ports.standing(now, n.id, n.port, None).due
        };
        let all: Vec<Time> = group.numbers.iter().filter_map(due).collect();
        let next_due = *all.iter().min()?;
        Some(GroupPort { next_due, due: all.len(), countdown: countdown(now, next_due) })
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupChannel {
    #[schema(value_type = String)]
    pub channel: Channel,
    #[schema(value_type = String)]
    pub verdict: Verdict,
    #[schema(value_type = Object)]
    pub evidence: Evidence,
    /// What is known of the fallback; absent before the first look, or where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackStatus>,
}

/// What is known of a group's fallback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FallbackStatus {
    /// `good`, `broken`, or `unchecked`: it could not be told.
    #[schema(value_type = String)]
    pub state: FallbackState,
    /// Numbers whose calls it would not serve, where it serves others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub broken_for: Vec<NumberId>,
    /// Why.
    pub detail: String,
}

impl FallbackStatus {
    fn of(found: &FallbackFound) -> FallbackStatus {
        FallbackStatus { state: found.state, broken_for: found.broken_for.clone(), detail: found.detail.clone() }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NumberStatus {
    #[schema(value_type = String)]
    pub account: AccountSid,
    #[schema(value_type = String)]
    pub number: E164,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    pub is_in_account: bool,
    /// How far its port is, as Twilio says; absent where no port request shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub port: Option<PortStatus>,
    pub channels: Vec<ChannelStatus>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChannelStatus {
    #[schema(value_type = String)]
    pub channel: Channel,
    #[schema(value_type = String)]
    pub phase: Phase,
    #[schema(value_type = String)]
    pub verdict: Verdict,
    #[schema(value_type = Object)]
    pub evidence: Evidence,
    /// Calls or messages without an outcome yet.
    pub unsettled: u32,
    /// What is known of who answers.
    #[schema(value_type = String)]
    pub routing: RoutingState,
    /// Who answers, as last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub handler: Option<Handler>,
    pub rollback: RollbackStatus,
    /// True while the channel points at the fallback because we wrote that, also while it is to be restored, and also
    /// where the rollback is not proven: whether callers reach the fallback is said by `rollback` and `rollback_state`.
    pub is_on_fallback: bool,
    /// True while the channel has what an apply wrote, also beneath a rollback, and nobody has undone or changed it.
    pub is_applied: bool,
    /// The latest test call or message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe: Option<LastProbe>,
    /// How far the latest rollback of the channel, or the restore after it, has come, in the terms of
    /// [`crate::core::rollback::saga::SagaState`].
    #[schema(value_type = String)]
    pub rollback_state: &'static str,
    /// A test call or message of ours can show whether callers reach the fallback.
    pub can_be_proven: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RollbackStatus {
    None,
    Pending,
    Done {
        #[schema(value_type = String)]
        since: Time,
    },
    /// The fallback was written, and it is not known to answer.
    Unproven {
        #[schema(value_type = String)]
        since: Time,
    },
}

impl RollbackStatus {
    fn of(orders: &Orders, number: NumberId, channel: Channel) -> RollbackStatus {
        let state = orders.state(number, channel);
        let since = || orders.saga(number, channel).and_then(|s| s.since).unwrap_or(Time::EPOCH);
        if state.is_under_way() || orders.ordered(number, channel).is_some() {
            RollbackStatus::Pending
        } else if state.is_on_fallback() {
            RollbackStatus::Done { since: since() }
        } else if state.is_unproven() {
            RollbackStatus::Unproven { since: since() }
        } else {
            RollbackStatus::None
        }
    }
}

impl Status {
    pub fn of(
        engine: &Engine,
        orders: &Orders,
        known: Knowledge<'_>,
        now: Time,
        decisions: Vec<Arc<Decision>>,
    ) -> Status {
        let watched = || Channel::ALL.into_iter().filter(|c| engine.watches(*c));
        let logs = watched().flat_map(needed);
        let needed: Vec<Source> = logs.chain(watched().flat_map(routing).copied()).collect();
        let blindness = watched().map(|channel| Blindness::of(engine, channel, now)).collect();
        let sources = Source::ALL
            .into_iter()
            .map(|s| {
                let polled_at = engine.polled_at(s);
                let is_stale = engine.is_stale(s, now);
                let failure = known.failures[s.index()].clone();
                SourceStatus { source: s.label(), polled_at, is_stale, is_needed: needed.contains(&s), failure }
            })
            .collect();
        let groups = engine
            .roster()
            .groups()
            .map(|(ix, group)| GroupStatus {
                group: group.name.clone(),
                channels: Channel::ALL
                    .into_iter()
                    .map(|channel| {
                        let (verdict, evidence) = engine.group_verdict(ix, channel);
                        let found = group.fallback(channel).and(orders.fallback_found(&group.name, channel));
                        let fallback = found.map(FallbackStatus::of);
                        GroupChannel { channel, verdict, evidence: evidence.clone(), fallback }
                    })
                    .collect(),
                port: GroupPort::of(engine, known, now, group),
                numbers: group.numbers.iter().map(|n| NumberStatus::of(engine, orders, known, *n)).collect(),
            })
            .collect();
        let holds = orders.holds(now).cloned().collect();
        let waiting = orders.pending().map(Waiting::of).collect();
        let latest = orders.latest_orders().take(ORDERS).map(OrderStatus::of).collect();
        let ports = known.sight.clone();
        let mode = orders.mode();
        let (summary, troubles) = (Summary::default(), Vec::new());
        let status = Status {
            at: now,
            mode,
            sources,
            blindness,
            ports,
            groups,
            decisions,
            waiting,
            orders: latest,
            holds,
            notifiers: known.notifiers.to_vec(),
            summary,
            troubles,
        };
        let troubles = troubles::all(engine, orders, known, &status);
        Status { summary: Summary::of(&status, &troubles), troubles, ..status }
    }

    /// What cannot be read that is needed; none: all is seen.
    pub fn cannot_read(&self) -> Vec<&'static str> {
        let stale = self.sources.iter().filter(|s| s.is_needed && s.is_stale).map(|s| s.source);
        let mut cannot: Vec<_> = stale.chain(self.blindness.iter().flat_map(|b| b.cannot_read.clone())).collect();
        let mut seen = HashSet::new();
        cannot.retain(|source| seen.insert(*source));
        cannot
    }

    /// Every number with its group.
    pub fn numbers(&self) -> impl Iterator<Item = (&GroupName, &NumberStatus)> {
        self.groups.iter().flat_map(|g| g.numbers.iter().map(move |n| (&g.group, n)))
    }
}

/// True if a channel points at its fallback by our own write. What is not proven may do so, or may never have been
/// written: its record says which.
fn points_at_fallback(engine: &Engine, orders: &Orders, ix: NumberIx, channel: Channel) -> bool {
    let roster = engine.roster();
    let state = orders.state(roster.number(ix).id, channel);
    let says_so = || {
        let fallback = roster.group_of(ix).fallback(channel);
        fallback.zip(engine.record(ix)).is_some_and(|(url, record)| record.leads_to(channel, url))
    };
    state.is_on_fallback() || state.is_unproven() && says_so()
}

impl NumberStatus {
    pub const fn id(&self) -> NumberId {
        NumberId::new(self.account, self.number)
    }

    fn of(engine: &Engine, orders: &Orders, known: Knowledge<'_>, ix: NumberIx) -> NumberStatus {
        let n = engine.roster().number(ix);
        let record = engine.record(ix);
        let channels = Channel::ALL
            .into_iter()
            .filter(|c| n.channels[c.index()])
            .map(|channel| {
                let (c, applied) = (engine.channel(ix, channel), orders.applied(n.id, channel));
                ChannelStatus {
                    channel,
                    phase: c.phase,
                    verdict: c.verdict,
                    evidence: c.evidence.clone(),
                    unsettled: engine.open(ix, channel),
                    routing: engine.routing(ix, channel),
                    handler: engine.handler(ix, channel),
                    rollback: RollbackStatus::of(orders, n.id, channel),
                    is_on_fallback: points_at_fallback(engine, orders, ix, channel),
                    is_applied: applied.is_on_fallback() || applied.is_unproven(),
                    last_probe: c.last_probe.as_ref().map(LastProbe::of),
                    rollback_state: orders.state(n.id, channel).label(),
                    can_be_proven: (known.can_prove)(n.id, channel),
                }
            })
            .collect();
        NumberStatus {
            account: n.id.account,
            number: n.id.e164,
            label: n.label.clone(),
            is_in_account: record.is_some(),
            port: known.ports.state(n.id).map(|state| state.status),
            channels,
        }
    }
}
