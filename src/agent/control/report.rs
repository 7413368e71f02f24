//! What a written entry means outside of memory: one log line, and the metrics that count it.

use std::time::Duration;

use super::Controller;
use crate::core::model::decision::DecisionId;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::{Operation, OrderResult};
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;

/// A rollback whose proof says nothing for so long is counted without it.
const PROVEN_WITHIN: Duration = Duration::from_secs(600);

impl Controller {
    pub(super) fn report(&mut self, at: Time, entry: &Entry) {
        let metrics = &self.shared.metrics;
        match entry {
            Entry::Order(order) => {
                let (id, group, channel) = (order.id, &order.group, order.channel);
                let numbers = order.numbers.len();
                match order.operation {
                    Operation::Rollback => {
                        tracing::warn!(decision = %id, %group, %channel, numbers, "rolling back");
                    }
                    Operation::Restore => tracing::warn!(decision = %id, %group, %channel, numbers, "restoring"),
                    Operation::Apply => tracing::warn!(decision = %id, %group, %channel, numbers, "applying"),
                    Operation::Undo => tracing::warn!(decision = %id, %group, %channel, numbers, "undoing an apply"),
                }
            }
            Entry::Refused { decision, channel, numbers, guard } => {
                for _ in numbers {
                    metrics.suppressed(*guard);
                }
                tracing::warn!(
                    %decision, %channel, numbers = numbers.len(), guard = guard.label(),
                    "a rollback would help, but a guard blocks it: {}", guard.text()
                );
            }
            Entry::Asked { decision, channel, numbers, guard, until } => {
                metrics.suppressed(*guard);
                tracing::error!(
                    %decision, %channel, numbers = numbers.len(), guard = guard.label(), %until,
                    "a rollback waits: {}: approve {decision}, or hold the numbers", guard.text()
                );
            }
            Entry::Closed { decision, channel, numbers, why } => {
                tracing::warn!(%decision, %channel, numbers = numbers.len(), "closed: {}", why.text());
            }
            Entry::Stage { decision, channel, numbers } => {
                tracing::warn!(%decision, %channel, numbers = numbers.len(), "restoring the next stage");
            }
            Entry::Result { decision, channel, number, result, detail } => {
                self.dispatched.remove(&(*decision, *number));
                self.ended(at, *decision, *channel, *number, *result, detail);
            }
            Entry::Mode { mode, .. } => metrics.set_mode(*mode),
            Entry::Adopted { number, channel, by, .. } => {
                let name = self.shared.roster.name(*number);
                tracing::info!(number = %name, %channel, %by, "the handler that it has now is adopted");
                if let Some(ix) = self.shared.roster.find(*number) {
                    metrics.drift(ix, *channel, false);
                }
            }
            Entry::Lost { decision, channel, number, until } => {
                let name = self.shared.roster.name(*number);
                tracing::warn!(%decision, number = %name, %channel, %until, "the answer to a write was lost: it may land until then");
            }
            Entry::Landed { decision, channel, number, on, .. } => {
                let name = self.shared.roster.name(*number);
                tracing::error!(%decision, number = %name, %channel, "a write of ours has landed late: {}", on.text());
                if let Some(ix) = self.shared.roster.find(*number) {
                    metrics.drift(ix, *channel, false);
                }
            }
            Entry::Decision(_)
            | Entry::Approved { .. }
            | Entry::Snapshot { .. }
            | Entry::Checked { .. }
            | Entry::Intent { .. }
            | Entry::Written { .. }
            | Entry::Recovered { .. }
            | Entry::Phase { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Ported { .. }
            | Entry::Port(_)
            | Entry::Drift { .. }
            | Entry::Started { .. }
            | Entry::Reloaded { .. }
            | Entry::Fallback { .. } => {}
        }
    }

    /// One number's part of an order has ended.
    fn ended(
        &mut self,
        at: Time,
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
        result: OrderResult,
        detail: &str,
    ) {
        let Some(operation) = self.orders().order(decision).map(|o| o.order.operation) else { return };
        let label = operation.label();
        match operation {
            // Counted with its proof, if there is to be one.
            Operation::Rollback if result == OrderResult::Written && self.can_prove(number, channel) => {
                self.uncounted.entry((decision, number, channel)).or_insert(at + PROVEN_WITHIN);
            }
            Operation::Rollback => self.count(at, decision, channel, number, result),
            Operation::Restore => {
                if let Some(order) = self.orders().order(decision).map(|o| &o.order) {
                    self.shared.metrics.restore(&order.group, channel, result);
                }
            }
            Operation::Apply | Operation::Undo => {
                if let Some(order) = self.orders().order(decision).map(|o| &o.order) {
                    self.shared.metrics.applied(&order.group, channel, operation, result);
                }
            }
        }
        let name = self.shared.roster.name(number);
        if result.is_as_asked() {
            let unproven =
                self.unprovable(operation, result, number, channel).map_or(String::new(), |why| format!("; {why}"));
            tracing::info!(%decision, number = %name, %channel, "{label}: {}: {detail}{unproven}", result.label());
        } else {
            tracing::error!(%decision, number = %name, %channel, result = result.label(), "{label}: {}: {detail}", result.text(Some(operation)));
        }
        if let (true, Some(ix)) = (result.is_as_asked(), self.shared.roster.find(number)) {
            self.shared.metrics.drift(ix, channel, false);
        }
    }

    /// Counts a rollback, once.
    fn count(&mut self, at: Time, decision: DecisionId, channel: Channel, number: NumberId, result: OrderResult) {
        let is_waited_for = self.uncounted.remove(&(decision, number, channel)).is_some();
        let is_proof = matches!(result, OrderResult::Proven | OrderResult::Unproven);
        let Some(order) = self.orders().order(decision) else { return };
        // What is proven after it was counted is not counted again.
        if is_waited_for || !is_proof || !self.counted.contains(&(decision, number, channel)) {
            let took = at.since(order.at);
            self.shared.metrics.rollback(&order.order.group, channel, order.order.by.label(), result, took);
            self.counted.insert((decision, number, channel));
        }
    }

    /// A rollback whose proof could not be measured is counted as what it is.
    pub(super) fn count_unmeasured(&mut self, now: Time, only: Option<(DecisionId, NumberId, Channel)>) {
        let is_due = |key: &(DecisionId, NumberId, Channel), until: Time| only.map_or(until <= now, |o| o == *key);
        let due: Vec<_> = self.uncounted.iter().filter(|(k, t)| is_due(k, **t)).map(|(k, _)| *k).collect();
        for (decision, number, channel) in due {
            self.count(now, decision, channel, number, OrderResult::Written);
        }
    }
}
