//! A document as Markdown. Its evidence stands in a file beside it.

use std::fmt::Write as _;

use super::document::{Block, Document, Plot, Table};
use super::lines::MaterialSection;
use super::words::clock;

/// Before a section in the file of the evidence.
const SECTION: &str = "# ";

/// Text that no Markdown reader takes for markup, nor for HTML. What a person may copy, such as a name with `_` in it,
/// is left as it is.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_within = before.is_some_and(char::is_alphanumeric) && rest.peek().is_some_and(|c| c.is_alphanumeric());
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '_' if is_within => out.push(c),
            '#' if before.is_some() => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        before = Some(c);
    }
    out
}

/// The whole file.
pub fn page(document: &Document) -> String {
    let mut out = format!("# {}\n\n{}\n", plain(&document.title), plain(&document.subtitle));
    for part in &document.parts {
        let _ = write!(out, "\n## {}\n", plain(&part.heading));
        part.blocks.iter().for_each(|b| block(&mut out, b));
    }
    out
}

fn block(out: &mut String, block: &Block) {
    out.push('\n');
    match block {
        Block::Paragraph(text) => {
            let _ = writeln!(out, "{}", plain(text));
        }
        Block::List(items) => items.iter().for_each(|i| {
            let _ = writeln!(out, "- {}", plain(i));
        }),
        Block::Table(t) => table(out, t),
        Block::Folded(title, t) => {
            let _ = write!(out, "### {}\n\n", plain(title));
            table(out, t);
        }
        Block::Plot(p) => plot(out, p),
        Block::Gap(what) => {
            let _ = writeln!(out, "### {}\n\n…", plain(what));
        }
    }
}

fn table(out: &mut String, t: &Table) {
    let row = |cells: &[String]| format!("| {} |\n", cells.iter().map(|c| plain(c)).collect::<Vec<_>>().join(" | "));
    out.push_str(&row(&t.head));
    let _ = writeln!(out, "|{}", " --- |".repeat(t.head.len()));
    t.rows.iter().for_each(|cells| out.push_str(&row(cells)));
}

/// Columns of a plot in letters.
const COLUMNS: usize = 60;

/// A plot in letters: the height of a column is all calls, and what failed stands in a line of its own.
fn plot(out: &mut String, p: &Plot) {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let per = p.served.len().max(p.failed.len()).div_ceil(COLUMNS).max(1);
    let sums = |series: &[u32]| series.chunks(per).map(|c| c.iter().sum()).collect::<Vec<u32>>();
    let (served, failed) = (sums(&p.served), sums(&p.failed));
    let most = served.iter().chain(&failed).copied().max().unwrap_or(0).max(1);
    let bar = |n: &u32| BARS[if *n == 0 { 0 } else { (*n as usize * 8).div_ceil(most as usize) }];
    let line = |series: &[u32]| series.iter().map(bar).collect::<String>();
    let _ = write!(
        out,
        "### {}\n\n```text\nserved {}\nfailed {}\n```\n\nFrom {}, {} min a column, {} {} at most.\n",
        plain(&p.title),
        line(&served),
        line(&failed),
        clock(p.from),
        p.step * per as u64 / 60,
        most,
        p.unit
    );
    if !p.marks.is_empty() {
        out.push('\n');
    }
    for mark in &p.marks {
        let _ = writeln!(out, "- {} {}", clock(mark.at), plain(&mark.text));
    }
}

/// The file beside the Markdown.
pub fn evidence(sections: &[MaterialSection]) -> String {
    sections.iter().map(|s| format!("{SECTION}{}\n{}", s.name, s.text)).collect()
}

/// A section of that file.
pub fn section(file: &str, name: &str) -> Option<String> {
    let mut text = None;
    for line in file.split_inclusive('\n') {
        match line.strip_prefix(SECTION) {
            Some(of) if of.trim_end() == name => text = Some(String::new()),
            Some(_) if text.is_some() => break,
            Some(_) => {}
            None => {
                if let Some(text) = &mut text {
                    text.push_str(line);
                }
            }
        }
    }
    text
}
