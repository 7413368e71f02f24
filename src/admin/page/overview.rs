//! The overview: what is wrong first, then every group with its counts and its calls of the last hours.
//!
//! It is made of parts that are the same for everybody: each is rendered once for all who look ([`super::live`]), and
//! sent again when it has changed.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::acts::release;
use super::sight::{BlindSpots, unseen_since};
use super::spark::{Spark, spark};
use super::standing::ChannelStanding;
use super::trouble::Troubles;
use super::{LivePart, Moment, PageProblem, Refresh, Visitor, page, part, words};
use crate::admin::Admin;
use crate::agent::publish::recent::{MINUTES, MinuteCount, Recent};
use crate::agent::publish::status::{ChannelStatus, GroupStatus, NumberStatus, RollbackStatus, Status};
use crate::core::model::counted::cut_at;
use crate::core::model::decision::{Action, Mode};
use crate::core::model::id::{Channel, GroupName};
use crate::core::model::order::FallbackState;
use crate::core::model::roster::{GroupIx, Roster};
use crate::core::rollback::sentence::{ordered, verdict};

/// Numbers in trouble that are listed one by one; a group's own page has all of its.
const LISTED: usize = 60;

/// Rows of one table.
const ROWS: usize = 50;

/// Decisions and orders that are listed.
const LATEST: usize = 8;

/// What is asked for.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct OverviewQuery {
    /// Every number, and not only those in trouble.
    all: Option<String>,
}

#[derive(Template)]
#[template(path = "overview.html", config = "src/admin/page/askama.toml")]
struct Page {
    version: String,
    parts: Vec<LivePart>,
    all: Option<NumberList>,
}

/// `GET /`.
pub async fn overview(
    State(admin): State<Admin>,
    visitor: Visitor,
    Query(asked): Query<OverviewQuery>,
) -> Result<Response, PageProblem> {
    let status = admin.status.borrow().clone();
    let seen = admin.live.seen(&admin).await;
    let all = asked.all.map(|_| NumberList::of(&status, &admin.roster, &visitor.root, |_, _| true, usize::MAX));
    let body = Page { version: seen.version, parts: seen.parts, all };
    Ok(page(&admin, &visitor, "Overview", Refresh::Parts, &body))
}

/// Every part with its name, in the order in which they stand.
pub fn parts(status: &Status, recent: &Recent, roster: &Roster) -> Vec<(String, askama::Result<String>)> {
    let mut parts = vec![
        ("sight".to_owned(), BlindSpots::of(status).render()),
        ("verdict".to_owned(), Verdict::of(status).render()),
        ("troubles".to_owned(), Troubles::of(status, roster).render()),
        (
            "numbers".to_owned(),
            NumberList::of(status, roster, "./", |_, standing| standing.is_trouble(), LISTED).render(),
        ),
    ];
    for (ix, group) in status.groups.iter().enumerate() {
        let ix = GroupIx(u32::try_from(ix).unwrap_or(u32::MAX));
        parts.push((format!("group-{}", ix.0), Card::of(status, group, ix, recent).render()));
    }
    parts.push(("holds".to_owned(), Holds::of(status, roster).render()));
    parts.push(("latest".to_owned(), Latest::of(status, roster).render()));
    parts
}

/// How many stand how: each with its address and word.
type Counts = Vec<(ChannelStanding, usize)>;

fn counts<'a>(channels: impl Iterator<Item = (&'a NumberStatus, &'a ChannelStatus)>) -> Counts {
    let mut counts: BTreeMap<ChannelStanding, usize> = BTreeMap::new();
    for (number, channel) in channels {
        *counts.entry(ChannelStanding::of(number, channel)).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// The worst channel of a number.
fn worst(number: &NumberStatus) -> ChannelStanding {
    number.channels.iter().map(|c| ChannelStanding::of(number, c)).min().unwrap_or(ChannelStanding::Unknown)
}

/// All in one sentence.
#[derive(Template)]
#[template(path = "verdict.html", config = "src/admin/page/askama.toml")]
struct Verdict {
    mode: Mode,
    /// Channels of which nothing is seen, and nothing is done.
    blind: String,
    numbers: usize,
    in_trouble: usize,
    counts: Counts,
    is_failing: bool,
    /// Nothing is known of so many, which is no health.
    untold: usize,
}

impl Verdict {
    fn of(status: &Status) -> Verdict {
        let mut counts: BTreeMap<ChannelStanding, usize> = BTreeMap::new();
        for (_, number) in status.numbers() {
            *counts.entry(worst(number)).or_default() += 1;
        }
        let numbers = counts.values().sum();
        let in_trouble = counts.iter().filter(|(s, _)| s.is_trouble()).map(|(_, n)| n).sum();
        let is_failing = counts.keys().any(|s| *s <= ChannelStanding::Unanswered);
        let untold = counts.get(&ChannelStanding::Unknown).copied().unwrap_or(0);
        let counts = counts.into_iter().collect();
        let blind = status.blindness.iter().filter(|b| !b.cannot_read.is_empty()).map(|b| b.channel.label());
        let blind = blind.collect::<Vec<_>>().join(" and ");
        Verdict { mode: status.mode, blind, numbers, in_trouble, counts, is_failing, untold }
    }

    const fn mode_text(&self) -> &'static str {
        match self.mode {
            Mode::Observe => "it writes nothing",
            Mode::Confirm => "it asks before it writes",
            Mode::Auto => "it acts by itself",
        }
    }
}

/// Numbers, the worst first.
#[derive(Template)]
#[template(path = "numbers.html", config = "src/admin/page/askama.toml")]
pub struct NumberList {
    /// What a screen reader calls the list.
    name: &'static str,
    /// A browser lays out what is seen, and a table as a whole: a long list is many tables.
    tables: Vec<Vec<Row>>,
    more: usize,
    root: String,
}

struct Row {
    href: String,
    number: String,
    label: String,
    group: GroupName,
    group_href: String,
    channel: Channel,
    standing: ChannelStanding,
    since: Option<Moment>,
    callers: Option<String>,
    why: Option<String>,
    handler: Option<String>,
}

/// Where a number's page is, from the root.
pub fn number_path(number: &NumberStatus, roster: &Roster) -> String {
    let name = roster.name(number.id()).to_string();
    format!("numbers/{}", name.split('/').map(part).collect::<Vec<_>>().join("/"))
}

impl NumberList {
    pub fn of(
        status: &Status,
        roster: &Roster,
        root: &str,
        is_shown: impl Fn(&GroupName, ChannelStanding) -> bool,
        most: usize,
    ) -> NumberList {
        let mut all: Vec<(ChannelStanding, u32, &GroupName, &NumberStatus, &ChannelStatus)> = status
            .numbers()
            .flat_map(|(group, n)| {
                n.channels.iter().map(move |c| (ChannelStanding::of(n, c), c.evidence.failing, group, n, c))
            })
            .filter(|(standing, _, group, ..)| is_shown(group, *standing))
            .collect();
        all.sort_by_key(|(standing, failing, ..)| (*standing, std::cmp::Reverse(*failing)));
        let (told, more) = all.split_at(cut_at(all.len(), most));
        let row = |(standing, _, group, n, c): &(ChannelStanding, u32, &GroupName, &NumberStatus, &ChannelStatus)| {
            let since = match c.rollback {
                RollbackStatus::Done { since } | RollbackStatus::Unproven { since } => Some(since),
                RollbackStatus::None | RollbackStatus::Pending => c.evidence.since.filter(|_| c.evidence.failing > 0),
            };
            Row {
                href: format!("{root}{}", number_path(n, roster)),
                number: roster.name(n.id()).to_string(),
                label: n.label.clone(),
                group: (*group).clone(),
                group_href: format!("{root}groups/{}", part(group.as_str())),
                channel: c.channel,
                standing: *standing,
                since: since.map(|at| Moment::of(at, status.at)),
                callers: if *standing == ChannelStanding::Blind {
                    Some("not known".to_owned())
                } else {
                    c.evidence.text(c.channel)
                },
                why: words::reasons(&c.evidence).into_iter().next(),
                handler: c.handler.as_ref().map(ToString::to_string),
            }
        };
        let name = if most == usize::MAX { "All numbers" } else { "Numbers in trouble" };
        let tables = told.chunks(ROWS).map(|rows| rows.iter().map(row).collect()).collect();
        NumberList { name, tables, more: more.len(), root: root.to_owned() }
    }

    /// So many rows need not be laid out before they are seen.
    const fn is_full(&self, rows: &[Row]) -> bool {
        rows.len() == ROWS
    }
}

/// A group on the overview.
#[derive(Template)]
#[template(path = "card.html", config = "src/admin/page/askama.toml")]
struct Card {
    group: GroupName,
    href: String,
    numbers: usize,
    worst: ChannelStanding,
    channels: Vec<CardChannel>,
    ports: Vec<(&'static str, usize)>,
    countdown: Option<String>,
}

struct CardChannel {
    channel: Channel,
    counts: Counts,
    spark: Spark,
    fallback: Option<(&'static str, String)>,
}

impl Card {
    fn of(status: &Status, group: &GroupStatus, ix: GroupIx, recent: &Recent) -> Card {
        let channels = Channel::ALL.into_iter().filter_map(|channel| {
            let of = |n: &'_ NumberStatus| n.channels.iter().any(|c| c.channel == channel);
            group.numbers.iter().any(of).then(|| CardChannel {
                channel,
                counts: counts(
                    group
                        .numbers
                        .iter()
                        .flat_map(|n| n.channels.iter().filter(|c| c.channel == channel).map(move |c| (n, c))),
                ),
                spark: group_spark(status, ix, channel, recent),
                fallback: group.channels.iter().find(|c| c.channel == channel).and_then(fallback),
            })
        });
        let mut ports: BTreeMap<_, usize> = BTreeMap::new();
        for port in group.numbers.iter().filter_map(|n| n.port) {
            *ports.entry(port).or_default() += 1;
        }
        Card {
            group: group.group.clone(),
            href: format!("groups/{}", part(group.group.as_str())),
            numbers: group.numbers.len(),
            worst: group.numbers.iter().map(worst).min().unwrap_or(ChannelStanding::Unknown),
            channels: channels.collect(),
            ports: ports.into_iter().map(|(port, n)| (port.text(), n)).collect(),
            countdown: group.port.as_ref().map(|p| format!("{} to come, {}", p.due, p.countdown)),
        }
    }
}

/// A group's calls of the last hours.
pub fn group_spark(status: &Status, group: GroupIx, channel: Channel, recent: &Recent) -> Spark {
    let counts: Vec<MinuteCount> = recent.minutes(group, channel, status.at);
    debug_assert_eq!(counts.len(), MINUTES);
    let mut spark = spark(&counts, status.at, recent.since());
    if let Some(since) = unseen_since(status, channel) {
        spark.text = format!("Not known since {since}. Until then: {}", spark.text);
    }
    spark
}

/// What is wrong with a fallback, or not known of it.
pub fn fallback(channel: &crate::agent::publish::status::GroupChannel) -> Option<(&'static str, String)> {
    let found = channel.fallback.as_ref()?;
    match found.state {
        FallbackState::Broken => Some(("fallback broken", found.detail.clone())),
        FallbackState::Good if !found.broken_for.is_empty() => {
            Some(("fallback broken for some numbers", found.detail.clone()))
        }
        FallbackState::Unchecked => Some(("fallback not checked", found.detail.clone())),
        FallbackState::Good => None,
    }
}

/// What is held.
#[derive(Template)]
#[template(path = "holds.html", config = "src/admin/page/askama.toml")]
struct Holds {
    holds: Vec<Held>,
}

struct Held {
    scope: String,
    by: String,
    reason: String,
    until: Moment,
    /// What a release of it asks for.
    query: String,
}

impl Holds {
    fn of(status: &Status, roster: &Roster) -> Holds {
        let of = |hold: &crate::core::model::order::Hold| Held {
            scope: hold.scope.text(roster),
            by: hold.by.name.to_string(),
            reason: hold.by.reason.to_string(),
            until: Moment::of(hold.until, status.at),
            query: release(&hold.scope, roster),
        };
        Holds { holds: status.holds.iter().map(of).collect() }
    }
}

/// The latest decisions and orders.
#[derive(Template)]
#[template(path = "latest.html", config = "src/admin/page/askama.toml")]
struct Latest {
    lines: Vec<LatestLine>,
}

struct LatestLine {
    id: String,
    at: Option<Moment>,
    text: String,
    progress: Option<String>,
}

impl Latest {
    fn of(status: &Status, roster: &Roster) -> Latest {
        let progress = |id| {
            let order = status.orders.iter().find(|o| o.order.id == id)?;
            let (ended, all) = (order.ended.len(), order.order.numbers.len());
            let proven = order.ended.iter().filter(|e| e.result.is_as_asked()).count();
            Some(if order.is_over {
                format!("over: {proven} of {all} as asked")
            } else {
                format!("under way: {ended} of {all} ended")
            })
        };
        let decided = status.decisions.iter().map(|d| {
            let what = format!("{}: {}, {}", verdict(d), words::numbers(&d.numbers, roster), d.channel);
            (d.id, Some(Moment::of(d.at, status.at)), what, matches!(d.action, Action::Rollback))
        });
        let of_detector = |id| status.decisions.iter().any(|d| d.id == id);
        let orders = status.orders.iter().filter(|o| !of_detector(o.order.id));
        let orders = orders.map(|o| {
            (o.order.id, None, format!("{}: {}", ordered(&o.order), words::numbers(&o.order.numbers, roster)), true)
        });
        let mut all: Vec<_> = decided.chain(orders).collect();
        all.sort_by_key(|(id, ..)| std::cmp::Reverse(*id));
        let line = |(id, at, text, is_done): (_, _, _, bool)| LatestLine {
            progress: if is_done { progress(id) } else { None },
            id: id.to_string(),
            at,
            text,
        };
        Latest { lines: all.into_iter().take(LATEST).map(line).collect() }
    }
}
