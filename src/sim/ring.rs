//! The porting webhook: what becomes of ports is posted to an address, as Twilio's porting webhooks do.
//!
//! Nobody waits for the answer, and nothing is posted again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Sim;

/// How often it is looked whether there is something to post.
const EVERY: Duration = Duration::from_secs(1);

impl Sim {
    /// Posts to `url` whatever becomes of ports, until `stop`.
    pub async fn ring(self, url: String, stop: CancellationToken) {
        // Installing it twice is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build();
        let Ok(client) = client else { return };
        let clock = self.clock().clone();
        // What was before is nobody's news.
        drop(self.present().world.take_port_webhooks());
        while clock.wait(Some(clock.now() + EVERY), stop.cancelled()).await.is_none() {
            let due = self.present().world.take_port_webhooks();
            for webhook in due {
                // As Twilio's: nobody is told that it has failed.
                let _unheard = client
                    .post(&url)
                    .header("content-type", "application/json")
                    .body(serde_json::to_vec(&webhook).unwrap_or_default())
                    .send()
                    .await;
            }
        }
    }
}
