//! A period's rows from Twilio's lists, page by page.

use std::sync::Arc;

use anyhow::Context;

use super::part::{Fetched, PartFile, PartRow};
use super::rows::KindRow;
use super::scrub::{CallerPrivacy, Scrubber};
use super::seen::SeenByAgent;
use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::core::model::decision::Mode;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::metrics::Metrics;
use crate::twilio::raw::{RawList, RawRow, RawRows};
use crate::twilio::wire::{Listed, WireRow};
use crate::twilio::{Client, ClientSettings, Pager};

/// Which entries are wanted, and what is known of when they were seen.
pub struct WantedEntries<'a> {
    pub from: Time,
    pub to: Time,
    pub seen: &'a SeenByAgent,
}

/// A client that reads this account's lists.
pub fn client(
    twilio: ClientSettings,
    roster: &Roster,
    callers: &CallerPrivacy,
    clock: Clock,
) -> anyhow::Result<Client> {
    let key = match callers {
        CallerPrivacy::Hashed(key) => key.clone(),
        CallerPrivacy::Plain => CallerKey::public(),
    };
    let metrics = Metrics::new(roster, Mode::Observe);
    Client::new(twilio, Arc::new(roster.clone()), key, clock, metrics)
}

/// Reads the account's lists to their ends, and goes on where a run before has ended.
pub async fn fetch(
    client: &Client,
    wanted: &WantedEntries<'_>,
    scrubber: &mut Scrubber<'_>,
    part: &mut PartFile,
    progress: &mut impl FnMut(&str, usize),
) -> anyhow::Result<()> {
    for list in RawList::ALL {
        let at = match part.fetched(list.label()) {
            Some(Fetched::Whole) => continue,
            Some(Fetched::UpTo(path)) => Some(path.clone()),
            None => None,
        };
        let since = wanted.from;
        match list {
            RawList::Numbers => walk(list, client.raw_numbers(at), wanted, scrubber, part, progress).await?,
            RawList::Calls => walk(list, client.raw_calls(since, at), wanted, scrubber, part, progress).await?,
            RawList::Messages => walk(list, client.raw_messages(since, at), wanted, scrubber, part, progress).await?,
            RawList::Errors => {
                walk(list, client.raw_alerts("error", since, at), wanted, scrubber, part, progress).await?
            }
            RawList::Warnings => {
                walk(list, client.raw_alerts("warning", since, at), wanted, scrubber, part, progress).await?
            }
        }
    }
    Ok(())
}

async fn walk<L: Listed>(
    list: RawList,
    mut pager: Pager<'_, RawRows<L>>,
    wanted: &WantedEntries<'_>,
    scrubber: &mut Scrubber<'_>,
    part: &mut PartFile,
    progress: &mut impl FnMut(&str, usize),
) -> anyhow::Result<()> {
    let mut count = 0;
    while let Some(page) = pager.next().await.with_context(|| format!("reading the list of {}", list.label()))? {
        // The newest first: what is older than the period ends it.
        let is_past = list != RawList::Numbers && page.reaches.is_some_and(|at| at < wanted.from);
        let ours = page.rows.into_iter().filter_map(|row| match row {
            Ok(WireRow::Ours(RawRow { fields, .. })) => Some((list.kind(), fields)),
            Ok(WireRow::NotOurs(_)) | Err(_) => None,
        });
        let rows = wanted.rows(ours, scrubber);
        count += rows.len();
        let next = pager.place().filter(|_| !is_past).map(str::to_owned);
        part.keep(list.label(), rows, next).context("keeping what was fetched")?;
        progress(list.label(), count);
        if is_past {
            break;
        }
    }
    Ok(())
}

impl WantedEntries<'_> {
    /// The rows that are of the period, made harmless.
    pub fn rows(&self, rows: impl Iterator<Item = KindRow>, scrubber: &mut Scrubber<'_>) -> Vec<PartRow> {
        let one = |(kind, fields): KindRow| {
            let seen_at = match kind {
                "number" => self.from,
                kind => self.seen.of(kind, &fields).filter(|at| self.from <= *at && *at <= self.to)?,
            };
            Some(PartRow { kind: kind.to_owned(), seen_at, resource: scrubber.row(kind, &fields)? })
        };
        rows.filter_map(one).collect()
    }
}
