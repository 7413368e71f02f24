//! `ringback record`: a period of an account's logs as a recording, from Twilio's API or from its exports.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Exit, complain, say, silence};
use crate::clock::Clock;
use crate::config::{Offline, ProcessEnv};
use crate::core::model::bounds;
use crate::core::model::time::Time;
use crate::file;
use crate::record::fetch::{self, WantedEntries};
use crate::record::part::{Of, PartFile, PartRow, line, recording};
use crate::record::rows;
use crate::record::scrub::{CallerPrivacy, Scrubber};
use crate::record::seen::SeenByAgent;
use crate::store::Store;
use crate::store::seen::{Input, Place};

#[derive(Debug, clap::Args)]
pub struct RecordArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// From when on, such as 2026-11-21T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Time,
    /// Until when
    #[arg(long, value_name = "TIME")]
    to: Time,
    /// Where to, JSON Lines; a second run of the same goes on where the first ended
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How callers' numbers are written: hashed makes the same stand-in of the same caller
    #[arg(long, value_name = "HOW", default_value = "hashed")]
    callers: CallersWritten,
    /// A CSV file that Twilio's Console has exported, instead of the API; may be repeated
    #[arg(long, value_name = "FILE")]
    from_csv: Vec<PathBuf>,
    /// A file of Twilio's bulk exports, packed or not, instead of the API; may be repeated
    #[arg(long, value_name = "FILE")]
    from_bulk: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CallersWritten {
    Hashed,
    Plain,
}

/// Lines of a file that are told one by one.
const TOLD: usize = 20;

pub fn record(arguments: &RecordArguments) -> anyhow::Result<Exit> {
    if arguments.from >= arguments.to {
        complain(&format!("ringback: --from {} is not before --to {}", arguments.from, arguments.to));
        return Ok(Exit::BadUsage);
    }
    let config = Offline::load(&arguments.config, &ProcessEnv)?;
    let is_plain = arguments.callers == CallersWritten::Plain;
    let key = config.state.with_extension("key");
    let callers = if is_plain { Ok(CallerPrivacy::Plain) } else { CallerPrivacy::hashed(&key, !config.state.exists()) };
    let callers = callers.with_context(|| format!("the key for callers' numbers at {}", key.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(seen_by_agent(&config, arguments))?;
    let mut scrubber = Scrubber::new(&config.rules.roster, callers.clone());
    let mut part_path = arguments.out.as_os_str().to_owned();
    part_path.push(".part");
    let part_path = PathBuf::from(part_path);
    let of = Of { account: config.rules.account.to_string(), from: arguments.from, to: arguments.to, plain: is_plain };
    let mut part = PartFile::open(&part_path, &of).with_context(|| format!("cannot write {}", part_path.display()))?;
    let wanted = WantedEntries { from: arguments.from, to: arguments.to, seen: &seen };
    if arguments.from_csv.is_empty() && arguments.from_bulk.is_empty() {
        let mut twilio = Offline::twilio(&arguments.config, &ProcessEnv)?;
        twilio.silence = silence::told();
        let client = fetch::client(twilio, &config.rules.roster, &callers, Clock::system())?;
        let shows = io::stderr().is_terminal();
        let mut progress = |list: &str, rows: usize| {
            if shows {
                // Nothing can be done about a closed terminal.
                let _ = write!(io::stderr(), "\r\x1b[K{list}: {rows}");
            }
        };
        let fetched = runtime.block_on(fetch::fetch(&client, &wanted, &mut scrubber, &mut part, &mut progress));
        if shows {
            let _ = writeln!(io::stderr());
        }
        fetched.context("what was fetched is kept; the same command goes on from there")?;
    } else {
        let read = |path: &Path| {
            file::bytes(path, bounds::EXPORT_BYTES).with_context(|| format!("cannot read {}", path.display()))
        };
        for path in &arguments.from_bulk {
            let mut bad = 0;
            let file = file::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let rows = rows::bulk(file, |line, why| tell(path, line, why, &mut bad));
            let rows = rows.with_context(|| format!("cannot read {}", path.display()))?;
            any_of(path, rows.len(), bad)?;
            part.keep(&path.display().to_string(), wanted.rows(rows.into_iter(), &mut scrubber), None)?;
        }
        for path in &arguments.from_csv {
            let mut bad = 0;
            let text = String::from_utf8_lossy(&read(path)?).into_owned();
            let rows = rows::csv(&text, |line, why| tell(path, line, why, &mut bad));
            let rows = rows.with_context(|| format!("cannot read {}", path.display()))?;
            any_of(path, rows.len(), bad)?;
            part.keep(&path.display().to_string(), wanted.rows(rows.into_iter(), &mut scrubber), None)?;
        }
    }
    let mut all = std::mem::take(&mut part.rows);
    // A number that is on its fallback now was not when its callers failed.
    for fields in seen.numbers() {
        all.extend(scrubber.row("number", fields).map(|resource| PartRow {
            kind: "number".to_owned(),
            seen_at: arguments.from,
            resource,
        }));
    }
    for (at, probe) in &seen.probes {
        if let serde_json::Value::Object(resource) = probe {
            all.push(PartRow { kind: "probe".to_owned(), seen_at: *at, resource: resource.clone() });
        }
    }
    let all = recording(all);
    write(&arguments.out, &all).with_context(|| format!("cannot write {}", arguments.out.display()))?;
    drop(part);
    std::fs::remove_file(&part_path).with_context(|| format!("cannot remove {}", part_path.display()))?;
    let count = |kind: &str| all.iter().filter(|r| r.kind == kind).count();
    say(&format!(
        "written: {}: {} calls, {} messages, {} alerts, {} numbers, {} test calls and messages",
        arguments.out.display(),
        count("call"),
        count("message"),
        count("alert"),
        count("number"),
        count("probe")
    ))?;
    Ok(Exit::Done)
}

/// Fails of a file that has lines, and no row: a recording without its rows would look like a day without calls.
fn any_of(path: &Path, rows: usize, bad: usize) -> anyhow::Result<()> {
    if rows == 0 && bad > 0 {
        anyhow::bail!("none of the lines of {} is a row", path.display());
    }
    Ok(())
}

fn tell(path: &Path, line: usize, why: &str, told: &mut usize) {
    *told += 1;
    if *told <= TOLD {
        complain(&format!("{}:{line}: {why}; skipped", path.display()));
    }
}

/// What the state has of the period, if there is one.
async fn seen_by_agent(config: &Offline, arguments: &RecordArguments) -> anyhow::Result<SeenByAgent> {
    let mut seen = SeenByAgent::default();
    if !config.state.exists() {
        return Ok(seen);
    }
    let store = Store::open_read_only(&config.state).await?;
    let mut inputs = store.inputs(arguments.from, Place::LAST).await?;
    while let Some((_, at, input)) = inputs.next().await? {
        if at > arguments.to {
            break;
        }
        if let Input::Seen(account, observation) = input
            && account == config.rules.account
        {
            seen.add(at, &observation);
        }
    }
    for record in store.journal().await? {
        if arguments.from <= record.at && record.at <= arguments.to {
            seen.journaled(&record.entry);
        }
    }
    Ok(seen)
}

fn write(path: &Path, rows: &[PartRow]) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::new(options.open(path)?);
    for row in rows {
        writeln!(out, "{}", line(row)?)?;
    }
    Ok(out.flush()?)
}
