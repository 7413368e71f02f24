//! Operator commands over HTTP: parsed, checked for a reason, given to the control task.
//!
//! Every command is logged with its author and reason, and is in the journal before it has an effect.
//! `dry_run` says what would be done. All are safe to repeat. What each comes to is in the table of
//! [`crate::core::rollback::operator`].

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::auth::Operator;
use super::{Admin, ApiProblem};
use crate::admin::body::{DecisionLine, ErrorBody};
use crate::agent::ControlMessage;
use crate::agent::control::adopt::AdoptRequest;
use crate::agent::control::{CommandAnswer, OperatorCommand, Refusal};
use crate::core::model::decision::{DecisionId, Mode};
use crate::core::model::foreign::Line;
use crate::core::model::id::{Channel, GroupName, WrittenNumber};
use crate::core::model::order::{Author, Operation, Scope, ScopeOf};
use crate::core::model::redact::told;
use crate::core::model::reserved::is_reserved;
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::rollback::operator::OperatorRequest;

/// Longest reason and name that are kept.
const LONGEST: usize = 500;

/// A hold without a span lasts this long.
const HOLD_FOR: u32 = 4 * 3600;

/// Which numbers to swap, and why: exactly one of `all`, `group` and `numbers`.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OrderRequest {
    /// All numbers.
    pub all: bool,
    /// All numbers of this group.
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    /// These numbers, in E.164, `+15005550100`, or with their account, `AC…/+15005550100`.
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<WrittenNumber>,
    /// Both channels if absent.
    #[schema(value_type = Option<String>)]
    pub channel: Option<Channel>,
    pub reason: String,
    pub author: String,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Restore over what somebody else changed, and before the hold-off after a relapse is over.
    pub force: bool,
    /// Restore all at once, without a canary.
    pub at_once: bool,
    /// Of a restore: undo the latest apply of numbers that are on their own handler.
    pub applied: bool,
}

/// Which numbers to hold or to release, and why: exactly one of `all`, `group` and `numbers`.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HoldRequest {
    pub all: bool,
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    /// In E.164, or with their account.
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<WrittenNumber>,
    #[schema(value_type = Option<String>)]
    pub channel: Option<Channel>,
    pub reason: String,
    pub author: String,
    /// How long the hold lasts; four hours if absent. Not for a release.
    #[schema(minimum = 1, maximum = 2592000)]
    pub seconds: Option<u32>,
    /// Also if that ends a hold of the same scope sooner. Not for a release.
    pub shorten: bool,
}

/// Which decision to approve, and why.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Such as `D12`.
    pub decision: String,
    pub reason: String,
    #[serde(default)]
    pub author: String,
}

/// The mode from now on, and why.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMode {
    /// `observe`, `confirm` or `auto`.
    #[schema(value_type = String)]
    pub mode: Mode,
    pub reason: String,
    #[serde(default)]
    pub author: String,
}

/// Which numbers are ported, and why: exactly one of `all`, `group` and `numbers`.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ported {
    pub all: bool,
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    /// In E.164, or with their account.
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<WrittenNumber>,
    pub reason: String,
    pub author: String,
}

/// Of which numbers the handler is the right one, and why: exactly one of `all`, `group` and `numbers`.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Adopt {
    pub all: bool,
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    /// In E.164, or with their account.
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<WrittenNumber>,
    /// Both channels if absent.
    #[schema(value_type = Option<String>)]
    pub channel: Option<Channel>,
    pub reason: String,
    pub author: String,
    /// Only say what would be adopted.
    pub dry_run: bool,
}

/// What was adopted, and what was not.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Adopted {
    /// One for each number and channel.
    pub lines: Vec<DecisionLine>,
}

/// What will be done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Planned {
    /// Orders that carry it out, such as `D12`; their progress is at `/api/v1/orders/{id}`.
    pub orders: Vec<String>,
    /// One for each number and channel.
    pub lines: Vec<DecisionLine>,
    /// A canary goes first, and the others once its callers were served.
    pub is_staged: bool,
}

/// What was done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CommandDone {
    pub done: String,
    /// False if a part of what was asked for is not so: a hold remains in force, or was not there.
    pub is_as_asked: bool,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PortedAnswer {
    /// Channels that were waiting and are active now.
    #[schema(minimum = 0)]
    pub activated: usize,
}

pub(super) type JsonBody<T> = Result<Json<T>, JsonRejection>;

/// Swaps numbers to their fallback.
#[utoipa::path(post, path = "/api/v1/rollback", request_body = OrderRequest, security(("token" = [])),
    responses((status = 200, body = Planned), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn rollback(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<OrderRequest>,
) -> Result<Json<Planned>, ApiProblem> {
    swap(&a, operator, body, Operation::Rollback).await
}

/// Puts numbers back to what they were before the rollback.
#[utoipa::path(post, path = "/api/v1/restore", request_body = OrderRequest, security(("token" = [])),
    responses((status = 200, body = Planned), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn restore(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<OrderRequest>,
) -> Result<Json<Planned>, ApiProblem> {
    swap(&a, operator, body, Operation::Restore).await
}

async fn swap(
    a: &Admin,
    operator: Operator,
    body: JsonBody<OrderRequest>,
    operation: Operation,
) -> Result<Json<Planned>, ApiProblem> {
    let asked = open(body)?;
    if operation == Operation::Rollback && (asked.force || asked.at_once || asked.applied) {
        return Err(unprocessable("force, at_once and applied belong to a restore"));
    }
    let operation = if asked.applied { Operation::Undo } else { operation };
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    let numbers = select(&a.roster, asked.all, asked.group.as_ref(), &asked.numbers)?;
    let (force, at_once, channel) = (asked.force, asked.at_once, asked.channel);
    let request = OperatorRequest { operation, numbers, channel, by, force, at_once };
    planned(say(a, operation.label(), OperatorCommand::Orders(request), asked.dry_run).await?)
}

/// What a command about numbers comes to.
pub(super) fn planned(answer: CommandAnswer) -> Result<Json<Planned>, ApiProblem> {
    match answer {
        CommandAnswer::Orders(plan) => Ok(Json(Planned {
            orders: plan.carried_on.iter().chain(plan.orders.iter().map(|o| &o.id)).map(ToString::to_string).collect(),
            lines: plan.lines.iter().map(DecisionLine::of).collect(),
            is_staged: plan.orders.iter().any(|o| o.staged),
        })),
        CommandAnswer::Done { .. } => {
            Err(ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent answered something else"))
        }
    }
}

/// Stops all automation on numbers, until the hold ends or is released.
#[utoipa::path(post, path = "/api/v1/hold", request_body = HoldRequest, security(("token" = [])),
    responses((status = 200, body = CommandDone), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn hold(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<HoldRequest>,
) -> Result<Json<CommandDone>, ApiProblem> {
    let asked = open(body)?;
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    let seconds = asked.seconds.unwrap_or(HOLD_FOR);
    if !(1..=30 * 86_400).contains(&seconds) {
        return Err(unprocessable(
            "a hold lasts from one second to 30 days: --for on the command line, seconds (1 to 2592000) over HTTP",
        ));
    }
    let until = a.clock.now() + Duration::from_secs(seconds.into());
    let scopes = scopes(&a.roster, &asked)?;
    let hold = OperatorCommand::Hold { scopes, until, by, shorten: asked.shorten };
    done(say(&a, "hold", hold, false).await?)
}

/// Ends holds.
#[utoipa::path(post, path = "/api/v1/release", request_body = HoldRequest, security(("token" = [])),
    responses((status = 200, body = CommandDone), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn release(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<HoldRequest>,
) -> Result<Json<CommandDone>, ApiProblem> {
    let asked = open(body)?;
    if asked.seconds.is_some() || asked.shorten {
        return Err(unprocessable("seconds and shorten belong to a hold"));
    }
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    let scopes = scopes(&a.roster, &asked)?;
    done(say(&a, "release", OperatorCommand::Release { scopes, by }, false).await?)
}

/// Says yes to a decision that waits, or to the next stage of a restore.
#[utoipa::path(post, path = "/api/v1/approve", request_body = Approve, security(("token" = [])),
    responses((status = 200, body = CommandDone), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn approve(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<Approve>,
) -> Result<Json<CommandDone>, ApiProblem> {
    let asked = open(body)?;
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    let decision: DecisionId =
        asked.decision.parse().map_err(|e: crate::core::model::id::BadId| unprocessable(e.to_string()))?;
    done(say(&a, "approve", OperatorCommand::Approve { decision, by }, false).await?)
}

/// Changes what the agent may do.
#[utoipa::path(post, path = "/api/v1/mode", request_body = SetMode, security(("token" = [])),
    responses((status = 200, body = CommandDone), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn mode(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<SetMode>,
) -> Result<Json<CommandDone>, ApiProblem> {
    let asked = open(body)?;
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    done(say(&a, "mode", OperatorCommand::Mode { mode: asked.mode, by }, false).await?)
}

/// Says that numbers are ported: their phase is no longer `waiting`.
#[utoipa::path(post, path = "/api/v1/ported", request_body = Ported, security(("token" = [])),
    responses((status = 200, body = PortedAnswer), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn ported(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<Ported>,
) -> Result<Json<PortedAnswer>, ApiProblem> {
    let asked = open(body)?;
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    let numbers = select(&a.roster, asked.all, asked.group.as_ref(), &asked.numbers)?;
    tracing::info!(numbers = numbers.len(), %by, "an operator says that numbers are ported");
    let (reply, answer) = oneshot::channel();
    a.inbox.send(ControlMessage::Ported { numbers, by, reply }).await.map_err(|_| stopping())?;
    let activated = answer.await.map_err(|_| stopping())?.map_err(refused)?;
    Ok(Json(PortedAnswer { activated }))
}

/// Declares that the handler which numbers have now is the right one: what they are compared with, and restored to.
#[utoipa::path(post, path = "/api/v1/adopt", request_body = Adopt, security(("token" = [])),
    responses((status = 200, body = Adopted), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn adopt(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<Adopt>,
) -> Result<Json<Adopted>, ApiProblem> {
    let asked = open(body)?;
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    let numbers = select(&a.roster, asked.all, asked.group.as_ref(), &asked.numbers)?;
    if !asked.dry_run {
        tracing::info!(numbers = numbers.len(), %by, "an operator adopts the handlers that numbers have");
    }
    let (reply, answer) = oneshot::channel();
    let request = AdoptRequest { numbers, channel: asked.channel, by, dry_run: asked.dry_run, reply };
    a.inbox.send(ControlMessage::Adopt(request)).await.map_err(|_| stopping())?;
    let lines = answer.await.map_err(|_| stopping())?.map_err(refused)?;
    Ok(Json(Adopted { lines: lines.iter().map(DecisionLine::of).collect() }))
}

/// The body of a request that may be made.
pub(super) fn open<T: DeserializeOwned>(body: JsonBody<T>) -> Result<T, ApiProblem> {
    // Who may not write has heard so before, and not what is wrong with the request.
    body.map(|Json(asked)| asked).map_err(|e| ApiProblem::new(e.status(), e.body_text()))
}

pub(super) fn author(roster: &Roster, name: &str, reason: &str) -> Result<Author, ApiProblem> {
    let (name, reason) = (name.trim(), reason.trim());
    if reason.is_empty() {
        return Err(unprocessable("reason is empty: say why, it is kept"));
    }
    if reason.chars().count() > LONGEST || name.chars().count() > LONGEST {
        return Err(unprocessable(format!("reason and author have at most {LONGEST} characters")));
    }
    if reason.chars().chain(name.chars()).any(char::is_control) {
        return Err(unprocessable("reason and author are one line of text each"));
    }
    if is_reserved(name) {
        return Err(unprocessable("author is the name of Ringback's own entries: say who you are"));
    }
    let name = if name.is_empty() { "operator" } else { name };
    // Into logs and notices it goes as what others write does: without the other party's numbers, above all.
    let [name, reason] = [name, reason].map(|text| Line::new(&told(text, roster)));
    Ok(Author { name, reason })
}

pub(super) async fn say(
    a: &Admin,
    verb: &'static str,
    command: OperatorCommand,
    dry_run: bool,
) -> Result<CommandAnswer, ApiProblem> {
    if !dry_run {
        tracing::info!(verb, command = %described(&command, &a.roster), "an operator's command");
    }
    let (reply, answer) = oneshot::channel();
    a.inbox.send(ControlMessage::Command { command, dry_run, reply }).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())?.map_err(refused)
}

fn refused(refusal: Refusal) -> ApiProblem {
    match refusal {
        Refusal::Conflict(text) => ApiProblem::new(StatusCode::CONFLICT, text),
        Refusal::Store(_) | Refusal::Unkept { .. } => {
            ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, refusal.to_string())
        }
    }
}

/// A command as a person reads it in the log: about what, by whom and why.
fn described(command: &OperatorCommand, roster: &Roster) -> String {
    let (about, by) = match command {
        OperatorCommand::Orders(OperatorRequest { operation: _, numbers, channel, by, force, at_once })
        | OperatorCommand::Apply {
            request: OperatorRequest { operation: _, numbers, channel, by, force, at_once },
            ..
        } => {
            let numbers: Vec<String> = numbers.iter().map(|ix| roster.name_of(*ix).to_string()).collect();
            let channel = channel.map_or("both channels", Channel::label);
            let options = [("force", force), ("at once", at_once)].into_iter().filter(|(_, is_set)| **is_set);
            let options: String = options.map(|(name, _)| format!(", {name}")).collect();
            (format!("{} of {}{options}", channel, numbers.join(" ")), by)
        }
        OperatorCommand::Hold { scopes, until, by, shorten } => {
            let shorten = if *shorten { ", shortening" } else { "" };
            (format!("{} until {until}{shorten}", listed(scopes, roster)), by)
        }
        OperatorCommand::Release { scopes, by } => (listed(scopes, roster), by),
        OperatorCommand::Approve { decision, by } => (decision.to_string(), by),
        OperatorCommand::Mode { mode, by } => (mode.label().to_owned(), by),
    };
    format!("{about}; by {}: {}", by.name, by.reason)
}

fn listed(scopes: &[Scope], roster: &Roster) -> String {
    scopes.iter().map(|scope| scope.text(roster)).collect::<Vec<_>>().join("; ")
}

fn done(answer: CommandAnswer) -> Result<Json<CommandDone>, ApiProblem> {
    match answer {
        CommandAnswer::Done { said, is_as_asked } => Ok(Json(CommandDone { done: said, is_as_asked })),
        CommandAnswer::Orders(_) => {
            Err(ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent answered something else"))
        }
    }
}

pub(super) fn stopping() -> ApiProblem {
    ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping")
}

pub(super) fn unprocessable(text: impl Into<String>) -> ApiProblem {
    ApiProblem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

/// The numbers that a request names in one way, each of which must be ours.
pub(super) fn select(
    roster: &Roster,
    all: bool,
    group: Option<&GroupName>,
    numbers: &[WrittenNumber],
) -> Result<Vec<NumberIx>, ApiProblem> {
    let ways = [all, group.is_some(), !numbers.is_empty()];
    if ways.into_iter().filter(|is| *is).count() != 1 {
        let text = "name exactly one of all, a group, or numbers";
        return Err(ApiProblem::new(StatusCode::BAD_REQUEST, text));
    }
    let unknown = |what: String| unprocessable(format!("{what} is not ours"));
    let mut selected: Vec<NumberIx> = Vec::new();
    if all {
        selected.extend(roster.numbers().map(|(ix, _)| ix));
    }
    if let Some(name) = group {
        match roster.groups().find(|(_, g)| g.name == *name) {
            Some((_, g)) => selected.extend(&g.numbers),
            None => return Err(unknown(format!("group {name}"))),
        }
    }
    for number in numbers {
        selected.push(roster.resolve(*number).map_err(|unresolved| unprocessable(unresolved.to_string()))?);
    }
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}

fn scopes(roster: &Roster, asked: &HoldRequest) -> Result<Vec<Scope>, ApiProblem> {
    // What is not ours is a mistake here too.
    let numbers = select(roster, asked.all, asked.group.as_ref(), &asked.numbers)?;
    let all = asked.all.then_some(ScopeOf::All);
    let group = asked.group.clone().map(ScopeOf::Group);
    // A group and all numbers stay what they are called: their members may change.
    let named = numbers.into_iter().filter(|_| !asked.numbers.is_empty());
    let of = all.into_iter().chain(group).chain(named.map(|ix| ScopeOf::Number(roster.number(ix).id)));
    Ok(of.map(|of| Scope { of, channel: asked.channel }).collect())
}
