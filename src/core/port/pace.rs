//! How soon the Porting API is asked again: as the most urgent number needs it.
//!
//! A look is one request for the list and one for each request that is open. The first callers come with the port, and
//! tell of it themselves, so that a minute is soon enough.

use std::time::Duration;

use super::news::PortState;
use super::status::Progress;
use crate::model::time::Time;

/// A port is due, or overdue.
pub const URGENT: Duration = Duration::from_secs(60);

/// A port is due within a day, or long overdue.
pub const NEAR: Duration = Duration::from_secs(5 * 60);

/// A port is under way.
pub const OPEN: Duration = Duration::from_secs(15 * 60);

/// Nothing is under way: somebody may make a request.
pub const IDLE: Duration = Duration::from_secs(3600);

/// So long before its date, and after it, a port may be through at any moment. Source: Twilio's API description: dates
/// are targets, and carriers may not hit the time.
const BEFORE: Duration = Duration::from_secs(2 * 3600);
const AFTER: Duration = Duration::from_secs(12 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long after a look the next one is due.
pub fn next_look<'a>(now: Time, ports: impl Iterator<Item = &'a PortState>) -> Duration {
    let pace = |state: &PortState| match (state.status.progress(), state.date) {
        (Progress::Done, _) => IDLE,
        (Progress::Open | Progress::Untold, Some(date)) if now + BEFORE >= date && now <= date + AFTER => URGENT,
        (Progress::Open | Progress::Untold, Some(date)) if now + DAY >= date => NEAR,
        (Progress::Open | Progress::Untold | Progress::Trouble, _) => OPEN,
    };
    ports.map(pace).min().unwrap_or(IDLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::status::PortStatus;

    #[test]
    fn the_most_urgent_number_sets_the_pace() {
        let now = Time::from_secs(1_000_000);
        let due = |status, hours: i64| PortState {
            date: Some(Time::from_secs(1_000_000 + hours * 3600)),
            ..PortState::of(status)
        };
        let pace = |states: &[PortState]| next_look(now, states.iter());
        assert_eq!(pace(&[]), IDLE);
        let done = due(PortStatus::Completed, -1);
        assert_eq!(pace(std::slice::from_ref(&done)), IDLE);
        let far = due(PortStatus::DateConfirmed, 48);
        assert_eq!(pace(&[done.clone(), far.clone()]), OPEN);
        assert_eq!(pace(&[PortState::of(PortStatus::Rejected)]), OPEN);
        for (hours, is) in [(23, NEAR), (2, URGENT), (0, URGENT), (-12, URGENT), (-13, NEAR)] {
            assert_eq!(pace(&[far.clone(), due(PortStatus::DateConfirmed, hours)]), is, "{hours}");
        }
        assert_eq!(pace(&[due(PortStatus::Rejected, 1)]), OPEN, "nothing will come of it at that date");
    }
}
