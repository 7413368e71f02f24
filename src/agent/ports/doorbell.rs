//! Twilio's porting webhook as a doorbell: whoever rings makes the poller look at once, and is believed in nothing.
//!
//! Rings while a look is due already are that look's. However often somebody rings, looks stay [`RUNG_AGAIN`] apart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// Between two looks that were rung for: with hundreds of numbers Twilio rings hundreds of times within a minute, and
/// each look reads every open request.
pub const RUNG_AGAIN: Duration = Duration::from_secs(15);

/// Who rings, and who hears it. Clones are the same bell.
#[derive(Clone, Debug, Default)]
pub struct Doorbell(Arc<Notify>);

impl Doorbell {
    /// Makes the next look come now.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Whoever has rung so far is served by the look that begins now.
    pub async fn answer(&self) {
        tokio::select! {
            biased;
            () = self.0.notified() => {}
            () = std::future::ready(()) => {}
        }
    }

    /// Waits until somebody rings, or has rung since the last time.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}
