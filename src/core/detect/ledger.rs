//! The book of calls and messages: joins each with its alerts and child legs, and says when its
//! outcome is settled or revised.
//!
//! Entries come late, twice, out of order and in several states. The ledger takes them as they
//! come: a state never goes back from final to unfinished, the same entry twice changes nothing,
//! and alerts or child legs that precede their call wait for it. So the outcome depends on what
//! was said and not on the order in which it was said.
//!
//! A completed call without alerts counts as served only when alerts have had time to arrive, and
//! that time is counted on the alert log's own freshness: while that log cannot be read nothing
//! settles, for no alerts seen is not no alerts (law 4).
//!
//! Some failures are plain at once, while service is known only after its grace. Of what is read long after it
//! happened, after two days without an agent, say, the failures would come first and alone, and look like an outage: so
//! all of that settles, in the order in which it happened.
//!
//! An alert is told for the handler's own by the number's routing, which may be read only after the alert: then it
//! is kept, and told again ([`placement`]).
//!
//! Memory: one entry a call, kept until [`Ledger::prune`] is told that nothing older will come.

mod answers;
mod lateness;
mod legs;
mod messages;
mod nameless;
mod orphans;
mod overdue;
mod placement;
mod settle;
mod unclaimed;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use indexmap::map::Entry as Slot;

use super::observation::{Alert, Call, CallStatus, Direction, Leg, MessageStatus, RemoteParty};
use super::outcome::{
    AlertEffect, AlertFlags, AlertPlacement, CallFacts, Children, MessageFacts, is_harm, judge_call, judge_message,
    seconds,
};
use crate::model::code::Code;
use crate::model::digits::{ByDigits, ByDigitsInOrder};
use crate::model::id::{AccountSid, Channel, NumberId, Resource};
use crate::model::reason::{IgnoreReason, Outcome, Reason};
use crate::model::roster::{NumberIx, Roster};
use crate::model::time::Time;
use crate::routing::history::RoutingHistory;
use answers::Answers;
use lateness::Lateness;
use legs::ChildLeg;
use messages::settles;
use nameless::Nameless;
use orphans::Orphan;
use overdue::Overdue;
use placement::Unplaced;
pub use placement::{AttachedAlert, FailedRequest, ReadUntil, failure_text};
use unclaimed::Unclaimed;
pub use unclaimed::{Concerned, UnclaimedError};

/// An outcome that is new or has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutcomeChange {
    pub entry: Resource,
    pub number: NumberIx,
    pub channel: Channel,
    pub party: RemoteParty,
    /// Inbound calls and messages tell of the handler; replies only of delivery.
    pub is_inbound: bool,
    pub started_at: Time,
    /// When this outcome became known.
    pub at: Time,
    pub was: Option<Outcome>,
    pub is: Outcome,
    /// The code behind a failure, where there is one.
    pub code: Option<Code>,
}

/// An error of a call or message of which there is evidence that it was served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warning {
    pub entry: Resource,
    pub number: NumberIx,
    pub channel: Channel,
    pub code: Code,
}

/// When an inbound call or message was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstSeen {
    pub number: NumberIx,
    pub channel: Channel,
    pub party: RemoteParty,
    pub started_at: Time,
    pub at: Time,
}

/// What an observation brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LedgerEffect {
    pub sighting: Option<FirstSeen>,
    pub change: Option<OutcomeChange>,
}

#[derive(Debug)]
pub struct Ledger {
    grace: Duration,
    /// By SID, in the order in which they came, which is about that in which they settle.
    entries: [ByDigitsInOrder<u128, Entry>; 2],
    /// Status of each child leg, so that its parent's counts can follow.
    children: ByDigits<u128, ChildLeg>,
    /// Alerts and legs of calls that have not been seen.
    orphans: ByDigits<u128, Orphan>,
    /// The same in the order in which they were named, and how many alerts they have together.
    named: VecDeque<u128>,
    orphaned_alerts: usize,
    /// Entries that ended, in the order in which we saw them end.
    ended: VecDeque<(Time, Resource)>,
    /// Texts that wait longer, for an answer, and since when.
    late: VecDeque<(Time, Resource)>,
    /// Numbers whose handler was seen to dial out.
    forwards: Vec<bool>,
    /// Errors beside evidence of service since they were last asked for.
    warnings: Vec<Warning>,
    /// What was sent to whom, and which messages wait for an answer.
    answers: Answers,
    /// Entries without an outcome, by number and channel.
    open: Vec<[u32; 2]>,
    /// Alerts that have found their call or message since they were last asked for.
    attached: Vec<AttachedAlert>,
    /// Alerts that a later reading of their number may tell from another URL's. Few calls have any.
    unplaced: BTreeMap<(NumberIx, Resource), Unplaced>,
    /// The same calls and messages, by when the latest such alert of each was seen.
    pending: VecDeque<(Time, NumberIx, Resource)>,
    /// What had its time while nobody had read what its number points at, by when it was seen to have ended.
    unread: BTreeMap<NumberIx, Vec<(Time, Resource)>>,
    nameless: Nameless,
    unclaimed: Unclaimed,
    /// What is under way, and until when that may be true.
    overdue: Overdue,
    lateness: Option<Lateness>,
    /// A longer wait that nobody was told of yet.
    raised: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    number: NumberIx,
    party: RemoteParty,
    started_at: Time,
    seen_at: Time,
    marks: AlertFlags,
    is_settled: bool,
    is_probe: bool,
    /// It has alerts that are not placed.
    is_pending: bool,
    /// Of a message: its sender was sent one afterwards, which arrived.
    is_answered: bool,
    /// It was told that it has an error beside evidence of service.
    is_warned: bool,
    /// Its row can no longer be true.
    is_overdue: bool,
    outcome: Option<Outcome>,
    /// The code that was told with the outcome; 0 if none was.
    told_code: u32,
    body: Body,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Call { status: CallStatus, duration: Option<u32>, ended_at: Option<Time>, children: Children },
    Message { direction: Direction, status: MessageStatus, error: Option<Code>, is_keyword: bool },
}

impl Body {
    fn is_over(&self) -> bool {
        match self {
            Body::Call { status, ended_at, .. } => is_over(*status, *ended_at),
            // What was sent may still be delivered; that nobody asks after hours.
            Body::Message { status, .. } => settles(*status),
        }
    }
}

/// A call that has ended, also in a state that Twilio has invented.
fn is_over(status: CallStatus, ended_at: Option<Time>) -> bool {
    status.is_final() || status == CallStatus::Unknown && ended_at.is_some()
}

/// What the ledger needs to know of the world to judge.
#[derive(Clone, Copy)]
pub struct LedgerContext<'a> {
    pub roster: &'a Roster,
    pub routes: &'a RoutingHistory,
}

impl Ledger {
    /// `grace`: how long after an entry is seen to have ended its alerts and child legs may come.
    pub fn new(roster: &Roster, grace: Duration) -> Ledger {
        Ledger {
            grace,
            entries: Default::default(),
            children: HashMap::default(),
            orphans: HashMap::default(),
            named: VecDeque::new(),
            orphaned_alerts: 0,
            ended: VecDeque::new(),
            late: VecDeque::new(),
            forwards: vec![false; roster.len()],
            warnings: Vec::new(),
            answers: Answers::new(roster.len()),
            open: vec![[0; 2]; roster.len()],
            attached: Vec::new(),
            unplaced: BTreeMap::new(),
            pending: VecDeque::new(),
            unread: BTreeMap::new(),
            nameless: Nameless::default(),
            unclaimed: Unclaimed::default(),
            overdue: Overdue::new(roster.len()),
            lateness: None,
            raised: None,
        }
    }

    /// From now on alerts and child legs may come so long after an entry is seen to have ended.
    pub fn set_grace(&mut self, grace: Duration) {
        self.grace = grace;
    }

    /// A call or message turns out to be our own probe's, now or as soon as it is seen.
    pub fn is_ours(&mut self, at: Time, entry: Resource, cx: LedgerContext<'_>) -> Option<OutcomeChange> {
        match self.entries[entry.channel().index()].get_mut(&key(entry)) {
            Some(held) => {
                held.is_probe = true;
                self.judge(at, entry, cx)
            }
            None => {
                self.orphan(key(entry), at).is_probe = true;
                None
            }
        }
    }

    /// Calls or messages of a number that have no outcome yet.
    pub fn open(&self, number: NumberIx, channel: Channel) -> u32 {
        self.open[number.0 as usize][channel.index()]
    }

    /// Entries held, of both channels.
    pub fn len(&self) -> usize {
        self.entries[0].len() + self.entries[1].len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Alerts that have found their call or message since this was last called.
    pub fn take_attached(&mut self) -> impl Iterator<Item = AttachedAlert> + use<> {
        std::mem::take(&mut self.attached).into_iter()
    }

    /// Errors beside evidence of service since this was last called.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Takes in a leg of a call of this account. `number` is ours, for an inbound leg.
    pub fn call(&mut self, at: Time, account: AccountSid, call: &Call, cx: LedgerContext<'_>) -> LedgerEffect {
        match call.leg {
            Leg::Inbound { number, caller } => match cx.roster.find(NumberId::new(account, number)) {
                Some(number) => self.inbound_call(at, call, number, caller, cx),
                None => LedgerEffect::default(),
            },
            Leg::Child { parent } => LedgerEffect { sighting: None, change: self.child(at, call, parent, cx) },
        }
    }

    fn inbound_call(
        &mut self,
        at: Time,
        call: &Call,
        number: NumberIx,
        caller: RemoteParty,
        cx: LedgerContext<'_>,
    ) -> LedgerEffect {
        let key = call.sid.as_u128();
        let (mut is_new, mut ended, mut held_until) = (false, false, None);
        match self.entries[0].entry(key) {
            Slot::Occupied(mut held) => {
                let held = held.get_mut();
                held_until = held.holds_until();
                if let Body::Call { status, duration, ended_at, .. } = &mut held.body
                    && (call.status.is_final() || !status.is_final())
                {
                    ended = is_over(call.status, call.ended_at) && !is_over(*status, *ended_at);
                    *status = call.status;
                    *duration = call.duration.or(*duration);
                    *ended_at = call.ended_at.or(*ended_at);
                }
            }
            Slot::Vacant(slot) => {
                (is_new, ended) = (true, is_over(call.status, call.ended_at));
                let entry = Entry {
                    number,
                    party: caller,
                    started_at: call.started_at,
                    seen_at: at,
                    marks: AlertFlags::default(),
                    is_settled: false,
                    is_probe: caller.is_prober,
                    is_pending: false,
                    is_answered: false,
                    is_warned: false,
                    is_overdue: false,
                    outcome: None,
                    told_code: 0,
                    body: Body::Call {
                        status: call.status,
                        duration: call.duration,
                        ended_at: call.ended_at,
                        children: Children::default(),
                    },
                };
                slot.insert(entry);
                self.open[number.0 as usize][0] += 1;
            }
        }
        if let (Some(code), Some(held)) =
            (call.error.filter(|code| is_harm(Some(*code))), self.entries[0].get_mut(&key))
        {
            held.marks.add(AlertEffect::Unexplained, code, call.started_at);
        }
        if ended {
            self.ended.push_back((at, Resource::Call(call.sid)));
        }
        // Our own test call is no caller: it can reach a number whose port has not happened.
        let is_live = is_new && !self.adopt(at, Resource::Call(call.sid), key, cx) && !caller.is_prober;
        self.watch_state(Resource::Call(call.sid), held_until);
        let sighting = is_live.then_some(FirstSeen {
            number,
            channel: Channel::Voice,
            party: caller,
            started_at: call.started_at,
            at,
        });
        LedgerEffect { sighting, change: self.judge(at, Resource::Call(call.sid), cx) }
    }

    pub fn alert(&mut self, at: Time, alert: &Alert, cx: LedgerContext<'_>) -> Option<OutcomeChange> {
        let Some(resource) = alert.resource else {
            self.nameless.keep(alert);
            self.unclaimed.wait(at, alert);
            return None;
        };
        if self.add_mark(at, resource, alert, cx) {
            let change = self.judge(at, resource, cx);
            if let Some(change) = &change {
                self.note_late(change);
            }
            return change;
        }
        if let Some(parent) = self.leg_alert(at, key(resource), alert, cx) {
            return self.judge(at, Resource::Call(parent), cx);
        }
        // A call can be in the alert log long before it is in the call log.
        self.unclaimed.wait(at, alert);
        self.wait(key(resource), at, alert.clone());
        None
    }

    fn judge(&mut self, at: Time, resource: Resource, cx: LedgerContext<'_>) -> Option<OutcomeChange> {
        let channel = resource.channel();
        let entry = self.entries[channel.index()].get_mut(&key(resource))?;
        self.nameless.weigh(entry, channel, cx);
        if entry.waits_for_others() {
            return None;
        }
        // What pointed at nothing when it was judged did so, whatever was set up since.
        let pointed_at_nothing = entry.outcome == Some(Outcome::Failed(Reason::NoHandler));
        let has_no_handler = pointed_at_nothing || cx.routes.has_no_handler(entry.number, channel);
        let placement = match (entry.is_pending, cx.routes.is_read(entry.number, channel)) {
            (true, _) => AlertPlacement::Pending,
            (false, false) => AlertPlacement::Unread,
            (false, true) => AlertPlacement::Complete,
        };
        let has_own_fallback = !entry.marks.is_empty() && cx.routes.has_own_fallback(cx.roster, entry.number, channel);
        let given_up = entry.is_overdue.then_some(if entry.is_probe {
            Outcome::Ignored(IgnoreReason::Probe)
        } else {
            Outcome::Failed(Reason::Unexplained)
        });
        let (is, is_inbound, [has_failed_leg, has_no_leg], code) = match entry.body {
            Body::Call { status, duration, ended_at, children } => {
                let by_duration = duration.map(|d| entry.started_at + Duration::from_secs(u64::from(d)));
                let over_at = ended_at.max(by_duration).filter(|_| is_over(status, ended_at));
                let marks = entry.marks.of_callers(entry.started_at, over_at);
                let facts = CallFacts {
                    status,
                    duration,
                    children,
                    marks,
                    is_settled: entry.is_settled,
                    has_no_handler,
                    is_fax: cx.routes.is_fax(entry.number, channel),
                    is_nobodys: cx.routes.is_nobodys(entry.number, channel),
                    is_demo: cx.routes.is_demo(entry.number, channel),
                    has_own_fallback,
                    after_legs: children.until(ended_at),
                    failed_after: marks.failed_after(entry.started_at),
                    erred_after: marks.erred_after(entry.started_at),
                    lasted: over_at.map(|at| seconds(at).saturating_sub(seconds(entry.started_at))),
                    forwards: self.forwards[entry.number.0 as usize],
                    is_probe: entry.is_probe,
                    placement,
                };
                (judge_call(&facts).or(given_up)?, true, [children.failed > 0, !children.any()], entry.marks.code())
            }
            Body::Message { direction, status, error, is_keyword } => {
                let facts = MessageFacts {
                    direction,
                    status,
                    error,
                    marks: entry.marks,
                    is_settled: entry.is_settled,
                    has_no_handler: pointed_at_nothing || cx.routes.is_demo(entry.number, channel),
                    names_nobody: cx.routes.has_no_handler(entry.number, channel),
                    is_keyword,
                    has_own_fallback,
                    is_answered: entry.is_answered,
                    may_be_answered: self.answers.is_usual(entry.number),
                    is_probe: entry.is_probe,
                    placement,
                };
                let code = entry.marks.code().or(error.and_then(Code::named));
                (judge_message(&facts).or(given_up)?, direction == Direction::Inbound, [false; 2], code)
            }
        };
        let code = code.filter(|_| is != Outcome::Ok);
        // A leg that was not even dialled, and a caller who stayed: that is said, too.
        let has_warning = entry.marks.is_error() || entry.marks.code().is_some() && (has_failed_leg || has_no_leg);
        if let (true, Outcome::Ok, Some(code)) = (is_inbound && has_warning && !entry.is_warned, is, entry.marks.code())
        {
            entry.is_warned = true;
            self.warnings.push(Warning { entry: resource, number: entry.number, channel, code });
        }
        let was = entry.outcome;
        let told_code = code.map_or(0, |c| c.0);
        // A failure whose code comes later is told again with it.
        if was == Some(is) && told_code == entry.told_code {
            return None;
        }
        entry.outcome = Some(is);
        entry.told_code = told_code;
        if was.is_none() {
            let open = &mut self.open[entry.number.0 as usize][channel.index()];
            *open = open.saturating_sub(1);
        }
        Some(OutcomeChange {
            entry: resource,
            number: entry.number,
            channel,
            party: entry.party,
            is_inbound,
            started_at: entry.started_at,
            at,
            was,
            is,
            code,
        })
    }
}

fn key(resource: Resource) -> u128 {
    match resource {
        Resource::Call(sid) => sid.as_u128(),
        Resource::Message(sid) => sid.as_u128(),
    }
}

#[cfg(test)]
mod tests;
