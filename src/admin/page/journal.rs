//! The journal: who did what, and what the agent decided; on request every entry.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::words::{self, TimelineRow};
use super::{PageProblem, Refresh, Visitor, page, part};
use crate::admin::{Admin, unreadable};
use crate::core::model::id::WrittenNumber;
use crate::core::rollback::entry::Entry;

/// Entries of one page.
const PAGE: usize = 100;

/// What people did, what was decided, and how it ended.
const PEOPLE: [&str; 13] = [
    "decision", "order", "approved", "hold", "release", "mode", "ported", "adopted", "result", "closed", "drift",
    "started", "reloaded",
];

/// Every kind of entry.
pub const EVERY: [&str; 24] = [
    "decision",
    "order",
    "stage",
    "refused",
    "asked",
    "approved",
    "closed",
    "recovered",
    "snapshot",
    "checked",
    "intent",
    "written",
    "result",
    "phase",
    "hold",
    "release",
    "mode",
    "ported",
    "port",
    "drift",
    "adopted",
    "started",
    "reloaded",
    "fallback",
];

/// What is asked for.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct JournalQuery {
    numbers: Option<String>,
    author: Option<String>,
    /// Entries before this place.
    before: Option<i64>,
    every: Option<String>,
}

#[derive(Template)]
#[template(path = "journal.html", config = "src/admin/page/askama.toml")]
struct Page {
    root: String,
    lines: Vec<TimelineRow>,
    numbers: String,
    author: String,
    every: bool,
    older: Option<String>,
}

/// `GET /journal`.
pub async fn journal(
    State(admin): State<Admin>,
    visitor: Visitor,
    Query(asked): Query<JournalQuery>,
) -> Result<Response, PageProblem> {
    let numbers = asked.numbers.unwrap_or_default().trim().to_owned();
    let unknown = |text: String| PageProblem::new(StatusCode::NOT_FOUND, text);
    let number = match numbers.as_str() {
        "" => None,
        text => {
            let written: WrittenNumber = text.parse().map_err(|_| unknown("That is no number.".to_owned()))?;
            let ix = admin.roster.resolve(written).map_err(|e| unknown(e.to_string()))?;
            Some(admin.roster.number(ix).id)
        }
    };
    let author = asked.author.unwrap_or_default().trim().to_owned();
    let every = asked.every.is_some();
    let kinds: &[&str] = if every { &EVERY } else { &PEOPLE };
    let before = asked.before.unwrap_or(i64::MAX);
    let found = admin.memory.before(number, kinds, before, PAGE).await.map_err(unreadable)?;
    let last = found.last().filter(|_| found.len() == PAGE).map(|(seq, _)| *seq);
    let older = last.map(|seq| {
        let every = if every { "&every" } else { "" };
        format!("numbers={}&author={}&before={seq}{every}", part(&numbers), part(&author))
    });
    let now = admin.status.borrow().at;
    let operations = words::operations(found.iter().map(|(_, r)| &r.entry));
    let operation = |e: &Entry| e.decision().and_then(|id| operations.get(&id).copied());
    let lines = found.iter().map(|(_, r)| TimelineRow::of(r.at, &r.entry, operation(&r.entry), now, &admin.roster));
    let lines = lines.filter(|l| author.is_empty() || l.author.as_ref().is_some_and(|a| *a == author)).collect();
    let body = Page { root: visitor.root.clone(), lines, numbers, author, every, older };
    Ok(page(&admin, &visitor, "Journal", Refresh::Never, &body))
}
