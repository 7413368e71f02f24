//! An operator's command: previewed, written to the journal, and done.

use super::Controller;
use crate::core::detect::engine::Engine;
use crate::core::model::decision::{DecisionId, Mode};
use crate::core::model::order::{Author, Scope};
use crate::core::model::time::Time;
use crate::core::rollback::command::CommandOutcome;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::operator::{OperatorRequest, Preview};
use crate::store::StoreError;

/// An operator's command.
#[derive(Debug, Clone)]
pub enum OperatorCommand {
    Orders(OperatorRequest),
    Hold { scopes: Vec<Scope>, until: Time, by: Author, shorten: bool },
    Release { scopes: Vec<Scope>, by: Author },
    Approve { decision: DecisionId, by: Author },
    Mode { mode: Mode, by: Author },
}

/// What became of an operator's command.
#[derive(Debug, Clone)]
pub enum CommandAnswer {
    /// Previewed, and unless that was all, begun.
    Orders(Preview),
    Done {
        said: String,
        is_as_asked: bool,
    },
}

/// Why an operator's command was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Conflict(String),
    #[error("{0}; {cure}", cure = .0.cure)]
    Store(StoreError),
}

impl Controller {
    /// Takes an operator's command: says what it comes to, and does it unless that is all that is asked.
    pub async fn command(
        &mut self,
        engine: &mut Engine,
        now: Time,
        command: OperatorCommand,
        dry_run: bool,
    ) -> Result<CommandAnswer, Refusal> {
        let (orders, roster) = (&self.orders, &self.shared.roster);
        let outcome = match command {
            OperatorCommand::Orders(request) => {
                let preview = orders.preview(now, roster, self.write_guard.is_leading(), &request);
                return self.give_orders(engine, now, preview, dry_run).await;
            }
            OperatorCommand::Hold { scopes, until, by, shorten } => {
                orders.preview_hold(now, roster, &scopes, until, &by, shorten)
            }
            OperatorCommand::Release { scopes, by } => orders.preview_release(now, roster, &scopes, &by),
            OperatorCommand::Approve { decision, by } => orders.preview_approval(now, decision, &by),
            OperatorCommand::Mode { mode, by } => Ok(orders.preview_mode(mode, &by)),
        };
        let CommandOutcome { entries, said, is_as_asked } = outcome.map_err(Refusal::Conflict)?;
        if !dry_run {
            self.commit(engine, now, entries).await?;
        }
        Ok(CommandAnswer::Done { said, is_as_asked })
    }

    async fn give_orders(
        &mut self,
        engine: &mut Engine,
        now: Time,
        preview: Preview,
        dry_run: bool,
    ) -> Result<CommandAnswer, Refusal> {
        if !dry_run {
            self.adopted.extend(&preview.carried_on);
            self.commit(engine, now, preview.entries()).await?;
        }
        Ok(CommandAnswer::Orders(preview))
    }

    async fn commit(&mut self, engine: &mut Engine, now: Time, entries: Vec<Entry>) -> Result<(), Refusal> {
        self.record(now, entries).await.map_err(Refusal::Store)?;
        engine.resume_after(self.orders.last_id());
        self.shared.metrics.set_mode(self.orders.mode());
        self.step(engine, now).await;
        Ok(())
    }
}
