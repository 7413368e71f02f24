//! The legs that a call has dialled: each is its parent's, and so are its alerts.
//!
//! A leg that talked is the best evidence that a caller was served, unless Twilio logged an error on it: a whisper that
//! could not be fetched, say, is an announcement to who was called, and the end. A long talk stands all the same.

use super::{Body, Entry, Ledger, LedgerContext, OutcomeChange};
use crate::detect::observation::{Alert, Call, CallStatus, Level};
use crate::detect::outcome::{Children, SERVED_AFTER_SECONDS, is_harm};
use crate::model::id::{CallSid, Resource};
use crate::model::time::Time;

#[derive(Debug, Clone, Copy)]
pub(super) struct ChildLeg {
    pub parent: u128,
    status: CallStatus,
    pub seen_at: Time,
    /// Its talk counts as its parent's evidence of service, and how many seconds it lasted.
    talk: Option<u32>,
    /// Twilio has logged an error on it.
    has_error: bool,
}

impl Ledger {
    pub(super) fn child(
        &mut self,
        at: Time,
        leg: &Call,
        parent: CallSid,
        cx: LedgerContext<'_>,
    ) -> Option<OutcomeChange> {
        let (key, status) = (leg.sid.as_u128(), leg.status);
        let before = match self.children.get_mut(&key) {
            Some(leg) if leg.status.is_final() && !status.is_final() => return None,
            Some(leg) => Some(std::mem::replace(&mut leg.status, status)),
            None => {
                let new = ChildLeg { parent: parent.as_u128(), status, seen_at: at, talk: None, has_error: false };
                self.children.insert(key, new);
                None
            }
        };
        let mut has_talked = false;
        let mut count = |children: &mut Children| {
            if let Some(before) = before {
                children.remove(before);
            }
            has_talked = children.add(status, leg.started_at, leg.ended_at, leg.duration);
        };
        match self.entries[0].get_mut(&parent.as_u128()) {
            Some(Entry { number, body: Body::Call { children, .. }, .. }) => {
                count(children);
                self.forwards[number.0 as usize] = true;
            }
            Some(_) => return None,
            None => count(&mut self.orphan(parent.as_u128(), at).children),
        }
        if let Some(held) = self.children.get_mut(&key).filter(|_| has_talked) {
            // Of the same leg only once.
            if held.talk.replace(leg.duration.unwrap_or(u32::MAX)).is_some()
                && let Some(children) = self.children_of(parent.as_u128())
            {
                children.talks = children.talks.saturating_sub(1);
            }
        } else if let Some(held) = self.children.get_mut(&key)
            && held.talk.take().is_some()
            && let Some(children) = self.children_of(parent.as_u128())
        {
            // Its row was corrected: nobody talked.
            children.take_back_talk();
        }
        // An alert can be there before the leg that it is of.
        let orphan = self.orphans.remove(&key);
        self.orphaned_alerts -= orphan.as_ref().map_or(0, |orphan| orphan.alerts.len());
        for alert in orphan.iter().flat_map(|orphan| &orphan.alerts) {
            self.leg_alert(at, key, alert, cx);
        }
        self.doubt_talk(key);
        if !status.is_final() {
            self.watch_state(Resource::Call(parent), None);
        }
        self.judge(at, Resource::Call(parent), cx)
    }

    /// The legs of a call, seen or not.
    fn children_of(&mut self, parent: u128) -> Option<&mut Children> {
        match self.entries[0].get_mut(&parent) {
            Some(Entry { body: Body::Call { children, .. }, .. }) => Some(children),
            Some(_) => None,
            None => self.orphans.get_mut(&parent).map(|orphan| &mut orphan.children),
        }
    }

    /// Gives the alert of a leg that was dialled to the call that dialled it.
    pub(super) fn leg_alert(&mut self, at: Time, leg: u128, alert: &Alert, cx: LedgerContext<'_>) -> Option<CallSid> {
        let held = self.children.get_mut(&leg)?;
        let parent = CallSid::from_u128(held.parent);
        held.has_error |= is_harm(Some(alert.code)) && alert.level == Level::Error;
        let of_parent = Alert { resource: Some(Resource::Call(parent)), ..alert.clone() };
        if !self.add_mark(at, Resource::Call(parent), &of_parent, cx) {
            self.wait(parent.as_u128(), at, of_parent);
        }
        self.doubt_talk(leg);
        Some(parent)
    }

    /// A short talk of a leg that has an error is the announcement of it.
    fn doubt_talk(&mut self, leg: u128) {
        let Some(held) = self.children.get_mut(&leg) else { return };
        if held.has_error && held.talk.is_some_and(|seconds| seconds < SERVED_AFTER_SECONDS) {
            held.talk = None;
            let parent = held.parent;
            if let Some(children) = self.children_of(parent) {
                children.take_back_talk();
            }
        }
    }
}
