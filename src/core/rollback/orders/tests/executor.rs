//! An executor that takes the steps of the real one, and can be stopped between any two of them.

use super::*;
use crate::model::value::FieldValue;

/// A part of its work was cut off.
pub(super) struct Killed;

impl World {
    /// The executor, one number at a time: the steps of the real one.
    pub(super) fn work(&mut self, stop_after: Option<u8>, fault: u8) -> Result<(), Killed> {
        let mut budget = stop_after.map_or(u32::MAX, u32::from);
        let mut tick = || {
            budget = budget.checked_sub(1).ok_or(Killed)?;
            Ok(())
        };
        let work: Vec<(Order, Vec<NumberId>)> =
            self.orders.open_orders().map(|p| (p.order.clone(), p.left())).collect();
        for (order, numbers) in work {
            for n in numbers {
                self.carry_out(&order, n, fault, &mut tick)?;
            }
        }
        Ok(())
    }

    fn may_write(&self, n: NumberId) -> bool {
        self.is_leading
            && self.orders.mode() != Mode::Observe
            && self.orders.held_by(self.now, &group(), n, VOICE).is_none()
    }

    fn carry_out(
        &mut self,
        order: &Order,
        n: NumberId,
        fault: u8,
        tick: &mut impl FnMut() -> Result<(), Killed>,
    ) -> Result<(), Killed> {
        let (decision, channel) = (order.id, VOICE);
        let sid = NumberSid::from_u128(1);
        let end = |w: &mut World, result| {
            w.write(Entry::Result { decision, channel, number: n, result, detail: String::new() });
        };
        let read = |w: &World| RoutingValues::read(&record(&w.urls[&n]), VOICE).unwrap();
        let state = self.orders.state(n, VOICE).clone();
        let (update, unwritten) = match (order.operation, &state) {
            (Operation::Rollback, s) if s.is_on_fallback() && !s.is_under_way() => {
                end(self, OrderResult::Written);
                return Ok(());
            }
            (Operation::Rollback, SagaState::Intended(swap) | SagaState::Written(swap)) if swap.order == decision => {
                (swap.wrote.clone(), RoutingValues::read(swap.before.record.whole(), VOICE).unwrap())
            }
            (Operation::Rollback, SagaState::Unproven(_))
                if !plan::left(&state, VOICE).unwrap().contains(&read(self)) =>
            {
                end(self, OrderResult::Superseded);
                return Ok(());
            }
            (Operation::Apply | Operation::Undo, _) => panic!("nobody applies here"),
            (Operation::Rollback, _) => {
                tick()?;
                let (record, update) =
                    (record(&self.urls[&n]), vec![("VoiceUrl".to_owned(), FieldValue::from("https://bin"))]);
                let unwritten = read(self);
                // One transaction: all three or none.
                self.write(Entry::Snapshot {
                    decision,
                    channel,
                    number: n,
                    sid,
                    record: record.into(),
                    sha256: "x".into(),
                });
                self.write(Entry::Checked { decision, channel, number: n, fallback: FallbackState::Good });
                self.write(Entry::Intent {
                    decision,
                    channel,
                    number: n,
                    sid,
                    operation: Operation::Rollback,
                    update: update.clone(),
                });
                (update, unwritten)
            }
            (Operation::Restore, s) => {
                let Some(swap) = s.swap() else {
                    end(self, OrderResult::Restored);
                    return Ok(());
                };
                let before = RoutingValues::read(swap.before.record.whole(), VOICE).unwrap();
                let (ours, update) = (before.after(&swap.wrote), before.undo(&swap.wrote));
                let is_intended = matches!(s, SagaState::Restoring { order: o, .. } | SagaState::RestoreWritten { order: o, .. } if *o == decision);
                let now = read(self);
                if !is_intended && now == before {
                    end(self, OrderResult::Restored);
                    return Ok(());
                }
                if matches!(s, SagaState::Superseded { .. }) && !order.force {
                    end(self, OrderResult::Superseded);
                    return Ok(());
                }
                if !is_intended && !order.force && now != ours {
                    end(self, OrderResult::Superseded);
                    return Ok(());
                }
                if !is_intended {
                    tick()?;
                    self.write(Entry::Intent {
                        decision,
                        channel,
                        number: n,
                        sid,
                        operation: Operation::Restore,
                        update: update.clone(),
                    });
                }
                (update, if order.force { now } else { ours })
            }
        };
        tick()?;
        let written = unwritten.after(&update);
        let now = read(self);
        if now != written {
            if now != unwritten && !order.force {
                end(self, OrderResult::Superseded);
                return Ok(());
            }
            if !self.may_write(n) {
                end(self, OrderResult::Refused);
                return Ok(());
            }
            // Law 1: the intent is in the journal, and the snapshot before it.
            let is_intended = |(_, e): &(Time, Entry)| matches!(e, Entry::Intent { decision: d, number, .. } if *d == decision && *number == n);
            assert!(self.journal.iter().any(is_intended), "written without an intent");
            let is_snapshot = |(_, e): &(Time, Entry)| matches!(e, Entry::Snapshot { number, .. } if *number == n);
            assert!(self.journal.iter().any(is_snapshot), "written without a snapshot");
            match fault {
                // Refused by Twilio.
                0 => {
                    end(self, OrderResult::Failed);
                    return Ok(());
                }
                // Answered, and without effect.
                1 => {}
                _ => {
                    self.urls.insert(n, update[0].1.whole().to_owned());
                    let writes = self.writes.entry((decision, n)).or_default();
                    *writes += 1;
                    // Whoever forces writes over what others have written meanwhile
                    assert!(*writes == 1 || order.force, "written twice for one decision");
                }
            }
        }
        tick()?;
        self.write(Entry::Written { decision, channel, number: n });
        tick()?;
        let now = read(self);
        let result = match order.operation {
            Operation::Rollback if now == written => OrderResult::Written,
            Operation::Rollback => OrderResult::Unproven,
            Operation::Restore if now == written => OrderResult::Restored,
            Operation::Restore if now == unwritten => OrderResult::Failed,
            Operation::Restore => OrderResult::Superseded,
            Operation::Apply | Operation::Undo => panic!("nobody applies here"),
        };
        end(self, result);
        Ok(())
    }
}
