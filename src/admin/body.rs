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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionLine {
    pub account: String,
    pub number: String,
    pub channel: String,
    /// `rollback`, `restore`, `apply`, `undo`, `keep` (it stays on the fallback, and the restore that has not come to
    /// it is given up for it), `adopt` (what it has is its own from now on), `nothing` (it is as asked), `not_watched`
    /// (on this channel) or `refuse`.
    pub action: String,
    pub detail: String,
    /// What will be written, field by field, as far as it is known beforehand.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub fields: Vec<FieldLine>,
}

/// One field of a number, as it is and as it will be, without what may be secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldLine {
    pub field: String,
    pub from: String,
    pub to: String,
}

impl DecisionLine {
    pub fn of(line: &operator::PreviewLine) -> DecisionLine {
        DecisionLine {
            account: line.number.account.to_string(),
            number: line.number.e164.to_string(),
            channel: line.channel.to_string(),
            action: line.action.label().to_owned(),
            detail: line.detail.clone(),
            fields: line
                .fields
                .iter()
                .map(|f| FieldLine { field: f.field.clone(), from: f.from.to_string(), to: f.to.to_string() })
                .collect(),
        }
    }
}
