//! Who answers a number: by Twilio's precedence ([`record`]), before and now ([`history`]), with which
//! TwiML ([`twiml`]), and what a write to it changes ([`values`]).

pub mod history;
pub mod record;
pub mod twiml;
pub mod values;
