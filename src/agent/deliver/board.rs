//! Which notifiers do not deliver, for everybody who looks: a notice that never arrives says nothing of itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use crate::core::model::foreign::Line;
use crate::core::model::time::Time;

/// Titles that are kept of what was not delivered.
const TITLES: usize = 3;

/// A notifier that does not deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailingNotifier {
    pub name: String,
    #[schema(value_type = String)]
    pub since: Time,
    /// What came of the latest try; absent where none was made since the agent began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub error: Option<Line>,
    /// Notices that wait for it.
    #[schema(minimum = 0)]
    pub waiting: usize,
    /// Notices that were refused for good or given up since then.
    #[schema(minimum = 0)]
    pub lost: usize,
    /// What the latest of them say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub titles: Vec<Line>,
}

/// Where the delivery workers say it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct NotifierBoard {
    failing: Arc<Mutex<BTreeMap<String, FailingNotifier>>>,
    /// How many notifiers there are.
    all: Arc<AtomicUsize>,
}

impl NotifierBoard {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FailingNotifier>> {
        // Plain data, valid after any panic.
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that do not deliver, by name.
    pub fn failing(&self) -> Vec<FailingNotifier> {
        self.lock().values().cloned().collect()
    }

    /// There are so many, those that deliver among them.
    pub(super) fn are(&self, all: usize) {
        self.all.store(all, Ordering::Relaxed);
    }

    /// True if there are notifiers, and none of them delivers.
    pub fn is_nobody_told(&self) -> bool {
        let failing = self.lock().len();
        failing > 0 && failing >= self.all.load(Ordering::Relaxed)
    }

    /// It does not deliver, since then.
    pub(super) fn fails(&self, name: &str, since: Time, error: Option<&str>) {
        let mut all = self.lock();
        let known = all.entry(name.to_owned()).or_insert_with(|| FailingNotifier {
            name: name.to_owned(),
            since,
            error: None,
            waiting: 0,
            lost: 0,
            titles: Vec::new(),
        });
        if let Some(error) = error {
            known.error = Some(Line::new(error));
        }
    }

    /// So many notices wait for it, the latest of which say this; and `lost` more will never come.
    pub(super) fn undelivered(&self, name: &str, waiting: usize, titles: Vec<Line>, lost: usize) {
        if let Some(known) = self.lock().get_mut(name) {
            known.waiting = waiting;
            known.lost = known.lost.saturating_add(lost);
            if !titles.is_empty() {
                known.titles = titles.into_iter().take(TITLES).collect();
            }
        }
    }

    /// It delivers.
    pub(super) fn works(&self, name: &str) {
        self.lock().remove(name);
    }
}
