//! Twilio's silence, told to a person who waits: a command that acts by itself says so at once, and whenever it asks
//! again, instead of standing there without a word.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A request that has no answer after this is told of.
pub const TOLD_AFTER: Duration = Duration::from_millis(1500);

/// Who is told; nobody unless somebody waits.
#[derive(Clone, Default)]
pub struct SilenceListener(Option<Arc<dyn Fn(&str) + Send + Sync>>);

impl SilenceListener {
    pub fn told_to(who: impl Fn(&str) + Send + Sync + 'static) -> SilenceListener {
        SilenceListener(Some(Arc::new(who)))
    }

    pub const fn is_told(&self) -> bool {
        self.0.is_some()
    }

    pub fn tell(&self, text: &str) {
        if let Some(who) = &self.0 {
            who(text);
        }
    }
}

impl fmt::Debug for SilenceListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_told() { "told" } else { "not told" })
    }
}
