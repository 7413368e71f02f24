//! Which events are reported: a fold over the journal that gives the notices people should have.
//!
//! One trouble is one *incident*: a decision, or an operator's order, with everything that follows.
//! It is notified once its end is known, which takes seconds, and earlier only if that takes
//! longer or a guard objects. The incident is over when its numbers are on their own handler
//! again, or callers are served again.
//!
//! Because it is a fold, a restart comes to the same notices with the same keys and times. The outbox
//! knows which were delivered. Verdicts and the agent's own conditions are not in the journal; they are
//! passed to [`Incidents`] as they happen.
//!
//! Promises: a notice that has not changed is not repeated. A command makes no notice: whoever gave it
//! knows.

mod ends;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::condition::AgentCondition;
use super::make::NoticeBuilder;
use super::{Notice, NoticeKind, NoticeStatus, Severity, Step};
use crate::core::model::decision::{Action, Decision, DecisionId, Mode};
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, E164, GroupName};
use crate::core::model::order::{CloseReason, FallbackState, Hold, Operation, Order, OrderResult};
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::core::rollback::entry::Entry;

/// A swap that has not ended after this is told of all the same.
const END_WITHIN: Duration = Duration::from_secs(60);

/// Trouble that no verdict shows is over when the detector has not said it again for so long.
const QUIET_FOR: Duration = Duration::from_secs(3600);

/// One trouble.
#[derive(Debug, Default)]
struct Incident {
    decision: Option<Decision>,
    order: Option<Order>,
    ended: BTreeMap<E164, (OrderResult, String)>,
    /// What was said of numbers that were not swapped.
    guards: BTreeMap<E164, Guard>,
    /// People are told by then, whatever is known.
    due: Option<Time>,
    /// Numbers of which the trouble is over.
    gone: BTreeSet<E164>,
    /// The key of an earlier incident that this one goes on.
    key: Option<String>,
    /// The latest notice, if it stands.
    told: Option<Notice>,
    /// When the detector said so last.
    seen: Time,
}

impl Incident {
    fn whose(&self) -> Option<(GroupName, Channel, Vec<E164>)> {
        match (&self.decision, &self.order) {
            (Some(d), _) => Some((d.group.clone(), d.channel, d.numbers.clone())),
            (None, Some(o)) => Some((o.group.clone(), o.channel, o.numbers.clone())),
            (None, None) => None,
        }
    }

    /// What its notices have in common.
    fn key(&self, id: DecisionId) -> String {
        self.key.clone().unwrap_or_else(|| id.to_string())
    }

    fn is_of(&self, number: E164, channel: Channel) -> bool {
        self.whose().is_some_and(|(_, c, numbers)| c == channel && numbers.contains(&number))
    }

    fn is_restore(&self) -> bool {
        self.order.as_ref().is_some_and(|o| o.act == Operation::Restore)
    }

    /// Swapped, and not put back since.
    fn on_fallback(&self) -> impl Iterator<Item = E164> {
        let swapped = self.ended.iter().filter(|(n, (end, _))| end.is_as_asked() && !self.gone.contains(n));
        swapped.map(|(n, _)| *n)
    }
}

/// Everything that is going on, as people were told.
#[derive(Debug)]
pub struct Incidents {
    builder: NoticeBuilder,
    mode: Mode,
    holds: Vec<Hold>,
    incidents: BTreeMap<DecisionId, Incident>,
    fallbacks: BTreeMap<(GroupName, Channel), FallbackState>,
    /// Conditions that stand, by key, and since when.
    conditions: BTreeMap<String, (Time, AgentCondition)>,
}

impl Incidents {
    pub fn new(builder: NoticeBuilder, mode: Mode) -> Incidents {
        Incidents {
            builder,
            mode,
            holds: Vec::new(),
            incidents: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            conditions: BTreeMap::new(),
        }
    }

    pub const fn builder(&self) -> &NoticeBuilder {
        &self.builder
    }

    /// The trouble with this key was said to be over before a restart.
    pub fn close(&mut self, key: &str) {
        for incident in self.incidents.values_mut() {
            if incident.told.as_ref().is_some_and(|n| n.key == key) {
                incident.told = None;
            }
        }
    }

    /// This was said to stand before a restart. What the journal does not tell is taken up from it.
    pub fn resume(&mut self, told: &Notice) {
        let since = told.since.as_ref().map_or(told.at.at, |m| m.at);
        let condition = match (told.kind, told.channel) {
            (NoticeKind::Blind, Some(channel)) => AgentCondition::Blind { channel, sources: Vec::new() },
            (NoticeKind::StoreUnwritable, _) => {
                AgentCondition::StoreUnwritable { problem: String::new(), cure: String::new() }
            }
            _ => return,
        };
        self.conditions.insert(told.key.clone(), (since, condition));
    }

    /// Takes in one entry of the journal and gives the notices that follow from it.
    pub fn fold(&mut self, at: Time, entry: &Entry) -> Vec<Notice> {
        match entry {
            Entry::Decision(decision) => self.decided(at, decision),
            Entry::Order(order) => {
                let incident = self.incidents.entry(order.id).or_default();
                match &mut incident.order {
                    Some(earlier) => earlier.numbers.extend(&order.numbers),
                    None => incident.order = Some(order.clone()),
                }
                incident.due = Some(at + END_WITHIN);
                Vec::new()
            }
            Entry::Refused { decision, numbers, guard, .. } => self.refused(at, *decision, numbers, *guard),
            Entry::Asked { decision, numbers, guard, until, .. } => self.asked(at, *decision, numbers, *guard, *until),
            Entry::Closed { decision, numbers, why, .. } => self.lapsed(at, *decision, numbers, *why),
            Entry::Result { decision, channel, number, result, detail } => {
                self.ended(at, *decision, *channel, *number, *result, detail)
            }
            Entry::Hold(hold) => {
                self.holds.retain(|h| h.scope != hold.scope);
                self.holds.push(hold.clone());
                Vec::new()
            }
            Entry::Release { scope, .. } => {
                self.holds.retain(|h| h.scope != *scope);
                Vec::new()
            }
            Entry::Mode { mode, .. } => {
                self.mode = *mode;
                Vec::new()
            }
            Entry::Ported { .. } => Vec::new(),
            Entry::Drift { number, channel, differences, actor } => {
                let ours = self
                    .incidents
                    .values()
                    .any(|s| s.is_of(*number, *channel) && s.on_fallback().any(|n| n == *number));
                let mut notices = vec![self.builder.drift(at, *number, *channel, differences, actor.as_deref(), ours)];
                notices.extend(self.gone(at, *channel, &[*number], DecisionId(0), "somebody else has the numbers now"));
                notices
            }
            Entry::Fallback { group, channel, state, detail } => {
                let was = self.fallbacks.insert((group.clone(), *channel), *state);
                let is_news = *state == FallbackState::Broken || was == Some(FallbackState::Broken);
                is_news.then(|| self.builder.fallback(at, group, *channel, *state, detail)).into_iter().collect()
            }
            Entry::Started { .. }
            | Entry::Stage { .. }
            | Entry::Approved { .. }
            | Entry::Snapshot { .. }
            | Entry::Checked { .. }
            | Entry::Intent { .. }
            | Entry::Written { .. }
            | Entry::Phase { .. } => Vec::new(),
        }
    }

    fn decided(&mut self, at: Time, decision: &Decision) -> Vec<Notice> {
        let Decision { id, channel, ref group, ref numbers, .. } = *decision;
        let mut incident = Incident { decision: Some(decision.clone()), seen: at, ..Incident::default() };
        let mut notices = Vec::new();
        match decision.action {
            Action::Rollback => {
                incident.due = Some(at + END_WITHIN);
                incident.key = self.inherit(channel, numbers);
                notices.extend(self.gone(at, channel, numbers, id, &format!("it goes on as {id}")));
            }
            Action::Withheld { guard } => {
                incident.key = self.inherit(channel, numbers);
                notices.extend(self.gone(at, channel, numbers, id, &format!("it goes on as {id}")));
                let title = format!("Rollback blocked: {}", self.builder.name(group, channel, numbers));
                let blank = self.builder.blank(at, incident.key(id), NoticeKind::Held, Severity::Critical, title);
                let notice = self.builder.held(blank, decision, numbers, guard.into(), &self.holds, self.mode);
                incident.told = Some(notice.clone());
                notices.push(notice);
            }
            Action::Page { reason } => {
                let first = numbers.first().map(ToString::to_string).unwrap_or_default();
                let key = format!("{group}/{channel}/{}/{first}+{}", reason.label(), numbers.len().saturating_sub(1));
                let standing = self.incidents.values_mut().find(|s| s.told.as_ref().is_some_and(|n| n.key == key));
                if let Some(same) = standing {
                    // Said already; it goes on.
                    same.seen = at;
                    return notices;
                }
                let notice = self.builder.not_curable(at, key, decision, reason);
                incident.told = Some(notice.clone());
                notices.push(notice);
            }
        }
        self.incidents.insert(id, incident);
        notices
    }

    /// The key of a trouble that stands and is about just these numbers: a pager keeps one incident
    /// however often a swap is tried.
    fn inherit(&mut self, channel: Channel, numbers: &[E164]) -> Option<String> {
        for incident in self.incidents.values_mut() {
            let is_page = incident.decision.as_ref().is_some_and(|d| matches!(d.action, Action::Page { .. }));
            let Some((_, c, all)) = incident.whose().filter(|_| !is_page && !incident.is_restore()) else { continue };
            let left: BTreeSet<E164> = all.into_iter().filter(|n| !incident.gone.contains(n)).collect();
            if c == channel
                && left.iter().eq(numbers.iter().collect::<BTreeSet<_>>())
                && let Some(told) = incident.told.take()
            {
                return Some(told.key);
            }
        }
        None
    }

    fn refused(&mut self, at: Time, id: DecisionId, numbers: &[E164], guard: Guard) -> Vec<Notice> {
        let Some(incident) = self.incidents.get_mut(&id) else { return Vec::new() };
        incident.guards.extend(numbers.iter().map(|n| (*n, guard)));
        let key = incident.key(id);
        let Some(decision) = incident.decision.clone() else { return Vec::new() };
        let title = format!("Rollback blocked: {}", self.builder.name(&decision.group, decision.channel, numbers));
        let blank = self.builder.blank(at, key, NoticeKind::Held, Severity::Critical, title);
        let notice = self.builder.held(blank, &decision, numbers, guard, &self.holds, self.mode);
        self.tell(id, notice)
    }

    fn asked(&mut self, at: Time, id: DecisionId, numbers: &[E164], guard: Guard, until: Time) -> Vec<Notice> {
        let Some(incident) = self.incidents.get_mut(&id) else { return Vec::new() };
        incident.guards.extend(numbers.iter().map(|n| (*n, guard)));
        let key = incident.key(id);
        let Some(decision) = incident.decision.clone() else { return Vec::new() };
        let whose = self.builder.name(&decision.group, decision.channel, numbers);
        let what = if guard == Guard::Veto { "About to roll back" } else { "Approval needed" };
        let title = format!("{what}: {whose}");
        let blank = self.builder.blank(at, key, NoticeKind::Asked, Severity::Critical, title);
        let notice = self.builder.asked(blank, &decision, numbers, guard, until);
        self.tell(id, notice)
    }

    /// Notifies an incident's latest state, unless that was done.
    fn tell(&mut self, id: DecisionId, notice: Notice) -> Vec<Notice> {
        let Some(incident) = self.incidents.get_mut(&id) else { return Vec::new() };
        incident.due = None;
        let is_same = |n: &Notice| n.kind == notice.kind && n.title == notice.title && n.did == notice.did;
        if incident.told.as_ref().is_some_and(is_same) {
            return Vec::new();
        }
        incident.told = (notice.status == NoticeStatus::Firing).then(|| notice.clone());
        vec![notice]
    }

    fn lapsed(&mut self, at: Time, id: DecisionId, numbers: &[E164], why: CloseReason) -> Vec<Notice> {
        let Some(incident) = self.incidents.get_mut(&id) else { return Vec::new() };
        match why {
            CloseReason::Relapsed => return self.restore_ended(at, id, Some(numbers)),
            CloseReason::Countermanded => {
                // A person's own command: they know. The restore is about the others from here on.
                incident.order.iter_mut().for_each(|o| o.numbers.retain(|n| !numbers.contains(n)));
                return Vec::new();
            }
            CloseReason::TimedOut | CloseReason::Recovered | CloseReason::OnFallback => {}
        }
        incident.gone.extend(numbers);
        let left = incident.whose().is_some_and(|(_, _, all)| all.iter().any(|n| !incident.gone.contains(n)));
        if left {
            return Vec::new();
        }
        incident.due = None;
        let Some(told) = incident.told.take() else { return Vec::new() };
        let did = match why {
            CloseReason::TimedOut => {
                format!("{id} expired: not approved in time. Ringback will ask again if callers keep failing")
            }
            CloseReason::OnFallback => format!("{id} is over: {}", why.text()),
            CloseReason::Recovered | CloseReason::Relapsed | CloseReason::Countermanded => {
                format!("{id} is over: {}. Nothing was written", why.text())
            }
        };
        vec![self.builder.over(at, told, &did)]
    }

    fn ended(
        &mut self,
        at: Time,
        id: DecisionId,
        channel: Channel,
        number: E164,
        end: OrderResult,
        detail: &str,
    ) -> Vec<Notice> {
        let Some(incident) = self.incidents.get_mut(&id) else { return Vec::new() };
        incident.ended.insert(number, (end, detail.to_owned()));
        let ordered = incident.order.as_ref().map(|o| o.numbers.clone()).unwrap_or_default();
        let is_over = ordered.iter().all(|n| incident.ended.contains_key(n));
        let mut notices = Vec::new();
        if incident.is_restore() {
            if is_over {
                notices.extend(self.restore_ended(at, id, None));
            }
            if end == OrderResult::Restored {
                notices.extend(self.gone(at, channel, &[number], id, &format!("the numbers were restored by {id}")));
            }
        } else if is_over && let Some(notice) = self.rollback(at, id) {
            notices.extend(self.tell(id, notice));
        }
        notices
    }

    /// The trouble of these numbers is over, or goes on under another name, in all incidents but `but`.
    fn gone(&mut self, at: Time, channel: Channel, numbers: &[E164], but: DecisionId, why: &str) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (id, incident) in &mut self.incidents {
            let is_page = incident.decision.as_ref().is_some_and(|d| matches!(d.action, Action::Page { .. }));
            if *id == but || is_page || incident.is_restore() {
                continue;
            }
            let Some((_, c, all)) = incident.whose() else { continue };
            let ours: Vec<E164> = numbers.iter().copied().filter(|n| c == channel && all.contains(n)).collect();
            if ours.is_empty() {
                continue;
            }
            incident.gone.extend(ours);
            if all.iter().all(|n| incident.gone.contains(n)) {
                incident.due = None;
                if let Some(told) = incident.told.take() {
                    notices.push(self.builder.over(at, told, &format!("{id} is over: {why}")));
                }
            }
        }
        notices
    }

    /// The detector says something else of a number: trouble may be over without a swap.
    pub fn verdict(&mut self, at: Time, number: E164, channel: Channel, to: Verdict) -> Vec<Notice> {
        if to != Verdict::Healthy {
            return Vec::new();
        }
        let mut notices = Vec::new();
        for (id, incident) in &mut self.incidents {
            let waits =
                incident.told.as_ref().is_some_and(|n| matches!(n.kind, NoticeKind::NotCurable | NoticeKind::Held));
            if !waits || !incident.is_of(number, channel) || incident.on_fallback().next().is_some() {
                continue;
            }
            // A refused rollback has its own end in the journal.
            if incident.decision.as_ref().is_some_and(|d| d.action == Action::Rollback) {
                continue;
            }
            incident.gone.insert(number);
            let all_gone = incident.whose().is_some_and(|(_, _, all)| all.iter().all(|n| incident.gone.contains(n)));
            if all_gone && let Some(told) = incident.told.take() {
                notices.push(self.builder.over(at, told, &format!("{id} is over: callers are served again")));
            }
        }
        notices
    }

    /// Notices that are due because time has passed.
    pub fn tick(&mut self, now: Time) -> Vec<Notice> {
        let mut notices = Vec::new();
        let due: Vec<(DecisionId, Time)> =
            self.incidents.iter().filter_map(|(id, s)| s.due.filter(|t| *t <= now).map(|t| (*id, t))).collect();
        for (id, at) in due {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.due = None;
            }
            let is_restore = self.incidents.get(&id).is_some_and(Incident::is_restore);
            if !is_restore && let Some(notice) = self.rollback(at, id) {
                notices.extend(self.tell(id, notice));
            }
        }
        for (id, incident) in &mut self.incidents {
            let is_page = incident.decision.as_ref().is_some_and(|d| matches!(d.action, Action::Page { .. }));
            if is_page
                && incident.told.is_some()
                && incident.seen + QUIET_FOR <= now
                && let Some(told) = incident.told.take()
            {
                let did = format!("{id} is over: it was not seen again for an hour");
                notices.push(self.builder.over(incident.seen + QUIET_FOR, told, &did));
            }
        }
        notices
    }

    /// A condition of the agent itself stands since `since`; `None` if that is known.
    pub fn begins(&mut self, now: Time, since: Time, condition: AgentCondition) -> Option<Notice> {
        if self.conditions.contains_key(&condition.key()) {
            return None;
        }
        let notice = self.builder.condition(now, since, &condition, NoticeStatus::Firing);
        self.conditions.insert(condition.key(), (since, condition));
        Some(notice)
    }

    /// The condition with this key stands no longer; `None` if it did not.
    pub fn ends(&mut self, now: Time, key: &str) -> Option<Notice> {
        let (since, condition) = self.conditions.remove(key)?;
        Some(self.builder.condition(now, since, &condition, NoticeStatus::Resolved))
    }

    /// A stage of a staged restore has had too few callers and tests to be verified.
    pub fn unverified(&self, now: Time, order: &Order) -> Notice {
        let Order { id, group, channel, numbers, .. } = order;
        let title =
            format!("Too few callers and tests to verify the restore: {}", self.builder.name(group, *channel, numbers));
        let blank =
            self.builder.blank(now, format!("{id}/unverified"), NoticeKind::Unverified, Severity::Warning, title);
        let mut notice = self.builder.whose(blank, group, *channel, numbers);
        notice.status = NoticeStatus::Event;
        notice.decision = Some(*id);
        notice.since = Some(notice.at.clone());
        notice.cause = Some(
            "fewer than three callers and test calls were served by the numbers that were restored first".to_owned(),
        );
        notice.did = format!("{id}: the other numbers stay on the fallback until you approve");
        notice.proof = Some("no: three served calls would prove it, and there were fewer".to_owned());
        notice.next = vec![
            Step::new("Call one of the restored numbers"),
            Step::typing(
                "If it is answered, approve the rest",
                format!("ringback approve {id} --reason 'called it myself'"),
            ),
        ];
        notice
    }
}
