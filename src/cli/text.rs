//! Text for a terminal: lines of styled parts, wrapped to its width, coloured where colours are wanted.
//!
//! Colour is an addition: whatever it says is said in words as well. It is used on a terminal alone, and neither with
//! `NO_COLOR` (<https://no-color.org>) nor with `TERM=dumb`. What is printed to anything else has 80 columns.

use std::io::IsTerminal as _;

/// What a part of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// What is read first.
    Strong,
    Bad,
    Warning,
    Good,
    /// Names of what stands beside them.
    Quiet,
    /// To be typed as it stands.
    Command,
}

impl Style {
    /// The codes of ECMA-48 that every terminal knows. Yellow, green and cyan vanish on white, blue on black.
    const fn code(self) -> &'static str {
        match self {
            Style::Plain | Style::Good => "",
            Style::Strong => "1",
            Style::Bad => "1;31",
            Style::Warning => "1;35",
            Style::Quiet => "2",
            Style::Command => "4",
        }
    }
}

/// One line, of parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextLine(pub Vec<(Style, String)>);

impl TextLine {
    pub fn new(style: Style, text: impl Into<String>) -> TextLine {
        TextLine(vec![(style, text.into())])
    }

    pub fn plain(text: impl Into<String>) -> TextLine {
        TextLine::new(Style::Plain, text)
    }

    pub fn and(mut self, style: Style, text: impl Into<String>) -> TextLine {
        self.0.push((style, text.into()));
        self
    }

    /// As it is printed.
    pub fn printed(&self, is_coloured: bool) -> String {
        let part = |(style, text): &(Style, String)| match style.code() {
            code if is_coloured && !code.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.clone(),
        };
        let line: String = self.0.iter().map(part).collect();
        line.trim_end().to_owned()
    }
}

/// How wide the output is, and whether it has colours.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub width: usize,
    pub is_coloured: bool,
}

/// Narrower than this nothing can be read.
const NARROWEST: usize = 38;

/// Longer lines are hard to read.
const WIDEST: usize = 110;

impl Shape {
    /// Of the output stream.
    pub fn of_output() -> Shape {
        let is_terminal = std::io::stdout().is_terminal();
        let asked = std::env::var("COLUMNS").ok().and_then(|c| c.parse::<usize>().ok());
        let found =
            || ratatui::crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|c| *c > 0);
        let width = if is_terminal { found().or(asked) } else { asked };
        Shape { width: width.unwrap_or(80).clamp(NARROWEST, WIDEST), is_coloured: is_terminal && has_colours() }
    }
}

/// True unless the environment says otherwise.
pub fn has_colours() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    !is_dumb && !is_refused
}

/// `text` in lines of at most `width` characters, broken between words; a word that is longer is broken as it comes.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    // Of a terminal that has no room beside the names.
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let (mut line, mut length) = (String::new(), 0);
        for word in paragraph.split(' ').filter(|w| !w.is_empty()) {
            let mut rest: Vec<char> = word.chars().collect();
            if length > 0 && length + 1 + rest.len() > width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            while rest.len() > width {
                let tail = rest.split_off(width);
                lines.push(rest.iter().collect());
                rest = tail;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            length += rest.len();
            line.extend(rest);
        }
        lines.push(line);
    }
    lines
}

/// `text` for the output stream: on a terminal its long lines are broken between words, and what follows stands under
/// the line's own beginning; elsewhere it is as it is, a line for a line.
pub fn fitted(text: &str) -> String {
    if std::io::stdout().is_terminal() { hanging(text, Shape::of_output().width) } else { text.to_owned() }
}

/// Each line of `text` in at most `width` characters, its later parts four further in than its beginning.
fn hanging(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        if line.chars().count() <= width || indent + 8 > width {
            lines.push(line.to_owned());
            continue;
        }
        let (first, more) = (" ".repeat(indent), " ".repeat(indent + 4));
        let parts = wrapped(line, width - indent - 4).into_iter().enumerate();
        lines.extend(parts.map(|(i, part)| format!("{}{part}", if i == 0 { &first } else { &more })));
    }
    lines.join("\n")
}

/// A command in lines that a shell takes as one: broken at spaces outside of quotation marks, with a backslash.
pub fn wrapped_command(command: &str, width: usize) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in command.chars() {
        is_quoted ^= c == '\'';
        if c == ' ' && !is_quoted {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    words.push(word);
    let mut lines = vec![String::new()];
    for word in words {
        let last = lines.last().map_or(0, |l| l.chars().count());
        // Room for the backslash.
        let is_full = last > 2 && last + 1 + word.chars().count() > width.saturating_sub(2);
        match lines.last_mut() {
            Some(line) if is_full => {
                line.push_str(" \\");
                lines.push(format!("  {word}"));
            }
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) => {
                line.push(' ');
                line.push_str(&word);
            }
            None => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_that_is_wrapped_is_the_same_to_a_shell() {
        let command = "ringback restore --group support --channel voice --reason 'it is repaired, we think'";
        let lines = wrapped_command(command, 40);
        assert!(lines.len() > 2 && lines.iter().all(|l| l.chars().count() <= 40), "{lines:?}");
        let joined = lines.join("\n").replace(" \\\n  ", " ");
        assert_eq!(joined, command);
        assert_eq!(wrapped_command("ringback status", 80), ["ringback status"]);
    }

    proptest! {
        #[test]
        fn wrapped_text_fits_and_loses_no_word(text in "[a-zé ]{0,200}", width in 0usize..60) {
            let lines = wrapped(&text, width);
            prop_assert!(lines.iter().all(|l| l.chars().count() <= width.max(1)));
            let letters = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }

    #[test]
    fn what_follows_a_broken_line_stands_under_it() {
        let said = hanging("sales: 2 numbers\n  +15005550100: is in the account; nothing else is known", 30);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..3], ["sales: 2 numbers", "  +15005550100: is in the", "      account; nothing else is"]);
        assert!(lines.iter().all(|l| l.len() <= 30), "{said}");
    }

    #[test]
    fn colours_are_left_out_where_they_are_not_wanted() {
        let line = TextLine::new(Style::Bad, "CRITICAL").and(Style::Plain, " it fails");
        assert_eq!(line.printed(false), "CRITICAL it fails");
        assert_eq!(line.printed(true), "\x1b[1;31mCRITICAL\x1b[0m it fails");
    }
}
