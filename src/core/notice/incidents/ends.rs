//! What there is to say when a rollback or a restore has ended, well or not.

use super::{Incident, Incidents};
use crate::core::model::decision::DecisionId;
use crate::core::model::id::E164;
use crate::core::model::order::{By, CloseReason, OrderResult};
use crate::core::model::time::Time;
use crate::core::notice::{Notice, NoticeKind, NoticeStatus, Severity, Step};

impl Incidents {
    /// What there is to say of a rollback whose swaps have ended, or take too long.
    pub(super) fn rollback(&self, at: Time, id: DecisionId) -> Option<Notice> {
        let incident = self.incidents.get(&id)?;
        let order = incident.order.as_ref()?;
        let (group, channel) = (&order.group, order.channel);
        let bad: Vec<(E164, OrderResult, &str)> = incident
            .ended
            .iter()
            .filter(|(_, (e, _))| !e.is_as_asked())
            .map(|(n, (e, d))| (*n, *e, d.as_str()))
            .collect();
        let good: Vec<E164> = incident.on_fallback().collect();
        let is_open = order.numbers.iter().any(|n| !incident.ended.contains_key(n));
        let (kind, title, about) = if let Some((_, end, _)) = bad.first() {
            let numbers: Vec<E164> = bad.iter().map(|(n, ..)| *n).collect();
            let what = match end {
                OrderResult::Unproven => "Rollback UNPROVEN",
                OrderResult::Superseded => "Rollback given up, somebody else changed the number",
                OrderResult::Failed
                | OrderResult::Refused
                | OrderResult::Written
                | OrderResult::Proven
                | OrderResult::Restored => "Rollback FAILED",
            };
            (NoticeKind::Unproven, format!("{what}: {}", self.builder.name(group, channel, &numbers)), numbers)
        } else if is_open {
            (
                NoticeKind::Underway,
                format!("Rollback takes long: {}", self.builder.name(group, channel, &order.numbers)),
                order.numbers.clone(),
            )
        } else {
            let is_proven = incident.ended.values().all(|(e, _)| *e == OrderResult::Proven);
            let what = if is_proven { "Rolled back and proven" } else { "Rolled back" };
            (NoticeKind::RolledBack, format!("{what}: {}", self.builder.name(group, channel, &good)), good.clone())
        };
        let by_person = matches!(order.by, By::Operator(_));
        let severity = if by_person && kind == NoticeKind::RolledBack { Severity::Info } else { Severity::Critical };
        let blank = self.builder.blank(at, incident.key(id), kind, severity, title);
        let mut notice = match &incident.decision {
            Some(decision) => self.builder.evidence(blank, decision, &about),
            None => Notice { decision: Some(id), ..self.builder.whose(blank, group, channel, &about) },
        };
        if let By::Operator(author) = &order.by {
            notice.cause = Some(format!("{} asked for it: {}", author.name, author.reason));
        }
        let counts = format!("{} of {} numbers", good.len(), order.numbers.len());
        let mut did = vec![if kind == NoticeKind::RolledBack {
            format!("{id}: swapped {counts} to the fallback")
        } else {
            format!("{id}: {counts} are known to be on the fallback")
        }];
        did.extend(bad.iter().take(3).map(|(n, e, detail)| format!("{n} {}: {detail}", e.label())));
        for (guard, n) in count(incident.guards.iter().filter(|(n, _)| !order.numbers.contains(n)).map(|(_, g)| *g)) {
            did.push(format!("left {n} alone: {}", guard.text()));
        }
        notice.did = did.join("\n");
        notice.proof = Some(proof(incident));
        notice.next = if kind == NoticeKind::RolledBack {
            self.builder.after_rollback(incident.decision.as_ref(), group, channel, &good)
        } else {
            self.builder.by_hand(group, channel, &about)
        };
        if kind != NoticeKind::RolledBack && !good.is_empty() {
            notice.next.extend(self.builder.after_rollback(incident.decision.as_ref(), group, channel, &good));
        }
        Some(notice)
    }

    /// A restore is over. With `left`, its later stages were given up.
    pub(super) fn restore_ended(&mut self, at: Time, id: DecisionId, left: Option<&[E164]>) -> Vec<Notice> {
        let Some(incident) = self.incidents.get(&id) else { return Vec::new() };
        let Some(order) = incident.order.clone() else { return Vec::new() };
        let bad: Vec<(E164, OrderResult, &str)> = incident
            .ended
            .iter()
            .filter(|(_, (e, _))| !e.is_as_asked())
            .map(|(n, (e, d))| (*n, *e, d.as_str()))
            .collect();
        let done: Vec<E164> = incident.ended.iter().filter(|(_, (e, _))| e.is_as_asked()).map(|(n, _)| *n).collect();
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
            notice.cause = Some(format!("{} asked for it: {}", author.name, author.reason));
        }
        let mut did = vec![format!("{id}: put {} of {} numbers back", done.len(), order.numbers.len())];
        did.extend(bad.iter().take(3).map(|(n, e, detail)| format!("{n} {}: {detail}", e.label())));
        if let Some(left) = left {
            did.push(format!("{} stay on the fallback: {}", left.len(), CloseReason::Relapsed.text()));
        }
        notice.did = did.join("\n");
        let which = self.builder.selection(&order.group, order.channel, &order.numbers);
        notice.proof = is_good.then(|| "read back: the numbers' own handler is the effective one".to_owned());
        notice.next = if is_good {
            vec![Step::typing("Watch them. If callers fail again, Ringback rolls back again", "ringback status")]
        } else {
            vec![
                Step::typing("See where each number points", "ringback status"),
                Step::typing(
                    "When the handler works, continue",
                    format!("ringback restore {which} --reason 'repaired'"),
                ),
            ]
        };
        vec![notice]
    }
}

fn proof(incident: &Incident) -> String {
    let mut lines = Vec::new();
    let ends = incident.ended.values().map(|(e, _)| *e);
    let total = incident.ended.len();
    for (end, n) in count(ends) {
        let text = match end {
            OrderResult::Proven => "yes: the number was read back, and a test call was answered by the fallback",
            OrderResult::Written => {
                "in part: read back, the fallback is the effective handler; no test call has heard it"
            }
            OrderResult::Unproven => "NO: Twilio accepted the write, but nothing shows that the fallback answers",
            OrderResult::Failed => "NO: nothing was written",
            OrderResult::Refused => "NO: it was not tried",
            OrderResult::Superseded => "NO: somebody else changed the number",
            OrderResult::Restored => "no: on its own handler",
        };
        lines.push(if n == total { text.to_owned() } else { format!("{n} of {total}: {text}") });
    }
    if lines.is_empty() { "not yet".to_owned() } else { lines.join("\n") }
}

/// How often each occurs, in the order of first occurrence.
fn count<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counts: Vec<(T, usize)> = Vec::new();
    for item in items {
        match counts.iter_mut().find(|(t, _)| *t == item) {
            Some((_, n)) => *n += 1,
            None => counts.push((item, 1)),
        }
    }
    counts
}
