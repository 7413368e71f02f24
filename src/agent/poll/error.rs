//! What keeps a poll from having read a log, and what to do about it.

use crate::agent::Shared;
use crate::core::model::source::Source;
use crate::store::StoreError;
use crate::twilio::wire::BadRow;

/// Why a poll brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error(transparent)]
    Twilio(#[from] crate::twilio::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "Twilio's clock is {} s {} ours: set this machine's clock (NTP), nothing can be said of \"now\" until they agree",
        .0.unsigned_abs(), if *.0 < 0 { "behind" } else { "ahead of" }
    )]
    ClockSkew(i64),
    #[error("of {of} rows that are or may be of our numbers {bad} cannot be understood, such as this one: {example}")]
    Unreadable { bad: usize, of: usize, example: Box<BadRow> },
    #[error(
        "of {of} entries that this log has shown it no longer shows {gone}: what has come since may be missing as well"
    )]
    Gone { gone: usize, of: usize },
    #[error("this log has more than {0} new entries in six hours, which is more than can be held and judged")]
    TooMany(usize),
}

impl PollError {
    /// Says it to whoever asks for the agent's status.
    pub(super) async fn publish(&self, shared: &Shared, source: Source) {
        let http_status = if let PollError::Twilio(error) = self { error.status } else { None };
        shared.read_failed(source, &self.to_string(), self.cure(), http_status).await;
    }

    pub fn cure(&self) -> &str {
        match self {
            PollError::Twilio(e) => e.cure(),
            PollError::Store(e) => e.cure,
            PollError::ClockSkew(ahead) if *ahead < 0 => {
                "check NTP on this machine; if its clock is right, what answers is an old copy that a proxy has kept"
            }
            PollError::ClockSkew(_) => "check NTP on this machine",
            PollError::Unreadable { .. } => {
                "the warnings before this one outline such rows: report them, and ask Twilio what has changed"
            }
            PollError::Gone { .. } => {
                "call a number and look for the call in Twilio's Console; ask Twilio, or whoever runs a proxy on the way, \
                 why the list lacks entries; if they were deleted on request, this ends by itself within four hours"
            }
            PollError::TooMany(_) => "watch the account's numbers with several agents, each with some of them",
        }
    }
}
