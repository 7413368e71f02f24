//! The decision, pure: facts in, commands out. No async, no input or output, no clock, no chance.
pub mod id;
pub mod time;
