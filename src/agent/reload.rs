//! Another configuration in the place of the one that an agent runs by, in the same process.
//!
//! A configuration is taken up whole or not at all, by the way that is tried most: the agent ends in order and another
//! one starts, from the journal and what was seen (law 8). What is left standing is what must not be let go: the state,
//! which stays open, and with it the lease, so that no agent that stands by takes over in between.
//!
//! What can be wrong is looked for before the old agent ends: whether Twilio takes the new credentials, with what else
//! stops a start. If the new one does not start all the same, the old configuration is taken up again.

use std::sync::Arc;
use std::time::Duration;

use super::preflight::preflight;
use super::{Agent, Role, StartError};
use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::model::order::Author;
use crate::core::rollback::entry::Entry;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::twilio::Client;

/// A task that was cut off is gone once it would wait for something.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A state on which this process leads while no agent runs.
pub struct HandedOver(Store);

impl Agent {
    /// Asks Twilio what it is asked at a start, with another configuration's credentials and numbers.
    pub async fn try_out(config: &Config, clock: &Clock) -> Result<(), StartError> {
        let path = config.agent.state.with_extension("key");
        let key = CallerKey::load_or_create(&path, false).map_err(|source| StartError::Key { path, source })?;
        let roster = Arc::new(config.roster.clone());
        // Nobody asks for these.
        let metrics = Metrics::new(&roster, config.engine.mode);
        let client = Client::new(config.twilio.clone(), roster.clone(), key, clock.clone(), metrics)
            .map_err(|e| StartError::Http(e.to_string()))?;
        preflight(&client, &roster, clock).await
    }

    /// Stops every task and keeps the state open, and the lease.
    pub async fn hand_over(mut self) -> HandedOver {
        if !self.end_tasks().await {
            let gone = async {
                while self.workers.join_next().await.is_some() {}
                while self.engine.join_next().await.is_some() {}
            };
            let _ = self.clock.timeout(GONE_WITHIN, gone).await;
        }
        HandedOver(self.store)
    }

    /// Starts by `config` where another agent has ended, and writes down who wanted that and which keys have changed.
    pub async fn take_over(
        config: &Config,
        clock: &Clock,
        handed_over: &HandedOver,
        by: Author,
        changed: Vec<String>,
    ) -> Result<Agent, StartError> {
        let entry = Entry::Reloaded { by, changed };
        Agent::begin(Role::Watch, config, clock, handed_over.0.clone(), Some(entry)).await
    }
}
