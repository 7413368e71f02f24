//! How far the numbers' ports are: looked at in Twilio's Porting API, read only.
//!
//! | file | is |
//! |---|---|
//! | [`look`] | one look: the requests, and the numbers of those that may have news |
//! | [`poller`] | looks again and again, as the most urgent number needs it |
//! | [`doorbell`] | whoever rings makes it look at once |
//! | [`alone`] | the same without an agent: what the API, the account and the journal say together |
//!
//! Where the API may not be asked, or covers nothing, other evidence speaks: an operator's word, a first caller, a
//! date. What could not be looked at is said, and taken for nothing.

pub mod alone;
pub mod doorbell;
pub mod look;
pub mod poller;
