//! How other tasks write to the journal: they ask the control task, and wait for its receipt.
//!
//! One task appends, so entries are applied to memory in the order in which they are on the disk. Whoever asks goes
//! on only once its entries are written *and* applied: what it reads of the orders afterwards has them.

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::core::rollback::entry::Entry;
use crate::store::StoreError;

/// Requests that may wait: each sender waits for its own receipt, so there are never more than senders.
const REQUESTS: usize = 256;

/// Entries to be written together or not at all.
#[derive(Debug)]
pub struct AppendRequest {
    pub entries: Vec<Entry>,
    pub receipt: oneshot::Sender<Result<(), StoreError>>,
}

/// Why entries are not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The agent is stopping, or the journal contradicts itself.
    #[error("the control task has ended")]
    Ended,
}

/// Where entries are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    clock: Clock,
    requests: mpsc::Sender<AppendRequest>,
}

impl Journal {
    pub fn new(clock: Clock) -> (Journal, mpsc::Receiver<AppendRequest>) {
        let (requests, asked) = mpsc::channel(REQUESTS);
        (Journal { clock, requests }, asked)
    }

    /// Writes entries, all or nothing, and waits until they are written and applied.
    pub async fn append(&self, entries: Vec<Entry>) -> Result<(), AppendError> {
        if entries.is_empty() {
            return Ok(());
        }
        let (receipt, received) = oneshot::channel();
        let asked = async {
            self.requests.send(AppendRequest { entries, receipt }).await.map_err(|_| AppendError::Ended)?;
            received.await.map_err(|_| AppendError::Ended)
        };
        match self.clock.wait(None, asked).await {
            Some(result) => Ok(result??),
            None => Err(AppendError::Ended),
        }
    }
}
