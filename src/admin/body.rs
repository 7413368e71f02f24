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
    pub number: String,
    pub channel: String,
    /// `rollback`, `restore`, `nothing` (it is as asked) or `refuse`.
    pub will: String,
    pub detail: String,
}

impl DecisionLine {
    pub fn of(line: &operator::PreviewLine) -> DecisionLine {
        let will = match line.will {
            operator::Will::Rollback => "rollback",
            operator::Will::Restore => "restore",
            operator::Will::Nothing => "nothing",
            operator::Will::Refuse => "refuse",
        };
        DecisionLine {
            number: line.number.to_string(),
            channel: line.channel.to_string(),
            will: will.to_owned(),
            detail: line.detail.clone(),
        }
    }
}
