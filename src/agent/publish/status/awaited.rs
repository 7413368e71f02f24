//! Proofs that are still to come.

use super::{Ended, NumberStatus, OrderStatus, Status};
use crate::core::model::id::NumberId;
use crate::core::model::order::{NOT_PROVEN_YET, Operation, OrderResult};

impl Status {
    /// Numbers of a rollback that were read back and whose proof is still to come: a test call is to be made or under
    /// way, and none has said that it cannot tell.
    pub fn proofs_awaited(&self, order: &OrderStatus) -> usize {
        let (operation, channel) = (order.order.operation, order.order.channel);
        let is_awaited = |ended: &&Ended| {
            let of_it = |n: &NumberStatus| n.id() == NumberId::new(ended.account, ended.number);
            let channels = self.numbers().filter(|(_, n)| of_it(n)).flat_map(|(_, n)| &n.channels);
            let mut seen = channels.filter(|c| c.channel == channel);
            ended.result == OrderResult::Written
                && !ended.detail.starts_with(NOT_PROVEN_YET)
                && seen.any(|c| c.can_be_proven && c.rollback_state == "read_back")
        };
        if operation == Operation::Rollback { order.ended.iter().filter(is_awaited).count() } else { 0 }
    }
}
