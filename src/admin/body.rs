//! Parts of answers that several requests share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::rollback::operator;

/// What was wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    pub error: String,
}

/// What a command comes to for one number.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DecisionLine {
    pub account: String,
    pub number: String,
    pub channel: String,
    /// `rollback`, `restore`, `apply`, `undo`, `keep` (it stays on the fallback, and the restore that has not come to
    /// it is given up for it), `adopt` (what it has is its own from now on), `nothing` (it is as asked), `not_watched`
    /// (on this channel) or `refuse`.
    pub action: String,
    pub detail: String,
}

impl DecisionLine {
    pub fn of(line: &operator::PreviewLine) -> DecisionLine {
        DecisionLine {
            account: line.number.account.to_string(),
            number: line.number.e164.to_string(),
            channel: line.channel.to_string(),
            action: line.action.label().to_owned(),
            detail: line.detail.clone(),
        }
    }
}
