//! A period of an account's logs as a recording, which `replay` plays.
//!
//! Rows come from Twilio's lists, from its bulk exports or from the Console's CSV files ([`rows`]); what is written of
//! them is made harmless first ([`scrub`]): only fields that a decision may need, callers as stand-ins unless asked
//! otherwise, URLs as they may be shown. When an entry became visible to a poller Twilio does not say. Where the state
//! of an agent that watched has it, it is taken from there, and so are the agent's own test calls; otherwise it is
//! reckoned from when the entry ended ([`seen`]).
//!
//! Promises: nothing that a caller wrote and no text of a message is in a recording. Two recordings of one period with
//! one key are the same. What was fetched is kept page by page ([`part`]), so a second run goes on where the first
//! ended.

pub mod fetch;
pub mod part;
pub mod rows;
pub mod scrub;
pub mod seen;
