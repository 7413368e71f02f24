//! `ringback rehearse`: the fire drill, its report, and the way back from wherever it is stopped.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::operate::said_by;
use super::signals::Signals;
use super::{Exit, complain, log, say};
use crate::clock::Clock;
use crate::config::{Config, ProcessEnv};
use crate::core::model::id::WrittenNumber;
use crate::core::model::reserved::is_reserved;
use crate::core::model::roster::Unresolved;
use crate::rehearse::back::RestoreGuard;
use crate::rehearse::{Drill, DrillError};

/// A second signal that comes so soon is the first one once more: timeout(1) sends it to the process and then to its
/// group, and a terminal that is closed tells both.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct RehearseArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// The spare number, instead of rehearsal.number
    #[arg(long, value_name = "NUMBER")]
    number: Option<WrittenNumber>,
    /// Also on a number that is watched or had live callers within a day, and put back over what somebody else changed
    #[arg(long)]
    force: bool,
    /// Only put back what a drill left that was cut off
    #[arg(long)]
    put_back: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Who holds the drill, for the record
    #[arg(long, value_name = "NAME", env = "USER", default_value = "operator")]
    author: String,
    /// Write a record for the change ticket, in Markdown
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How much to log
    #[arg(long, value_name = "LEVEL", env = "RINGBACK_LOG", default_value = "ringback::rehearse=info")]
    log: String,
}

pub fn rehearse(arguments: &RehearseArguments) -> anyhow::Result<Exit> {
    let config = Config::load(&arguments.config, &ProcessEnv)?;
    if let Some(WrittenNumber { account: Some(account), e164 }) = arguments.number
        && account != config.account()
    {
        complain(&format!("ringback: {}", Unresolved::Account { account, e164, known: vec![config.account()] }));
        return Ok(Exit::BadUsage);
    }
    log::start(&arguments.log)?;
    let exit = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(arguments, &config));
    match exit {
        Err(e) if matches!(e.downcast_ref(), Some(DrillError::Refused(_))) => {
            complain(&format!("ringback: {e}"));
            Ok(Exit::BadUsage)
        }
        other => other,
    }
}

async fn run(arguments: &RehearseArguments, config: &Config) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let mut work = pin!(work(arguments, config, &stop));
    let clock = Clock::system();
    let mut first = None;
    loop {
        tokio::select! {
            exit = &mut work => return exit,
            signal = signals.next() => {
                let first = *first.get_or_insert(clock.now());
                if stop.is_cancelled() && clock.now().since(first) < SAME_SIGNAL {
                    continue;
                }
                if stop.is_cancelled() {
                    crate::child::end_all();
                    complain(&format!(
                        "ringback: {signal} again: stopping at once. The number may not be put back: run `ringback rehearse \
                         --put-back`"
                    ));
                    return Ok(Exit::CouldNotRun);
                }
                complain(&format!("ringback: {signal}: putting the number back; a second signal stops even that"));
                stop.cancel();
            }
        }
    }
}

async fn work(arguments: &RehearseArguments, config: &Config, stop: &CancellationToken) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    {
        // Whatever else the configuration says by now, this must work.
        let back = RestoreGuard::new(config, &clock)?;
        match back.recover(arguments.force).await? {
            Some(number) => complain(&format!("ringback: an earlier drill was cut off: {number} is put back")),
            None if arguments.put_back => complain("ringback: no drill was cut off: there is nothing to put back"),
            None => {}
        }
    }
    if arguments.put_back {
        return Ok(Exit::Done);
    }
    let Some(mut rehearsal) = config.rehearsal.clone() else {
        complain("ringback: there is no [rehearsal] in the configuration: name a spare number, good_url and error_url");
        return Ok(Exit::BadUsage);
    };
    let author = said_by(&arguments.author);
    if is_reserved(&author) {
        complain("ringback: --author is the name of Ringback's own entries: say who you are");
        return Ok(Exit::BadUsage);
    }
    rehearsal.number = arguments.number.map_or(rehearsal.number, |n| n.e164);
    let report = match Drill::new(config, rehearsal, &author, arguments.force, &clock)?.run(stop).await {
        Err(DrillError::Stopped) => {
            complain(&format!("ringback: {}", DrillError::Stopped));
            return Ok(Exit::FoundTrouble);
        }
        report => report?,
    };
    if let Some(path) = &arguments.record {
        std::fs::write(path, report.markdown()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(&if arguments.json { serde_json::to_string_pretty(&report)? } else { report.text() })?;
    Ok(if report.is_passed() { Exit::Done } else { Exit::FoundTrouble })
}
