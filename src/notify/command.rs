//! A program of the user's: the notice as JSON on its standard input, exit code 0 for delivered.
//!
//! How it is started and ended is told at [`child`]. Whatever it leaves behind changes nothing of what its exit code
//! says: a notice that was delivered is not delivered again because something holds a pipe.

use super::{NotifierReply, webhook};
use crate::child::{self, Kept, Program};
use crate::clock::Clock;
use crate::core::notice::Notice;

/// Runs it once. Whoever waits no longer has it killed.
pub async fn run(clock: &Clock, argv: &[String], notice: &Notice) -> NotifierReply {
    let Some((program, arguments)) = argv.split_first() else {
        return NotifierReply::Refused("there is no program".to_owned());
    };
    let input = webhook::body(notice).to_string();
    let run = Program { program, arguments, environment: &[], input: Some(input.as_bytes()), kept: Kept::Complaint };
    match child::run(clock, &run).await {
        Ok(ended) if ended.status.success() => NotifierReply::Delivered("exit code 0".to_owned()),
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.said);
            let said = said.lines().last().unwrap_or_default();
            NotifierReply::again(format!("{}: {said}", ended.status))
        }
        Err(e) => NotifierReply::again(format!("{program} cannot be run: {e}")),
    }
}
