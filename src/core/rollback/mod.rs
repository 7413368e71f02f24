//! From a decision to permitted steps, and what became of each.
//!
//! [`orders`] holds decisions against the [`guard`]s and follows each number's [`saga`]; [`operator`] does the same
//! for what a person orders, and [`command`] for a person's holds, approvals and modes; [`fallbacks`] says what is
//! known of where swaps lead, [`adopt`] when a number's handler is the right one, [`restore`] in which stages
//! snapshots are put back, and [`plan`] what is written to one number. [`late`] remembers writes whose answer was
//! lost, and [`look`] says what a look at a number shows. What `apply` writes has a life of its own below all that
//! ([`applied`], [`apply`]). Orders and sagas are a fold over the journal, whose entries are in [`entry`], and in
//! words in [`sentence`].

pub mod adopt;
pub mod applied;
pub mod apply;
pub mod command;
pub mod entry;
pub mod fallbacks;
pub mod guard;
pub mod late;
pub mod look;
pub mod operator;
pub mod orders;
pub mod plan;
pub mod restore;
pub mod saga;
pub mod sentence;
