//! What may stop a write at the last moment, right before the first byte of its request goes to Twilio.
//!
//! Five things are asked, and the first that objects stops the write: does this agent hold the lease for as long
//! as the request may take; is the mode `observe`; does a hold cover the number. And of a rollback that nobody but
//! the detector asks for: was the mode changed since the rollback was let go, even if it was changed back; and can
//! the channel's logs still be read.
//!
//! Whoever stops means what is under way, and not only for as long as the stop lasts: what was let go before a hold or
//! before `observe` is not done after them either.
//!
//! A group's rollback takes a while. Whoever sets a hold in the middle of it means the numbers that are still to come,
//! so a [`Pass`] is asked for each write: when its request has its place, and again when it has its connection. A
//! write that passes then has begun, and is known as under way until it has its answer. So, once [`WriteGuard::set`]
//! has returned, whatever it forbids has begun before and is among [`WriteGuard::under_way`], or never begins. So it is
//! once the agent stops ([`WriteGuard::end`]): who stops it need not wait for a whole group, and nobody can say stop to
//! it in the meantime. Updated by the control task, read by the executor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::core::model::decision::Mode;
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::{Hold, Scope};
use crate::core::model::time::Time;
use crate::store::Store;
use crate::twilio::gate::Gate;

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
    /// Stops so far, and what the latest of them were about: `None` is everything.
    stops: u64,
    stopped: VecDeque<(u64, Option<Scope>)>,
    /// Channels, by [`Channel::index`], of which nothing is known at present.
    is_blind: [bool; 2],
    /// Writes that have begun and have no answer so far.
    under_way: BTreeMap<u64, Write>,
    begun: u64,
    /// This agent stops.
    is_ending: bool,
    /// The latest entry could not be written to the journal.
    is_unwritable: bool,
}

/// One write of one number.
#[derive(Debug, Clone)]
pub struct Write {
    pub by: Initiator,
    pub group: GroupName,
    pub number: NumberId,
    pub channel: Channel,
}

/// A write's way past the guard.
#[derive(Clone)]
pub struct Pass {
    guard: WriteGuard,
    write: Write,
}

/// A write that has begun, until it has its answer.
pub struct UnderWay {
    policy: Arc<RwLock<WritePolicy>>,
    id: u64,
}

/// What stands against a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    Guard(Guard),
    /// This agent stops: what has not begun is left to the next one.
    Ending,
}

/// Who asked for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// An operator, with an order that was let go after so many stops.
    Operator { stops: u64 },
    /// Of an order that was stopped since it was given: it may be looked at, and nothing more is written of it.
    Stopped,
    /// Nobody but the detector, with a rollback that was let go when the mode had been changed so often.
    Detector { mode_changes: u64, stops: u64 },
}

/// So many stops are told apart. What was let go before earlier ones is stopped by any of them.
const STOPS: usize = 256;

impl WritePolicy {
    fn stop(&mut self, scope: Option<Scope>) {
        self.stops += 1;
        self.stopped.push_back((self.stops, scope));
        if self.stopped.len() > STOPS {
            self.stopped.pop_front();
        }
    }

    /// What has stopped what was let go so long ago, of those that are about this number.
    fn has_stopped(&self, write: &Write) -> Option<Guard> {
        let (Initiator::Operator { stops } | Initiator::Detector { stops, .. }) = write.by else { return None };
        if self.stopped.front().is_some_and(|(first, _)| stops + 1 < *first) {
            return Some(Guard::Hold);
        }
        let mut since = self.stopped.iter().filter(|(at, _)| stops < *at);
        since
            .rfind(|(_, scope)| scope.as_ref().is_none_or(|s| write.is_in(s)))
            .map(|(_, scope)| if scope.is_none() { Guard::Mode } else { Guard::Hold })
    }

    /// What stands against a write, the lease apart.
    fn objection(&self, now: Time, write: &Write) -> Option<Objection> {
        if self.is_ending { Some(Objection::Ending) } else { self.guard(now, write).map(Objection::Guard) }
    }

    fn guard(&self, now: Time, write: &Write) -> Option<Guard> {
        if self.mode == Mode::Observe {
            Some(Guard::Mode)
        } else if self.holds.iter().any(|h| now < h.until && write.is_in(&h.scope)) {
            Some(Guard::Hold)
        } else if matches!(write.by, Initiator::Stopped)
            || matches!(write.by, Initiator::Detector { mode_changes, .. } if mode_changes != self.changes)
        {
            Some(Guard::Mode)
        } else if let Some(guard) = self.has_stopped(write) {
            Some(guard)
        } else if matches!(write.by, Initiator::Detector { .. }) && self.is_blind[write.channel.index()] {
            Some(Guard::Blind)
        } else {
            None
        }
    }
}

impl Write {
    fn is_in(&self, scope: &Scope) -> bool {
        scope.covers(&self.group, self.number, self.channel)
    }
}

impl WriteGuard {
    pub fn new(clock: Clock, store: Store) -> WriteGuard {
        // Closed until somebody says otherwise.
        let policy = WritePolicy {
            mode: Mode::Observe,
            changes: 0,
            holds: Vec::new(),
            stops: 0,
            stopped: VecDeque::new(),
            is_blind: [true; 2],
            under_way: BTreeMap::new(),
            begun: 0,
            is_ending: false,
            is_unwritable: false,
        };
        WriteGuard { clock, store, policy: Arc::new(RwLock::new(policy)) }
    }

    /// What is said where [`WriteGuard::has_lease`] is false.
    pub const NO_LEASE: &'static str =
        "the lease could not be prolonged, so nothing can be written: look at the state's disk";

    /// What is said while the journal cannot be written.
    pub const NO_JOURNAL: &'static str =
        "the journal cannot be written, so nothing is decided and no command is kept: look at the state's disk";

    /// Whether the latest entry could be written to the journal.
    pub fn journaled(&self, is_written: bool) {
        self.policy.write().unwrap_or_else(PoisonError::into_inner).is_unwritable = !is_written;
    }

    /// Why nothing can be written to a number or to the journal, as far as is known; `None` if both can.
    pub fn trouble(&self) -> Option<&'static str> {
        if !self.has_lease() {
            return Some(WriteGuard::NO_LEASE);
        }
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        policy.is_unwritable.then_some(WriteGuard::NO_JOURNAL)
    }

    /// A person says stop, and it cannot be written down: what was let go before is not begun any more all the same.
    pub fn stop(&self, scopes: &[Scope]) {
        let mut policy = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        scopes.iter().for_each(|scope| policy.stop(Some(scope.clone())));
    }

    pub fn set(&self, mode: Mode, holds: Vec<Hold>, is_blind: [bool; 2]) {
        let mut policy = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        policy.changes += u64::from(policy.mode != mode);
        if policy.mode != mode && mode == Mode::Observe {
            policy.stop(None);
        }
        let new: Vec<Scope> = holds.iter().filter(|h| !policy.holds.contains(h)).map(|h| h.scope.clone()).collect();
        new.into_iter().for_each(|scope| policy.stop(Some(scope)));
        (policy.mode, policy.holds, policy.is_blind) = (mode, holds, is_blind);
    }

    /// An operator, now.
    pub fn operator(&self) -> Initiator {
        Initiator::Operator { stops: self.policy.read().unwrap_or_else(PoisonError::into_inner).stops }
    }

    /// The detector, while the mode is what it is now.
    pub fn detector(&self) -> Initiator {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        Initiator::Detector { mode_changes: policy.changes, stops: policy.stops }
    }

    /// True while the lease is ours as far as is known, without a look at the disk, which may hang.
    pub fn has_lease(&self) -> bool {
        self.store.lease_term(self.clock.now()) >= LEAST
    }

    /// True while this agent may act at all.
    pub fn is_leading(&self) -> bool {
        self.store.lease_left(self.clock.now()) >= LEAST
    }

    /// This agent stops: no write begins any more.
    pub fn end(&self) {
        self.policy.write().unwrap_or_else(PoisonError::into_inner).is_ending = true;
    }

    /// The way of this write past the guard.
    pub fn pass(&self, write: Write) -> Pass {
        Pass { guard: self.clone(), write }
    }

    /// Numbers to which writes have begun that have no answer so far. Nobody can call them back.
    pub fn under_way(&self, scopes: &[Scope]) -> BTreeSet<NumberId> {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        let stopped = policy.under_way.values().filter(|write| scopes.iter().any(|s| write.is_in(s)));
        stopped.map(|write| write.number).collect()
    }
}

impl Gate for Pass {
    type Stop = Objection;
    type Begun = UnderWay;

    fn may(&self) -> Result<Duration, Objection> {
        let now = self.guard.clock.now();
        let left = self.guard.store.lease_left(now);
        if left < LEAST {
            return Err(Objection::Guard(Guard::Lease));
        }
        let policy = self.guard.policy.read().unwrap_or_else(PoisonError::into_inner);
        policy.objection(now, &self.write).map_or_else(|| Ok(left.saturating_sub(MARGIN)), Err)
    }

    fn begin(&self) -> Result<UnderWay, Objection> {
        let now = self.guard.clock.now();
        // The disk may hang: nobody waits for it who sets a hold.
        if self.guard.store.lease_left(now) < LEAST {
            return Err(Objection::Guard(Guard::Lease));
        }
        // Whoever says stop comes before this, or finds the write among those that have begun.
        let mut policy = self.guard.policy.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(objection) = policy.objection(now, &self.write) {
            return Err(objection);
        }
        policy.begun += 1;
        let id = policy.begun;
        policy.under_way.insert(id, self.write.clone());
        Ok(UnderWay { policy: self.guard.policy.clone(), id })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.policy.write().unwrap_or_else(PoisonError::into_inner).under_way.remove(&self.id);
    }
}
