//! `ringback rehearse`: the fire drill, its report, and the way back from wherever it is stopped.

use std::path::PathBuf;

use anyhow::Context;

use super::run::Signals;
use super::{Exit, complain, log, say};
use crate::clock::Clock;
use crate::config::{Config, ProcessEnv};
use crate::core::id::E164;
use crate::rehearse::{Drill, DrillError};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// The spare number, instead of rehearsal.number
    #[arg(long, value_name = "NUMBER")]
    number: Option<E164>,
    /// Also on a number that had live callers within a day
    #[arg(long)]
    force: bool,
    /// Only put back what a drill left that was cut off
    #[arg(long)]
    put_back: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a record for the change ticket, in Markdown
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How much to log
    #[arg(long, value_name = "LEVEL", env = "RINGBACK_LOG", default_value = "error")]
    log: String,
}

pub fn rehearse(arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = Config::load(&arguments.config, &ProcessEnv)?;
    let Some(mut rehearsal) = config.rehearsal.clone() else {
        complain("ringback: there is no [rehearsal] in the configuration: name a spare number, good_url and error_url");
        return Ok(Exit::BadUsage);
    };
    rehearsal.number = arguments.number.unwrap_or(rehearsal.number);
    log::start(&arguments.log)?;
    let drill = match Drill::new(&config, rehearsal, &Clock::system()) {
        Ok(drill) => drill,
        Err(DrillError::Refused(why)) => {
            complain(&format!("ringback: {why}"));
            return Ok(Exit::BadUsage);
        }
        Err(e) => return Err(e.into()),
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(arguments, &drill))
}

async fn run(arguments: &Arguments, drill: &Drill) -> anyhow::Result<Exit> {
    if let Some(number) = drill.recover().await? {
        complain(&format!("ringback: an earlier drill was cut off: {number} is put back"));
    }
    if arguments.put_back {
        return Ok(Exit::Done);
    }
    let mut signals = Signals::listen()?;
    let report = tokio::select! {
        report = drill.run(arguments.force) => report,
        signal = signals.next() => {
            complain(&format!("ringback: {signal}: putting the number back"));
            drill.recover().await?;
            return Ok(Exit::FoundTrouble);
        }
    };
    let report = match report {
        Ok(report) => report,
        Err(DrillError::Refused(why)) => {
            complain(&format!("ringback: {why}"));
            drill.recover().await?;
            return Ok(Exit::BadUsage);
        }
        Err(e) => {
            drill.recover().await?;
            return Err(e.into());
        }
    };
    if let Some(path) = &arguments.record {
        std::fs::write(path, report.markdown()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(&if arguments.json { serde_json::to_string_pretty(&report)? } else { report.text() })?;
    Ok(if report.is_passed() { Exit::Done } else { Exit::FoundTrouble })
}
