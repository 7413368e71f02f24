//! `apply` over HTTP: numbers are given the handler that the configuration asks for.
//!
//! Whoever asks may say in which state the numbers were seen. A number that is in another when its turn comes is left,
//! and said to be.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::auth::Operator;
use super::commands::{JsonBody, Planned, author, open, planned, say, select, unprocessable};
use super::{Admin, ApiProblem};
use crate::admin::body::ErrorBody;
use crate::agent::control::OperatorCommand;
use crate::core::model::handler::WantedHandler;
use crate::core::model::id::{Channel, GroupName, WrittenNumber};
use crate::core::model::order::Operation;
use crate::core::model::value::whole_json;
use crate::core::rollback::operator::OperatorRequest;

/// Which numbers to give their handler, and why: exactly one of `all`, `group`, `numbers` and `reads`.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApplyRequest {
    pub all: bool,
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    /// In E.164, or with their account.
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<WrittenNumber>,
    /// Numbers with what was read of them; with `channel`.
    pub reads: Vec<ReadNumbers>,
    /// Both channels if absent.
    #[schema(value_type = Option<String>)]
    pub channel: Option<Channel>,
    pub reason: String,
    pub author: String,
    /// Also where a person has adopted another handler since.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Numbers whose routing was the same when it was read.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadNumbers {
    /// The keyed hash of it, which `ringback plan` makes.
    #[schema(max_length = 16)]
    pub read: String,
    /// Of what whoever asks has read the file to ask of them, as [`asked_for`] makes it: who was shown something else
    /// than the agent would write has nothing written.
    #[schema(max_length = 64)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked: Option<String>,
    /// In E.164, or with their account.
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<WrittenNumber>,
}

/// What the file asks of a handler, as a digest.
pub fn asked_for(wanted: &WantedHandler) -> String {
    // A handler is plain values, whose JSON cannot fail.
    let text = whole_json(wanted).unwrap_or_default();
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives numbers the handler that the configuration asks for.
#[utoipa::path(post, path = "/api/v1/apply", request_body = ApplyRequest, security(("token" = [])),
    responses((status = 200, body = Planned), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn apply(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<ApplyRequest>,
) -> Result<Json<Planned>, ApiProblem> {
    let asked = open(body)?;
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    if !asked.reads.is_empty() && asked.channel.is_none() {
        return Err(unprocessable("reads are of one channel: name it"));
    }
    if !asked.reads.is_empty() && !asked.numbers.is_empty() {
        return Err(unprocessable("reads name their numbers: leave out numbers"));
    }
    let mut reads = BTreeMap::new();
    for ReadNumbers { read, asked: seen, numbers } in &asked.reads {
        if read.len() != 16 || !read.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(unprocessable("a read is 16 hexadecimal digits"));
        }
        for number in numbers {
            let ix = a.roster.resolve(*number).map_err(|unresolved| unprocessable(unresolved.to_string()))?;
            let group = a.roster.group_of(ix);
            let is_same =
                |seen: &String| asked.channel.is_none_or(|channel| *seen == asked_for(&group.handler[channel.index()]));
            if !seen.as_ref().is_none_or(is_same) {
                let name = &group.name;
                let text = format!(
                    "the running agent has read another [group.handler] of {name} than the file has now: restart it, and \
                     apply then"
                );
                return Err(ApiProblem::new(StatusCode::CONFLICT, text));
            }
            if reads.insert(a.roster.number(ix).id, read.clone()).is_some() {
                return Err(unprocessable(format!("{number} is in reads twice")));
            }
        }
    }
    let read: Vec<WrittenNumber> = reads.keys().map(|n| WrittenNumber::from(*n)).collect();
    let named = if reads.is_empty() { &asked.numbers } else { &read };
    let numbers = select(&a.roster, asked.all, asked.group.as_ref(), named)?;
    let (operation, channel) = (Operation::Apply, asked.channel);
    let request = OperatorRequest { operation, numbers, channel, by, force: asked.force, at_once: true };
    planned(say(&a, operation.label(), OperatorCommand::Apply { request, reads }, asked.dry_run).await?)
}
