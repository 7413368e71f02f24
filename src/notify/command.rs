//! A program of the user's: the notice as JSON on its standard input, exit code 0 for delivered.
//!
//! It is started without a shell and with an environment of its own, so that it sees none of the
//! agent's secrets. One that takes too long is killed.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{NotifierReply, cut, webhook};
use crate::core::notice::Notice;

/// What of the agent's environment a program may need; no secret is among it.
pub const PASSED_ON: [&str; 6] = ["HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER"];

/// Runs it once. Whoever waits no longer has it killed.
pub async fn run(argv: &[String], notice: &Notice) -> NotifierReply {
    let Some((program, arguments)) = argv.split_first() else {
        return NotifierReply::Refused("there is no program".to_owned());
    };
    let environment = PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(e) => return NotifierReply::again(format!("{program} cannot be started: {e}")),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A program that reads nothing may still have done its work: its exit code says so.
        let _ = stdin.write_all(webhook::body(notice).to_string().as_bytes()).await;
    }
    match child.wait_with_output().await {
        Ok(output) if output.status.success() => NotifierReply::Delivered("exit code 0".to_owned()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().last().unwrap_or_default();
            NotifierReply::again(cut(&format!("{}: {said}", output.status), 200))
        }
        Err(e) => NotifierReply::again(format!("{program}: {e}")),
    }
}
