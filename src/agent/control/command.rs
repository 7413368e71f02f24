//! An operator's command: previewed, written to the journal, and done.

use std::collections::BTreeMap;

use super::Controller;
use crate::core::model::decision::{DecisionId, Mode};
use crate::core::model::id::NumberId;
use crate::core::model::order::{Author, Scope};
use crate::core::model::time::Time;
use crate::core::rollback::command::CommandOutcome;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::operator::{OperatorRequest, PlannedAction, Preview};
use crate::core::rollback::plan;
use crate::store::StoreError;

/// What an operator commands.
#[derive(Debug, Clone)]
pub enum OperatorCommand {
    Orders(OperatorRequest),
    /// With what was read of the numbers, as [`crate::core::model::order::ApplyTerms::reads`] has it.
    Apply {
        request: OperatorRequest,
        reads: BTreeMap<NumberId, String>,
    },
    Hold {
        scopes: Vec<Scope>,
        until: Time,
        by: Author,
        shorten: bool,
    },
    Release {
        scopes: Vec<Scope>,
        by: Author,
    },
    Approve {
        decision: DecisionId,
        by: Author,
    },
    Mode {
        mode: Mode,
        by: Author,
    },
}

/// What became of a command.
#[derive(Debug, Clone)]
pub enum CommandAnswer {
    /// Previewed, and unless that was all, begun.
    Orders(Preview),
    Done {
        said: String,
        is_as_asked: bool,
    },
}

/// Why a command was refused.
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
        now: Time,
        command: OperatorCommand,
        dry_run: bool,
    ) -> Result<CommandAnswer, Refusal> {
        let (orders, roster) = (self.orders(), &self.shared.roster);
        let outcome = match command {
            OperatorCommand::Orders(request) => return self.order(now, &request, &BTreeMap::new(), dry_run).await,
            OperatorCommand::Apply { request, reads } => return self.order(now, &request, &reads, dry_run).await,
            OperatorCommand::Hold { scopes, until, by, shorten } => {
                orders.preview_hold(now, roster, &scopes, until, &by, shorten)
            }
            OperatorCommand::Release { scopes, by } => orders.preview_release(now, roster, &scopes, &by),
            OperatorCommand::Approve { decision, by } => orders.preview_approval(now, decision, &by),
            OperatorCommand::Mode { mode, by } => Ok(orders.preview_mode(mode, &by)),
        };
        let CommandOutcome { entries, said, is_as_asked } = outcome.map_err(Refusal::Conflict)?;
        if !dry_run {
            self.carry_out(now, entries).await?;
        }
        Ok(CommandAnswer::Done { said, is_as_asked })
    }

    /// A command about numbers, of which `reads` was read.
    async fn order(
        &mut self,
        now: Time,
        request: &OperatorRequest,
        reads: &BTreeMap<NumberId, String>,
        dry_run: bool,
    ) -> Result<CommandAnswer, Refusal> {
        let is_leading = self.write_guard.is_leading();
        let mut preview = self.orders().preview(now, &self.shared.roster, is_leading, request);
        for order in &mut preview.orders {
            let numbers = order.numbers.iter();
            if let Some(terms) = &mut order.terms {
                terms.reads = numbers.filter_map(|n| Some((*n, reads.get(n)?.clone()))).collect();
            }
        }
        for line in &mut preview.lines {
            // The journal alone would call it the number's own handler.
            let is_unknown =
                request.operation.is_of_fallback() && self.unknown[line.channel.index()].contains(&line.number);
            if is_unknown && line.action == PlannedAction::Nothing {
                line.action = PlannedAction::Refuse;
                plan::ON_FALLBACK_UNKNOWN.clone_into(&mut line.detail);
            }
        }
        if !dry_run {
            self.adopted.extend(&preview.carried_on);
            self.carry_out(now, preview.entries()).await?;
        }
        Ok(CommandAnswer::Orders(preview))
    }

    /// Nothing of a command is done before it is in the journal, and it is in force when this returns.
    async fn carry_out(&mut self, now: Time, entries: Vec<Entry>) -> Result<(), Refusal> {
        if !entries.is_empty() {
            self.commit(entries).await.map_err(Refusal::Store)?;
        }
        self.step(now).await;
        Ok(())
    }
}
