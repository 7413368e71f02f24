//! How the story is shown: a picture that moves on a terminal, lines otherwise.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

use super::story::{Light, Story, StoryKind, StoryLine, local};
use crate::cli::say;

pub enum DemoView {
    /// Nothing until the end.
    Silent,
    /// A line for each thing that happened; how many were printed.
    Plain(usize),
    Screen(Screen),
}

pub struct Screen {
    address: SocketAddr,
    color: bool,
}

/// Lines of the story on the screen: the picture fits a terminal of 24 lines.
const STORY_LINES: usize = 9;

/// Wrapping, the cursor, the first screen.
const GIVE_BACK: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

impl DemoView {
    pub fn start(json: bool, plain: bool, address: SocketAddr) -> std::io::Result<DemoView> {
        if json {
            return Ok(DemoView::Silent);
        }
        if plain || !std::io::stdout().is_terminal() {
            say("A company ports 14 numbers to Twilio. Times are New York's; two hours in, something breaks.\n")?;
            return Ok(DemoView::Plain(0));
        }
        // The other screen, no cursor, no wrapping: long lines are cut by the terminal.
        write(b"\x1b[?1049h\x1b[?25l\x1b[?7l")?;
        Ok(DemoView::Screen(Screen { address, color: std::env::var_os("NO_COLOR").is_none() }))
    }

    pub fn frame(&mut self, story: &Story) -> std::io::Result<()> {
        match self {
            DemoView::Silent => Ok(()),
            DemoView::Plain(printed) => {
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
    pub fn end(&mut self, story: &Story) -> std::io::Result<()> {
        if let DemoView::Screen(screen) = self {
            write(GIVE_BACK)?;
            for line in story.lines.iter().filter(|l| l.kind != StoryKind::Ported) {
                say(&screen.told(line))?;
            }
        }
        Ok(())
    }
}

impl Drop for DemoView {
    fn drop(&mut self) {
        if let DemoView::Screen(_) = self {
            // Whatever happened, the terminal is given back; giving it back twice does no harm.
            let _ = write(GIVE_BACK);
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
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn light(&self, light: Light) -> String {
        // Told apart by shape as well as by colour.
        match light {
            Light::NotPorted => self.paint("90", "·"),
            Light::Unknown => self.paint("37", "○"),
            Light::Served => self.paint("32", "●"),
            Light::Suspect => self.paint("33", "◐"),
            Light::Failing => self.paint("31;1", "✗"),
            Light::Blind => self.paint("35", "?"),
            Light::OnFallback => self.paint("36;1", "◆"),
        }
    }

    fn draw(&self, story: &Story) -> String {
        let mut s = String::from("\x1b[H");
        let mut line = |text: &str| {
            let _ = write!(s, "{text}\x1b[K\r\n");
        };
        line(&format!(
            " {}   {}   New York",
            self.paint("1", "Ringback demo: a company ports 14 numbers to Twilio"),
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
        line(&self.paint("90", "  · not ported  ○ few callers yet  ● served  ◐ suspect  ✗ failing  ◆ on the fallback"));
        line("");
        for l in story.lines.iter().rev().take(STORY_LINES).rev() {
            line(&self.told(l));
        }
        for _ in story.lines.len()..STORY_LINES {
            line("");
        }
        line("");
        line(&self.paint("90", &format!("  http://{}/metrics   Ctrl-C stops", self.address)));
        s.push_str("\x1b[J");
        s
    }

    fn told(&self, l: &StoryLine) -> String {
        let code = match l.kind {
            StoryKind::Ported => "90",
            StoryKind::Trouble => "33",
            StoryKind::Seen => "37",
            StoryKind::Decided => "31;1",
            StoryKind::ReadBack | StoryKind::Proven => "36;1",
            StoryKind::Served => "32;1",
        };
        format!("  {}  {}", self.paint("90", &local(l.at)), self.paint(code, &l.text))
    }
}
