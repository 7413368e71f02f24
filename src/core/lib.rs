//! The decision, pure: facts in, events and entries of the journal out. No async, no input or output, no clock, no
//! chance, no logging.
//!
//! The folders are floors, in the order of the journey from a fact to what people are told:
//!
//! | folder | is |
//! |---|---|
//! | [`model`] | the nouns that all share: numbers, instants, codes, decisions, orders, guards by name |
//! | [`port`] | how far each number's move to Twilio is, and whether the old provider may be cancelled |
//! | [`profile`] | what should ring: calls due by half-hour of the week, fitted to the records of the weeks before |
//! | [`routing`] | who answers a number: Twilio's precedence, what a number pointed at before, what a write changes |
//! | [`detect`] | from facts to a decision: the call ledger, outcomes, the statistic, the engine |
//! | [`rollback`] | from a decision to permitted steps: guards, orders, each number's saga, restores, the operator |
//! | [`probe`] | test calls: when to make them, what they showed, what was heard |
//! | [`notice`] | what people are told: incidents, and the notices they give rise to |
//! | [`control`] | the one object that owns engine, orders and incidents: what an entry of the journal changes |
//! | [`explain`] | a decision made once more, from what is stored |
//! | [`check`] | what must be true before the port day: facts that were gathered, findings with their codes |
//!
//! A file may use files of its own floor and of those above it in this table, and no others; no files
//! form a circle. [`probe`] knows nothing of [`rollback`], and [`rollback`] nothing of [`notice`].
//!
//! Nothing here may fail on what comes from outside: bad input was turned away at the rim.
//! `tests/it/layers.rs` fails on an import that would break one of these paragraphs.

pub mod check;
pub mod control;
pub mod detect;
pub mod explain;
pub mod model;
pub mod notice;
pub mod port;
pub mod probe;
pub mod profile;
pub mod rollback;
pub mod routing;
