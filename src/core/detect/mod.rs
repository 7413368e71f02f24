//! From facts to a decision.
//!
//! An entry of a log goes through these files in order: [`observation`] (what came in), [`ledger`]
//! (joined with its alerts and child legs), [`outcome`] (was the caller served?), [`statistic`] (do these
//! say that something broke?). [`engine`] is the only way in, [`rules`] what the configuration says of it.

pub mod engine;
pub mod ledger;
pub mod observation;
pub mod outcome;
pub mod rules;
pub mod statistic;
