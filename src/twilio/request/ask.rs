//! What a request asks, and what may be done if the answer is lost.

use crate::core::model::bounds;
use crate::twilio::error::{Error, ErrorKind};

pub enum Ask<'a> {
    /// Repeated on any passing trouble.
    Read,
    /// Repeated only if it was surely not processed. Whoever asked has to look otherwise: somebody
    /// else may have written in between.
    Update(&'a [(&'a str, String)]),
    /// A file: not JSON, and perhaps at another address. Repeated as a read is.
    Media,
    /// Of a recording, and of nothing else (law 12). Twice is as good as once.
    DeleteRecording,
    /// Of a number's place in a Messaging Service, and of nothing else (law 12): the number stays in the account.
    LeaveService,
}

impl Ask<'_> {
    /// Whether something is changed by it.
    pub const fn is_write(&self) -> bool {
        match self {
            Ask::Read | Ask::Media => false,
            Ask::Update(_) | Ask::DeleteRecording | Ask::LeaveService => true,
        }
    }

    pub fn may_repeat(&self, error: &Error) -> bool {
        match self {
            Ask::Read | Ask::Media | Ask::DeleteRecording => true,
            Ask::Update(_) | Ask::LeaveService => !error.is_ambiguous() && error.kind != ErrorKind::Conflict,
        }
    }

    /// True if this status says that it was done.
    pub const fn is_done_by(&self, status: u16) -> bool {
        matches!(status, 200 | 201) || status == 204 && matches!(self, Ask::DeleteRecording | Ask::LeaveService)
    }

    pub const fn most_bytes(&self) -> usize {
        match self {
            Ask::Media => bounds::RECORDING_BYTES,
            Ask::Read | Ask::Update(_) | Ask::DeleteRecording | Ask::LeaveService => bounds::LIST_BYTES,
        }
    }
}
