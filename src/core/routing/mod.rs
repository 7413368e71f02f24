//! Who answers a number: by Twilio's precedence ([`record`]), before and now ([`history`]), with which
//! TwiML ([`twiml`]), what a write to it changes ([`values`]), and what it takes to make it what the file asks for
//! ([`wanted`], and for many numbers [`planned`] and [`saved`]). Whose handlers numbers are handed over to is in
//! [`owner`].

pub mod history;
pub mod owner;
pub mod planned;
pub mod record;
pub mod saved;
pub mod twiml;
pub mod values;
pub mod wanted;
