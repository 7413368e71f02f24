//! What may stop a write at the last moment, right before its request goes to Twilio.
//!
//! Five things are asked, and the first that objects stops the write: does this agent hold the lease for as long
//! as the request may take; is the mode `observe`; does a hold cover the number. And of a rollback that nobody but
//! the detector asks for: was the mode changed since the rollback was let go, even if it was changed back; and can
//! the channel's logs still be read.
//!
//! A group's rollback takes a while. Whoever sets a hold in the middle of it means the numbers that
//! are still to come, so the executor asks here right before each of its writes. Updated by the control
//! task, read by the executor.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::core::model::decision::Mode;
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::Hold;
use crate::store::Store;

/// Less than this left of the lease, and nothing new is begun under it.
const LEAST: Duration = Duration::from_secs(5);

/// This much of the lease is left untouched by work under it: clocks and disks take their time.
const MARGIN: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct WriteGuard {
    clock: Clock,
    store: Store,
    policy: Arc<RwLock<WritePolicy>>,
}

struct WritePolicy {
    mode: Mode,
    /// How often it was changed: who changes it means what is still to come, also if it is changed back.
    changes: u64,
    holds: Vec<Hold>,
    /// Channels, by [`Channel::index`], of which nothing is known at present.
    is_blind: [bool; 2],
}

/// Who asked for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    Operator,
    /// And nobody else.
    Detector {
        /// How often the mode had been changed when the rollback was let go.
        mode_changes: u64,
    },
}

impl WriteGuard {
    pub fn new(clock: Clock, store: Store) -> WriteGuard {
        // Closed until somebody says otherwise.
        let policy = WritePolicy { mode: Mode::Observe, changes: 0, holds: Vec::new(), is_blind: [true; 2] };
        WriteGuard { clock, store, policy: Arc::new(RwLock::new(policy)) }
    }

    pub fn set(&self, mode: Mode, holds: Vec<Hold>, is_blind: [bool; 2]) {
        let mut policy = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        let changes = policy.changes + u64::from(policy.mode != mode);
        *policy = WritePolicy { mode, changes, holds, is_blind };
    }

    /// The detector, while the mode is what it is now.
    pub fn detector(&self) -> Initiator {
        Initiator::Detector { mode_changes: self.policy.read().unwrap_or_else(PoisonError::into_inner).changes }
    }

    /// True while the lease is ours as far as is known, without a look at the disk, which may hang.
    pub fn has_lease(&self) -> bool {
        self.store.lease_term(self.clock.now()) >= LEAST
    }

    /// True while this agent may act at all.
    pub fn is_leading(&self) -> bool {
        self.store.lease_left(self.clock.now()) >= LEAST
    }

    /// How long the next piece of work may take, or what stands against it.
    pub fn pass(
        &self,
        by: Initiator,
        group: &GroupName,
        number: NumberId,
        channel: Channel,
    ) -> Result<Duration, Guard> {
        let now = self.clock.now();
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        if !self.is_leading() {
            Err(Guard::Lease)
        } else if policy.mode == Mode::Observe {
            Err(Guard::Mode)
        } else if policy.holds.iter().any(|h| now < h.until && h.scope.covers(group, number, channel)) {
            Err(Guard::Hold)
        } else if matches!(by, Initiator::Detector { mode_changes } if mode_changes != policy.changes) {
            Err(Guard::Mode)
        } else if matches!(by, Initiator::Detector { .. }) && policy.is_blind[channel.index()] {
            Err(Guard::Blind)
        } else {
            Ok(self.store.lease_left(now).saturating_sub(MARGIN))
        }
    }
}
