//! Ringback stands watch on the day a company's phone numbers port to Twilio.
pub mod clock;
pub mod core;
pub mod sim;
