//! Reading a TOML file so that every fault is found in one go, each with its place.
//!
//! Deserialising into structs stops at the first fault. Here the file is parsed into values with
//! positions, and each value is asked for by name; what is wrong is noted and reading goes on, and
//! what nobody asked for is an unknown key.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::shown;
use crate::core::model::counted::cut_at;
use crate::core::model::nearest::nearest;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    pub file: PathBuf,
    /// Line and column, from 1; absent when the fault has no place in the file.
    pub place: Option<(usize, usize)>,
    /// The thing, the value and the cure.
    pub text: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.text)
    }
}

/// Collects the faults of one file, and of those that it names.
pub struct Faults {
    file: PathBuf,
    text: String,
    found: RefCell<Vec<ConfigFault>>,
    /// Of rows, by file and by what is wrong.
    alike: RefCell<HashMap<(PathBuf, &'static str), Alike>>,
    /// What is no fault and should be told all the same.
    warnings: RefCell<Vec<String>>,
}

/// Rows of a file with the same fault.
struct Alike {
    count: usize,
    /// The first beyond those that are told one by one.
    next: Option<((usize, usize), String)>,
    /// The last one's line.
    until: usize,
}

/// How many rows with the same fault are told one by one.
const TOLD: usize = 10;

impl Faults {
    pub fn new(file: &Path, text: &str) -> Faults {
        Faults {
            file: file.to_owned(),
            text: text.to_owned(),
            found: RefCell::default(),
            alike: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Notes a fault at a position in the file.
    pub fn at(&self, span: Range<usize>, text: impl Into<String>) {
        let before = &self.text[..span.start.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        self.push(ConfigFault { file: self.file.clone(), place: Some((line, column)), text: text.into() });
    }

    /// Notes a fault that is nowhere in the file, such as a missing variable.
    pub fn nowhere(&self, text: impl Into<String>) {
        self.push(ConfigFault { file: self.file.clone(), place: None, text: text.into() });
    }

    /// Notes what works, and should not stay so.
    pub fn warn(&self, text: String) {
        self.warnings.borrow_mut().push(shown::told(&text));
    }

    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    /// Notes a fault of another file.
    pub fn of_file(&self, file: &Path, place: Option<(usize, usize)>, text: String) {
        self.push(ConfigFault { file: file.to_owned(), place, text });
    }

    /// Notes a fault of a row. Of one `kind` there may be as many as rows: only the first are told one by one.
    pub fn of_row(&self, file: &Path, place: (usize, usize), kind: &'static str, text: String) {
        let mut alike = self.alike.borrow_mut();
        let rows = alike.entry((file.to_owned(), kind)).or_insert(Alike { count: 0, next: None, until: 0 });
        rows.count += 1;
        rows.until = place.0;
        if rows.count > TOLD {
            rows.next.get_or_insert((place, text));
        } else {
            self.of_file(file, Some(place), text);
        }
    }

    fn push(&self, mut fault: ConfigFault) {
        // Whatever is quoted of the file, here or by a library, comes by here.
        fault.text = shown::told(&fault.text);
        self.found.borrow_mut().push(fault);
    }

    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// All faults: of this file first, then of those that it names, as they stand there.
    pub fn into_sorted(self) -> Vec<ConfigFault> {
        let mut found = self.found.into_inner();
        let mut order = vec![self.file];
        for fault in &found {
            if !order.contains(&fault.file) {
                order.push(fault.file.clone());
            }
        }
        let mut alike: Vec<_> = self.alike.into_inner().into_iter().collect();
        alike.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((file, kind), rows) in alike {
            if let Some((from, text)) = rows.next {
                let text = if cut_at(rows.count, TOLD) == rows.count {
                    shown::told(&text)
                } else {
                    format!("{} more rows like that, up to line {}: {kind}", rows.count - TOLD, rows.until)
                };
                found.push(ConfigFault { file, place: Some(from), text });
            }
        }
        found.sort_by_key(|f| (order.iter().position(|file| *file == f.file), f.place));
        found
    }
}

/// A value with its place, for faults that are found later.
#[derive(Debug, Clone)]
pub struct Located<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// A table of the file, whose keys are asked for one by one.
pub struct Section<'a> {
    /// How it is called in messages: empty for the whole file.
    name: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    asked: Vec<&'static str>,
    faults: &'a Faults,
}

impl<'a> Section<'a> {
    pub fn new(name: impl Into<String>, table: &'a Spanned<DeTable<'a>>, faults: &'a Faults) -> Section<'a> {
        Section::of(name.into(), table.get_ref(), table.span(), faults)
    }

    fn of(name: String, table: &'a DeTable<'a>, span: Range<usize>, faults: &'a Faults) -> Section<'a> {
        Section { name, table, span, asked: Vec::new(), faults }
    }

    pub const fn faults(&self) -> &'a Faults {
        self.faults
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The key with the section's name before it, as messages call it.
    pub fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// A value made by `parse` from what the file says; `parse`'s error is the rest of a sentence
    /// that starts with the key and the value.
    fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'a>) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let value = self.value(key)?;
        match parse(value.get_ref()) {
            Ok(v) => Some(Located { value: v, span: value.span() }),
            Err(problem) => {
                let shown = &self.faults.text[value.span()];
                let shown: String = shown.lines().next().unwrap_or_default().chars().take(80).collect();
                self.faults.at(value.span(), format!("{} = {shown}: {problem}", self.key(key)));
                None
            }
        }
    }

    /// Notes that `key` is needed, unless it is there.
    pub fn require(&self, key: &'static str, why: &str) {
        if !self.table.contains_key(key) {
            self.faults.at(self.span(), format!("{} is missing: {why}", self.key(key)));
        }
    }

    pub fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        self.parsed(key, |v| v.as_str().map(str::to_owned).ok_or_else(|| not("text in quotes", v)))
    }

    /// Text that a type can be parsed from.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Option<Located<T>> {
        self.parsed(key, |v| {
            let text = v.as_str().ok_or_else(|| not("text in quotes", v))?;
            text.parse().map_err(|e: T::Err| e.to_string())
        })
    }

    /// A value of which nothing depends on whether it is valid; `None` if it is not.
    pub fn unchecked<T: FromStr>(&mut self, key: &'static str) -> Option<T> {
        self.value(key)?.get_ref().as_str()?.parse().ok()
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.parsed(key, |v| {
            let text = v.as_str().ok_or_else(|| not("text in quotes", v))?;
            choices.iter().find(|(word, _)| *word == text).map(|(_, t)| *t).ok_or_else(|| {
                format!("use {}", list(&choices.iter().map(|(w, _)| format!("{w:?}")).collect::<Vec<_>>()))
            })
        })
        .map(|l| l.value)
    }

    /// A span of time such as `"90s"` or `"1h 30m"`, between two others.
    pub fn duration(&mut self, key: &'static str, least: Duration, most: Duration) -> Option<Located<Duration>> {
        self.parsed(key, |v| {
            let text = v.as_str().ok_or_else(|| not("a span of time in quotes, such as \"30s\" or \"5m\"", v))?;
            let signed: jiff::SignedDuration = text
                .parse()
                .map_err(|_| "not a span of time; write it as \"500ms\", \"30s\", \"5m\" or \"1h 30m\"".to_owned())?;
            let d = Duration::try_from(signed).map_err(|_| "a span of time cannot be negative".to_owned())?;
            if d < least || d > most {
                return Err(format!("must be between {} and {}", span_text(least), span_text(most)));
            }
            Ok(d)
        })
    }

    pub fn integer(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        self.parsed(key, |v| {
            let n = v.as_integer().ok_or_else(|| not("a whole number", v))?;
            u64::from_str_radix(n.as_str(), n.radix())
                .ok()
                .filter(|n| (least..=most).contains(n))
                .ok_or_else(|| format!("must be between {least} and {most}"))
        })
        .map(|l| l.value)
    }

    /// A number, whole or not.
    pub fn number(&mut self, key: &'static str, least: f64, most: f64) -> Option<Located<f64>> {
        self.parsed(key, |v| {
            let text = match (v.as_float(), v.as_integer()) {
                (Some(float), _) => float.as_str(),
                (None, Some(integer)) if integer.radix() == 10 => integer.as_str(),
                (None, _) => return Err(not("a number", v)),
            };
            text.parse()
                .ok()
                .filter(|n| (least..=most).contains(n))
                .ok_or_else(|| format!("must be between {least} and {most}"))
        })
    }

    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.parsed(key, |v| v.as_bool().ok_or_else(|| not("true or false", v))).map(|l| l.value)
    }

    /// Every text of an array, parsed.
    pub fn list<T: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Option<Vec<Located<T>>> {
        let array = self.parsed(key, |v| v.as_array().cloned().ok_or_else(|| not("a list in brackets", v)))?;
        let mut items = Vec::new();
        for value in array.value.iter() {
            let parsed = match value.get_ref().as_str() {
                Some(text) => text.parse::<T>().map_err(|e| e.to_string()),
                None => Err(not("text in quotes", value.get_ref())),
            };
            match parsed {
                Ok(v) => items.push(Located { value: v, span: value.span() }),
                Err(problem) => self.faults.at(value.span(), format!("{}: {problem}", self.key(key))),
            }
        }
        Some(items)
    }

    /// True if `key` is there, whatever it says.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// True if `key` is a list with nothing in it.
    pub fn is_empty_list(&self, key: &'static str) -> bool {
        self.table.get(key).and_then(|v| v.get_ref().as_array()).is_some_and(|a| a.is_empty())
    }

    /// A table below this one.
    pub fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        self.table_of(key, value)
    }

    fn table_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Section<'a>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Section::of(self.key(key), table, value.span(), self.faults));
        }
        self.faults.at(value.span(), format!("{}: {}", self.key(key), not("a table", value.get_ref())));
        None
    }

    /// The tables of an array such as `[[group]]`.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            let problem = format!("{} must be written as [[{}]]", self.key(key), self.key(key));
            self.faults.at(value.span(), problem);
            return Vec::new();
        };
        array.iter().filter_map(|value| self.table_of(key, value)).collect()
    }

    /// A key that must not be in a file, with what to do instead.
    pub fn forbid(&mut self, key: &'static str, instead: &str) {
        if let Some(value) = self.value(key) {
            // Whatever stands there may be a secret: it is not shown.
            self.faults.at(value.span(), format!("{} does not belong in this file: {instead}", self.key(key)));
        }
    }

    /// Every text that stands here or in a table below.
    pub fn texts(&self, each: &mut dyn FnMut(&str)) {
        fn of(value: &DeValue<'_>, each: &mut dyn FnMut(&str)) {
            match value {
                DeValue::String(text) => each(text),
                DeValue::Array(values) => values.iter().for_each(|value| of(value.get_ref(), each)),
                DeValue::Table(table) => table.values().for_each(|value| of(value.get_ref(), each)),
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
            }
        }
        self.table.values().for_each(|value| of(value.get_ref(), each));
    }

    /// Notes every key that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let hint = match nearest(name, self.asked.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => {
                    let mut known: Vec<String> = self.asked.iter().map(|k| (*k).to_owned()).collect();
                    known.sort();
                    format!("known here: {}", known.join(", "))
                }
            };
            self.faults.at(key.span(), format!("{} is not a setting; {hint}", self.key(name)));
        }
    }
}

fn not(want: &str, found: &DeValue<'_>) -> String {
    format!("must be {want}, not {}", found.type_str())
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// A span as the file would have it.
pub fn span_text(d: Duration) -> String {
    let ms = d.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    for (unit, name) in units {
        if ms >= unit && ms.is_multiple_of(unit) {
            return format!("{}{name}", ms / unit);
        }
    }
    format!("{ms}ms")
}
