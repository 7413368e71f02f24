//! Commands that ask Twilio themselves say so when it does not answer, and while they ask again.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::complain;
use crate::clock::Clock;
use crate::config::{BadConfig, Config, ProcessEnv};
use crate::twilio::SilenceListener;

/// Many requests wait at the same time, and each would say the same.
const EVERY: Duration = Duration::from_secs(1);

/// The configuration, of a command that a person waits for.
pub fn load(path: &Path) -> Result<Config, BadConfig> {
    let mut config = Config::load(path, &ProcessEnv)?;
    config.twilio.silence = told();
    Ok(config)
}

/// Tells it on the error stream.
pub fn told() -> SilenceListener {
    let (clock, said) = (Clock::system(), Mutex::new((None::<Duration>, String::new())));
    SilenceListener::told_to(move |text| {
        let now = clock.monotonic();
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.1 == text || said.0.is_some_and(|at| now < at + EVERY) {
            return;
        }
        *said = (Some(now), text.to_owned());
        complain(&format!("ringback: waiting for Twilio: {text}"));
    })
}
