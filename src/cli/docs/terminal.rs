//! Markdown as a terminal shows it: paragraphs wrapped to its width, code as it stands, and a table as a list of its
//! rows, since few of ours fit beside each other in 80 columns.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::cli::text::{Shape, Style, TextLine, wrapped};

/// How far code, and the text of a table's row, stand in.
const INDENT: usize = 4;

/// `markdown` in lines that fit.
pub fn laid_out(markdown: &str, shape: Shape) -> String {
    let mut page =
        Page { shape, out: String::new(), text: String::new(), lists: Vec::new(), names: Vec::new(), row: Vec::new() };
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.out
}

/// A page in the making.
struct Page {
    shape: Shape,
    out: String,
    /// Of the paragraph, heading or cell that is under way.
    text: String,
    /// The open lists: the number of the next item, if it has one.
    lists: Vec<Option<u64>>,
    /// The columns of the open table.
    names: Vec<String>,
    /// Its row that is under way.
    row: Vec<String>,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::CodeBlock(_) | Tag::Paragraph | Tag::Heading { .. } | Tag::TableCell) => {
                self.text.clear()
            }
            Event::Start(Tag::List(first)) => {
                self.paragraph();
                self.lists.push(first);
            }
            Event::End(TagEnd::List(_)) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.out.push('\n');
                }
            }
            Event::End(TagEnd::Item) => self.paragraph(),
            Event::Start(Tag::Item) => self.text = self.bullet(),
            Event::End(TagEnd::Heading(_)) => {
                let line = TextLine::new(Style::Strong, std::mem::take(&mut self.text));
                self.out += &format!("{}\n\n", line.printed(self.shape.is_coloured));
            }
            Event::End(TagEnd::Paragraph) => {
                self.paragraph();
                if self.lists.is_empty() {
                    self.out.push('\n');
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                let code = std::mem::take(&mut self.text);
                let widest = code.lines().map(|l| l.chars().count()).max().unwrap_or_default();
                // What fits without its indent is better than what does not with it.
                let indent = INDENT.min(self.shape.width.saturating_sub(widest));
                for line in code.lines() {
                    self.out += format!("{:indent$}{line}", "").trim_end();
                    self.out.push('\n');
                }
                self.out.push('\n');
            }
            Event::End(TagEnd::TableCell) => self.row.push(std::mem::take(&mut self.text)),
            Event::End(TagEnd::TableHead) => self.names = std::mem::take(&mut self.row),
            Event::End(TagEnd::TableRow) => self.table_row(),
            Event::End(TagEnd::Table) => self.out.push('\n'),
            Event::Text(text) => self.text += &text,
            Event::Code(text) => self.text += &format!("`{text}`"),
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            Event::Start(_) | Event::End(_) | Event::Html(_) | Event::InlineHtml(_) | Event::Rule => {}
            Event::InlineMath(_) | Event::DisplayMath(_) | Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    /// What an item of the innermost list begins with.
    fn bullet(&mut self) -> String {
        match self.lists.last_mut() {
            Some(Some(next)) => {
                *next += 1;
                format!("{}. ", *next - 1)
            }
            _ => "* ".to_owned(),
        }
    }

    fn paragraph(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return;
        }
        let indent = self.lists.len().saturating_sub(1) * 2;
        let hanging = indent + if self.lists.is_empty() { 0 } else { 2 };
        self.lines(&text, indent, hanging);
    }

    /// `text`, the first line of which stands `first` columns in and the others `others`.
    fn lines(&mut self, text: &str, first: usize, others: usize) {
        let width = self.shape.width.saturating_sub(others).max(1);
        for (nth, line) in wrapped(text, width).into_iter().enumerate() {
            let indent = if nth == 0 { first } else { others };
            self.out += &format!("{:indent$}{line}\n", "");
        }
    }

    fn table_row(&mut self) {
        let cells = std::mem::take(&mut self.row);
        let first = cells.first().cloned().unwrap_or_default();
        // A row of two short cells is a line.
        let rest: Vec<(usize, &String)> = cells.iter().enumerate().skip(1).filter(|(_, c)| !c.is_empty()).collect();
        if let [(_, only)] = rest.as_slice()
            && cells.len() == 2
            && first.chars().count() + only.chars().count() + 4 <= self.shape.width.min(80)
        {
            self.out += &format!("  {first}: {only}\n");
            return;
        }
        self.lines(&first, 2, INDENT);
        for (column, cell) in rest {
            let text = match self.names.get(column) {
                Some(name) if cells.len() > 2 && !name.is_empty() => format!("{name}: {cell}"),
                _ => cell.clone(),
            };
            self.lines(&text, INDENT, INDENT + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { width: 40, is_coloured: false };

    #[test]
    fn a_page_is_laid_out_for_its_width() {
        let page = "# Title\n\nA paragraph that is\nwider than the terminal is, by some words.\n\n* one `code`\n* two\n\n\
                    1. first\n2. second\n\n```toml\nkey = \"as it stands, whatever its width may be\"\n```\n\n\
                    | key | default | is |\n|---|---|---|\n| `a.b` | `1` | a value |\n\n| a | b |\n|---|---|\n| x | y |\n";
        let want = "Title\n\nA paragraph that is wider than the\nterminal is, by some words.\n\n* one `code`\n* two\n\n\
                    1. first\n2. second\n\nkey = \"as it stands, whatever its width may be\"\n\n\
                    \u{20} `a.b`\n    default: `1`\n    is: a value\n\n  x: y\n\n";
        assert_eq!(laid_out(page, SHAPE), want);
    }

    /// Every page, whatever its tables and its code.
    #[test]
    fn every_page_fits_a_terminal_of_80_columns() {
        let shape = Shape { width: 80, is_coloured: false };
        for page in crate::docs::PAGES {
            let wide: Vec<String> =
                laid_out(page.text, shape).lines().filter(|l| l.chars().count() > 80).map(str::to_owned).collect();
            assert!(wide.is_empty(), "{}: {wide:#?}", page.name);
        }
    }
}
