//! `ringback learn`: from the old provider's call records to a profile of what should ring.
//!
//! Exports of calls agree on little: headings, three ways to write the time, either order, rows twice, outbound rows
//! between, hours that are missing. So a file is read as it comes ([`stream`]), by headings that are known or that the
//! configuration names ([`columns`]), and what is no call of a caller is counted and told, not guessed at. What comes
//! of it is fitted by [`core::profile`](crate::core::profile), which knows nothing of files.
//!
//! Promises: a bad row is told with its line and costs itself alone; of a caller's number there is a hash, in memory,
//! for as long as this takes; memory is 24 bytes for each inbound call and one block of a file; the same files give the
//! same bytes.

mod carriers;
mod columns;
mod numbers;
mod read;
mod remarks;
mod start;
mod stream;
pub mod summary;
pub mod week;

use std::path::{Path, PathBuf};

use self::carriers::CarrierFile;
use self::numbers::{LearntNumbers, RecordedCallers};
use self::read::{BadRecords, ReadFile, ReadTally};
use crate::config::HistoryColumns;
use crate::core::model::id::E164;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::profile::clean::{CleanTally, clean};
use crate::core::profile::fit::{FitContext, Hole, fit};
use crate::core::profile::{Profile, ProfileSource};

/// What is learnt from.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    pub files: &'a [PathBuf],
    pub carriers: Option<&'a Path>,
    pub columns: &'a HistoryColumns,
    pub roster: &'a Roster,
    /// What the profile says of when it was made.
    pub made_at: Time,
}

/// A profile, and how it came about.
#[derive(Debug)]
pub struct Learnt {
    pub profile: Profile,
    pub files: Vec<ReadFile>,
    pub cleaned: CleanTally,
    pub holes: Vec<Hole>,
    /// Numbers of the configuration without a row.
    pub unknown: Vec<E164>,
    /// What there is to say of rows, by file and line.
    pub remarks: Vec<String>,
}

/// Why nothing was learnt.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    #[error("{} {problem}", path.display())]
    File { path: PathBuf, problem: BadRecords },
    #[error("{} cannot be read: {problem}", path.display())]
    Carriers { path: PathBuf, problem: std::io::Error },
    #[error("the configuration has no number whose calls are watched: its groups need channels = [\"voice\"]")]
    NoNumber,
    #[error("{}", nothing(tally, remarks))]
    Nothing { tally: ReadTally, remarks: Vec<String> },
}

impl LearnError {
    /// True if the command line or the configuration is to be put right, rather than a file.
    pub const fn is_usage(&self) -> bool {
        match self {
            LearnError::File { problem: BadRecords::Columns(_), .. } | LearnError::NoNumber => true,
            LearnError::File { .. } | LearnError::Carriers { .. } | LearnError::Nothing { .. } => false,
        }
    }
}

/// Why no row could be used, and the cure.
fn nothing(tally: &ReadTally, remarks: &[String]) -> String {
    let ReadTally { rows, inbound: _, outbound, other_numbers, probes, bad } = *tally;
    let most = [outbound, other_numbers, probes, bad].into_iter().max().unwrap_or(0);
    let why = if rows == 0 {
        "there is no row below the headings: export the weeks before the port".to_owned()
    } else if most == other_numbers {
        format!(
            "{other_numbers} are of other numbers than the configuration has: check its numbers, the column of the \
             called number ([history.columns] number = \"…\"), and whose records these are"
        )
    } else if most == outbound {
        format!("{outbound} are of outbound calls: export inbound calls, or check [history.columns] direction = \"…\"")
    } else if most == probes {
        format!("{probes} are of our own test calls: export the calls of callers")
    } else {
        format!("{bad} cannot be read:\n{}", remarks.join("\n"))
    };
    format!("none of {rows} rows is a call to a number of the configuration; {why}")
}

/// Learns a profile from call records.
pub fn learn(records: Records<'_>) -> Result<Learnt, LearnError> {
    let mut numbers = LearntNumbers::of(records.roster);
    if numbers.learnt.is_empty() {
        return Err(LearnError::NoNumber);
    }
    let mut remarks = Vec::new();
    let carriers = match records.carriers {
        Some(path) => carriers::read(path)
            .inspect(|file| remarks.extend(file.remarks.lines(&path.display().to_string())))
            .map_err(|problem| LearnError::Carriers { path: path.to_owned(), problem })?,
        None => CarrierFile::default(),
    };
    let callers = RecordedCallers::new(records.roster, &carriers.prefixes);
    let (mut calls, mut files) = (Vec::new(), Vec::new());
    for path in records.files {
        let file = read::read(path, records.columns, &mut numbers, &callers, &mut calls)
            .map_err(|problem| LearnError::File { path: path.clone(), problem })?;
        remarks.extend(file.remarks.lines(&path.display().to_string()));
        files.push(file);
    }
    let Some((counts, cleaned)) = clean(calls, numbers.learnt.len(), carriers.names.len()) else {
        return Err(LearnError::Nothing { tally: total(&files), remarks });
    };
    let rows_of = numbers.learnt.iter().zip(&counts.numbers);
    let unknown = rows_of.filter(|(_, counts)| counts.rows == 0).map(|(n, _)| n.number).collect();
    let context = FitContext {
        made_at: records.made_at,
        sources: files.iter().map(|f| ProfileSource { file: f.name.clone(), rows: f.tally.rows }).collect(),
        numbers: numbers.learnt,
        groups: records.roster.groups().map(|(_, g)| g.name.clone()).collect(),
        carriers: carriers.names,
        prefixes: carriers.prefixes.clone(),
    };
    let (profile, holes) = fit(&counts, context);
    Ok(Learnt { profile, files, cleaned, holes, unknown, remarks })
}

fn total(files: &[ReadFile]) -> ReadTally {
    files.iter().fold(ReadTally::default(), |sum, file| {
        let ReadTally { rows, inbound, outbound, other_numbers, probes, bad } = file.tally;
        ReadTally {
            rows: sum.rows + rows,
            inbound: sum.inbound + inbound,
            outbound: sum.outbound + outbound,
            other_numbers: sum.other_numbers + other_numbers,
            probes: sum.probes + probes,
            bad: sum.bad + bad,
        }
    })
}
