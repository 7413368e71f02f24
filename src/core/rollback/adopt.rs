//! Adoption: the handler that a number has now is the right one.
//!
//! After its port a number is handed over to the application that owns it, which sets its own handler. Whoever says so,
//! a person or the configuration beforehand, makes that what the number is compared with from then on: it is no drift,
//! and a rollback of it restores it. If it was a person, nobody has to be asked before its next swap because somebody
//! else has written to it. Nothing is written to a number by adopting.
//!
//! Promises: only what was read is adopted, and only whole: not what is behind a list that could not be read, nor what
//! an order is about to write. Our own fallback is never adopted, and neither is what nobody answers. A number that is
//! on the fallback by the journal and is not there any more has been taken over by another writer: its rollback ends as
//! superseded. What waited for a yes because of the handler before is over: of this one nothing was seen. What an apply
//! wrote before is undone no more, and no apply writes over what a person has adopted, unless forced.

use super::entry::Entry;
use super::operator::{PlannedAction, PreviewLine};
use super::orders::{Orders, Saga};
use super::plan;
use crate::model::foreign::Line;
use crate::model::id::{Channel, NumberId};
use crate::model::order::{AdoptedBy, CloseReason, Operation};
use crate::model::roster::{NumberIx, Roster};
use crate::model::time::Time;
use crate::routing::record::{Handler, NumberRecord};
use crate::routing::values::RoutingValues;
use crate::routing::wanted::{Comparison, compare};

/// A number as it was read for it.
#[derive(Debug, Clone)]
pub struct FoundRouting {
    /// With what its application points at.
    pub record: NumberRecord,
    pub values: RoutingValues,
    /// When reading it began.
    pub read_at: Time,
    /// Who changed it last, where that was asked.
    pub actor: Option<Line>,
}

/// What adopting one channel of a number comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    pub line: PreviewLine,
    /// What is written to the journal if it is done.
    pub entries: Vec<Entry>,
}

/// Which channel of which number is to be adopted, and who says so.
#[derive(Debug, Clone, Copy)]
pub struct Adopting<'a> {
    pub roster: &'a Roster,
    pub number: NumberIx,
    pub channel: Channel,
    pub by: &'a AdoptedBy,
    /// What it pointed at last, as far as that is known.
    pub baseline: Option<&'a RoutingValues>,
}

impl Orders {
    /// What adopting comes to. `found`: what was read, or why it could not be.
    pub fn adoption(&self, what: Adopting<'_>, is_leading: bool, found: Result<&FoundRouting, &str>) -> Adoption {
        let Adopting { roster, number: ix, channel, .. } = what;
        let number = roster.number(ix).id;
        let said = |action, detail: String| {
            let line = PreviewLine::new(number, channel, action, detail);
            Adoption { line, entries: Vec::new() }
        };
        let refuse = |detail: String| said(PlannedAction::Refuse, detail);
        if !roster.number(ix).channels[channel.index()] {
            return said(PlannedAction::NotWatched, format!("it is not watched on {channel}"));
        }
        if !is_leading {
            return refuse("this agent does not lead".to_owned());
        }
        let found = match found {
            Ok(found) => found,
            Err(why) => return refuse(format!("it could not be read: {why}")),
        };
        if let Some(why) = self.stands_against(what, found) {
            return refuse(why);
        }
        let handler = found.record.handler(channel);
        let state = self.state(number, channel);
        let is_as_expected = self.expected(what).as_ref() == Some(&found.values);
        let is_of_another = self.saga(number, channel).is_some_and(Saga::is_of_another);
        if is_as_expected && state.swap().is_none() && !is_of_another {
            return said(PlannedAction::Nothing, format!("{handler} is what it is compared with already"));
        }
        let entries = match self.adopted(what, found) {
            Ok(entries) => entries,
            Err(why) => return refuse(why),
        };
        let group = roster.group_of(ix);
        let mut detail = format!("{handler} is its own");
        if state.swap().is_some() {
            detail += "; its rollback ends as superseded";
        }
        let wanted =
            compare(&found.record, &found.values, &group.handler[channel.index()], group.fallback(channel), None);
        match wanted {
            Comparison::Differs(_) | Comparison::Cannot(_) => {
                detail += "; [group.handler] of the file asks for another: write this one there, or plan will go on to \
                           name it, and apply will not without --force";
            }
            Comparison::AsWanted | Comparison::HandedOver(_) => {}
        }
        let line = PreviewLine::new(number, channel, PlannedAction::Adopt, detail);
        Adoption { line, entries }
    }

    /// What is written to the journal of a foreign change that was expected; nothing if it is not to be adopted.
    pub fn handed_over(&self, what: Adopting<'_>, found: &FoundRouting) -> Option<Vec<Entry>> {
        if self.stands_against(what, found).is_some() {
            return None;
        }
        self.adopted(what, found).ok()
    }

    /// Why what was found cannot be a number's own handler.
    fn stands_against(&self, what: Adopting<'_>, found: &FoundRouting) -> Option<String> {
        let Adopting { roster, number: ix, channel, .. } = what;
        let number = roster.number(ix).id;
        let state = self.state(number, channel);
        let is_under_way = state.is_under_way() || self.applied(number, channel).is_under_way();
        if is_under_way || self.ordered(number, channel).is_some() {
            let order = self.ordered(number, channel).or_else(|| state.order());
            let order = order.map_or_else(|| "an order".to_owned(), |id| id.to_string());
            return Some(format!("{order} is under way with it: adopt it once that has ended"));
        }
        if self.saga(number, channel).and_then(Saga::touched).is_some_and(|t| t >= found.read_at) {
            return Some("something was done with it while it was read: try again".to_owned());
        }
        if found.record.unread[channel.index()] {
            return Some("who answers it could not be read".to_owned());
        }
        let fallback = roster.group_of(ix).fallback(channel);
        let ours = match plan::left(state, channel) {
            Ok(ours) => ours,
            Err(bad) => return Some(bad.to_string()),
        };
        // Of what is unproven, one of these is what was there before us: it is not the fallback.
        let mut ours = ours.iter();
        let is_ours = ours.next().is_some_and(|left| left.is_respelt(&found.values));
        // A restore or an apply that landed late has left another handler, which may be right.
        let is_rollbacks = |id| self.order(id).is_none_or(|p| p.order.operation == Operation::Rollback);
        let is_swap = state.swap().is_none_or(|swap| is_rollbacks(swap.order));
        if is_ours && is_swap || fallback.is_some_and(|url| found.record.leads_to(channel, url)) {
            return Some("it is on the fallback, which is never its own handler: restore it first".to_owned());
        }
        if ours.any(|left| left.is_respelt(&found.values)) {
            return Some("a write of ours may still land on it: restore it first".to_owned());
        }
        let applied = plan::left(self.applied(number, channel), channel).unwrap_or_default();
        if state.swap().is_none() && applied.iter().skip(1).any(|left| *left == found.values) {
            return Some("an apply's write may still land on it: undo it first".to_owned());
        }
        match found.record.handler(channel) {
            Handler::Nobody | Handler::Lacking => {
                Some(format!("nobody answers it on {channel}: there is nothing to adopt"))
            }
            Handler::Trunk(_)
            | Handler::Application(_)
            | Handler::Url(_)
            | Handler::Service(_)
            | Handler::Region(_)
            | Handler::Fax => None,
        }
    }

    /// What the number is compared with until then.
    fn expected(&self, what: Adopting<'_>) -> Option<RoutingValues> {
        let (number, channel) = (what.roster.number(what.number).id, what.channel);
        let state = self.state(number, channel);
        let left = if state.swap().is_some() { state } else { self.applied(number, channel) };
        plan::left(left, channel).ok()?.into_iter().next().or_else(|| what.baseline.cloned())
    }

    fn adopted(&self, what: Adopting<'_>, found: &FoundRouting) -> Result<Vec<Entry>, String> {
        let (number, channel) = (what.roster.number(what.number).id, what.channel);
        let routing = found.values.whole_record().map_err(|bad| format!("what it points at cannot be kept: {bad}"))?;
        let differences = match self.expected(what) {
            Some(expected) => RoutingValues::differences(&expected, &expected, &found.values),
            None => Vec::new(),
        };
        let mut entries = self.overtaken(number, channel);
        let (routing, by, actor) = (routing.as_str().into(), what.by.clone(), found.actor.clone());
        entries.push(Entry::Adopted { number, channel, routing, by, differences, actor });
        Ok(entries)
    }

    /// Ends what waits for this number: it was decided on what was seen of another handler.
    fn overtaken(&self, number: NumberId, channel: Channel) -> Vec<Entry> {
        let waits = self.pending().filter(|p| p.decision.channel == channel && p.waiting.contains(&number));
        let (numbers, why) = (vec![number], CloseReason::Adopted);
        waits.map(|p| Entry::Closed { decision: p.decision.id, channel, numbers: numbers.clone(), why }).collect()
    }
}
