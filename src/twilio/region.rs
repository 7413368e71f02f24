//! In which region a number's calls are processed, remembered for an hour: one request a number, which a rollback
//! of a thousand numbers cannot wait for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::model::id::E164;
use crate::core::model::time::Time;

/// It is asked for again after this.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// The region of each number if it is another than the API's, and when that was read.
#[derive(Default)]
pub struct Regions(Mutex<HashMap<E164, (Time, Option<String>)>>);

impl Regions {
    fn lock(&self) -> MutexGuard<'_, HashMap<E164, (Time, Option<String>)>> {
        // Whole entries only: valid after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a number at `now`.
    pub fn get(&self, now: Time, number: E164) -> Option<Option<String>> {
        self.lock().get(&number).filter(|(at, _)| now < *at + KNOWN_FOR).map(|(_, region)| region.clone())
    }

    pub fn set(&self, now: Time, number: E164, region: Option<String>) {
        self.lock().insert(number, (now, region));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_known_for_an_hour() {
        let regions = Regions::default();
        let number: E164 = "+15005550100".parse().unwrap();
        assert_eq!(regions.get(Time::from_secs(0), number), None);
        regions.set(Time::from_secs(0), number, Some("ie1".into()));
        assert_eq!(regions.get(Time::from_secs(3599), number), Some(Some("ie1".into())));
        assert_eq!(regions.get(Time::from_secs(3600), number), None);
        regions.set(Time::from_secs(3600), number, None);
        assert_eq!(regions.get(Time::from_secs(3601), number), Some(None));
    }
}
