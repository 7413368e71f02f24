//! A page as headings, sentences, tables and plots, whatever it looks like.

use crate::core::model::time::Time;

/// A whole page.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub title: String,
    /// Beneath the title: of when, and from when.
    pub subtitle: String,
    pub parts: Vec<DocumentPart>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DocumentPart {
    pub heading: String,
    pub blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Paragraph(String),
    List(Vec<String>),
    Table(Table),
    Plot(Plot),
    /// Shown on request, where something can be asked for.
    Folded(String, Table),
    /// Room for a person's words.
    Gap(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Table {
        Table { head: head.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new() }
    }
}

/// Served and failed calls over time, with what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    pub title: String,
    pub from: Time,
    /// Seconds of a column.
    pub step: u64,
    pub served: Vec<u32>,
    pub failed: Vec<u32>,
    /// What they count.
    pub unit: &'static str,
    pub marks: Vec<PlotMark>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotMark {
    pub at: Time,
    pub text: String,
}
