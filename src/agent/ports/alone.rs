//! What is known of the ports while no agent runs: what Twilio says now, and what the agent before wrote down.

use std::collections::HashSet;
use std::sync::Arc;

use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::control::{fold_ports, is_rolled_back};
use crate::core::model::decision::Mode;
use crate::core::model::facts::LARGEST_PAGE;
use crate::core::model::id::E164;
use crate::core::model::roster::Roster;
use crate::core::port::ports::Ports;
use crate::core::port::prepare::{Point, Portability, PortabilityAnswer, Preparation, Tick};
use crate::core::port::report::{PortReport, Sight};
use crate::core::port::sight::AccountSight;
use crate::core::rollback::orders::Orders;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::twilio::wire::WireRow;
use crate::twilio::{Client, Error};

use super::look::PortLook;

/// Why nothing can be said at all.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    #[error("the HTTP client cannot be built: {0}")]
    Http(String),
    #[error("{0}; {cure}", cure = .0.cure)]
    Store(#[from] crate::store::StoreError),
    #[error("the journal contradicts itself: {0}; restore the state file from a backup")]
    Journal(#[from] crate::core::rollback::saga::Illegal),
}

/// Looks by itself, again and again if asked to.
pub struct LoneLooker {
    client: Client,
    clock: Clock,
    roster: Arc<Roster>,
    look: PortLook,
    ports: Ports,
    orders: Orders,
}

impl LoneLooker {
    /// Reads what the agent before wrote down, if there was one.
    pub async fn new(config: &Config, clock: &Clock) -> Result<LoneLooker, AloneError> {
        let roster = Arc::new(config.roster.clone());
        let metrics = Metrics::new(&roster, Mode::Observe);
        let client = Client::new(config.twilio.clone(), roster.clone(), CallerKey::public(), clock.clone(), metrics)
            .map_err(|e| AloneError::Http(e.to_string()))?;
        let (mut ports, mut orders) = (Ports::default(), Orders::new(config.rollback.clone()));
        if config.agent.state.exists() {
            let store = Store::open_read_only(&config.agent.state).await?;
            for record in store.journal().await? {
                orders.fold(record.at, &record.entry)?;
                fold_ports(&mut ports, &roster, record.at, &record.entry);
            }
            store.close().await;
        }
        Ok(LoneLooker { client, clock: clock.clone(), roster, look: PortLook::default(), ports, orders })
    }

    /// What is known now.
    pub async fn report(&mut self) -> PortReport {
        let now = self.clock.now();
        let (api, found) = self.look.look(now, &self.client, &self.roster).await;
        for entry in self.ports.news(&self.roster, self.client.account(), &found) {
            self.ports.fold(now, &entry);
        }
        let present = self.present().await.ok();
        let (ports, orders, roster) = (&self.ports, &self.orders, &self.roster);
        let sight = Sight {
            phase: &|ix, channel| ports.met(roster.number(ix).id, channel).phase,
            is_rolled_back: &|number, channel| is_rolled_back(orders, number, channel),
            account: if present.is_some() { AccountSight::Read } else { AccountSight::Unread { last: None } },
            is_in_account: &|ix| present.as_ref().is_some_and(|all| all.contains(&roster.number(ix).id.e164)),
        };
        PortReport::of(now, roster, ports, &api, &sight)
    }

    /// Those of our numbers that are in the account.
    async fn present(&self) -> Result<HashSet<E164>, Error> {
        let (mut pager, mut present) = (self.client.numbers(LARGEST_PAGE), HashSet::new());
        while let Some(page) = pager.next().await? {
            for row in page.rows.into_iter().flatten() {
                if let WireRow::Ours(read) = row {
                    present.insert(read.record.number);
                }
            }
        }
        Ok(present)
    }

    /// What Twilio can tell before the request for these numbers is made; of none: for all that are configured.
    pub async fn prepare(&self, numbers: &[E164]) -> Preparation {
        let account = match self.client.standing().await {
            Ok(state) if !state.status.eq_ignore_ascii_case("active") => {
                Point::new(Tick::Open, format!("the account is {}: have it activated by Twilio", state.status))
            }
            Ok(state) if state.is_trial => {
                Point::new(Tick::Open, "the account is a trial: upgrade it, a trial account can port nothing")
            }
            Ok(_) => Point::new(Tick::Done, "the account is active and no trial"),
            Err(error) => Point::new(Tick::CouldNotLook, format!("the account could not be looked at: {error}")),
        };
        let all: Vec<E164> =
            if numbers.is_empty() { self.roster.numbers().map(|(_, n)| n.id.e164).collect() } else { numbers.to_vec() };
        let mut answers = Vec::with_capacity(all.len());
        for number in all {
            let answer = match self.client.portability(number).await {
                Ok(answer) => answer,
                Err(error) => PortabilityAnswer::CouldNotLook { why: error.to_string() },
            };
            answers.push(Portability { number: number.to_string(), answer });
        }
        Preparation { account, numbers: answers }
    }
}
