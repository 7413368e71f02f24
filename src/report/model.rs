//! What a reader is to know, in order.
//!
//! A part of which there is nothing to say is not there.

use super::document::{Block, Document, DocumentPart, Plot, PlotMark, Table};
use super::material::{EntriesKept, Material};
use super::open::{OpenEnds, open_ends, orders};
use super::outcomes::{OutcomeTally, Series};
use super::steps::{Reaction, reactions};
use super::timeline::{LineKind, TimelineLine, condensed, timeline};
use super::words::{clock, count, day_and_clock, instant, numbers, sentence, span};
use crate::core::explain::Recomputed;
use crate::core::model::counted::cut_at;
use crate::core::model::decision::{Action, DecisionId};
use crate::core::model::id::Channel;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::rollback::sentence::{Topic, decided};

/// Rows of a table of single numbers.
const MOST_NUMBERS: usize = 40;

/// Lines of the full timeline; a file for a whole week must still open.
const MOST_LINES: usize = 2000;

/// Marks in one plot.
const MOST_MARKS: usize = 9;

/// The report.
pub fn report(m: &Material) -> Document {
    let records = m.records();
    let roster = m.roster();
    let lines = timeline(m, &records, &roster);
    let reactions = reactions(m, &records, &roster);
    let orders = orders(m, &records);
    let open = open_ends(m, &orders, &roster);
    let mut parts = vec![summary(m, &reactions, &open, &roster)];
    parts.extend(impact(m, &roster));
    parts.extend(plots(m, &lines, &roster));
    parts.extend(detection(&reactions, &roster));
    parts.extend(timelines(&lines, &roster));
    parts.extend(measured(m, &roster));
    parts.extend(ends(&open));
    parts.extend(other(m, &roster));
    if m.head.gaps {
        parts.push(gaps());
    }
    parts.push(proof(m, &reactions));
    let (from, to) = (instant(m.head.from), instant(m.head.to));
    Document {
        title: "Report on the port".to_owned(),
        subtitle: format!(
            "{from} to {to}, all times UTC; made at {} by Ringback {}",
            instant(m.head.made_at),
            m.head.version
        ),
        parts: parts.into_iter().filter(|p| !p.blocks.is_empty()).collect(),
    }
}

/// The whole day in three sentences.
fn summary(m: &Material, reactions: &[Reaction<'_>], open: &OpenEnds, roster: &Roster) -> DocumentPart {
    let (failed, all) = (u64::from(m.outcomes.people_failed), u64::from(m.outcomes.people));
    let worst = m.outcomes.groups.iter().max_by_key(|t| t.callers_failed).filter(|t| t.callers_failed > 0);
    let met = match worst {
        None if all == 0 => "Nothing is known of any caller in this time".to_owned(),
        None => format!("All {} whose calls or messages were seen were served", count(all, "person", "people")),
        Some(t) => {
            let when = t
                .first_failed
                .zip(t.last_failed)
                .map_or_else(String::new, |(a, b)| format!(", the first at {} and the last at {}", clock(a), clock(b)));
            format!(
                "{failed} of {} met a failure, most of them with {} ({}, {} of {}{when})",
                count(all, "person", "people"),
                t.of,
                t.channel,
                t.callers_failed,
                t.callers
            )
        }
    };
    let rolled: Vec<&Reaction<'_>> =
        reactions.iter().filter(|r| matches!(r.decision.action, Action::Rollback)).collect();
    let pages = reactions.len() - rolled.len();
    let did = match rolled.first() {
        None if pages == 0 => "Ringback decided nothing".to_owned(),
        None => format!("Ringback called a person {} and rolled nothing back", count(pages as u64, "time", "times")),
        Some(first) => {
            let n: usize = rolled.iter().map(|r| r.decision.numbers.len()).sum();
            let steps = first.steps.windows(2).map(|w| (&w[1].what, w[1].at));
            let since = first.steps.first().map_or(first.decision.at, |s| s.at);
            let told: Vec<String> = steps
                .filter(|(what, _)| ["decided", "read back", "proven"].iter().any(|w| what.starts_with(w)))
                .map(|(what, at)| {
                    format!(
                        "{} after {}",
                        what.split([',', ':', '(']).next().unwrap_or(what).trim(),
                        span(at.since(since))
                    )
                })
                .collect();
            let of = if rolled.len() == 1 { String::new() } else { format!(" in {} decisions", rolled.len()) };
            let told = if told.is_empty() {
                String::new()
            } else {
                format!("; counted from the first failing call of {}: {}", first.decision.id, told.join(", "))
            };
            format!("Ringback decided to roll back {}{of}{told}", count(n as u64, "number", "numbers"))
        }
    };
    let left = match (open.on_fallback, open.lines.len()) {
        (0, 0) => "At the end nothing was left open".to_owned(),
        (0, n) => format!(
            "At the end {} left open, and no number was on its fallback",
            count(n as u64, "thing was", "things were")
        ),
        (f, _) => format!("At the end {} on the fallback", count(f as u64, "number was", "numbers were")),
    };
    let whose = format!(
        "Watched: {} in {}.",
        count(roster.len() as u64, "number", "numbers"),
        count(m.groups.len() as u64, "group", "groups")
    );
    DocumentPart {
        heading: "Summary".to_owned(),
        blocks: vec![Block::Paragraph(format!("{met}. {did}. {left}.")), Block::Paragraph(whose)],
    }
}

fn row<K>(t: &OutcomeTally<K>, name: String) -> Vec<String> {
    let at = |at: Option<Time>| at.map_or_else(|| "–".to_owned(), day_and_clock);
    let why: Vec<String> = t
        .reasons
        .iter()
        .take(3)
        .map(|(reason, code, n)| {
            let code = code.and_then(|c| c.named()).map_or_else(String::new, |c| format!(" ({c})"));
            format!("{n}: {}{code}", reason.text())
        })
        .collect();
    vec![
        name,
        t.channel.to_string(),
        format!("{} of {}", t.callers_failed, t.callers),
        format!("{} of {}", t.failed, t.calls),
        at(t.first_failed),
        at(t.last_failed),
        why.join("; "),
    ]
}

/// Who met a failure, how many of how many, from when to when.
fn impact(m: &Material, roster: &Roster) -> Option<DocumentPart> {
    let head = |of| {
        Table::new(&[
            of,
            "Channel",
            "People who failed",
            "Calls or messages that failed",
            "First",
            "Last",
            "Why, by people",
        ])
    };
    let mut groups = head("Group");
    groups.rows = m.outcomes.groups.iter().map(|t| row(t, t.of.to_string())).collect();
    let mut failed: Vec<_> = m.outcomes.numbers.iter().filter(|t| t.failed > 0).collect();
    failed.sort_by_key(|t| std::cmp::Reverse((t.callers_failed, t.failed)));
    let mut of_numbers = head("Number");
    let worst = &failed[..cut_at(failed.len(), MOST_NUMBERS)];
    of_numbers.rows = worst.iter().map(|t| row(t, roster.name(t.of).to_string())).collect();
    if groups.rows.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::Table(groups)];
    if !of_numbers.rows.is_empty() {
        let title = if worst.len() == failed.len() {
            "By number".to_owned()
        } else {
            format!("By number, the worst {MOST_NUMBERS} of {}", failed.len())
        };
        blocks.push(Block::Folded(title, of_numbers));
    }
    if m.outcomes.unsettled > 0 {
        let n = count(u64::from(m.outcomes.unsettled), "call or message has", "calls or messages have");
        blocks.push(Block::Paragraph(format!(
            "{} no outcome yet and {} in no row.",
            sentence(&n),
            if m.outcomes.unsettled == 1 { "is" } else { "are" }
        )));
    }
    Some(DocumentPart { heading: "Impact".to_owned(), blocks })
}

/// Traffic of each group, with what was done about it.
fn plots(m: &Material, lines: &[TimelineLine], roster: &Roster) -> Option<DocumentPart> {
    let key = condensed(lines);
    let is_action = |l: &&TimelineLine| {
        matches!(l.kind, LineKind::Entry(Topic::Decision | Topic::Proof | Topic::Person | Topic::Change))
    };
    let plot = |s: &Series| {
        let is_ours = |l: &&TimelineLine| {
            l.group.as_ref().is_none_or(|g| *g == s.group) && l.channel.is_none_or(|c| c == s.channel)
        };
        let ours = key.iter().filter(is_action).filter(is_ours);
        let marks = ours.take(MOST_MARKS).map(|l| PlotMark { at: l.at, text: l.told(roster) }).collect();
        Block::Plot(Plot {
            title: format!("{}, {}", s.group, s.channel),
            from: m.head.from,
            step: m.outcomes.step,
            served: s.served.clone(),
            failed: s.failed.clone(),
            unit: match s.channel {
                Channel::Voice => "calls",
                Channel::Messaging => "messages",
            },
            marks,
        })
    };
    let blocks: Vec<Block> = m.outcomes.series.iter().map(plot).collect();
    (!blocks.is_empty()).then(|| DocumentPart { heading: "Traffic and outcomes".to_owned(), blocks })
}

/// Each decision with its steps and the spans between them.
fn detection(reactions: &[Reaction<'_>], roster: &Roster) -> Option<DocumentPart> {
    let mut blocks = Vec::new();
    for r in reactions {
        let text =
            format!("{} {}. Numbers: {}.", r.decision.id, decided(r.decision), numbers(&r.decision.numbers, roster));
        blocks.push(Block::Paragraph(text));
        let mut table = Table::new(&["At", "Step", "After the step before", "After the first"]);
        let first = r.steps.first().map_or(r.decision.at, |s| s.at);
        let mut before: Option<Time> = None;
        for step in &r.steps {
            let gap = before.map_or_else(|| "–".to_owned(), |t| span(step.at.since(t)));
            let all = before.map_or_else(|| "–".to_owned(), |_| span(step.at.since(first)));
            table.rows.push(vec![day_and_clock(step.at), step.what.clone(), gap, all]);
            before = Some(step.at);
        }
        blocks.push(Block::Table(table));
    }
    (!blocks.is_empty()).then(|| DocumentPart { heading: "Detection and reaction".to_owned(), blocks })
}

fn table_of(lines: &[TimelineLine], roster: &Roster) -> Table {
    let mut table = Table::new(&["At", "Kind", "Who", "What"]);
    let row = |l: &TimelineLine| vec![day_and_clock(l.at), l.kind.label().to_owned(), l.who.clone(), l.told(roster)];
    table.rows = lines.iter().map(row).collect();
    table
}

fn timelines(lines: &[TimelineLine], roster: &Roster) -> Option<DocumentPart> {
    let key = condensed(lines);
    let (all, more) = lines.split_at(cut_at(lines.len(), MOST_LINES));
    let mut blocks = Vec::new();
    if !key.is_empty() {
        blocks.push(Block::Table(table_of(&key[..cut_at(key.len(), MOST_LINES)], roster)));
    }
    if all.len() > key.len() {
        let title = match more.len() {
            0 => format!("All {} lines", all.len()),
            more => format!("The first {} lines; {more} more are in the evidence", all.len()),
        };
        blocks.push(Block::Folded(title, table_of(all, roster)));
    }
    (!blocks.is_empty()).then(|| DocumentPart { heading: "Timeline".to_owned(), blocks })
}

/// Test calls, and how late the logs were.
fn measured(m: &Material, roster: &Roster) -> Option<DocumentPart> {
    let mut blocks = Vec::new();
    let mut probes = Table::new(&["Number", "Channel", "Served", "Failed", "Could not be measured"]);
    let mut worst: Vec<_> = m.outcomes.probes.iter().collect();
    worst.sort_by_key(|p| std::cmp::Reverse((p.failed, p.unmeasured)));
    let told = &worst[..cut_at(worst.len(), MOST_NUMBERS)];
    for p in told {
        let name = roster.name(p.number).to_string();
        let figures = [p.served, p.failed, p.unmeasured].map(|n| n.to_string());
        probes.rows.push([name, p.channel.to_string()].into_iter().chain(figures).collect());
    }
    if !probes.rows.is_empty() {
        let all: u32 = worst.iter().map(|p| p.served + p.failed + p.unmeasured).sum();
        let failed: u32 = worst.iter().map(|p| p.failed).sum();
        let more = if worst.len() > told.len() {
            format!("; the worst {MOST_NUMBERS} of {} numbers are shown", worst.len())
        } else {
            String::new()
        };
        let made = count(u64::from(all), "test call or message gave a result", "test calls and messages gave a result");
        blocks.push(Block::Paragraph(format!(
            "{made}, of which {failed} failed{more}. One that fails is repeated, and counts as failed where that fails too."
        )));
        blocks.push(Block::Table(probes));
    }
    if !m.outcomes.lags.is_empty() {
        let ms = |ms: u64| span(std::time::Duration::from_millis(ms));
        let mut table = Table::new(&["Log", "Entries", "Median", "19 of 20 within", "Latest"]);
        table.rows = m
            .outcomes
            .lags
            .iter()
            .map(|l| vec![l.source.clone(), l.entries.to_string(), ms(l.median_ms), ms(l.slow_ms), ms(l.most_ms)])
            .collect();
        blocks.push(Block::Paragraph("From the end of an entry until it was seen in Twilio's log:".to_owned()));
        blocks.push(Block::Table(table));
    }
    (!blocks.is_empty()).then(|| DocumentPart { heading: "Test calls and log lag".to_owned(), blocks })
}

fn ends(open: &OpenEnds) -> Option<DocumentPart> {
    let blocks = vec![Block::List(open.lines.clone())];
    (!open.lines.is_empty()).then(|| DocumentPart { heading: "Open ends".to_owned(), blocks })
}

/// What other settings would have done.
fn other(m: &Material, roster: &Roster) -> Option<DocumentPart> {
    let other = m.other.as_ref()?;
    let at = |at: Option<Time>| at.map_or_else(|| "never".to_owned(), day_and_clock);
    let mut table =
        Table::new(&["Number", "Channel", "With the settings in force", "With the other ones", "Difference"]);
    for r in &other.rows {
        let by = match (r.these, r.others) {
            (Some(a), Some(b)) if a == b => "none".to_owned(),
            (Some(a), Some(b)) if b < a => format!("{} sooner", span(a.since(b))),
            (Some(a), Some(b)) => format!("{} later", span(b.since(a))),
            (Some(_), None) => "not rolled back".to_owned(),
            (None, _) => "rolled back as well".to_owned(),
        };
        table.rows.push(vec![roster.name(r.number).to_string(), r.channel.to_string(), at(r.these), at(r.others), by]);
    }
    let (a, b) = (count(u64::from(other.pages.0), "page", "pages"), count(u64::from(other.pages.1), "page", "pages"));
    let text = format!(
        "The same entries with the settings of {}: {b} instead of {a}. A replay knows no guards and no fallback.",
        other.name
    );
    let mut blocks = vec![Block::Paragraph(text)];
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    Some(DocumentPart { heading: "With other settings".to_owned(), blocks })
}

fn gaps() -> DocumentPart {
    let gap = |text: &str| Block::Gap(text.to_owned());
    DocumentPart {
        heading: "In words".to_owned(),
        blocks: vec![gap("What broke, and why"), gap("What went well"), gap("What is to be done, by whom and by when")],
    }
}

/// On what this rests, and how to verify it.
fn proof(m: &Material, reactions: &[Reaction<'_>]) -> DocumentPart {
    let mut blocks = Vec::new();
    let last = m.journal.last().map_or(0, |link| link.seq);
    blocks.push(Block::Paragraph(format!(
        "{} of the journal, the last one's hash {}. Whoever has this file verifies it with: ringback report --verify FILE",
        count(last.unsigned_abs(), "record", "records"),
        if m.head.head.is_empty() { "none" } else { &m.head.head }
    )));
    let of = |f: fn(&Recomputed) -> bool| -> Vec<DecisionId> {
        reactions.iter().filter(|r| r.recomputed.is_some_and(f)).map(|r| r.decision.id).collect()
    };
    let ids = |ids: &[DecisionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let follows = of(|r| *r == Recomputed::Follows);
    if !follows.is_empty() {
        blocks.push(Block::Paragraph(format!(
            "Made once more from what was seen, by the rules of the day: {} as decided.",
            ids(&follows)
        )));
    }
    for r in reactions {
        match r.recomputed {
            Some(told @ (Recomputed::NoLonger { .. } | Recomputed::NotKept { .. })) => {
                blocks.push(Block::Paragraph(format!("{}: {}.", r.decision.id, told.text())));
            }
            Some(Recomputed::Follows) | None => {}
        }
    }
    if let EntriesKept::TooMany(n) = m.head.entries {
        blocks.push(Block::Paragraph(format!(
            "{n} entries of the logs would make this file too large: its figures were counted from them, and they are not \
             in it. A shorter span (--from, --to) has them."
        )));
    }
    if let Some(kept) = m.head.kept_since.filter(|kept| *kept > m.head.from) {
        blocks.push(Block::Paragraph(format!(
            "Entries of before {} are no longer kept: the figures are from then on.",
            instant(kept)
        )));
    }
    DocumentPart { heading: "On what this rests".to_owned(), blocks }
}
