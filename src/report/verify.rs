//! Verifies a report from its file alone, without a network, a state or an account.
//!
//! In this order: each piece of the evidence is what it was; the chain of hashes leads from the first record to the
//! last; what a record says of itself is what its entry says; the text is the one that this evidence gives, to the
//! byte; the outcomes are counted again, and every decision is made once more. So no byte of the file can be changed
//! unseen, unless all of it is made anew, which the journal's last hash tells to whoever noted it elsewhere.

use super::lines::{self, Damage};
use super::material::{EntriesKept, Material};
use super::model::report;
use super::{html, markdown, recount};
use crate::core::explain::Recomputed;
use crate::core::rollback::entry::Entry;

/// What was found of a report that is what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub records: usize,
    pub head: String,
    /// Decisions that follow from the entries in the file.
    pub follow: usize,
    /// And those whose entries are not in it.
    pub not_kept: usize,
    /// Entries of the logs.
    pub entries: usize,
    /// The version that wrote the file, where it is another: its words may be others, and were not compared.
    pub written_by: Option<String>,
}

/// The file of a report.
#[derive(Clone, Copy, Debug)]
pub enum ReportFile<'a> {
    Html(&'a str),
    /// With the file of its evidence.
    Markdown(&'a str, &'a str),
}

/// Everything that can be verified.
pub fn verify(file: ReportFile<'_>) -> Result<Verified, Vec<Damage>> {
    let m = intact(file)?;
    made_again(&m)
}

/// The material of a report of which no byte was changed.
pub fn intact(file: ReportFile<'_>) -> Result<Material, Vec<Damage>> {
    let m = match file {
        ReportFile::Html(page) => lines::read(|name| html::section(page, name))?,
        ReportFile::Markdown(_, evidence) => lines::read(|name| markdown::section(evidence, name))?,
    };
    let mut damages = chain(&m);
    if damages.is_empty() && is_ours(&m) {
        let sections = lines::write(&m);
        match file {
            ReportFile::Html(page) => damages.extend(differs("text", page, &html::page(&report(&m), &sections))),
            ReportFile::Markdown(page, evidence) => {
                damages.extend(differs("text", page, &markdown::page(&report(&m))));
                damages.extend(differs("evidence", evidence, &markdown::evidence(&sections)));
            }
        }
    }
    if damages.is_empty() { Ok(m) } else { Err(damages) }
}

/// True of what this version wrote.
fn is_ours(m: &Material) -> bool {
    m.head.version == env!("CARGO_PKG_VERSION")
}

/// The chain of hashes, and what each record says of itself.
fn chain(m: &Material) -> Vec<Damage> {
    let mut damages = Vec::new();
    let mut head = String::new();
    for (nth, link) in m.journal.iter().enumerate() {
        let place = format!("journal record {}", nth + 1);
        head = link.hash(&head);
        if usize::try_from(link.seq) != Ok(nth + 1) {
            damages.push(Damage::new(format!("{place}, field seq"), "the records are not in their order"));
        }
        match serde_json::from_str::<Entry>(&link.shown) {
            Ok(entry) => {
                if entry.kind() != link.kind {
                    damages.push(Damage::new(format!("{place}, field kind"), "its entry is of another kind"));
                }
                if entry.decision().map(|id| id.0) != link.decision.and_then(|d| u64::try_from(d).ok()) {
                    damages.push(Damage::new(format!("{place}, field decision"), "its entry is of another decision"));
                }
            }
            Err(e) => damages.push(Damage::new(format!("{place}, field shown"), format!("it cannot be read: {e}"))),
        }
    }
    if head != m.head.head {
        let last = m.journal.len();
        damages.push(Damage::new(
            format!("journal, records 1 to {last}"),
            "the chain of hashes does not lead to the last one's hash: records were changed, added or taken away, and \
             their digests with them",
        ));
    }
    damages
}

/// The first place at which a text is not what it has to be.
fn differs(what: &str, is: &str, must: &str) -> Option<Damage> {
    if is == must {
        return None;
    }
    let same = is.bytes().zip(must.bytes()).take_while(|(a, b)| a == b).count();
    let line = is.as_bytes()[..same].iter().filter(|b| **b == b'\n').count() + 1;
    let column = same - is.as_bytes()[..same].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1) + 1;
    let around = |text: &str| {
        let at = (0..=same.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        crate::core::model::foreign::line(&text[at..].chars().take(40).collect::<String>(), 40)
    };
    let why = format!("it says {:?}, and the evidence gives {:?}", around(is), around(must));
    Some(Damage::new(format!("{what}, line {line}, column {column}"), why))
}

/// Outcomes and decisions, made again.
fn made_again(m: &Material) -> Result<Verified, Vec<Damage>> {
    let mut damages = Vec::new();
    let records = m.records();
    if m.head.entries == EntriesKept::All {
        if recount::outcomes(m, &records) != m.outcomes {
            damages.push(Damage::new("outcomes", "counted again from the entries they come to other figures"));
        }
        for (was, is) in m.again.iter().zip(recount::again(m, &records)) {
            if *was != is {
                let text = format!("made once more: {}", is.recomputed.text());
                damages.push(Damage::new(format!("decision {}", is.decision), text));
            }
        }
    }
    for again in &m.again {
        if let Recomputed::NoLonger { .. } = &again.recomputed {
            damages.push(Damage::new(format!("decision {}", again.decision), again.recomputed.text()));
        }
    }
    if !damages.is_empty() {
        return Err(damages);
    }
    let follow = m.again.iter().filter(|a| a.recomputed == Recomputed::Follows).count();
    Ok(Verified {
        records: m.journal.len(),
        head: m.head.head.clone(),
        follow,
        not_kept: m.again.len() - follow,
        entries: m.taken.len(),
        written_by: (!is_ours(m)).then(|| m.head.version.clone()),
    })
}
