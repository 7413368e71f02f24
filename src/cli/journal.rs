//! `ringback journal`: who did what, from what is stored; and whether the chain of hashes is whole.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::desk::{DEFAULT_CONFIG, load};
use super::text::{Shape, Style, TextLine, wrapped};
use super::{Exit, complain, say};
use crate::clock::Clock;
use crate::config::Desk;
use crate::core::model::decision::DecisionId;
use crate::core::model::id::{NumberId, WrittenNumber};
use crate::core::model::order::Operation;
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::sentence::SentenceWeight;
use crate::store::seen::Place;
use crate::store::{Store, StoreProblem};

#[derive(Debug, clap::Args)]
pub struct JournalArguments {
    /// Follow the chain of hashes from the first record to the last, and list nothing
    #[arg(long, conflicts_with_all = ["since", "number", "author", "steps", "json"])]
    verify: bool,
    /// Only what is so old at the most, such as 2h, or not older than this instant
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Only what is about this number
    #[arg(long, value_name = "NUMBER")]
    number: Option<WrittenNumber>,
    /// Only what this person did; `detector` and `ringback` are names too
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Each step of each write too
    #[arg(long)]
    steps: bool,
    /// Print JSON, a line for each
    #[arg(long)]
    json: bool,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Numbers that are named in one line.
const NAMED: usize = 3;

/// From when on.
#[derive(Debug, Clone, Copy)]
enum Since {
    Ago(Duration),
    At(Time),
}

fn since(text: &str) -> Result<Since, String> {
    let bad = || format!("{text:?} is neither a span such as 2h nor an instant such as 2026-11-29T07:00:00Z");
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::At(at.into()));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
    Duration::try_from(span).map(Since::Ago).map_err(|_| bad())
}

pub fn journal(arguments: &JournalArguments) -> anyhow::Result<Exit> {
    let desk = load(&arguments.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.verify { runtime.block_on(verify(&desk)) } else { runtime.block_on(list(arguments, &desk)) }
}

/// Follows the chain of hashes.
async fn verify(desk: &Desk) -> anyhow::Result<Exit> {
    let whole = async { Store::open_read_only(&desk.agent.state).await?.verify().await };
    match whole.await {
        Ok(whole) => {
            say(&format!("{} records, whole; the last one's hash is {}", whole.records, whole.head))?;
            Ok(Exit::Done)
        }
        Err(error) => {
            complain(&format!("ringback: {error}; {}", error.cure));
            let is_seen = matches!(error.problem, StoreProblem::Damaged | StoreProblem::BrokenAt(_));
            Ok(if is_seen { Exit::FoundTrouble } else { Exit::CouldNotRun })
        }
    }
}

async fn list(arguments: &JournalArguments, desk: &Desk) -> anyhow::Result<Exit> {
    let (roster, shape) = (&desk.rules.roster, Shape::of_output());
    if let Some(number) = arguments.number
        && !roster.numbers().any(|(_, n)| is_of(number, n.id))
    {
        complain(&format!("ringback: {number} is none of the numbers that are watched"));
        return Ok(Exit::BadUsage);
    }
    let from = match arguments.since {
        Some(Since::Ago(ago)) => Clock::system().now() - ago,
        Some(Since::At(at)) => at,
        None => Time::EPOCH,
    };
    let store = Store::open_read_only(&desk.agent.state).await?;
    // What a result means depends on what was asked for, which stands before it.
    let mut operations: HashMap<DecisionId, Operation> = HashMap::new();
    let mut is_empty = true;
    let mut pages = store.journal_pages(0, i64::MAX);
    while let Some(record) = pages.next_before(Place::LAST).await? {
        if let Entry::Order(order) = &record.entry {
            operations.insert(order.id, order.operation);
        }
        let operation = record.entry.decision().and_then(|id| operations.get(&id).copied());
        let told = record.entry.sentence(record.at, operation, roster);
        let who = told.who.to_string();
        let is_by = arguments.author.as_ref().is_none_or(|author| *author == who);
        let is_about = arguments.number.is_none_or(|number| told.numbers.iter().any(|n| is_of(number, *n)));
        if record.at < from || !is_by || !is_about || !(told.weight > SentenceWeight::Step || arguments.steps) {
            continue;
        }
        is_empty = false;
        let id = told.decision.map_or_else(String::new, |id| format!("{id}: "));
        let what = format!("{id}{}", told.line(NAMED, roster));
        if arguments.json {
            let line = serde_json::json!({
                "at": record.at, "seq": record.seq, "kind": record.entry.kind(), "who": who, "what": what,
                "numbers": told.numbers,
            });
            say(&line.to_string())?;
            continue;
        }
        let at = record.at.to_timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let (room, lead) = if shape.width < 60 { (shape.width - 4, 4) } else { (shape.width - 21, 21) };
        let texts = wrapped(&format!("{who}: {what}"), room);
        for (i, text) in texts.into_iter().enumerate() {
            let line = match i {
                0 if lead < 21 => {
                    say(&TextLine::new(Style::Quiet, at.as_str()).printed(shape.is_coloured))?;
                    TextLine::plain(format!("{:lead$}{text}", ""))
                }
                0 => TextLine::new(Style::Quiet, format!("{at}  ")).and(Style::Plain, text),
                _ => TextLine::plain(format!("{:lead$}{text}", "")),
            };
            say(&line.printed(shape.is_coloured))?;
        }
    }
    if is_empty {
        complain("ringback: no entry of the journal is of that kind and time");
    }
    Ok(Exit::Done)
}

fn is_of(written: WrittenNumber, number: NumberId) -> bool {
    written.e164 == number.e164 && written.account.is_none_or(|a| a == number.account)
}
