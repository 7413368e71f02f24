//! `[rehearsal]`: the spare number of the fire drill, and its handlers.

use super::group::read_webhook;
use super::section::Section;
use crate::core::id::{E164, GroupName};
use crate::rehearse::report::Variant;

/// What a fire drill needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// A number of the account that no caller knows.
    pub number: E164,
    /// The group whose fallback and test calls are rehearsed; the first that has both, if absent.
    pub group: Option<GroupName>,
    /// A handler that works.
    pub good: String,
    /// Handlers that do not, each in its own way.
    pub broken: Vec<(Variant, String)>,
}

/// Reads `[rehearsal]`.
pub fn read(mut s: Section<'_>) -> Option<Rehearsal> {
    s.require("number", "name a spare number of the account that no caller knows");
    s.require("good_url", "name a voice URL that works");
    let number = s.parse::<E164>("number");
    let group = s.parse::<GroupName>("group").map(|g| g.value);
    let good = read_webhook(&mut s, "good_url");
    let keys = [("error_url", Variant::Error), ("timeout_url", Variant::Timeout), ("wrong_url", Variant::WrongAnswer)];
    let broken: Vec<(Variant, String)> =
        keys.into_iter().filter_map(|(key, variant)| Some((variant, read_webhook(&mut s, key)?))).collect();
    if broken.is_empty() {
        s.require(
            "error_url",
            "name a voice URL that answers HTTP 500; timeout_url and wrong_url are further variants",
        );
    }
    s.finish();
    Some(Rehearsal { number: number?.value, group, good: good?, broken })
}
