//! An operator's command: previewed, written to the journal, and done.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::Controller;
use crate::core::model::counted::{amount, some_of};
use crate::core::model::decision::{DecisionId, Mode};
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::{Author, Operation, Scope, ScopeOf};
use crate::core::model::time::Time;
use crate::core::rollback::command::CommandOutcome;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::operator::{OperatorRequest, PlannedAction, Preview, PreviewLine};
use crate::store::StoreError;

/// Numbers that are named in an answer.
const NAMED: usize = 5;

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

impl OperatorCommand {
    /// What is stopped by it.
    fn stops(&self) -> Vec<Scope> {
        match self {
            OperatorCommand::Hold { scopes, .. } => scopes.clone(),
            OperatorCommand::Mode { mode: Mode::Observe, .. } => vec![Scope { of: ScopeOf::All, channel: None }],
            OperatorCommand::Mode { .. }
            | OperatorCommand::Orders(_)
            | OperatorCommand::Apply { .. }
            | OperatorCommand::Release { .. }
            | OperatorCommand::Approve { .. } => Vec::new(),
        }
    }
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

/// Where the answer to a command goes.
pub type Reply = oneshot::Sender<Result<CommandAnswer, Refusal>>;

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Conflict(String),
    #[error("{0}; {cure}", cure = .0.cure)]
    Store(StoreError),
    #[error(
        "{error}; {cure}. The stop is in force here, for all that was let go before it: no write of that begins any \
         more{under_way}. It is not in the journal yet, so it is lost if this agent ends; it is written with the next \
         entry that can be",
        cure = error.cure
    )]
    Unkept { error: StoreError, under_way: String },
}

/// A command of which a part is not known yet.
#[derive(Debug)]
pub struct PendingCommand {
    pub request: OperatorRequest,
    pub dry_run: bool,
    /// What it came to by the journal, of which everything is done that can be.
    pub preview: Preview,
    pub reply: Reply,
}

/// True if a line says what its number points at, and does nothing to it.
pub(super) fn is_from_memory(operation: Operation, line: &PreviewLine) -> bool {
    let is_of_it = matches!(operation, Operation::Rollback | Operation::Restore);
    is_of_it && line.action == PlannedAction::Nothing
}

/// The slots of which `preview` speaks from memory.
fn unsure(operation: Operation, preview: &Preview) -> BTreeSet<(NumberId, Channel)> {
    preview.lines.iter().filter(|line| is_from_memory(operation, line)).map(|l| (l.number, l.channel)).collect()
}

impl Controller {
    /// Takes an operator's command: says what it comes to, and does it unless that is all that is asked. Where numbers
    /// have to be looked at before it can be said, the answer comes later.
    pub async fn command(&mut self, now: Time, command: OperatorCommand, dry_run: bool, reply: Reply) {
        let stopped = command.stops();
        // What is said next is said of what is in force.
        if stopped.is_empty()
            && !dry_run
            && let Err(error) = self.write_kept().await
        {
            // Whoever asked may have gone away.
            let _ = reply.send(Err(Refusal::Store(error)));
            return;
        }
        let (orders, roster) = (self.orders(), &self.shared.roster);
        let outcome = match command {
            OperatorCommand::Orders(request) => {
                return self.order(now, request, &BTreeMap::new(), dry_run, reply).await;
            }
            OperatorCommand::Apply { request, reads } => return self.order(now, request, &reads, dry_run, reply).await,
            OperatorCommand::Hold { scopes, until, by, shorten } => {
                orders.preview_hold(now, roster, &scopes, until, &by, shorten)
            }
            OperatorCommand::Release { scopes, by } => orders.preview_release(now, roster, &scopes, &by),
            OperatorCommand::Approve { decision, by } => orders.preview_approval(now, decision, &by),
            OperatorCommand::Mode { mode, by } => Ok(orders.preview_mode(mode, &by)),
        };
        // Whoever asked may have gone away.
        let _ = reply.send(self.done(now, outcome.map_err(Refusal::Conflict), dry_run, &stopped).await);
    }

    async fn done(
        &mut self,
        now: Time,
        outcome: Result<CommandOutcome, Refusal>,
        dry_run: bool,
        stopped: &[Scope],
    ) -> Result<CommandAnswer, Refusal> {
        let CommandOutcome { entries, mut said, is_as_asked } = outcome?;
        if !dry_run {
            // Who says stop is heard, whatever the disk does.
            self.write_guard.stop(stopped);
            match self.carry_out(now, entries.clone()).await {
                Err(Refusal::Store(error)) if !stopped.is_empty() && error.is_passing() => {
                    entries.into_iter().for_each(|entry| self.keep(entry));
                    self.set_guard(now);
                    return Err(Refusal::Unkept { error, under_way: self.under_way(stopped) });
                }
                done => done?,
            }
            said += &self.under_way(stopped);
        }
        Ok(CommandAnswer::Done { said, is_as_asked })
    }

    /// Of a stop that is in force: which writes had begun before it. No other begins.
    fn under_way(&self, stopped: &[Scope]) -> String {
        let numbers: Vec<NumberId> = self.write_guard.under_way(stopped).into_iter().collect();
        let named = some_of(&numbers, NAMED, |n| self.shared.roster.name(*n).to_string());
        match numbers.len() {
            0 => String::new(),
            n => format!("; {} had begun before, and cannot be called back: to {named}", amount(n, "write")),
        }
    }

    /// A command about numbers, of which `reads` was read.
    async fn order(
        &mut self,
        now: Time,
        request: OperatorRequest,
        reads: &BTreeMap<NumberId, String>,
        dry_run: bool,
        reply: Reply,
    ) {
        let preview = self.preview(now, &request, reads);
        let done = self.do_unless(now, dry_run, &preview).await;
        let unsure = unsure(request.operation, &preview);
        if done.is_ok() && !unsure.is_empty() {
            return self.look_first(PendingCommand { request, dry_run, preview, reply }, unsure);
        }
        // Whoever asked may have gone away.
        let _ = reply.send(done.map(|()| CommandAnswer::Orders(preview)));
    }

    /// What a command about numbers comes to by the journal.
    pub(super) fn preview(&self, now: Time, request: &OperatorRequest, reads: &BTreeMap<NumberId, String>) -> Preview {
        let mut preview = self.orders().preview(now, &self.shared.roster, self.write_guard.is_leading(), request);
        for order in &mut preview.orders {
            let numbers = order.numbers.iter();
            if let Some(terms) = &mut order.terms {
                terms.reads = numbers.filter_map(|n| Some((*n, reads.get(n)?.clone()))).collect();
            }
        }
        preview
    }

    /// Does what a command about numbers comes to, unless it is only asked what that is.
    pub(super) async fn do_unless(&mut self, now: Time, dry_run: bool, preview: &Preview) -> Result<(), Refusal> {
        if dry_run {
            return Ok(());
        }
        self.adopted.extend(&preview.carried_on);
        self.carry_out(now, preview.entries()).await
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
