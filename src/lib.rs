//! Ringback stands watch on the day a company's phone numbers port to Twilio.
pub mod clock;
pub mod config;
pub mod core;
pub mod metrics;
pub mod party;
pub mod sim;
pub mod twilio;
