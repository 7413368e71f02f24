//! `[rehearsal]`: the spare number of the fire drill, and its handlers.

use super::address::shown;
use super::field::WholeNumber;
use super::section::{Located, Section};
use super::webhook::read_webhook;
use crate::core::model::id::{E164, GroupName};
use crate::core::model::roster::Roster;
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
pub fn read(mut s: Section<'_>, roster: &Roster) -> Option<Rehearsal> {
    let faults = s.faults();
    s.require("number", "name a spare number of the account that no caller knows");
    s.require("good_url", "name a voice URL that works");
    let number = s.parse::<WholeNumber>("number").map(|n| Located { value: n.value.0, span: n.span });
    let group = s.parse::<GroupName>("group");
    let known = |name: &GroupName| roster.groups().any(|(_, g)| g.name == *name);
    if let Some(unknown) = group.as_ref().filter(|g| !known(&g.value)) {
        let names: Vec<&str> = roster.groups().map(|(_, g)| g.name.as_str()).collect();
        let problem = format!("there is no group of this name; known here: {}", names.join(", "));
        faults.at(unknown.span.clone(), format!("{} = {:?}: {problem}", s.key("group"), unknown.value.as_str()));
    }
    let good = read_webhook(&mut s, "good_url");
    let keys = [("error_url", Variant::Error), ("timeout_url", Variant::Timeout), ("wrong_url", Variant::WrongAnswer)];
    if !keys.iter().any(|(key, _)| s.has(key)) {
        s.require(
            "error_url",
            "name a voice URL that answers HTTP 500; timeout_url and wrong_url are further variants",
        );
    }
    let mut broken = Vec::new();
    for (key, variant) in keys {
        let Some(url) = read_webhook(&mut s, key) else { continue };
        if Some(&url) == good.as_ref() {
            faults.at(
                s.span(),
                format!("{} = {}: is good_url as well; name one that is broken", s.key(key), shown(&url)),
            );
        }
        broken.push((variant, url));
    }
    s.finish();
    Some(Rehearsal { number: number?.value, group: group.map(|g| g.value), good: good?, broken })
}
