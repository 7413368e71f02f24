//! What an order writes to one number, given the number's record and how far its swap has come; and what became of it.
//!
//! Pure: whoever carries out orders reads the record, writes what is said here, reads again and asks what it means.
//!
//! Promises: nothing is planned over what somebody else has changed, unless that is forced; what is so already is not
//! written again; what our own writes may have left is never taken for somebody else's.
//!
//! A write whose answer was lost, and which somebody else undid before we looked, leaves the number as it was. Twilio's
//! `date_updated` tells that apart from a write that never happened: a record that was updated and in which nothing is
//! different was changed and changed back. What else was changed meanwhile explains the date, and then it says nothing.

use serde_json::Value;

use super::late::{LateAt, LateWrite};
use super::saga::{SagaState, Swap};
use crate::model::id::{Channel, ServiceSid};
use crate::model::order::{Operation, Order, OrderResult, UpdateParams};
use crate::model::value::RawRecord;
use crate::routing::record::NumberRecord;
use crate::routing::values::{BadRecord, RoutingValues, SERVICE};

/// How one number's part of an order ended, and why.
pub type NumberEnd = (OrderResult, String);

/// What is to be written to a number, and how to tell whether it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritePlan {
    pub update: UpdateParams,
    /// The number's record without the write, as Twilio returned it, where it was kept.
    pub before: Option<RawRecord>,
    /// The number's routing without the write.
    pub unwritten: RoutingValues,
    /// And with it.
    pub written: RoutingValues,
    /// Write over what somebody else has changed.
    pub force: bool,
    /// Its intent is in the journal already.
    pub is_intended: bool,
    /// A look shows that the number is so already.
    pub is_written: bool,
}

/// What was found when a number was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteState {
    Written,
    Unwritten,
    /// Somebody else changed it.
    Foreign(RoutingValues),
}

/// What a write does to the Messaging Service that a number is in: a request of its own, before the number's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Join(ServiceSid),
    /// What we joined ourselves.
    Leave(ServiceSid),
}

impl Membership {
    pub const fn service(self) -> ServiceSid {
        match self {
            Membership::Join(service) | Membership::Leave(service) => service,
        }
    }
}

/// True if this writes which Messaging Service a number is in.
pub fn is_of_service(update: &UpdateParams) -> bool {
    update.iter().any(|(name, _)| name == SERVICE)
}

impl WritePlan {
    /// What it does to the number's Messaging Service, if anything.
    pub fn membership(&self) -> Option<Membership> {
        let (_, value) = self.update.iter().find(|(name, _)| name == SERVICE)?;
        if value.is_empty() {
            let was = self.unwritten.of(SERVICE)?.whole().parse().ok();
            was.map(Membership::Leave)
        } else {
            value.whole().parse().ok().map(Membership::Join)
        }
    }

    /// The Messaging Service is as with this write and the fields as without it, or the other way round: the agent
    /// ended between the two requests.
    fn is_half(&self, now: &RoutingValues) -> bool {
        let half = |of: &RoutingValues, other: &RoutingValues| {
            let Some(service) = other.of(SERVICE) else { return false };
            let half = of.after(&vec![(SERVICE.to_owned(), service.clone())]);
            now.is_one_of(&half, of) && now.of(SERVICE) == half.of(SERVICE)
        };
        is_of_service(&self.update) && (half(&self.unwritten, &self.written) || half(&self.written, &self.unwritten))
    }

    /// This plan, unless somebody else has changed the number.
    fn checked(mut self, raw: &str, now: RoutingValues) -> Result<WritePlan, RoutingValues> {
        match self.found(raw, now) {
            WriteState::Written => self.is_written = true,
            WriteState::Unwritten => {}
            WriteState::Foreign(now) => return Err(now),
        }
        Ok(self)
    }

    /// Tells from a number's record, and the routing in it, what has happened.
    pub fn found(&self, raw: &str, now: RoutingValues) -> WriteState {
        let is_undone = || self.before.as_ref().is_some_and(|before| is_changed_back(before.whole(), raw));
        if now.is_one_of(&self.written, &self.unwritten) {
            WriteState::Written
        } else if self.force || self.is_half(&now) || now.is_one_of(&self.unwritten, &self.written) && !is_undone() {
            WriteState::Unwritten
        } else {
            WriteState::Foreign(now)
        }
    }

    /// How this write ends over what somebody else has changed meanwhile.
    pub fn superseded(&self, now: &RoutingValues) -> NumberEnd {
        superseded(&self.unwritten, &self.written, now)
    }
}

/// How an order ends for a number at which nobody need look, for it says nothing of what the number points at.
pub fn settled(operation: Operation, state: &SagaState) -> Option<NumberEnd> {
    match operation {
        Operation::Undo if state.swap().is_none() => {
            Some((OrderResult::Restored, "there is no apply of it to undo".to_owned()))
        }
        Operation::Rollback | Operation::Restore | Operation::Apply | Operation::Undo => None,
    }
}

/// A write that an earlier life intended, as the number's record is `now`: settled by looking.
pub(super) fn resumed(swap: &Swap, channel: Channel, raw: &str, now: RoutingValues) -> Result<WritePlan, NumberEnd> {
    let left = left_before(swap, channel).map_err(failed)?;
    // What the attempts before this one left, or what was there before all of them.
    let unwritten = left.iter().find(|v| **v == now).unwrap_or(&left[0]).clone();
    let written = unwritten.after(&swap.wrote);
    let update = swap.wrote.clone();
    let before = (unwritten == left[0]).then(|| swap.before.record.clone());
    let plan = WritePlan { update, before, unwritten, written, force: false, is_intended: true, is_written: false };
    plan.clone().checked(raw, now).map_err(|now| plan.superseded(&now))
}

/// The rollback of one number as its record is now, or how it ends without a write.
pub fn rollback(
    order: &Order,
    state: &SagaState,
    record: &NumberRecord,
    raw: &str,
    fallback: &str,
    late: LateAt<'_>,
) -> Result<WritePlan, NumberEnd> {
    let channel = order.channel;
    let now = RoutingValues::read(raw, channel).map_err(failed)?;
    match state {
        SagaState::Intended(swap) | SagaState::Written(swap) if swap.order == order.id => {
            resumed(swap, channel, raw, now)
        }
        SagaState::Unproven(swap) => {
            let before = RoutingValues::read(swap.before.record.whole(), channel).map_err(failed)?;
            let is_undone = now == before && is_changed_back(swap.before.record.whole(), raw) && !late.has_landed;
            if is_undone || !left(state, channel).map_err(failed)?.contains(&now) {
                // Against another writer a person decides; and the snapshot would be of what was there long ago.
                return Err(superseded(&before, &before.after(&swap.wrote), &now));
            }
            begin(channel, record, raw, now, fallback)
        }
        SagaState::ReadBack(swap) | SagaState::Proven(swap) => {
            let before = RoutingValues::read(swap.before.record.whole(), channel).map_err(failed)?;
            let ours = before.after(&swap.wrote);
            if ours.is_respelt(&now) {
                return Err((OrderResult::Written, "it is on the fallback already".to_owned()));
            }
            Err(superseded(&before, &ours, &now))
        }
        SagaState::Superseded { order, swap: Some(_) } if record.leads_to(channel, fallback) => {
            let why = format!(
                "it is on the fallback, and somebody else put it there: `ringback restore --force` puts back what was \
                 before {order}"
            );
            Err((OrderResult::Refused, why))
        }
        SagaState::Idle
        | SagaState::Snapshotted { .. }
        | SagaState::Checked { .. }
        | SagaState::Restored(_)
        | SagaState::Failed(_)
        | SagaState::Refused(_)
        | SagaState::Superseded { .. }
            if record.leads_to(channel, fallback) =>
        {
            // A snapshot of it would be restored one day as what it was before us.
            Err((OrderResult::Refused, on_fallback_unknown(late.rollback)))
        }
        SagaState::Idle
        | SagaState::Snapshotted { .. }
        | SagaState::Checked { .. }
        | SagaState::Intended(_)
        | SagaState::Written(_)
        | SagaState::Restoring { .. }
        | SagaState::RestoreWritten { .. }
        | SagaState::Restored(_)
        | SagaState::Failed(_)
        | SagaState::Refused(_)
        | SagaState::Superseded { .. } => begin(channel, record, raw, now, fallback),
    }
}

/// Of a number at which a journal that knows of no rollback can neither swap nor restore anything.
pub const ON_FALLBACK_UNKNOWN: &str = "it is on the fallback, and the journal knows of no rollback: the state file was replaced, or somebody swapped it by \
     hand; put the latest state file back, or point the number at its handler by hand";

/// Why nothing is written to a number that is on the fallback by nothing that is in the journal, unless it is `late`.
fn on_fallback_unknown(late: Option<&LateWrite>) -> String {
    late.map_or_else(
        || ON_FALLBACK_UNKNOWN.to_owned(),
        |late| {
            format!(
                "it is on the fallback: a write of {} whose answer was lost has landed by now; `ringback restore` puts \
                 it back",
                late.write.order
            )
        },
    )
}

/// Updated since, and nothing in it is different.
fn is_changed_back(before: &str, now: &str) -> bool {
    let read = |raw: &str| {
        let mut record: Value = serde_json::from_str(raw).ok()?;
        let updated = record.as_object_mut()?.remove("date_updated")?;
        Some((updated, record))
    };
    match (read(before), read(now)) {
        (Some((then, before)), Some((updated, now))) => then != updated && before == now,
        (None, _) | (_, None) => false,
    }
}

fn begin(
    channel: Channel,
    record: &NumberRecord,
    raw: &str,
    now: RoutingValues,
    fallback: &str,
) -> Result<WritePlan, NumberEnd> {
    let update = record.swap(channel, fallback).map_err(|why| (OrderResult::Refused, why.to_string()))?;
    let written = now.after(&update);
    let is_written = now == written;
    let before = Some(raw.into());
    Ok(WritePlan { update, before, unwritten: now, written, force: false, is_intended: false, is_written })
}

/// The restore of one number as its record is now, or how it ends without a write. `is_on_fallback`: that is where its
/// record leads.
pub fn restore(order: &Order, state: &SagaState, raw: &str, is_on_fallback: bool) -> Result<WritePlan, NumberEnd> {
    let Some(swap) = state.swap() else {
        return Err(if is_on_fallback {
            (OrderResult::Refused, ON_FALLBACK_UNKNOWN.to_owned())
        } else {
            (OrderResult::Restored, "it is on its own handler".to_owned())
        });
    };
    let before = RoutingValues::read(swap.before.record.whole(), order.channel).map_err(failed)?;
    let now = RoutingValues::read(raw, order.channel).map_err(failed)?;
    let mut update = before.undo(&swap.wrote);
    let is_intended = matches!(state, SagaState::Restoring { order: of, .. } | SagaState::RestoreWritten { order: of, .. } if *of == order.id);
    let ours = before.after(&swap.wrote);
    // Who is in another service by now was put there by others, and is not taken out, whatever is forced.
    update.retain(|(name, _)| name != SERVICE || now.of(SERVICE) == ours.of(SERVICE) || !order.force);
    if !is_intended && (now.is_one_of(&before, &ours) || order.force && now.has(&update)) {
        return Err((OrderResult::Restored, "it is back on its own handler already".to_owned()));
    }
    if !is_intended && !order.force && matches!(state, SagaState::Superseded { .. }) {
        let why = "somebody else changed it since; restore it with --force, or leave it";
        return Err((OrderResult::Superseded, why.to_owned()));
    }
    let unwritten =
        if order.force || earlier(swap, &before).as_ref() == Some(&now) { now.clone() } else { ours.clone() };
    let written = unwritten.after(&update);
    // Of a restore that was cut off, what was there when it began is not kept.
    let record = (!is_intended).then(|| raw.into());
    let plan =
        WritePlan { update, before: record, unwritten, written, force: order.force, is_intended, is_written: false };
    // Compare and set: it may no longer be what the rollback left.
    plan.checked(raw, now).map_err(|now| superseded(&before, &ours, &now))
}

/// What became of a write that Twilio took, from what was read back, which has the last word.
///
/// `fallback` is of a rollback. `unknown` is what could not be read of who answers.
pub fn verdict(
    plan: &WritePlan,
    fallback: Option<&str>,
    record: &NumberRecord,
    raw: &str,
    unknown: Option<&Unknown>,
) -> NumberEnd {
    let channel = plan.written.channel();
    let handler = record.handler(channel);
    let said = unknown.map_or(String::new(), |u| format!("; {}", u.text()));
    if let (true, Some(Unknown::Services(_))) = (is_of_service(&plan.update), unknown) {
        return (OrderResult::Unproven, format!("Twilio took the write{said}"));
    }
    match fallback {
        Some(fallback) if !handler.is_url(fallback) => {
            (OrderResult::Unproven, format!("Twilio took the write, but {handler} still answers"))
        }
        Some(_) => {
            let result = match unknown {
                Some(Unknown::Services(_)) => OrderResult::Unproven,
                Some(Unknown::Region(_)) | None => OrderResult::Written,
            };
            let is_it = if result == OrderResult::Written { "now answered by" } else { "written, and it points at" };
            (result, format!("{is_it} {handler}{said}"))
        }
        None => match RoutingValues::read(raw, channel) {
            Ok(now) if now.is_one_of(&plan.written, &plan.unwritten) => {
                (OrderResult::Restored, format!("now answered by {handler}{said}"))
            }
            Ok(now) if now.is_one_of(&plan.unwritten, &plan.written) => {
                (OrderResult::Failed, format!("Twilio took the write, but {handler} still answers"))
            }
            Ok(now) => plan.superseded(&now),
            Err(bad) => (OrderResult::Unproven, bad.to_string()),
        },
    }
}

/// What could not be read of who answers a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// Which region processes its calls: taken for ours, for an API key need not have this permission.
    Region(String),
    /// Whether a Messaging Service has it, which would win over the number's own webhook.
    Services(String),
}

impl Unknown {
    pub fn text(&self) -> String {
        match self {
            Unknown::Region(error) => format!("which region processes its calls cannot be read: {error}"),
            Unknown::Services(error) => format!("whether a Messaging Service has it cannot be read: {error}"),
        }
    }
}

/// What our writes alone may have left a number as; empty where nothing of ours is on it.
///
/// Of what is unproven it cannot be told which of its writes happened, or none of them, and one may still land.
pub fn left(state: &SagaState, channel: Channel) -> Result<Vec<RoutingValues>, BadRecord> {
    match state {
        SagaState::ReadBack(swap) | SagaState::Proven(swap) => {
            let before = RoutingValues::read(swap.before.record.whole(), channel)?;
            Ok(vec![before.after(&swap.wrote)])
        }
        SagaState::Unproven(swap) => {
            let mut left = left_before(swap, channel)?;
            left.insert(0, left[0].after(&swap.wrote));
            Ok(left)
        }
        SagaState::Idle
        | SagaState::Snapshotted { .. }
        | SagaState::Checked { .. }
        | SagaState::Intended(_)
        | SagaState::Written(_)
        | SagaState::Restoring { .. }
        | SagaState::RestoreWritten { .. }
        | SagaState::Restored(_)
        | SagaState::Failed(_)
        | SagaState::Refused(_)
        | SagaState::Superseded { .. } => Ok(Vec::new()),
    }
}

/// What a number may have been before the latest attempt: as in the snapshot, or as the attempts before left it.
fn left_before(swap: &Swap, channel: Channel) -> Result<Vec<RoutingValues>, BadRecord> {
    let before = RoutingValues::read(swap.before.record.whole(), channel)?;
    let earlier = earlier(swap, &before);
    Ok(std::iter::once(before).chain(earlier).collect())
}

fn earlier(swap: &Swap, before: &RoutingValues) -> Option<RoutingValues> {
    swap.earlier.as_ref().map(|update| before.after(update))
}

fn failed(bad: BadRecord) -> NumberEnd {
    (OrderResult::Failed, bad.to_string())
}

fn superseded(snapshot: &RoutingValues, wrote: &RoutingValues, now: &RoutingValues) -> NumberEnd {
    let all: Vec<String> = RoutingValues::differences(snapshot, wrote, now).iter().map(ToString::to_string).collect();
    (OrderResult::Superseded, format!("somebody else changed it: {}", all.join("; ")))
}

#[cfg(test)]
mod tests;
