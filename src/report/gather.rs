//! The material of a report, from the state file alone. It is only read, beside a running agent or without one.

use std::time::Duration;

use super::lines;
use super::material::{EntriesKept, FORM, GroupPart, Head, Material, NumberPart, Recorded, Taken, Told, zone_text};
use super::outcomes::Outcomes;
use super::recount::{self, NUMBERS_BEFORE};
use super::stand_in::StandIns;
use crate::core::detect::observation::Observation;
use crate::core::detect::rules::Rules;
use crate::core::model::decision::Mode;
use crate::core::model::id::Channel;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::store::seen::{Input, Place};
use crate::store::{Store, StoreError};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct WantedReport {
    /// From the first entry of the journal, or a day before the end, if absent.
    pub from: Option<Time>,
    /// Now, if absent.
    pub to: Option<Time>,
    pub now: Time,
    pub gaps: bool,
    /// Nothing of the logs: the journal alone says how everything stands.
    pub stands_alone: bool,
    /// Another configuration's rules, with its name.
    pub other: Option<(String, Rules)>,
}

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct Configured<'a> {
    pub roster: &'a Roster,
    pub mode: Mode,
    /// How long before an agent's start entries are read again.
    pub overlap: Duration,
}

/// Without a word on the span a report is of the last day of what was journaled.
const DAY: Duration = Duration::from_secs(86_400);

/// A report with more text than this goes without the entries of the logs.
const MOST: usize = 1_500_000;

/// Reads the material.
pub async fn gather(store: &Store, configured: &Configured<'_>, wanted: &WantedReport) -> Result<Material, StoreError> {
    let mut journal = Vec::new();
    let mut hashes = Vec::new();
    store
        .follow(|link, hash| {
            journal.push(link);
            hashes.push(hash.to_owned());
        })
        .await?;
    let to = wanted.to.unwrap_or(wanted.now).min(wanted.now);
    // What was written later is no part of what is told, and would only make the file larger.
    let kept = journal.partition_point(|link| link.at_ms <= to.as_millis());
    journal.truncate(kept);
    let head = hashes.get(kept.wrapping_sub(1)).cloned().unwrap_or_default();
    let at = |link: Option<&crate::store::ChainLink>| link.map_or(to, |link| Time::from_millis(link.at_ms));
    let (begun, ended) = (at(journal.first()), at(journal.last()));
    let from = wanted.from.unwrap_or_else(|| begun.max(ended - DAY)).min(to);
    // Of an agent that ended long ago the time since is no part.
    let to = if wanted.to.is_none() { to.min(ended + DAY) } else { to };
    let mut stand_ins = StandIns::default();
    let (groups, numbers) = parts(configured.roster, &mut stand_ins);
    let mut m = Material {
        head: Head {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: wanted.now,
            from,
            to,
            gaps: wanted.gaps,
            mode: configured.mode,
            overlap_ms: u64::try_from(configured.overlap.as_millis()).unwrap_or(u64::MAX),
            kept_since: store.kept_since().await?,
            head,
            entries: EntriesKept::All,
        },
        groups,
        numbers,
        journal,
        told: told(store, from, to).await?,
        outcomes: Outcomes::default(),
        again: Vec::new(),
        other: None,
        taken: Vec::new(),
    };
    if wanted.stands_alone {
        return Ok(m);
    }
    let records = m.records();
    m.taken = taken(store, &m.head, &records, &mut stand_ins).await?;
    m.outcomes = recount::outcomes(&m, &records);
    m.again = recount::again(&m, &records);
    m.other = wanted.other.as_ref().and_then(|(name, rules)| recount::other(&m, &records, name, rules));
    if lines::write(&m).iter().map(|s| s.text.len()).sum::<usize>() > MOST {
        m.head.entries = EntriesKept::TooMany(m.taken.len());
        m.taken.clear();
    }
    Ok(m)
}

fn parts(roster: &Roster, stand_ins: &mut StandIns) -> (Vec<GroupPart>, Vec<NumberPart>) {
    let group = |g: &crate::core::model::roster::Group| GroupPart {
        name: g.name.clone(),
        fallback: Channel::ALL.map(|c| g.fallback(c).map(|url| stand_ins.url(url))),
    };
    let groups = roster.groups().map(|(_, g)| g).map(group).collect();
    let number = |n: &crate::core::model::roster::Number| NumberPart {
        id: n.id,
        label: n.label.clone(),
        group: n.group.0,
        channels: n.channels,
        timezone: zone_text(&n.timezone),
        port: n.port,
    };
    (groups, roster.numbers().map(|(_, n)| number(n)).collect())
}

async fn told(store: &Store, from: Time, to: Time) -> Result<Vec<Told>, StoreError> {
    let mut all = store.deliveries(from).await?;
    all.retain(|d| d.notice.at.at <= to);
    let one = |d: crate::store::outbox::Delivery| Told {
        at: d.notice.at.at,
        notifier: d.notifier,
        delivery: d.status.label().to_owned(),
        ended: d.ended,
        tries: d.tries,
        kind: d.notice.kind,
        status: d.notice.status,
        severity: d.notice.severity,
        title: d.notice.title,
        group: d.notice.group,
        decision: d.notice.decision,
    };
    Ok(all.into_iter().map(one).collect())
}

/// All that was taken in, as far back as decisions of the span rest on it.
async fn taken(
    store: &Store,
    head: &Head,
    records: &[Recorded],
    stand_ins: &mut StandIns,
) -> Result<Vec<Taken>, StoreError> {
    let from = recount::needed_from(head, records);
    // What had been taken in some minutes after the end tells what became of the last calls.
    let settled = head.to + Duration::from_secs(600);
    let mut inputs = store.inputs(from - NUMBERS_BEFORE, Place::LAST).await?;
    let mut taken = Vec::new();
    while let Some((place, at, input)) = inputs.next().await? {
        if at > settled {
            break;
        }
        let entry = match input {
            Input::AlertsRead => None,
            Input::Seen(account, observation) => {
                let is_number = matches!(observation, Observation::Number(_) | Observation::Absent { .. });
                if at < from && !is_number {
                    continue;
                }
                Some((account, stand_ins.observation(&observation)))
            }
        };
        if at >= from || entry.is_some() {
            taken.push(Taken { place, at, entry });
        }
    }
    Ok(taken)
}
