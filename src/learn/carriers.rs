//! The carriers of callers, by how their numbers begin: a file such as a lookup of the busiest prefixes gives.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::remarks::Remarks;
use crate::config::csv::Rows;
use crate::config::text::{self, IN_A_SPREADSHEET};
use crate::core::model::bounds;
use crate::core::model::foreign;
use crate::core::profile::document::is_prefix;
use crate::core::profile::{CarrierIx, Prefixes};

/// Carriers by name, and whose callers begin how.
#[derive(Clone, Debug, Default)]
pub struct CarrierFile {
    /// By [`CarrierIx`], sorted.
    pub names: Vec<String>,
    pub prefixes: Prefixes,
    pub remarks: Remarks,
}

/// More carriers than any country has.
const MOST: usize = 1000;

const NO_PREFIX: &str = "no beginning of callers' numbers: a row is such as +1212555,Carrier, with 1 to 8 digits and its \
                         country";

/// Reads the rows of `path`: a beginning, a comma, a name.
pub fn read(path: &Path) -> io::Result<CarrierFile> {
    let text = text::read(path, bounds::NUMBERS_BYTES, IN_A_SPREADSHEET)?;
    let text = text.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
    let (mut file, mut found) = (CarrierFile::default(), Vec::new());
    let mut rows = Rows::new(&text);
    let mut is_first = true;
    while let Some(row) = rows.next() {
        let is_header = std::mem::replace(&mut is_first, false);
        let row = match row {
            Ok(row) => row,
            Err(bad) => {
                file.remarks.add(bad.place.0, bad.problem, String::new);
                continue;
            }
        };
        let prefix = row.first().map_or("", |f| &f.text);
        let prefix = format!("+{}", prefix.strip_prefix('+').unwrap_or(prefix));
        let name = row.get(1).map(|f| foreign::line(&f.text, 60)).filter(|name| !name.is_empty());
        match name.filter(|_| is_prefix(&prefix)) {
            Some(name) => found.push((prefix, name)),
            None if is_header => {}
            None => file.remarks.add(row.first().map_or(0, |f| f.place.0), NO_PREFIX, String::new),
        }
    }
    let names: BTreeSet<&String> = found.iter().map(|(_, name)| name).collect();
    if names.is_empty() || names.len() > MOST {
        let problem = format!("it names {} carriers, and has to name 1 to {MOST}: {NO_PREFIX}", names.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    file.names = names.into_iter().cloned().collect();
    for (prefix, name) in found {
        if let Ok(at) = file.names.binary_search(&name) {
            file.prefixes.insert(prefix, CarrierIx(at as u16));
        }
    }
    Ok(file)
}
