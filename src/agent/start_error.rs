//! Why an agent does not start.

use std::path::PathBuf;

use super::poll;
use crate::core::check::code::FindingCode;
use crate::core::control::Contradiction;
use crate::core::model::time::Time;
use crate::core::rollback::saga::Illegal;
use crate::store::StoreError;
use crate::twilio::{self, ErrorKind};

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{text}")]
    Store { text: String, source: Option<sqlx::Error> },
    #[error("the key for callers' numbers at {path} cannot be used")]
    Key { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Twilio(Box<twilio::HostError>),
    #[error(transparent)]
    ClockSkew(poll::PollError),
    #[error("the journal contradicts itself at record {seq}; restore the state file from a backup")]
    Journal { seq: i64, source: Illegal },
    #[error("another agent, {by}, leads until {until}: stop it, or wait for its lease to end")]
    HeldBy { by: String, until: Time },
    #[error("the HTTP client cannot be built: {0}")]
    Http(String),
}

impl StartError {
    /// Under which code `ringback check` knows it, if it does.
    pub fn code(&self) -> Option<FindingCode> {
        match self {
            StartError::Twilio(failed) => match failed.error.kind {
                ErrorKind::Credentials => Some(FindingCode::Credentials),
                ErrorKind::Permission => Some(FindingCode::Permission),
                ErrorKind::NotFound
                | ErrorKind::Refused
                | ErrorKind::Conflict
                | ErrorKind::Busy
                | ErrorKind::Server
                | ErrorKind::Unreachable
                | ErrorKind::TimedOut
                | ErrorKind::CutOff
                | ErrorKind::NotTwilio
                | ErrorKind::OldCopy => None,
            },
            StartError::ClockSkew(_) => Some(FindingCode::ClockSkew),
            StartError::Store { .. }
            | StartError::Key { .. }
            | StartError::Journal { .. }
            | StartError::HeldBy { .. }
            | StartError::Http(_) => None,
        }
    }
}

impl From<Contradiction> for StartError {
    fn from(c: Contradiction) -> StartError {
        StartError::Journal { seq: c.seq, source: c.source }
    }
}

impl From<StoreError> for StartError {
    fn from(e: StoreError) -> StartError {
        StartError::Store { text: format!("{e}; {}", e.cure), source: e.source }
    }
}
