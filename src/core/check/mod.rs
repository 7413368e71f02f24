//! What must be true before the port day: facts that were gathered in, findings out.
//!
//! Each check ends in one of three ways: it passed, it found something, or it was *not looked at*, with the reason. The
//! third is neither good nor bad (law 4), and the verdict says so. What failed skips what depends on it and nothing
//! else: one run shows everything that can be shown.
//!
//! * [`code`]: what can be found, one code each, with what people read of it;
//! * [`dials`]: whom a document dials;
//! * [`facts`]: what the shell (`check` there) has looked at;
//! * [`report`]: what was made of it, the same finding of a thousand numbers being one, and the verdict;
//! * `account`, `numbers`, `webhooks`, `host`, `history`, `registration`: the rules, by what they are about;
//! * [`text`]: the report for people.
//!
//! Promises: no rule asks anything or knows the time; the same facts give the same report, byte for byte. Nothing of a
//! caller's is in it, and no secret: URLs are shown without user, query and fragment.

mod account;
pub mod code;
pub mod dials;
pub mod facts;
mod history;
mod host;
mod numbers;
mod registration;
pub mod report;
pub mod text;
mod webhooks;

#[cfg(test)]
mod tests;

use crate::model::roster::Roster;
use facts::Facts;
use report::{Finder, Report};

/// What the facts amount to.
pub fn check(facts: &Facts, roster: &Roster) -> Report {
    let mut finder = Finder::new(roster);
    account::check(facts, &mut finder);
    numbers::check(facts, &mut finder);
    webhooks::check(facts, &mut finder);
    host::check(facts, &mut finder);
    history::check(facts, &mut finder);
    registration::check(facts, &mut finder);
    finder.end(facts)
}
