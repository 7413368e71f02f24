//! A signal that ends a command which has started programs of the user's: they end with it.
//!
//! A program is the first of a process group of its own, so that what a terminal sends to ours does not reach it. A
//! command that a signal ended by itself would leave it behind, with all that it has started.

use super::signals::Signals;
use super::{Exit, complain};
use crate::child;

/// Does `work`, unless a signal comes first: then every program that runs is ended, and nothing more is done.
pub async fn or_signal(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        exit = work => exit,
        signal = signals.next() => {
            child::end_all();
            complain(&format!("ringback: {signal}: stopped, and what was started with it"));
            Ok(Exit::CouldNotRun)
        }
    }
}
