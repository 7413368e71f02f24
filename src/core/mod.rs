//! The decision, pure: facts in, commands out. No async, no input or output, no clock, no chance,
//! no logging.
//!
//! An entry of a log goes through these files in order: [`observation`] (what came in), [`ledger`]
//! (joined with its alerts and legs), [`outcome`] (was the caller served?), [`detect`] (do these say
//! that something broke?), [`verdict`] (in one word), [`policy`] (what to do about it). [`engine`] is
//! the only way in. [`roster`] is whom we watch, [`routes`] and [`routing`] who answers them.
//!
//! Nothing here may fail on what comes from outside: bad input was turned away at the rim. A test
//! (`tests/it/layers.rs`) fails on an import that would break the first paragraph.

pub mod code;
pub mod detect;
pub mod digits;
pub mod engine;
pub mod id;
pub mod ledger;
pub mod observation;
pub mod outcome;
pub mod policy;
pub mod roster;
pub mod routes;
pub mod routing;
pub mod time;
pub mod verdict;
