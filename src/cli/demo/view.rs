//! How the story is shown: a picture that moves on a terminal, lines otherwise.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

use super::story::{DemoStory, DemoSummary, Light, StoryKind, StoryLine, local};
use crate::cli::say;
use crate::cli::text::{has_colours, wrapped};

pub enum DemoView {
    /// Nothing until the end.
    Silent,
    /// A line for each thing that happened; how many were printed.
    Plain(SocketAddr, usize),
    Screen(Screen),
}

pub struct Screen {
    address: SocketAddr,
    color: bool,
    /// The other screen is on.
    is_on: bool,
}

/// Lines of the picture beside the groups', the legend's and the story's. The last column stays free: what is erased to
/// the end of the line would take it along.
const FRAME_LINES: usize = 7;

/// Before the text of a line of the story: the time.
const INDENT: usize = 12;

const LEGEND: &str =
    "· not ported  ○ few callers yet  ● served  ◐ suspect  ✗ failing  ◆ on the fallback, which is a TwiML Bin";

/// Wrapping, the cursor, the first screen.
const GIVE_BACK: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

impl DemoView {
    pub fn start(json: bool, plain: bool, address: SocketAddr) -> std::io::Result<DemoView> {
        if json {
            return Ok(DemoView::Silent);
        }
        if plain || !std::io::stdout().is_terminal() {
            say("A company ports 14 numbers to Twilio. Times are New York's; two hours in, something breaks.\n")?;
            return Ok(DemoView::Plain(address, 0));
        }
        // The other screen, no cursor, no wrapping: what is broken, is broken here.
        write(b"\x1b[?1049h\x1b[?25l\x1b[?7l")?;
        Ok(DemoView::Screen(Screen { address, color: has_colours(), is_on: true }))
    }

    pub fn frame(&mut self, story: &DemoStory) -> std::io::Result<()> {
        match self {
            DemoView::Silent => Ok(()),
            DemoView::Plain(_, printed) => {
                for line in &story.lines[*printed..] {
                    say(&format!("{}  {:<9}  {}", local(line.at), word(line.kind), line.text))?;
                }
                *printed = story.lines.len();
                Ok(())
            }
            DemoView::Screen(screen) => write(screen.draw(story).as_bytes()),
        }
    }

    /// Gives the terminal back, with the part of the story that matters left on it.
    pub fn end(&mut self, story: &DemoStory) -> std::io::Result<()> {
        if let DemoView::Screen(screen) = self {
            screen.give_back()?;
            let (width, _) = size();
            for line in story.lines.iter().filter(|l| l.kind != StoryKind::Ported) {
                for part in screen.told(line, width) {
                    say(&part)?;
                }
            }
        }
        Ok(())
    }

    /// What the day comes to: the last that is printed, and whole on the screen.
    pub fn report(&self, summary: &DemoSummary, stays: bool) -> std::io::Result<()> {
        let (address, width, rows) = match self {
            DemoView::Screen(screen) => (screen.address, size().0, size().1),
            DemoView::Plain(address, _) => (*address, 80, usize::MAX),
            DemoView::Silent => return Ok(()),
        };
        // The prompt has the last line.
        let lines = summary.report(address, stays, width.min(WIDEST), rows.saturating_sub(1));
        say(&lines.join("\n"))
    }
}

/// Longer lines are hard to read.
const WIDEST: usize = 100;

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let found = ratatui::crossterm::terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0);
    found.map_or((80, 24), |(columns, rows)| (columns.into(), rows.into()))
}

impl Drop for DemoView {
    fn drop(&mut self) {
        if let DemoView::Screen(screen) = self {
            // Whatever happened, the terminal is given back.
            let _ = screen.give_back();
        }
    }
}

fn write(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

const fn word(kind: StoryKind) -> &'static str {
    match kind {
        StoryKind::Ported => "ported",
        StoryKind::Trouble => "world",
        StoryKind::Seen => "seen",
        StoryKind::Decided => "DECIDED",
        StoryKind::ReadBack => "READ BACK",
        StoryKind::Proven => "PROVEN",
        StoryKind::Served => "SERVED",
    }
}

impl Screen {
    /// Once: the second time it would put the cursor back to where it was at the beginning.
    fn give_back(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.is_on) { write(GIVE_BACK) } else { Ok(()) }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn light(&self, light: Light) -> String {
        // Told apart by shape as well as by colour.
        match light {
            Light::NotPorted => self.paint("90", "·"),
            Light::Unknown => "○".to_owned(),
            Light::Served => "●".to_owned(),
            Light::Suspect => self.paint("35", "◐"),
            Light::Failing => self.paint("31;1", "✗"),
            Light::Blind => self.paint("35", "?"),
            Light::OnFallback => self.paint("1", "◆"),
        }
    }

    fn draw(&self, story: &DemoStory) -> String {
        let (width, rows) = size();
        let mut s = String::from("\x1b[H");
        let mut line = |text: &str| {
            let _ = write!(s, "{text}\x1b[K\r\n");
        };
        line(&format!(
            "{}  {} New York",
            self.paint("1", "Ringback demo: 14 numbers port to Twilio"),
            self.paint("1", &local(story.now))
        ));
        line("");
        line(&format!("  {:<12}{:<10}{:>8}{:>9}{:>13}", "group", "numbers", "calls", "failed", "by fallback"));
        for g in &story.groups {
            let lights: String = g.lights.iter().map(|l| self.light(*l)).collect();
            let pad = " ".repeat(10usize.saturating_sub(g.lights.len()));
            let failed = format!("{:>9}", g.tally.failed);
            let failed = if g.tally.failed > 0 { self.paint("31", &failed) } else { failed };
            line(&format!("  {:<12}{lights}{pad}{:>8}{failed}{:>13}", g.name.as_str(), g.tally.calls, g.tally.by_bin));
        }
        line("");
        let legend = wrapped(LEGEND, width.saturating_sub(3));
        for part in &legend {
            line(&self.paint("90", &format!("  {part}")));
        }
        line("");
        let room = rows.saturating_sub(FRAME_LINES + story.groups.len() + legend.len());
        let mut told: Vec<String> = Vec::new();
        for l in story.lines.iter().rev() {
            let parts = self.told(l, width);
            if told.len() + parts.len() > room {
                break;
            }
            told.splice(0..0, parts);
        }
        told.resize(room, String::new());
        for part in told {
            line(&part);
        }
        line("");
        let foot = self.paint("90", &format!("  http://{}/   Ctrl-C stops", self.address));
        // The last line has no end: the picture would move up.
        let _ = write!(s, "{foot}\x1b[K\x1b[J");
        s
    }

    /// A line of the story, broken where the terminal ends.
    fn told(&self, l: &StoryLine, width: usize) -> Vec<String> {
        let code = match l.kind {
            StoryKind::Ported => "90",
            StoryKind::Trouble => "35",
            StoryKind::Seen => "0",
            StoryKind::Decided => "31;1",
            StoryKind::ReadBack | StoryKind::Proven | StoryKind::Served => "1",
        };
        let parts = wrapped(&l.text, width.saturating_sub(INDENT + 1).max(1)).into_iter().enumerate();
        let line = |(nth, text): (usize, String)| {
            let at = if nth == 0 { self.paint("90", &local(l.at)) } else { " ".repeat(8) };
            format!("  {at}  {}", self.paint(code, &text))
        };
        parts.map(line).collect()
    }
}
