//! The nouns that every floor of the core shares. No rules: what may be done with them is said by the
//! floors below.

pub mod address;
pub mod barrier;
pub mod bounds;
pub mod code;
pub mod counted;
pub mod decision;
pub mod dialled;
pub mod digits;
pub mod expected;
pub mod facts;
pub mod foreign;
pub mod guard;
pub mod handler;
pub mod id;
pub mod nearest;
pub mod order;
pub mod reason;
pub mod redact;
pub mod reserved;
pub mod roster;
pub mod source;
pub mod time;
pub mod value;
pub mod verdict;
