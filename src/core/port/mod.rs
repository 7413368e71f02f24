//! The port itself: how far each number's move to Twilio is, by which evidence, and what follows from that.
//!
//! Twilio's Porting API covers numbers of the United States that are neither toll-free nor hosted. Of all others, and
//! where the API may not be asked, other evidence speaks: an operator's word, a first caller, a date. Whatever is said
//! of a number says which evidence it rests on, and what could not be looked at is said and taken for nothing.
//!
//! * [`status`]: Twilio's words for how far a port is, in any writing;
//! * [`rejection`]: why a port was refused, and what cures it;
//! * [`news`]: what is kept in the journal about ports;
//! * [`ports`]: the memory of it, a fold over the journal;
//! * [`pace`]: how soon to look again;
//! * [`report`]: everything that is known of the ports, for people and programs;
//! * [`sight`]: what could be looked at;
//! * [`checklist`]: whether the old provider may be cancelled;
//! * [`prepare`]: what must be true before the request is made.
//!
//! Promises: a completed port never becomes an open one again. The old provider may be cancelled only if every number
//! says so by itself. The losing carrier's account, PIN and free words have no place in any of these types.

pub mod checklist;
pub mod news;
pub mod pace;
pub mod ports;
pub mod prepare;
pub mod rejection;
pub mod report;
pub mod sight;
pub mod status;
