//! What there is to report when a restore has ended, well or not, or waits for a person.

use std::collections::BTreeMap;

use super::Incidents;
use super::compose::{is_or_are, numbers_text};
use super::incident::{Headline, IncidentKind};
use crate::model::counted::cut_at;
use crate::model::decision::DecisionId;
use crate::model::id::NumberId;
use crate::model::order::{By, CloseReason, Order, OrderResult};
use crate::model::time::Time;
use crate::notice::{Notice, NoticeKind, NoticeStatus, Severity, Step};

/// A restore, with how it ended for each number so far.
#[derive(Debug)]
pub(super) struct RestoreProgress {
    order: Order,
    ended: BTreeMap<NumberId, (OrderResult, String)>,
}

impl RestoreProgress {
    /// Numbers that are restored, and all.
    pub(super) fn progress(&self) -> (usize, usize) {
        (self.ended.values().filter(|(result, _)| result.is_as_asked()).count(), self.order.numbers.len())
    }
}

impl Incidents {
    pub(super) fn restore_ordered(&mut self, order: &Order) {
        if let Some(incident) = self.open.get_mut(&IncidentKind::Handler.key(&order.group, order.channel)) {
            incident.restores.insert(order.id);
        }
        self.restores.insert(order.id, RestoreProgress { order: order.clone(), ended: BTreeMap::new() });
    }

    /// A restore has ended for one number.
    pub(super) fn number_restored(
        &mut self,
        at: Time,
        id: DecisionId,
        number: NumberId,
        result: OrderResult,
        detail: &str,
    ) -> Vec<Notice> {
        let Some(restore) = self.restores.get_mut(&id) else { return Vec::new() };
        restore.ended.insert(number, (result, detail.to_owned()));
        let is_over = restore.order.numbers.iter().all(|n| restore.ended.contains_key(n));
        let key = IncidentKind::Handler.key(&restore.order.group, restore.order.channel);
        if result == OrderResult::Restored
            && let Some(incident) = self.open.get_mut(&key)
        {
            incident.resolve(at, number, &format!("restored by {id}"));
        }
        if is_over { self.restore_ended(at, id, None) } else { Vec::new() }
    }

    /// An operator keeps these numbers of later stages on the fallback: the restore is about the others from here on.
    pub(super) fn restore_given_up(&mut self, at: Time, id: DecisionId, numbers: &[NumberId]) -> Vec<Notice> {
        let Some(restore) = self.restores.get_mut(&id) else { return Vec::new() };
        restore.order.numbers.retain(|n| !numbers.contains(n));
        if restore.order.numbers.is_empty() {
            let key = IncidentKind::Handler.key(&restore.order.group, restore.order.channel);
            self.restores.remove(&id);
            if let Some(incident) = self.open.get_mut(&key) {
                incident.restores.remove(&id);
            }
            return Vec::new();
        }
        let is_over = restore.order.numbers.iter().all(|n| restore.ended.contains_key(n));
        if is_over { self.restore_ended(at, id, None) } else { Vec::new() }
    }

    /// A restore is over. With `left`, its later stages were given up: those numbers are on the fallback as before.
    pub(super) fn restore_ended(
        &mut self,
        at: Time,
        id: DecisionId,
        left: Option<(&[NumberId], CloseReason)>,
    ) -> Vec<Notice> {
        let Some(RestoreProgress { order, ended }) = self.restores.remove(&id) else { return Vec::new() };
        let bad: Vec<(NumberId, OrderResult, &str)> =
            ended.iter().filter(|(_, (r, _))| !r.is_as_asked()).map(|(n, (r, d))| (*n, *r, d.as_str())).collect();
        let restored = ended.values().filter(|(r, _)| r.is_as_asked()).count();
        let is_good = bad.is_empty() && left.is_none();
        let whose = self.builder.name(&order.group, order.channel, &order.numbers);
        let (kind, severity, title) = if is_good {
            (NoticeKind::Restored, Severity::Info, format!("Restored: {whose}"))
        } else {
            (NoticeKind::RestoreFailed, Severity::Critical, format!("Restore not finished: {whose}"))
        };
        let blank = self.builder.blank(at, id.to_string(), kind, severity, title);
        let mut notice = self.builder.whose(blank, &order.group, order.channel, &order.numbers);
        notice.status = NoticeStatus::Event;
        notice.decision = Some(id);
        notice.since = Some(notice.at.clone());
        if let By::Operator(author) = &order.by {
            notice.cause = Some(format!("{} asked for the restore: {}", author.name, author.reason));
        }
        let mut did = vec![format!("{id}: restored {restored} of {}", numbers_text(order.numbers.len()))];
        let name = |n: &NumberId| self.builder.roster.name(*n);
        let (told, more) = bad.split_at(cut_at(bad.len(), 3));
        did.extend(told.iter().map(|(n, r, detail)| format!("{}: restore {}: {detail}", name(n), r.label())));
        if !more.is_empty() {
            did.push(format!("{} more not restored", numbers_text(more.len())));
        }
        if let Some((left, why)) = left {
            let stay = if left.len() == 1 { "stays" } else { "stay" };
            did.push(format!("{} {stay} on the fallback, because {}", numbers_text(left.len()), why.text()));
        }
        notice.proof = is_good.then(|| "read back: each number's own handler answers it again".to_owned());
        notice.next = if is_good {
            vec![Step::typing("Watch them; if callers fail again, Ringback decides anew", "ringback status")]
        } else {
            vec![
                Step::typing("See what each number points at", "ringback status"),
                self.builder.restore(
                    "Once the handler works, restore them again",
                    &order.group,
                    order.channel,
                    &order.numbers,
                    "repaired",
                ),
            ]
        };
        let key = IncidentKind::Handler.key(&order.group, order.channel);
        if let Some(mut incident) = self.open.remove(&key) {
            incident.restores.remove(&id);
            let is_reported = incident.last_notice.is_some();
            if is_reported {
                notice.key.clone_from(&key);
                notice.incident_severity = incident.raise(severity);
                if let Some(since) = incident.last_notice.as_ref().and_then(|n| n.since.clone()) {
                    notice.since = Some(since);
                }
            }
            let is_over = incident.members.is_empty() && incident.restores.is_empty();
            if is_over && is_reported {
                notice.status = NoticeStatus::Resolved;
                // Who was sent its beginning is sent its end.
                notice.severity = notice.incident_severity;
                did.push("No number of the group is on the fallback any more: the incident is over".to_owned());
            } else if !incident.members.is_empty() {
                notice.status = NoticeStatus::Firing;
                notice.key.clone_from(&key);
                notice.incident_severity = incident.raise(severity);
                let on_fallback = incident.on_fallback().len();
                if on_fallback > 0 && left.is_none() {
                    did.push(format!("{} {} on the fallback", numbers_text(on_fallback), is_or_are(on_fallback)));
                }
                let needs = incident.needs(at);
                incident.notified(needs, Headline::Restore, &notice);
            }
            if !is_over {
                self.open.insert(key, incident);
            }
        }
        notice.did = did.join("\n");
        vec![notice]
    }

    /// A stage of a staged restore has had too few callers and tests to be verified.
    pub fn unverified(&self, now: Time, order: &Order) -> Notice {
        let Order { id, group, channel, numbers, .. } = order;
        let key = IncidentKind::Handler.key(group, *channel);
        let incident = self.open.get(&key).filter(|i| i.last_notice.is_some());
        // As part of the incident it ends with it.
        let (key, status) = match incident {
            Some(_) => (key, NoticeStatus::Firing),
            None => (format!("{id}/unverified"), NoticeStatus::Event),
        };
        let title = format!(
            "Approval needed to go on with the restore: {}: too few callers to verify it",
            self.builder.name(group, *channel, numbers)
        );
        let blank = self.builder.blank(now, key, NoticeKind::Unverified, Severity::Warning, title);
        let mut notice = self.builder.whose(blank, group, *channel, numbers);
        if let Some(highest) = incident.and_then(|i| i.severity) {
            notice.incident_severity = highest.max(notice.severity);
        }
        notice.status = status;
        notice.decision = Some(*id);
        notice.since = Some(notice.at.clone());
        notice.cause =
            Some("the numbers that were restored first have served fewer than three callers and test calls".to_owned());
        notice.did = format!("{id}: the other numbers stay on the fallback until the restore is approved");
        notice.proof = Some("no: three served calls would prove it, and fewer came".to_owned());
        notice.next = vec![
            Step::new("Call a number that was restored"),
            Step::typing("If it is answered, go on", format!("ringback approve {id} --reason 'called it myself'")),
        ];
        notice
    }
}
