//! What happened, for those who were not there: a manager, a change board, the next shift.
//!
//! A report is a pure function of its [`material`]: journal records with their chain, what was seen, what people were
//! told, and the rules of the day. The material travels inside the report, so that whoever has the file can
//! make it once more ([`verify`]): the chain is followed, every decision is decided again, the outcomes are counted
//! again, and the text that comes of it must be the text in the file, to the byte.
//!
//! * `gather`: the material, from the state alone; nothing is asked of Twilio or of a running agent;
//! * [`stand_in`]: entries without callers, secrets and SIDs, in which everything is still told apart;
//! * [`recount`]: outcomes and decisions, by the engine that the agent has;
//! * [`model`]: what a reader is to know, in order, as plain text and figures;
//! * [`html`], [`markdown`], [`plot`]: how it looks;
//! * [`handover`]: one page for the next shift.
//!
//! Promises: no caller is in it, in no form; handlers are shown as everywhere else, without what may be secret; every
//! text of others is escaped. What is not known is said, and an empty part has no heading.
//!
//! Deliberately absent: a signature. The chain tells accidents and careless hands; whoever can write the whole file and
//! the state knows how to make both anew. The chain's last hash, noted elsewhere, is what an auditor compares.

pub mod document;
pub mod gather;
pub mod handover;
pub mod html;
pub mod lines;
pub mod markdown;
pub mod material;
pub mod model;
pub mod open;
pub mod outcomes;
pub mod plot;
pub mod recount;
pub mod stand_in;
pub mod steps;
pub mod timeline;
pub mod verify;
pub mod words;

#[cfg(test)]
mod tests;
