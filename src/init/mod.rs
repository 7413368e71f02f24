//! The first configuration: from what an account has, and from the old provider's list, to a file that the agent
//! starts with.
//!
//! Whoever writes such a file by hand learns on port day what was forgotten in it: a number, a channel, who answers.
//! The account knows most of that. [`account`] reads it, [`propose`] puts together which numbers belong together, by
//! who really answers them, [`text`] words it with what is still to be filled in, and [`files`] writes it down.
//!
//! Promises: nothing is written to the account, and nothing is guessed in silence. What could not be read stands in the
//! file and on the terminal (law 4); no secret stands in either (law 11): handlers' URLs are told as everywhere else.
//! The file watches and decides, and writes nothing, until a person says so: it begins in `observe`.

pub mod account;
pub mod files;
pub mod propose;
pub mod text;
