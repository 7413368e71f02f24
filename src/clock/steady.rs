//! The machine's time, unmoved by whoever sets its clock.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::core::model::time::Time;

/// What `run` goes by.
pub static SYSTEM: LazyLock<Steady> = LazyLock::new(|| Steady::begin(machines(), running()));

/// What the machine's clock shows.
pub fn machines() -> Time {
    jiff::Timestamp::now().into()
}

/// How long the machine has been running, asleep or not, in milliseconds: nobody sets this clock.
pub fn running() -> i64 {
    #[cfg(target_os = "linux")]
    const RUNNING: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const RUNNING: ClockId = ClockId::Monotonic;
    let t = clock_gettime(RUNNING);
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

/// The machine's time as it was once, and what has passed since.
pub struct Steady {
    /// The time when the machine began to run, in milliseconds.
    began: AtomicI64,
}

impl Steady {
    const fn begin(machines: Time, running: i64) -> Steady {
        Steady { began: AtomicI64::new(machines.as_millis() - running) }
    }

    pub fn now(&self, running: i64) -> Time {
        Time::from_millis(self.began.load(Ordering::Relaxed) + running)
    }

    /// Goes by the machine's clock again if that agrees with `theirs`. True if it does.
    pub fn correct(&self, machines: Time, running: i64, theirs: Time, within: Duration) -> bool {
        let agrees = machines.since(theirs).max(theirs.since(machines)) <= within;
        if agrees {
            self.began.store(machines.as_millis() - running, Ordering::Relaxed);
        }
        agrees
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set back or forward, time goes on as if nothing had happened, until somebody else's clock says that it is this
    /// one that is wrong.
    #[test]
    fn whoever_sets_the_machines_clock_does_not_move_ours() {
        let at = |secs: i64| Time::from_secs(1_000_000 + secs);
        let minute = Duration::from_secs(60);
        let clock = Steady::begin(at(0), 500_000);
        let told = |secs: i64| clock.now(500_000 + secs * 1000);
        assert_eq!([0, 10, 20].map(told), [0, 10, 20].map(at));
        // The machine is set back by two hours, and Twilio's is not: ours is right.
        assert!(!clock.correct(at(20 - 7200), 520_000, at(21), minute));
        assert_eq!(told(30), at(30));
        // The machine was two hours late from the beginning, and has been set.
        assert!(clock.correct(at(7240), 540_000, at(7241), minute));
        assert_eq!(told(50), at(7250));
    }
}
