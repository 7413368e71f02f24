//! What an apply writes to one number, given the number's record and how far it has come; and what became of it.
//!
//! As [`super::plan`], which it shares its rules with: nothing is written over what has changed since it was looked at,
//! what is so already is not written, and what was intended by an earlier life is settled by looking.

use super::plan::{NumberEnd, Unknown, WritePlan, resumed};
use super::saga::SagaState;
use crate::model::id::NumberId;
use crate::model::order::{ApplyTerms, Order, OrderResult};
use crate::routing::record::{NumberRecord, Service};
use crate::routing::values::RoutingValues;
use crate::routing::wanted::{Comparison, changes, compare};

/// A number as it was read.
#[derive(Debug, Clone, Copy)]
pub struct FoundNumber<'a> {
    pub record: &'a NumberRecord,
    /// As Twilio returned it.
    pub raw: &'a str,
    /// Of its routing, as [`ApplyTerms::reads`] has it.
    pub read: Option<&'a str>,
    /// What could not be read of who answers.
    pub unknown: Option<&'a Unknown>,
    /// The Messaging Service that is wanted, if there is such a one.
    pub service: Option<&'a Service>,
}

/// The apply of one number as it is now, or how it ends without a write. `state` is that of its applies, `fallback`
/// where its group's rollbacks lead.
pub fn apply(
    order: &Order,
    terms: &ApplyTerms,
    number: NumberId,
    state: &SagaState,
    found: FoundNumber<'_>,
    fallback: Option<&str>,
) -> Result<WritePlan, NumberEnd> {
    let refused = |why: String| (OrderResult::Refused, why);
    let now = RoutingValues::read(found.raw, order.channel).map_err(|bad| (OrderResult::Failed, bad.to_string()))?;
    if let SagaState::Intended(swap) | SagaState::Written(swap) = state
        && swap.order == order.id
    {
        return resumed(swap, order.channel, found.raw, now);
    }
    if let Some(Unknown::Services(_)) = found.unknown {
        let why = found.unknown.map_or(String::new(), Unknown::text);
        return Err((OrderResult::Failed, format!("nothing was written: {why}")));
    }
    let is_as_seen = terms.reads.get(&number).is_none_or(|read| found.read == Some(read.as_str()));
    match compare(found.record, &now, &terms.wanted, fallback, found.service) {
        Comparison::AsWanted => Err((OrderResult::Written, "it is as the file asks already".to_owned())),
        Comparison::HandedOver(owner) => {
            Err((OrderResult::Written, format!("{owner}, to whom it is handed over, has set its own handler: left")))
        }
        Comparison::Cannot(why) => Err(refused(why.to_string())),
        Comparison::Differs(_) if !is_as_seen => {
            let is = format!("now answered by {}", found.record.handler(order.channel));
            Err(refused(format!("it has changed since it was looked at ({is}): plan again")))
        }
        Comparison::Differs(update) => {
            let written = now.after(&update);
            let before = Some(found.raw.into());
            let (force, is_intended, is_written) = (false, false, false);
            Ok(WritePlan { update, before, unwritten: now, written, force, is_intended, is_written })
        }
    }
}

/// What became of an apply that Twilio took, from what was read back, which has the last word.
pub fn verdict(plan: &WritePlan, terms: &ApplyTerms, found: FoundNumber<'_>) -> NumberEnd {
    let channel = plan.written.channel();
    let handler = found.record.handler(channel);
    let said = found.unknown.map_or(String::new(), |u| format!("; {}", u.text()));
    let now = match RoutingValues::read(found.raw, channel) {
        Ok(now) => now,
        Err(bad) => return (OrderResult::Unproven, bad.to_string()),
    };
    if now.is_one_of(&plan.unwritten, &plan.written) {
        return (OrderResult::Unproven, format!("Twilio took the write, but {handler} still answers"));
    }
    if !now.is_one_of(&plan.written, &plan.unwritten) {
        return plan.superseded(&now);
    }
    let what: Vec<String> = changes(&plan.unwritten, &plan.update).iter().map(ToString::to_string).collect();
    let what = what.join(", ");
    match (compare(found.record, &now, &terms.wanted, None, found.service), found.unknown) {
        (Comparison::AsWanted, None | Some(Unknown::Region(_))) => {
            (OrderResult::Written, format!("{what}; now answered by {handler}{said}"))
        }
        (Comparison::AsWanted, Some(Unknown::Services(_))) => (OrderResult::Unproven, format!("{what}{said}")),
        (Comparison::Cannot(why), _) => (OrderResult::Unproven, format!("{what}, but {why}")),
        (Comparison::Differs(_) | Comparison::HandedOver(_), _) => {
            (OrderResult::Unproven, format!("{what}, but {handler} answers, and not what the file asks"))
        }
    }
}
