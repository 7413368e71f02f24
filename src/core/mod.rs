//! The decision, pure: facts in, commands out. No async, no input or output, no clock, no chance,
//! no logging.
//!
//! An entry of a log goes through these files in order: [`observation`] (what came in), [`ledger`]
//! (joined with its alerts and legs), [`outcome`] (was the caller served?), [`detect`] (do these say
//! that something broke?), [`verdict`] (in one word), [`policy`] (what to do about it). [`engine`] is
//! the only way in. [`roster`] is whom we watch, [`routes`] and [`routing`] who answers them.
//!
//! What is then done about it: [`hands`] holds decisions against the [`guard`]s and keeps each
//! number's [`saga`]; [`restore`] puts snapshots back; [`journal`] is what is kept of all this, and
//! [`recompute`] decides once more from it; [`news`] is what people are told of it, each time in a
//! [`notice`].
//!
//! Nothing here may fail on what comes from outside: bad input was turned away at the rim. A test
//! (`tests/it/layers.rs`) fails on an import that would break the first paragraph.

pub mod code;
pub mod detect;
pub mod digits;
pub mod engine;
pub mod guard;
pub mod hands;
pub mod hearing;
pub mod id;
pub mod journal;
pub mod ledger;
pub mod news;
pub mod notice;
pub mod objection;
pub mod observation;
pub mod operator;
pub mod order;
pub mod outcome;
pub mod policy;
pub mod probe;
pub mod reason;
pub mod recompute;
pub mod restore;
pub mod roster;
pub mod routes;
pub mod routing;
pub mod rules;
pub mod saga;
pub mod source;
pub mod time;
pub mod twiml;
pub mod values;
pub mod verdict;
