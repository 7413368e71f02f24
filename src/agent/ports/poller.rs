//! Looks at the Porting API again and again, as soon as the most urgent number needs it, or somebody rings.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::doorbell::{Doorbell, RUNG_AGAIN};
use super::look::PortLook;
use crate::agent::{ControlMessage, Shared};
use crate::core::port::pace::{IDLE, NEAR, next_look};
use crate::core::port::sight::ApiSight;

/// Looks until `stop`.
pub async fn run(shared: Shared, bell: Doorbell, stop: CancellationToken) {
    let clock = shared.clock.clone();
    let mut look = PortLook::default();
    let mut said = false;
    while !stop.is_cancelled() {
        bell.answer().await;
        let started = clock.now();
        let (sight, found) = look.look(started, &shared.client, &shared.roster).await;
        // Once when it starts: the metric has it while it lasts.
        let is_unread = !matches!(sight, ApiSight::Read { .. });
        if let (true, false, Some(text)) = (is_unread, said, sight.text()) {
            tracing::warn!("{text}");
        }
        said = is_unread;
        let pace: Duration = match &sight {
            ApiSight::Read { .. } | ApiSight::NotYet => next_look(started, found.iter().map(|f| &f.state)),
            ApiSight::CouldNotLook { .. } => NEAR,
            ApiSight::NotForUs { .. } => IDLE,
        };
        let news = ControlMessage::PortsFound { sight, found };
        // The inbox closes only when the agent stops.
        let _ = clock.wait(None, shared.inbox.send(news)).await;
        let rung_or_stopped = async {
            tokio::select! {
                () = bell.rung() => {}
                () = stop.cancelled() => {}
            }
        };
        if clock.wait(Some(started + pace), rung_or_stopped).await.is_some() {
            clock.wait(Some(started + RUNG_AGAIN), stop.cancelled()).await;
        }
    }
}
