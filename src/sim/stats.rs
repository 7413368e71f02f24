//! What was asked of the simulator: for tests of who asks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::http::route::EndpointClass;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// By method and kind (`"GET calls"`), then by status; `hang`, `cut` and `drop` for answers that
    /// never arrived whole.
    pub requests: BTreeMap<String, BTreeMap<String, u64>>,
    /// The most requests at once.
    pub most_at_once: usize,
    /// Answers of 429.
    pub too_many: u64,
    /// Requests to the company's own webhooks, signed as Twilio's.
    pub handler_requests: u64,
    /// Attempts to release a number. Must be zero, always.
    pub releases: u64,
}

impl Stats {
    pub(super) fn count(&mut self, method: &str, class: EndpointClass, outcome: String, at_once: usize) {
        self.most_at_once = self.most_at_once.max(at_once);
        self.too_many += u64::from(outcome == "429");
        self.releases += u64::from(class == EndpointClass::NumberDelete);
        let kind = format!("{method} {}", class.label());
        *self.requests.entry(kind).or_default().entry(outcome).or_default() += 1;
    }

    /// How many requests of this kind were answered so.
    pub fn of(&self, kind: &str, outcome: &str) -> u64 {
        self.requests.get(kind).and_then(|by| by.get(outcome)).copied().unwrap_or(0)
    }
}
