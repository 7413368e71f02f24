//! Operator commands: planned, written to the journal, and carried out.

use super::Controller;
use crate::core::model::decision::{DecisionId, Mode};
use crate::core::model::order::{Author, Hold, Scope};
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::operator::{OperatorRequest, Preview};
use crate::store::StoreError;

/// What an operator commands.
#[derive(Debug, Clone)]
pub enum OperatorCommand {
    Orders(OperatorRequest),
    Hold { scopes: Vec<Scope>, until: Time, by: Author },
    Release { scopes: Vec<Scope>, by: Author },
    Approve { decision: DecisionId, by: Author },
    Mode { mode: Mode, by: Author },
}

/// What became of a command.
#[derive(Debug, Clone)]
pub enum CommandAnswer {
    /// Planned, and if it was meant, begun.
    Orders(Preview),
    Done(String),
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
    /// Takes a command. With `is_meant` it is carried out, without it is only planned.
    pub async fn word(&mut self, now: Time, word: OperatorCommand, is_meant: bool) -> Result<CommandAnswer, Refusal> {
        let (entries, answer) = match word {
            OperatorCommand::Orders(request) => {
                let plan = self.orders().plan(now, &self.shared.roster, self.write_guard.is_leading(), &request);
                (plan.orders.iter().cloned().map(Entry::Order).collect(), CommandAnswer::Orders(plan))
            }
            OperatorCommand::Hold { scopes, until, by } => {
                let said = format!("held until {until}");
                (
                    scopes.into_iter().map(|scope| Entry::Hold(Hold { scope, by: by.clone(), until })).collect(),
                    CommandAnswer::Done(said),
                )
            }
            OperatorCommand::Release { scopes, by } => {
                let held = |s: &Scope| self.orders().holds(now).any(|h| h.scope == *s);
                let (on, off): (Vec<Scope>, Vec<Scope>) = scopes.into_iter().partition(held);
                let mut said: Vec<String> = on.iter().map(|s| format!("released: {s}")).collect();
                said.extend(off.iter().map(|s| format!("not held: {s}")));
                let release = |scope| Entry::Release { scope, by: by.clone() };
                (on.into_iter().map(release).collect(), CommandAnswer::Done(said.join("; ")))
            }
            OperatorCommand::Approve { decision, by } => {
                let is_asked = self.orders().pending().any(|d| d.decision.id == decision)
                    || self.orders().open_orders().any(|p| p.order.id == decision && p.order.staged);
                if !is_asked {
                    return Err(Refusal::Conflict(format!(
                        "{decision} does not wait for approval: it is over, or lapsed"
                    )));
                }
                (vec![Entry::Approved { decision, by }], CommandAnswer::Done(format!("{decision} is approved")))
            }
            OperatorCommand::Mode { mode, by } => {
                (vec![Entry::Mode { mode, by }], CommandAnswer::Done(format!("the mode is {}", mode.label())))
            }
        };
        if is_meant {
            if let CommandAnswer::Orders(plan) = &answer {
                self.adopted.extend(&plan.carried_on);
            }
            if !entries.is_empty() {
                self.commit(entries).await.map_err(Refusal::Store)?;
            }
            self.step(now).await;
        }
        Ok(answer)
    }
}
